"""A daemon of our own in a temporary folder, for the benchmarks."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.002)
    raise RuntimeError(f"nothing listens on port {port}")


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12]) +
            int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


class Engine:
    def __init__(self, build, runbooks=None, engine="", folder=None,
                 more=""):
        self.build = build
        self.folder = folder or tempfile.mkdtemp(prefix="adp-bench.")
        self.port = free_port()
        self.process = None
        repo = os.path.join(self.folder, "runbooks")
        os.makedirs(repo, exist_ok=True)
        for name, text in (runbooks or {}).items():
            path = os.path.join(repo, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        self.repo = repo
        self.engine = engine
        self.config = os.path.join(self.folder, "config.yaml")
        self.configure(more)

    def configure(self, more):
        """Writes the configuration, with further sections."""
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(f"""\
server: {{listen: "127.0.0.1:{self.port}"}}
storage: {{url: "sqlite://{self.folder}/state/engine.db"}}
runbooks: {{repository: {self.repo}}}
executor:
  socket: {self.folder}/run/executor.sock
  spool: {self.folder}/spool
  work: {self.folder}/work
log: {{level: warning}}
guards: {{max_starts: {{limit: 0}}}}
engine:
{self.engine or '  event_processing: {queue_size: 10000000}'}
{more}
""")

    def start(self):
        log = open(os.path.join(self.folder, "log"), "ab")
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [os.path.join(self.build, "autonomous-devops"), "serve",
             "--config", self.config], stdout=log, stderr=log)
        log.close()
        while True:
            if self.process.poll() is not None:
                with open(os.path.join(self.folder, "log"),
                          encoding="utf-8") as f:
                    raise RuntimeError("the engine ended: " + f.read()[-2000:])
            try:
                if self.get("/-/ready", raw=True)[0] == 200:
                    return time.monotonic() - begin
            except OSError:
                pass
            time.sleep(0.002)

    def request(self, method, path, body=None, raw=False):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        c.request(method, path, body)
        r = c.getresponse()
        data = r.read()
        c.close()
        return (r.status, data) if raw else json.loads(data)

    def get(self, path, raw=False):
        return self.request("GET", path, raw=raw)

    def post(self, path, value):
        return self.request("POST", path, json.dumps(value))

    def executor_pids(self):
        """The executor and its guard."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
            except OSError:
                continue
            if b"executor" in words[:3] and self.config.encode() in b" ".join(
                    words):
                found.append(int(pid))
        return found

    def metrics(self):
        return self.get("/api/metrics")

    def stop(self, kill=False):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.process.wait(60)
        self.process = None

    def close(self):
        executors = self.executor_pids()
        self.stop()
        for pid in executors:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)
