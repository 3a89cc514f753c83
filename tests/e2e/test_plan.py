"""Plans: a dry run performs nothing, shows what a run does, and can be run
exactly as it was shown, or not at all."""
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import adctl, wait_until

TELL = """\
name: Tell
concurrency: 1
parameters:
  host: {type: string, required: true}
  mode: {type: string, default: soft}
steps:
  - name: Tell
    argv: [python3, -c, "import json, os, sys; print(json.dumps(
      [sys.argv[1:], os.environ['TO'], os.environ['ADP_PARAM_MODE']]))",
      "${{ parameters.host }}", "--mode=${{ parameters.mode }}"]
    env: {TO: "host ${{ parameters.host }}"}
    timeout: 30s
  - name: Shell
    command: echo "$ADP_PARAM_HOST"
    timeout: 30s
"""
HOST = "web-1'; touch x #$(id)"
SLOW = """\
name: Slow
concurrency: 1
steps:
  - {name: Sleep, command: sleep 60, timeout: 90s}
"""


@pytest.fixture
def engine(make_daemon):
    d = make_daemon({"tell.yaml": TELL, "slow.yaml": SLOW})
    d.wait_executor()
    return d


def plan(d, runbook="tell.yaml", **parameters):
    return d.post("/api/runbooks/execute",
                  {"runbook": runbook, "parameters": parameters,
                   "dry_run": True}, 200)


def run_plan(d, plan_id, status=202):
    return d.post("/api/runbooks/execute", {"plan": plan_id}, status)


def output(d, workflow, step):
    p = adctl(d, "workflow", "logs", workflow, "--raw", "--step", step)
    return p.stdout


class Strace:
    """What a process and its children begin and connect to, from now on."""

    def __init__(self, folder, pids):
        self.path = os.path.join(folder, "trace")
        args = ["strace", "-f", "-qq", "-o", self.path, "-e",
                "trace=execve,execveat,connect,fork,vfork,clone,clone3"]
        for pid in pids:
            args += ["-p", str(pid)]
        self.process = subprocess.Popen(args, stderr=subprocess.PIPE)
        for pid in pids:
            wait_until(lambda p=pid: self.traced(p), what="strace")

    def traced(self, pid):
        threads = os.listdir(f"/proc/{pid}/task")
        for tid in threads:
            with open(f"/proc/{pid}/task/{tid}/status",
                      encoding="utf-8") as f:
                if not re.search(r"^TracerPid:\s+[1-9]", f.read(), re.M):
                    return False
        return True

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        with open(self.path, encoding="utf-8", errors="replace") as f:
            return f.read().splitlines()


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
def test_a_dry_run_performs_nothing(engine, tmp_path):
    """Neither engine nor executor begins a process or a connection; the same
    trace sees that of a real run, so it is not blind."""
    pids = [engine.process.pid, engine.executor_pid()]
    trace = Strace(tmp_path, pids)
    plan(engine, host=HOST)
    lines = [line for line in trace.end() if "resumed" not in line]
    acts = [line for line in lines
            if re.search(r"execve|connect\(|fork\(", line)
            or ("clone" in line and "CLONE_THREAD" not in line)]
    assert acts == []
    trace = Strace(tmp_path, pids)
    w = engine.post("/api/runbooks/execute", {
        "runbook": "tell.yaml", "parameters": {"host": HOST}})["workflow_id"]
    engine.wait_status(w, "succeeded")
    assert any("execve" in line and "python3" in line for line in trace.end())


def test_a_plan_shows_what_the_run_does(engine):
    p = plan(engine, host=HOST)
    w = run_plan(engine, p["plan_id"])["workflow_id"]
    assert engine.wait_status(w, "succeeded")["parameters"] == {
        "host": HOST, "mode": "soft"}
    step = p["plan"][0]
    told = json.loads(output(engine, w, "Tell"))
    assert told == [step["argv"][3:], step["env"]["TO"],
                    step["env"]["ADP_PARAM_MODE"]]
    assert told[0] == [HOST, "--mode=soft"]
    assert output(engine, w, "Shell") == HOST + "\n"
    assert p["plan"][1]["env"]["ADP_PARAM_HOST"] == HOST
    assert p["plan"][1]["command"] == 'echo "$ADP_PARAM_HOST"'
    # It may be run again: it is what was asked for, not a ticket.
    again = run_plan(engine, p["plan_id"])["workflow_id"]
    assert again != w
    engine.wait_status(again, "succeeded")


