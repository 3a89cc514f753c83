"""What an operator sees: that something rests, waits or was switched off, and
what to do about it; machine output that is one document."""
import json
import os
import signal
import subprocess
import urllib.request

import pytest

from harness import BUILD, ROOT, adctl, free_port, wait_until

ECHO = """
name: Echo
description: Say it twice
triggers:
  - {type: say}
steps:
  - {name: One, action: exec, command: echo first}
  - {name: Two, action: exec, command: echo second}
"""

TWICE = """
name: Twice
description: Succeed at the second attempt
triggers:
  - {type: twice}
steps:
  - name: Try
    action: exec
    command: echo "try"; [ -e %s ] || { touch %s; exit 1; }
    idempotent: true
    retry: {attempts: 3, backoff: 10ms}
"""


@pytest.fixture
def engine(make_daemon, tmp_path):
    mark = tmp_path / "mark"
    d = make_daemon({"echo.yaml": ECHO, "twice.yaml": TWICE % (mark, mark)},
                    {"backup": {"directory": str(tmp_path / "backups")}})
    d.wait_executor()
    return d


def run(d, *args, code=0):
    p = adctl(d, *args, check=False)
    assert p.returncode == code, (args, p.returncode, p.stdout, p.stderr)
    return p


def tool(d, *args, code=0, env=None):
    """adctl without --server."""
    environment = {k: v for k, v in os.environ.items() if k != "AD_SERVER"}
    p = subprocess.run([os.path.join(BUILD, "adctl"), *args],
                       capture_output=True, text=True, timeout=60, check=False,
                       env=dict(environment, **(env or {})),
                       stdin=subprocess.DEVNULL)
    assert code is None or p.returncode == code, \
        (args, p.returncode, p.stdout, p.stderr)
    return p


def check(d, name):
    items = json.loads(adctl(d, "doctor", "-c", d.config_path, "-o", "json",
                             check=False).stdout)["items"]
    return next(item for item in items if item["check"] == name)


# ---- a pause -----------------------------------------------------------------


def paused_everywhere(d):
    health = d.get("/api/health")
    assert health["status"] == "degraded"
    queue = health["checks"]["queue"]
    assert queue["ok"] is False and queue["paused"] is True
    assert queue["paused_by"].startswith("uid:") and queue["paused_at"] > 0
    p = run(d, "status", code=1)
    assert "paused  by uid:" in p.stdout and "adctl queue resume" in p.stdout
    assert check(d, "queue")["next"] == "adctl queue resume"
    assert check(d, "queue")["status"] == "failed"
    assert b"processing is paused" in d.raw("GET", "/")[2]
    metrics = d.raw("GET", "/metrics")[2].decode()
    assert 'event_workers{state="claiming"} 0' in metrics
    assert 'event_workers{state="resting"} 0' not in metrics
    # It takes events all the same.
    assert d.raw("GET", "/-/ready")[0] == 200


def test_a_pause_is_seen(engine):
    d = engine
    d.post("/api/admin/pause-processing")
    paused_everywhere(d)
    p = run(d, "event", "send", "--type", "say", "--wait", "--timeout", "2s",
            code=7)
    assert "event processing is paused" in p.stderr
    assert "try: adctl queue resume" in p.stderr
    d.stop()
    d.start()
    assert "event processing is paused (by uid:" in d.log()
    paused_everywhere(d)
    run(d, "queue", "resume")
    assert d.get("/api/health")["status"] == "ok"
    assert d.get("/api/health")["checks"]["queue"]["paused_by"] is None
    d.wait_executor()
    run(d, "status")


# ---- a runbook out of force --------------------------------------------------


