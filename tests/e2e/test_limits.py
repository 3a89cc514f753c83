"""What a step may use at most: configured for the executor, kept by it, and
named when it has ended a step."""
import os

import pytest

from harness import wait_until

RUNBOOK = """\
name: Greedy
parameters:
  what: {{type: string, required: true}}
steps:
  - name: Take
    action: exec
    timeout: 60
    command: |
      case $ADP_PARAM_WHAT in
{cases}      esac
"""

CASES = {
    # CPU time of the step itself, and of a child that its shell waits for.
    "cpu": "while :; do :; done",
    "cpu-of-a-child": "sh -c 'while :; do :; done'; exit $?",
    "file": "head -c 300000 /dev/zero > file; exit $?",
    "output": "while :; do echo more of the same; done",
    "output-and-exit-0": "trap 'exit 0' TERM; while :; do echo more; done",
    "space": "head -c 1 /dev/zero; exec python3 -c 'bytearray(600 << 20)'",
    "files": "ulimit -Hn; ulimit -n 65; exit 3",
    "enough": "ulimit -Hn; head -c 3000 /dev/zero > file",
}

LIMITS = {"address_space": "512MiB", "cpu_time": "1s", "file_size": "64KiB",
          "output": "1MiB", "open_files": 64}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    from harness import Daemon
    cases = "".join(f"        {name}) {text} ;;\n"
                    for name, text in CASES.items())
    d = Daemon(tmp_path_factory.mktemp("limits"),
               {"greedy.yaml": RUNBOOK.format(cases=cases)},
               {"executor": {"limits": LIMITS},
                "engine": {"workflow_execution": {"stop_grace": "1s"}}})
    d.start()
    d.wait_executor()
    yield d
    d.close()


def take(d, what):
    w = d.post("/api/runbooks/execute", {"runbook": "greedy.yaml",
                                         "parameters": {"what": what}})
    done = d.wait_status(w["workflow_id"], "succeeded", "failed", seconds=60)
    logs = d.get(f"/api/workflows/{done['id']}/logs")["logs"]
    return done, "".join(line["text"] for line in logs)


@pytest.mark.parametrize("what, how, limit", [
    ("cpu", "was killed by signal 24",
     "a process of it has used 1s of CPU time (executor.limits.cpu_time)"),
    ("cpu-of-a-child", "exited with status 152",
     "a process of it has used 1s of CPU time (executor.limits.cpu_time)"),
    ("file", "exited with status 153",
     "a process of it wrote a file of more than 64 KiB "
     "(executor.limits.file_size)"),
    ("output", "was killed by signal 15",
     "it wrote more than 1 MiB (executor.limits.output)"),
    ("output-and-exit-0", "failed",
     "it wrote more than 1 MiB (executor.limits.output)"),
])
def test_a_step_that_a_limit_ended_says_so(engine, what, how, limit):
    done, _ = take(engine, what)
    assert done["status"] == "failed"
    assert done["error"] == f"step 'Take' {how}: {limit}"
    attempt = done["steps"][0]["attempts"][-1]
    assert attempt["error"] == limit and attempt["status"] == "failed"


def test_what_is_refused_to_a_program_is_its_own_failure(engine):
    done, text = take(engine, "space")
    assert done["status"] == "failed" and "MemoryError" in text
    done, text = take(engine, "files")
    assert done["status"] == "failed" and text.startswith("64\n")


def test_within_the_limits_nothing_happens(engine):
    done, text = take(engine, "enough")
    assert (done["status"], text) == ("succeeded", "64\n")


def test_only_the_executors_configuration_counts(make_daemon):
    """The engine cannot raise a limit: it has none to give. The executor takes
    a new one from the file when the next engine connects."""
    d = make_daemon({"r.yaml": "name: R\nsteps:\n  - {name: S, action: exec, "
                     "command: ulimit -Hn}\n"},
                    {"executor": {"limits": {"open_files": 64},
                                  "idle_exit": "1m"}})
    d.wait_executor()

    def limit():
        w = d.post("/api/runbooks/execute", {"runbook": "r.yaml"})
        done = d.wait_status(w["workflow_id"], "succeeded", "failed")
        return d.get(f"/api/workflows/{done['id']}/logs")["logs"][0]["text"]

    assert limit() == "64\n"
    executor = d.executor_pid()
    d.stop()
    d.write_config({"executor": {"limits": {"open_files": 128}}})
    d.start()
    d.wait_executor()
    assert d.executor_pid() == executor
    assert limit() == "128\n"
    os.kill(executor, 15)
    wait_until(lambda: d.executor_pid() != executor, what="its end")
