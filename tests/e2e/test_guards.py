"""What triggers remember, on the real engine: kills, reloads, edits."""
import json
import time

from harness import adctl, wait_until

DISK = """\
name: Disk
triggers:
{before}  - id: disk
    type: alert
    labels: {{alertname: DiskFull}}
    dedup: [labels.instance]
{limits}
steps:
  - {{name: Clean, action: exec, command: "true"}}
"""
OTHER = "  - {type: alert, labels: {alertname: Other}, cooldown: 1h}\n"
COOLDOWN = "    cooldown: 1h"
COUNT = "    count: {at_least: 3, within: 1h}"
RUNS = "    max_runs: {limit: 2, within: 1h}"


def disk(limits, before=""):
    return DISK.format(limits=limits, before=before)


def full(d, **labels):
    """The event and how many workflows it has started, once it is over."""
    event_id = d.event(type="alert", labels={"alertname": "DiskFull", **labels})
    over = wait_until(
        lambda: (e := d.get(f"/api/events/{event_id}"))["status"] in (
            "processed", "suppressed") and e, what="an event that is over")
    started = len(d.workflows_of(event_id))
    assert (over["status"] == "processed") == (started > 0)
    return over, started


def test_a_cooldown_outlives_kills_reloads_and_edits(make_daemon):
    d = make_daemon({"disk.yaml": disk(COOLDOWN)})
    assert full(d, instance="web-1")[1] == 1
    d.kill9()
    d.start()
    over, started = full(d, instance="web-1")
    assert started == 0
    assert over["error"].startswith("disk.yaml, trigger disk: cooldown: 0s of"
                                    " 1h have passed since wf-")
    assert over["error"].endswith(" started; key instance=web-1")
    shown = adctl(d, "event", "show", over["id"]).stdout
    assert "key instance=web-1" in " ".join(shown.split())
    assert full(d, instance="web-2")[1] == 1
    # Another trigger in front: it is the same one, by its id.
    d.write_runbook("disk.yaml", disk(COOLDOWN, before=OTHER))
    d.post("/api/admin/reload-runbooks", {})
    assert full(d, instance="web-1")[1] == 0
    # A person decides for himself.
    d.post("/api/runbooks/execute", {"runbook": "disk.yaml", "parameters": {}})


def test_guards_are_listed(make_daemon):
    d = make_daemon({"disk.yaml": disk(f"{COOLDOWN}\n{RUNS}")})
    first = full(d, instance="web-1")[0]
    full(d, instance="web-2")
    (guard,) = d.get("/api/guards?limit=1&runbook=disk.yaml")["guards"]
    assert (guard["guard"], guard["runbook"], guard["trigger"],
            guard["key"]) == ("trigger", "disk.yaml", "disk", "instance=web-1")
    assert guard["held_by"] == "cooldown"
    assert guard["last_workflow"] == d.workflows_of(first["id"])[0]["id"]
    assert (guard["runs"], guard["runs_limit"]) == (1, 2)
    assert 3500 < guard["held_until"] - time.time() <= 3600
    rows = json.loads(adctl(d, "guard", "list", "-o", "json").stdout)["items"]
    everything, *rows = rows
    assert (everything["guard"], everything["runbook"]) == ("starts", "")
    assert (everything["runs"], everything["runs_limit"]) == (2, 600)
    assert everything["held_by"] is None
    assert [r["key"] for r in rows] == ["instance=web-1", "instance=web-2"]
    table = adctl(d, "guards").stdout
    assert "cooldown" in table and "1/2" in table
    assert max(map(len, table.splitlines())) <= 80
    (row,) = json.loads(adctl(
        d, "guard", "list", "-o", "json", "--filter",
        'guard.key.endsWith("web-2")').stdout)["items"]
    assert row["key"] == "instance=web-2"
    assert d.get("/api/guards?runbook=other.yaml")["guards"] == []


def test_an_event_without_the_label_starts_nothing(make_daemon):
    d = make_daemon({"disk.yaml": disk(COOLDOWN)})
    for labels in ({}, {"instance": ""}):
        over, started = full(d, **labels)
        assert started == 0
        assert over["error"] == ("disk.yaml, trigger disk: the event has no "
                                 "labels.instance, which dedup asks for")


def test_the_third_event_starts_and_the_limit_holds(make_daemon):
    d = make_daemon({"disk.yaml": disk(f"{COUNT}\n{RUNS}")})
    assert [full(d, instance="a")[1] for _ in range(2)] == [0, 0]
    d.kill9()
    d.start()
    assert [full(d, instance="a")[1] for _ in range(4)] == [1, 0, 0, 1]
    assert [full(d, instance="a")[1] for _ in range(2)] == [0, 0]
    assert "max_runs: 2 of 2 workflows were started within 1h" in (
        full(d, instance="a")[0]["error"])


