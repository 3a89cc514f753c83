"""Backups of a running engine, damage, and the way back."""
import http.client
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

from harness import BUILD, adctl, wait_until

ADCTL = os.path.join(BUILD, "adctl")
PAGE = 4096

LEDGER = """
name: Ledger
description: Says once that it ran, then waits
triggers:
  - type: alert
    labels: {alertname: Once}
    parameters: {who: "${{ event.labels.who }}"}
parameters:
  who: {type: string, required: true}
steps:
  - name: Once
    action: exec
    command: echo "$ADP_PARAM_WHO" >> %s; while [ ! -e %s ]; do sleep 0.05; done
    timeout: 10m
"""


def test_the_timer_leaves_no_more_than_the_rpo_unsaved():
    """What the manual promises is 15 minutes: less than that between two, so
    that there is time to make one."""
    folder = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
        os.path.abspath(__file__)))), "packaging", "systemd")
    with open(os.path.join(folder, "autonomous-devops-backup.timer"),
              encoding="utf-8") as f:
        timer = dict(re.findall(r"^(\w+)=(.*)$", f.read(), re.M))
    out = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=145",
         timer["OnCalendar"]], env={**os.environ, "TZ": "UTC"}, text=True,
        capture_output=True, check=True).stdout
    runs = [time.mktime(time.strptime(t, "%Y-%m-%d %H:%M:%S"))
            for t in re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", out)]
    assert len(runs) >= 145
    slack = re.fullmatch(r"(\d+)s", timer["AccuracySec"])
    assert "RandomizedDelaySec" not in timer and timer["Persistent"] == "yes"
    gaps = [b - a for a, b in zip(runs, runs[1:])]
    assert 0 < max(gaps) + int(slack[1]) < 15 * 60


@pytest.fixture
def engine(make_daemon, tmp_path):
    d = make_daemon({"ledger.yaml": LEDGER % (tmp_path / "ledger",
                                              tmp_path / "go")},
                    {"backup": {"directory": str(tmp_path / "backups")}})
    d.ledger = tmp_path / "ledger"
    d.go = tmp_path / "go"
    d.backups = tmp_path / "backups"
    d.state = os.path.join(d.folder, "state")
    d.wait_executor()
    return d


def tool(d, *args, code=0):
    """adctl with the engine's own configuration, on this machine."""
    p = subprocess.run([ADCTL, *args, "--config", d.config_path],
                       capture_output=True, text=True, timeout=120,
                       check=False, stdin=subprocess.DEVNULL)
    assert p.returncode == code, (args, p.returncode, p.stdout, p.stderr)
    return p


def backup(d):
    return json.loads(tool(d, "backup", "-o", "json").stdout)


def post(d, n, **labels):
    return d.post("/api/events", [{"type": "alert", "labels": {
        "alertname": "Nothing", **labels}}] * n)["ids"]


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 0x20]))


# ---- the drill ---------------------------------------------------------------


class Load(threading.Thread):
    """Posts without pause; knows what was acknowledged, and when."""

    def __init__(self, d):
        super().__init__()
        self.d = d
        self.acknowledged = []
        self.stop = False

    def run(self):
        while not self.stop:
            try:
                ids = post(self.d, 5)
            except (OSError, AssertionError):
                time.sleep(0.05)
                continue
            now = time.time()
            self.acknowledged += [(now, i) for i in ids]


