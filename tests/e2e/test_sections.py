"""The sections of a runbook, with the real executor: rollbacks, on_failure,
finally, verification; and beginning a workflow anew."""
import os

from harness import adctl

SECTIONS = """\
name: Sections
parameters:
  log: {{type: string, required: true}}
diagnose:
  - {{name: look, command: 'echo look >> "$ADP_PARAM_LOG"; exit 3'}}
steps:
  - name: one
    command: 'echo one >> "$ADP_PARAM_LOG"'
    rollback: {{command: 'echo undo-one >> "$ADP_PARAM_LOG"'}}
  - name: two
    command: 'echo two >> "$ADP_PARAM_LOG"'
    rollback: {{command: 'echo undo-two >> "$ADP_PARAM_LOG"'}}
  - {{name: three, command: '{three}'}}
on_failure:
  - {{name: tell, command: 'echo tell >> "$ADP_PARAM_LOG"'}}
finally:
  - {{name: clean, command: 'echo clean >> "$ADP_PARAM_LOG"'}}
"""
VERIFY = """\
name: Verify
parameters:
  log: {type: string, required: true}
steps:
  - {name: one, command: 'true', rollback: {command: 'echo undo >> "$ADP_PARAM_LOG"'}}
verify:
  command: 'echo probe >> "$ADP_PARAM_LOG"; [ $(wc -l < "$ADP_PARAM_LOG") -ge 2 ]'
  within: 3s
  interval: 1s
"""
RETRY = """\
name: Retry
parameters:
  log: {type: string, required: true}
steps:
  - {name: one, command: 'echo one >> "$ADP_PARAM_LOG"'}
  - {name: two, id: second, command: 'echo two >> "$ADP_PARAM_LOG"; [ -e "$ADP_PARAM_LOG.mended" ]'}
  - {name: three, command: 'echo three >> "$ADP_PARAM_LOG"'}
"""
FINAL = ("succeeded", "failed", "cancelled", "killed")


def run(d, path, log, status):
    answer = d.post("/api/runbooks/execute",
                    {"runbook": path, "parameters": {"log": str(log)}})
    return ended(d, answer["workflow_id"], status)


def ended(d, workflow_id, status):
    d.wait_status(workflow_id, *FINAL)
    w = d.get(f"/api/workflows/{workflow_id}")
    assert w["status"] == status, w
    return w


def lines(log):
    return log.read_text().split()


def states(w):
    return {s["name"]: (s["section"], s["status"]) for s in w["steps"]}


def a_log(tmp_path, name="log"):
    """A file that steps may write to, whoever they run as."""
    log = tmp_path / name
    log.write_text("")
    os.chmod(log, 0o666)
    return log


def test_sections(make_daemon, tmp_path):
    d = make_daemon(runbooks={
        "bad.yaml": SECTIONS.format(three="exit 7"),
        "good.yaml": SECTIONS.format(three="true")})
    d.wait_executor()
    log = a_log(tmp_path)
    w = run(d, "bad.yaml", log, "failed")
    assert w["error"] == "step 'three' exited with status 7"
    assert lines(log) == ["look", "one", "two", "undo-two", "undo-one", "tell",
                          "clean"]
    assert states(w)["look"] == ("diagnose", "failed")
    assert states(w)["Rollback: one"] == ("rollback", "succeeded")
    shown = adctl(d, "workflow", "show", w["id"]).stdout
    assert "tell (on_failure)" in shown and "clean (finally)" in shown

    log = a_log(tmp_path, "other")
    w = run(d, "good.yaml", log, "succeeded")
    assert lines(log) == ["look", "one", "two", "clean"]
    assert w["result"] == "unverified"
    assert states(w)["tell"] == ("on_failure", "skipped")


def test_cancel_runs_finally(make_daemon, tmp_path):
    d = make_daemon(runbooks={"slow.yaml": SECTIONS.format(
        three='echo three >> "$ADP_PARAM_LOG"; sleep 1000')})
    d.wait_executor()
    log = a_log(tmp_path)
    for how, then in (("cancel", ["clean"]), ("kill", [])):
        log.write_text("")
        answer = d.post("/api/runbooks/execute", {
            "runbook": "slow.yaml", "parameters": {"log": str(log)}})
        workflow_id = answer["workflow_id"]
        while "three" not in lines(log):
            pass
        adctl(d, "workflow", how, workflow_id, "--wait")
        ended(d, workflow_id, how + ("led" if how == "cancel" else "ed"))
        assert lines(log)[3:] == ["three"] + then


def test_verified_and_ineffective(make_daemon, tmp_path):
    d = make_daemon(runbooks={
        "helps.yaml": VERIFY, "idle.yaml": VERIFY.replace("-ge 2", "-ge 99")})
    d.wait_executor()
    w = run(d, "helps.yaml", a_log(tmp_path), "succeeded")
    assert w["result"] == "verified"
    probe = next(s for s in w["steps"] if s["section"] == "verify")
    assert [a["status"] for a in probe["attempts"]] == ["failed", "passed"]
    assert probe["status"] == "passed"

    log = a_log(tmp_path, "other")
    w = run(d, "idle.yaml", log, "failed")
    assert w["result"] == "ineffective"
    assert "were not seen to help" in w["error"]
    assert lines(log)[-1] == "undo"


