"""The audit trail: which requests leave a row, what it says, that it is a
chain. The routes and what they declare come from the engine's own description,
so a route that is new fails here until it says which it is."""
import hashlib
import json
import os
import re
import shutil
import sqlite3
import time

import pytest

from harness import adctl, poisoned, wait_until
from partners import Partner
from test_backup import backup, tool

TOKEN = "the-token-of-the-auditor-0123456789"

SLOW = """\
name: Slow
triggers: []
parameters:
  who: {type: string, default: nobody}
  word: {type: string, secret: true}
steps:
  - {name: Wait, action: exec, command: "sleep 600", timeout: 20m}
"""

QUICK = """\
name: Quick
triggers: [{type: change}]
steps:
  - {name: Note, action: exec, command: "true"}
"""

LIMITED = QUICK.replace("Quick", "Limited").replace(
    "{type: change}", "{type: limited, max_runs: {limit: 9, within: 1h}}")

ANY = object()


class Send:
    """A request, and what the trail is to say of it."""

    def __init__(self, path, body=None, status=200, subject=None, before=None,
                 after=None):
        self.path = path
        self.body = body
        self.status = status
        self.subject = subject
        self.before = before
        self.after = after


# (group, method, path of the description, function that prepares the request)
CASES = []


def case(group, method, path):
    def keep(prepare):
        CASES.append((group, method, path, prepare))
        return prepare
    return keep


# ---- events and the queue ---------------------------------------------------


@case("general", "POST", "/api/events")
def post_event(d):
    return Send("/api/events", {"type": "change"}, 202)


@case("general", "POST", "/api/events/alertmanager")
def post_webhook(d):
    return Send("/api/events/alertmanager", {
        "version": "4", "status": "firing", "receiver": "r", "groupKey": "g",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://a", "truncatedAlerts": 0, "alerts": [{
            "status": "firing", "labels": {"alertname": "Nothing"},
            "annotations": {}, "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "",
            "fingerprint": "0123456789abcdef"}]}, 202)


@case("general", "POST", "/api/v2/alerts")
def post_alerts(d):
    return Send("/api/v2/alerts", [{"labels": {"alertname": "Nothing"}}])


@case("general", "POST", "/api/admin/kill-switch")
def kill_switch(d):
    d.post("/api/admin/kill-switch", {"on": True, "reason": "a try"})
    wait_until(lambda: d.get("/api/admin/kill-switch")["on"],
               what="the engine to see it")
    text = d.get("/api/admin/kill-switch")["reason"]
    return Send("/api/admin/kill-switch", {"on": False},
                before={"on": True, "reason": text},
                after={"on": False, "reason": None})


@case("general", "POST", "/api/admin/pause-processing")
def pause(d):
    return Send("/api/admin/pause-processing", {}, before=False, after=True)


@case("general", "POST", "/api/admin/drain-queue")
def drain(d):
    for _ in range(3):
        d.event(type="other")
    return Send("/api/admin/drain-queue", {}, before={
        "paused": True, "status": "queued", "events": 3},
        after={"paused": True, "status": "drained"})


@case("general", "POST", "/api/events/{id}/replay")
def replay_one(d):
    e = d.get("/api/events?status=drained")["events"][0]["id"]
    return Send(f"/api/events/{e}/replay", {}, 202, subject=e,
                before={"status": "drained"}, after={"status": "queued"})


@case("general", "POST", "/api/admin/replay-drained")
def replay_all(d):
    return Send("/api/admin/replay-drained", {}, before={
        "status": "drained", "events": 2}, after={"status": "queued"})


@case("general", "POST", "/api/admin/clear-drained")
def clear_drained(d):
    d.post("/api/admin/drain-queue", {})
    return Send("/api/admin/clear-drained", {}, before={
        "status": "drained", "events": 3}, after={"status": "archived"})


@case("general", "POST", "/api/admin/resume-processing")
def resume(d):
    return Send("/api/admin/resume-processing", {}, before=True, after=False)


@case("general", "POST", "/api/admin/set-event-priority")
def set_priority(d):
    d.post("/api/admin/set-event-priority",
           {"type": "alert", "severity": "critical", "priority": 2})
    return Send("/api/admin/set-event-priority",
                {"type": "alert", "severity": "critical", "priority": 1},
                subject="alert/critical", before=2, after=1)