def test_drill(engine):
    """Everything is lost but the backup: what comes back, how soon, and that
    nothing runs twice."""
    d = engine
    load = Load(d)
    load.start()
    wait_until(lambda: len(load.acknowledged) > 100)
    running = d.event(type="alert", labels={"alertname": "Once", "who": "one"})
    wait_until(lambda: d.ledger.exists() and d.ledger.read_text() == "one\n")
    begun = time.time()
    made = backup(d)
    taken = time.time()
    d.go.write_text("")
    d.wait_workflow(running)  # goes on, and ends, after the backup
    wait_until(lambda: load.acknowledged[-1][0] > taken + 0.2)
    load.stop = True
    load.join()
    d.kill9()
    lost_at = time.time()
    shutil.rmtree(d.state)

    begin = time.monotonic()
    out = tool(d, "restore")
    assert made["name"] in out.stdout
    d.start()
    back = time.monotonic() - begin
    known = set()
    cursor = ""
    while cursor is not None:
        page = d.get("/api/events?limit=1000" +
                     (f"&cursor={cursor}" if cursor else ""))
        known |= {e["id"] for e in page["events"]}
        cursor = page["next_cursor"]
    before = {i for at, i in load.acknowledged if at < begun}
    assert before and before <= known
    oldest_lost = min(at for at, i in load.acknowledged if i not in known)
    print(f"# back after {back:.2f} s; lost the last "
          f"{lost_at - oldest_lost:.2f} s")
    assert oldest_lost > begun
    assert back < 60

    # Nobody knows what became of the workflow: it is held, not run again.
    w = d.wait_workflow(running)
    assert w["status"] == "held" and "restored from the backup" in w["error"]
    assert d.ledger.read_text() == "one\n"
    drained = d.get("/api/events?status=drained")["events"]
    assert all("restored from the backup" in e["error"] for e in drained)
    health = d.get("/api/health")
    assert health["status"] == "degraded"
    assert health["checks"]["store"]["restored"]["backup"] == made["name"]
    assert d.get("/api/events?status=queued")["events"] == []

    # New ones are processed as ever.
    again = d.event(type="alert", labels={"alertname": "Once", "who": "two"})
    assert d.wait_workflow(again)["status"] == "succeeded"
    assert d.ledger.read_text() == "one\ntwo\n"

    adctl(d, "backup", "acknowledge")
    wait_until(lambda: d.get("/api/health")["status"] == "ok", what="health")
    actions = [a["action"] for a in d.get("/api/admin/audit")["audit"]]
    assert actions == ["store.acknowledge-restore", "store.restore"]
    d.stop()
    d.start()
    wait_until(lambda: d.get("/api/health")["status"] == "ok", what="health")


def archive_all(d):
    """Archives what has ended; the path of the file."""
    return wait_until(lambda: d.post(
        "/api/admin/archive-workflows?before=0s", {})["file"],
        what="something to archive")


def test_the_archive_outlives_the_state_and_is_in_backups(engine):
    d = engine
    d.go.write_text("")
    event = d.event(type="alert", labels={"alertname": "Once", "who": "one"})
    workflow = d.wait_workflow(event)["id"]
    file = archive_all(d)
    with open(file, encoding="utf-8") as f:
        text = f.read()
    assert workflow in text
    made = backup(d)
    assert made["archive_files"] == 1
    # A state that is thrown away takes nothing of it along.
    d.stop()
    shutil.rmtree(d.state)
    d.start()
    with open(file, encoding="utf-8") as f:
        assert f.read() == text
    # Lost as well, and spoiled: both come back.
    d.stop()
    for spoil in (lambda: shutil.rmtree(os.path.dirname(file)),
                  lambda: flip(file, 10)):
        spoil()
        out = tool(d, "restore")
        assert "1 file of the archive was put back" in out.stderr
        with open(file, encoding="utf-8") as f:
            assert f.read() == text
    assert os.path.exists(file + ".damaged")
    d.start()
    gone = d.get(f"/api/workflows/{workflow}", 404)
    assert gone["detail"]["archive"] == os.path.dirname(file)


def test_an_archive_inside_the_state_moves_out(engine):
    d = engine
    d.stop()
    name = "workflows-20260101T000000Z.ndjson"
    os.mkdir(os.path.join(d.state, "archive"))
    with open(os.path.join(d.state, "archive", name), "w",
              encoding="utf-8") as f:
        f.write("{}\n")
    d.start()
    assert os.listdir(os.path.join(d.folder, "archive")) == [name]
    assert not os.path.exists(os.path.join(d.state, "archive"))
    assert backup(d)["archive_files"] == 1


def test_an_archive_keeps_its_bounds(make_daemon):
    """The oldest files go; by themselves, and soon after the start."""
    d = make_daemon(config={"archive": {"max_bytes": 100, "keep": "3d"}})
    d.stop()
    folder = os.path.join(d.folder, "archive")
    os.makedirs(folder, exist_ok=True)
    day = time.time() - 86400
    names = [time.strftime("workflows-%Y%m%dT%H%M%SZ.ndjson",
                           time.gmtime(day - i)) for i in range(4)]
    for name in [*names, "workflows-20200101T000000Z.ndjson", "mine.txt"]:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write("x" * 40)
    d.start()
    wait_until(lambda: sorted(os.listdir(folder)) ==
               sorted([*names[:2], "mine.txt"]), what="what is kept")
    assert "archive: removed the oldest" in d.log()


