"""What systemd is told, by a stand-in for its socket."""
import os
import select
import signal
import socket
import subprocess
import time

import pytest

from harness import BUILD, Daemon, frozen, wait_until


class Notified:
    """The daemon under a notification socket."""

    def __init__(self, folder, watchdog_ms=400):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.seen = []
        self.d = Daemon(os.path.join(folder, "d"))
        log = open(self.d.log_path, "ab")
        self.d.process = subprocess.Popen(
            [os.path.join(BUILD, "autonomous-devops"), "serve", "--config",
             self.d.config_path], stdout=log, stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "NOTIFY_SOCKET": self.path,
                 "WATCHDOG_USEC": str(watchdog_ms * 1000)})
        log.close()

    def take(self):
        """Everything that has come; returns all lines so far."""
        while select.select([self.socket], [], [], 0)[0]:
            text = self.socket.recv(65536).decode()
            self.seen += [(time.monotonic(), line)
                          for line in text.splitlines()]
        return [line for _, line in self.seen]

    def count(self, line):
        return self.take().count(line)

    def wait(self, wanted, what):
        return wait_until(
            lambda: next((x for x in self.take() if wanted(x)), None), 30, what)


@pytest.fixture
def notified(tmp_path):
    n = Notified(str(tmp_path))
    try:
        n.wait(lambda x: x == "READY=1", "READY")
        yield n
    finally:
        n.d.close()


def test_ready_status_watchdog_and_stop(notified):
    n = notified
    first = next(x for x in n.take() if x.startswith("STATUS="))
    assert first.startswith(("STATUS=connecting to the executor: 0 events",
                             "STATUS=processing: 0 events")), first
    n.wait(lambda x: x == "WATCHDOG=1", "a sign of life")
    n.d.wait_executor()
    n.wait(lambda x: x.startswith("STATUS=processing: 0 events queued, "
                                  "0 workflows running"), "the status")
    n.d.post("/api/admin/pause-processing", {})
    n.d.event(type="alert", labels={"a": "b"})
    n.wait(lambda x: x.startswith("STATUS=paused: 1 events queued"),
           "the new status")
    n.d.stop()
    assert "STOPPING=1" in n.take()


def test_a_reload_is_told(notified):
    n = notified
    n.d.process.send_signal(signal.SIGHUP)
    n.wait(lambda x: x == "RELOADING=1", "RELOADING")
    wait_until(lambda: n.count("READY=1") == 2, 30, "READY again")
    lines = n.take()
    assert any(x.startswith("MONOTONIC_USEC=") for x in lines)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs ptrace")
@pytest.mark.parametrize("thread", ["service", "committer", "http"])
def test_a_thread_that_stands_still_starves_the_watchdog(notified, thread):
    n = notified
    n.wait(lambda x: x == "WATCHDOG=1", "a sign of life")
    with frozen(n.d, thread):
        n.wait(lambda x: f"no progress: {thread}" in x, "its name")
        fed = n.count("WATCHDOG=1")
        looks = n.count(n.take()[-1])
        wait_until(lambda: n.count(n.take()[-1]) > looks + 8, 30,
                   "eight more looks")
        assert n.count("WATCHDOG=1") == fed
    wait_until(lambda: n.count("WATCHDOG=1") > fed, 30, "life again")
    assert f"ERROR no progress: {thread}" in n.d.log()
