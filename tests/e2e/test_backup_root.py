"""Root's adctl on the folders of another user: nothing of root's is left
there, and nothing of root's is reached by what that user has put there."""
import hashlib
import json
import os
import pwd
import shutil
import stat
import subprocess
import tempfile

import pytest

from harness import BUILD, Daemon, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
ADCTL = os.path.join(BUILD, "adctl")
NOBODY = pwd.getpwnam("nobody")


def give(path):
    os.lchown(path, NOBODY.pw_uid, NOBODY.pw_gid)


@pytest.fixture
def site():
    """An engine that has run as nobody, in folders beside each other in one
    of root's, and a folder of root's that nobody may look into."""
    folder = tempfile.mkdtemp(prefix="adp-root-", dir="/tmp")
    os.chmod(folder, 0o755)
    d = Daemon(os.path.join(folder, "d"), config={
        "backup": {"directory": f"{folder}/d/backups"}})
    for name in ("state", "run", "spool", "work"):
        os.mkdir(f"{d.folder}/{name}", 0o700)
        give(f"{d.folder}/{name}")
    os.mkdir(f"{d.folder}/root", 0o700)
    d.start()
    d.event(type="alert", labels={"alertname": "Nothing"})
    assert d.stop() == 0
    yield d
    d.close()
    shutil.rmtree(folder)


def tool(d, *args, user=None, code=0):
    command = [ADCTL, *args, "--config", d.config_path]
    if user is not None:
        command = ["setpriv", f"--reuid={user.pw_uid}",
                   f"--regid={user.pw_gid}", "--clear-groups", *command]
    p = subprocess.run(command, capture_output=True, text=True, check=False,
                       stdin=subprocess.DEVNULL, timeout=60)
    assert code in (None, p.returncode), (args, p.returncode, p.stdout, p.stderr)
    return p


def backup(d, *args, **kwargs):
    return json.loads(tool(d, "backup", "-o", "json", *args, **kwargs).stdout)


def owners(folder):
    found = {os.lstat(folder).st_uid}
    for path, folders, files in os.walk(folder):
        for name in folders + files:
            found.add(os.lstat(os.path.join(path, name)).st_uid)
    return found


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_backups_of_root_and_of_the_service_take_turns(site):
    d = site
    first = backup(d)
    folder = os.path.dirname(first["path"])
    assert owners(folder) == {NOBODY.pw_uid} and mode(folder) == 0o700
    assert owners(f"{d.folder}/state") == {NOBODY.pw_uid}
    second = backup(d, user=NOBODY)
    third = backup(d)
    assert owners(folder) == {NOBODY.pw_uid}
    for user in (None, NOBODY):
        listed = json.loads(tool(d, "backup", "list", "-o", "json",
                                 user=user).stdout)["items"]
        assert [i["name"] for i in listed] == [
            third["name"], second["name"], first["name"]]
        tool(d, "backup", "verify", user=user)


def test_a_runbook_that_cannot_be_read_is_told(site):
    """The service's user may not: nothing else is lost with it, nothing is
    lost without a word."""
    d = site
    folder = os.path.join(d.folder, "runbooks")
    os.mkdir(f"{folder}/locked", 0o700)
    for name in ("mine.yaml", "secret.yaml", "locked/one.yaml"):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as f:
            f.write("name: Mine\n")
    os.chmod(f"{folder}/secret.yaml", 0o600)
    for user in (None, NOBODY):
        p = tool(d, "backup", "-o", "json", user=user, code=3)
        made = json.loads(p.stdout)
        assert made["runbooks"] >= 1 and made["events"] == 1
        assert not made["complete"]
        told = {m["path"]: m["why"] for m in made["missing"]}
        assert set(told) == {"runbooks/secret.yaml", "runbooks/locked"}
        for path, why in told.items():
            assert "Permission denied" in why
            assert f"not in the backup: {path}: {why}" in p.stderr
        assert "incomplete" in tool(d, "backup", "list", user=user).stdout
        p = tool(d, "backup", "verify", user=user)
        assert "secret.yaml" in p.stderr
        doctor = json.loads(tool(d, "doctor", "-o", "json", user=user,
                                 code=None).stdout)["items"]
        assert [i for i in doctor if i["status"] == "warning" and
                i["detail"].startswith("the newest lacks runbooks/")], doctor
    # Nor does a folder that is none.
    os.rename(folder, f"{d.folder}/aside")
    with open(folder, "w", encoding="utf-8") as f:
        f.write("none\n")
    made = json.loads(tool(d, "backup", "-o", "json", code=3).stdout)
    assert made["events"] == 1 and made["runbooks"] == 0
    os.unlink(folder)
    os.rename(f"{d.folder}/aside", folder)
    for name in ("secret.yaml", "locked"):
        os.chmod(f"{folder}/{name}", 0o755)
    assert backup(d)["complete"]