def test_state_removed_under_the_engine(engine):
    """The manual's way out of a corrupted state."""
    d = engine
    post(d, 10)
    for name in os.listdir(d.state):
        path = os.path.join(d.state, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    d.stop()
    d.start()
    assert d.get("/api/metrics")["ledger"]["accepted"] == 0
    post(d, 1)
    wait_until(lambda: d.get("/api/health")["status"] == "ok", what="health")


# ---- damage ------------------------------------------------------------------


def damage_some(d, seed):
    path = os.path.join(d.state, "engine.db")
    pages = os.path.getsize(path) // PAGE
    rng = random.Random(seed)
    flip(path, rng.randrange(pages) * PAGE + rng.randrange(PAGE))


def ends_by_itself(d, status):
    d.spawn()
    assert d.process.wait(60) == status, d.log()
    d.process = None


def test_a_damaged_store_is_replaced(engine):
    """By the newest backup; what it had accepted since is set aside, but for
    what stood on the damaged page itself."""
    d = engine
    old = set(post(d, 200))
    made = backup(d)
    late = set(post(d, 300))
    saved = 0
    for seed in range(int(os.environ.get("ADP_DAMAGES", "5"))):
        d.stop()
        damage_some(d, seed)
        d.start()
        assert "is damaged" in d.log()
        restored = d.get("/api/health")["checks"]["store"]["restored"]
        assert restored["backup"] == made["name"]
        assert "damaged" in restored["why"]
        assert os.path.exists(os.path.join(restored["aside"], "engine.db"))
        events = d.get("/api/events?limit=1000")["events"]
        ids = {e["id"] for e in events}
        assert old <= ids and ids <= old | late
        assert restored["salvaged_events"] == len(ids - old)
        assert len(late - ids) == 0 or restored["unreadable"] > 0
        for e in events:
            if e["id"] in late:
                assert e["status"] == "drained"
                assert "damaged store, where its status was" in e["error"]
        saved += len(ids & late) == len(late)
        total = d.get("/api/metrics")["ledger"]
        assert total["accepted"] == len(ids)
        assert sum(total["events"].values()) == len(ids)
        late &= ids
        adctl(d, "backup", "acknowledge")
        # The next damage would find the same second.
        wait_until(lambda: time.time() >= restored["restored_ms"] / 1000 + 1)
    assert saved, "some damage is on a page without late events"


def frames_of_log(d):
    """How many frames the present round of the log has, as of now."""
    with open(os.path.join(d.state, "engine.db-wal"), "rb") as f:
        log = f.read()
    salts, step = log[16:24], 24 + PAGE
    count = 0
    while log[32 + count * step + 8:][:8] == salts:
        count += 1
    return count


def test_a_damaged_log_is_noticed(engine):
    """The library would take it for the end of the log, and what had been
    acknowledged behind it would be gone without a word."""
    d = engine
    old = set(post(d, 200))
    made = backup(d)
    late = set()
    while len(late) < 30 or frames_of_log(d) < 50:
        late |= set(post(d, 1))
    d.kill9()
    flip(os.path.join(d.state, "engine.db-wal"), 32 + 20 * (24 + PAGE) + 99)
    d.start()
    assert "engine.db-wal is damaged: frame 21" in d.log()
    restored = d.get("/api/health")["checks"]["store"]["restored"]
    assert restored["backup"] == made["name"]
    ids = {e["id"] for e in d.get("/api/events?limit=1000")["events"]}
    assert old <= ids <= old | late
    # What stood before the damage is read from the old store.
    assert restored["salvaged_events"] == len(ids - old)
    for name in ("engine.db", "engine.db-wal"):
        assert os.path.exists(os.path.join(restored["aside"], name))


def test_spoiled_backups_are_passed_over(engine):
    d = engine
    post(d, 50)
    good = backup(d)
    spoiled = [backup(d) for _ in range(3)]
    with open(os.path.join(spoiled[0]["path"], "engine.db"), "r+b") as f:
        f.truncate(PAGE * 3)
    with open(os.path.join(spoiled[1]["path"], "manifest.json"), "w",
              encoding="utf-8") as f:
        f.write("{")
    flip(os.path.join(spoiled[2]["path"], "metrics.db"), 5000)
    d.stop()
    damage_some(d, 7)
    d.start()
    for one in spoiled:
        assert f"{one['name']} is no good" in d.log()
    restored = d.get("/api/health")["checks"]["store"]["restored"]
    assert restored["backup"] == good["name"]


def test_damage_met_while_running(engine):
    """A reader finds it: the engine ends, its next start puts it right."""
    d = engine
    post(d, 500)
    backup(d)
    d.stop()
    d.start()
    path = os.path.join(d.state, "engine.db")
    for page in range(1, os.path.getsize(path) // PAGE):
        flip(path, page * PAGE + 1000)
    # The engine ends at once: its answer may or may not get out before.
    try:
        status, _, body = d.raw("GET", "/api/events?limit=1000")
        assert status == 500 and b"damaged" in body, (status, body)
    except (http.client.RemoteDisconnected, ConnectionResetError):
        pass
    assert d.process.wait(60) == 74
    d.process = None
    d.start()
    assert d.get("/api/metrics")["ledger"]["accepted"] == 500


def test_without_a_good_backup(engine):
    d = engine
    post(d, 100)
    d.stop()
    damage_some(d, 1)
    ends_by_itself(d, 74)
    assert "the damaged one is kept: adctl restore --empty\n" in d.log()
    # A broken backup is none.
    d.backups.mkdir(exist_ok=True)
    (d.backups / "backup-20260101T000000Z").mkdir()
    ends_by_itself(d, 74)
    assert "backup-20260101T000000Z is no good" in d.log()
    assert tool(d, "restore", code=5).stderr
    tool(d, "restore", "--empty")
    d.start()
    assert d.get("/api/metrics")["ledger"]["accepted"] == 0
    assert os.listdir(os.path.join(d.state, "quarantine"))


def test_stop_when_so_configured(make_daemon, tmp_path):
    d = make_daemon(config={"backup": {"directory": str(tmp_path / "b")},
                            "storage": {"on_damage": "stop"}})
    d.state = os.path.join(d.folder, "state")
    post(d, 100)
    backup(d)
    d.stop()
    damage_some(d, 2)
    ends_by_itself(d, 74)
    assert "storage.on_damage is stop" in d.log()
    tool(d, "restore")
    d.start()
    assert d.get("/api/metrics")["ledger"]["accepted"] == 100


# ---- backups -----------------------------------------------------------------


def test_a_running_engine_keeps_its_store(engine):
    made = backup(engine)
    p = tool(engine, "restore", made["name"], code=6)
    assert "stop it first" in p.stderr
    p = tool(engine, "restore", "--empty", code=6)
    post(engine, 1)
    tool(engine, "restore", "--dry-run")
    post(engine, 1)


def test_killed_backups_leave_nothing(engine):
    d = engine
    post(d, 1000)
    post(d, 1000)
    for delay in (0, 0.002, 0.005, 0.01, 0.02, 0.05):
        p = subprocess.Popen([ADCTL, "backup", "--config", d.config_path],
                             stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        time.sleep(delay)
        p.send_signal(signal.SIGKILL)
        p.wait()
    made = backup(d)
    assert made["events"] == 2000
    names = os.listdir(d.backups)
    assert not [n for n in names if n.startswith("partial-")]
    for item in json.loads(tool(d, "backup", "list", "-o", "json").stdout)[
            "items"]:
        assert "broken" not in item
        tool(d, "backup", "verify", item["name"])
    assert not [n for n in os.listdir(d.state) if n.startswith("restore")]


def test_what_is_in_it(make_daemon, tmp_path):
    """Runbooks and the configuration; no secret."""
    secret = "s3cr3t-" + "0123456789abcdef" * 2
    d = make_daemon({"a/b.yaml": LEDGER % ("/x", "/y")},
                    {"backup": {"directory": str(tmp_path / "b")},
                     "integrations": {"pagerduty": {"api_key": secret}}})
    made = backup(d)
    folder = made["path"]
    assert sorted(os.listdir(folder)) == ["config.yaml", "engine.db",
                                          "manifest.json", "metrics.db",
                                          "runbooks"]
    assert os.listdir(os.path.join(folder, "runbooks", "a")) == ["b.yaml"]
    config = open(os.path.join(folder, "config.yaml"), encoding="utf-8").read()
    assert f"127.0.0.1:{d.port}" in config and "pagerduty" in config
    for root, _, files in os.walk(folder):
        assert os.stat(root).st_mode & 0o077 == 0
        for name in files:
            with open(os.path.join(root, name), "rb") as f:
                assert secret.encode() not in f.read()
    check = subprocess.run([os.path.join(BUILD, "autonomous-devops"),
                            "check-config",
                            os.path.join(folder, "config.yaml")],
                           capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr


def test_old_ones_are_removed(make_daemon, tmp_path):
    d = make_daemon(config={"backup": {"directory": str(tmp_path / "b"),
                                       "keep_all": "0s", "keep_days": 0}})
    names = [backup(d)["name"] for _ in range(4)]
    kept = [n for n in os.listdir(tmp_path / "b") if n.startswith("backup-")]
    assert sorted(kept) == sorted(names)[-2:]


def gauge(d):
    text = d.raw("GET", "/metrics")[2].decode()
    return float(re.search(r"\nautonomous_devops_backup_last_success_timestamp"
                           r"_seconds (\S+)\n", text)[1])


def doctor(d):
    p = subprocess.run([ADCTL, "doctor", "--config", d.config_path, "-o",
                        "json"], capture_output=True, text=True, check=False,
                       stdin=subprocess.DEVNULL)
    return {i["check"]: i for i in json.loads(p.stdout)["items"]}["backups"]


def test_the_age_of_the_newest_backup_is_told(make_daemon, tmp_path):
    d = make_daemon(config={"backup": {"directory": str(tmp_path / "b")}})
    health = d.get("/api/health")
    assert health["status"] == "degraded" or health["checks"]["backup"]["ok"]
    assert health["checks"]["backup"] == {
        "ok": True, "error": None, "warning": None, "hint": None,
        "last_success_at": None, "last_success_at_iso": None,
        "age_seconds": None}
    assert gauge(d) == 0
    assert doctor(d)["status"] == "ok" and "yet" in doctor(d)["detail"]
    made = backup(d)
    d.stop()
    assert doctor(d)["status"] == "ok" and "ago" in doctor(d)["detail"]
    d.start()
    check = wait_until(lambda: d.get("/api/health")["checks"]["backup"][
        "last_success_at"] and d.get("/api/health")["checks"]["backup"],
        what="the backup")
    assert check["last_success_at_iso"] == made["made_at"] and check["ok"]
    assert gauge(d) == check["last_success_at"]


def test_an_old_backup_is_told_with_what_to_run(make_daemon, tmp_path):
    d = make_daemon(config={"backup": {"directory": str(tmp_path / "b"),
                                       "warn_after": "1s"}})
    for made in (False, True):
        if made:
            manifest = tmp_path / "b" / backup(d)["name"] / "manifest.json"
            text = json.loads(manifest.read_text())
            text["made_at_ms"] -= 7200000
            manifest.write_text(json.dumps(text))
            d.stop()
            assert doctor(d)["status"] == "warning"
            d.start()
        wait_until(lambda: not d.get("/api/health")["checks"]["backup"]["ok"],
                   what="a backup that is too old")
        health = d.get("/api/health")
        assert health["status"] == "degraded"
        assert "sudo adctl backup" in health["checks"]["backup"]["hint"]
        assert d.raw("GET", "/-/ready")[0] == 200
        said = adctl(d, "status", check=False).stdout
        assert ("2h ago" if made else "there is none") in said
        assert "try: sudo adctl backup; systemctl status" in said
        found = doctor(d)
        assert found["status"] == "warning"
        assert "autonomous-devops-backup.timer" in found["next"]
    assert found["detail"] == "the newest was made 2h ago"
    d.stop()


def test_usage(engine):
    assert tool(engine, "backup", "verify", "backup-19990101T000000Z",
                code=5).stderr
    assert tool(engine, "backup", "list", "--from", "/nonexistent",
                code=5).stderr
    made = backup(engine)
    p = tool(engine, "backup", "verify", made["path"])
    assert "good:" in p.stdout
    assert made["name"] in tool(engine, "backup", "list").stdout
    assert tool(engine, "backup", "list", "-o", "name").stdout == (
        made["name"] + "\n")
    p = subprocess.run([ADCTL, "backup", "--config", "/nonexistent.yaml"],
                       capture_output=True, text=True, check=False)
    assert p.returncode == 1 and "--config FILE" in p.stderr
