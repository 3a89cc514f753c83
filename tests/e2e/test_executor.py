"""The executor's life beside the engine's, with real processes."""
import json
import os
import shutil
import signal
import time

import pytest

from harness import wait_until


def runbook(step, **extra):
    lines = [f"    {k}: {v}" for k, v in extra.items()]
    return "\n".join(["name: Test", "triggers:", "  - type: alert",
                      "    labels: {alertname: Test}", "steps:",
                      "  - name: step", "    action: exec",
                      f"    command: {json.dumps(step)}", *lines]) + "\n"


def fire(d):
    return d.event(type="alert", labels={"alertname": "Test"})


def running(d, event):
    return wait_until(lambda: [w for w in d.workflows_of(event)
                               if w["status"] == "running"], 20,
                      "a running workflow")[0]["id"]


def alive(marker):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if marker.encode() in f.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def test_a_killed_executor_is_started_again(make_daemon):
    d = make_daemon({"r.yaml": runbook("true")})
    d.wait_executor()
    killed = d.executor_pid()
    os.kill(killed, signal.SIGKILL)
    # What was asked of a dying executor has an unknown outcome, and is held.
    wait_until(lambda: d.executor_pid() not in (killed, None),
               what="the next executor")
    d.wait_executor()
    assert d.wait_workflow(fire(d))["status"] == "succeeded"


def test_engine_crash_reattaches_and_runs_once(make_daemon, tmp_path):
    out = tmp_path / "ran"
    d = make_daemon({"r.yaml": runbook(f"echo one; echo x >> {out}; sleep 2")})
    d.wait_executor()
    event = fire(d)
    workflow = running(d, event)
    wait_until(out.exists, what="the step's first line")
    d.kill9()
    d.start()
    done = d.wait_status(workflow, "succeeded", "failed", "held")
    assert done["status"] == "succeeded"
    assert out.read_text() == "x\n"
    assert len(done["steps"][0]["attempts"]) == 1
    logs = d.get(f"/api/workflows/{workflow}/logs")["logs"]
    assert [x["text"] for x in logs] == ["one\n"]


@pytest.mark.parametrize("idempotent,expected", [("true", "succeeded"),
                                                 ("false", "held")])
def test_lost_executor(make_daemon, tmp_path, idempotent, expected):
    mark = tmp_path / "first"
    d = make_daemon({"r.yaml": runbook(
        f"test -e {mark} && exit 0; touch {mark}; sleep 31340",
        idempotent=idempotent)})
    d.wait_executor()
    event = fire(d)
    workflow = running(d, event)
    wait_until(mark.exists, what="the first attempt")
    os.kill(d.executor_pid(), signal.SIGKILL)
    done = d.wait_status(workflow, "succeeded", "failed", "held")
    assert done["status"] == expected
    assert done["steps"][0]["attempts"][0]["status"] == "unknown"
    if expected == "held":
        assert "idempotent" in done["error"]
        d.post(f"/api/workflows/{workflow}/cancel", status=202)
        d.wait_status(workflow, "cancelled")
    wait_until(lambda: not alive("sleep\x0031340"), what="no leftovers")


# Ends neither with its parent nor by a mark in its environment.
HIDDEN = ("(env -i setsid /bin/sh -c 'trap \"\" TERM HUP; exec /bin/sleep "
          "31342' &)")


