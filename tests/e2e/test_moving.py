"""Every number that the operators' manual reads from the API, on a real engine
under load: it has one value before and another when what it tells of happens.
A key that is there and never moves is a defect."""
import pytest

from harness import HEAVY, poisoned, wait_until

STEPS = """\
name: Two Steps
category: test
description: Waits in each of its steps
triggers: [{{type: deploy}}]
steps:
  - {{name: First, action: exec, command: "while [ ! -e {go}1 ]; do sleep 0.02; done"}}
  - {{name: Second, action: exec, command: "while [ ! -e {go}2 ]; do sleep 0.02; done"}}
"""

BROKEN = """\
name: Broken
category: test
triggers: [{type: outage}]
parameters: {who: {type: string, default: me}}
steps:
  - {name: Fail, action: exec, command: "exit 3"}
"""

FINE = """\
name: Fine
triggers: [{type: change}]
steps:
  - {name: Nothing, action: exec, command: "sleep 0.05"}
"""


def metric(d, key):
    return d.get("/api/metrics")[key]


def workers(d):
    return d.get("/api/admin/workers")["workers"]


def until(d, path, key, good):
    return wait_until(lambda: good(d.get(path)[key]), what=f"{key} of {path}")


@pytest.fixture
def engine(make_daemon, tmp_path):
    d = make_daemon({"two.yaml": STEPS.format(go=tmp_path / "go"),
                     "broken.yaml": BROKEN, "fine.yaml": FINE})
    d.go = tmp_path / "go"
    d.wait_executor()
    return d


# ---- events -----------------------------------------------------------------

def test_the_queue_fills_and_empties(engine):
    d = engine
    keys = ("event_queue_depth", "queue_depth")
    d.post("/api/admin/pause-processing", {})
    assert [metric(d, k) for k in keys] == [0, 0]
    for _ in range(7):
        d.event(type="other")
    assert [metric(d, k) for k in keys] == [7, 7]
    d.post("/api/admin/resume-processing", {})
    for k in keys:
        until(d, "/api/metrics", k, lambda n: n == 0)


def test_rates_and_counts_follow_the_events(engine):
    d = engine
    rates = ("ingestion_rate", "processing_rate",
             "events_processed_per_second")
    assert metric(d, "events_per_minute") == 0
    assert metric(d, "event_types") == {}
    assert [metric(d, k) for k in rates] == [0, 0, 0]
    d.post("/api/events", [{"type": "deploy"}] * 3 + [{"type": "other"}] * 47)
    assert metric(d, "events_per_minute") == 50
    assert metric(d, "event_types") == {"deploy": 3, "other": 47}
    for k in rates:
        until(d, "/api/metrics", k, lambda n: n > 0)
    before = metric(d, "events_per_minute")
    d.post("/api/events", [{"type": "other"}] * 50)
    assert metric(d, "events_per_minute") > before
    for w in d.get("/api/workflows")["workflows"]:
        d.post(f"/api/workflows/{w['id']}/kill", {})


def test_failed_tries_are_counted(make_daemon):
    d, ids = poisoned(make_daemon, 2)
    assert metric(d, "processing_errors") == 2
    assert metric(d, "processing_errors_last_hour") == 2
    shown = d.get("/api/admin/poison-messages")["poison_messages"]
    assert {e["id"] for e in shown} == set(ids)
    assert all(e["error"] and e["type"] == "alert" and e["timestamp"] > 0
               for e in shown)


# ---- workflows --------------------------------------------------------------

def test_active_workflows_come_and_go(engine):
    """And the step that one is at, and what is known of it."""
    d = engine

    def active():
        return (d.get("/api/workflows")["active_workflows"],
                metric(d, "active_workflows"))
    assert active() == (0, 0)
    ids = [d.event(type="deploy") for _ in range(3)]
    wait_until(lambda: active() == (3, 3), what="three of them")
    w = wait_until(lambda: d.workflows_of(ids[0]), what="it")[0]["id"]
    path = f"/api/workflows/{w}"
    until(d, path, "current_step", lambda s: s == "First")
    running = d.get("/api/workflows?status=running")["workflows"]
    assert {r["runbook"] for r in running} == {"two.yaml"}
    assert all(0 < r["started_at"] for r in running)
    d.go.with_name(d.go.name + "1").write_text("")
    until(d, path, "current_step", lambda s: s == "Second")
    d.go.with_name(d.go.name + "2").write_text("")
    until(d, path, "status", lambda s: s == "succeeded")
    assert d.get(path)["current_step"] is None
    wait_until(lambda: active() == (0, 0), what="none")