@case("general", "POST", "/api/admin/scale-workers")
def scale(d):
    return Send("/api/admin/scale-workers", {"workers": 6}, before=4, after=6)


@case("general", "POST", "/api/admin/restart-workers")
def restart(d):
    return Send("/api/admin/restart-workers", {},
                before={"workers": 6, "stuck": 0},
                after={"workers": 6, "stuck": 0})


@case("requeue", "POST", "/api/admin/poison-messages/{id}/requeue")
def requeue_one(d):
    return Send(f"/api/admin/poison-messages/{d.poison[0]}/requeue", {}, 202,
                subject=d.poison[0], before={"status": "poison"},
                after={"status": "queued"})


@case("requeue", "DELETE", "/api/admin/poison-messages/{id}")
def clear_one(d):
    return Send(f"/api/admin/poison-messages/{d.poison[1]}",
                subject=d.poison[1], before={"status": "poison"},
                after={"status": "archived"})


@case("requeue", "POST", "/api/admin/requeue-poison-messages")
def requeue_all(d):
    return Send("/api/admin/requeue-poison-messages", {}, before={
        "status": "poison", "events": 1}, after={"status": "queued"})


@case("clear", "POST", "/api/admin/clear-poison-messages")
def clear_all(d):
    return Send("/api/admin/clear-poison-messages", {}, before={
        "status": "poison", "events": 1}, after={"status": "archived"})


# ---- workflows and runbooks -------------------------------------------------


def runbook_hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def run(d, **parameters):
    w = d.post("/api/runbooks/execute", {"runbook": "slow.yaml",
                                         "parameters": parameters}, 202)
    d.wait_status(w["workflow_id"], "running")
    return w["workflow_id"]


def asked(how, status="running"):
    return {"status": status, "stop_requested": how}


@case("general", "POST", "/api/runbooks/execute")
def execute(d):
    return Send("/api/runbooks/execute",
                {"runbook": "slow.yaml",
                 "parameters": {"who": "me", "word": "hush-hush"}}, 202,
                subject=re.compile("wf-"),
                after={"runbook": "slow.yaml",
                       "runbook_hash": runbook_hash(SLOW),
                       "parameters": {"who": "me", "word": "***"}})


@case("general", "POST", "/api/workflows/{id}/cancel")
def cancel(d):
    w = run(d)
    return Send(f"/api/workflows/{w}/cancel", {}, 202, subject=w,
                before=asked(None), after=asked("cancel"))


@case("general", "POST", "/api/workflows/{id}/kill")
def kill(d):
    w = run(d)
    return Send(f"/api/workflows/{w}/kill", {}, 202, subject=w,
                before=asked(None), after=asked("kill"))


def anew(runbook, text, old, parameters, **more):
    """What the trail keeps of a workflow that does another one again."""
    return {"runbook": runbook, "runbook_hash": runbook_hash(text),
            "parameters": parameters, "again": old, **more}


@case("general", "POST", "/api/workflows/{id}/retry")
def retry(d):
    w = run(d)
    d.post(f"/api/workflows/{w}/kill", {}, 202)
    d.wait_status(w, "killed")
    return Send(f"/api/workflows/{w}/retry", {}, 202, re.compile("wf-"),
                after=anew("slow.yaml", SLOW, w, {"who": "nobody"},
                           from_step=1))


@case("general", "POST", "/api/workflows/{id}/rerun")
def rerun(d):
    w = d.wait_workflow(d.event(type="change"))["id"]
    return Send(f"/api/workflows/{w}/rerun", {}, 202, re.compile("wf-"),
                after=anew("quick.yaml", QUICK, w, {}, from_step=1))


@case("general", "POST", "/api/guards/reset")
def reset_guards(d):
    d.wait_workflow(d.event(type="limited"))
    return Send("/api/guards/reset", {"runbook": "limited.yaml"},
                subject="limited.yaml", before={"memories": 1},
                after={"memories": 0})


def judge_body(verdict):
    return {"verdict": verdict, "note": "seen it"}


