"""kill -9 at any moment: nothing acknowledged is lost, nothing that may not
be repeated is run twice.

A client posts alerts without pause and keeps a ledger of what was answered
202. The engine is killed again and again at random moments; now and then the
executor is killed too. Each step appends one line to a file, so the file is
the second ledger: what really ran.

ADP_KILLS sets the number of kills (default 200, the long form is 2000).
"""
import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter

from harness import wait_until

KILLS = int(os.environ.get("ADP_KILLS", "200"))
SEED = int(os.environ.get("ADP_KILL_SEED", "0")) or random.randrange(1 << 32)

RUNBOOK = """\
name: Ledger
category: test
parameters:
  n: {{type: integer, required: true}}
triggers:
  - type: alert
    labels: {{alertname: Ledger}}
    parameters: {{n: "${{{{ event.labels.n }}}}"}}
steps:
  - name: append
    action: exec
    command: 'echo "$ADP_PARAM_N" >> {ledger}'
"""


class Client(threading.Thread):
    """Posts alerts one after the other; knows what was acknowledged."""

    def __init__(self, daemon, lane, lanes):
        super().__init__(daemon=True)
        self.d = daemon
        self.n = lane
        self.step = lanes
        self.acked = {}
        self.running = True
        self.pause = 0.01

    def run(self):
        while self.running:
            body = json.dumps({"type": "alert", "labels": {
                "alertname": "Ledger", "n": str(self.n)}})
            try:
                status, _, data = self.d.raw("POST", "/api/events", body)
                if status == 202:
                    self.acked[self.n] = json.loads(data)["id"]
            except (OSError, http.client.HTTPException, ValueError):
                pass  # the engine was killed: not acknowledged
            self.n += self.step
            time.sleep(self.pause)


def all_events(d):
    """status and workflows by event id, over all pages."""
    found = {}
    cursor = ""
    while True:
        page = d.get("/api/events?limit=1000" + cursor)
        for e in page["events"]:
            found[e["id"]] = e["status"]
        if not page["next_cursor"]:
            return found
        cursor = "&cursor=" + page["next_cursor"]


def all_workflows(d):
    found = {}
    cursor = ""
    while True:
        page = d.get("/api/workflows?limit=1000" + cursor)
        for w in page["workflows"]:
            assert w["event_id"] not in found, "two workflows of one event"
            found[w["event_id"]] = w
        if not page["next_cursor"]:
            return found
        cursor = "&cursor=" + page["next_cursor"]


def test_kill9_loop(make_daemon, tmp_path):
    ledger = tmp_path / "ledger"
    d = make_daemon({"ledger.yaml": RUNBOOK.format(ledger=ledger)},
                    {"log": {"level": "warning"},
                     "guards": {"max_starts": {"limit": 0}},
                     "engine": {"event_processing": {"max_attempts": 50}}})
    dice = random.Random(SEED)
    print(f"seed {SEED}, {KILLS} kills")
    clients = [Client(d, i, 4) for i in range(4)]
    for c in clients:
        c.start()
    executor_kills = 0
    for _ in range(KILLS):
        time.sleep(dice.choice([0.0, 0.01, 0.05, 0.1, 0.2]) +
                   dice.random() * 0.05)
        if dice.random() < 0.05:
            pid = d.executor_pid()
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                executor_kills += 1
        d.kill9()
        d.start()
    for c in clients:
        c.running = False
        c.join()
    acked = {}
    for c in clients:
        acked.update(c.acked)

    def settled():
        ledger = d.get("/api/metrics")["ledger"]
        return not any([ledger["events"][k] for k in
                        ("queued", "processing", "error")] +
                       [ledger["workflows"][k] for k in
                        ("queued", "running", "waiting")])
    wait_until(settled, 120, "an engine with nothing left to do", 0.2)

    events = all_events(d)
    workflows = all_workflows(d)
    with open(ledger, encoding="ascii") as f:
        ran = Counter(int(line) for line in f)

    lost = [n for n, i in acked.items() if i not in events]
    assert not lost, f"acknowledged and lost: {lost[:10]} (seed {SEED})"
    unprocessed = {i: s for i, s in events.items() if s != "processed"}
    assert not unprocessed, f"not processed: {unprocessed} (seed {SEED})"
    twice = {n: c for n, c in ran.items() if c > 1}
    assert not twice, f"run twice: {twice} (seed {SEED})"

    held = 0
    for n, event_id in acked.items():
        w = workflows[event_id]
        if w["status"] == "held":
            held += 1
            assert executor_kills, "held, and no executor was lost"
        else:
            assert w["status"] == "succeeded", json.dumps(
                d.get("/api/workflows/" + w["id"]), indent=1) + d.log()
            assert ran[n] == 1, f"{n} says it succeeded and never ran"
    total = d.get("/api/metrics")["ledger"]
    assert total["accepted"] == sum(total["events"].values())
    print(f"{len(acked)} acknowledged, {sum(ran.values())} run, {held} held, "
          f"{executor_kills} executors killed, 0 lost, 0 twice")


def test_a_key_outlives_the_engine(make_daemon, tmp_path):
    """The answer was lost in a crash: asking again starts nothing."""
    ledger = tmp_path / "ledger"
    d = make_daemon({"ledger.yaml": RUNBOOK.format(ledger=ledger)})
    d.wait_executor()
    body = {"runbook": "ledger.yaml", "parameters": {"n": 7}}
    key = {"Idempotency-Key": "once"}
    first = d.post("/api/runbooks/execute", body, 202, key)
    d.wait_status(first["workflow_id"], "succeeded")
    for _ in range(2):
        d.kill9()
        d.start()
        again = d.post("/api/runbooks/execute", body, 202, key)
        assert again["workflow_id"] == first["workflow_id"]
        assert again["status"] == "succeeded"
        assert again["runbook"] == "ledger.yaml" and not again["dry_run"]
    other = {**body, "parameters": {"n": 8}}
    refused = d.post("/api/runbooks/execute", other, 422, key)
    assert refused["code"] == "idempotency_mismatch"
    assert ledger.read_text() == "7\n"