def test_a_lock_that_root_has_left_is_given_back(site):
    d = site
    backup(d)
    lock = f"{d.folder}/backups/.lock"
    os.chown(lock, 0, 0)
    assert tool(d, "backup", user=NOBODY, code=4).stderr
    backup(d)
    assert os.stat(lock).st_uid == NOBODY.pw_uid
    backup(d, user=NOBODY)


@pytest.mark.parametrize("lost", [["state"], ["state", "archive"], []])
def test_a_restore_of_root_leaves_nothing_of_roots(site, lost):
    d = site
    os.makedirs(f"{d.folder}/archive", 0o700, exist_ok=True)
    give(f"{d.folder}/archive")
    name = f"{d.folder}/archive/workflows-20260101T000000Z.ndjson"
    with open(name, "w", encoding="utf-8") as f:
        f.write("{}\n")
    give(name)
    backup(d)
    for one in lost:
        shutil.rmtree(f"{d.folder}/{one}")
    tool(d, "restore")
    for one in ("state", "archive", "backups"):
        assert owners(f"{d.folder}/{one}") == {NOBODY.pw_uid}, one
        assert mode(f"{d.folder}/{one}") == 0o700
    d.start()
    assert d.get("/api/metrics")["ledger"]["accepted"] == 1


def test_backups_that_are_roots_stay_roots(site):
    """Root copies the state to where the service cannot go, and back."""
    d = site
    made = backup(d, "--to", f"{d.folder}/root/backups")
    assert owners(f"{d.folder}/root") == {0}
    assert owners(f"{d.folder}/state") == {NOBODY.pw_uid}
    shutil.rmtree(f"{d.folder}/state")
    os.mkdir(f"{d.folder}/backups", 0o700)  # tells whose the state was
    give(f"{d.folder}/backups")
    out = tool(d, "restore", "--from", f"{d.folder}/root/backups")
    assert made["name"] in out.stdout
    assert owners(f"{d.folder}/state") == {NOBODY.pw_uid}
    assert owners(f"{d.folder}/root") == {0}
    tool(d, "restore", "--empty")
    assert owners(f"{d.folder}/state") == {NOBODY.pw_uid}
    d.start()


# ---- what is root's ------------------------------------------------------------

MINE = "name: Mine\nsteps: [{name: a, action: exec, command: 'true'}]\n"


def with_mine(d):
    """A backup with a runbook and a configuration, which are then lost."""
    os.mkdir(f"{d.folder}/runbooks/a")
    with open(f"{d.folder}/runbooks/a/mine.yaml", "w", encoding="utf-8") as f:
        f.write(MINE)
    made = backup(d)
    shutil.rmtree(f"{d.folder}/runbooks")
    return made


@pytest.mark.parametrize("folder, backup_owner, told", [
    (0o755, 0, False), (0o1777, 0, True), (0o755, NOBODY.pw_uid, True)])
def test_who_could_have_made_the_backup_is_told(site, folder, backup_owner,
                                                told):
    """Also where the folder is root's, but for everybody, as /tmp is."""
    d = site
    made = with_mine(d)
    place = f"{d.folder}/elsewhere"
    os.mkdir(place)
    os.chmod(place, folder)
    copy = os.path.join(place, os.path.basename(made["path"]))
    shutil.copytree(made["path"], copy)
    for path, _, files in os.walk(copy):
        for name in [path, *(os.path.join(path, f) for f in files)]:
            os.chown(name, backup_owner, -1)
    p = tool(d, "restore", "--only", "runbooks", "--from", place)
    assert ("others than root may write where this backup was"
            in p.stderr) == told


