"""Expressions of steps on the real engine: what a step tells, what that
decides, over a kill, and in a dry run."""
import os
import subprocess

from harness import BUILD, adctl, wait_until

DISK = """\
name: Disk
parameters:
  percent: {type: integer, required: true}
  token: {type: string, secret: true}
triggers:
  - type: metric
    parameters:
      percent: "${{ int(event.value) }}"
steps:
  - name: Look
    id: look
    command: >-
      printf '{"used": %s, "path": "/srv/$(id)"}' "$ADP_PARAM_PERCENT"
    outputs: {used: "int(json.used)", path: json.path}
  - name: Clean
    id: clean
    when: steps.look.outputs.used > 85
    argv: [echo, "at ${{ steps.look.outputs.used }} %", --,
           "${{ steps.look.outputs.path + '$(id)' }}"]
    env: {SINCE: "${{ now - workflow.created_at < duration('1h') }}"}
  - name: Wait
    when: steps.clean.status == 'skipped'
    command: echo "skipped"; sleep 3
"""


def rows(d, workflow_id):
    w = d.get(f"/api/workflows/{workflow_id}")
    return [(s["name"], s["attempts"][-1]) for s in w["steps"]
            if s["attempts"]], w


def test_a_step_tells_and_that_decides(make_daemon):
    d = make_daemon({"disk.yaml": DISK})
    d.wait_executor()
    full = d.wait_workflow(d.event(type="metric", value=90.7))
    assert full["status"] == "succeeded", full
    shown = adctl(d, "workflow", "logs", full["id"]).stdout
    # One argument, byte for byte, though it looks like shell text.
    assert "at 90 % -- /srv/$(id)$(id)" in shown, shown
    attempts, _ = rows(d, full["id"])
    assert attempts[-1][1]["status"] == "skipped"
    assert "is false: steps.clean.status is \"succeeded\"" in \
        attempts[-1][1]["error"]

    # Over a kill: what was told is in the store.
    event = d.event(type="metric", value=40)
    wait_until(lambda: d.workflows_of(event), what="a workflow")
    workflow_id = d.workflows_of(event)[0]["id"]
    wait_until(lambda: len(rows(d, workflow_id)[0]) == 3, what="the last step")
    d.kill9()
    d.start()
    low = d.wait_workflow(event)
    assert low["status"] == "succeeded", low
    attempts, _ = rows(d, workflow_id)
    assert [a["status"] for _, a in attempts] == [
        "succeeded", "skipped", "succeeded"]
    assert attempts[1][1]["error"].startswith(
        "steps.look.outputs.used > 85 is false: steps.look.outputs.used is 40")


def test_a_dry_run_shows_conditions_and_expressions(make_daemon):
    d = make_daemon({"disk.yaml": DISK})
    p = adctl(d, "runbook", "run", "disk.yaml", "--dry-run", "-p", "percent=1")
    assert "step 2 only runs when steps.look.outputs.used > 85" in p.stdout
    assert "${{ steps.look.outputs.used }}" in p.stdout


TESTS = """
tests:
  - name: full
    parameters: {percent: 1}
    mocks: {look: {stdout: '{"used": 90, "path": "/srv"}'}}
    expect:
      ran: [Look, Clean]
      argv: {clean: [echo, "at 90 %", "--", "/srv$(id)"]}
      status: succeeded
  - name: not full
    parameters: {percent: 1}
    mocks: {look: {stdout: '{"used": 40, "path": "/srv"}'}}
    expect: {ran: [Look, Wait], skipped: [Clean], status: succeeded}
  - name: not what was expected
    parameters: {percent: 1}
    mocks: {look: {stdout: "nothing"}}
    expect: {status: failed, error: "output 'used'"}
"""


def test_mocks_tell_what_a_step_would(tmp_path):
    file = tmp_path / "disk.yaml"
    file.write_text(DISK + TESTS, encoding="utf-8")
    p = subprocess.run([os.path.join(BUILD, "adctl"), "runbook", "test",
                        str(file)], capture_output=True, text=True,
                       timeout=60, check=False)
    assert p.returncode == 0, p.stdout + p.stderr
