"""Numbers over time, and windows that outlive the process."""
import json
import os
import shutil
import sqlite3

from harness import adctl, wait_until

GOOD = """name: Good
triggers:
  - type: alert
    labels: {do: good}
steps:
  - {name: Do, action: exec, command: "true"}
"""
BAD = """name: Bad
triggers:
  - type: alert
    labels: {do: bad}
steps:
  - {name: Do, action: exec, command: "false", retry: {attempts: 1}}
"""


def work(d, good=3, bad=1):
    """So many workflows that succeed and fail; waits for their ends."""
    ids = [d.event(type="alert", labels={"do": "good", "n": str(i)})
           for i in range(good)]
    ids += [d.event(type="alert", labels={"do": "bad", "n": str(i)})
            for i in range(bad)]
    for i in ids:
        d.wait_workflow(i)


def windows(d):
    m = d.get("/api/metrics")
    return {k: m[k] for k in (
        "workflow_success_rate_1h", "workflow_success_rate_24h",
        "avg_workflow_duration_seconds", "events_per_minute")}


def total(d, metric):
    h = d.get(f"/api/metrics/history?metric={metric}")
    return sum(p["value"] for p in h["points"])


def state(d, name=""):
    return os.path.join(d.folder, "state", name)


def runbooks(make_daemon):
    return make_daemon(runbooks={"good.yaml": GOOD, "bad.yaml": BAD})


def test_windows_go_on_after_a_restart(make_daemon):
    d = runbooks(make_daemon)
    work(d)
    before = windows(d)
    assert before["workflow_success_rate_1h"] == 0.75
    assert before["workflow_success_rate_24h"] == 0.75
    assert before["events_per_minute"] == 4
    assert d.stop() == 0
    d.start()
    after = windows(d)
    for key in ("workflow_success_rate_1h", "workflow_success_rate_24h"):
        assert after[key] == before[key]
    # Kept as whole milliseconds.
    assert abs(after["avg_workflow_duration_seconds"] -
               before["avg_workflow_duration_seconds"]) < 0.001
    assert total(d, "events_accepted") == 4
    assert total(d, "workflows_succeeded") == 3
    assert d.get("/api/metrics/history?metric=event_queue_depth")["points"]


def test_windows_go_on_after_a_kill(make_daemon):
    d = runbooks(make_daemon)
    work(d)
    d.kill9()
    d.start()
    after = windows(d)
    assert after["workflow_success_rate_1h"] == 0.75
    assert after["workflow_success_rate_24h"] == 0.75
    assert after["avg_workflow_duration_seconds"] > 0
    assert total(d, "events_accepted") == 4
    assert total(d, "remediations_ended") == 4


def test_a_history_that_is_gone_is_made_from_the_store(make_daemon):
    d = runbooks(make_daemon)
    work(d)
    assert d.stop() == 0
    for name in os.listdir(state(d)):
        if name.startswith("metrics.db"):
            os.unlink(state(d, name))
    d.start()
    wait_until(lambda: windows(d)["workflow_success_rate_1h"] == 0.75,
               what="the success rate from the store")
    wait_until(lambda: total(d, "workflows_succeeded") == 3,
               what="the trend from the store")


def test_a_history_of_a_later_version_is_left_alone(make_daemon):
    """An upgrade that was taken back costs a gap, not 90 days."""
    d = make_daemon()
    d.stop()

    def version(number=None):
        sql = sqlite3.connect(state(d, "metrics.db"))
        try:
            if number is not None:
                sql.execute(f"PRAGMA user_version = {number}")
            sql.commit()
            return (sql.execute("PRAGMA user_version").fetchone()[0],
                    sql.execute("SELECT count(*) FROM run").fetchone()[0])
        finally:
            sql.close()

    runs = version(2)[1]
    d.start()
    d.event(type="alert")
    assert "was written by a later version" in d.log()
    d.stop()
    assert version() == (2, runs)
    assert not os.path.exists(state(d, "metrics.db.damaged"))
    version(1)
    d.start()
    d.stop()
    assert version() == (1, runs + 1)


def test_a_damaged_history_stops_nothing(make_daemon):
    d = runbooks(make_daemon)
    work(d, 1, 0)
    assert d.stop() == 0
    with open(state(d, "metrics.db"), "r+b") as f:
        f.write(os.urandom(4096))
    d.start()
    assert "metrics.db was damaged" in d.log()
    assert os.path.exists(state(d, "metrics.db.damaged"))
    work(d, 1, 0)
    assert d.get("/api/health")["status"] in ("ok", "degraded")


def test_emptying_the_state_folder_stops_nothing(make_daemon):
    """The manual's rm -rf state/*, with the engine running, and a restart."""
    d = runbooks(make_daemon)
    work(d, 1, 0)
    for name in os.listdir(state(d)):
        path = state(d, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    d.stop()
    d.start()
    work(d, 2, 0)
    assert windows(d)["workflow_success_rate_1h"] == 1
    assert d.stop() == 0
    d.start()
    assert total(d, "workflows_succeeded") >= 2


def test_metrics_agree_with_what_was_acknowledged(make_daemon):
    """The counts come without reading the store, yet none is behind."""
    d = runbooks(make_daemon)
    for n in range(1, 30):
        d.event(type="note", labels={"n": str(n)})
        ledger = d.get("/api/metrics")["ledger"]
        assert ledger["accepted"] == n
        assert sum(ledger["events"].values()) == n


def test_adctl_shows_numbers_and_how_they_went(make_daemon):
    d = runbooks(make_daemon)
    d.event(type="note")
    d.stop()
    d.start()
    out = adctl(d, "metrics").stdout
    assert "event_queue_depth" in out
    assert max(map(len, out.splitlines())) <= 80
    assert json.loads(adctl(d, "metrics", "-o", "json").stdout)[
        "event_queue_depth"] == 0
    out = adctl(d, "metrics", "history", "events_accepted", "--since", "5m",
                "--step", "10s", "--header").stdout
    assert max(map(len, out.splitlines())) <= 80
    assert out.splitlines()[0].split()[:4] == ["TIME", "VALUE", "MIN", "MAX"]
    assert sum(float(line.split()[1]) for line in out.splitlines()[1:]) == 1
    series = json.loads(adctl(d, "metrics", "history", "-o", "json").stdout)
    assert "event_queue_depth" in [m["name"] for m in series["items"]]
    p = adctl(d, "metrics", "history", "nothing", check=False)
    assert p.returncode == 2 and "event_queue_depth" in p.stderr
