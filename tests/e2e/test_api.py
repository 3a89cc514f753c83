"""The HTTP API of the real daemon: what a unit test with a service that is
none cannot show."""
import hashlib
import http.client
import json
import os
import socket
import subprocess
import threading

import pytest
from harness import wait_until

NOOP = """\
name: Noop
category: test
parameters:
  word: {type: string, default: hello}
  secret_word: {type: string, secret: true}
triggers:
  - type: alert
    labels: {alertname: Noop}
steps:
  - {name: Say, action: exec, command: 'echo "$ADP_PARAM_WORD"; echo oops >&2'}
"""

SLEEPER = """\
name: Sleeper
steps:
  - {name: Sleep, action: exec, command: "sleep 600", timeout: 700s}
"""

TOKEN = "a-token-of-the-tests-0123456789"


def runbooks():
    return {"test/noop.yaml": NOOP, "test/sleeper.yaml": SLEEPER}


@pytest.fixture
def engine(make_daemon):
    d = make_daemon(runbooks())
    d.wait_executor()
    return d


def test_an_event_becomes_a_workflow_with_output(engine):
    event = engine.event(type="alert", labels={"alertname": "Noop"})
    w = engine.wait_workflow(event)
    assert w["status"] == "succeeded"
    assert w["event_id"] == event
    assert w["parameters"] == {"word": "hello"}
    assert [s["name"] for s in w["steps"]] == ["Say"]
    assert w["steps"][0]["attempts"][0]["exit_code"] == 0
    logs = engine.get(f"/api/workflows/{w['id']}/logs")
    text = {c["stream"]: c["text"] for c in logs["logs"]}
    assert text == {"stdout": "hello\n", "stderr": "oops\n"}
    assert logs["complete"] is True
    assert engine.get(f"/api/events/{event}")["status"] == "processed"


def test_execute_cancel_and_kill(engine):
    for how in ("cancel", "kill"):
        w = engine.post("/api/runbooks/execute",
                        {"runbook": "test/sleeper.yaml"}, 202)
        engine.wait_status(w["workflow_id"], "running")
        stopped = engine.post(f"/api/workflows/{w['workflow_id']}/{how}",
                              status=202)
        assert stopped["stop_requested"] == how
        final = engine.wait_status(w["workflow_id"], "cancelled", "killed")
        assert final["stop_requested"] == how
        assert final["stopped_by"] == "uid:0"
        engine.post(f"/api/workflows/{w['workflow_id']}/{how}", status=409)


def test_dry_run_starts_nothing(engine):
    answer = engine.post("/api/runbooks/execute",
                         {"runbook": "test/noop.yaml", "dry_run": True,
                          "parameters": {"secret_word": "hush"}}, 200)
    assert answer["plan"][0]["env"]["ADP_PARAM_SECRET_WORD"] == "***"
    w = engine.get("/api/workflows/" + answer["workflow_id"])
    assert (w["status"], w["result"], w["dry_run"]) == (
        "succeeded", "dry_run", True)
    assert w["steps"][0]["attempts"] == []


def test_reload_keeps_the_last_good_version(engine):
    # Waits until the executor has a copy of what is in force.
    engine.post("/api/admin/reload-runbooks")
    engine.write_runbook("test/noop.yaml", "name: [")
    engine.write_runbook("test/new.yaml", NOOP.replace("Noop", "New"))
    answer = engine.post("/api/admin/reload-runbooks")
    assert (answer["added"], answer["rejected"]) == (1, 1)
    errors = [p["file"] for p in answer["problems"] if not p["warning"]]
    assert errors == ["test/noop.yaml"]
    listed = {r["path"]: r for r in engine.get("/api/runbooks")["runbooks"]}
    assert listed["test/noop.yaml"]["state"] == "last_known_good"
    refused = engine.post("/api/runbooks/execute",
                          {"runbook": "test/noop.yaml"}, 422)
    assert refused["error"].startswith("Runbook validation failed:")
    assert engine.get("/api/health")["status"] == "degraded"


def test_stream_tells_what_happens_and_resumes(engine):
    class Stream:
        def __init__(self, last=None):
            self.c = http.client.HTTPConnection("127.0.0.1", engine.port,
                                                timeout=30)
            headers = {"Last-Event-ID": last} if last else {}
            self.c.request("GET", "/api/stream", headers=headers)
            self.r = self.c.getresponse()
            assert self.r.headers["Content-Type"] == "text/event-stream"

        def until(self, wanted):
            message = {}
            while True:
                line = self.r.readline().decode().rstrip("\n")
                if line:
                    key, _, value = line.partition(": ")
                    message[key] = value
                elif wanted(message):
                    return message
                else:
                    message = {}

    s = Stream()
    event = engine.event(type="alert", labels={"alertname": "Noop"})
    seen = s.until(lambda m: m.get("event") == "event" and
                   json.loads(m["data"])["id"] == event)
    s.c.close()
    engine.wait_workflow(event)
    s = Stream(seen["id"])  # what came meanwhile
    done = s.until(lambda m: m.get("event") == "workflow" and
                   json.loads(m["data"])["status"] == "succeeded")
    assert int(done["id"]) > int(seen["id"])
    assert json.loads(done["data"])["event_id"] == event
    s.c.close()
    s = Stream("123")
    s.until(lambda m: m.get("event") == "reset")
    s.c.close()


