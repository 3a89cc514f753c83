"""What a user would pick instead, on the same alert and the same command:
Debian's webhook and npm's node-red, interleaved with the engine in one run.
Every step appends a line with its start time to a file, so what is counted is
what really ran.
"""
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

import engine
from measures import rate, row

ALERT = {"type": "alert", "severity": "critical", "source": "bench",
         "labels": {"alertname": "Stamp", "name": "n"}}
NODE_RED_CACHE = os.path.join(
    os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")),
    "adp-bench-node-red")


def tree(pid):
    """The process and its children, which node and webhook both may have."""
    pids = [pid]
    for p in pids:
        try:
            with open(f"/proc/{p}/task/{p}/children", encoding="ascii") as f:
                pids += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return pids


class Peer:
    """A server that runs `stamp FILE n` for each alert posted to its path."""
    name = ""
    path = ""
    idle_path = ""  # accepts the alert and runs nothing

    def __init__(self, bench):
        self.bench = bench
        self.folder = tempfile.mkdtemp(prefix="adp-peer.")
        self.stamps = os.path.join(self.folder, "stamps")
        self.stamp = os.path.join(bench.build, "bench", "stamp")
        self.port = engine.free_port()
        self.process = None

    def argv(self):
        raise NotImplementedError

    def start(self):
        begin = time.monotonic()
        log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(self.argv(), stdout=log, stderr=log,
                                        cwd=self.folder)
        log.close()
        self.wait_ready()
        return time.monotonic() - begin

    def wait_ready(self):
        engine.wait_port(self.port, 60)

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def pids(self):
        return tree(self.process.pid)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill9()
        shutil.rmtree(self.folder, ignore_errors=True)

    def lines(self):
        try:
            with open(self.stamps, encoding="ascii") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def post(self, connection, path):
        connection.request("POST", path, json.dumps(ALERT),
                           {"Content-Type": "application/json"})
        r = connection.getresponse()
        r.read()
        return 200 <= r.status < 300

    # ---- measures -----------------------------------------------------------

    def accepted(self):
        return self.bench.wrk(self.port, json.dumps(ALERT),
                              self.bench.seconds, self.idle_path)[0]

    def wait_lines(self, count, seconds=120):
        end = time.monotonic() + seconds
        while len(self.lines()) < count and time.monotonic() < end:
            time.sleep(0.01)
        return len(self.lines())

    def executed(self, count):
        """(executed/s until drained, CPU ms per event)."""
        before = len(self.lines())
        cpu = sum(engine.cpu_s(p) for p in self.pids())
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        begin = time.monotonic()
        for _ in range(count):
            while not self.post(c, self.path):
                time.sleep(0.01)
        ran = self.wait_lines(before + count) - before
        took = time.monotonic() - begin
        cpu = sum(engine.cpu_s(p) for p in self.pids()) - cpu
        return ran / took, cpu * 1000 / max(ran, 1)

    def latency(self, count):
        before = len(self.lines())
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        accepted = []
        begin = time.monotonic()
        for i in range(count):
            time.sleep(max(0, begin + i / 50 - time.monotonic()))
            self.post(c, self.path)
            accepted.append(time.time_ns())
        self.wait_lines(before + count, 30)
        started = sorted(int(x.split()[0]) for x in self.lines()[before:])
        late = sorted((s - a) / 1e6 for s, a in zip(started, accepted))
        return late[len(late) // 2], late[len(late) * 99 // 100]

    def survives(self, count=50):
        """How many of `count` accepted events still execute after kill -9."""
        before = len(self.lines())
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for _ in range(count):
            assert self.post(c, self.path)
        self.kill9()
        self.start()
        self.wait_lines(before + count, 8)
        return len(self.lines()) - before


class Ours(Peer):
    name = "autonomous-devops"
    path = "/api/events"
    idle_path = "/api/events"

    def __init__(self, bench):
        super().__init__(bench)
        self.engine = engine.Engine(bench.build, {"stamp.yaml": f"""\
name: Stamp
triggers:
  - type: alert
    labels: {{alertname: Stamp}}
steps:
  - name: stamp
    action: exec
    argv: ["{self.stamp}", "{self.stamps}", n]
"""}, folder=os.path.join(self.folder, "engine"))
        self.port = self.engine.port

    def start(self):
        took = self.engine.start()
        self.process = self.engine.process
        while len(self.engine.executor_pids()) < 2:
            time.sleep(0.01)
        return took

    def pids(self):
        return [self.process.pid] + self.engine.executor_pids()

    def accepted(self):
        body = json.dumps({**ALERT, "labels": {"alertname": "Nothing"}})
        return self.bench.wrk(self.port, body, self.bench.seconds)[0]

    def close(self):
        self.engine.close()
        self.process = None
        super().close()


class Webhook(Peer):
    name = "webhook"
    path = "/hooks/stamp"
    idle_path = "/hooks/never"

    def argv(self):
        hooks = [{"id": "stamp", "execute-command": self.stamp,
                  "pass-arguments-to-command": [
                      {"source": "string", "name": self.stamps},
                      {"source": "string", "name": "n"}]},
                 {"id": "never", "execute-command": self.stamp,
                  "trigger-rule": {"match": {
                      "type": "value", "value": "no",
                      "parameter": {"source": "payload", "name": "type"}}}}]
        path = os.path.join(self.folder, "hooks.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(hooks, f)
        return ["webhook", "-hooks", path, "-ip", "127.0.0.1", "-port",
                str(self.port)]


class NodeRed(Peer):
    name = "node-red"
    path = "/stamp"
    idle_path = "/never"

    def argv(self):
        flows = [
            {"id": "t", "type": "tab", "label": "bench"},
            {"id": "i1", "type": "http in", "z": "t", "url": "/stamp",
             "method": "post", "wires": [["r1", "e1"]]},
            {"id": "r1", "type": "http response", "z": "t",
             "statusCode": "202", "wires": []},
            {"id": "e1", "type": "exec", "z": "t",
             "command": f"{self.stamp} {self.stamps} n", "addpay": "",
             "useSpawn": "false", "timer": "", "wires": [[], [], []]},
            {"id": "i2", "type": "http in", "z": "t", "url": "/never",
             "method": "post", "wires": [["r2"]]},
            {"id": "r2", "type": "http response", "z": "t",
             "statusCode": "202", "wires": []},
        ]
        path = os.path.join(self.folder, "flows.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(flows, f)
        return ["node", os.path.join(
                    NODE_RED_CACHE, "node_modules/node-red/red.js"),
                "--userDir", self.folder, "--port", str(self.port),
                "-D", "uiHost=127.0.0.1", "-D", "telemetry.enabled=false",
                path]

    def wait_ready(self):
        engine.wait_port(self.port, 60)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            c = http.client.HTTPConnection("127.0.0.1", self.port)
            try:
                if self.post(c, self.idle_path):
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise RuntimeError("node-red did not start its flow")


def available(bench):
    kinds = [Ours]
    if shutil.which("webhook"):
        kinds.append(Webhook)
    else:
        print("peers: webhook is not installed (apt-get install webhook)")
    if shutil.which("npm"):
        if not os.path.isdir(NODE_RED_CACHE):
            print("peers: installing node-red with npm ...", flush=True)
            os.makedirs(NODE_RED_CACHE)
            subprocess.run(["npm", "install", "--silent", "--no-audit",
                            "--no-fund", "--prefix", NODE_RED_CACHE,
                            "node-red"], check=True)
        kinds.append(NodeRed)
    else:
        print("peers: npm is not installed, node-red is left out")
    return kinds


def measure_round(bench, kind, results):
    p = kind(bench)
    try:
        r = results.setdefault(kind.name, {})
        r.setdefault("start", []).append(p.start() * 1000)
        time.sleep(1)
        r.setdefault("memory", []).append(
            sum(engine.rss_kib(x) for x in p.pids()) / 1024)
        count = 100 if bench.quick else 500
        p50, p99 = p.latency(count)
        r.setdefault("p50", []).append(p50)
        r.setdefault("p99", []).append(p99)
        speed, cpu = p.executed(count)
        r.setdefault("executed", []).append(speed)
        r.setdefault("cpu", []).append(cpu)
        r.setdefault("survive", []).append(p.survives())
        r.setdefault("accepted", []).append(p.accepted())
    finally:
        p.close()


LINES = [("accepted", "accepted, nothing to run", rate),
         ("executed", "executed, queue drained", rate),
         ("p50", "accepted to started at 50/s, p50", "{:.1f} ms".format),
         ("p99", "accepted to started at 50/s, p99", "{:.1f} ms".format),
         ("cpu", "CPU per executed event", "{:.2f} ms".format),
         ("memory", "idle memory", "{:.1f} MiB".format),
         ("start", "start", "{:.0f} ms".format),
         ("survive", "of 50 accepted, run after kill -9", "{:.0f}".format)]


def run(bench):
    results = {}
    kinds = available(bench)
    for _ in range(bench.rounds):
        for kind in kinds:
            measure_round(bench, kind, results)
    rows = []
    for key, label, show in LINES:
        medians = {n: statistics.median(r[key]) for n, r in results.items()}
        ours = medians.pop(Ours.name)
        for name, value in medians.items():
            rows.append(row(label, show(ours), f"{show(value)} {name}",
                            f"{ours / value:.2f}" if value else "-", None,
                            True))
    return rows