@pytest.fixture
def hidden(make_daemon, tmp_path):
    """A daemon without control groups, whose step hides a process and notes
    whether one of an earlier attempt is there."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("cannot take the control groups out of sight")
    d = make_daemon({"r.yaml": runbook(
        f"pgrep -fx '/bin/sleep 31342' >/dev/null && echo beside >> {tmp_path}"
        f"/log; test -e {tmp_path}/log && exit 0; echo began >> {tmp_path}/log"
        f"; {HIDDEN}; sleep 31343", idempotent="true")}, start=False)
    d.within = ["unshare", "-m", "sh", "-c",
                "umount -l /sys/fs/cgroup/unified 2>/dev/null || "
                "umount -l /sys/fs/cgroup; exec \"$@\"", "sh"]
    d.start()
    d.wait_executor()
    d.workflow = running(d, fire(d))
    wait_until(lambda: alive("/bin/sleep\x0031342"), what="what hides")
    yield d
    for pid in alive("/bin/sleep\x0031342"):
        os.kill(pid, signal.SIGKILL)


def test_no_attempt_runs_beside_what_hid(hidden, tmp_path):
    os.kill(hidden.executor_pid(), signal.SIGKILL)
    done = hidden.wait_status(hidden.workflow, "succeeded", "failed", "held")
    assert done["status"] == "succeeded"
    assert [a["status"] for a in done["steps"][0]["attempts"]] == [
        "unknown", "succeeded"]
    assert (tmp_path / "log").read_text() == "began\n"
    assert not alive("/bin/sleep\x0031342")


def test_what_may_still_run_is_held(hidden, tmp_path):
    executor = hidden.executor_pid()
    with open(f"/proc/{executor}/stat", encoding="utf-8") as f:
        guard = int(f.read().rpartition(")")[2].split()[1])
    os.kill(executor, signal.SIGSTOP)  # it must not see its guard's end
    os.kill(guard, signal.SIGKILL)
    os.kill(executor, signal.SIGKILL)
    done = hidden.wait_status(hidden.workflow, "succeeded", "failed", "held")
    assert done["status"] == "held"
    assert "killed together with its guard" in done["error"]
    assert "may still run" in done["error"]
    assert (tmp_path / "log").read_text() == "began\n"
    assert alive("/bin/sleep\x0031342")


def test_executor_restart_in_order_keeps_outcomes(make_daemon, tmp_path):
    out = tmp_path / "ran"
    d = make_daemon({"r.yaml": runbook(f"sleep 1; echo x >> {out}")})
    d.wait_executor()
    event = fire(d)
    workflow = running(d, event)
    executor = d.executor_pid()
    d.kill9()
    wait_until(out.exists, what="a step that ended without an engine")
    time.sleep(0.2)
    os.kill(executor, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(f"/proc/{executor}"),
               what="the executor's end")
    d.start()
    done = d.wait_status(workflow, "succeeded", "failed", "held")
    assert done["status"] == "succeeded"
    assert out.read_text() == "x\n"


def test_a_step_that_our_end_interrupts_is_not_repeated(make_daemon, tmp_path):
    # That it makes a failure of our TERM does not say how far it had come.
    out = tmp_path / "ran"
    d = make_daemon({"r.yaml": runbook(
        f"trap 'exit 1' TERM; echo x >> {out}; sleep 31341 & wait", retry=3)})
    d.wait_executor()
    workflow = running(d, fire(d))
    wait_until(lambda: alive("sleep\x0031341"), what="the step")
    os.kill(d.executor_pid(), signal.SIGTERM)
    done = d.wait_status(workflow, "succeeded", "failed", "held")
    assert done["status"] == "held"
    assert done["steps"][0]["attempts"][0]["status"] == "unknown"
    assert out.read_text() == "x\n"


def test_cancel_ends_the_whole_tree(make_daemon):
    # A daemon of the step: double fork, a session of its own, deaf to TERM.
    d = make_daemon({"r.yaml": runbook(
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; "
        "setsid sleep 31337 & sleep 31337' & sleep 31337")},
        config={"engine": {"workflow_execution": {"stop_grace": "1s"}}})
    d.wait_executor()
    workflow = running(d, fire(d))
    wait_until(lambda: len(alive("sleep\x0031337")) >= 3,
               what="the step's processes")
    d.post(f"/api/workflows/{workflow}/cancel", status=202)
    done = d.wait_status(workflow, "cancelled")
    assert alive("sleep\x0031337") == []
    assert done["steps"][0]["attempts"][0]["survivors"] > 0


def test_kill_is_immediate_and_final(make_daemon):
    d = make_daemon({"r.yaml": runbook("trap '' TERM; sleep 31338")})
    d.wait_executor()
    workflow = running(d, fire(d))
    wait_until(lambda: alive("sleep\x0031338"), what="the step")
    d.post(f"/api/workflows/{workflow}/kill", status=202)
    d.wait_status(workflow, "killed")
    assert alive("sleep\x0031338") == []
    again = d.post(f"/api/workflows/{workflow}/kill", status=409)
    assert again["code"] == "already_final"


def test_timeout(make_daemon):
    d = make_daemon({"r.yaml": runbook("sleep 31339", timeout=1)})
    done = d.wait_workflow(fire(d))
    assert done["status"] == "failed"
    assert "timed out after 1 s" in done["error"]
    assert alive("sleep\x0031339") == []


def test_environment_is_built_from_nothing(make_daemon, monkeypatch):
    monkeypatch.setenv("PLANTED_SECRET", "xyzzy")
    d = make_daemon({"r.yaml": runbook("env; pwd; ls -A; cat; umask; id -u")})
    event = d.post("/api/events", {"type": "alert", "labels": {
        "alertname": "Test"}})["id"]
    done = d.wait_workflow(event)
    assert done["status"] == "succeeded", done
    logs = d.get(f"/api/workflows/{done['id']}/logs")["logs"]
    text = "".join(x["text"] for x in logs)
    assert "xyzzy" not in text and "PLANTED" not in text
    names = {line.split("=")[0] for line in text.splitlines() if "=" in line}
    assert names <= {"PATH", "LANG", "HOME", "TMPDIR", "PWD", "OLDPWD", "_",
                     "SHLVL",
                     "ADP_WORKFLOW_ID", "ADP_STEP", "ADP_ATTEMPT",
                     "ADP_IDEMPOTENCY_KEY", "ADP_ATTEMPT_ID",
                     "ADP_EXECUTOR"}, names
    assert "0077" in text


def test_output_is_cut_and_says_so(make_daemon):
    d = make_daemon({"r.yaml": runbook("head -c 300000 /dev/zero | tr '\\0' a")},
                    config={"executor": {"output_keep_bytes": "64KiB"}})
    done = d.wait_workflow(fire(d))
    attempt = done["steps"][0]["attempts"][0]
    assert attempt["output_bytes"] == 300000
    assert attempt["output_truncated"] is True
    logs = []
    after = 0
    while True:
        page = d.get(f"/api/workflows/{done['id']}/logs?after={after}")
        logs += page["logs"]
        after = page["next_after"]
        if not page["logs"]:
            break
    text = "".join(x["text"] for x in logs)
    assert "bytes of output were not kept" in text
    # Whole pieces are dropped: up to one less than what may be kept.
    assert 64 * 1024 - 16 * 1024 <= text.count("a") <= 64 * 1024


# ---- what the executor outlives ---------------------------------------------


def test_a_lost_state_with_a_live_executor(make_daemon, tmp_path):
    """rm -rf state/* while a step runs: the executor tells of a workflow that
    the new store has never heard of."""
    mark = tmp_path / "mark"
    d = make_daemon({"r.yaml": runbook(
        f"echo one; touch {mark}; sleep 1; echo two; rm {mark}")})
    d.wait_executor()
    fire(d)
    wait_until(mark.exists, what="a running step")
    d.kill9()
    shutil.rmtree(os.path.join(d.folder, "state"))
    d.start()
    d.wait_executor()
    wait_until(lambda: not mark.exists(), what="the lost step's end")
    assert d.wait_workflow(fire(d))["status"] == "succeeded"
    assert d.get("/api/workflows")["workflows"][1:] == []
    d.stop()
    d.start()
    d.wait_executor()
    assert d.wait_workflow(fire(d))["status"] == "succeeded"


def with_engine(**workflow_execution):
    return {"engine": {"workflow_execution": workflow_execution}}


def test_a_changed_configuration_is_for_later_workflows(make_daemon, tmp_path):
    """A workflow in flight keeps the number of attempts it was born with."""
    out = tmp_path / "ran"
    again = tmp_path / "again"
    text = runbook(f"echo x >> {out}; test -e {again}", idempotent="true",
                   retry="{backoff: 1s}")
    d = make_daemon({"r.yaml": text}, with_engine(retry_attempts=3))
    d.wait_executor()
    event = fire(d)
    workflow = wait_until(lambda: [
        w for w in d.workflows_of(event) if w["status"] == "waiting"],
        what="a retry that waits")[0]["id"]
    d.stop()
    d.write_config(with_engine(retry_attempts=1))
    d.start()
    d.wait_executor()
    done = d.wait_status(workflow, "succeeded", "failed", "held")
    assert done["status"] == "failed"
    assert len(done["steps"][0]["attempts"]) == 3
    later = d.wait_workflow(fire(d))
    assert len(later["steps"][0]["attempts"]) == 1


def test_the_executor_follows_the_configuration(make_daemon):
    d = make_daemon({"r.yaml": runbook("sleep 2")},
                    with_engine(step_timeout="1s"))
    d.wait_executor()
    executor = d.executor_pid()
    assert "timed out after 1 s" in d.wait_workflow(fire(d))["error"]
    d.stop()
    d.write_config({**with_engine(step_timeout="20s"),
                    "executor": {"output_keep_bytes": "4KiB"}})
    d.write_runbook("r.yaml", runbook("sleep 2; head -c 10000 /dev/zero"))
    d.start()
    d.wait_executor()
    assert d.executor_pid() == executor
    done = d.wait_workflow(fire(d))
    assert done["status"] == "succeeded"
    assert done["steps"][0]["attempts"][0]["output_truncated"]


def test_as_many_steps_as_workflows(make_daemon):
    """More than an executor once had places for; more again by a reload."""
    d = make_daemon({"r.yaml": runbook("sleep 1")},
                    with_engine(max_concurrent=70))
    d.wait_executor()
    for places, count in ((70, 80), (90, 100)):
        d.write_config(with_engine(max_concurrent=places))
        d.process.send_signal(signal.SIGHUP)
        events = [fire(d) for _ in range(count)]
        for event in events:
            assert d.wait_workflow(event)["status"] == "succeeded"