@case("general", "POST", "/api/workflows/{id}/verdict")
def verdict(d):
    w = d.wait_workflow(d.event(type="change"))["id"]
    d.post(f"/api/workflows/{w}/verdict", judge_body("correct"))
    return Send(f"/api/workflows/{w}/verdict", judge_body("false_positive"),
                subject=w, before=judge_body("correct"),
                after=judge_body("false_positive"))


@case("general", "POST", "/api/admin/archive-workflows")
def archive(d):
    w = d.wait_workflow(d.event(type="change"))
    wait_until(lambda: time.time() > w["finished_at"] + 0.01)
    n = sum(1 for x in d.get("/api/workflows")["workflows"]
            if x["finished_at"])
    return Send(f"/api/admin/archive-workflows?before={time.time():.3f}", {},
                subject=re.compile("workflows-.*ndjson"),
                before={"in_store": n},
                after=lambda a: a["archived"] == n and
                os.path.exists(a["file"]))


@case("general", "POST", "/api/incidents/missed")
def missed(d):
    return Send("/api/incidents/missed", {"summary": "nobody saw it"}, 201,
                subject=re.compile("."), before=None,
                after={"verdict": "missed", "note": "nobody saw it"})


@case("general", "POST", "/api/incidents/missed/{id}/withdraw")
def withdraw(d):
    m = d.post("/api/incidents/missed", {"summary": "or so"}, 201)["id"]
    return Send(f"/api/incidents/missed/{m}/withdraw", {}, subject=m,
                before={"verdict": "missed", "note": "or so"},
                after={"verdict": "none", "note": "or so"})


@case("general", "POST", "/api/runbooks/validate")
def validate(d):
    return Send("/api/runbooks/validate", {"runbook_path": "slow.yaml"})


@case("general", "POST", "/api/expr/eval")
def evaluate(d):
    return Send("/api/expr/eval", {"expr": "1 + 1"})


@case("general", "POST", "/api/runbooks/disable")
def disable(d):
    return Send("/api/runbooks/disable", {"runbook": "quick.yaml",
                                          "reason": "broken"},
                subject="quick.yaml", before={"enabled": True},
                after={"enabled": False, "reason": "broken"})


@case("general", "POST", "/api/runbooks/enable")
def enable(d):
    return Send("/api/runbooks/enable", {"runbook": "quick.yaml"},
                subject="quick.yaml",
                before={"enabled": False, "reason": "broken"},
                after={"enabled": True})


@case("general", "POST", "/api/admin/reload-runbooks")
def reload_runbooks(d):
    changed = QUICK + "# changed\n"
    d.write_runbook("quick.yaml", changed)
    new = QUICK.replace("Quick", "New")
    d.write_runbook("new.yaml", new)

    def side(number, quick, new):
        return {"generation": number, "commit": None, "more": 0,
                "runbooks": {"quick.yaml": quick, "new.yaml": new}}
    return Send("/api/admin/reload-runbooks", {},
                before=side(1, runbook_hash(QUICK), None),
                after=side(2, runbook_hash(changed), runbook_hash(new)))


@case("general", "POST", "/api/admin/reload-config")
def reload_config(d):
    d.write_config({**d.settings,
                    "engine": {"event_processing": {"workers": 5}},
                    "integrations": {"pagerduty": {
                        "routing_key": "a-key-that-nobody-sees"}}})
    workers = "engine.event_processing.workers"
    key = "integrations.pagerduty.routing_key"
    return Send("/api/admin/reload-config", {},
                before={workers: 4, key: None}, after={workers: 5, key: "***"})


@case("restored", "POST", "/api/admin/acknowledge-restore")
def acknowledge(d):
    return Send("/api/admin/acknowledge-restore", {},
                before=lambda b: b["backup"] == d.backup, after=None)


# ---- integrations -----------------------------------------------------------


@case("general", "PUT", "/api/integrations/{id}")
def integration_set(d):
    d.api("PUT", "/api/integrations/prometheus", {
        "timeout": 7, "url": d.partner.url, "bearer_token": "never-shown-1"})
    fields = {"timeout": 7, "url": d.partner.url}
    return Send("/api/integrations/prometheus",
                {"timeout": 8, "bearer_token": "never-shown-2"},
                subject="prometheus",
                before={"fields": fields, "secrets_set": ["bearer_token"]},
                after={"fields": {**fields, "timeout": 8},
                       "secrets_set": ["bearer_token"],
                       "secrets_changed": ["bearer_token"]})


