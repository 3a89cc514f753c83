"""The whole promise with real partners: a process dies, Prometheus notices,
Alertmanager delivers, a runbook restarts it, the alert resolves.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest

from harness import free_port, wait_until

needs_partners = pytest.mark.skipif(
    not (shutil.which("prometheus") and
         shutil.which("prometheus-alertmanager")),
    reason="prometheus and prometheus-alertmanager are not installed")

# A service with a /metrics page; its pid is in a file, as daemons have it.
SERVICE = """\
import http.server, os, sys
with open(sys.argv[2], "w") as f:
    f.write(str(os.getpid()))
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b"demo_up 1\\n")
    def log_message(self, *a):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
"""

RUNBOOK = """\
name: Restart demo
description: Starts the demo service again when Prometheus cannot reach it
category: remediation
parameters:
  instance: {{type: string, required: true, pattern: '127\\.0\\.0\\.1:[0-9]+'}}
triggers:
  - type: alert
    matchers: ['alertname="DemoDown"', 'instance=~"127.+"']
    parameters: {{instance: "${{{{ event.labels.instance }}}}"}}
steps:
  - name: start
    action: exec
    command: '{start}'
    idempotent: true
  - name: verify
    action: exec
    command: 'for i in 1 2 3 4 5 6 7 8 9 10; do
      {python} -c "import urllib.request,os;
      urllib.request.urlopen(\\"http://\\"+os.environ[\\"ADP_PARAM_INSTANCE\\"])"
      && exit 0; sleep 0.3; done; exit 1'
    timeout: 20
"""


class Partners:
    """Prometheus, Alertmanager and the service that dies, on loopback."""

    def __init__(self, folder, daemon):
        self.folder = str(folder)
        self.daemon = daemon
        self.prom, self.am, self.demo = free_port(), free_port(), free_port()
        self.pid_file = os.path.join(self.folder, "demo.pid")
        self.processes = []
        self.write("service.py", SERVICE)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def spawn(self, *argv):
        log = open(os.path.join(self.folder, os.path.basename(argv[0]) +
                                ".log"), "ab")
        p = subprocess.Popen(argv, stdout=log, stderr=log,
                             stdin=subprocess.DEVNULL)
        log.close()
        self.processes.append(p)
        return p

    def start_monitoring(self, via_alertmanager):
        rules = self.write("rules.yml", """\
groups:
  - name: demo
    rules:
      - alert: DemoDown
        expr: up{job="demo"} == 0
        labels: {severity: critical}
        annotations: {summary: "demo is down"}
""")
        target = self.am if via_alertmanager else self.daemon.port
        config = self.write("prometheus.yml", f"""\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: demo
    static_configs: [{{targets: ["127.0.0.1:{self.demo}"]}}]
alerting:
  alertmanagers:
    - static_configs: [{{targets: ["127.0.0.1:{target}"]}}]
""")
        am = self.write("alertmanager.yml", f"""\
route:
  receiver: engine
  group_wait: 0s
  group_interval: 1s
  group_by: ['...']
receivers:
  - name: engine
    webhook_configs:
      - url: http://127.0.0.1:{self.daemon.port}/api/events/alertmanager
        send_resolved: true