def test_tokens_have_scopes(make_daemon):
    d = make_daemon(config={"security": {"tokens": [
        {"name": "ci", "scopes": ["ingest"],
         "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}]}})
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    d.post("/api/events", {"type": "deploy"}, 202, bearer)
    assert d.raw("GET", "/api/events", headers=bearer)[0] == 403
    wrong = {"Authorization": "Bearer nonsense"}
    assert d.raw("GET", "/api/events", headers=wrong)[0] == 401


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_other_local_users_are_refused(daemon):
    script = ("import http.client; c = http.client.HTTPConnection("
              f"'127.0.0.1', {daemon.port}); c.request('GET', '/api/health'); "
              "print(c.getresponse().status)")
    p = subprocess.run(["python3", "-c", script], user=65534, group=65534,
                       extra_groups=[], capture_output=True, text=True,
                       check=True)
    assert p.stdout.strip() == "401"


def test_refuses_to_face_the_network_unprotected(make_daemon):
    d = make_daemon(start=False)
    d.write_config({"server": {"listen": f"0.0.0.0:{d.port}"}})
    d.spawn()
    assert d.process.wait(20) != 0
    d.process = None
    assert "needs tokens and TLS" in d.log()


@pytest.fixture
def key_pair(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key), "-out",
         str(cert), "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return cert, key


def test_speaks_tls(make_daemon, key_pair):
    cert, key = key_pair
    d = make_daemon(start=False)
    d.write_config({"server": {"tls": {"cert": str(cert), "key": str(key)}}})
    d.spawn()

    def curl(*args):
        p = subprocess.run(
            ["curl", "-sS", "--cacert", str(cert), *args,
             f"https://localhost:{d.port}/api/events"],
            capture_output=True, text=True, check=False)
        return p.returncode, p.stdout

    wait_until(lambda: curl()[0] == 0, 20, "an answer over TLS")
    assert json.loads(curl()[1])["events"] == []
    assert "queued" in curl("-d", '{"type": "alert"}')[1]
    assert curl("--tls-max", "1.1")[0] != 0


def test_many_clients_at_once_lose_nothing(engine):
    ids, lock = [], threading.Lock()

    def work():
        c = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=30)
        mine = []
        for i in range(50):
            c.request("POST", "/api/events", json.dumps(
                {"type": "metric", "metric_name": "m", "value": i}))
            r = c.getresponse()
            assert r.status == 202
            mine.append(json.loads(r.read())["id"])
        with lock:
            ids.extend(mine)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(ids)) == 1000
    stored = engine.get("/api/events?limit=10000")["events"]
    assert {e["id"] for e in stored} == set(ids)
    ledger = wait_until(
        lambda: (lambda m: m if m["events"]["processed"] == 1000 else None)(
            engine.get("/api/metrics")["ledger"]), 30, "all events processed")
    assert ledger["accepted"] == sum(ledger["events"].values())


def test_slow_clients_do_not_keep_others_out(make_daemon):
    d = make_daemon(config={"limits": {"header_timeout": "1s"}})
    slow = []
    for _ in range(100):
        s = socket.create_connection(("127.0.0.1", d.port))
        s.sendall(b"POST /api/events HTTP/1.1\r\nX-Slow: ")
        slow.append(s)
    assert d.get("/api/health")["checks"]["store"]["ok"]

    def all_gone():
        for s in list(slow):
            s.setblocking(False)
            try:
                s.sendall(b"a")
                if s.recv(1) == b"":
                    slow.remove(s)
            except BlockingIOError:
                pass
            except OSError:
                slow.remove(s)
        return not slow

    wait_until(all_gone, 20, "the end of slow connections", 0.1)


def test_stops_while_a_stream_and_requests_are_open(engine):
    stream = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=30)
    stream.request("GET", "/api/stream")
    stream.getresponse()
    idle = socket.create_connection(("127.0.0.1", engine.port))
    assert engine.stop() == 0
    idle.close()


def test_debug_messages_follow_an_event(make_daemon):
    d = make_daemon({"r.yaml": "name: R\ntriggers: [{type: alert}]\n"
                     "steps: [{name: s, command: 'true'}]\n"})
    event = d.event(type="alert")
    workflow = d.wait_workflow(event)["id"]
    for line in (f"DEBUG event {event}: processed",
                 f"DEBUG workflow {workflow}: step 1, attempt 1: succeeded",
                 f"DEBUG workflow {workflow}: succeeded"):
        wait_until(lambda: line in d.log(), what=line)
    quiet = make_daemon({}, {"log": {"level": "info"}})
    quiet.event(type="alert")
    wait_until(lambda: quiet.get("/api/metrics")["ledger"]["events"][
        "processed"], what="the event")
    assert "DEBUG" not in quiet.log()