def test_a_step_waits(make_daemon, tmp_path):
    d = make_daemon(runbooks={"a.yaml": """\
name: Wait
parameters: {log: {type: string, required: true}}
steps:
  - {name: settle, action: wait, for: 300ms}
  - {name: one, command: 'echo one >> "$ADP_PARAM_LOG"'}
"""})
    d.wait_executor()
    log = a_log(tmp_path)
    plan = adctl(d, "runbook", "run", "a.yaml", "-p", f"log={log}", "--dry-run")
    assert "wait 0.3s" in plan.stdout
    w = run(d, "a.yaml", log, "succeeded")
    assert lines(log) == ["one"]
    assert w["steps"][0]["attempts"][0]["duration_seconds"] == 0.3


def test_retry_goes_on_with_the_failed_step(make_daemon, tmp_path):
    d = make_daemon(runbooks={"a.yaml": RETRY})
    d.wait_executor()
    log = a_log(tmp_path)
    old = run(d, "a.yaml", log, "failed")
    (tmp_path / "log.mended").write_text("")
    p = adctl(d, "workflow", "retry", old["id"], "--wait", "-o", "json")
    w = ended(d, d.get("/api/workflows")["workflows"][0]["id"], "succeeded")
    assert w["id"] in p.stdout and w["id"] != old["id"]
    assert lines(log) == ["one", "two", "two", "three"]
    assert states(w)["one"] == ("steps", "succeeded")
    assert w["parameters"] == old["parameters"]
    row = d.get("/api/admin/audit")["audit"][0]
    assert row["action"] == "workflow.retry"
    assert row["after"]["again"] == old["id"] and row["after"]["from_step"] == 2
    # Over a restart the taken over attempts are there.
    d.stop()
    d.start()
    assert states(d.get(f"/api/workflows/{w['id']}"))["one"][1] == "succeeded"
    p = adctl(d, "workflow", "retry", w["id"], check=False)
    assert p.returncode != 0 and f"adctl workflow rerun {w['id']}" in p.stderr


def test_retry_from_a_step(make_daemon, tmp_path):
    d = make_daemon(runbooks={"a.yaml": RETRY})
    d.wait_executor()
    log = a_log(tmp_path)
    old = run(d, "a.yaml", log, "failed")
    path = f"/api/workflows/{old['id']}/retry"
    answer = d.post(path, {"from": "three"})
    assert answer["again"] == old["id"] and answer["from"] == "three"
    w = ended(d, answer["workflow_id"], "succeeded")
    assert lines(log) == ["one", "two", "three"]
    assert states(w)["two"] == ("steps", "failed")
    answer = d.post(path, {"from": "second"})
    ended(d, answer["workflow_id"], "failed")
    error = d.api("POST", path, {"from": "thre"}, status=400)
    assert "did you mean 'three'?" in error["error"]
    d.api("POST", path, {"form": "three"}, status=400)


def test_retry_leaves_out_nothing_that_was_taken_back(make_daemon, tmp_path):
    d = make_daemon(runbooks={"a.yaml": """\
name: Take back
parameters: {log: {type: string, required: true}}
steps:
  - name: drain
    command: echo drain >> "$ADP_PARAM_LOG"
    rollback: {command: 'echo undrain >> "$ADP_PARAM_LOG"'}
  - {name: upgrade, command: 'test -e "$ADP_PARAM_LOG.mended"'}
"""})
    d.wait_executor()
    log = a_log(tmp_path)
    old = run(d, "a.yaml", log, "failed")
    assert lines(log) == ["drain", "undrain"]
    (tmp_path / "log.mended").write_text("")
    path = f"/api/workflows/{old['id']}/retry"
    refused = d.api("POST", path, {"from": "upgrade"}, status=409)
    assert "was taken back since" in refused["error"]
    answer = d.post(path, {})
    assert answer["from"] == "drain"
    ended(d, answer["workflow_id"], "succeeded")
    assert lines(log) == ["drain", "undrain", "drain"]


def test_rerun_does_all_of_it(make_daemon, tmp_path):
    d = make_daemon(runbooks={"a.yaml": RETRY},
                    config={"runbooks": {"auto_reload": False}})
    d.wait_executor()
    log = a_log(tmp_path)
    old = run(d, "a.yaml", log, "failed")
    answer = d.post(f"/api/workflows/{old['id']}/rerun", {})
    ended(d, answer["workflow_id"], "failed")
    assert lines(log) == ["one", "two"] * 2

    # With another text there is no going on, but beginning anew.
    d.write_runbook("a.yaml", RETRY.replace("echo one", "echo eins"))
    d.post("/api/admin/reload-runbooks", {})
    p = adctl(d, "workflow", "retry", old["id"], check=False)
    assert p.returncode != 0 and "changed since" in p.stderr
    d.post("/api/runbooks/disable", {"runbook": "a.yaml", "reason": "x"})
    d.api("POST", f"/api/workflows/{old['id']}/rerun", {}, status=409)
    d.post("/api/runbooks/enable", {"runbook": "a.yaml"})
    answer = d.post(f"/api/workflows/{old['id']}/rerun", {})
    ended(d, answer["workflow_id"], "failed")
    assert lines(log)[4:] == ["eins", "two"]
    d.api("POST", "/api/workflows/wf-00000000000000000000000001/rerun", {},
          status=404)
