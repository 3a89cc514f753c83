"""How long things are kept, and what the engine can tell about them."""
import glob
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time

import pytest

from harness import HEAVY, adctl, frozen, heavy, poisoned, slow, wait_until

NOTE = """\
name: Note
category: test
triggers: [{type: alert}]
steps:
  - {name: Say, action: exec, command: "echo hello"}
  - {name: End, action: exec, command: "true"}
"""

FAILS = """\
name: Fails
category: test
steps:
  - {name: Stop, action: exec, command: "exit 3"}
"""


def ledger(d):
    return d.get("/api/metrics")["ledger"]


def check_ledger(d):
    books = ledger(d)
    assert books["accepted"] == sum(books["events"].values())
    return books


def test_what_is_over_for_long_is_removed(make_daemon):
    d = make_daemon({"a.yaml": NOTE},
                    {"retention": {"events": "2s", "workflows": "2s",
                                   "interval": "1s"}})
    d.wait_executor()
    ids = [d.event(type="alert", labels={"alertname": f"n{i}"}) for i in range(5)]
    workflows = [d.wait_workflow(i)["id"] for i in ids]
    d.post("/api/admin/pause-processing", {})
    waiting = d.event(type="alert", labels={"alertname": "waits"})
    wait_until(lambda: d.get("/api/workflows")["workflows"] == [],
               what="no workflow that is left")
    wait_until(lambda: len(d.get("/api/events")["events"]) == 1,
               what="one event that is left")
    assert d.get(f"/api/events/{waiting}")["status"] == "queued"
    d.get(f"/api/events/{ids[0]}", status=404)
    d.get(f"/api/workflows/{workflows[0]}", status=404)
    books = check_ledger(d)
    assert books["accepted"] == 6 and books["events"]["archived"] == 5
    d.kill9()
    d.start()
    assert check_ledger(d)["events"]["archived"] == 5
    d.post("/api/admin/resume-processing", {})
    d.wait_executor()
    # Kept as long as its workflow is unfinished, and no longer.
    wait_until(lambda: ledger(d)["events"]["archived"] == 6,
               what="the last event, too")
    assert d.get("/api/admin/audit")["audit"] != []
    # What was removed is counted in a backup, too, which is verified.
    adctl(d, "backup", "make", "--config", d.config_path, "--to",
          f"{d.folder}/backups")
    wait_until(lambda: "retention: removed" in d.log(), what="word of it")


PATIENT = """\
name: Patient
category: test
parameters: {seconds: {type: integer, default: 0}}
steps:
  - {name: Wait, action: exec, command: 'exec sleep "$ADP_PARAM_SECONDS"'}
"""


def test_a_runbook_version_goes_with_its_workflows_and_comes_again(make_daemon):
    d = make_daemon({"p.yaml": PATIENT},
                    {"retention": {"workflows": "3s", "interval": "1s"}})
    d.wait_executor()

    def versions():
        with sqlite3.connect(f"file:{d.folder}/state/engine.db?mode=ro",
                             uri=True) as db:
            return db.execute("SELECT count(*) FROM runbook").fetchone()[0]
    run(d, "p.yaml")
    wait_until(lambda: d.get("/api/workflows")["workflows"] == [],
               what="no workflow that is left")
    assert versions() == 0
    w = d.post("/api/runbooks/execute", {
        "runbook": "p.yaml", "parameters": {"seconds": 1000}})["workflow_id"]
    d.wait_status(w, "running")
    assert versions() == 1
    d.kill9()
    d.start()
    assert d.get(f"/api/workflows/{w}")["status"] == "running"
    d.post(f"/api/workflows/{w}/kill")
    d.wait_status(w, "killed")


def test_a_reload_changes_what_is_kept(make_daemon):
    keep = {"events": "0", "workflows": "0", "interval": "1d"}
    d = make_daemon({}, {"retention": keep})
    ids = [d.event(type="change") for _ in range(20)]
    wait_until(lambda: d.get(f"/api/events/{ids[-1]}")["status"] ==
               "processed", what="the last one")
    d.write_config({"retention": {
        "events": "1s", "workflows": "1s", "interval": "1s",
        "max_bytes": "1GiB", "metrics": "31d", "metrics_max_bytes": "16MiB"},
        "archive": {"keep": "9d", "max_bytes": "1GiB"}})
    answer = d.post("/api/admin/reload-config")
    assert answer["restart_required"] == []
    assert set(answer["changed"]) == {
        "retention.events", "retention.workflows", "retention.interval",
        "retention.max_bytes", "retention.metrics",
        "retention.metrics_max_bytes", "archive.keep", "archive.max_bytes"}
    wait_until(lambda: ledger(d)["events"]["archived"] == 20,
               what="that they are removed")
    # And back: what comes from now on stays.
    d.write_config({"retention": keep})
    d.post("/api/admin/reload-config")
    later = d.event(type="change")
    wait_until(lambda: d.get(f"/api/events/{later}")["status"] == "processed",
               what="the later one")
    row = d.get("/api/admin/audit?limit=1")["audit"][0]
    assert row["after"]["retention.events"] == "0s", row
    assert check_ledger(d)["events"]["archived"] == 20


