"""adctl restore: runbooks and configuration come back with the state, nothing
that is there is lost, and it says what it did and what is next."""
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from harness import BUILD, wait_until

ADCTL = os.path.join(BUILD, "adctl")
MINE = """\
name: Mine
triggers:
  - {type: alert, labels: {alertname: Mine}}
steps:
  - {name: Say, action: exec, command: "echo mine"}
"""
SECRET = "s3cr3t-" + "0123456789abcdef" * 2


@pytest.fixture
def engine(make_daemon, tmp_path):
    d = make_daemon({"a/mine.yaml": MINE, "other.yaml": MINE},
                    {"backup": {"directory": str(tmp_path / "backups")}})
    d.wait_executor()
    d.state = os.path.join(d.folder, "state")
    d.runbooks = os.path.join(d.folder, "runbooks")
    return d


def tool(d, *args, code=0, env=None):
    p = subprocess.run([ADCTL, *args, "--config", d.config_path],
                       capture_output=True, text=True, timeout=120,
                       check=False, stdin=subprocess.DEVNULL,
                       env={**os.environ, **(env or {})})
    assert p.returncode == code, (args, p.returncode, p.stdout, p.stderr)
    return p


def backup(d):
    return json.loads(tool(d, "backup", "-o", "json").stdout)


def restore(d, *args, code=0):
    return json.loads(tool(d, "restore", *args, "-o", "json",
                           code=code).stdout)


def tree(folder):
    """Every file below, hidden ones too, with what is in it."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            with open(full, "rb") as f:
                found[os.path.relpath(full, folder)] = f.read()
    return found


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def runs(d):
    event = d.event(type="alert", labels={"alertname": "Mine"})
    return d.wait_workflow(event)["status"]


# ---- by the command alone ------------------------------------------------------

@pytest.mark.parametrize("lost", ["folder", "content"])
def test_state_and_runbooks_come_back(engine, lost):
    d = engine
    write(f"{d.runbooks}/.git/HEAD", "ref: refs/heads/main\n")
    before = tree(d.runbooks)
    made = backup(d)
    d.kill9()
    shutil.rmtree(d.state)
    if lost == "folder":
        shutil.rmtree(d.runbooks)
    else:
        shutil.rmtree(f"{d.runbooks}/a")
        os.unlink(f"{d.runbooks}/other.yaml")
    p = tool(d, "restore")
    assert made["name"] in p.stdout
    assert f"2 put back into {d.runbooks}" in p.stdout, p.stdout
    assert f"put back into {d.state}" in p.stdout
    assert "systemctl start autonomous-devops" in p.stderr
    if lost == "folder":
        del before[".git/HEAD"]
    assert tree(d.runbooks) == before
    assert os.stat(f"{d.runbooks}/a/mine.yaml").st_mode & 0o777 == 0o644
    d.start()
    d.wait_executor()
    assert runs(d) == "succeeded"


def test_a_lost_configuration_comes_back(engine):
    """With nothing but the folder of backups; then all the rest."""
    d = engine
    made = backup(d)
    folder = os.path.dirname(made["path"])
    d.kill9()
    for path in (d.state, d.runbooks):
        shutil.rmtree(path)
    os.unlink(d.config_path)
    # What is asked for by name and is not there is no reason to guess.
    p = tool(d, "restore", "--from", folder, code=1)
    assert "adctl restore --only config --from DIR" in p.stderr
    assert not os.path.exists(d.state)
    p = tool(d, "restore", "--only", "config", "--from", folder)
    assert f"put back as {d.config_path}" in p.stdout
    assert "next: autonomous-devops check-config" in p.stderr
    assert os.stat(d.config_path).st_mode & 0o777 == 0o640
    assert not os.path.exists(d.state)
    tool(d, "restore")
    d.start()
    d.wait_executor()
    assert runs(d) == "succeeded"


def test_a_broken_configuration_is_replaced(engine):
    d = engine
    folder = os.path.dirname(backup(d)["path"])
    d.stop()
    write(d.config_path, "engin: {\n")
    tool(d, "restore", "--from", folder, code=1)
    done = restore(d, "--only", "config", "--from", folder)
    with open(done["config_restored"]["aside"], encoding="utf-8") as f:
        assert f.read() == "engin: {\n"
    d.start()


def test_a_state_is_not_put_where_nobody_will_look(engine, tmp_path):
    """The backup's configuration names other places than the present one."""
    d = engine
    folder = os.path.dirname(backup(d)["path"])
    d.stop()
    before = tree(d.state)
    with open(d.config_path, encoding="utf-8") as f:
        text = f.read()
    write(d.config_path, text.replace(d.state, str(tmp_path / "elsewhere")))
    p = tool(d, "restore", "--everything", "--from", folder, code=6)
    assert "adctl restore --only config" in p.stderr
    assert tree(d.state) == before
    assert not (tmp_path / "elsewhere").exists()
    tool(d, "restore", "--only", "config", "--from", folder)
    tool(d, "restore", "--everything", "--from", folder)
    d.start()