def test_a_first_change_shows_what_the_file_said(make_daemon):
    d = make_daemon({}, {"integrations": {"prometheus": {
        "url": "http://127.0.0.1:1", "timeout": "3s"}}})
    d.api("PUT", "/api/integrations/prometheus", {"timeout": 7})
    d.api("PUT", "/api/integrations/prometheus", {"timeout": None})
    d.post("/api/admin/scale-workers", {"workers": 8})
    d.post("/api/admin/scale-workers", {"workers": None})
    there, back, scaled, withdrawn = trail(d)
    assert (there["before"]["fields"], there["after"]["fields"]) == (
        {"timeout": 3}, {"timeout": 7})
    assert (back["before"]["fields"], back["after"]["fields"]) == (
        {"timeout": 7}, {"timeout": 3})
    assert (scaled["before"], scaled["after"]) == (4, 8)
    assert (withdrawn["before"], withdrawn["after"]) == (8, 4)


@case("general", "POST", "/api/integrations/{id}/health")
def integration_health(d):
    return Send("/api/integrations/prometheus/health", {})


@case("general", "POST", "/api/integrations/{id}/test")
def integration_test(d):
    return Send("/api/integrations/prometheus/test", {})


def switch(action, key, was, then, name="slack"):
    def prepare(_):
        return Send(f"/api/integrations/{name}/{action}", {}, subject=name,
                    before=lambda x: x[key] == was,
                    after=lambda x: x[key] == then)
    return case("general", "POST",
                "/api/integrations/{id}/" + action)(prepare)


switch("disable", "enabled", True, False)
switch("enable", "enabled", False, True)
switch("pause", "paused", False, True, "metrics-scraper")
switch("resume", "paused", True, False, "metrics-scraper")


# ---- the walk ---------------------------------------------------------------


def routes(d):
    """(method, path) to what its description says, of all that are no GET."""
    found = {}
    for path, methods in d.get("/api/openapi.json")["paths"].items():
        for method, op in methods.items():
            if method != "get":
                found[method.upper(), path] = op
    return found


def trail(d, after=0):
    """The rows with a greater number, oldest first."""
    rows = []
    cursor = ""
    while cursor is not None:
        page = d.get("/api/admin/audit?limit=100" +
                     (f"&cursor={cursor}" if cursor else ""))
        rows += [r for r in page["audit"] if r["seq"] > after]
        cursor = page["next_cursor"]
    return rows[::-1]


def last(d):
    rows = trail(d)
    return rows[-1]["seq"] if rows else 0


def verified(d):
    answer = d.get("/api/admin/audit/verify")
    assert answer["whole"] is True and answer["broken_at"] is None, answer
    return answer


def check(what, got, wanted):
    if callable(wanted):
        assert wanted(got), f"{what} is {got}"
    elif isinstance(wanted, re.Pattern):
        assert got and wanted.match(got), f"{what} is {got}"
    else:
        assert got == wanted, f"{what} is {got}, wanted {wanted}"


def send(d, method, send_this, op):
    """Sends it and looks at what it leaves."""
    before = last(d)
    headers = {"Authorization": f"Bearer {TOKEN}",
               "Content-Type": "application/json"} if d.has_token else {}
    who = "token:auditor" if d.has_token else f"uid:{os.getuid()}"
    d.api(method, send_this.path, send_this.body, send_this.status, headers)
    rows = trail(d, before)
    if "x-audit" not in op:
        assert op["x-unaudited"] and rows == [], (send_this.path, rows)
        return
    assert [r["action"] for r in rows] == [op["x-audit"]], (send_this.path,
                                                            rows)
    assert rows[0]["who"] == who
    check("subject", rows[0]["subject"], send_this.subject)
    check("before", rows[0]["before"], send_this.before)
    check("after", rows[0]["after"], send_this.after)
    assert abs(rows[0]["at"] - time.time()) < 600


