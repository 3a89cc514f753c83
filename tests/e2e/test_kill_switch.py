"""The kill switch: by API, by command line, by file and by signal. While it is
on nothing begins; nothing that was accepted is lost by it."""
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from harness import BUILD, wait_until

NOTE = """\
name: Note
triggers: [{{type: alert}}]
steps:
  - name: first
    action: exec
    command: "echo first >> {out}; until [ -e {go} ]; do sleep 0.05; done"
  - name: second
    action: exec
    command: "echo second >> {out}"
"""


@pytest.fixture
def scene(make_daemon, tmp_path):
    out, go = tmp_path / "out", tmp_path / "go"
    d = make_daemon({"note.yaml": NOTE.format(out=out, go=go)})
    d.file = os.path.join(d.folder, "control", "kill-switch")
    d.out, d.go = out, go
    return d


def lines(d):
    return d.out.read_text().split() if d.out.exists() else []


def switch(d, **body):
    return d.post("/api/admin/kill-switch", body, status=200)


def health(d):
    return d.get("/api/health")["checks"]["kill_switch"]


def wait_on(d, on=True):
    wait_until(lambda: health(d)["on"] is on, what="the engine to see it")


def alert(d):
    return d.post("/api/events", {"type": "alert"}, status=202)["id"]


def adctl(d, *args, **more):
    config = [] if args[0] == "status" else ["--config", d.config_path]
    return subprocess.run(
        [os.path.join(BUILD, "adctl"), "--server",
         f"http://127.0.0.1:{d.port}", *args, *config],
        capture_output=True, text=True, timeout=60, **more)


def finished(d, event):
    found = d.get(f"/api/events/{event}")["workflows"]
    return found and all(w["status"] == "succeeded" for w in found)


def nothing_begins(d, before):
    """As long as it takes until something would have begun."""
    event = alert(d)
    for _ in range(20):
        assert lines(d) == before
        time.sleep(0.05)
    return event


def test_what_has_begun_ends_and_nothing_else_begins(scene):
    d = scene
    first = alert(d)
    wait_until(lambda: lines(d) == ["first"], what="the first step")
    answer = switch(d, on=True, reason="a storm")
    assert answer["on"] and answer["audited"]
    assert answer["reason"].endswith(": a storm") and answer["path"] == d.file
    with open(d.file, encoding="utf-8") as f:
        assert f.read() == answer["reason"] + "\n"
    wait_on(d)
    d.go.touch()  # the running step may end; the next one may not begin
    second = nothing_begins(d, ["first"])
    assert d.get(f"/api/events/{second}")["status"] == "queued"
    assert d.get("/api/health")["status"] == "degraded"
    assert "storm" in health(d)["reason"]
    answer = switch(d, on=False)
    assert answer["on"] is False and not os.path.exists(d.file)
    wait_until(lambda: finished(d, first) and finished(d, second),
               what="both workflows")
    assert sorted(lines(d)) == ["first", "first", "second", "second"]
    rows = [r for r in d.get("/api/admin/audit")["audit"]
            if r["action"] == "kill-switch.turn"]
    assert [r["after"]["on"] for r in rows] == [False, True]
    assert "storm" in rows[1]["after"]["reason"]


@pytest.mark.parametrize("how", ["file", "signal", "adctl"])
def test_it_can_be_put_on(scene, how):
    d = scene
    d.go.touch()
    if how == "file":
        os.makedirs(os.path.dirname(d.file), exist_ok=True)
        open(d.file, "w", encoding="utf-8").close()
    elif how == "signal":
        d.process.send_signal(signal.SIGUSR1)
    else:
        r = adctl(d, "kill-switch", "on", "--reason", "try")
        assert r.returncode == 0 and "ON" in r.stdout, r.stderr
    wait_on(d)
    event = nothing_begins(d, [])
    r = adctl(d, "kill-switch", "show")
    assert "ON" in r.stdout and d.file in r.stdout
    if how == "signal":
        assert "USR1" in r.stdout
    for command in "status", "doctor":
        r = adctl(d, command)
        assert r.returncode != 0 and "kill switch is on" in r.stdout
    r = adctl(d, "kill-switch", "off")
    assert r.returncode == 0 and "off" in r.stdout
    wait_until(lambda: finished(d, event), what="the workflow")


def test_it_outlives_the_engine(scene):
    d = scene
    d.go.touch()
    switch(d, on=True)
    wait_on(d)
    event = alert(d)
    d.kill9()
    d.start()
    assert health(d)["on"]
    nothing_begins(d, [])
    os.unlink(d.file)
    wait_until(lambda: finished(d, event), what="the workflow")


