"""What the engine says when it cannot take an event: stopping, a full queue, a
full disk. Whatever it accepted is there afterwards."""
import http.client
import json
import os
import signal
import subprocess
import threading

import pytest

from harness import adctl, wait_until

EVENT = '{"type": "test"}'
LANES = 8


class Lane(threading.Thread):
    """Posts over one connection as fast as it is answered. Opens another when
    the last answer said so; ends when nobody listens any more."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.accepted = []
        self.statuses = []
        self.trouble = []

    def run(self):
        c = None
        while True:
            fresh = c is None
            try:
                if fresh:
                    c = http.client.HTTPConnection("127.0.0.1", self.port,
                                                   timeout=30)
                    c.connect()
                c.request("POST", "/api/events", EVENT)
                r = c.getresponse()
                body = r.read()
            except (OSError, http.client.HTTPException) as e:
                if not fresh:
                    self.trouble.append(repr(e))
                return
            self.statuses.append(r.status)
            if r.status == 202:
                self.accepted.append(json.loads(body)["id"])
            elif r.status != 503 or not r.getheader("Retry-After"):
                self.trouble.append((r.status, body))
            if r.getheader("Connection") == "close":
                c.close()
                c = None


def stop_under_load(d):
    """(ids that were accepted, other statuses than 202, trouble)"""
    lanes = [Lane(d.port) for _ in range(LANES)]
    for lane in lanes:
        lane.start()
    wait_until(lambda: all(len(x.accepted) > 20 for x in lanes), 60, "traffic")
    assert d.stop() == 0
    for lane in lanes:
        lane.join(60)
    return ([i for lane in lanes for i in lane.accepted],
            {s for lane in lanes for s in lane.statuses} - {202},
            [t for lane in lanes for t in lane.trouble])


def test_a_stop_under_load_says_so(make_daemon):
    """Open connections hear 202 or 503, never silence, until they are told to
    close; what was answered 202 is there at the next start. A client that does
    not get to run for all of the grace misses it: hence more than one try."""
    d = make_daemon(config={"engine": {"event_processing": {
        "queue_size": 1000000}}})
    known = []
    for _ in range(3):
        accepted, others, trouble = stop_under_load(d)
        known += accepted
        assert others <= {503}
        d.start()
        assert d.get("/api/metrics")["ledger"]["accepted"] == len(known)
        for event in accepted[:: max(1, len(accepted) // 100)]:
            assert d.get("/api/events/" + event)["id"] == event
        if others and not trouble:
            break
    assert not trouble, trouble[:5]
    assert others == {503}


class Poller:
    """Asks one path again and again while the engine stops."""

    def __init__(self, d, path):
        self.c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=30)
        self.path = path
        self.ask()

    def ask(self):
        self.c.request("GET", self.path)
        r = self.c.getresponse()
        return r.status, r.read().decode()

    def until_503(self):
        """The first answer of 503, or None if the connection ended before."""
        try:
            while True:
                status, body = self.ask()
                if status == 503:
                    return body
        except (OSError, http.client.HTTPException):
            return None


@pytest.mark.parametrize("path, word", [("/-/ready", "stopping"),
                                        ("/api/health", '"stopping"')])
def test_probes_say_that_it_stops(make_daemon, path, word):
    d = make_daemon()
    for _ in range(5):  # a busy machine may let the moment pass
        poller = Poller(d, path)
        d.process.send_signal(signal.SIGTERM)
        said = poller.until_503()
        assert d.process.wait(60) == 0
        if said is not None:
            break
        d.start()
    assert said is not None and word in said


def test_a_full_queue_takes_no_more_and_loses_nothing(make_daemon):
    size = 20
    d = make_daemon(config={"engine": {"event_processing": {
        "queue_size": size}}})
    d.post("/api/admin/pause-processing")
    accepted = []
    for _ in range(3 * size):
        status, headers, body = d.raw("POST", "/api/events", EVENT)
        if status != 202:
            break
        accepted.append(json.loads(body)["id"])
    assert len(accepted) >= size
    assert status == 503
    assert int(headers["Retry-After"]) >= 1
    assert json.loads(body)["code"] == "queue_full"
    status, _, body = d.raw("POST", "/api/events/alertmanager", json.dumps({
        "version": "4", "groupKey": "g", "status": "firing", "receiver": "r",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://localhost", "alerts": [{
            "status": "firing", "labels": {"alertname": "A"},
            "annotations": {}, "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "",
            "fingerprint": "0123456789abcdef"}]}))
    assert status == 503, body
    # A crash in this state loses none either.
    d.kill9()
    d.start()
    assert d.get("/api/metrics")["ledger"]["accepted"] == len(accepted)
    d.post("/api/admin/resume-processing")

    def all_processed():
        return all(d.get("/api/events/" + i)["status"] in (
            "processed", "suppressed") for i in accepted)
    wait_until(all_processed, 60, "every accepted event")
    assert d.raw("POST", "/api/events", EVENT)[0] == 202


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 100 MB: smaller than what is kept back elsewhere."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.getuid() != 0 or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=100m", "none", folder],
            check=False, capture_output=True).returncode != 0:
        pytest.skip("needs root, and the right to mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(path):
    """Takes what room there is."""
    with open(path, "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(65536))
        except OSError:
            pass


def test_a_full_disk_is_507_and_reading_goes_on(make_daemon, small_disk):
    d = make_daemon(config={"storage": {
        "url": f"sqlite://{small_disk}/state/engine.db"}})
    first = d.event(type="test")
    filler = small_disk / "filler"
    fill(filler)
    accepted = []

    def refused():
        status, _, body = d.raw("POST", "/api/events", EVENT)
        if status == 202:
            accepted.append(json.loads(body)["id"])
        return None if status == 202 else (status, json.loads(body))
    status, body = wait_until(refused, 60, "the refusal")
    assert (status, body["code"]) == (507, "disk_full")
    assert d.get("/api/events/" + first)["id"] == first
    assert d.get("/api/events?limit=10")["events"]
    # It is told wherever somebody looks.
    health = d.get("/api/health")
    assert health["status"] == "degraded"
    assert health["checks"]["disk"]["ok"] is False
    assert d.raw("GET", "/-/ready")[::2] == (503, b"the disk is full")
    assert b"\nautonomous_devops_store_disk_full 1\n" in d.raw(
        "GET", "/metrics")[2]
    assert "the disk is full" in d.log()
    p = adctl(d, "doctor", check=False)
    assert p.returncode != 0 and "refuses events (507)" in p.stdout
    filler.unlink()

    def taken():
        status, _, body = d.raw("POST", "/api/events", EVENT)
        if status == 202:
            accepted.append(json.loads(body)["id"])
        return status == 202
    wait_until(taken, 60, "room again")
    wait_until(d.ready, 20, "a ready engine")
    assert d.get("/api/health")["checks"]["disk"]["ok"] is True
    assert "the disk has room again" in d.log()
    for event in accepted[-20:]:
        assert d.get("/api/events/" + event)["id"] == event
    assert (d.get("/api/metrics")["ledger"]["accepted"]
            == len(accepted) + 1)


def test_a_start_on_a_full_disk_says_so(make_daemon, small_disk):
    d = make_daemon(config={"storage": {
        "url": f"sqlite://{small_disk}/state/engine.db"}})
    fill(small_disk / "filler")
    wait_until(lambda: d.raw("POST", "/api/events", EVENT)[0] == 507, 60,
               "the refusal")
    assert d.stop() == 0
    os.truncate(d.log_path, 0)
    d.spawn()
    wait_until(lambda: "ready on" in d.log(), what="a start")
    assert d.get("/api/health")["checks"]["disk"]["ok"] is False
    assert d.log().count("the disk is full: events are refused") == 1


LATE = """\
name: Late
steps:
  - {name: Nothing, action: exec, command: "true"}