def walk(d, group):
    described = routes(d)
    for of, method, path, prepare in CASES:
        if of == group:
            send(d, method, prepare(d), described[method, path])
    assert verified(d)["rows"] == len(trail(d))
    assert "never-shown" not in json.dumps(trail(d))
    assert "hush-hush" not in json.dumps(trail(d))
    assert "nobody-sees" not in json.dumps(trail(d))


@pytest.fixture
def general(make_daemon, tmp_path):
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    settings = {
        "runbooks": {"auto_reload": False},
        "engine": {"event_processing": {"workers": 4}},
        "security": {"tokens": [{
            "name": "auditor", "file": str(token),
            "scopes": ["read", "ingest", "execute", "admin"]}]}}
    d = make_daemon({"slow.yaml": SLOW, "quick.yaml": QUICK,
                     "limited.yaml": LIMITED}, settings)
    d.settings = settings
    d.has_token = True
    d.partner = Partner()
    d.wait_executor()
    yield d
    d.partner.close()
    for w in d.get("/api/workflows")["workflows"]:
        if w["status"] in ("running", "queued"):
            d.post(f"/api/workflows/{w['id']}/kill", {})


def test_every_route_has_its_case(general):
    """A route that is new needs a declaration and a case."""
    described = routes(general)
    for (method, path), op in described.items():
        assert "x-audit" in op or "x-unaudited" in op, (method, path)
    assert {(m, p) for _, m, p, _ in CASES} == set(described)
    ops = general.get("/api/openapi.json")["paths"].values()
    for op in (o["get"] for o in ops if "get" in o):
        assert "x-audit" not in op and "x-unaudited" not in op


def test_changes_leave_a_row_and_others_none(general):
    walk(general, "general")
    # A dry run of the same route is no change, and declared as such.
    assert "dry run" in routes(general)["POST", "/api/runbooks/execute"][
        "x-unaudited"]
    before = last(general)
    general.post("/api/runbooks/execute", {"runbook": "slow.yaml",
                                           "dry_run": True}, 200)
    assert last(general) == before


def test_poison_that_is_requeued(make_daemon):
    d, d.poison = poisoned_daemon(make_daemon, 3)
    walk(d, "requeue")


def test_poison_that_is_cleared(make_daemon):
    d, d.poison = poisoned_daemon(make_daemon, 1)
    walk(d, "clear")


def poisoned_daemon(make_daemon, count):
    d, ids = poisoned(make_daemon, count)
    d.has_token = False
    return d, ids


def test_a_restore_is_acknowledged(make_daemon, tmp_path):
    d = make_daemon({}, {"backup": {"directory": str(tmp_path / "backups")}})
    d.has_token = False
    d.post("/api/admin/pause-processing", {})
    d.backup = backup(d)["name"]
    d.stop()
    shutil.rmtree(os.path.join(d.folder, "state"))
    tool(d, "restore")
    d.start()
    walk(d, "restored")
    # The trail goes on where the backup had it, and says what happened.
    assert [r["action"] for r in trail(d)] == [
        "processing.pause", "store.restore", "store.acknowledge-restore"]


def test_what_is_refused_leaves_no_row(general):
    ids = {"/api/events": "evt-", "/api/workflows": "wf-",
           "/api/admin/poison": "evt-", "/api/incidents": "inc-",
           "/api/integrations": None}
    for (method, path) in routes(general):
        prefix = next((v for k, v in ids.items() if path.startswith(k)), None)
        where = path.replace("{id}", f"{prefix}{'0' * 26}" if prefix
                             else "prometheus")
        status, _, _ = general.raw(method, where, {"no such field": 1})
        assert 400 <= status < 500, (method, where, status)
    assert trail(general) == []


# ---- the chain --------------------------------------------------------------


def verify(d, *args, code=0):
    """What adctl audit verify prints."""
    p = adctl(d, "audit", "verify", *args, check=False)
    assert p.returncode == code, (args, p.stdout, p.stderr)
    return p.stdout


