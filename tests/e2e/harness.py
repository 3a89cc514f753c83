"""The real daemon in a temporary folder, for the end-to-end tests."""
import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get("ADP_BUILD", os.path.join(ROOT, "build"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, seconds=20, what="the condition", step=0.02):
    """Waits for a truth, not for a time; returns what the condition gave."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(step)


class Daemon:
    """autonomous-devops serve with its own folders, port and executor."""

    def __init__(self, folder, runbooks=None, config=None):
        self.folder = str(folder)
        self.port = free_port()
        self.repo = os.path.join(self.folder, "runbooks")
        self.log_path = os.path.join(self.folder, "log")
        self.config_path = os.path.join(self.folder, "config.yaml")
        self.process = None
        self.within = []  # a command that runs the daemon
        os.makedirs(self.repo, exist_ok=True)
        for name, text in (runbooks or {}).items():
            self.write_runbook(name, text)
        self.write_config(config or {})

    def write_runbook(self, name, text):
        path = os.path.join(self.repo, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def write_config(self, extra):
        """JSON is YAML: nested dictionaries over the test's own folders."""
        config = {
            "server": {"listen": f"127.0.0.1:{self.port}"},
            "storage": {"url": f"sqlite://{self.folder}/state/engine.db"},
            "runbooks": {"repository": self.repo},
            "executor": {"socket": f"{self.folder}/run/executor.sock",
                         "spool": f"{self.folder}/spool",
                         "work": f"{self.folder}/work",
                         "idle_exit": "5s"},
            "log": {"level": "debug"},
            # Tests say when it is read again.
            "configuration": {"auto_reload": False},
        }
        for section, values in extra.items():
            config.setdefault(section, {}).update(values)
        with open(self.config_path, "w", encoding="utf-8") as f:
            json.dump(config, f, indent=1)

    # ---- life -------------------------------------------------------------

    def spawn(self):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            self.within + [os.path.join(BUILD, "autonomous-devops"), "serve", "--config",
             self.config_path], stdout=log, stderr=log,
            stdin=subprocess.DEVNULL)
        log.close()

    def start(self, seconds=30):
        self.spawn()
        wait_until(self.ready, seconds, "a ready daemon")
        return self

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError("the daemon ended with status "
                                 f"{self.process.returncode}: {self.log()}")
        try:
            return self.raw("GET", "/-/ready")[0] == 200
        except OSError:
            return False

    def stop(self):
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.process = None
        return status

    def kill9(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()[-8000:]

    def executor_pid(self):
        """The executor, not a step of it that has not called exec yet, nor
        its guard."""
        parents = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    line = f.read()
                with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                    name, _, rest = f.read().rpartition(")")
                    parent = rest.split()[1]
            except OSError:
                continue
            if name.endswith("(adp-guard"):
                continue
            if b"\0executor\0" in line and self.config_path.encode() in line:
                parents[int(pid)] = int(parent)
        return next((p for p, of in parents.items() if of not in parents),
                    None)

    def close(self):
        executor = self.executor_pid()
        try:
            status = self.stop()
            assert status in (0, None), self.log()
        finally:
            if self.process is not None:
                self.kill9()
            if executor is not None:
                try:
                    os.kill(executor, signal.SIGTERM)
                except ProcessLookupError:
                    pass

    def wipe(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- talking ------------------------------------------------------------

    def raw(self, method, path, body=None, headers=None):
        """(status, headers, bytes); body: bytes, text, or a JSON value."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return r.status, dict(r.getheaders()), r.read()
        finally:
            c.close()

    def api(self, method, path, body=None, status=(200, 202), headers=None):
        got, _, data = self.raw(method, path, body, headers)
        if isinstance(status, int):
            status = (status,)
        assert got in status, f"{method} {path}: {got} {data[:2000]!r}"
        return json.loads(data) if data else None

    def get(self, path, status=200):
        return self.api("GET", path, status=status)

    def post(self, path, body=None, status=(200, 202), headers=None):
        return self.api("POST", path, body, status, headers)

    def event(self, **fields):
        return self.post("/api/events", fields, 202)["id"]

    # ---- waiting ------------------------------------------------------------

    def workflows_of(self, event_id):
        return self.get(f"/api/events/{event_id}")["workflows"]

    def wait_workflow(self, event_id, seconds=30):
        """The one workflow that the event started, when it is final."""
        def final():
            found = self.workflows_of(event_id)
            return found and found[0]["status"] in (
                "succeeded", "failed", "cancelled", "killed", "held")
        wait_until(final, seconds, f"the workflow of {event_id}")
        return self.get("/api/workflows/" +
                        self.workflows_of(event_id)[0]["id"])

    def wait_status(self, workflow_id, *statuses, seconds=30):
        def reached():
            w = self.get(f"/api/workflows/{workflow_id}")
            return w if w["status"] in statuses else None
        return wait_until(reached, seconds, f"{workflow_id} {statuses}")

    def wait_executor(self):
        wait_until(lambda: self.get("/api/health", (200, 503))[
            "checks"]["executor"]["ok"], 20, "the executor")


# A hundred triggers that each take their time to give up on a row of a's.
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000


@contextlib.contextmanager
def frozen(daemon, thread):
    """One thread of the daemon stands still meanwhile. Needs root."""
    pid = daemon.process.pid
    tids = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8") as f:
            tids[f.read().strip()] = int(tid)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p,
                            ctypes.c_void_p]
    tid = tids[thread]
    assert libc.ptrace(PTRACE_SEIZE, tid, None, None) == 0
    try:
        assert libc.ptrace(PTRACE_INTERRUPT, tid, None, None) == 0
        os.waitpid(tid, WALL)
        yield
    finally:
        assert libc.ptrace(PTRACE_DETACH, tid, None, None) == 0


def slow(patterns):
    """A runbook that never starts, after so many hopeless patterns."""
    return "name: Heavy\ntriggers:\n" + "".join(
        "  - {type: alert, matchers: ['instance=~\"(a|aa)+[0-9]{%d}\"']}\n" % i
        for i in range(1, patterns + 1)) + (
        "steps:\n  - {name: Never, action: exec, command: 'true'}\n")


HEAVY = slow(100)


def heavy(files):
    """Runbooks with which one event takes its worker many seconds."""
    return {f"heavy{i}.yaml": HEAVY for i in range(files)}


def poisoned(make_daemon, count=1):
    """An engine that was killed in the middle of so many events, with one try
    for each: the engine and the ids of its poison messages."""
    d = make_daemon({"heavy.yaml": HEAVY}, {
        "engine": {"event_processing": {"max_attempts": 1}}})
    d.post("/api/admin/pause-processing", {})
    ids = [d.event(type="alert", source="s",
                   labels={"instance": "a" * (4000 + i)})
           for i in range(count)]
    d.post("/api/admin/resume-processing", {})
    wait_until(lambda: any(w["status"] == "busy" for w in
                           d.get("/api/admin/workers")["workers"]),
               what="a busy worker")
    d.kill9()
    os.unlink(os.path.join(d.repo, "heavy.yaml"))
    d.start()
    wait_until(lambda: len(d.get("/api/admin/poison-messages")[
        "poison_messages"]) == count, what="poison messages")
    return d, ids


def tried(daemon, name, status=200):
    """The answer to a test of the partner, when it takes a message."""
    def answer():
        got, _, body = daemon.raw("POST", f"/api/integrations/{name}/test")
        return (got, json.loads(body)) if got != 429 else None
    got, body = wait_until(answer, 30, f"a test of {name}")
    assert got == status, (got, body)
    return body


def adctl(daemon, *args, check=True, **kwargs):
    """Runs adctl against the daemon; the finished process."""
    p = subprocess.run(
        [os.path.join(BUILD, "adctl"), "--server",
         f"http://127.0.0.1:{daemon.port}", *args],
        capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL, **kwargs)
    if check:
        assert p.returncode == 0, (args, p.returncode, p.stdout, p.stderr)
    return p