"""


def test_nothing_is_changed_that_cannot_be_written_down(make_daemon,
                                                        small_disk):
    """Neither runbooks nor the configuration, which are not in the store: the
    row of the audit trail is."""
    settings = {"storage": {"url": f"sqlite://{small_disk}/state/engine.db"},
                "runbooks": {"auto_reload": False}}
    d = make_daemon({"early.yaml": LATE.replace("Late", "Early")}, settings)
    filler = small_disk / "filler"
    fill(filler)
    wait_until(lambda: d.raw("POST", "/api/events", EVENT)[0] == 507, 60,
               "the refusal")
    pid = d.process.pid
    fill(small_disk / "more")  # the reserve, too
    run = {"runbook": "early.yaml"}
    for dry in (False, True):
        assert d.post("/api/runbooks/execute", {**run, "dry_run": dry},
                      507)["code"] == "disk_full"
    d.write_runbook("late.yaml", LATE)
    d.write_config({**settings, "engine": {"event_processing": {"workers": 7}}})
    rows = d.get("/api/admin/audit")["audit"]
    for path in ("reload-runbooks", "reload-config", "pause-processing"):
        assert d.post(f"/api/admin/{path}", {}, 507)["code"] == "disk_full"
    assert d.process.poll() is None and d.process.pid == pid
    assert d.get("/api/workflows")["workflows"] == []
    assert [r["path"] for r in d.get("/api/runbooks")["runbooks"]] == [
        "early.yaml"]
    assert d.get("/api/admin/workers")["count"] == 4
    assert d.get("/api/health")["checks"]["queue"]["paused"] is False
    assert d.get("/api/admin/audit")["audit"] == rows
    filler.unlink()
    (small_disk / "more").unlink()
    wait_until(lambda: d.raw("POST", "/api/events", EVENT)[0] == 202, 60,
               "room again")
    d.post("/api/runbooks/execute", run, 202)
    d.post("/api/admin/reload-runbooks", {})
    d.post("/api/admin/reload-config", {})
    assert [r["path"] for r in d.get("/api/runbooks")["runbooks"]] == [
        "early.yaml", "late.yaml"]
    assert d.get("/api/admin/workers")["count"] == 7
    assert [r["action"] for r in d.get("/api/admin/audit")["audit"][:2]] == [
        "config.reload", "runbook.reload"]