def test_a_row_that_was_known_is_there_or_not(make_daemon, tmp_path):
    d = make_daemon({}, {"backup": {"directory": str(tmp_path / "backups")}})
    verify(d, "--known", "0:" + "0" * 64)
    d.post("/api/admin/pause-processing", {})
    kept = re.search("keep: (.*)", verify(d)).group(1)
    backup(d)
    d.post("/api/admin/resume-processing", {})
    later = re.search("keep: (.*)", verify(d)).group(1)
    assert kept.startswith("1:") and later.startswith("2:")
    assert "2 rows, none changed" in verify(d, "--known", kept)
    assert "2 rows, none changed" in verify(d, "--known", later)
    assert "not among them" in verify(d, "--known", "2" + kept[1:], code=1)
    assert "not among them" in verify(d, "--known", "3" + kept[1:], code=1)
    for wrong in ("", "1", "1:", "1:ab", kept[:-1] + "x", ":" + kept, kept + "0"):
        status, _, _ = d.raw("GET", f"/api/admin/audit/verify?known={wrong}")
        assert status == 400, wrong

    # A backup has the trail up to then, the restore is a row of it, and that
    # there was more is known by who has kept it.
    d.stop()
    shutil.rmtree(os.path.join(d.folder, "state"))
    tool(d, "restore")
    d.start()
    assert [r["action"] for r in trail(d)] == ["processing.pause",
                                               "store.restore"]
    assert "2 rows, none changed" in verify(d, "--known", kept)
    assert "comes from a backup" in verify(d, "--known", later, code=1)


def write_anew(path, change):
    """The database with a change in it, as a version without checksums of
    pages would have left it: those would tell that somebody else wrote."""
    old = sqlite3.connect(path)
    new = sqlite3.connect(path + ".new")
    new.executescript("\n".join(old.iterdump()) + change)
    version = old.execute("PRAGMA user_version").fetchone()[0]
    kind = old.execute("PRAGMA application_id").fetchone()[0]
    new.execute(f"PRAGMA user_version = {version}")
    new.execute(f"PRAGMA application_id = {kind - 14}")
    new.commit()
    new.close()
    old.close()
    for name in (path, path + "-wal", path + "-shm"):
        if os.path.exists(name):
            os.unlink(name)
    os.rename(path + ".new", path)


def test_a_broken_chain_is_told_and_is_no_damage(make_daemon, tmp_path):
    """The store goes on, and so do its backups: only the trail is not whole."""
    d = make_daemon({}, {"backup": {"directory": str(tmp_path / "backups")}})
    for _ in range(2):
        d.post("/api/admin/pause-processing", {})
        d.post("/api/admin/resume-processing", {})
    assert d.get("/api/health")["checks"]["audit"]["warning"] is None
    event = d.event(type="change")
    d.kill9()
    write_anew(os.path.join(d.folder, "state/engine.db"),
               "UPDATE audit SET who = 'nobody' WHERE seq = 3")
    d.start()
    audit = wait_until(lambda: (a := d.get("/api/health")["checks"]["audit"])[
        "warning"] and a, what="a look at the trail")
    assert "row 3" in audit["warning"] and audit["hint"] == "adctl audit verify"
    assert d.get("/api/health")["checks"]["store"]["ok"] is True
    assert d.get("/api/events/" + event)["id"] == event
    assert "ERROR the audit trail is not whole at row 3" in d.log()
    assert "changed at row 3" in verify(d, code=1)
    for words in (("status",), ("doctor",)):
        p = adctl(d, *words, check=False)
        assert "the audit trail is not whole" in p.stdout, p.stdout
    made = tool(d, "backup")
    assert "not the audit trail in it: row 3 " in made.stderr, made.stderr


def test_retention_and_archive_leave_the_chain_alone(make_daemon):
    d = make_daemon({"quick.yaml": QUICK}, {"retention": {
        "events": "1s", "workflows": "1s", "interval": "1s"}})
    d.wait_executor()
    d.post("/api/admin/scale-workers", {"workers": 3})
    w = d.wait_workflow(d.event(type="change"))["id"]
    d.post(f"/api/workflows/{w}/verdict", judge_body("correct"))
    d.post("/api/runbooks/execute", {"runbook": "quick.yaml"})
    kept = re.search("keep: (.*)", verify(d)).group(1)
    wait_until(lambda: d.get("/api/workflows")["workflows"] == [] and
               d.get("/api/events")["events"] == [], what="an empty store")
    assert [r["action"] for r in trail(d)] == [
        "workers.scale", "workflow.verdict", "runbook.execute"]
    assert "3 rows, none changed" in verify(d, "--known", kept)
