"""Where the configuration comes from, and who the engine runs as."""
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from harness import BUILD, Daemon, adctl, wait_until

PROGRAM = os.path.join(BUILD, "autonomous-devops")

# As the operators' manual prints it.
MANUAL = """\
engine:
  event_processing:
    workers: 4
    queue_size: 10000
    batch_size: 100
  workflow_execution:
    max_concurrent: 20
    timeout: 600
    retry_attempts: 3

integrations:
  prometheus:
    url: http://localhost:9090
    scrape_interval: 15
  alertmanager:
    url: http://localhost:9093
  pagerduty:
    api_key: ${PAGERDUTY_API_KEY}

runbooks:
  repository: /var/lib/autonomous-devops/runbooks
  auto_reload: true
  validation: strict
"""


def run(*words, **environment):
    env = {k: v for k, v in os.environ.items() if k != "PAGERDUTY_API_KEY"}
    env.update(environment)
    return subprocess.run([PROGRAM, *words], env=env, text=True,
                          capture_output=True, timeout=60, check=False)


@pytest.fixture
def manual(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(MANUAL)
    return str(path)


def test_the_manuals_file_is_valid_without_the_variable(manual):
    done = run("check-config", manual)
    assert done.returncode == 0
    assert f"{manual}: OK" in done.stdout
    assert "PAGERDUTY_API_KEY is not set" in done.stderr
    done = run("check-config", manual, PAGERDUTY_API_KEY="k")
    assert done.returncode == 0 and "PAGERDUTY" not in done.stderr
    assert f"{manual}: OK" in done.stdout
    assert f"{manual}:18:5: warning: integrations.pagerduty.api_key" in \
        done.stderr
    assert "set routing_key" in done.stderr


def test_secrets_over_http_are_warned_of(tmp_path):
    path = tmp_path / "config.yaml"
    text = """integrations:
  pagerduty: {url: "http://events.example.com", routing_key: LITERAL}
  slack: {webhook_url: "http://hooks.example.com/x"}
  prometheus: {url: "http://prometheus:9090", bearer_token: t}
  alertmanager: {url: "http://127.0.0.1:9093", bearer_token: t}
"""
    path.write_text(text)
    path.chmod(0o600)

    def warnings():
        report = json.loads(run("check-config", "--json", str(path)).stdout)
        assert report["valid"] is True
        return [w for w in report["warnings"]
                if w["field"].startswith("integrations")]

    found = warnings()
    assert [(w["field"], w["line"]) for w in found] == [
        ("integrations.pagerduty.routing_key", 2),
        ("integrations.slack.webhook_url", 3)]
    assert "LITERAL" not in json.dumps(found)
    assert "insecure_http" in found[0]["hint"]
    path.write_text(text.replace('.com",', '.com", insecure_http: true,')
                    .replace('com/x"', 'com/x", insecure_http: true'))
    assert warnings() == []


def test_the_manuals_file_starts_the_engine(tmp_path):
    d = Daemon(tmp_path / "d")
    own = f"""
server: {{listen: "127.0.0.1:{d.port}"}}
storage: {{url: "sqlite://{d.folder}/state/engine.db"}}
executor: {{socket: "{d.folder}/run/executor.sock",
  spool: "{d.folder}/spool", work: "{d.folder}/work", idle_exit: 5s}}
"""
    text = MANUAL.replace("/var/lib/autonomous-devops/runbooks", d.repo)
    with open(d.config_path, "w", encoding="utf-8") as f:
        f.write(text + own)
    os.environ.pop("PAGERDUTY_API_KEY", None)
    d.start()
    d.close()
    assert "PAGERDUTY_API_KEY is not set" in d.log()


def test_check_config_speaks_json(manual, tmp_path):
    done = run("check-config", "--json", manual)
    report = json.loads(done.stdout)
    assert report["valid"] is True and report["files"] == [manual]
    assert report["errors"] == []
    assert report["warnings"][0]["line"] == 18
    (tmp_path / "config.d").mkdir()
    bad = tmp_path / "config.d" / "10-site.yaml"
    bad.write_text("engine:\n  workers: 4\n")
    done = run("check-config", "--json", manual)
    assert done.returncode == 78
    report = json.loads(done.stdout)
    assert report["valid"] is False
    error = report["errors"][0]
    assert (error["file"], error["line"]) == (str(bad), 2)


def test_show_config_says_where_from(manual):
    done = run("show-config", manual, "--set", "server.listen=127.0.0.1:1",
               PAGERDUTY_API_KEY="hunter2-hunter2", LOGLEVEL="DEBUG")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert f"engine.event_processing.workers: 4  # {manual}:3" in lines
    assert 'server.listen: "127.0.0.1:1"  # --set' in lines
    assert "log.level: debug  # LOGLEVEL" in lines
    assert 'integrations.pagerduty.api_key: "***"  # ' f"{manual}:18" in lines
    assert "hunter2" not in done.stdout + done.stderr
    shown = json.loads(run("show-config", "--json", manual).stdout)
    rows = {row["key"]: row for row in shown["options"]}
    assert rows["runbooks.validation"]["value"] == "strict"
    assert rows["executor.max_running"]["origin"] == "default"


@pytest.mark.parametrize("words", [
    ("serve", "--default-user", "x"), ("executor", "--external-executor"),
    ("serve", "--json"), ("serve", "--set"), ("serve", "--json=1"),
    ("print-config", "extra"), ("--external-executor", "serve"),
    ("serve", *["--set=log.level=info"] * 65), ("serve", "--wrong")])
def test_wrong_usage(words):
    assert run(*words).returncode == 64


def test_a_bad_override_is_a_bad_configuration():
    done = run("serve", "--set", "executor.autostrat=false")
    assert done.returncode == 78
    assert "executor.autostart" in done.stderr


def spawn(d, *words):
    with open(d.log_path, "ab") as log:
        d.process = subprocess.Popen(
            [PROGRAM, *words, "--config", d.config_path], stdout=log,
            stderr=log, stdin=subprocess.DEVNULL)
    return d.process


def test_an_external_executor_is_waited_for(tmp_path):
    d = Daemon(tmp_path / "d", {"t.yaml": "name: T\nsteps:\n"
                                "- {name: a, command: id -un}\n"})
    executor = None
    spawn(d, "serve", "--external-executor")
    try:
        wait_until(d.ready, 30)
        assert d.executor_pid() is None
        with open(d.log_path, "ab") as log:
            executor = subprocess.Popen(
                [PROGRAM, "executor", "--default-user", "nobody", "--config",
                 d.config_path], stdout=log, stderr=log)
        status, _, body = d.raw("POST", "/api/runbooks/execute",
                                b'{"runbook": "t.yaml"}')
        assert status == 202, body
        wid = json.loads(body)["workflow_id"]

        def logs():
            text = d.raw("GET", f"/api/workflows/{wid}/logs")[2]
            return [e["text"] for e in json.loads(text)["logs"]]
        if os.geteuid() == 0:
            wait_until(lambda: "nobody" in "".join(logs()), 30, "the step")
    finally:
        if executor is not None:
            executor.terminate()
            executor.wait(30)
        d.close()


SPOILT = {"owner": lambda path: os.chown(path, 65534, -1),
          "group": lambda path: os.chmod(path, 0o770),
          "all": lambda path: os.chmod(path, 0o757)}


def step_says(d, runbook):
    w = d.post("/api/runbooks/execute", {"runbook": runbook})["workflow_id"]
    d.wait_status(w, "succeeded", "failed")
    return "".join(e["text"] for e in
                   d.get(f"/api/workflows/{w}/logs")["logs"])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("who", SPOILT)
@pytest.mark.parametrize("what", ["config.yaml", "config.d", "config.d/x.yaml"])
def test_an_executor_that_is_root_takes_orders_of_root_only(
        make_daemon, who, what):
    """At its start; a later reading keeps what was."""
    d = make_daemon({"t.yaml":
                     "name: T\nsteps:\n- {name: a, command: id -un}\n"},
                    {"executor": {"user": "nobody", "idle_exit": 0}},
                    start=False)
    main, part = d.config_path, f"{d.folder}/config.d/x.yaml"
    os.mkdir(os.path.dirname(part))
    open(part, "w", encoding="utf-8").close()
    d.start()
    d.wait_executor()
    before = d.executor_pid()
    d.kill9()
    # Root's own change counts, somebody else's does not.
    with open(part, "w", encoding="utf-8") as f:
        f.write("executor: {user: root}\n")
    spoilt = f"{d.folder}/{what}"
    mode = os.stat(spoilt).st_mode
    SPOILT[who](spoilt)
    d.start()
    d.wait_executor()
    assert d.executor_pid() == before
    assert "the configuration is not trusted" in d.log()
    assert spoilt in d.log()
    assert step_says(d, "t.yaml") == "nobody\n"
    done = run("executor", "--config", main)
    assert done.returncode == 78 and "not trusted" in done.stderr, done
    d.kill9()
    os.chown(spoilt, 0, -1)
    os.chmod(spoilt, mode)
    d.start()
    d.wait_executor()
    assert step_says(d, "t.yaml") == "root\n"


def numbers(d):
    lines = d.raw("GET", "/metrics")[2].decode().splitlines()
    return {line.split()[0]: float(line.split()[1]) for line in lines
            if line and not line.startswith("#")}


LAST = "autonomous_devops_config_last_reload_successful"


def reload_by(how, d):
    """Asks for a reload; the outcome, where there is an answer."""
    if how == "signal":
        before = d.log().count("configuration ")
        d.process.send_signal(signal.SIGHUP)
        wait_until(lambda: d.log().count("configuration ") > before,
                   what="the reload")
        return None
    if how == "adctl":
        done = adctl(d, "reload", "-o", "json", check=False)
        assert json.loads(done.stdout)["runbooks"]["loaded"] == 1
        assert done.returncode in (0, 1)
        return json.loads(done.stdout)["config"] if not done.returncode else (
            done.stderr)
    status, _, body = d.raw("POST", "/api/admin/reload-config", b"{}")
    assert status in (200, 422)
    return json.loads(body)


@pytest.mark.parametrize("how", ["signal", "http", "adctl"])
def test_a_reload_is_all_or_nothing(make_daemon, how):
    d = make_daemon({"a.yaml": "name: A\nsteps:\n- {name: a, command: x}\n"},
                    {"engine": {"event_processing": {"workers": 2}}})

    def workers():
        return d.get("/api/admin/workers")["count"]
    assert workers() == 2 and numbers(d)[LAST] == 1
    port = d.port
    good = {"engine": {"event_processing": {"workers": 5,
                                            "queue_size": 999}},
            "executor": {"max_running": 25}}
    d.write_config(good)
    answer = reload_by(how, d)
    wait_until(lambda: workers() == 5, what="five workers")
    assert ("takes effect at a restart only: engine.event_processing.queue_size"
            in d.log())
    if answer is not None:
        assert answer["restart_required"] == [
            "engine.event_processing.queue_size"]
        assert sorted(answer["changed"]) == [
            "engine.event_processing.queue_size",
            "engine.event_processing.workers", "executor.max_running"]

    # One error, and nothing changes, the good part neither.
    d.write_config({"engine": {"event_processing": {"workers": 7}},
                    "executor": {"max_runing": 9}})
    answer = reload_by(how, d)
    wait_until(lambda: numbers(d)[LAST] == 0, what="the metric")
    assert workers() == 5
    health = d.get("/api/health")
    assert health["status"] == "degraded"
    assert "executor.max_runing" in health["checks"]["config"]["error"]
    assert "not reloaded, the old one stays" in d.log()
    if how == "http":
        assert answer["code"] == "config_invalid"
        error = answer["detail"]["errors"][0]
        assert error["hint"] == 'did you mean "max_running"?'
        assert error["file"] == d.config_path and error["line"]
    if how == "adctl":
        assert "max_runing" in answer

    d.write_config(good)
    reload_by(how, d)
    wait_until(lambda: numbers(d)[LAST] == 1, what="the metric")
    assert d.get("/api/health")["checks"]["config"]["ok"] is True
    assert d.port == port
    if how == "http":
        trail = d.get("/api/admin/audit")["audit"]
        assert [r["action"] for r in trail] == ["config.reload"] * 2


def test_changed_files_are_read_again_by_themselves(make_daemon):
    """Once each, when they have stayed as they are; errors change nothing."""
    d = make_daemon(config={"configuration": {"auto_reload": True},
                            "engine": {"event_processing": {"workers": 2}}})

    def workers():
        return d.get("/api/admin/workers")["count"]

    def write(workers, **extra):
        d.write_config({"configuration": {"auto_reload": True, **extra},
                        "engine": {"event_processing": {"workers": workers}}})
    assert workers() == 2
    write(3)
    wait_until(lambda: workers() == 3, what="three workers")
    assert d.get("/api/health")["checks"]["config"]["warning"] is None

    write(4, auto_relod=True)
    wait_until(lambda: numbers(d)[LAST] == 0, what="the refusal")
    health = d.get("/api/health")["checks"]["config"]
    assert "configuration.auto_relod" in health["error"] and workers() == 3
    refusals = d.log().count("not reloaded, the old one stays")
    time.sleep(5)  # two looks later it has not been read again
    assert d.log().count("not reloaded, the old one stays") == refusals == 1

    # Taking the change back is enough, and so is mending it.
    write(3)
    wait_until(lambda: numbers(d)[LAST] == 1, what="the old files")
    assert d.get("/api/health")["checks"]["config"]["ok"] is True
    write(5, auto_relod=True)
    wait_until(lambda: numbers(d)[LAST] == 0, what="the second refusal")
    write(5)
    wait_until(lambda: workers() == 5, what="five workers")
    assert numbers(d)[LAST] == 1

    # A new file in config.d counts, and the option itself is one of them.
    parts = os.path.join(os.path.dirname(d.config_path), "config.d")
    os.mkdir(parts)
    with open(os.path.join(parts, "10.yaml"), "w", encoding="utf-8") as f:
        f.write("configuration: {auto_reload: false}\n"
                "engine: {event_processing: {workers: 6}}\n")
    wait_until(lambda: workers() == 6, what="six workers")
    write(7)
    wait_until(lambda: d.get("/api/health")["checks"]["config"]["warning"],
               what="the warning")
    assert workers() == 6


def test_adctl_waits_for_a_reload_as_long_as_it_is_told(tmp_path):
    """Against one that takes a request and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = subprocess.run(
            [os.path.join(os.path.dirname(PROGRAM), "adctl"), "--server",
             server, "reload", "--timeout", "300ms"],
            capture_output=True, text=True, timeout=60, check=False)
        silent.accept()[0].close()
    assert done.returncode == 7, done.stderr
    assert "did not answer in time" in done.stderr
    assert not done.stdout


def test_a_reload_keeps_the_command_line(tmp_path):
    d = Daemon(tmp_path / "d")
    spawn(d, "serve", "--set", "engine.event_processing.workers=3")
    try:
        wait_until(d.ready, 30)
        d.write_config({"engine": {"event_processing": {"workers": 8}}})
        answer = d.post("/api/admin/reload-config")
        assert answer["changed"] == []
        assert d.get("/api/admin/workers")["count"] == 3
    finally:
        d.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_becomes_the_owner_of_the_state():
    folder = tempfile.mkdtemp(prefix="adp-drop-", dir="/tmp")
    nobody = pwd.getpwnam("nobody")
    try:
        os.chmod(folder, 0o755)
        d = Daemon(os.path.join(folder, "d"))
        for name in ("state", "run", "spool", "work"):
            os.mkdir(f"{d.folder}/{name}", 0o700)
            os.chown(f"{d.folder}/{name}", nobody.pw_uid, nobody.pw_gid)
        d.start()
        with open(f"/proc/{d.process.pid}/status", encoding="ascii") as f:
            lines = dict(line.split(":", 1) for line in f)
        assert lines["Uid"].split() == [str(nobody.pw_uid)] * 4
        assert lines["CapEff"].strip().strip("0") == ""
        # Not dumpable: what is in /proc is root's, not the user's.
        assert os.stat(f"/proc/{d.process.pid}/environ").st_uid == 0
        with open(f"/proc/{d.process.pid}/limits", encoding="ascii") as f:
            core = [x.split() for x in f if x.startswith("Max core file")]
        # The hard limit is the sanitizers' own affair.
        assert core[0][4] == "0"
        d.close()
        for path, _, files in os.walk(f"{d.folder}/state"):
            for name in files:
                uid = os.stat(os.path.join(path, name)).st_uid
                assert uid == nobody.pw_uid, name
    finally:
        shutil.rmtree(folder)