def test_without_an_engine_the_file_is_turned_by_hand(scene):
    d = scene
    d.stop()
    r = adctl(d, "kill-switch", "on", "--reason", "nobody is there")
    assert r.returncode == 0 and "by hand" in r.stderr, r.stderr
    with open(d.file, encoding="utf-8") as f:
        assert f.read() == f"uid:{os.getuid()}: nobody is there\n"
    r = adctl(d, "kill-switch", "show", "-o", "json")
    assert json.loads(r.stdout)["on"] is True
    d.start()
    assert health(d)["on"]
    d.stop()
    r = adctl(d, "kill-switch", "off")
    assert r.returncode == 0 and not os.path.exists(d.file)


def test_a_file_that_nobody_can_name_is_not_touched(scene):
    d = scene
    d.stop()
    d.config_path += ".none"
    for verb in "on", "off", "show":
        r = adctl(d, "kill-switch", verb)
        assert r.returncode == 1 and d.config_path in r.stderr, r.stderr
        assert "by hand" not in r.stderr and r.stdout == ""
    assert not os.path.exists(d.file)


def test_the_executor_looks_for_itself(scene):
    """Whatever an engine asks, also one that does not look."""
    d = scene
    d.go.touch()
    alert(d)
    wait_until(lambda: lines(d) == ["first", "second"], what="a workflow")
    d.process.send_signal(signal.SIGSTOP)  # it cannot look now
    os.makedirs(os.path.dirname(d.file), exist_ok=True)
    with open(d.file, "w", encoding="utf-8") as f:
        f.write("by hand\n")
    # An engine whose switch is elsewhere asks the same executor.
    d.process.kill()
    d.process.wait()
    executor = d.executor_pid()
    with open(d.config_path, encoding="utf-8") as f:
        config = json.load(f)
    config["security"] = {"kill_switch": d.folder + "/elsewhere/switch"}
    config["executor"]["autostart"] = False
    other = d.config_path + ".other"
    with open(other, "w", encoding="utf-8") as f:
        json.dump(config, f)
    d.config_path, kept = other, d.config_path
    d.start()
    d.config_path = kept
    assert d.executor_pid() == executor
    wait_until(lambda: d.get("/api/health")["checks"]["executor"]["ok"],
               what="the executor")
    event = alert(d)
    wait_until(lambda: d.get(f"/api/events/{event}")["workflows"],
               what="a workflow")
    wf = d.get(f"/api/events/{event}")["workflows"][0]["id"]
    wait_until(lambda: "the kill switch is on: by hand" in
               str([a["error"] for a in attempts(d, wf)]), what="a refusal")
    assert d.get(f"/api/workflows/{wf}")["status"] == "running"
    assert lines(d) == ["first", "second"]
    os.unlink(d.file)
    wait_until(lambda: finished(d, event), what="what it had put off")
    assert [a["attempt"] for a in attempts(d, wf)] == [1, 1]


@pytest.mark.parametrize("body, says", [
    ({}, "true or false"), ({"on": "yes"}, "true or false"),
    ({"on": True, "reason": "x" * 200}, "160 bytes"),
    ({"on": True, "reason": "a\nb"}, "one line"),
    ({"on": True, "why": "x"}, "why"),
])
def test_bad_requests_change_nothing(scene, body, says):
    status, _, data = scene.raw("POST", "/api/admin/kill-switch",
                                json.dumps(body))
    assert status == 400 and says in data.decode()
    assert not os.path.exists(scene.file)


def test_a_file_that_cannot_be_written_still_stops_this_engine(scene):
    d = scene
    control = os.path.join(d.folder, "control")
    os.symlink("/nonexistent", control)  # no folder: no file in it
    status, _, data = d.raw("POST", "/api/admin/kill-switch",
                            json.dumps({"on": True}))
    assert status == 500 and "until the engine ends" in data.decode()
    wait_on(d)
    nothing_begins(d, [])
    # Once the file could be written, by whomever, it alone counts.
    os.unlink(control)
    r = adctl(d, "kill-switch", "on")
    assert r.returncode == 0, r.stderr
    wait_until(lambda: d.get("/api/admin/kill-switch")["reason"] != "",
               what="the file")
    os.unlink(d.file)
    wait_on(d, on=False)


def attempts(d, wf):
    steps = d.get(f"/api/workflows/{wf}")["steps"]
    return [a for s in steps for a in s["attempts"]]


def turns(d):
    return [r for r in d.get("/api/admin/audit")["audit"]
            if r["action"] == "kill-switch.turn"]


