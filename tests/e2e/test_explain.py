"""Why did it (not) run? adctl explain, and the API behind it, on the real
engine: after restarts, after edits, with the numbers of the guards."""
import json
import os
import pty
import subprocess

import pytest

from harness import BUILD, adctl, wait_until

DISK = """\
name: Disk
triggers:
  - id: full
    type: alert
    severity: [critical, warning]
    labels: {alertname: DiskFull}
    matchers: ['instance=~db-.*']
    when: 'event.value > %s && event.labels.env == "prod"'
    dedup: [labels.instance]
    cooldown: 1h
steps:
  - {name: Clean, action: exec, command: "true"}
"""
OTHER = """\
name: Other
triggers:
  - {type: metric}
  - {type: alert, labels: {alertname: Other}}
steps:
  - {name: Look, action: exec, command: "true"}
"""
FILES = {"disk.yaml": DISK % 90, "other.yaml": OTHER}


def send(d, value=95, **labels):
    labels = {"alertname": "DiskFull", "env": "prod", "instance": "db-1",
              **labels}
    event_id = d.event(type="alert", severity="critical", value=value,
                       labels={k: v for k, v in labels.items() if v})
    wait_until(lambda: d.get(f"/api/events/{event_id}")["status"] in (
        "processed", "suppressed"), what="an event that is over")
    return event_id


def explain(d, event_id, query=""):
    return d.get(f"/api/events/{event_id}/explain{query}")


def conditions(trigger):
    return {c["what"]: (c["actual"], c["wanted"], c["holds"])
            for c in trigger["conditions"]}


def terms(trigger):
    return {t["text"]: t["value"] for t in trigger["terms"]}


def guards(trigger):
    return {g["guard"]: g for g in trigger["guards"]}


def test_what_started_and_what_missed(make_daemon):
    d = make_daemon(FILES)
    e = explain(d, send(d))
    assert (e["status"], e["error"]) == ("processed", None)
    assert e["summary"] == "it started 1 workflow"
    assert (e["considered"], e["matches"], e["misses"]) == (3, 1, 2)
    full, alert, metric = e["triggers"]
    assert [t["verdict"] for t in e["triggers"]] == [
        "matches", "misses", "misses"]
    assert (full["runbook"], full["trigger"], full["line"]) == (
        "disk.yaml", "full", 3)
    assert full["workflow"]["id"] == e["workflows"][0]["id"]
    assert full["changed_since"] is False
    assert conditions(full)["label instance"] == ("db-1", "=~ db-.*", True)
    assert conditions(full)["severity"] == (
        "critical", "critical or warning", True)
    assert full["when_value"] == "true"
    assert terms(full)["event.value"] == "95.0"
    assert terms(full)["event.labels.env"] == '"prod"'
    assert guards(full)["cooldown"]["holds_back"] is True
    assert conditions(alert)["label alertname"] == (
        "DiskFull", "= Other", False)
    assert (alert["failed"], metric["failed"]) == (1, 1)
    assert conditions(metric)["type"] == ("alert", "metric", False)
    assert alert["workflow"] is None and alert["guards"] == []


def test_what_was_held_back_after_a_kill(make_daemon):
    d = make_daemon(FILES)
    first = d.workflows_of(send(d))[0]["id"]
    held = send(d)
    d.kill9()
    d.start()
    e = explain(d, held, "?only_starts=true")
    assert e["status"] == "suppressed"
    assert "held back" in e["summary"]
    assert f"have passed since {first} started" in e["error"]
    (full,) = e["triggers"]
    assert (full["held"]["guard"], full["held"]["reason"]) == (
        "cooldown", e["error"].split("cooldown: ")[1])
    assert e["held"] == [full["held"]]
    assert e["decided_with"] == e["explained_with"]
    cooldown = guards(full)["cooldown"]
    assert cooldown["holds_back"] and cooldown["until"] is not None
    assert f"of 1h have passed since {first} started" in cooldown["text"]
    assert e["considered"] == 3


ALSO = """\
name: Also
triggers:
  - {type: alert, labels: {alertname: DiskFull}}
steps:
  - {name: Look, action: exec, command: "true"}
"""


def test_what_is_held_back_beside_what_starts_is_kept(make_daemon):
    d = make_daemon({**FILES, "also.yaml": ALSO})
    send(d)
    event_id = send(d)
    d.post("/api/runbooks/disable", {"runbook": "also.yaml",
                                     "reason": "noisy"})
    both = send(d)
    d.kill9()
    d.start()
    e = d.get(f"/api/events/{event_id}")
    assert e["status"] == "processed" and e["error"] is None
    assert [(h["runbook"], h["trigger"], h["guard"]) for h in e["held"]] == [
        ("disk.yaml", "full", "cooldown")]
    x = explain(d, event_id, "?only_starts=true")
    assert {t["runbook"]: t["held"] and t["held"]["guard"]
            for t in x["triggers"]} == {"also.yaml": None,
                                        "disk.yaml": "cooldown"}
    assert sorted(h["guard"] for h in d.get(f"/api/events/{both}")["held"]
                  ) == ["cooldown", "disabled"]
    text = adctl(d, "explain", "event", both).stdout
    assert "it was held back by disabled: runbook also.yaml is disabled" in (
        " ".join(text.split()))
    send(d)
    page = d.raw("GET", "/metrics")[2].decode()
    for guard in ("cooldown", "disabled"):
        assert f'starts_held_back_total{{by="{guard}"}} 1\n' in page
    assert 'starts_held_back_total{by="count"} 0\n' in page


