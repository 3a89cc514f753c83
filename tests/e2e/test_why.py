"""Why is it not well? Whatever troubles the engine has its name, its reason and
a next step in adctl status, adctl doctor and the API."""
import json
import os
import shutil
import subprocess
import sys

import pytest

import harness
from harness import BUILD, ROOT, adctl, free_port, wait_until
from test_refusals import EVENT, fill, small_disk  # noqa: F401


ONE = """
name: One
steps:
  - {name: Nothing, action: exec, command: "true"}
"""


def status(d, code=1):
    p = adctl(d, "status", check=False)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p.stdout


def line(text, name):
    """The line of a row, and those that belong to it."""
    lines = text.splitlines()
    start = next((i for i, row in enumerate(lines)
                  if row.startswith(name + " ")), None)
    assert start is not None, text
    end = start + 1
    while end < len(lines) and lines[end].startswith(" "):
        end += 1
    return "\n".join(lines[start:end])


def findings(d, *args):
    p = adctl(d, "doctor", "-c", d.config_path, "-o", "json", *args,
              check=False)
    return {i["check"]: i for i in json.loads(p.stdout)["items"]}


def reload(d):
    """With it the connection to the executor is made anew."""
    d.post("/api/admin/reload-config")
    d.wait_executor()


def rewrite(d, old, new):
    with open(d.config_path, encoding="utf-8") as f:
        text = f.read()
    assert old in text
    with open(d.config_path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))


# ---- the configuration -------------------------------------------------------


def test_a_reload_that_failed_is_named(make_daemon):
    d = make_daemon()
    d.wait_executor()
    with open(d.config_path, encoding="utf-8") as f:
        good = f.read()
    with open(d.config_path, "a", encoding="utf-8") as f:
        f.write("\nnonsense\n")
    d.post("/api/admin/reload-config", {}, 422)
    # Mended, but not read again: the file has nothing to show.
    with open(d.config_path, "w", encoding="utf-8") as f:
        f.write(good)
    health = d.get("/api/health")["checks"]["config"]
    assert health["error"].startswith(d.config_path)
    row = line(status(d), "config")
    assert "failed" in row and d.config_path in row
    assert "adctl reload" in row
    found = findings(d)["in force"]
    assert found["status"] == "failed" and d.config_path in found["detail"]
    assert "adctl reload" in found["next"]
    reload(d)
    assert "config" not in status(d, 0)
    assert findings(d)["in force"]["status"] == "ok"


# ---- the disk ----------------------------------------------------------------


def test_a_full_disk_is_named(make_daemon, small_disk):  # noqa: F811
    d = make_daemon(config={"storage": {
        "url": f"sqlite://{small_disk}/state/engine.db"}})
    d.wait_executor()
    fill(small_disk / "filler")
    wait_until(lambda: d.raw("POST", "/api/events", EVENT)[0] == 507, 60,
               "the refusal")
    text = status(d)
    assert "failed" in line(text, "disk") and "df -h" in line(text, "disk")
    assert "failed" in line(text, "store") and "full" in line(text, "store")
    found = findings(d)
    assert found["store"]["status"] == "failed"
    assert "takes events" not in found["store"]["detail"]
    assert found["disk space"]["status"] == "failed"


def warning(d):
    return d.get("/api/health")["checks"]["config"]["warning"]


def test_a_file_that_is_not_in_force_is_named(make_daemon):
    d = make_daemon()
    d.wait_executor()
    assert warning(d) is None
    rewrite(d, '"debug"', '"info"')
    wait_until(lambda: warning(d), what="the warning")
    assert d.get("/api/health")["status"] == "ok"  # it is nothing wrong
    row = line(status(d, 3), "config")
    assert f"{d.config_path} has changed since 20" in row
    assert "adctl reload" in row
    found = findings(d)["in force"]
    assert found["status"] == "warning" and found["next"] == "adctl reload"
    assert "has changed" in found["detail"]
    reload(d)
    assert warning(d) is None
    assert "config" not in status(d, 0)


