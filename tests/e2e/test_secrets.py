"""Secrets are planted everywhere, everything is driven, and everything that
the platform has written or answered is searched for them."""
import base64
import json
import os
import signal
import subprocess
import urllib.parse

import pytest

from harness import BUILD, adctl, wait_until

KEY = "k7/ca+nary wörd\"9-Zq"
TOKEN = "bearer-canary-0f1e2d3c4b5a69788796"
PAGER = "pager-canary-5f4e3d2c1b0a"

SHOW = """\
name: Show
parameters:
  key: {type: string, secret: true, required: true}
  host: {type: string, default: web-1}
steps:
  - name: Show it
    command: |
      env; set -x; : "$ADP_PARAM_KEY"; set +x
      printf %%s "$ADP_PARAM_KEY" | base64 -w0; echo
      printf %%s "$ADP_PARAM_KEY" | od -An -tx1 | tr -d ' \\n'; echo
      printf '%%s"user:%%s"' x "$ADP_PARAM_KEY" | base64 -w0 >&2
      printf %%.5s "$ADP_PARAM_KEY"; sleep 0.1
      printf '%%s\\n' "${ADP_PARAM_KEY#?????}"
    env: {OTHER: "[${{ parameters.key }}]"}
  - name: Wait
    command: test -e %(go)s || { touch %(waits)s; sleep 600; }
    idempotent: true
    retry: {attempts: 3, backoff: 100ms}
  - name: Use it
    command: printf %%s "$ADP_PARAM_KEY" | sha256sum >%(used)s
"""


