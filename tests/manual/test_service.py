"""What systemd and the journal see of the installed service."""
import json

from conftest import ready

ENGINE = "autonomous-devops.service"
EXECUTOR = "autonomous-devops-executor.service"
API = "localhost:9000/api"
RUNBOOKS = "/var/lib/autonomous-devops/runbooks"
DROP_IN = f"/etc/systemd/system/{ENGINE}.d/test.conf"


def show(host, unit, name):
    return host.run(f"systemctl show -P {name} {unit}", status=0).out.strip()


def drop_in(host, text):
    host.write(DROP_IN, text)
    host.run(f"systemctl daemon-reload; systemctl restart {ENGINE} || "
             f"! journalctl -n 20 --no-pager -u {ENGINE}", status=0)
    ready(host)


def without_drop_in(host):
    host.run(f"rm -f {DROP_IN}; systemctl daemon-reload; "
             f"systemctl reset-failed {ENGINE}; systemctl restart {ENGINE}",
             status=0)
    ready(host)


def journal(host, *matches):
    out = host.run("journalctl --no-pager -q -o json -b " + " ".join(matches),
                   status=0).out
    return [json.loads(line) for line in out.splitlines()]


def send(host, kind):
    out = host.run(f"""curl -sf {API}/events -d '{{"type": "{kind}"}}'""",
                   status=0).out
    return json.loads(out)["id"]


def run_noop(host):
    out = host.run(f"""curl -sf {API}/runbooks/execute -d
                   '{{"runbook": "test/noop.yaml"}}'""".replace("\n", " "),
                   status=0).out
    workflow = json.loads(out)["workflow_id"]
    host.wait(f"curl -sf {API}/workflows/{workflow} | "
              "jq -e '.status == \"succeeded\"'")
    return workflow


def reload_runbooks(host):
    host.run(f"curl -sf -X POST {API}/admin/reload-runbooks", status=0)


def add_runbook(host, path, text):
    host.write(f"{RUNBOOKS}/{path}", text)
    reload_runbooks(host)


def remove_runbook(host, path):
    host.run(f"rm {RUNBOOKS}/{path}", status=0)
    reload_runbooks(host)


# ---- the journal ------------------------------------------------------------

def test_the_journal_has_fields_to_search_by(installed):
    workflow = run_noop(installed)
    entries = journal(installed, f"ADP_WORKFLOW={workflow}")
    assert entries
    for e in entries:
        assert e["ADP_RUNBOOK"] == "test/noop.yaml"
        assert e["_SYSTEMD_UNIT"] == ENGINE
        assert e["MESSAGE"] and e["MESSAGE_ID"], e
    assert len({e["MESSAGE_ID"] for e in entries}) == 2  # began, succeeded


def test_a_failed_step_is_found_in_the_journal(installed):
    add_runbook(installed, "test/fails.yaml",
                "name: fails\ntriggers: [{type: fails}]\nsteps:\n"
                "  - {name: Good, action: exec, argv: [/bin/true]}\n"
                "  - {name: Bad, action: exec, argv: [/bin/false]}\n")
    event = send(installed, "fails")
    installed.wait(f"curl -sf {API}/events/{event} | "
                   "jq -e '.workflows[0].status == \"failed\"'")
    entries = journal(installed, f"ADP_EVENT={event}", "ADP_STEP=2")
    assert entries
    for e in entries:
        assert e["ADP_STEP_NAME"] == "Bad"
        assert e["ADP_RUNBOOK"] == "test/fails.yaml"
        assert e["ADP_WORKFLOW"].startswith("wf-")
    remove_runbook(installed, "test/fails.yaml")


def test_an_event_is_found_in_the_journal(installed):
    """The event that started a workflow leads to the workflow's lines."""
    add_runbook(installed, "test/journal.yaml",
                "name: journal\ntriggers: [{type: journal-test}]\n"
                "steps: [{name: nothing, action: exec, argv: [/bin/true]}]\n")
    event = send(installed, "journal-test")
    installed.wait(f"curl -sf {API}/events/{event} | "
                   "jq -e '.workflows[0].status == \"succeeded\"'")
    entries = journal(installed, f"ADP_EVENT={event}")
    assert {e["ADP_RUNBOOK"] for e in entries} == {"test/journal.yaml"}
    remove_runbook(installed, "test/journal.yaml")