def test_what_waits_for_a_restart_is_named(make_daemon):
    d = make_daemon(config={"limits": {"stream_clients": 7}})
    d.wait_executor()
    rewrite(d, '"stream_clients": 7', '"stream_clients": 8')
    reload(d)
    row = line(status(d, 3), "config")
    assert "restart" in row and "limits.stream_clients" in row


# ---- partner systems ---------------------------------------------------------


def test_a_partner_that_is_down_is_named(make_daemon):
    d = make_daemon()
    d.wait_executor()
    assert findings(d)["integrations"]["status"] == "ok"
    assert "integrations" not in status(d, 0)
    d.api("PUT", "/api/integrations/prometheus",
          {"url": f"http://127.0.0.1:{free_port()}"})
    d.post("/api/integrations/prometheus/health", {})
    row = line(status(d, 3), "integrations")
    assert "1 of 1 unhealthy: prometheus" in row
    assert "adctl integration list" in row
    found = findings(d)["integrations"]
    assert found["status"] == "warning" and "prometheus" in found["detail"]
    assert found["next"] == "adctl integration list"
    health = d.get("/api/health")  # it is not the engine that is ill
    assert health["status"] == "ok"
    assert health["checks"]["integrations"]["ok"] is True
    assert health["checks"]["integrations"]["unhealthy"] == 1
    d.post("/api/integrations/prometheus/pause", {})
    assert "paused: prometheus" in line(status(d, 3), "integrations")
    d.post("/api/integrations/prometheus/disable", {})
    assert "integrations" not in status(d, 0)


# ---- the queue ---------------------------------------------------------------


def test_a_queue_that_is_full_since_it_rests(make_daemon):
    d = make_daemon(config={"engine": {"event_processing": {
        "queue_size": 20}}})
    d.wait_executor()
    d.post("/api/admin/pause-processing")

    def refusal():
        status, _, body = d.raw("POST", "/api/events", EVENT)
        return json.loads(body) if status == 503 else None
    body = wait_until(refusal, what="the refusal")
    assert body["code"] == "queue_full"
    assert "paused by uid:" in body["error"]
    assert "adctl queue resume" in body["error"]
    p = adctl(d, "event", "send", "--type", "test", check=False)
    assert p.returncode == 9 and "paused by uid:" in p.stderr
    assert "try: adctl queue resume" in p.stderr
    wait_until(lambda: "refused" in line(status(d), "queue"),
               what="the word of it")
    assert "adctl queue resume" in line(status(d), "queue")
    found = findings(d)["queue"]
    assert "refused" in found["detail"] and "paused by" in found["detail"]
    assert found["next"] == "adctl queue resume"
    d.post("/api/admin/resume-processing")
    wait_until(lambda: d.raw("POST", "/api/events", EVENT)[0] == 202,
               what="room")


# ---- what cannot be looked at ------------------------------------------------


def test_reasons_for_looking_away_are_true(make_daemon):
    d = make_daemon()
    d.stop()
    with open(d.config_path, "w", encoding="utf-8") as f:
        f.write("servr: 1\n")
    found = findings(d)
    for name in ("runbooks", "permissions", "steps", "programs", "folders",
                 "backups", "disk space"):
        assert found[name]["status"] == "skipped", found[name]
        assert found[name]["detail"] == "the configuration cannot be read"
    found = findings(d, "--server", "http://192.0.2.1:9")
    assert found["disk space"]["detail"] == "the engine is on another machine"


def test_a_wrong_repository_is_told_where_it_stands(make_daemon):
    d = make_daemon()
    d.stop()
    rewrite(d, d.repo, d.repo + "z")
    found = findings(d)["runbooks"]
    assert found["status"] == "failed"
    assert f"runbooks.repository in {d.config_path}" in found["next"]