def test_a_full_memory_is_seen(make_daemon):
    d = make_daemon({"disk.yaml": disk(COOLDOWN)},
                    {"limits": {"trigger_memory": 1}})
    assert full(d, instance="a")[1] == 1
    over, started = full(d, instance="b")
    assert started == 0 and "limits.trigger_memory: 1 " in over["error"]
    page = d.raw("GET", "/metrics")[2].decode()
    assert "trigger_memories 1\n" in page
    assert "trigger_memory_refused_total 1\n" in page
    # More room is no restart away.
    d.write_config({"limits": {"trigger_memory": 2}})
    told = d.post("/api/admin/reload-config", {})
    assert "limits.trigger_memory" in json.dumps(told)
    assert full(d, instance="b")[1] == 1


FAILS = """\
name: Fails
guards:
  breaker: {failures: 2, within: 1h, open_for: 1s}
triggers:
  - {type: alert, labels: {alertname: Down}}
steps:
  - {name: Break, action: exec, command: "test -e $ADP_PARAM_MENDED"}
parameters:
  mended: {default: "%s"}
"""


def down(d):
    event_id = d.event(type="alert", labels={"alertname": "Down"})
    return wait_until(
        lambda: (e := d.get(f"/api/events/{event_id}"))["status"] in (
            "processed", "suppressed") and e, what="an event that is over")


def test_a_breaker_opens_and_is_closed_by_a_probe(make_daemon, tmp_path):
    mended = tmp_path / "mended"
    slow = FAILS.replace("open_for: 1s", "open_for: 1h") % mended
    d = make_daemon({"fails.yaml": slow})
    for _ in range(2):
        assert d.wait_workflow(down(d)["id"])["status"] == "failed"
    d.kill9()
    d.start()
    over = down(d)
    assert over["status"] == "suppressed" and over["error"].startswith(
        "fails.yaml, trigger #1: breaker: open, since 2 of 2 workflows failed "
        "within 1h; a probe may start at 20")
    (row,) = d.get("/api/guards?filter=guard.guard%20%3D%3D%20%22breaker%22"
                   )["guards"]
    assert (row["held_by"], row["runbook"]) == ("breaker", "fails.yaml")
    assert (row["events"], row["events_needed"]) == (2, 2)
    assert 3500 < row["held_until"] - time.time() <= 3600
    assert "breaker" in adctl(d, "guard", "list").stdout
    triggers = d.get(f"/api/events/{over['id']}/explain")["triggers"]
    says = {g["guard"]: g for t in triggers for g in t["guards"]}
    assert says["breaker"]["holds_back"] is True
    assert "open, since 2 of 2 workflows failed" in says["breaker"]["text"]
    assert says["max_starts"]["holds_back"] is False
    assert says["max_starts"]["text"].startswith(
        "2 of 600 workflows of all runbooks were started within ")
    # The same instants, another limit: its probe may start at once.
    d.write_runbook("fails.yaml", FAILS % mended)
    d.post("/api/admin/reload-runbooks", {})
    mended.write_text("")

    def probed():
        over = down(d)
        return over["status"] == "processed" and over
    probe = wait_until(probed, what="a probe", step=0.2)
    assert d.wait_workflow(probe["id"])["status"] == "succeeded"
    assert d.wait_workflow(down(d)["id"])["status"] == "succeeded"
    assert d.get("/api/guards?runbook=fails.yaml")["guards"] == []


def test_the_starts_of_all_runbooks_are_bounded(make_daemon):
    d = make_daemon({"disk.yaml": disk("")}, {"guards": {
        "max_starts": {"limit": 2, "within": "1h"}}})
    assert [full(d, instance="a")[1] for _ in range(3)] == [1, 1, 0]
    d.kill9()
    d.start()
    over, started = full(d, instance="a")
    assert started == 0
    assert ("max_starts: 2 of 2 workflows of all runbooks were started within "
            "1h; the next may start at 20") in over["error"]
    (row,) = d.get("/api/guards")["guards"]
    assert (row["held_by"], row["runs"], row["runs_limit"]) == (
        "max_starts", 2, 2)
    # More is no restart away.
    d.write_config({"guards": {"max_starts": {"limit": 3, "within": "1h"}}})
    d.post("/api/admin/reload-config", {})
    assert [full(d, instance="a")[1] for _ in range(2)] == [1, 0]


