"""What an operator finds in the log."""
import os
import re

from harness import wait_until

STEPS = """\
name: {name}
triggers:
- labels: {{alertname: {name}}}
steps:
- name: Look
  command: echo looking
- name: Act
  command: {command}
"""

LINE = re.compile(r"^\d{4}-\d\d-\d\dT\S+Z (ERROR|WARNING|INFO|DEBUG) ")


def runbooks():
    return {f"{name}.yaml": STEPS.format(name=name, command=command)
            for name, command in (("good", "exit 0"), ("bad", "exit 3"))}


def run(d, path):
    w = d.post("/api/runbooks/execute", {"runbook": path})["workflow_id"]
    d.wait_status(w, "succeeded", "failed")
    return w


def all_lines(d):
    with open(d.log_path, encoding="utf-8") as f:
        return f.read().splitlines()


def test_workflows_and_steps_are_told(make_daemon):
    d = make_daemon(runbooks(), {"log": {"level": "info"}})
    d.wait_executor()
    good, bad = run(d, "good.yaml"), run(d, "bad.yaml")
    wait_until(lambda: f"workflow {bad} failed" in d.log(), what="the end")
    log = "\n".join(all_lines(d))
    assert f"INFO workflow {good} started (good.yaml) by uid:" in log
    assert f"INFO workflow {good} succeeded (good.yaml)" in log
    assert (f"WARNING step 2 (Act) of {bad} (bad.yaml): attempt 1 failed, "
            "exit status 3") in log
    assert f"ERROR workflow {bad} failed (bad.yaml): " in log
    assert "step 1 (Look)" not in log  # that is for DEBUG


def test_loglevel_debug_tells_more(make_daemon, monkeypatch):
    monkeypatch.setenv("LOGLEVEL", "DEBUG")
    d = make_daemon(runbooks(), {"log": {"level": "error"}})
    d.wait_executor()
    w = run(d, "good.yaml")
    wait_until(lambda: f"workflow {w} succeeded" in d.log(), what="the end")
    assert f"DEBUG step 1 (Look) of {w} (good.yaml): attempt 1 starts" in \
        "\n".join(all_lines(d))


def test_loglevel_error_tells_less(make_daemon, monkeypatch):
    monkeypatch.setenv("LOGLEVEL", "ERROR")
    d = make_daemon(runbooks())
    d.wait_executor()
    run(d, "good.yaml")
    bad = run(d, "bad.yaml")
    wait_until(lambda: f"workflow {bad} failed" in d.log(), what="the end")
    ours = [line for line in all_lines(d) if LINE.match(line)]
    assert ours and all(" ERROR " in line for line in ours)


def test_a_flood_is_cut_and_counted(make_daemon):
    d = make_daemon(runbooks(), {
        "log": {"level": "info"}, "guards": {"breaker": {"failures": 0}}})
    d.wait_executor()
    events = [{"type": "alert", "labels": {"alertname": "bad", "n": str(n)}}
              for n in range(130)]
    ids = d.post("/api/events", events, 202)["ids"]
    d.wait_workflow(ids[0])

    def ended():
        found = d.get("/api/workflows?status=failed&limit=1000")["workflows"]
        return len(found) == 130
    wait_until(ended, 60, "130 failed workflows")
    wait_until(lambda: "more messages like workflow.failed were not logged"
               in d.log(), 30, "the number of those left out")
    told = [line for line in all_lines(d)
            if re.search(r"ERROR workflow \S+ failed", line)]
    assert 100 <= len(told) < 130


def test_secrets_and_escapes_stay_out(make_daemon, monkeypatch):
    monkeypatch.setenv("PAGERDUTY_API_KEY", "hunter2-hunter2")
    d = make_daemon(
        {"bad.yaml": STEPS.format(name="bad", command="exit 3")},
        {"integrations": {"pagerduty": {"api_key": "${PAGERDUTY_API_KEY}"}}})
    d.post("/api/runbooks/execute",
           {"runbook": "x\u001b[31m.yaml"}, (400, 404))
    d.wait_executor()
    run(d, "bad.yaml")
    d.post("/api/admin/reload-config")
    log = "\n".join(all_lines(d))
    assert "\x1b" not in log and "hunter2" not in log
    assert os.environ["PAGERDUTY_API_KEY"] == "hunter2-hunter2"