def test_the_last_word_is_on(scene):
    """An off that is on its way when somebody puts it on takes nothing off."""
    d = scene
    for i in range(40):
        switch(d, on=True, reason="before")
        off = threading.Thread(
            target=lambda: d.raw("POST", "/api/admin/kill-switch",
                                 json.dumps({"on": False})))
        off.start()
        time.sleep(0.0005 * (i % 10))
        answer = switch(d, on=True, reason="storm again")
        off.join()
        assert answer["on"]
        # Whichever came last: the trail says so, and so it is.
        assert os.path.exists(d.file) == turns(d)[0]["after"]["on"], i
    switch(d, on=False)
    assert not os.path.exists(d.file)


def test_who_puts_it_on_again_is_told_what_it_says(scene):
    d = scene
    switch(d, on=True, reason="storm one")
    answer = switch(d, on=True, reason="storm two")
    assert answer["reason"].endswith("storm one")
    assert turns(d)[0]["after"]["reason"].endswith("storm one")


def test_turns_by_hand_are_in_the_trail(scene):
    d = scene
    os.makedirs(os.path.dirname(d.file), exist_ok=True)
    with open(d.file, "w", encoding="utf-8") as f:
        f.write("bob: a storm\n")
    wait_until(lambda: len(turns(d)) == 1, what="a row")
    os.unlink(d.file)
    wait_until(lambda: len(turns(d)) == 2, what="another")
    assert [(r["who"], r["after"]["on"]) for r in turns(d)] == [
        ("file", False), ("file", True)]
    assert turns(d)[1]["after"]["reason"] == "bob: a storm"
    switch(d, on=True)
    wait_on(d)
    switch(d, on=False)
    wait_on(d, on=False)
    assert len(turns(d)) == 4


STEPS = """\
name: Steps
triggers: [{{type: alert}}]
timeout: {limit}
steps:
  - name: first
    action: exec
    command: "until [ -e {go} ]; do sleep 0.01; done; echo first >> {out}"
    timeout: 3s
{more}"""
DRAIN = """\
  - name: drain
    action: exec
    continue_on_error: true
    command: "echo drain >> {out}"
    timeout: 3s
"""
RESTART = """\
  - name: restart
    action: exec
    command: "echo restart >> {out}"
    retry: {{attempts: 3, backoff: 10ms}}
    timeout: 3s
"""


@pytest.mark.parametrize("more, limit, then", [
    (DRAIN + RESTART, "1m", ["drain", "restart"]), (DRAIN, "1m", ["drain"]),
    (RESTART, "1m", ["restart"]), (RESTART, "4s", ["restart"]),
], ids=["skipped", "last", "tries", "limit"])
def test_what_meets_the_switch_has_not_failed(make_daemon, tmp_path, more,
                                              limit, then):
    out, go = tmp_path / "out", tmp_path / "go"
    more = more.format(out=out)
    d = make_daemon({"steps.yaml": STEPS.format(out=out, go=go, more=more,
                                                limit=limit)})
    d.file = os.path.join(d.folder, "control", "kill-switch")
    d.out = out
    event = alert(d)
    wait_until(lambda: d.get(f"/api/events/{event}")["workflows"],
               what="a workflow")
    wf = d.get(f"/api/events/{event}")["workflows"][0]["id"]
    wait_until(lambda: [a for a in attempts(d, wf) if a["pid"]],
               what="its first step")
    began = time.monotonic()
    os.makedirs(os.path.dirname(d.file), exist_ok=True)
    open(d.file, "w", encoding="utf-8").close()
    go.touch()  # the next step is asked for before the engine has looked
    wait_on(d)
    wait_until(lambda: time.monotonic() > began + 5, what="the time limit")
    assert d.get(f"/api/workflows/{wf}")["status"] == "running"
    assert lines(d) == ["first"]
    os.unlink(d.file)
    wait_until(lambda: finished(d, event), what="the workflow")
    assert lines(d) == ["first"] + then
    assert all(a["attempt"] == 1 for a in attempts(d, wf))