def test_each_kind_of_line_has_its_entry_in_the_catalog(installed):
    """MESSAGE_ID of what was logged so far: `journalctl -x` explains each."""
    ids = {e["MESSAGE_ID"] for e in journal(installed, f"-u {ENGINE}")
           if "ADP_WORKFLOW" in e}
    assert ids
    for one in ids:
        text = installed.run(f"journalctl --dump-catalog {one}", status=0).out
        assert "Subject:" in text, one


# ---- the watchdog -----------------------------------------------------------

def test_an_engine_that_hangs_is_started_again(installed):
    """A hung process answers nobody, so only the watchdog can tell."""
    drop_in(installed, "[Service]\nWatchdogSec=3\n")
    event = send(installed, "before-the-hang")
    before = show(installed, ENGINE, "MainPID")
    installed.run(f"kill -STOP {before}", status=0)
    installed.wait(f"[ $(systemctl show -P MainPID {ENGINE}) != {before} ] && "
                   f"systemctl is-active -q {ENGINE}", 60, "another engine")
    ready(installed)
    assert show(installed, ENGINE, "NRestarts") == "1"
    log = installed.run(f"journalctl -b --no-pager -u {ENGINE} "
                        "_PID=1").out
    assert "Watchdog timeout" in log, log[-2000:]
    installed.run(f"curl -sf {API}/events/{event}", status=0)
    without_drop_in(installed)


def test_an_engine_that_works_feeds_the_watchdog(installed):
    """With a short period it lives on, idle, for several of them."""
    drop_in(installed, "[Service]\nWatchdogSec=2\n")
    before = show(installed, ENGINE, "MainPID")
    fed = show(installed, ENGINE, "WatchdogTimestampMonotonic")
    for _ in range(4):
        installed.wait("[ $(systemctl show -P WatchdogTimestampMonotonic "
                       f"{ENGINE}) != {fed} ]", what="a sign of life")
        fed = show(installed, ENGINE, "WatchdogTimestampMonotonic")
    assert show(installed, ENGINE, "MainPID") == before
    assert show(installed, ENGINE, "NRestarts") == "0"
    without_drop_in(installed)


# ---- restart limits ---------------------------------------------------------

def test_an_engine_that_dies_again_and_again_is_left_alone(installed):
    """Twenty starts in a minute, then somebody has to look."""
    drop_in(installed, "[Service]\nRestartSec=100ms\n")
    installed.run(f"""
        while ! systemctl is-failed -q {ENGINE}; do
            systemctl is-active -q {ENGINE} &&
                systemctl kill -s KILL --kill-who=main {ENGINE}
            sleep 0.05
        done""", status=0)
    log = installed.run(f"journalctl -b --no-pager -u {ENGINE} -n 20").out
    assert "Start request repeated too quickly" in log
    assert int(show(installed, ENGINE, "NRestarts")) <= 20
    installed.run(f"systemctl start {ENGINE}", status=1)
    without_drop_in(installed)
    run_noop(installed)


def test_an_executor_that_dies_is_started_by_the_next_step(installed):
    run_noop(installed)
    before = show(installed, EXECUTOR, "MainPID")
    installed.run(f"systemctl kill -s KILL --kill-who=main {EXECUTOR}",
                  status=0)
    installed.wait(f"[ $(systemctl show -P MainPID {EXECUTOR}) != {before} ] "
                   f"&& systemctl is-active -q {EXECUTOR}",
                   what="another executor")
    ready(installed)
    run_noop(installed)


# ---- one configuration, three units -----------------------------------------