def test_a_disabled_runbook_is_seen(engine):
    d = engine
    d.post("/api/runbooks/disable",
           {"runbook": "echo.yaml", "reason": "maintenance \u00fc"})
    p = run(d, "runbook", "list")
    row = next(line for line in p.stdout.splitlines() if "echo.yaml" in line)
    assert "disabled" in row and "loaded" not in row
    assert "adctl runbook show echo.yaml" in p.stderr
    p = run(d, "runbook", "show", "echo.yaml")
    assert "disabled by   uid:" in p.stdout and "maintenance" in p.stdout
    assert "adctl runbook enable echo.yaml" in p.stdout
    p = run(d, "status", code=3)
    assert "1 in force, 0 rejected, 1 disabled" in p.stdout
    assert check(d, "runbooks")["status"] == "warning"
    assert d.get("/api/health")["status"] == "ok"
    p = run(d, "event", "send", "--type", "say", "--wait")
    assert "runbook echo.yaml is disabled (by uid:" in p.stderr
    assert "maintenance" in p.stderr
    p = run(d, "runbook", "run", "echo.yaml", code=6)
    assert "maintenance" in p.stderr
    assert "try: adctl runbook enable echo.yaml" in p.stderr
    run(d, "runbook", "enable", "echo.yaml")
    run(d, "event", "send", "--type", "say", "--wait")
    run(d, "status")


def test_nothing_matches(engine):
    p = run(engine, "event", "send", "--type", "else", "--wait")
    assert "no runbook in force has a trigger for it" in p.stderr


# ---- doctor ------------------------------------------------------------------


def test_doctor_after_a_restore(engine):
    d = engine
    run(d, "event", "send", "--type", "say", "--wait")
    tool(d, "backup", "-c", d.config_path)
    d.stop()
    tool(d, "restore", "-c", d.config_path)
    d.start()
    store = check(d, "store")
    assert store["status"] == "warning"
    assert store["next"].startswith("adctl backup acknowledge")
    assert "restored from backup-" in store["detail"]
    p = run(d, "status", code=1)
    assert "adctl backup acknowledge" in p.stdout
    run(d, "backup", "acknowledge")
    assert check(d, "store")["status"] == "ok"
    audit = len(d.get("/api/admin/audit")["audit"])
    p = run(d, "backup", "acknowledge")
    assert "nothing to acknowledge" in p.stderr
    assert len(d.get("/api/admin/audit")["audit"]) == audit


def test_an_empty_store_was_not_restored(engine):
    d = engine
    tool(d, "backup", "-c", d.config_path)
    d.stop()
    first = tool(d, "restore", "-c", d.config_path).stderr
    second = tool(d, "restore", "-c", d.config_path).stderr
    tool(d, "restore", "--empty", "-c", d.config_path)
    folder = os.path.join(d.folder, "state", "quarantine")
    assert len(os.listdir(folder)) == 3, (first, second)
    for name in os.listdir(folder):
        assert os.path.exists(os.path.join(folder, name, "engine.db"))
    d.start()
    assert d.get("/api/health")["checks"]["store"]["restored"] is None


def test_doctor_asks_the_engine_of_its_configuration(engine):
    d = engine
    p = tool(d, "doctor", "-c", d.config_path, code=None)
    assert f"http://127.0.0.1:{d.port} answers" in p.stdout
    # Unless the caller says otherwise.
    other = "http://127.0.0.1:1"
    p = tool(d, "doctor", "-c", d.config_path, code=1,
             env={"AD_SERVER": other})
    assert other in p.stdout
    p = tool(d, "doctor", "-c", d.config_path, "-s", other, code=1)
    assert other in p.stdout
    p = tool(d, "doctor", "-c", "/nope.yaml", code=1)
    assert "there is no file /nope.yaml" in p.stdout


def test_ids_that_are_not_shown_are_counted(engine):
    for _ in range(8):
        engine.event(type="else")
    p = run(engine, "event", "show", "evt-", code=2)
    assert "begins 8 ids" in p.stderr and "... and 3 more" in p.stderr


# ---- sending -----------------------------------------------------------------


def accepted(d):
    return d.get("/api/metrics")["ledger"]["accepted"]


def test_a_file_is_the_whole_event(engine, tmp_path):
    file = tmp_path / "event.json"
    file.write_text('{"type": "say"}')
    for flag in (["--type", "x"], ["-l", "a=b"], ["--severity", "info"],
                 ["--source", "x"], ["-a", "a=b"], ["--value", "1"],
                 ["--metric", "m"]):
        p = run(engine, "event", "send", "--file", str(file), *flag, code=2)
        assert "exclude each other" in p.stderr
    p = run(engine, "event", "send", "--type", "x", "-l", "a=1", "-l", "a=2",
            code=2)
    assert "a is given twice" in p.stderr
    assert accepted(engine) == 0


@pytest.mark.parametrize("text", [
    '[{"type": "say"}, {"type": "say"}]', '[{"type": "say"}]',
    '{"type": "say"}\n{"type": "say"}\n'])