def forms(secret):
    raw = secret.encode()
    yield raw
    yield json.dumps(secret)[1:-1].encode()
    yield json.dumps(secret, ensure_ascii=False)[1:-1].encode()
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield urllib.parse.quote(secret, safe="").encode()
    yield urllib.parse.quote(secret).encode()
    yield urllib.parse.quote_plus(secret).encode()
    for skip in range(3):
        # What base64 makes of it wherever it stands in a longer text.
        text = base64.b64encode(b"\0" * skip + raw + b"\0\0")
        whole = text[(skip * 8 + 5) // 6:(skip + len(raw)) * 8 // 6]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))


def found(data, secrets):
    return [(s, f) for s in secrets for f in forms(s) if f in data]


def search_folder(folder, secrets, but=()):
    hits = []
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            if full in but or not os.path.isfile(full):
                continue
            with open(full, "rb") as f:
                hits += [(full, *h) for h in found(f.read(), secrets)]
    return hits


def command_lines():
    lines = b""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                lines += f.read() + b"\n"
        except OSError:
            pass
    return lines


def every_answer(d, workflow, token):
    """What each GET route says, without and with the ids that it takes."""
    ids = {"id": workflow, "workflow_id": workflow, "path": "show.yaml"}
    spec = d.get("/api/openapi.json")
    answers = b""
    for path, methods in spec["paths"].items():
        if "get" not in methods or path.endswith("/stream"):
            continue
        for name, value in ids.items():
            path = path.replace("{" + name + "}", value)
        if "{" in path:
            continue
        status, headers, body = d.raw(
            "GET", path, headers={"Authorization": f"Bearer {token}"})
        answers += f"{path} {status} {headers}\n".encode() + body
    assert b"Show it" in answers
    return answers


@pytest.fixture
def engine(make_daemon, tmp_path, monkeypatch):
    monkeypatch.setenv("ADP_TEST_PAGER", PAGER)
    files = {n: tmp_path / n for n in ("go", "waits", "used")}
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    d = make_daemon({"show.yaml": SHOW % files}, config={
        "security": {"tokens": [{"name": "all", "file": str(token), "scopes": [
            "read", "ingest", "execute", "admin"]}]},
        "integrations": {"pagerduty": {"enabled": True,
                                       "api_key": "${ADP_TEST_PAGER}"}}})
    d.files = files
    d.wait_executor()
    return d


def execute(d, status=202, **more):
    return d.post("/api/runbooks/execute", {
        "runbook": "show.yaml", "parameters": {"key": KEY}, **more},
        status=status, headers={"Authorization": f"Bearer {TOKEN}",
                                "Idempotency-Key": f"k-{len(more)}"})


def test_planted_secrets_are_nowhere(engine):
    d = engine
    secrets = [KEY, TOKEN, PAGER]
    answers = json.dumps(execute(d, 200, dry_run=True)).encode()
    answers += json.dumps(d.post("/api/runbooks/execute", {
        "runbook": "show.yaml", "parameters": {"key": KEY, "kye": KEY}},
        status=400)).encode()
    answers += json.dumps(d.post("/api/runbooks/execute", {
        "runbook": "show.yaml", "parameters": {"key": [KEY]}},
        status=400)).encode()
    started = execute(d)
    workflow = started["workflow_id"]
    answers += json.dumps(started).encode()
    wait_until(d.files["waits"].exists, what="the second step")
    wait_until(lambda: b"sleep\x00600" in command_lines(), what="the sleep")
    lines = command_lines()
    answers += every_answer(d, workflow, TOKEN)
    d.raw("GET", "/api/workflows", headers={"Authorization": "Bearer x"})

    # Another engine and another executor go on with what is stored.
    d.kill9()
    executor = d.executor_pid()
    d.files["go"].touch()
    os.kill(executor, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(f"/proc/{executor}"),
               what="the executor's end")
    assert os.listdir(os.path.join(d.folder, "spool", "outcomes"))
    hits = search_folder(os.path.join(d.folder, "spool"), secrets)
    d.start()
    done = d.wait_status(workflow, "succeeded", "failed", "held")
    assert done["status"] == "succeeded", done
    assert done["parameters"] == {"key": "***", "host": "web-1"}
    expected = subprocess.run(["sha256sum"], input=KEY.encode(),
                              capture_output=True, check=True).stdout
    assert d.files["used"].read_bytes() == expected

    logs = d.get(f"/api/workflows/{workflow}/logs")["logs"]
    text = "".join(c["text"] for c in logs)
    assert "ADP_PARAM_KEY=***" in text and "OTHER=[***]" in text
    assert "web-1" in text
    answers += every_answer(d, workflow, TOKEN)
    for args in (["workflow", "show", workflow], ["workflow", "logs", workflow],
                 ["runbook", "list"], ["doctor", "-c", d.config_path]):
        p = adctl(d, *args, check=False)
        answers += (p.stdout + p.stderr).encode()
    wait_until(lambda: adctl(
        d, "backup", "make", "-c", d.config_path, "--to",
        os.path.join(d.folder, "backups"), check=False).returncode == 0,
        what="a backup")

    wait_until(lambda: d.api(
        "POST", "/api/admin/archive-workflows?before=0s", {}, headers={
            "Authorization": f"Bearer {TOKEN}"})["archived"],
        what="an archive")
    made = adctl(d, "backup", "-c", d.config_path, "--to",
                 os.path.join(d.folder, "backups"))
    answers += (made.stdout + made.stderr).encode()
    # The search finds what is not secret: it would find the rest as well.
    kept = sorted(os.listdir(os.path.join(d.folder, "backups")))[-1]
    for folder in ("state", "backups", "archive", f"backups/{kept}/archive"):
        assert search_folder(os.path.join(d.folder, folder), ["Show it"])
    hits += found(lines, secrets) + found(answers, secrets)
    assert hits == []
    key = os.path.join(d.folder, "secrets.key")
    assert os.stat(key).st_mode & 0o777 == 0o600
    assert search_folder(d.folder, secrets) == []
    assert d.stop() == 0
    assert search_folder(d.folder, secrets) == []


def test_adctl_takes_secrets_from_files(engine, tmp_path):
    d = engine
    d.files["go"].touch()
    secret = tmp_path / "secret"
    secret.write_text(KEY + "\n", encoding="utf-8")
    expected = subprocess.run(["sha256sum"], input=KEY.encode(),
                              capture_output=True, check=True).stdout
    for source in (str(secret), "-"):
        d.files["used"].unlink(missing_ok=True)
        with open(secret, "rb") as f:
            p = subprocess.run(
                [os.path.join(BUILD, "adctl"), "--server",
                 f"http://127.0.0.1:{d.port}", "runbook", "run", "show.yaml",
                 "--param-file", f"key={source}", "--wait"],
                stdin=f, capture_output=True, text=True, check=False)
        assert p.returncode == 0, p.stderr
        assert d.files["used"].read_bytes() == expected
        assert found((p.stdout + p.stderr).encode(), [KEY]) == []
    p = adctl(d, "runbook", "run", "show.yaml", "--param-file",
              f"key={tmp_path}/none", check=False)
    assert p.returncode == 2 and "none" in p.stderr


def test_a_lost_key_is_told_and_runs_nothing(engine):
    d = engine
    workflow = execute(d)["workflow_id"]
    wait_until(d.files["waits"].exists, what="the second step")
    d.stop()
    key = os.path.join(d.folder, "secrets.key")
    os.unlink(key)
    d.start()
    other = d.post("/api/runbooks/execute", {
        "runbook": "show.yaml", "parameters": {"key": "another-one"}},
        status=202)["workflow_id"]  # makes a new key
    d.post(f"/api/workflows/{other}/kill", {})  # or it would use that key
    d.wait_status(other, "killed")
    d.files["go"].touch()
    os.kill(d.executor_pid(), signal.SIGKILL)  # so that Wait is tried again
    done = d.wait_status(workflow, "succeeded", "failed", "held")
    assert done["status"] == "failed"
    assert "key of stored secrets" in done["error"]
    assert not d.files["used"].exists()


def test_a_bad_key_refuses_new_secrets(engine):
    d = engine
    key = os.path.join(d.folder, "secrets.key")
    with open(key, "wb") as f:
        f.write(b"short")
    os.chmod(key, 0o600)
    answer = execute(d, 500)
    assert answer["code"] == "secrets_unavailable"
    assert key in answer["error"]
    os.unlink(key)
    d.post("/api/runbooks/execute", {
        "runbook": "show.yaml", "parameters": {"key": KEY}}, 202)
    with open(key, "rb") as f:
        assert len(f.read()) == 32
