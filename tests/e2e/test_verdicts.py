"""What the executor will not run is shown before an alert needs it, and two
runbooks that one event would start are named."""
import os
import pwd
import signal
import subprocess
import tempfile

import pytest

from harness import BUILD, Daemon, adctl, wait_until

GOOD = "name: {name}\nsteps:\n- {{name: a, command: 'echo {name}'}}\n"
AS = "name: As\nsteps:\n- {{name: a, command: id, run_as: {user}}}\n"
ON_ALERT = GOOD + "triggers:\n- {{type: alert, labels: {{alertname: {alert}}}}}\n"
MANUAL = {"runbooks": {"auto_reload": False}}
ME = pwd.getpwuid(os.geteuid()).pw_name

as_root = pytest.mark.skipif(os.geteuid() != 0, reason=(
    "an executor that serves its own user alone trusts what that can read"))


def states(d):
    return {r["path"]: r["state"] for r in d.get("/api/runbooks")["runbooks"]}


def in_repo(d, path):
    return os.path.join(d.repo, path)


def gauge(d):
    text = d.raw("GET", "/metrics")[2].decode()
    return next(line.split()[1] for line in text.splitlines()
                if line.startswith("autonomous_devops_runbooks_refused "))


def expect_refused(d, path, *words):
    """Everything that tells of the runbook tells that it is refused."""
    health = d.get("/api/health")
    assert health["status"] == "degraded"
    assert not health["checks"]["runbooks"]["ok"]
    assert health["checks"]["runbooks"]["refused"] == 1
    assert gauge(d) == "1"
    shown = {r["path"]: r for r in d.get("/api/runbooks")["runbooks"]}[path]
    assert shown["state"] == "refused"
    for word in words:
        assert word in shown["refusal"]
    p = adctl(d, "runbook", "list")
    assert "refused" in next(line for line in p.stdout.splitlines()
                             if line.startswith(path))
    assert f"adctl runbook show {path}" in p.stderr
    p = adctl(d, "runbook", "show", path)
    assert "refused" in p.stdout and words[0] in p.stdout
    p = adctl(d, "status", check=False)
    assert p.returncode == 1 and "1 refused by the executor" in p.stdout
    p = adctl(d, "doctor", "--config", d.config_path, check=False)
    assert p.returncode == 1 and f"the executor refuses {path}" in p.stdout
    p = adctl(d, "runbook", "validate", path, check=False, cwd="/")
    assert p.returncode == 1 and words[0] in p.stdout


def expect_well(d):
    wait_until(lambda: d.get("/api/health")["checks"]["runbooks"]["refused"]
               == 0, what="that nothing is refused")
    assert d.get("/api/health")["checks"]["runbooks"]["ok"]
    assert set(states(d).values()) == {"loaded"}
    assert gauge(d) == "0"


@as_root
@pytest.mark.parametrize("path", ["sub/a.yaml", "sub"])
def test_what_others_can_write_is_refused_until_it_is_mended(make_daemon, path):
    d = make_daemon({"sub/a.yaml": GOOD.format(name="a"),
                     "b.yaml": GOOD.format(name="b")}, MANUAL)
    d.wait_executor()
    expect_well(d)
    mode = os.stat(in_repo(d, path)).st_mode & 0o777
    os.chmod(in_repo(d, path), mode | 0o020)
    answer = d.post("/api/admin/reload-runbooks")
    assert answer["refused"] == 1 and answer["rejected"] == 0
    assert [r["path"] for r in answer["files"]["refused"]] == ["sub/a.yaml"]
    assert f"chmod go-w {in_repo(d, path)}" in \
        answer["files"]["refused"][0]["refusal"]
    expect_refused(d, "sub/a.yaml", f"chmod go-w {in_repo(d, path)}")
    assert states(d)["b.yaml"] == "loaded"
    p = adctl(d, "reload", "runbooks")
    assert "1 refused" in p.stdout and "refuses sub/a.yaml" in p.stderr
    # Told once, not with every reload.
    assert d.log().count("the executor refuses sub/a.yaml") == 1
    os.chmod(in_repo(d, path), mode)
    answer = d.post("/api/admin/reload-runbooks")
    assert answer["refused"] == 0 and answer["files"]["refused"] == []
    expect_well(d)
    assert "the executor no longer refuses sub/a.yaml" in d.log()