""")
        self.spawn("prometheus", f"--config.file={config}",
                   f"--storage.tsdb.path={self.folder}/tsdb",
                   f"--web.listen-address=127.0.0.1:{self.prom}")
        if via_alertmanager:
            self.spawn("prometheus-alertmanager", f"--config.file={am}",
                       f"--storage.path={self.folder}/am",
                       "--cluster.listen-address=",
                       f"--web.listen-address=127.0.0.1:{self.am}")

    def query(self, expr):
        url = (f"http://127.0.0.1:{self.prom}/api/v1/query?query=" +
               urllib.parse.quote(expr))
        try:
            with urllib.request.urlopen(url, timeout=5) as r:
                return json.load(r)["data"]["result"]
        except OSError:
            return None

    def demo_is(self, value):
        found = self.query('up{job="demo"}')
        return bool(found) and found[0]["value"][1] == value

    def close(self):
        for p in self.processes:
            p.send_signal(signal.SIGKILL)
            p.wait()


class Supervisor:
    """What systemd is to a real service: runs it outside of the step that
    asks for it (a step's own processes end with the step)."""

    def __init__(self, partners):
        self.p = partners
        self.request = os.path.join(partners.folder, "wanted")
        self.process = None

    def start(self):
        self.process = self.p.spawn(
            sys.executable, os.path.join(self.p.folder, "service.py"),
            str(self.p.demo), self.p.pid_file)

    def serve_one_request(self):
        wait_until(lambda: os.path.exists(self.request), 60,
                   "a step that asks for the service")
        os.unlink(self.request)
        self.start()


def alert_events(d, state):
    return [e for e in d.get("/api/events?type=alert&limit=200")["events"]
            if e.get("state") == state and
            e["labels"].get("alertname") == "DemoDown"]


@needs_partners
@pytest.mark.parametrize("via_alertmanager", [True, False],
                         ids=["alertmanager", "as-an-alertmanager"])
def test_alert_to_remediation(make_daemon, tmp_path, via_alertmanager):
    d = make_daemon(start=False)
    partners = Partners(tmp_path, d)
    try:
        d.write_runbook("remediation/restart-demo.yaml", RUNBOOK.format(
            start=f"touch {partners.folder}/wanted", python=sys.executable))
        d.start()
        d.wait_executor()
        supervisor = Supervisor(partners)
        supervisor.start()
        partners.start_monitoring(via_alertmanager)
        wait_until(lambda: partners.demo_is("1"), 60,
                   "a Prometheus that scrapes the service")

        supervisor.process.kill()
        supervisor.process.wait()
        supervisor.serve_one_request()

        fired = wait_until(lambda: alert_events(d, "firing"), 60,
                           "the alert in the engine")
        first = fired[-1]
        workflow = d.wait_workflow(first["id"], 60)
        assert workflow["status"] == "succeeded", workflow
        assert workflow["runbook"] == "remediation/restart-demo.yaml"
        assert workflow["parameters"]["instance"] == (
            f"127.0.0.1:{partners.demo}")
        wait_until(lambda: partners.demo_is("1"), 60,
                   "a service that is back")

        resolved = wait_until(lambda: alert_events(d, "resolved"), 90,
                              "the resolved alert")
        assert resolved[0]["fingerprint"] == first["fingerprint"]
        assert d.workflows_of(resolved[0]["id"]) == [], (
            "a resolved alert must not start the remediation")
        ran = [w for w in d.get("/api/workflows")["workflows"]]
        assert len(ran) == 1, "the alert was repeated, the remediation not"
    finally:
        partners.close()


@needs_partners
def test_amtool_and_promtool(make_daemon):
    d = make_daemon()
    url = f"http://127.0.0.1:{d.port}"
    run = lambda *a, **k: subprocess.run(  # noqa: E731
        a, capture_output=True, text=True, timeout=30, check=False, **k)
    added = run("amtool", f"--alertmanager.url={url}", "alert", "add",
                "alertname=Manual", "severity=critical", "instance=web-1")
    assert added.returncode == 0, added.stderr
    listed = run("amtool", f"--alertmanager.url={url}", "-o", "json",
                 "alert", "query", "severity=critical")
    assert listed.returncode == 0, listed.stderr
    alerts = json.loads(listed.stdout)
    assert [a["labels"]["instance"] for a in alerts] == ["web-1"]
    none = run("amtool", f"--alertmanager.url={url}", "-o", "json", "alert",
               "query", "severity=warning")
    assert json.loads(none.stdout) == []
    metrics = d.raw("GET", "/metrics")[2]
    checked = run("promtool", "check", "metrics", input=metrics.decode())
    assert checked.returncode == 0, checked.stdout + checked.stderr