def test_root_puts_back_what_is_roots(site):
    """Though the backup is read as the service's user."""
    d = site
    made = with_mine(d)
    os.unlink(d.config_path)
    old = os.umask(0o077)
    p = tool(d, "restore", "--only", "config", "--from",
             os.path.dirname(made["path"]))
    assert "others than root may write where this backup was" in p.stderr
    st = os.stat(d.config_path)
    assert (st.st_uid, mode(d.config_path)) == (0, 0o640)
    p = tool(d, "restore")
    os.umask(old)
    assert "others than root may write where this backup was" in p.stderr
    assert owners(f"{d.folder}/runbooks") == {0}
    assert mode(f"{d.folder}/runbooks") == 0o755
    assert mode(f"{d.folder}/runbooks/a") == 0o755
    assert mode(f"{d.folder}/runbooks/a/mine.yaml") == 0o644
    assert owners(f"{d.folder}/state") == {NOBODY.pw_uid}
    # That user alone may replace neither.
    for part in ("runbooks", "config"):
        before = os.stat(f"{d.folder}/runbooks").st_mtime_ns
        with open(d.config_path, "a", encoding="utf-8") as f:
            f.write("\n# changed\n")
        with open(f"{d.folder}/runbooks/a/mine.yaml", "w",
                  encoding="utf-8") as f:
            f.write("name: Changed\n")
        os.chmod(d.config_path, 0o644)
        p = tool(d, "restore", "--only", part, user=NOBODY, code=1)
        assert "Permission denied" in p.stdout, p.stdout
        assert os.stat(f"{d.folder}/runbooks").st_mtime_ns == before


def test_runbooks_of_a_user_are_put_back_as_that_user(site):
    """What is prepared there leads root nowhere."""
    d = site
    with_mine(d)
    target = f"{d.folder}/root/target"
    os.mkdir(target)
    os.mkdir(f"{d.folder}/runbooks")
    give(f"{d.folder}/runbooks")
    for name in ("a", ".restoring"):
        os.symlink(target, f"{d.folder}/runbooks/{name}")
        tool(d, "restore", "--only", "runbooks", code=1 if name == "a" else 0)
        assert os.listdir(target) == []
        if os.path.lexists(f"{d.folder}/runbooks/{name}"):
            os.unlink(f"{d.folder}/runbooks/{name}")
    assert owners(f"{d.folder}/runbooks") == {NOBODY.pw_uid}
    # The folder itself; one in which anybody may write.
    shutil.rmtree(f"{d.folder}/runbooks")
    os.symlink(target, f"{d.folder}/runbooks")
    os.lchown(f"{d.folder}/runbooks", NOBODY.pw_uid, NOBODY.pw_gid)
    p = tool(d, "restore", "--only", "runbooks", code=1)
    assert "symbolic link" in p.stdout and os.listdir(target) == []
    os.unlink(f"{d.folder}/runbooks")
    os.mkdir(f"{d.folder}/runbooks")
    os.chmod(f"{d.folder}/runbooks", 0o777)
    p = tool(d, "restore", "--only", "runbooks", code=1)
    assert "others than root may write" in p.stdout
    assert os.listdir(f"{d.folder}/runbooks") == []


def test_a_backup_that_was_made_up_writes_only_runbooks(site):
    """By who has the engine: with sums that are right."""
    d = site
    made = with_mine(d)
    manifest = f"{made['path']}/manifest.json"
    text = json.loads(open(manifest, encoding="utf-8").read())
    file = next(f for f in text["files"] if f["path"].startswith("runbooks/"))
    for path in ("runbooks/../evil.yaml", "runbooks//evil.yaml",
                 "runbooks/.git/hooks.yaml", "runbooks/evil.sh",
                 "runbooks/a/../../evil.yaml", "/evil.yaml"):
        text["files"] = [{**file, "path": path} if f is file else f
                         for f in text["files"]]
        file = next(f for f in text["files"] if f["path"] == path)
        with open(manifest, "w", encoding="utf-8") as f:
            json.dump(text, f)
        tool(d, "restore", made["name"], "--only", "runbooks", code=1)
        assert not os.path.lexists(f"{d.folder}/evil.yaml")
        assert not os.path.lexists(f"{d.folder}/runbooks")
    # Larger than a runbook can be.
    large = b"#" * (1024 * 1024 + 1)
    with open(f"{made['path']}/runbooks/a/mine.yaml", "wb") as f:
        f.write(large)
    file.update(path="runbooks/a/mine.yaml", bytes=len(large),
                sha256=hashlib.sha256(large).hexdigest())
    with open(manifest, "w", encoding="utf-8") as f:
        json.dump(text, f)
    tool(d, "backup", "verify", made["name"])
    p = tool(d, "restore", made["name"], "--only", "runbooks", code=1)
    assert "too large" in p.stdout, p.stdout
    assert p.stdout.startswith("nothing was restored from"), p.stdout
    assert not os.path.lexists(f"{d.folder}/runbooks")


