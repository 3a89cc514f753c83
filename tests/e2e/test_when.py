"""`when:` of a trigger: what it starts, what it does not, and why."""
import json
import os
import subprocess

from harness import BUILD, adctl, wait_until
from test_intake import metric

CAREFUL = """\
name: Careful
triggers:
  - type: metric
    when: >-
      event.value > 90 &&
      event.labels[?"env"].orValue("prod") == "prod" &&
      event.received_at.getHours("Europe/Vienna") >= 0
steps:
  - {name: Note, action: exec, command: "true"}
"""

CARELESS = """\
name: Careless
triggers:
  - type: metric
    when: event.labels.env == "prod"
steps:
  - {name: Note, action: exec, command: "true"}
"""


def started(d, event):
    wait_until(lambda: d.get(f"/api/events/{event}")["status"] not in
               ("queued", "processing"), what="the event's end")
    return sorted(w["runbook"] for w in d.workflows_of(event))


def test_a_condition_decides(make_daemon):
    d = make_daemon({"careful.yaml": CAREFUL, "careless.yaml": CARELESS})
    d.wait_executor()
    both = d.event(type="metric", value=95, labels={"env": "prod"})
    low = d.event(type="metric", value=90, labels={"env": "prod"})
    test = d.event(type="metric", value=95, labels={"env": "test"})
    bare = d.event(type="metric", value=95)
    assert started(d, both) == ["careful.yaml", "careless.yaml"]
    assert started(d, low) == ["careless.yaml"]
    assert started(d, test) == []
    # No value is no match, and never silent.
    assert started(d, bare) == ["careful.yaml"]
    e = d.get(f"/api/events/{bare}")
    assert e["status"] == "processed"
    assert e["error"] == (
        "trigger 1 of careless.yaml starts nothing, because its condition has "
        "no value: 1:14: no such key: 'env'")
    assert d.get(f"/api/events/{test}")["error"] is None
    assert metric(d, "events_undecided_total") == 1
    assert "may have started less than it should: trigger 1" in d.log()
    assert "has no value" in adctl(d, "event", "show", bare).stdout
    p = adctl(d, "event", "list", "-o", "name", "--filter",
              "event.error.contains('no value')")
    assert p.stdout.split() == [bare]
    # It is known after a restart as well.
    d.stop()
    d.start()
    assert "no such key: 'env'" in d.get(f"/api/events/{bare}")["error"]


def test_a_disabled_runbook_hides_no_failure(make_daemon):
    d = make_daemon({"careful.yaml": CAREFUL, "careless.yaml": CARELESS})
    d.post("/api/runbooks/disable", {"runbook": "careful.yaml"})
    event = d.event(type="metric", value=95)
    assert started(d, event) == []
    e = d.get(f"/api/events/{event}")
    assert e["status"] == "suppressed"
    assert "careful.yaml is disabled" in e["error"]
    assert "trigger 1 of careless.yaml starts nothing" in e["error"]


def test_it_is_checked_when_it_is_loaded(make_daemon, tmp_path):
    bad = CAREFUL.replace("event.value", "event.valeu")
    path = tmp_path / "bad.yaml"
    path.write_text(bad)
    p = subprocess.run([os.path.join(BUILD, "adctl"), "runbook", "validate",
                        str(path)], capture_output=True, text=True,
                       timeout=60, check=False)
    assert p.returncode == 1
    assert ("bad.yaml:5:13: " in p.stdout + p.stderr and
            "did you mean value?" in p.stdout + p.stderr), p
    path.write_text(CARELESS)
    p = subprocess.run([os.path.join(BUILD, "adctl"), "runbook", "validate",
                        str(path), "-o", "json"], capture_output=True,
                       text=True, timeout=60, check=False)
    assert p.returncode == 3
    (item,) = json.loads(p.stdout)["items"]
    (warning,) = item["warnings"]
    assert (warning["line"], warning["column"]) == (4, 24)
    assert "unguarded label access" in warning["message"]
    assert "has(" in warning["hint"]
    # The engine keeps the last good one.
    d = make_daemon({"careful.yaml": CAREFUL})
    d.write_runbook("careful.yaml", bad)
    a = d.post("/api/admin/reload-runbooks", {})
    assert a["rejected"] == 1
    assert (a["problems"][0]["line"], a["problems"][0]["column"]) == (5, 13)
    event = d.event(type="metric", value=95)
    assert started(d, event) == ["careful.yaml"]