# ---- what there is ---------------------------------------------------------

def send_mixed(d):
    for i in range(3):
        d.event(type="alert", severity="critical", source="prometheus",
                labels={"alertname": f"a{i}"})
    for _ in range(2):
        d.event(type="metric", metric_name="cpu", value=1, source="scraper")


def test_event_statistics_count_the_traffic(daemon):
    empty = daemon.get("/api/events/stats")
    assert empty["total"] == 0 and empty["by_type"] == {}
    assert empty["last_hour"] == empty["last_24h"] == 0
    send_mixed(daemon)
    stats = daemon.get("/api/events/stats")
    assert stats["total"] == stats["last_hour"] == stats["last_24h"] == 5
    assert stats["by_type"] == {"alert": 3, "metric": 2}
    assert stats["by_severity"] == {"critical": 3, "none": 2}
    assert stats["by_source"] == {"prometheus": 3, "scraper": 2}
    assert sum(stats["by_status"].values()) == 5
    assert stats["events_per_minute"] == 5 and stats["ingestion_rate"] > 0
    assert stats["window"]["total"] == stats["window"]["looked_at"] == 5
    assert stats["window"]["complete"] is True
    later = stats["window"]["since"] + 86400 + 60
    past = daemon.get(f"/api/events/stats?since={later:.0f}")
    assert past["by_type"] == {} and past["last_hour"] == 5


def test_the_queue_is_analysed(daemon):
    daemon.post("/api/admin/pause-processing", {})
    send_mixed(daemon)
    daemon.post("/api/admin/set-event-priority",
                {"type": "alert", "severity": "critical", "priority": 1})
    q = daemon.get("/api/admin/queue-analysis")
    assert q["queue_depth"] == q["looked_at"] == 5 and q["complete"] is True
    assert q["event_type_distribution"] == {"alert": 3, "metric": 2}
    assert q["by_severity"] == {"critical": 3, "none": 2}
    assert q["by_source"] == {"prometheus": 3, "scraper": 2}
    assert q["by_priority"] == {"1": 3, "5": 2}
    assert q["by_status"] == {"queued": 5}
    assert q["paused"] is True and q["estimated_drain_seconds"] is None
    assert q["oldest_age_seconds"] >= 0 and q["oldest_received_at"] > 0
    wait_until(lambda: daemon.get("/api/admin/queue-analysis")[
        "oldest_age_seconds"] > q["oldest_age_seconds"], what="a higher age")
    daemon.post("/api/admin/resume-processing", {})
    wait_until(lambda: daemon.get("/api/metrics")["queue_depth"] == 0,
               what="an empty queue")
    q = daemon.get("/api/admin/queue-analysis")
    assert q["event_type_distribution"] == {}
    assert q["oldest_received_at"] is None and q["paused"] is False
    assert q["estimated_drain_seconds"] == 0


def run(d, path):
    wf = d.post("/api/runbooks/execute", {"runbook": path}, 202)["workflow_id"]
    return d.wait_status(wf, "succeeded", "failed", "cancelled", "killed")