# ---- what that user may have prepared ----------------------------------------

def test_nothing_is_made_where_others_may_write(site):
    d = site
    theirs = f"{d.folder}/theirs"
    os.mkdir(theirs, 0o755)
    os.chown(theirs, NOBODY.pw_uid + 1, NOBODY.pw_gid)
    open_to_all = f"{d.folder}/open"
    os.mkdir(open_to_all)
    os.chmod(open_to_all, 0o777)
    for folder in (theirs, open_to_all, f"{theirs}/new", f"{theirs}/a/b/new"):
        p = tool(d, "backup", "--to", folder, code=4)
        assert "root" in p.stderr and "sudo" not in p.stderr, p.stderr
    assert os.listdir(theirs) == [] and os.listdir(open_to_all) == []


def test_symlinks_lead_root_nowhere(site):
    d = site
    target = f"{d.folder}/root/target"
    with open(target, "w", encoding="utf-8") as f:
        f.write("root's own\n")
    before = os.stat(target)
    made = backup(d)
    backups, state = f"{d.folder}/backups", f"{d.folder}/state"
    # The lock, a backup that is not finished, the folder itself.
    os.unlink(f"{backups}/.lock")
    os.symlink(target, f"{backups}/.lock")
    os.symlink(f"{d.folder}/root", f"{backups}/partial-1")
    tool(d, "backup", code=1)
    tool(d, "restore", code=1)
    os.unlink(f"{backups}/.lock")
    backup(d)
    assert not os.path.lexists(f"{backups}/partial-1")
    os.symlink(f"{d.folder}/root", f"{d.folder}/link")
    give(f"{d.folder}/link")
    p = tool(d, "backup", "--to", f"{d.folder}/link", code=1)
    assert "symbolic link" in p.stderr
    # A backup that is another folder.
    shutil.copytree(made["path"], f"{d.folder}/root/copy")
    os.symlink(f"{d.folder}/root/copy", f"{backups}/backup-20250101T000000Z")
    assert tool(d, "restore", "backup-20250101T000000Z", code=1).stderr
    # A lock that has another name as well would change its owner.
    os.unlink(f"{state}/engine.lock")
    os.link(target, f"{state}/engine.lock")
    copies = f"{d.folder}/root/backups"
    backup(d, "--to", copies)
    tool(d, "restore", "--from", copies, code=1)
    os.unlink(f"{state}/engine.lock")
    for name in ("engine.lock", "quarantine"):
        os.symlink(target if name == "engine.lock" else f"{d.folder}/root",
                   f"{state}/{name}")
        tool(d, "restore", "--from", copies, code=1)
        os.unlink(f"{state}/{name}")
    after = os.stat(target)
    assert (after.st_uid, after.st_mode, after.st_size, after.st_mtime) == (
        before.st_uid, before.st_mode, before.st_size, before.st_mtime)
    assert sorted(os.listdir(f"{d.folder}/root")) == ["backups", "copy",
                                                      "target"]


def test_a_store_that_is_a_symlink_is_not_copied(site):
    """Root's backup would otherwise hold what the service may not read."""
    d = site
    made = backup(d, "--to", f"{d.folder}/root/backups")
    os.unlink(f"{d.folder}/state/engine.db")
    os.symlink(f"{made['path']}/engine.db", f"{d.folder}/state/engine.db")
    p = tool(d, "backup", "--to", f"{d.folder}/root/backups", code=1)
    assert "symbolic link" in p.stderr
    assert tool(d, "backup", code=5).stderr  # nobody cannot even see it


def test_folders_may_be_reached_over_symlinks(site):
    """An administrator's own: on the way to the state, not its last name."""
    d = site
    os.rename(f"{d.folder}/state", f"{d.folder}/elsewhere")
    os.symlink("elsewhere", f"{d.folder}/state")
    made = backup(d)
    assert made["events"] == 1
    d.start()
    wait_until(lambda: "history of metrics" not in d.log(), what="a history")
    d.get("/api/metrics/history?metric=event_queue_depth")
