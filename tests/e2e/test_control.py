"""What operators change while the engine runs, on a real one."""
import json

import pytest

from harness import poisoned, wait_until

LEDGER = """\
name: Ledger
triggers: [{{type: alert}}, {{type: metric}}]
parameters: {{}}
concurrency: 1
steps:
  - name: Note
    action: exec
    command: "echo $ADP_EVENT_NAME >> {out}"
    timeout: 30s
"""

NAMED = """\
name: Named
triggers:
  - type: {kind}
    parameters: {{name: "${{{{ event.labels.name }}}}"}}
parameters:
  name: {{type: string, required: true}}
concurrency: 1
steps:
  - {{name: Note, action: exec, command: 'echo "$ADP_PARAM_NAME" >> {out}'}}
"""

def event(d, name, kind="alert", **more):
    return d.post("/api/events", {"type": kind, "labels": {"name": name},
                                  **more}, status=202)["id"]


def depth(d):
    return d.get("/api/metrics")["event_queue_depth"]


def status_of(d, event_id):
    return d.get(f"/api/events/{event_id}")["status"]


def wait_event(d, event_id, *statuses):
    wait_until(lambda: status_of(d, event_id) in statuses,
               what=f"an event that is {statuses}")


def lines(path):
    return path.read_text().split() if path.exists() else []


def audit(d):
    return [r["action"] for r in d.get("/api/admin/audit")["audit"]]


@pytest.fixture
def named(make_daemon, tmp_path):
    out = tmp_path / "names"
    d = make_daemon({"a.yaml": NAMED.format(kind="alert", out=out),
                     "m.yaml": NAMED.format(kind="metric", out=out)})
    d.wait_executor()
    return d, out


def test_paused_events_wait_and_survive(named):
    d, out = named
    d.post("/api/admin/pause-processing", {})
    first = event(d, "one")
    d.kill9()
    d.start()
    d.wait_executor()
    second = event(d, "two")
    assert d.get("/api/health")["checks"]["queue"]["paused"] is True
    assert [status_of(d, e) for e in (first, second)] == ["queued"] * 2
    assert depth(d) == 2 and lines(out) == []
    answer = d.post("/api/admin/resume-processing", {})
    assert answer["status"] == "processing"
    wait_until(lambda: lines(out) == ["one", "two"], what="both, in order")
    assert audit(d) == ["processing.resume", "processing.pause"]


def test_drained_events_are_kept_and_replayed(named):
    d, out = named
    d.post("/api/admin/pause-processing", {})
    ids = [event(d, f"e{i}") for i in range(5)]
    answer = d.post("/api/admin/drain-queue", {})
    assert answer["drained"] == 5 and answer["paused"] is True
    assert depth(d) == 0
    drained = d.get("/api/events?status=drained")["events"]
    assert [e["id"] for e in reversed(drained)] == ids
    d.post("/api/admin/resume-processing", {})
    assert d.post(f"/api/events/{ids[3]}/replay", {},
                  status=202)["status"] == "queued"
    wait_until(lambda: lines(out) == ["e3"], what="the replayed one")
    refused = d.post(f"/api/events/{ids[3]}/replay", {}, status=409)
    assert "processed" in refused["error"]
    assert d.post("/api/admin/replay-drained", {})["replayed"] == 4
    wait_until(lambda: sorted(lines(out)) == ["e0", "e1", "e2", "e3", "e4"],
               what="all of them, once each")


def test_urgent_events_overtake_what_is_queued(named):
    d, out = named
    d.post("/api/admin/pause-processing", {})
    for i in range(3):
        event(d, f"m{i}", kind="metric")
        event(d, f"a{i}", severity="critical")
    answer = d.post("/api/admin/set-event-priority",
                    {"type": "alert", "severity": "critical", "priority": 1})
    assert answer["reordered"] == 3
    last = event(d, "a3", severity="critical")
    d.post("/api/admin/resume-processing", {})
    wait_event(d, last, "processed")
    wait_until(lambda: len(lines(out)) == 7, what="everything")
    created = [w["parameters"]["name"] for w in
               reversed(d.get("/api/workflows")["workflows"])]
    assert created[:4] == ["a0", "a1", "a2", "a3"]
    assert created[4:] == ["m0", "m1", "m2"]