def test_a_list_is_refused_before_it_is_sent(engine, tmp_path, text):
    file = tmp_path / "events.json"
    file.write_text(text)
    p = run(engine, "event", "send", "--file", str(file), "-w", code=2)
    assert "nothing was sent" in p.stderr and p.stdout == ""
    assert accepted(engine) == 0


def test_one_event_over_several_lines_is_followed(engine, tmp_path):
    file = tmp_path / "event.json"
    file.write_text('{\n  "type": "say"\n}\n')
    run(engine, "event", "send", "--file", str(file), "-w")


# ---- one document ------------------------------------------------------------


def test_json_is_one_document(engine):
    d = engine
    w = json.loads(run(d, "runbook", "run", "echo.yaml", "-w", "-o",
                       "json").stdout)
    assert w["status"] == "succeeded"
    e = json.loads(run(d, "event", "send", "--type", "say", "-w", "-o",
                       "json").stdout)
    assert e["workflows"][0]["status"] == "succeeded"
    assert e["timestamp"].endswith("Z")
    logs = json.loads(run(d, "workflow", "logs", w["id"], "-o", "json").stdout)
    assert [c["text"] for c in logs["items"]] == ["first\n", "second\n"]
    lines = run(d, "workflow", "logs", w["id"], "-o", "jsonl").stdout
    assert [json.loads(line)["step"] for line in lines.splitlines()] == [
        "One", "Two"]
    dry = d.post("/api/runbooks/execute",
                 {"runbook": "echo.yaml", "dry_run": True})["workflow_id"]
    none = json.loads(run(d, "workflow", "logs", dry, "-o", "json").stdout)
    assert none["items"] == []
    p = run(d, "workflow", "logs", w["id"], "-o", "name", code=2)
    assert "no names" in p.stderr
    changes = run(d, "runbook", "run", "echo.yaml", "-w", "-o", "jsonl").stdout
    assert [json.loads(line) for line in changes.splitlines()][-1][
        "status"] == "succeeded"


def test_watch_writes_a_line_for_each_event(engine):
    with subprocess.Popen(
            [os.path.join(BUILD, "adctl"), "-s",
             f"http://127.0.0.1:{engine.port}", "event", "watch", "-o",
             "json"], stdout=subprocess.PIPE, text=True) as p:
        def subscribed():
            text = engine.raw("GET", "/metrics")[2].decode()
            return "autonomous_devops_stream_subscribers 1" in text
        wait_until(subscribed)
        engine.event(type="say")
        assert json.loads(p.stdout.readline())["type"] == "say"
        p.kill()


# ---- what a run was ----------------------------------------------------------


def test_a_dry_run_is_no_success(engine):
    d = engine
    run(d, "runbook", "run", "echo.yaml", "--dry-run")
    row = run(d, "workflow", "list").stdout
    assert "dry_run" in row and "succeeded" not in row
    p = run(d, "workflow", "show", "@latest")
    assert "dry_run" in p.stdout.splitlines()[1]
    w = d.get("/api/workflows")["workflows"][0]
    assert w["dry_run"] is True and w["result"] == "dry_run"
    wait_until(lambda: d.get("/api/metrics")["ledger"]["workflows"][
        "dry_run"] == 1, what="its count")
    assert d.get("/api/metrics")["ledger"]["workflows"]["succeeded"] == 0
    status = adctl(d, "status", check=False).stdout
    assert "1 dry_run" in status and "succeeded" not in status
    assert "no workflow has ended yet" in status


def test_attempts_are_told_apart(engine):
    run(engine, "event", "send", "--type", "twice", "-w")
    p = run(engine, "workflow", "logs", "@latest")
    assert p.stdout == "--- Try\ntry\n--- Try, attempt 2\ntry\n"
    p = run(engine, "workflow", "logs", "@latest", "--step", "Tri", code=5)
    assert 'has no step "Tri"' in p.stderr and "--step 'Try'" in p.stderr