def test_what_is_given_to_the_engine_keeps_nobody_else_from_working(installed):
    """A variable from /etc/default, and a credential of the engine's unit."""
    config = "/etc/autonomous-devops/config.yaml"
    installed.run(f"""
        cp -p {config} /root/before.yaml
        cp -rp /var/lib/autonomous-devops/runbooks /srv/runbooks
        echo 'RUNBOOKS=/srv/runbooks' >>/etc/default/autonomous-devops
        head -c 32 /dev/zero | sha256sum | cut -c1-64 >/root/ci
        sed -i 's#^  repository: .*#  repository: ${{RUNBOOKS}}#' {config}
        echo 'security: {{tokens: [{{name: ci, scopes: [read],' \
            'sha256: "${{credential:ci}}"}}]}}' >>{config}
        """, status=0)
    drop_in(installed, "[Service]\nLoadCredential=ci:/root/ci\n")
    assert installed.run("grep -c RUNBOOKS " + config).out.strip() == "1"
    installed.run(f"systemctl restart {EXECUTOR}", status=0)
    ready(installed)
    run_noop(installed)
    installed.run("systemctl start autonomous-devops-backup.service", status=0)
    installed.run(f"""
        cp -p /root/before.yaml {config}
        sed -i '/^RUNBOOKS=/d' /etc/default/autonomous-devops""", status=0)
    without_drop_in(installed)
    installed.run(f"systemctl restart {EXECUTOR}", status=0)
    ready(installed)
    run_noop(installed)


# ---- what doctor says of it -------------------------------------------------

CONFIG = "/etc/autonomous-devops/config.yaml"
DEFAULT = "/etc/default/autonomous-devops"
MANUAL = """\
engine:
  event_processing:
    workers: 4
    queue_size: 10000
    batch_size: 100
  workflow_execution:
    max_concurrent: 20
    timeout: 600
    retry_attempts: 3

integrations:
  prometheus:
    url: http://localhost:9090
    scrape_interval: 15
  alertmanager:
    url: http://localhost:9093
  pagerduty:
    api_key: ${PAGERDUTY_API_KEY}

runbooks:
  repository: /var/lib/autonomous-devops/runbooks
  auto_reload: true
  validation: strict
"""


def doctor(host):
    out = host.run("adctl doctor -o json").out
    return {item["check"]: item for item in json.loads(out)["items"]}


def test_doctor_is_content_with_the_manuals_configuration(installed):
    """But for partners that are not there, and the machine's clock."""
    installed.run(f"cp -a {CONFIG} /root/config.yaml", status=0)
    installed.write(CONFIG, MANUAL)
    installed.write(DEFAULT, "PAGERDUTY_API_KEY='abc'\n", 0o600)
    installed.run(f"systemctl restart {EXECUTOR} {ENGINE}", status=0)
    ready(installed)
    found = doctor(installed)
    of_others = {name: found.pop(name) for name in ("integrations", "clock")}
    assert {i["status"] for i in found.values()} == {"ok"}, (found, of_others)
    assert "is not set" not in installed.run(
        "autonomous-devops check-config 2>&1", status=0).out
    installed.run(f"mv /root/config.yaml {CONFIG}; rm {DEFAULT}; "
                  f"systemctl restart {EXECUTOR} {ENGINE}", status=0)
    ready(installed)


def test_doctor_tells_whose_engine_has_the_store(installed):
    assert doctor(installed)["service"]["status"] == "ok"
    installed.run(
        f"systemctl stop {ENGINE} && systemd-run -q --unit=other -p "
        "User=autonomous-devops /usr/bin/autonomous-devops serve --config "
        f"{CONFIG} --external-executor --set server.listen=127.0.0.1:9001",
        status=0)
    installed.wait("curl -sf localhost:9001/-/ready")
    other = show(installed, "other.service", "MainPID")
    installed.run(f"! systemctl start {ENGINE}", status=0)
    # What that was started as is hidden from the unit.
    installed.wait(f"journalctl -u {ENGINE} | "
                   f"grep -q 'another engine (pid {other}, '")
    found = doctor(installed)["service"]
    assert found["status"] == "failed" and f"pid {other}" in found["detail"]
    assert f"kill {other}" in found["next"], found
    assert "unit is" in found["detail"], found
    installed.run(f"systemctl stop other; systemctl reset-failed {ENGINE}; "
                  f"systemctl restart {ENGINE}", status=0)
    ready(installed)
    assert doctor(installed)["service"]["status"] == "ok"