@as_root
def test_modes_are_noticed_by_themselves(make_daemon):
    d = make_daemon({"sub/a.yaml": GOOD.format(name="a")})
    d.wait_executor()
    for path in ("sub/a.yaml", "sub", ""):
        mode = os.stat(in_repo(d, path)).st_mode & 0o777
        os.chmod(in_repo(d, path), mode | 0o002)
        wait_until(lambda: states(d)["sub/a.yaml"] == "refused",
                   what=f"a refusal for the mode of '{path}'")
        os.chmod(in_repo(d, path), mode)
        wait_until(lambda: states(d)["sub/a.yaml"] == "loaded",
                   what="the refusal's end")


def test_a_reload_of_the_configuration_permits_a_user(make_daemon):
    d = make_daemon({"as.yaml": AS.format(user=ME)}, MANUAL)
    d.wait_executor()
    wait_until(lambda: states(d)["as.yaml"] == "refused", what="the refusal")
    why = f"executor.run_as_allowed does not permit {ME} to as.yaml"
    expect_refused(d, "as.yaml", why)
    allowed = {"user": ME, "runbooks": ["as.yaml"]}
    d.write_config({**MANUAL, "executor": {
        "socket": f"{d.folder}/run/executor.sock", "spool": f"{d.folder}/spool",
        "work": f"{d.folder}/work", "run_as_allowed": [allowed]}})
    answer = d.post("/api/admin/reload-config")
    assert "executor.run_as_allowed" in answer["changed"]
    assert answer["restart_required"] == []
    expect_well(d)
    w = d.post("/api/runbooks/execute", {"runbook": "as.yaml"})["workflow_id"]
    d.wait_status(w, "succeeded")
    # The connection that was renewed for it is no news.
    assert "the executor is not connected" not in d.log()
    d.write_config(MANUAL)
    d.post("/api/admin/reload-config")
    wait_until(lambda: states(d)["as.yaml"] == "refused", what="the refusal")


@as_root
def test_another_executor_is_asked_again(make_daemon):
    d = make_daemon({"a.yaml": GOOD.format(name="a")}, MANUAL)
    d.wait_executor()
    os.chmod(in_repo(d, "a.yaml"), 0o666)
    d.post("/api/admin/reload-runbooks")
    assert states(d)["a.yaml"] == "refused"
    os.chmod(in_repo(d, "a.yaml"), 0o644)
    os.kill(d.executor_pid(), signal.SIGTERM)
    wait_until(lambda: not d.get("/api/health")["checks"]["executor"]["ok"],
               what="the executor's end")
    assert states(d)["a.yaml"] == "refused"  # its last word
    d.stop()
    d.start()
    d.wait_executor()
    expect_well(d)


def test_an_executor_that_does_not_come_back_is_missed(make_daemon):
    d = make_daemon({"a.yaml": GOOD.format(name="a")}, MANUAL)
    d.wait_executor()
    pid = d.executor_pid()
    os.kill(pid, signal.SIGSTOP)  # it takes no connection now
    try:
        d.write_config({**MANUAL, "executor": {
            "socket": f"{d.folder}/run/executor.sock", "max_running": 77,
            "spool": f"{d.folder}/spool", "work": f"{d.folder}/work"}})
        assert d.post("/api/admin/reload-config")["changed"] == [
            "executor.max_running"]
        wait_until(lambda: "the executor is not connected" in d.log(),
                   what="a word of it")
        assert not d.get("/api/health")["checks"]["executor"]["ok"]
    finally:
        os.kill(pid, signal.SIGCONT)
    d.wait_executor()
    expect_well(d)