def test_runbooks_that_could_not_be_read_again_are_named(make_daemon):
    d = make_daemon({"one.yaml": ONE})
    d.wait_executor()
    os.rename(d.repo, d.repo + "z")
    d.post("/api/admin/reload-runbooks", {}, 500)
    row = line(status(d), "runbooks")
    assert "1 in force" in row and "last reload" in row
    assert "adctl reload runbooks" in row
    p = adctl(d, "doctor", "-c", d.config_path, check=False)
    assert "the last reload of the runbooks failed" in p.stdout
    os.rename(d.repo + "z", d.repo)
    d.post("/api/admin/reload-runbooks")
    wait_until(lambda: d.get("/api/health")["status"] == "ok",
               what="good health")
    assert "last reload" not in status(d, 0)


# ---- programs ----------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="others may not look")
def test_a_program_from_before_an_upgrade_is_named(make_daemon, tmp_path,
                                                   monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("autonomous-devops", "adctl"):
        shutil.copy2(os.path.join(BUILD, name), folder / name)
    monkeypatch.setattr(harness, "BUILD", str(folder))
    d = make_daemon()
    d.wait_executor()
    assert findings(d)["programs"]["status"] == "ok"
    shutil.copy2(folder / "autonomous-devops", folder / "new")
    os.rename(folder / "new", folder / "autonomous-devops")
    p = adctl(d, "doctor", "-c", d.config_path, check=False)
    assert "the engine (pid" in p.stdout and "the executor (pid" in p.stdout
    assert "systemctl restart autonomous-devops-executor" in p.stdout
    assert findings(d)["programs"]["status"] == "warning"


# ---- the manual's own configuration ------------------------------------------


def test_a_key_that_is_meant_so_is_no_finding(make_daemon):
    """PagerDuty with an api_key only, as the operators' manual has it."""
    d = make_daemon(config={"integrations": {"pagerduty": {
        "api_key": "k", "api_url": f"http://127.0.0.1:{free_port()}"}}})
    os.chmod(d.config_path, 0o600)
    found = findings(d)["configuration"]
    assert found["status"] == "ok" and "1 remark" in found["detail"]
    assert "check-config" in found["next"]


# ---- an engine at another address --------------------------------------------


def in_an_etc(tmp_path, config, *words):
    """Runs the words where /etc/autonomous-devops/config.yaml is this."""
    etc = tmp_path / "etc"
    etc.mkdir(exist_ok=True)
    script = (
        'mount -t tmpfs none "$0" && mkdir "$0/upper" "$0/work" && '
        'mount -t overlay -o lowerdir=/etc,upperdir="$0/upper",'
        'workdir="$0/work" none /etc && mkdir -p /etc/autonomous-devops && '
        'cp "$1" /etc/autonomous-devops/config.yaml || exit 99; '
        'shift; exec "$@"')
    environment = {k: v for k, v in os.environ.items() if k != "AD_SERVER"}
    p = subprocess.run(["unshare", "-m", "sh", "-c", script, str(etc),
                        config, *words], capture_output=True, text=True,
                       check=False, timeout=60, env=environment,
                       stdin=subprocess.DEVNULL)
    if p.returncode == 99 or "unshare" in p.stderr:
        pytest.skip(f"needs a file system of its own: {p.stderr}")
    return p


def test_the_configured_address_is_asked(make_daemon, tmp_path):
    d = make_daemon()
    d.wait_executor()
    ask = os.path.join(BUILD, "adctl")
    p = in_an_etc(tmp_path, d.config_path, ask, "status", "-o", "json")
    assert p.returncode == 0, p.stderr
    assert json.loads(p.stdout)["server"] == f"http://127.0.0.1:{d.port}"
    p = in_an_etc(tmp_path, d.config_path, ask, "status", "--server",
                  "http://127.0.0.1:1")
    assert p.returncode == 9 and "http://127.0.0.1:1 cannot" in p.stderr
    p = in_an_etc(
        tmp_path, d.config_path, "env", "-C", ROOT, sys.executable, "-c",
        "from src.autonomous_engine import get_queue_health; "
        "get_queue_health()")
    assert p.returncode == 0, p.stderr