def test_a_plan_says_what_holds_back(engine):
    guards = {g["guard"]: g for g in plan(engine, host="a")["guards"]}
    assert not any(g["holds_back"] for g in guards.values())
    assert guards["concurrency"]["text"] == "0 of 1 workflows of it run"
    adctl(engine, "runbook", "disable", "tell.yaml", "--reason", "broken")
    p = adctl(engine, "runbook", "run", "tell.yaml", "-p", "host=a",
              "--dry-run")
    assert "held back now by disabled" in p.stdout and "broken" in p.stdout


def test_a_changed_world_refuses_the_plan(engine):
    made = plan(engine, host="a")["plan_id"]
    # What holds it back.
    adctl(engine, "runbook", "disable", "tell.yaml", "--reason", "broken")
    e = run_plan(engine, made, 409)
    assert e["code"] == "plan_changed" and "now: disabled" in e["error"]
    held = plan(engine, host="a")["plan_id"]  # disabled then and now
    assert run_plan(engine, held, 409)["code"] == "runbook_disabled"
    adctl(engine, "runbook", "enable", "tell.yaml")
    engine.wait_status(run_plan(engine, made)["workflow_id"], "succeeded")
    # A place that another workflow has taken.
    free = plan(engine, "slow.yaml")["plan_id"]
    w = engine.post("/api/runbooks/execute", {"runbook": "slow.yaml"})
    engine.wait_status(w["workflow_id"], "running")
    e = run_plan(engine, free, 409)
    assert "concurrency: 1 of 1 workflows of it run" in e["error"]
    engine.post(f"/api/workflows/{w['workflow_id']}/kill")
    engine.wait_status(w["workflow_id"], "killed")
    # The kill switch.
    adctl(engine, "kill-switch", "on", "--reason", "stop", "--config",
          engine.config_path)
    wait_until(lambda: engine.get("/api/admin/kill-switch")["on"],
               what="the kill switch")
    assert "kill_switch" in run_plan(engine, made, 409)["error"]
    adctl(engine, "kill-switch", "off", "--config", engine.config_path)
    # The runbook.
    wait_until(lambda: plan(engine, host="a")["guards"][1][
        "holds_back"] is False, what="the kill switch to be off")
    engine.write_runbook("tell.yaml", TELL.replace("default: soft",
                                                   "default: hard"))
    adctl(engine, "reload", "runbooks")
    e = run_plan(engine, made, 409)
    assert e["error"].startswith("tell.yaml has changed since")


def test_a_target_that_another_workflow_is_at(make_daemon):
    """Whatever runbook the other one is of."""
    at = """\
name: {0}
parameters: {{host: {{type: string, required: true}}}}
guards: {{target: '${{{{ parameters.host }}}}'}}
steps:
  - {{name: Step, command: {1}, timeout: 90s}}
"""
    d = make_daemon({"a.yaml": at.format("A", "sleep 60"),
                     "b.yaml": at.format("B", "'true'")})
    d.wait_executor()
    made = plan(d, "b.yaml", host="web-1")
    assert made["target"] == "web-1"
    w = d.post("/api/runbooks/execute", {
        "runbook": "a.yaml", "parameters": {"host": "web-1"}})["workflow_id"]
    d.wait_status(w, "running")
    e = run_plan(d, made["plan_id"], 409)
    assert f"target: {w} is at it: it would wait" in e["error"]
    assert not any(g["holds_back"] for g in plan(d, "b.yaml", host="web-2")[
        "guards"])
    p = adctl(d, "runbook", "run", "b.yaml", "-p", "host=web-1", "--dry-run")
    assert "target: web-1\n" in p.stdout
    assert f"held back now by target: {w}" in p.stdout
    d.post(f"/api/workflows/{w}/kill")
    d.wait_status(w, "killed")
    d.wait_status(run_plan(d, made["plan_id"])["workflow_id"], "succeeded")