def test_copies_are_named(make_daemon):
    text = ON_ALERT.format(name="Web", alert="WebDown")
    d = make_daemon({"web.yaml": text, "web-old.yaml": text,
                     "alone.yaml": ON_ALERT.format(name="X", alert="X")},
                    MANUAL)
    d.wait_executor()
    assert d.get("/api/health")["status"] == "ok"  # a warning, no more
    expected = "web-old.yaml: the same text as web.yaml: one event would " \
        "start both"
    assert expected in adctl(d, "runbook", "list").stderr
    assert expected in adctl(d, "reload", "runbooks").stderr
    warnings = [p for p in d.post("/api/admin/reload-runbooks")["problems"]]
    assert [(p["file"], p["warning"]) for p in warnings] == [
        ("web-old.yaml", True), ("web.yaml", True)]
    p = adctl(d, "doctor", "--config", d.config_path, check=False)
    assert expected in p.stdout
    p = adctl(d, "runbook", "validate", "web.yaml", check=False, cwd="/")
    assert p.returncode == 3 and "the same text as web-old.yaml" in p.stdout
    p = adctl(d, "runbook", "show", "web.yaml")
    assert "adctl runbook disable web-old.yaml" in p.stdout
    adctl(d, "runbook", "disable", "web-old.yaml", "--reason", "a copy")
    assert "one event would start both" not in adctl(d, "runbook", "list").stderr
    # Another text and name, the same conditions.
    told = d.log().count("one event would start both")
    adctl(d, "runbook", "enable", "web-old.yaml")
    wait_until(lambda: d.log().count("one event would start both") == told + 2,
               what="both to be told")
    d.write_runbook("web-old.yaml", ON_ALERT.format(name="Y", alert="WebDown"))
    p = adctl(d, "reload", "runbooks")
    assert "web.yaml: the same triggers as web-old.yaml" in p.stderr
    assert "web-old.yaml: the same triggers as web.yaml" in d.log()


def test_a_rejected_file_is_told_whole(make_daemon):
    d = make_daemon({"a.yaml": GOOD.format(name="a")}, MANUAL)
    d.write_runbook("bad.yaml", "name: B\ncolour: red\nsteps:\n"
                                "- {name: a, comand: x}\n")
    os.mkdir(in_repo(d, "dir.yaml"))
    os.symlink("/etc/hostname", in_repo(d, "link.yaml"))
    for n in range(4):
        d.write_runbook(f"bad{n}.yaml", "name: [")
    d.post("/api/admin/reload-runbooks")
    log = d.log()
    assert "runbook bad.yaml:2:1: a runbook has no key 'colour'" in log
    assert "runbook bad.yaml:4:13: a step has no key 'comand'" in log
    assert ":0:0:" not in log
    p = adctl(d, "runbook", "list")
    hint = p.stderr.split("adctl runbook validate ")[1].splitlines()[0]
    assert "..." not in p.stderr
    assert len(hint.split()) == 3
    p = adctl(d, "runbook", "show", "link.yaml", check=False)
    assert "0:0" not in p.stdout


# ---- on this machine, whether the engine runs or not --------------------------

def here(*args, **kwargs):
    p = subprocess.run([os.path.join(BUILD, "adctl"), "--server",
                        "http://127.0.0.1:9", *args], capture_output=True,
                       text=True, timeout=60, stdin=subprocess.DEVNULL,
                       check=False, **kwargs)
    return p.returncode, p.stdout + p.stderr


@pytest.fixture
def open_daemon():
    """One that never starts, in a folder that everybody may enter."""
    folder = tempfile.mkdtemp(prefix="adp-verdicts-")
    os.chmod(folder, 0o755)
    d = Daemon(folder, {"sub/a.yaml": GOOD.format(name="a"),
                        "b.yaml": GOOD.format(name="b")})
    yield d
    d.wipe()