def test_files_that_are_nowhere(engine):
    p = run(engine, "runbook", "validate", "/nope.yaml", code=5)
    assert "there is no file /nope.yaml" in p.stderr
    p = tool(engine, "runbook", "validate", "typo.yaml", "-s",
             "http://127.0.0.1:1", code=9)
    assert "there is no file typo.yaml here" in p.stderr
    engine.write_runbook("bad.yaml", "name: Bad\nstepz: []\n")
    engine.post("/api/admin/reload-runbooks")
    p = run(engine, "runbook", "run", "bad.yaml", code=1)
    assert "try: adctl runbook validate bad.yaml" in p.stderr
    assert "did you mean" in p.stderr


def git(d, *args):
    return subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *args],
        cwd=d.repo, capture_output=True, text=True, check=True).stdout.strip()


def test_the_commit_of_a_workflow_has_its_runbook(engine):
    """Edited, loaded, run, committed, run: each says what it can know."""
    d = engine

    def commit_of_a_run():
        d.post("/api/admin/reload-runbooks")
        w = d.post("/api/runbooks/execute", {"runbook": "echo.yaml"})
        return d.get(f"/api/workflows/{w['workflow_id']}")["commit"]
    git(d, "init", "-q", ".")
    git(d, "add", ".")
    git(d, "commit", "-qm", "one")
    first = git(d, "rev-parse", "HEAD")
    assert commit_of_a_run() == first
    d.write_runbook("echo.yaml", ECHO.replace("first", "1st"))
    assert commit_of_a_run() == first + "-dirty"
    git(d, "commit", "-qam", "two")
    second = git(d, "rev-parse", "HEAD")
    assert second != first
    assert commit_of_a_run() == second


def test_a_dry_run_without_a_plan_is_not_stored(engine):
    engine.write_runbook("long.yaml", """
name: Long
parameters: {text: {type: string, required: true, max_length: 4096}}
steps:
  - name: Say
    action: exec
    argv: [echo, "${{ parameters.text }}${{ parameters.text }}"]
""")
    engine.post("/api/admin/reload-runbooks")
    before = len(engine.get("/api/workflows")["workflows"])
    for text in ("x" * 4096, "-x"):
        status, _, body = engine.raw(
            "POST", "/api/runbooks/execute",
            {"runbook": "long.yaml", "dry_run": True,
             "parameters": {"text": text}})
        after = len(engine.get("/api/workflows")["workflows"])
        assert after == before + (status == 200), (status, body)
        before = after


# ---- README ------------------------------------------------------------------


def readme_block(title):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        section = f.read().split(f"\n## {title}\n")[1].split("\n## ")[0]
    return "\n".join(line[4:] for line in section.splitlines()
                     if line.startswith("    "))


def test_run_it_from_a_folder(tmp_path):
    """As printed, but for the port: everything stays below the folder."""
    os.symlink(BUILD, tmp_path / "build")
    port = free_port()
    block = readme_block("Run it from a folder")
    assert "127.0.0.1:9001" in block
    block = block.replace("127.0.0.1:9001", f"127.0.0.1:{port}")
    *before, serve = block.splitlines()
    done = subprocess.run(["bash", "-euc", "\n".join(before)], cwd=tmp_path,
                          capture_output=True, text=True, check=True)
    assert "OK" in done.stdout
    with open(tmp_path / "log", "wb") as log, \
            subprocess.Popen(["bash", "-c", "exec " + serve], cwd=tmp_path,
                             stdout=log, stderr=log) as engine:
        def ready():
            assert engine.poll() is None, (tmp_path / "log").read_text()
            try:
                return urllib.request.urlopen(
                    f"http://127.0.0.1:{port}/-/ready").status == 200
            except OSError:
                return False
        wait_until(ready)

        def doctor():
            return json.loads(subprocess.run(
                ["build/adctl", "doctor", "-c", "my/config.yaml", "-o",
                 "json"], cwd=tmp_path, capture_output=True, text=True,
                check=False).stdout)["items"]

        def connected():
            return {c["check"]: c for c in doctor()}["executor"][
                "status"] == "ok"
        wait_until(connected)
        assert not [c for c in doctor() if c["status"] == "failed"]
        engine.terminate()
        assert engine.wait(60) == 0
    assert sorted(os.listdir(tmp_path)) == ["build", "log", "my"]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                line = f.read()
        except OSError:
            continue
        if b"\0executor\0" in line and b"my/config.yaml" in line and \
                os.path.realpath(f"/proc/{pid}/cwd") == str(tmp_path):
            os.kill(int(pid), signal.SIGTERM)