def test_steps_stand_in_the_order_that_is_expected(make_daemon):
    d = make_daemon({"s.yaml": """\
name: Sections
diagnose: [{name: Look, command: 'true'}]
steps:
  - {name: One, command: 'true', rollback: {command: 'true'}}
  - {name: Two, command: 'true'}
verify: {name: Works, command: 'true'}
on_failure: [{name: Tell, command: 'true'}]
finally: [{name: Clean, command: 'true'}]
"""})
    d.wait_executor()
    made = plan(d, "s.yaml")
    assert [s["name"] for s in made["plan"]] == [
        "Look", "One", "Two", "Works", "Clean", "Rollback: One", "Tell"]
    p = adctl(d, "runbook", "run", "s.yaml", "--dry-run")
    assert re.search(r"7  Tell \(on_failure\)", p.stdout), p.stdout


def test_plans_that_are_none(engine):
    p = plan(engine)
    assert p["missing_parameters"] == ["host"]
    e = run_plan(engine, p["plan_id"], 400)
    assert "no value for parameter 'host'" in e["error"]
    good = plan(engine, host="a")["plan_id"]
    other = good[:-1] + ("0" if good[-1] != "0" else "1")
    assert run_plan(engine, other, 409)["code"] == "plan_changed"
    assert run_plan(engine, good.replace(good[3:8], "00000"), 404)["code"] == (
        "not_found")
    assert "not the id of a plan" in run_plan(engine, "wf-1", 400)["error"]
    w = run_plan(engine, good)["workflow_id"]
    engine.wait_status(w, "succeeded")
    assert run_plan(engine, w + good[-17:], 404)["code"] == "not_found"
    for more in ({"parameters": {}}, {"dry_run": True},
                 {"runbook": "slow.yaml"}):
        engine.post("/api/runbooks/execute", {"plan": good, **more}, 400)


def test_plans_on_the_command_line(engine):
    p = adctl(engine, "runbook", "run", "tell.yaml", "-p", "host=a",
              "--dry-run")
    assert "nothing holds it back now" in p.stdout
    made = re.search(r"adctl runbook run --plan (wf-\S+)", p.stdout)[1]
    p = adctl(engine, "runbook", "run", "--plan", made, "--wait")
    p = adctl(engine, "runbook", "run", "tell.yaml", "--dry-run")
    assert "a run needs: -p host=VALUE" in p.stdout
    assert "--plan" not in p.stdout
    p = adctl(engine, "runbook", "run", "x.yaml", "--plan", made, check=False)
    assert p.returncode == 2 and "--plan stands alone" in p.stderr
    p = adctl(engine, "runbook", "run", check=False)
    assert p.returncode == 2 and "say which runbook" in p.stderr
    engine.write_runbook("tell.yaml", TELL + "# changed\n")
    adctl(engine, "reload", "runbooks")
    p = adctl(engine, "runbook", "run", "--plan", made, check=False)
    assert p.returncode == 6, p.stderr
    assert "has changed since the plan was made" in p.stderr


def test_secrets_stay_secret(make_daemon):
    d = make_daemon({"s.yaml": """\
name: Secret
parameters: {token: {type: string, secret: true, required: true}}
steps:
  - {name: Length, command: 'echo ${#ADP_PARAM_TOKEN}', timeout: 30s}
"""})
    d.wait_executor()
    answer = plan(d, "s.yaml", token="abcdefghij")
    assert "abcdefghij" not in json.dumps(answer)
    w = run_plan(d, answer["plan_id"])["workflow_id"]
    d.wait_status(w, "succeeded")
    assert output(d, w, "Length") == "10\n"