def test_success_rates_and_durations_follow_the_workflows(engine):
    d = engine
    rates = ("workflow_success_rate_1h", "workflow_success_rate_24h")
    assert [metric(d, k) for k in rates] == [1, 1]
    assert metric(d, "avg_workflow_duration_seconds") == 0
    failed = d.wait_workflow(d.event(type="outage"))
    for k in rates:
        until(d, "/api/metrics", k, lambda n: n == 0)
    first = metric(d, "avg_workflow_duration_seconds")
    assert first > 0
    for _ in range(3):
        d.wait_workflow(d.event(type="change"))
    for k in rates:
        until(d, "/api/metrics", k, lambda n: n == 0.75)
    until(d, "/api/metrics", "avg_workflow_duration_seconds",
          lambda n: n not in (0, first))
    row = d.get("/api/workflows?runbook=broken.yaml&status=failed")[
        "workflows"][0]
    assert row["id"] == failed["id"] and "3" in row["error"]
    assert row["parameters"] == {"who": "me"}


# ---- workers ----------------------------------------------------------------

def test_workers_show_what_they_are_at(make_daemon):
    """One is busy with an event that takes long; its share of the time rises
    while that goes on, and it is idle after."""
    d = make_daemon({"heavy.yaml": HEAVY}, {
        "engine": {"event_processing": {"workers": 2}}})
    assert [(w["status"], w["current_task"], w["utilization"])
            for w in workers(d)] == [("idle", None, 0.0)] * 2
    sent = d.event(type="alert", labels={"instance": "a" * 4000})

    def busy():
        return next((w for w in workers(d) if w["status"] == "busy"), None)
    w = wait_until(busy, what="a busy worker")
    assert w["current_task"]["event"] == sent
    assert w["current_task"]["events"] == 1 and w["current_task"]["since"] > 0

    def others():
        now = busy()
        return now is None or now["utilization"] > w["utilization"]
    wait_until(others, what="more of its time")
    wait_until(lambda: all(x["status"] == "idle" for x in workers(d)),
               seconds=60, what="idle workers")
    after = workers(d)
    assert all(x["current_task"] is None for x in after)
    assert 0 < after[w["id"]]["utilization"] <= 1
    assert sum(x["events_processed"] for x in after) == 1


def test_utilization_moves_under_ordinary_events(make_daemon):
    """Matching takes microseconds: they are counted all the same."""
    d = make_daemon({"fine.yaml": FINE}, {
        "engine": {"event_processing": {"queue_size": 100000}}})
    assert sum(w["utilization"] for w in workers(d)) == 0
    d.post("/api/events", [{"type": "other"}] * 1000)
    wait_until(lambda: sum(w["events_processed"] for w in workers(d)) == 1000,
               what="all of them")
    used = [w["utilization"] for w in workers(d)]
    assert sum(used) > 0 and all(0 <= u <= 1 for u in used)


# ---- the rest ---------------------------------------------------------------

def test_integrations_and_history_move(engine):
    d = engine
    slack = next(i for i in d.get("/api/integrations") if i["name"] == "slack")
    assert slack["enabled"] is True and slack["health"] != "disabled"
    d.post("/api/integrations/slack/disable")
    slack = next(i for i in d.get("/api/integrations") if i["name"] == "slack")
    assert slack["enabled"] is False and slack["health"] == "disabled"
    d.post("/api/admin/pause-processing", {})
    path = "/api/metrics/history?metric=event_queue_depth"
    for _ in range(5):
        d.event(type="other")
    wait_until(lambda: any(p["value"] > 0 for p in d.get(path)["points"]),
               seconds=40, what="a sample of the queue")