def test_runbook_performance_says_how_workflows_went(make_daemon):
    d = make_daemon({"note.yaml": NOTE, "fails.yaml": FAILS})
    d.wait_executor()
    assert d.get("/api/metrics/runbook-performance")["runbooks"] == []
    times = [run(d, "note.yaml")["duration_seconds"] for _ in range(3)]
    run(d, "fails.yaml")
    d.post("/api/runbooks/execute", {"runbook": "note.yaml", "dry_run": True})
    p = d.get("/api/metrics/runbook-performance")
    assert p["complete"] is True
    fails, note = p["runbooks"]
    assert note["runbook"] == "note.yaml" and note["name"] == "Note"
    assert note["count"] == note["succeeded"] == 3  # dry runs do not count
    assert note["success_rate"] == 1
    assert 0 < note["p50_seconds"] <= note["p95_seconds"]
    assert note["p95_seconds"] == note["max_seconds"] <= max(times)
    assert [s["step"] for s in note["steps"]] == ["Say", "End"]
    assert [s["count"] for s in note["steps"]] == [3, 3]
    assert all(s["success_rate"] == 1 and s["max_seconds"] >= 0
               for s in note["steps"])
    assert fails["count"] == fails["failed"] == 1
    assert fails["success_rate"] == 0
    assert fails["steps"][0]["success_rate"] == 0
    one = d.get("/api/metrics/runbook-performance?runbook=fails.yaml")
    assert [r["runbook"] for r in one["runbooks"]] == ["fails.yaml"]
    later = d.get("/api/metrics/runbook-performance?since=4102444800")
    assert later["runbooks"] == [] and later["workflows"] == 0
    # Steps of an older version stand in other places: they are left out.
    d.write_runbook("note.yaml", NOTE.replace("Say", "Shout"))
    d.post("/api/admin/reload-runbooks", {})
    run(d, "note.yaml")
    note = d.get("/api/metrics/runbook-performance")["runbooks"][1]
    assert note["count"] == 4
    assert [(s["step"], s["count"]) for s in note["steps"]] == [
        ("Shout", 1), ("End", 1)]


def test_poison_messages_are_handled_one_by_one(make_daemon):
    d, bad = poisoned(make_daemon, 3)
    good = d.event(type="alert", labels={"instance": "c"})
    wait_until(lambda: d.get(f"/api/events/{good}")["status"] != "queued",
               what="another event")
    base = "/api/admin/poison-messages"
    errors = d.get("/api/metrics")
    assert errors["processing_errors"] == 3
    assert errors["processing_errors_last_hour"] == 3
    shown = d.get(f"{base}/{bad[0]}")
    assert shown["id"] == bad[0] and shown["status"] == "poison"
    assert "was lost each time" in shown["error"]
    assert shown["attempts"] == 1 and shown["workflows"] == []
    assert "no poison message" in d.get(f"{base}/{good}", 404)["error"]
    d.post(f"{base}/{good}/requeue", {}, 404)
    d.api("DELETE", f"{base}/{good}", status=404)
    assert d.api("DELETE", f"{base}/{bad[0]}")["status"] == "archived"
    d.get(f"{base}/{bad[0]}", 404)
    assert d.get(f"/api/events/{bad[0]}")["status"] == "archived"
    assert d.post(f"{base}/{bad[1]}/requeue", {}, 202)["status"] == "queued"
    wait_until(lambda: d.get(f"/api/events/{bad[1]}")["status"] in (
        "processed", "suppressed"), what="a good end")
    left = d.get(base)["poison_messages"]
    assert [e["id"] for e in left] == [bad[2]]
    actions = [(r["action"], r["subject"])
               for r in d.get("/api/admin/audit?limit=2")["audit"]]
    assert actions == [("poison.requeue", bad[1]), ("poison.clear", bad[0])]
    check_ledger(d)


# ---- lists -----------------------------------------------------------------

def test_lists_take_the_filters_that_make_sense(daemon):
    daemon.post("/api/admin/pause-processing", {})
    send_mixed(daemon)
    for path in ("/api/events", "/api/events/recent"):
        def count(query):
            return len(daemon.get(f"{path}?{query}")["events"])
        assert count("type=alert") == 3 and count("type=metric") == 2
        assert count("severity=critical") == 3 and count("severity=x") == 0
        assert count("source=scraper&type=metric&limit=1") == 1
        assert count("status=queued") == 5 and count("status=poison") == 0
    daemon.post("/api/admin/drain-queue", {})
    drained = daemon.get("/api/events?status=drained&type=alert&since=1h")
    assert len(drained["events"]) == 3
    for path in ("/api/workflows?limit=10000", "/api/events?since=30d",
                 "/api/workflows?since=90d", "/api/workflows?status=failed",
                 "/api/events?status=error&limit=50"):
        daemon.get(path)
    for path in ("/api/events?limit=100001", "/api/events?nonsense=1",
                 "/api/events/recent?limit=1001",
                 "/api/admin/poison-messages?status=poison"):
        daemon.get(path, 400)


