"""What triggers watch over a time, on the real engine: kills and reloads."""
import json
import time

from harness import adctl, wait_until

WEB = """\
name: Web
triggers:
{before}  - id: down
    type: alert
    labels: {{alertname: Down}}
    dedup: [labels.instance]
{watch}
steps:
  - {{name: Restart, action: exec, command: "{command}"}}
"""
OTHER = "  - {type: alert, labels: {alertname: Other}}\n"


def web(watch, before="", command="true"):
    return WEB.format(watch=watch, before=before, command=command)


def told(d, instance="web-1", state="firing", **fields):
    """The event, once it is over."""
    event_id = d.event(type="alert", state=state,
                       labels={"alertname": "Down", "instance": instance},
                       **fields)
    return wait_until(
        lambda: (e := d.get(f"/api/events/{event_id}"))["status"] in (
            "processed", "suppressed") and e, what="an event that is over")


def pending(d):
    return d.get("/api/guards/pending")["pending"]


def test_a_wait_outlives_kills_and_reloads(make_daemon):
    d = make_daemon({"web.yaml": web("    for: 4s")})
    first = told(d)
    assert first["status"] == "suppressed"
    assert first["error"].startswith(
        "web.yaml, trigger down: for: it has been firing for 0s of 4s; due at ")
    assert first["error"].endswith(
        " unless it resolves; key instance=web-1")
    told(d, "web-2")
    row = pending(d)[0]
    assert (row["runbook"], row["key"], row["waits_for"]) == (
        "web.yaml", "instance=web-1", "for")
    assert row["event_id"] == first["id"] and row["in_force"]
    shown = adctl(d, "guard", "pending").stdout
    assert "web.yaml  down  instance=web-1  for  " in shown
    assert json.loads(adctl(d, "guard", "pending", "-o", "json").stdout)
    d.kill9()
    d.start()
    # Another trigger in front: it is the same one, by its id.
    d.write_runbook("web.yaml", web("    for: 4s", before=OTHER))
    d.post("/api/admin/reload-runbooks", {})
    assert [r["key"] for r in pending(d)] == ["instance=web-1",
                                              "instance=web-2"]
    over = told(d, "web-2", state="resolved")
    assert "resolved: what was due is not started" in over["error"]
    ran = d.wait_workflow(first["id"])
    assert ran["status"] == "succeeded"
    assert ran["trigger_key"] == "instance=web-1"
    assert ran["created_at"] >= row["due_at"]
    assert pending(d) == []
    assert d.get("/api/workflows")["workflows"][0]["id"] == ran["id"]
    assert len(d.get("/api/workflows")["workflows"]) == 1


def test_what_has_resolved_is_cancelled(make_daemon):
    d = make_daemon({"web.yaml": web("    on_resolve: cancel",
                                     command="sleep 60")})
    first = told(d)
    other = told(d, "web-2")
    wait_until(lambda: all(
        d.workflows_of(e["id"])[0]["status"] == "running"
        for e in (first, other)), what="both")
    over = told(d, state="resolved")
    assert over["status"] == "processed"
    assert "resolved: 1 workflow cancelled" in over["error"]
    ran = d.wait_workflow(first["id"])
    assert (ran["status"], ran["stopped_by"]) == ("cancelled", "resolved")
    assert d.workflows_of(other["id"])[0]["status"] == "running"
    trail = d.get("/api/admin/audit?limit=5")
    assert any(r["who"] == "resolved" and r["action"] == "workflow.cancel"
               for r in trail["audit"])


def test_an_older_firing_starts_nothing(make_daemon):
    d = make_daemon({"web.yaml": web("    on_resolve: let_finish")})
    then = time.time() - 60
    told(d, state="resolved", starts_at=then)
    late = told(d, starts_at=then)
    assert late["status"] == "suppressed" and "stale: " in late["error"]
    assert d.workflows_of(late["id"]) == []
    assert len(d.workflows_of(told(d, starts_at=then + 30)["id"])) == 1


def test_what_is_absent_starts_once(make_daemon):
    beat = web("    absent: {within: 3s}").replace(
        "    dedup: [labels.instance]\n", "")
    d = make_daemon({"web.yaml": beat})
    row = wait_until(lambda: pending(d), what="a watch from the beginning")[0]
    assert row["waits_for"] == "absent" and row["event_id"] is None
    heard = told(d)
    assert heard["status"] == "processed"
    assert "absent: nothing has come for 0s of 3s; due at " in heard["error"]
    ran = d.wait_workflow(heard["id"])
    assert ran["status"] == "succeeded"
    assert ran["created_at"] >= heard["received_at"] + 3
    assert pending(d) == []
    d.post("/api/admin/reload-runbooks", {})
    assert pending(d) == []  # once per absence
    told(d)
    assert len(pending(d)) == 1


def test_nothing_is_due_while_events_are_not_taken(make_daemon):
    """What waits in the queue may say that it is over."""
    d = make_daemon({"web.yaml": web("    for: 2s")})
    told(d)
    d.post("/api/admin/pause-processing", {})
    over = d.event(type="alert", state="resolved",
                   labels={"alertname": "Down", "instance": "web-1"})
    d.kill9()
    d.start()
    time.sleep(4)  # it would have been due
    assert d.get("/api/workflows")["workflows"] == []
    assert d.get(f"/api/events/{over}")["status"] == "queued"
    d.post("/api/admin/resume-processing", {})
    wait_until(lambda: pending(d) == [], what="the end of the alert")
    assert d.get("/api/workflows")["workflows"] == []
