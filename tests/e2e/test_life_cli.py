"""adctl for the queue, workers, poison messages, the audit trail, statistics
and the archive, each in words and as JSON."""
import json

import pytest

from harness import adctl, poisoned, wait_until

NOTE = """\
name: Note
category: test
triggers: [{type: alert}]
steps:
  - {name: Say, action: exec, command: "echo hello"}
"""

def out(d, *args, **more):
    return adctl(d, *args, **more).stdout


def as_json(d, *args):
    return json.loads(out(d, *args, "-o", "json"))


def rows(d, *args):
    return as_json(d, *args)["items"]


@pytest.fixture
def engine(make_daemon):
    d = make_daemon({"note.yaml": NOTE})
    d.wait_executor()
    return d


def test_the_queue(engine):
    d = engine
    assert "processing paused" in out(d, "queue", "pause")
    ids = [d.event(type="alert", severity=s, labels={"alertname": s})
           for s in ("info", "critical")]
    shown = out(d, "queue")
    assert "paused" in shown and "2 of at most 10000" in shown
    assert "alert 2" in shown and "critical 1, info 1" in shown
    moved = out(d, "queue", "priority", "1", "--severity", "critical")
    assert "1 queued events moved" in moved
    assert as_json(d, "queue", "show")["by_priority"] == {"1": 1, "5": 1}
    assert "queue priority" in out(d, "queue")  # where the rule is listed
    assert "(any)" in out(d, "queue", "priority")
    assert as_json(d, "queue", "priority")["items"][0]["severity"] == "critical"
    assert "withdrawn" in out(d, "queue", "priority", "none", "--severity",
                              "critical")
    assert "no priority" in adctl(d, "queue", "priority").stderr
    assert "2 events set aside" in out(d, "queue", "drain")
    assert as_json(d, "queue")["queue_depth"] == 0
    assert "0 waiting" in out(d, "queue", "resume")
    assert "2 drained events" in out(d, "queue", "replay")
    for i in ids:
        d.wait_workflow(i)
    adctl(d, "queue", "pause")
    d.event(type="metric", metric_name="m", value=1)
    adctl(d, "queue", "drain")
    assert "1 drained events put away" in out(d, "queue", "clear")
    assert d.get("/api/events?status=drained")["events"] == []
    assert d.get("/api/metrics")["ledger"]["events"]["archived"] == 1
    assert as_json(d, "queue", "pause")["paused"] is True
    refused = adctl(d, "queue", "priority", "x", "--type", "a", check=False)
    assert refused.returncode == 2 and "whole number" in refused.stderr
    assert adctl(d, "queue", "priority", "1", check=False).returncode == 2


def test_workers(engine):
    d = engine
    assert "8 workers" in out(d, "worker", "scale", "8")
    assert len(rows(d, "worker", "list")) == 8
    assert out(d, "workers").count("idle") == 8
    assert "none of 8 workers is stuck" in out(d, "worker", "restart")
    assert as_json(d, "worker", "scale", "2")["workers"] == 2
    assert adctl(d, "worker", "scale", "0", check=False).returncode == 2
    for told in (adctl(d, "worker", "list"), adctl(d, "worker", "scale", "2")):
        assert "2 set by uid:" in told.stderr
        assert "the configuration says 4" in told.stderr
        assert "adctl worker scale default" in told.stderr
    assert "is not in force: set to 2 by uid:" in adctl(
        d, "reload", "config").stderr
    assert "4 workers, as configured" in out(d, "worker", "scale", "default")
    assert adctl(d, "worker", "list").stderr == ""


def test_poison_messages(make_daemon):
    d, bad = poisoned(make_daemon, 4)
    assert out(d, "poison", "list", "-o", "name").split() == bad[::-1]
    assert len(rows(d, "poison", "list", "--source", "s", "--limit", "2")) == 2
    assert rows(d, "poison", "list", "--source", "other") == []
    shown = out(d, "poison", "show", bad[0])
    assert bad[0] in shown and "was lost each time" in shown
    assert "queued" in out(d, "poison", "requeue", bad[0])
    assert "archived" in out(d, "poison", "clear", bad[1])
    assert adctl(d, "poison", "show", bad[1], check=False).returncode == 5
    both = adctl(d, "poison", "clear", bad[2], "--every", check=False)
    assert both.returncode == 2 and "say which" in both.stderr
    assert adctl(d, "poison", "clear", check=False).returncode == 2
    assert "2 events queued again" in out(d, "poison", "requeue", "--every")
    assert as_json(d, "poison", "clear", "--every") == {"cleared": 0}
    for i in (bad[0], *bad[2:]):
        wait_until(lambda: d.get(f"/api/events/{i}")["status"] in (
            "processed", "suppressed"), what="a good end")


def test_the_audit_trail_tells_and_is_verified(engine):
    d = engine
    assert "0 rows" in out(d, "audit", "verify")
    adctl(d, "worker", "scale", "3")
    adctl(d, "runbook", "disable", "note.yaml", "--reason", "broken")
    adctl(d, "runbook", "enable", "note.yaml")
    assert [r["action"] for r in rows(d, "audit")] == [
        "runbook.enable", "runbook.disable", "workers.scale"]
    listed = out(d, "audit", "list", "--limit", "2")
    assert "runbook.disable" in listed and "workers.scale" not in listed
    assert "broken" in listed
    assert "3 rows, none changed" in out(d, "audit", "verify")
    verified = as_json(d, "audit", "verify")
    assert verified["whole"] is True and verified["broken_at"] is None
    newest = rows(d, "audit")[0]
    assert verified["last_hash"] == newest["hash"]


def test_statistics_performance_and_archive(engine):
    d = engine
    ids = [d.event(type="alert", severity="critical", source="prometheus",
                   labels={"alertname": f"n{i}"}) for i in range(3)]
    for i in ids:
        d.wait_workflow(i)
    stats = out(d, "event", "stats")
    assert "3 events in all" in stats and "processed" in stats
    assert "prometheus" in stats and "critical" in stats
    assert as_json(d, "event", "stats", "--since", "1h")["by_type"] == {
        "alert": 3}
    table = out(d, "runbook", "performance", "--header")
    assert "note.yaml" in table and "100%" in table and "Say" in table
    assert max(map(len, table.splitlines())) <= 80
    assert rows(d, "runbook", "performance", "note.yaml")[0]["count"] == 3
    assert rows(d, "runbook", "performance", "none.yaml") == []
    assert "nothing ended before" in out(d, "workflow", "archive",
                                         "--before", "90d")
    wait_until(lambda: "3 workflows moved to" in out(
        d, "workflow", "archive", "--before", "0s"), what="the archive")
    gone = adctl(d, "workflow", "show", d.workflows_of(ids[0])[0]["id"]
                 if d.workflows_of(ids[0]) else "wf-none", check=False)
    assert gone.returncode == 5
    refused = adctl(d, "workflow", "archive", check=False)
    assert refused.returncode == 2 and "--before 90d" in refused.stderr


@pytest.mark.parametrize("words", [
    ("queue",), ("worker",), ("poison",), ("audit",), ("event", "stats"),
    ("runbook", "performance"), ("workflow", "archive"), ("queue", "priority"),
])
def test_help_has_examples(engine, words):
    text = out(engine, *words, "--help")
    assert "adctl" in text and max(map(len, text.splitlines())) <= 80