@as_root
def test_validate_and_doctor_see_what_the_executor_sees(open_daemon, tmp_path):
    d = open_daemon
    config = ("--config", d.config_path)
    file = in_repo(d, "sub/a.yaml")
    assert here("runbook", "validate", file, *config) == (0, f"{file}: ok\n")
    _, out = here("doctor", *config)
    assert "only owners write runbooks, state and configuration" in out
    for path in ("sub/a.yaml", "sub", ""):
        mode = os.stat(in_repo(d, path)).st_mode & 0o777
        os.chmod(in_repo(d, path), mode | 0o020)
        mend = f"chmod go-w {in_repo(d, path)}".rstrip("/")
        code, out = here("runbook", "validate", file, *config)
        assert code == 1 and mend in out
        code, out = here("runbook", "validate", "--all", d.repo, *config)
        assert code == 1 and mend in out
        _, out = here("doctor", *config)
        assert mend in out and "only owners write" not in out
        os.chmod(in_repo(d, path), mode)
    os.chown(file, 65534, 65534)
    code, out = here("runbook", "validate", file, *config)
    assert code == 1 and f"{file} belongs to nobody" in out
    # Elsewhere nobody runs it.
    loose = tmp_path / "loose.yaml"
    loose.write_text(GOOD.format(name="x"))
    loose.chmod(0o666)
    assert here("runbook", "validate", str(loose), *config)[0] == 0


def test_validate_knows_who_may_be_named(open_daemon):
    d = open_daemon
    file = d.write_runbook("as.yaml", AS.format(user=ME))
    config = ("--config", d.config_path)
    code, out = here("runbook", "validate", file, *config)
    assert code == 1 and f"does not permit {ME} to as.yaml" in out
    assert f"executor.run_as_allowed in {d.config_path}" in out
    code, out = here("runbook", "validate", "--all", d.repo, *config)
    assert code == 1 and f"does not permit {ME} to as.yaml" in out
    allowed = {"run_as_allowed": [{"user": ME, "runbooks": ["as.yaml"]}]}
    d.write_config({"executor": allowed})
    assert here("runbook", "validate", file, *config)[0] == 0
    code, out = here("runbook", "validate", file, "--config", "/no/such")
    assert code == 1 and "check-config /no/such" in out


@as_root
def test_root_looks_with_the_engines_eyes(open_daemon):
    d = open_daemon
    config = ("--config", d.config_path)
    state = os.path.join(d.folder, "state")
    os.mkdir(state)
    os.chown(state, 65534, 65534)
    file = in_repo(d, "sub/a.yaml")
    os.chmod(file, 0o600)
    mend = f"chgrp nogroup {file}; chmod 640 {file}"
    code, out = here("runbook", "validate", file, *config)
    assert code == 1 and "the engine's user nobody cannot read" in out
    assert mend in out
    _, out = here("doctor", *config)
    assert f"the engine's user nobody cannot read {file}" in out and mend in out
    subprocess.run(mend, shell=True, check=True)
    assert here("runbook", "validate", file, *config)[0] == 0
    os.chmod(in_repo(d, "sub"), 0o700)
    code, out = here("runbook", "validate", file, *config)
    assert code == 1 and "cannot enter the folder " + in_repo(d, "sub") in out
    os.chmod(in_repo(d, "sub"), 0o755)
    os.chmod(d.config_path, 0o600)
    _, out = here("doctor", *config)
    assert f"chmod 640 {d.config_path}" in out
    os.chmod(d.config_path, 0o644)
    assert "only owners write" in here("doctor", *config)[1]


def test_validate_names_copies(open_daemon, tmp_path):
    d = open_daemon
    text = ON_ALERT.format(name="Web", alert="WebDown")
    one = d.write_runbook("web.yaml", text)
    config = ("--config", d.config_path)
    assert here("runbook", "validate", one, *config)[0] == 0
    d.write_runbook("web-old.yaml", text)
    expected = "the same text as web-old.yaml: one event would start both"
    for args in ((one, *config), ("--all", d.repo)):
        code, out = here("runbook", "validate", *args)
        assert code == 3 and expected in out, args
    assert expected.replace("web-old", "web") in here("doctor", *config)[1]
    files = []
    for name in ("a", "b"):
        files.append(str(tmp_path / f"{name}.yaml"))
        (tmp_path / f"{name}.yaml").write_text(
            ON_ALERT.format(name=name, alert="X"))
    code, out = here("runbook", "validate", *files)
    assert code == 3 and f"the same triggers as {files[1]}" in out
    assert here("runbook", "validate", files[0], files[0])[0] == 0
