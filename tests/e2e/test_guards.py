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
    (guard,) = d.get("/api/guards?limit=1")["guards"]
    assert (guard["runbook"], guard["trigger"], guard["key"]) == (
        "disk.yaml", "disk", "instance=web-1")
    assert guard["held_by"] == "cooldown"
    assert guard["last_workflow"] == d.workflows_of(first["id"])[0]["id"]
    assert (guard["runs"], guard["runs_limit"]) == (1, 2)
    assert 3500 < guard["held_until"] - time.time() <= 3600
    rows = json.loads(adctl(d, "guard", "list", "-o", "json").stdout)["items"]
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