def test_taken_off_while_no_engine_is_there(make_daemon, tmp_path):
    """Then, too, no time has passed, and the trail has a row."""
    out, go = tmp_path / "out", tmp_path / "go"
    more = RESTART.format(out=out)
    d = make_daemon({"steps.yaml": STEPS.format(out=out, go=go, more=more,
                                                limit="4s")})
    d.file = os.path.join(d.folder, "control", "kill-switch")
    d.out = out
    event = alert(d)
    wait_until(lambda: d.get(f"/api/events/{event}")["workflows"],
               what="a workflow")
    wf = d.get(f"/api/events/{event}")["workflows"][0]["id"]
    wait_until(lambda: [a for a in attempts(d, wf) if a["pid"]],
               what="its first step")
    began = time.monotonic()
    switch(d, on=True)
    wait_on(d)
    go.touch()
    wait_until(lambda: lines(d) == ["first"], what="the end of it")
    wait_until(lambda: time.monotonic() > began + 5, what="the time limit")
    d.kill9()
    os.unlink(d.file)
    d.start()
    wait_until(lambda: finished(d, event), what="the workflow")
    assert [(r["who"], r["after"]["on"]) for r in turns(d)][0] == (
        "file", False)


SLOW = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int fsync(int fd)
{
    char link[64], name[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, sizeof name - 1);
    if (n > 0 && strstr(name, "/kill-switch") != NULL) {
        while (access(getenv("SLOW_GO"), F_OK) != 0) {
            usleep(10000);
        }
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return real(fd);
}
"""


def test_nobody_waits_for_its_disk(make_daemon, tmp_path):
    """While the file is not on the disk yet, the switch is on and the API
    answers."""
    source, library, go = (tmp_path / n for n in ("slow.c", "slow.so", "go"))
    source.write_text(SLOW)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"],
                   check=True)
    d = make_daemon({"a.yaml": STEPS.format(out=tmp_path / "out", go=go,
                                            more="", limit="1m")},
                    start=False)
    d.within = ["env", f"LD_PRELOAD={library}", f"SLOW_GO={go}"]
    d.start()
    answers = []
    on = threading.Thread(target=lambda: answers.append(switch(d, on=True)))
    on.start()
    wait_on(d)
    d.process.send_signal(signal.SIGUSR1)
    assert d.raw("GET", "/-/healthy")[0] == 200 and not answers
    go.touch()
    on.join()
    assert answers[0]["on"] and answers[0]["audited"]


def test_roots_file_holds_against_the_engine(scene):
    d = scene
    d.go.touch()
    root = os.path.join(os.path.dirname(d.config_path), "kill-switch")
    r = adctl(d, "kill-switch", "on", "--lock", "--reason", "taken over")
    assert r.returncode == 0 and root in r.stdout, (r.stdout, r.stderr)
    wait_on(d)
    assert d.get("/api/admin/kill-switch")["path"] == root
    event = nothing_begins(d, [])
    status, _, data = d.raw("POST", "/api/admin/kill-switch",
                            json.dumps({"on": False}))
    assert status == 409 and "--lock" in data.decode()
    r = adctl(d, "kill-switch", "off")
    assert r.returncode != 0 and "--lock" in r.stderr and os.path.exists(root)
    r = adctl(d, "kill-switch", "off", "--lock")
    assert r.returncode == 0 and not os.path.exists(root), r.stderr
    wait_until(lambda: finished(d, event), what="the workflow")


def test_a_reload_with_another_place(scene):
    """Both are obeyed, by both processes."""
    d = scene
    d.go.touch()
    new = os.path.join(d.folder, "elsewhere-switch")
    with open(d.config_path, encoding="utf-8") as f:
        config = json.load(f)
    config["security"] = dict(config.get("security", {}), kill_switch=new)
    with open(d.config_path, "w", encoding="utf-8") as f:
        json.dump(config, f)
    d.process.send_signal(signal.SIGHUP)
    wait_until(lambda: d.get("/api/admin/kill-switch")["path"] == new,
               what="the reload")
    os.makedirs(os.path.dirname(d.file), exist_ok=True)
    for place in d.file, new:
        d.out.write_text("")
        open(place, "w", encoding="utf-8").close()
        wait_on(d)
        event = nothing_begins(d, [])
        assert switch(d, on=False)["on"] is False
        assert not os.path.exists(place)
        wait_until(lambda: finished(d, event), what="the workflow")


def test_by_hand_says_what_was_there(scene):
    d = scene
    d.stop()
    r = adctl(d, "kill-switch", "off")
    assert r.returncode == 0 and "no file to remove" in r.stderr
    adctl(d, "kill-switch", "on", "--reason", "one")
    r = adctl(d, "kill-switch", "on", env=dict(os.environ, SUDO_USER="bob"))
    assert "there already" in r.stderr and ": one" in r.stdout
    adctl(d, "kill-switch", "off")
    adctl(d, "kill-switch", "on", env=dict(os.environ, SUDO_USER="bob"))
    with open(d.file, encoding="utf-8") as f:
        assert ("(sudo by bob)" in f.read()) == (os.getuid() == 0)
