"""How long things are kept, and what the engine can tell about them."""
from harness import wait_until

NOTE = """\
name: Note
category: test
triggers: [{type: alert}]
steps:
  - {name: Say, action: exec, command: "echo hello"}
  - {name: End, action: exec, command: "true"}
"""

FAILS = """\
name: Fails
category: test
steps:
  - {name: Stop, action: exec, command: "exit 3"}
"""


def ledger(d):
    return d.get("/api/metrics")["ledger"]


def check_ledger(d):
    books = ledger(d)
    assert books["accepted"] == sum(books["events"].values())
    return books


def test_what_is_over_for_long_is_removed(make_daemon):
    d = make_daemon({"a.yaml": NOTE},
                    {"retention": {"events": "2s", "workflows": "2s",
                                   "interval": "1s"}})
    d.wait_executor()
    ids = [d.event(type="alert", labels={"alertname": f"n{i}"}) for i in range(5)]
    workflows = [d.wait_workflow(i)["id"] for i in ids]
    d.post("/api/admin/pause-processing", {})
    waiting = d.event(type="alert", labels={"alertname": "waits"})
    wait_until(lambda: d.get("/api/workflows")["workflows"] == [],
               what="no workflow that is left")
    wait_until(lambda: len(d.get("/api/events")["events"]) == 1,
               what="one event that is left")
    assert d.get(f"/api/events/{waiting}")["status"] == "queued"
    d.get(f"/api/events/{ids[0]}", status=404)
    d.get(f"/api/workflows/{workflows[0]}", status=404)
    books = check_ledger(d)
    assert books["accepted"] == 6 and books["events"]["archived"] == 5
    d.kill9()
    d.start()
    assert check_ledger(d)["events"]["archived"] == 5
    d.post("/api/admin/resume-processing", {})
    d.wait_executor()
    # Kept as long as its workflow is unfinished, and no longer.
    wait_until(lambda: ledger(d)["events"]["archived"] == 6,
               what="the last event, too")
    assert d.get("/api/admin/audit")["audit"] != []
    wait_until(lambda: "retention: removed" in d.log(), what="word of it")