def test_a_condition_without_a_value_is_shown_where(make_daemon):
    d = make_daemon(FILES)
    e = explain(d, send(d, env=""))
    full = e["triggers"][0]
    assert full["verdict"] == "no_value" and e["no_value"] == 1
    assert "no such key: 'env'" in full["when_error"]
    (term,) = [t for t in full["terms"] if t["text"] == "event.labels.env"]
    assert term["error"] == "no such key: 'env'"
    short = explain(d, send(d, value=1, env=""))["triggers"][0]
    assert short["verdict"] == "misses" and short["when_value"] == "false"
    assert [t["times"] for t in short["terms"]
            if t["text"] == "event.labels.env"] == [0]


def test_an_edited_runbook_is_said_to_be(make_daemon):
    d = make_daemon(FILES)
    event_id = send(d)
    workflow = d.workflows_of(event_id)[0]["id"]
    d.write_runbook("disk.yaml", DISK % 99)
    d.post("/api/admin/reload-runbooks", {})
    full = explain(d, event_id, "?runbook=disk.yaml")["triggers"][0]
    assert full["verdict"] == "misses" and full["changed_since"] is True
    e = explain(d, event_id)
    assert e["decided_with"] != e["explained_with"]
    assert f"with runbooks {e['decided_with']} and is explained" in (
        e["summary"])
    text = adctl(d, "explain", "workflow", workflow).stdout
    assert "the runbook has changed since" in text
    assert "event.value > 99" in text
    os.unlink(os.path.join(d.repo, "disk.yaml"))
    d.post("/api/admin/reload-runbooks", {})
    text = adctl(d, "explain", "workflow", workflow).stdout
    assert "is not there any more" in " ".join(text.split())
    d.get(f"/api/events/{event_id}/explain?runbook=disk.yaml", status=404)


def test_what_holds_everything_back_is_a_guard(make_daemon):
    d = make_daemon(FILES)
    event_id = send(d)
    d.post("/api/runbooks/disable", {"runbook": "disk.yaml",
                                     "reason": "maintenance"})
    d.post("/api/admin/kill-switch", {"on": True, "reason": "drill"})
    full = explain(d, event_id)["triggers"][0]
    wait_until(lambda: "kill_switch" in guards(
        explain(d, event_id)["triggers"][0]), what="the switch")
    assert "maintenance" in guards(full)["disabled"]["text"]


def test_pages_and_wrong_words(make_daemon):
    many = "name: Many\ntriggers:\n" + "".join(
        f"  - {{type: alert, labels: {{n: '{i}'}}}}\n" for i in range(50)
    ) + "steps:\n  - {name: Look, action: exec, command: 'true'}\n"
    d = make_daemon({"a.yaml": many, "b.yaml": many, **FILES})
    event_id = send(d)
    seen, cursor = [], ""
    while cursor is not None:
        page = explain(d, event_id, f"?limit=30&cursor={cursor}" if cursor
                       else "?limit=30")
        seen += [(t["runbook"], t["trigger"]) for t in page["triggers"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == page["considered"] == 103
    assert len(explain(d, event_id)["triggers"]) == 10
    for wrong in ("?limit=101", "?limit=0", "?verbose=1"):
        d.get(f"/api/events/{event_id}/explain{wrong}", status=400)
    d.get("/api/events/evt-00000000000000000000000000/explain", status=404)


def test_a_duplicate_points_to_its_original(make_daemon):
    d = make_daemon(FILES)
    send(d)
    body = {"type": "alert", "starts_at": "2026-01-01T00:00:00Z",
            "labels": {"alertname": "Twice"}}
    ids = [d.post("/api/events", body)["id"] for _ in range(2)]
    e = d.get(f"/api/events/{ids[1]}")
    if e["status"] == "deduplicated":
        assert ids[0] in explain(d, ids[1])["summary"]


def on_terminal(d, *args):
    """What adctl prints on a terminal of 80 columns."""
    main, side = pty.openpty()
    env = dict(os.environ, COLUMNS="80", LC_ALL="C.UTF-8", TERM="xterm",
               NO_COLOR="1")
    p = subprocess.Popen(
        [f"{BUILD}/adctl", "--server", f"http://127.0.0.1:{d.port}", *args],
        stdout=side, stderr=subprocess.STDOUT, env=env)
    os.close(side)
    out = b""
    while True:
        try:
            data = os.read(main, 65536)
        except OSError:
            break
        if not data:
            break
        out += data
    os.close(main)
    assert p.wait() == 0, out
    return out.decode().replace("\r", "")


def test_the_words_fit_a_terminal(make_daemon):
    d = make_daemon(FILES)
    send(d)
    send(d, instance="web-1")
    text = on_terminal(d, "explain", "event", "@latest")
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    assert "✗ label instance is web-1, wanted =~ db-.*" in flat
    assert "· event.value is 95.0" in flat
    assert "1 condition is not met" in flat
    started = on_terminal(d, "explain", "workflow", "@latest")
    assert max(map(len, started.splitlines())) <= 80
    assert "holds back now for" in " ".join(started.split())
    (item,) = [json.loads(adctl(d, "explain", "event", "@latest", "-o",
                                "json").stdout)]
    assert item["triggers"][0]["verdict"] == "misses"
    (item,) = [json.loads(adctl(d, "explain", "workflow", "@latest", "-o",
                                "json").stdout)]
    assert item["trigger_explained"]["trigger"] == "full"


@pytest.mark.parametrize("command", ["event", "workflow"])
def test_by_hand_and_unknown(make_daemon, command):
    d = make_daemon(FILES)
    p = adctl(d, "explain", command, "nothing", check=False)
    assert p.returncode != 0 and p.stderr.startswith("adctl: ")
    w = d.post("/api/runbooks/execute", {"runbook": "other.yaml",
                                         "parameters": {}})["workflow_id"]
    text = " ".join(adctl(d, "explain", "workflow", w).stdout.split())
    assert "asked for it: no event and no trigger decided" in text