def test_an_event_that_waited_too_long_starts_nothing(make_daemon):
    d = make_daemon({"disk.yaml": disk("")}, {"guards": {"max_age": "1s"}})
    d.post("/api/admin/pause-processing", {})
    event_id = d.event(type="alert", labels={"alertname": "DiskFull"})
    received = time.time()
    wait_until(lambda: time.time() > received + 1.5, what="an old event")
    d.post("/api/admin/resume-processing", {})
    over = wait_until(
        lambda: (e := d.get(f"/api/events/{event_id}"))["status"] in (
            "processed", "suppressed") and e, what="an event that is over")
    assert over["status"] == "suppressed" and "max_age: the event is " in (
        over["error"])
    assert full(d, instance="a")[1] == 1


AIMED = """\
name: Aimed
parameters:
  instance: {default: ""}
guards:
  target: ${{ parameters.instance }}
triggers:
  - type: alert
    labels: {alertname: DiskFull}
    parameters: {instance: "${{ event.labels.instance }}"}
steps:
  - {name: Clean, action: exec, command: "while [ ! -e %s ]; do sleep 0.1; done"}
"""


def test_two_of_a_target_never_run_at_once(make_daemon, tmp_path):
    go = tmp_path / "go"
    d = make_daemon({"a.yaml": AIMED % go, "b.yaml": AIMED % go})
    event_id = d.event(type="alert", labels={"alertname": "DiskFull",
                                             "instance": "web-1"})

    def statuses():
        return sorted(w["status"] for w in d.workflows_of(event_id))
    wait_until(lambda: statuses() == ["queued", "running"],
               what="one that runs and one that waits")
    d.kill9()
    d.start()
    assert statuses() == ["queued", "running"]
    (waits,) = [w for w in d.workflows_of(event_id)
                if w["status"] == "queued"]
    shown = adctl(d, "workflow", "show", waits["id"]).stdout
    assert "target web-1: waits for its turn behind wf-" in " ".join(
        shown.split())
    over, started = full(d)
    assert started == 0
    assert "parameters.instance has no value, and nothing runs without" in (
        over["error"])
    status, _, body = d.raw("POST", "/api/runbooks/execute", json.dumps(
        {"runbook": "a.yaml", "parameters": {"instance": "*"}}))
    assert status == 400 and b"is not taken for all" in body
    status, _, body = d.raw("POST", "/api/runbooks/execute", json.dumps(
        {"runbook": "a.yaml",
         "parameters": {"instance": "autonomous-devops.service"}}))
    assert status == 400 and b"is the platform itself" in body
    go.write_text("")
    wait_until(lambda: statuses() == ["succeeded", "succeeded"],
               what="both of them")


def test_people_are_told_when_attempts_run_out(make_daemon):
    d = make_daemon({"disk.yaml": disk(
        RUNS.replace("1h}", "1h, escalate: true}"))})
    assert [full(d, instance="a")[1] for _ in range(2)] == [1, 1]
    event_id = d.event(type="alert", labels={"alertname": "DiskFull",
                                             "instance": "a"})
    told = d.wait_workflow(event_id)
    assert (told["status"], told["result"]) == ("failed", "escalated")
    assert [s["attempts"] for s in told["steps"]] == [[]]  # nothing ran
    assert told["error"].startswith(
        "max_runs: 2 of 2 workflows were started within 1h; key instance=a; "
        f"escalated by {told['id']}: nothing is started for it before 20")
    d.kill9()
    d.start()
    over, started = full(d, instance="a")
    assert started == 0
    assert f"escalated by {told['id']}" in over["error"]
    triggers = d.get(f"/api/events/{over['id']}/explain")["triggers"]
    says = {g["guard"]: g for t in triggers for g in t["guards"]}
    assert says["escalated"]["holds_back"] is True
    rows = d.get("/api/guards?runbook=disk.yaml")["guards"]
    (row,) = [r for r in rows if r["guard"] == "escalated"]
    assert (row["trigger"], row["key"], row["held_by"]) == (
        "disk", "instance=a", "escalated")
    assert full(d, instance="b")[1] == 1
    status = d.raw("POST", "/api/guards/reset", {"runbook": "disk.yaml",
                                                 "key": "instance=a"})[0]
    assert status == 400
    out = adctl(d, "guard", "reset", "disk.yaml", "--trigger", "disk", "--key",
                "instance=a").stdout
    assert "forgotten: 2" in out
    assert full(d, instance="a")[1] == 1
    audit = d.get("/api/admin/audit?limit=5")["audit"]
    assert [r["subject"] for r in audit if r["action"] == "guard.reset"] == [
        "disk.yaml"]