# ---- what is there ----------------------------------------------------------------

def test_runbooks_that_are_there_stay_unless_told(engine):
    d = engine
    backup(d)
    d.stop()
    write(f"{d.runbooks}/other.yaml", MINE.replace("Mine", "Changed"))
    before = tree(d.runbooks)
    p = tool(d, "restore")
    assert "adctl restore --only runbooks replaces" in p.stdout, p.stdout
    assert tree(d.runbooks) == before
    assert restore(d)["runbooks_restored"]["outcome"] == "kept"
    assert restore(d)["config_restored"]["outcome"] == "kept"


def test_runbooks_are_replaced_while_the_engine_runs(engine):
    """Their repository and what is no runbook stay; what differs is set
    aside."""
    d = engine
    write(f"{d.runbooks}/.git/HEAD", "ref: refs/heads/main\n")
    write(f"{d.runbooks}/README.md", "mine\n")
    backup(d)
    accepted = len(post(d, 3))
    write(f"{d.runbooks}/a/mine.yaml", MINE.replace("Mine", "Changed"))
    write(f"{d.runbooks}/new/b.yaml", MINE.replace("Mine", "New"))
    os.symlink("/etc/passwd", f"{d.runbooks}/link.yaml")
    same = os.stat(f"{d.runbooks}/other.yaml")
    p = tool(d, "restore", "--only", "runbooks", "--dry-run")
    assert "would be put back into" in p.stdout
    assert os.path.exists(f"{d.runbooks}/new/b.yaml")
    done = restore(d, "--only", "runbooks")
    assert done["state_restored"]["outcome"] == "not asked"
    part = done["runbooks_restored"]
    assert (part["written"], part["unchanged"], part["set_aside"]) == (1, 1, 3)
    aside = part["aside"]
    assert os.path.dirname(aside) == d.runbooks
    assert sorted(os.listdir(aside)) == ["a", "link.yaml", "new"]
    assert b"Changed" in tree(aside)["a/mine.yaml"]
    assert os.path.islink(f"{aside}/link.yaml")
    now = {p: t for p, t in tree(d.runbooks).items()
           if not p.startswith(".before-")}
    assert now == {".git/HEAD": b"ref: refs/heads/main\n",
                   "README.md": b"mine\n", "a/mine.yaml": MINE.encode(),
                   "other.yaml": MINE.encode()}
    assert os.stat(f"{d.runbooks}/other.yaml").st_ino == same.st_ino
    d.post("/api/admin/reload-runbooks", {})
    names = {r["path"] for r in d.get("/api/runbooks")["runbooks"]}
    assert names == {"a/mine.yaml", "other.yaml"}
    assert d.get("/api/metrics")["ledger"]["accepted"] == accepted
    # Nothing to do: nothing done.
    part = restore(d, "--only", "runbooks")["runbooks_restored"]
    assert (part["written"], part["unchanged"], part["aside"]) == (0, 2, None)


def post(d, n):
    return d.post("/api/events", [{"type": "alert", "labels": {
        "alertname": "Nothing"}}] * n)["ids"]


def test_all_is_replaced_and_set_aside(engine):
    d = engine
    backup(d)
    d.stop()
    os.chmod(d.config_path, 0o600)
    with open(d.config_path, "a", encoding="utf-8") as f:
        f.write("\n# changed\n")
    write(f"{d.runbooks}/new.yaml", MINE)
    done = restore(d, "--everything")
    assert done["state_restored"]["outcome"] == "restored"
    assert os.path.exists(f"{done['state_restored']['aside']}/engine.db")
    assert os.listdir(done["runbooks_restored"]["aside"]) == ["new.yaml"]
    with open(done["config_restored"]["aside"], encoding="utf-8") as f:
        assert f.read().endswith("# changed\n")
    assert os.stat(d.config_path).st_mode & 0o777 == 0o600
    d.start()
    # Twice within a second: neither is lost.
    d.stop()
    asides = set()
    for text in ("one", "two"):
        write(d.config_path, f"# {text}\nlog: {{level: info}}\n")
        done = restore(d, "--only", "config", "--from",
                       os.path.dirname(done["path"]))
        asides.add(done["config_restored"]["aside"])
    assert len(asides) == 2