def test_a_priority_is_listed_and_withdrawn(named):
    d, _ = named
    path = "/api/admin/set-event-priority"
    rule = {"type": "alert", "severity": "critical"}

    def rules():
        return d.get("/api/admin/queue-analysis")["priority_rules"]

    def by_priority():
        return d.get("/api/admin/queue-analysis")["by_priority"]
    d.post("/api/admin/pause-processing", {})
    d.post(path, {**rule, "priority": 1})
    d.post(path, {"type": "alert", "priority": 7})
    assert [(r["type"], r["severity"], r["priority"]) for r in rules()] == [
        ("alert", "critical", 1), ("alert", None, 7)]
    assert rules()[0]["by"].startswith("uid:") and rules()[0]["at"] > 0
    event(d, "first", severity="critical")
    assert by_priority() == {"1": 1}
    d.kill9()
    d.start()
    answer = d.post(path, {**rule, "priority": None})
    assert answer == {**rule, "priority": None, "reordered": 0}
    assert [r["priority"] for r in rules()] == [7]
    event(d, "second", severity="critical")
    assert by_priority() == {"1": 1, "7": 1}
    d.post(path, {"type": "alert", "priority": None})
    event(d, "third", severity="critical")
    assert by_priority() == {"1": 1, "5": 1, "7": 1} and rules() == []
    row = d.get("/api/admin/audit?limit=1")["audit"][0]
    assert (row["subject"], row["before"], row["after"]) == ("alert/", 7, None)
    refused = d.post(path, {**rule, "priority": None}, status=404)
    assert "no such rule" in refused["error"]
    assert d.get("/api/admin/audit?limit=1")["audit"][0] == row
    d.post(path, rule, status=400)


def test_a_disabled_runbook_starts_nothing_and_says_so(named):
    d, out = named
    d.post("/api/runbooks/disable", {"runbook": "a.yaml", "reason": "broken"})
    d.kill9()
    d.start()
    d.wait_executor()
    held_back = event(d, "no")
    wait_event(d, held_back, "suppressed")
    assert "a.yaml is disabled" in d.get(f"/api/events/{held_back}")["error"]
    shown = {r["path"]: r for r in d.get("/api/runbooks")["runbooks"]}
    assert shown["a.yaml"]["enabled"] is False
    assert shown["a.yaml"]["disabled_reason"] == "broken"
    assert shown["m.yaml"]["enabled"] is True
    run = {"runbook": "a.yaml", "parameters": {"name": "x"}}
    assert d.post("/api/runbooks/execute", run,
                  status=409)["code"] == "runbook_disabled"
    d.post("/api/runbooks/execute", {**run, "dry_run": True})
    d.post("/api/runbooks/enable", {"runbook": "a.yaml"})
    event(d, "yes")
    wait_until(lambda: lines(out) == ["yes"], what="the enabled one")


def test_poison_is_set_aside_while_others_pass(make_daemon):
    d, (bad,) = poisoned(make_daemon)
    good = d.post("/api/events", {
        "type": "alert", "labels": {"instance": "c"}}, status=202)["id"]
    wait_event(d, good, "processed", "suppressed")
    listed = d.get("/api/admin/poison-messages")["poison_messages"]
    assert [e["id"] for e in listed] == [bad]
    assert listed[0]["error"] and listed[0]["attempts"] == 1
    assert d.post("/api/admin/requeue-poison-messages", {})["requeued"] == 1
    wait_event(d, bad, "processed", "suppressed")
    assert d.post("/api/admin/clear-poison-messages", {})["cleared"] == 0


def test_workers_scale_and_stay_scaled(make_daemon):
    d = make_daemon({})
    assert d.post("/api/admin/scale-workers", {"workers": 8})["workers"] == 8
    assert len(d.get("/api/admin/workers")["workers"]) == 8
    d.kill9()
    d.start()
    assert len(d.get("/api/admin/workers")["workers"]) == 8
    assert d.post("/api/admin/scale-workers", {"workers": 2})["workers"] == 2
    assert len(d.get("/api/admin/workers")["workers"]) == 2
    row = d.get("/api/admin/audit?limit=1")["audit"][0]
    assert row["before"] == 8 and row["after"] == 2
    assert json.dumps(row["who"])


def test_scaling_says_that_it_overrides_the_configuration(make_daemon):
    d = make_daemon({})
    seen = d.get("/api/admin/workers")
    assert (seen["configured"], seen["set_by"], seen["set_at"]) == (
        4, None, None)
    assert d.post("/api/admin/reload-config", {})["not_in_force"] == []
    scaled = d.post("/api/admin/scale-workers", {"workers": 8})
    assert scaled["configured"] == 4 and scaled["set_by"].startswith("uid:")
    d.write_config({"engine": {"event_processing": {"workers": 6}}})
    reloaded = d.post("/api/admin/reload-config", {})
    assert reloaded["changed"] == ["engine.event_processing.workers"]
    [other] = reloaded["not_in_force"]
    assert other["key"] == "engine.event_processing.workers"
    assert other["value"] == 8 and other["by"] == scaled["set_by"]
    assert other["at_iso"] == scaled["set_at_iso"]
    assert "is not in force: set to 8 by uid:" in d.log()
    seen = d.get("/api/admin/workers")
    assert (seen["count"], seen["configured"]) == (8, 6)
    back = d.post("/api/admin/scale-workers", {"workers": None})
    assert (back["workers"], back["set_by"]) == (6, None)
    row = d.get("/api/admin/audit?limit=1")["audit"][0]
    assert row["action"] == "workers.scale" and row["before"] == 8
    d.kill9()
    d.start()
    assert d.get("/api/admin/workers")["count"] == 6
    assert d.post("/api/admin/reload-config", {})["not_in_force"] == []