def test_an_export_is_complete(make_daemon):
    d = make_daemon({}, {"engine": {"event_processing": {"queue_size": 20000}}})
    for _ in range(12):
        d.post("/api/events", [{"type": "metric", "metric_name": "m",
                                "value": i} for i in range(1000)])
    export = d.get("/api/events?since=30d")
    assert len(export["events"]) == 12000 and export["next_cursor"] is None
    assert len({e["id"] for e in export["events"]}) == 12000


# ---- the archive -----------------------------------------------------------

MUCH = """\
name: Much
category: test
steps:
  - {name: Say, action: exec, command: "seq 1 60000"}
"""


def lines_of(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def test_old_workflows_move_to_a_file(make_daemon):
    d = make_daemon({"note.yaml": NOTE, "much.yaml": MUCH,
                     "fails.yaml": FAILS})
    d.wait_executor()
    old = [run(d, "note.yaml")["id"] for _ in range(2)]
    old += [run(d, "much.yaml")["id"], run(d, "fails.yaml")["id"]]
    said = [c["text"] for c in d.get(f"/api/workflows/{old[2]}/logs")["logs"]]
    path = "/api/admin/archive-workflows"
    nothing = d.post(f"{path}?before=90d", {})
    assert nothing["archived"] == 0 and nothing["file"] is None
    ended = d.get(f"/api/workflows/{old[3]}")["finished_at"]
    wait_until(lambda: time.time() > ended + 0.01, what="a later moment")
    before = time.time()
    kept = run(d, "note.yaml")["id"]
    answer = d.post(f"{path}?before={before:.3f}", {})
    assert answer["archived"] == 4 and answer["more"] is False
    assert answer["file"].startswith(f"{d.folder}/archive/workflows-")
    assert os.listdir(os.path.dirname(answer["file"])) == [
        os.path.basename(answer["file"])]
    assert os.stat(answer["file"]).st_mode & 0o077 == 0
    archived = lines_of(answer["file"])
    assert [w["id"] for w in archived] == old
    assert archived[0]["status"] == "succeeded"
    assert [s["name"] for s in archived[0]["steps"]] == ["Say", "End"]
    assert archived[0]["logs"][0]["text"] == "hello\n"
    assert "".join(c["text"] for c in archived[2]["logs"]) == "".join(said)
    assert archived[3]["status"] == "failed" and archived[3]["error"]
    assert [w["id"] for w in d.get("/api/workflows")["workflows"]] == [kept]
    gone = d.get(f"/api/workflows/{old[0]}", 404)
    assert "archived" in gone["error"]
    assert gone["detail"]["archive"] == os.path.dirname(answer["file"])
    d.get(f"/api/workflows/{old[0]}/logs", 404)
    row = d.get("/api/admin/audit?limit=1")["audit"][0]
    assert row["action"] == "workflow.archive"
    assert row["subject"] == os.path.basename(answer["file"])
    assert row["after"]["archived"] == 4
    d.kill9()
    d.start()
    assert [w["id"] for w in d.get("/api/workflows")["workflows"]] == [kept]
    check_ledger(d)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs ptrace")
def test_one_archive_at_a_time(make_daemon):
    d = make_daemon({"note.yaml": NOTE})
    d.wait_executor()
    run(d, "note.yaml")
    path = "/api/admin/archive-workflows?before=0s"
    answers = []
    first = threading.Thread(target=lambda: answers.append(d.post(path, {})))
    with frozen(d, "service"):
        first.start()  # its file is whole, and nothing is removed yet
        wait_until(lambda: glob.glob(f"{d.folder}/archive/*.ndjson"),
                   what="its file")
        assert d.post(path, {}, 409)["code"] == "archiving"
        assert d.get("/api/workflows")["workflows"] != []
    first.join()
    assert answers[0]["archived"] == 1
    assert d.post(path, {})["archived"] == 0  # and the next may come


def test_archiving_needs_a_past_time(daemon):
    path = "/api/admin/archive-workflows"
    assert daemon.post(path, {}, 400)["detail"]["field"] == "before"
    daemon.post(f"{path}?before=soon", {}, 400)
    daemon.post(f"{path}?before={time.time() + 3600:.0f}", {}, 400)
    daemon.post(f"{path}?since=90d", {}, 400)
    assert not os.path.exists(f"{daemon.folder}/archive")


def test_an_archive_that_cannot_be_written_removes_nothing(make_daemon):
    d = make_daemon({"note.yaml": NOTE})
    d.wait_executor()
    run(d, "note.yaml")
    with open(f"{d.folder}/archive", "w", encoding="utf-8"):
        pass
    wait_until(lambda: d.raw("POST", "/api/admin/archive-workflows?before=0s",
                             "{}")[0] == 500, what="a refusal")
    assert len(d.get("/api/workflows")["workflows"]) == 1


# ---- the numbers of /api/metrics ---------------------------------------------

WHOLE = ["event_queue_depth", "queue_depth", "events_per_minute",
         "processing_errors", "processing_errors_last_hour"]
MEASURED = ["workflow_success_rate_1h", "workflow_success_rate_24h",
            "avg_workflow_duration_seconds", "events_processed_per_second",
            "ingestion_rate", "processing_rate"]


def test_every_key_of_the_metrics_is_typed_and_moves(make_daemon):
    d = make_daemon({"note.yaml": NOTE, "fails.yaml": FAILS})
    d.wait_executor()
    before = d.get("/api/metrics")
    for key in WHOLE:
        assert type(before[key]) is int and before[key] == 0, key
    for key in MEASURED:
        assert type(before[key]) in (int, float), key
    # An idle engine must not raise the manual's alert through bc.
    assert before["workflow_success_rate_1h"] == 1
    assert before["workflow_success_rate_24h"] == 1
    assert before["event_types"] == {}
    assert d.get("/api/workflows")["active_workflows"] == 0

    d.post("/api/admin/pause-processing", {})
    good = d.event(type="alert", labels={"alertname": "n"})
    d.event(type="alert", labels={"alertname": "n2"})
    d.event(type="metric", metric_name="m", value=1)
    queued = d.get("/api/metrics")
    assert queued["event_queue_depth"] == queued["queue_depth"] == 3
    assert queued["events_per_minute"] == 3 and queued["ingestion_rate"] > 0
    assert queued["event_types"] == {"alert": 2, "metric": 1}
    assert queued["processing_rate"] == 0

    d.post("/api/admin/resume-processing", {})
    d.wait_workflow(good)
    run(d, "fails.yaml")
    after = d.get("/api/metrics")
    assert after["event_queue_depth"] == 0
    assert after["processing_rate"] > 0
    assert after["events_processed_per_second"] > 0
    assert 0 < after["workflow_success_rate_1h"] < 1
    assert 0 < after["workflow_success_rate_24h"] < 1
    assert after["avg_workflow_duration_seconds"] > 0


# ---- workers -----------------------------------------------------------------

STUCK = {"engine": {"event_processing": {"worker_stuck_after": "1s",
                                         "workers": 1}}}
SOON = "a" * 4  # an event that is matched at once, and one that is not
LATE = "a" * 4000


def queue_together(d, *instances):
    d.post("/api/admin/pause-processing", {})
    ids = [d.event(type="alert", labels={"instance": i}) for i in instances]
    d.post("/api/admin/resume-processing", {})
    return ids


def workers(d, status):
    return [w for w in d.get("/api/admin/workers")["workers"]
            if w["status"] == status]


def test_a_worker_without_progress_is_shown_and_replaced(make_daemon):
    d = make_daemon({**heavy(24), "note.yaml": NOTE}, STUCK)
    d.wait_executor()
    ids = queue_together(d, SOON, SOON, LATE, SOON)
    wait_until(lambda: workers(d, "stuck"), what="a worker that is stuck")
    task = workers(d, "stuck")[0]["current_task"]
    assert (task["done"], task["events"], task["event"]) == (2, 4, ids[2])
    assert task["progress_at"] >= task["since"]
    assert "2/4" in adctl(d, "worker", "list").stdout
    for name in heavy(24):
        os.unlink(os.path.join(d.repo, name))
    d.post("/api/admin/reload-runbooks", {})
    answer = d.post("/api/admin/restart-workers", {})
    assert (answer["status"], answer["stuck"]) == ("restarted", 1)
    assert workers(d, "stuck") == []
    # What it had matched is done; what it had not is done by another.
    for i in ids:
        wait_until(lambda: d.get(f"/api/events/{i}")["status"] == "processed",
                   what="another worker's work")
        d.wait_workflow(i)
    attempts = [d.get(f"/api/events/{i}")["attempts"] for i in ids]
    assert attempts == [1, 1, 2, 2]
    assert d.get("/api/metrics")["processing_errors"] == 2
    assert len(d.get("/api/workflows")["workflows"]) == 4
    check_ledger(d)
    d.kill9()


def test_a_worker_with_slow_events_is_not_stuck(make_daemon):
    d = make_daemon({"slow.yaml": slow(20)}, {
        "engine": {"event_processing": {"worker_stuck_after": "5s",
                                        "batch_size": 500, "workers": 1}}})
    d.post("/api/admin/pause-processing", {})
    for _ in range(10):
        d.post("/api/events", [{"type": "alert", "labels": {"instance": LATE}}
                               for _ in range(50)])
    d.post("/api/admin/resume-processing", {})
    seen = set()

    def long_at_work():
        for w in d.get("/api/admin/workers")["workers"]:
            if w["status"] != "idle":
                seen.add(w["status"])
                task = w["current_task"]
                return task["progress_at"] - task["since"] > 6 and task
        return None
    task = wait_until(long_at_work, 60, what="a batch of more than five seconds")
    assert seen == {"busy"} and 0 < task["done"] < 500
    answer = d.post("/api/admin/restart-workers", {})
    assert (answer["status"], answer["stuck"]) == ("none_stuck", 0)
    assert workers(d, "busy")
    d.kill9()


def threads(d):
    return len(os.listdir(f"/proc/{d.process.pid}/task"))


def test_workers_can_be_restarted_as_often_as_one_likes(make_daemon):
    d = make_daemon(heavy(6), {
        "engine": {"event_processing": {"worker_stuck_after": "1s",
                                        "workers": 2}}})
    before = threads(d)
    for _ in range(40):  # of idle ones nothing needs replacing
        assert d.post("/api/admin/restart-workers", {})["stuck"] == 0
    assert threads(d) == before
    for _ in range(2):  # of stuck ones the threads end with their batch
        queue_together(d, LATE)
        wait_until(lambda: workers(d, "stuck"), what="a stuck worker")
        assert d.post("/api/admin/restart-workers", {})["stuck"] == 1
        wait_until(lambda: threads(d) == before, 120, what="their end")


def test_runbooks_are_reloaded_while_every_worker_is_stuck(make_daemon):
    d = make_daemon(heavy(60), {
        "runbooks": {"auto_reload": True},
        "engine": {"event_processing": {"workers": 1,
                                        "worker_stuck_after": "1s"}}})
    d.event(type="alert", labels={"instance": "a" * 4000})

    def worker():
        return d.get("/api/admin/workers")["workers"][0]
    wait_until(lambda: worker()["status"] == "stuck", what="a stuck worker")
    task = worker()["current_task"]
    for name in heavy(60):
        os.unlink(os.path.join(d.repo, name))
    d.post("/api/admin/reload-runbooks", {})
    assert d.get("/api/runbooks")["runbooks"] == []
    d.write_runbook("note.yaml", NOTE)  # the watch does not wait either
    wait_until(lambda: d.get("/api/runbooks")["count"] == 1,
               what="a runbook that was noticed")
    # All that while the batch went on that was stuck before.
    assert worker()["current_task"] == task
    assert d.post("/api/admin/restart-workers", {})["stuck"] == 1
    check_ledger(d)
    d.kill9()


# The wall clock of a process, ahead by the seconds that a file holds.
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);
    long ahead = 0;
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    }
    int r = real(clock, t);
    FILE *f = clock == CLOCK_REALTIME ? fopen("AHEAD", "r") : NULL;
    if (f != NULL) {
        if (fscanf(f, "%ld", &ahead) == 1) {
            t->tv_sec += ahead;
        }
        fclose(f);
    }
    return r;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a compiler")
def test_a_clock_that_is_set_makes_no_worker_stuck(make_daemon, tmp_path):
    ahead = tmp_path / "ahead"
    source = tmp_path / "clock.c"
    source.write_text(CLOCK.replace("AHEAD", str(ahead)))
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "clock.so",
                    source, "-ldl"], check=True)
    d = make_daemon(heavy(24), {"engine": {"event_processing": {
        "worker_stuck_after": "1h", "workers": 1}}}, start=False)
    d.within = ["env", f"LD_PRELOAD={tmp_path}/clock.so"]
    d.start()
    queue_together(d, LATE)
    wait_until(lambda: workers(d, "busy"), what="a busy worker")
    (tmp_path / "new").write_text("7200")
    os.rename(tmp_path / "new", ahead)
    wait_until(lambda: d.event(type="metric") and d.get(
        "/api/events?limit=1")["events"][0]["received_at"] > time.time() + 3600,
        what="a clock that is ahead")
    assert workers(d, "stuck") == []
    d.kill9()