def test_a_backup_without_runbooks_replaces_none(engine):
    d = engine
    os.rename(d.runbooks, d.runbooks + ".away")
    tool(d, "backup", code=3)
    os.rename(d.runbooks + ".away", d.runbooks)
    before = tree(d.runbooks)
    p = tool(d, "restore", "--only", "runbooks", code=1)
    assert "the backup has none" in p.stdout and "runbooks" in p.stderr
    assert tree(d.runbooks) == before


def test_killed_at_any_moment_it_is_done_by_the_next(engine):
    d = engine
    for i in range(100):
        write(f"{d.runbooks}/many/r{i}.yaml", MINE.replace("Mine", f"R{i}"))
    backup(d)
    good = tree(d.runbooks)
    for delay in (0.01, 0.02, 0.03, 0.05, 0.08):
        for i in range(0, 100, 2):
            write(f"{d.runbooks}/many/r{i}.yaml", f"# {delay} {i}\n")
        changed = tree(d.runbooks)
        p = subprocess.Popen(
            [ADCTL, "restore", "--only", "runbooks", "--config",
             d.config_path], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(delay)
        os.killpg(p.pid, signal.SIGKILL)  # and the process that puts
        p.wait()
        # A runbook is the old one or the new one; never a part, never gone.
        there = tree(d.runbooks)
        for path in changed:
            assert there.get(path) in (good[path], changed[path]), path
        wait_until(lambda: tool_again(d), what="the lock of the killed")
        now = {p: t for p, t in tree(d.runbooks).items()
               if not p.startswith(".before-")}
        assert now == good
        for name in os.listdir(d.runbooks):
            if name.startswith(".before-"):
                shutil.rmtree(f"{d.runbooks}/{name}")


def test_a_plain_one_that_was_killed_goes_on(engine):
    """What it has put in place already is not taken for runbooks of before."""
    d = engine
    for i in range(5):
        write(f"{d.runbooks}/many/r{i}.yaml", MINE.replace("Mine", f"R{i}"))
    backup(d)
    d.stop()
    good = tree(d.runbooks)
    os.mkdir(f"{d.runbooks}/.restoring")  # as it is after the first rename
    os.rename(f"{d.runbooks}/many", f"{d.runbooks}/.restoring/many")
    p = tool(d, "restore")
    assert "5 put back" in p.stdout, p.stdout
    assert tree(d.runbooks) == good


def tool_again(d):
    p = subprocess.run([ADCTL, "restore", "--only", "runbooks", "--config",
                        d.config_path], capture_output=True, text=True,
                       check=False)
    assert p.returncode in (0, 1), p
    return p.returncode == 0


# ---- what is in it ---------------------------------------------------------------

def test_references_stay_and_secrets_are_named(make_daemon, tmp_path):
    os.environ.update(ADP_TEST_KEY=SECRET, ADP_TEST_HOST="localhost")
    try:
        d = make_daemon(config={
            "backup": {"directory": str(tmp_path / "b")},
            "integrations": {
                "pagerduty": {"api_key": "${ADP_TEST_KEY}",
                              "routing_key": SECRET},
                "prometheus": {"url": "http://${ADP_TEST_HOST}:9090"}}})
    finally:
        del os.environ["ADP_TEST_KEY"], os.environ["ADP_TEST_HOST"]
    made = backup(d)
    with open(f"{made['path']}/config.yaml", encoding="utf-8") as f:
        text = f.read()
    assert SECRET not in text
    assert 'api_key: "${ADP_TEST_KEY}"' in text
    assert "# routing_key: a secret, left out" in text
    assert 'url: "http://${ADP_TEST_HOST}:9090"' in text
    d.stop()
    p = tool(d, "restore", "--only", "config")
    assert "one secret of the configuration is in no backup" in p.stderr
    assert d.config_path in p.stderr


def test_usage(engine):
    for args in (("--only", "state", "--everything"), ("--empty", "--everything")):
        assert "exclude each other" in tool(engine, "restore", *args,
                                            code=2).stderr
    assert "runbooks" in tool(engine, "restore", "--only", "runbook",
                              code=2).stderr
    backup(engine)
    engine.stop()
    p = tool(engine, "restore", "--only", "state")
    assert "secrets.key" in p.stderr and "in no backup" in p.stderr
