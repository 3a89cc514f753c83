"""adctl against the real daemon; what no daemon does, against a played one."""
import fcntl
import http.server
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import threading

import pytest

from harness import BUILD, ROOT, adctl, free_port, wait_until

ADCTL = os.path.join(BUILD, "adctl")

ECHO = """
name: Echo
description: Say hello
category: test
parameters:
  who: {type: string, default: world}
  times: {type: integer, default: 1}
triggers:
  - type: alert
    labels: {alertname: Hello}
steps:
  - name: Hello
    action: exec
    command: echo "hello $ADP_PARAM_WHO $ADP_PARAM_TIMES"
  - name: Colour
    action: exec
    command: printf 'red\\033[31m\\n'
"""
FAIL = """
name: Fail
description: Fails
steps:
  - {name: Fails, action: exec, command: exit 3}
"""
LONG = """
name: Long
description: Waits for a file, saying so
steps:
  - name: Waits
    action: exec
    command: "echo began; while [ ! -e %s ]; do sleep 0.05; done; echo ended"
"""
BAD = "name: Bad\nsteps:\n  - name: x\n    acton: exec\n"


@pytest.fixture
def engine(make_daemon, tmp_path):
    """One with runbooks; engine.go is the file that ends the long one."""
    go = tmp_path / "go"
    d = make_daemon({"test/echo.yaml": ECHO, "fail.yaml": FAIL,
                     "long.yaml": LONG % go})
    d.go = go
    d.wait_executor()
    return d


def run(d, *args, code=0, env=None, **kwargs):
    """adctl that has to end with `code`; the finished process."""
    environment = {k: v for k, v in os.environ.items()
                   if k not in ("NO_COLOR", "CLICOLOR_FORCE", "COLUMNS",
                                "AD_SERVER", "AD_TOKEN_FILE")}
    environment.update({"LC_ALL": "C.UTF-8", "TERM": "xterm"})
    environment.update(env or {})
    p = adctl(d, *args, check=False, env=environment, **kwargs)
    assert p.returncode == code, (args, p.returncode, p.stdout, p.stderr)
    return p


def bare(*args, env=None, stdin=subprocess.DEVNULL):
    """adctl without --server."""
    return subprocess.run([ADCTL, *args], capture_output=True, text=True,
                          timeout=60, check=False, stdin=stdin,
                          env={**os.environ, **(env or {})})


class Nowhere:
    """A daemon that is not there."""

    def __init__(self):
        self.port = free_port()


class Terminal:
    """adctl on a terminal of 80 columns."""

    def __init__(self, d, *args, env=None, columns=80):
        self.text = b""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 24, columns, 0, 0))
        environment = {"PATH": os.environ["PATH"], "TERM": "xterm",
                       "LC_ALL": "C.UTF-8", **(env or {})}
        self.process = subprocess.Popen(
            [ADCTL, "--server", f"http://127.0.0.1:{d.port}", *args],
            stdin=slave, stdout=slave, stderr=subprocess.PIPE,
            env=environment)
        os.close(slave)

    def read(self):
        """Everything until it ends."""
        while True:
            ready, _, _ = select.select([self.master], [], [], 30)
            assert ready, "adctl is silent"
            try:
                data = os.read(self.master, 65536)
            except OSError:
                break
            if not data:
                break
            self.text += data
        self.process.communicate(timeout=30)
        os.close(self.master)
        return self.text.decode().replace("\r\n", "\n")


# ---- events -----------------------------------------------------------------


def test_send_wait_and_look_as_in_the_readme(engine):
    p = run(engine, "event", "send", "--type", "alert", "--label",
            "alertname=Hello", "--label", "instance=web-1", "--wait")
    event = p.stdout.splitlines()[0]
    assert re.fullmatch(r"evt-[0-9a-z]{26}", event)
    assert "succeeded" in p.stdout and "Hello" in p.stdout
    assert "succeeded" in run(engine, "workflow", "list").stdout
    assert "hello world 1" in run(engine, "workflow", "logs",
                                  "@latest").stdout
    shown = run(engine, "event", "show", event).stdout
    assert "alertname=Hello" in shown and "test/echo.yaml" in shown
    assert run(engine, "help").stdout.startswith("Usage: adctl COMMAND")


def test_send_keeps_every_field(engine):
    p = run(engine, "event", "send", "--type", "metric", "--severity",
            "critical", "--source", "probe", "--metric", "cpu", "--value",
            "95.5", "-l", "a=b=c", "-a", "summary=Too much", "-o", "json")
    e = engine.get("/api/events/" + json.loads(p.stdout)["id"])
    assert e["metric_name"] == "cpu" and e["value"] == 95.5
    assert e["labels"] == {"a": "b=c"} and e["source"] == "probe"
    assert e["annotations"] == {"summary": "Too much"}


def test_send_from_file_and_standard_input(engine, tmp_path):
    file = tmp_path / "event.json"
    file.write_text('{"type": "change", "labels": {"x": "1"}}')
    run(engine, "event", "send", "--file", str(file))
    p = subprocess.run([ADCTL, "--server", f"http://127.0.0.1:{engine.port}",
                        "event", "send", "--file", "-"],
                       input='[{"type": "a"}, {"type": "b"}]', text=True,
                       capture_output=True, timeout=60, check=True)
    assert len(p.stdout.split()) == 2
    assert len(engine.get("/api/events")["events"]) == 3
    run(engine, "event", "send", "--file", str(tmp_path / "none"), code=5)


def test_send_twice_with_a_key_adds_nothing(engine):
    first = run(engine, "event", "send", "--type", "t", "--key", "k").stdout
    again = run(engine, "event", "send", "--type", "t", "--key", "k").stdout
    assert first == again and len(engine.get("/api/events")["events"]) == 1


def test_send_refuses_what_is_no_event(engine):
    for args in (["--label", "a=b"], ["--type", "t", "--label", "nothing"],
                 ["--type", "t", "--value", "much"],
                 ["--type", "t", "--wait", "--timeout", "soon"]):
        p = run(engine, "event", "send", *args, code=2)
        assert p.stderr.startswith("adctl: ") and not p.stdout.strip()


def test_list_filters_and_pages(engine):
    for i in range(5):
        run(engine, "event", "send", "--type", "t" if i else "u")
    assert len(run(engine, "event", "list", "--type", "t",
                   "-o", "name").stdout.split()) == 4
    page = json.loads(run(engine, "event", "list", "-n", "2",
                          "-o", "json").stdout)
    assert len(page["items"]) == 2 and set(page) == {"items", "next_cursor"}
    rest = json.loads(run(engine, "event", "list", "--cursor",
                          page["next_cursor"], "-o", "json").stdout)
    ids = [e["id"] for e in page["items"] + rest["items"]]
    assert len(set(ids)) == 5
    lines = run(engine, "event", "list", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z",
                        page["items"][0]["received_at"])
    assert "received_at_iso" not in page["items"][0]
    p = run(engine, "event", "list", "--since", "soon", code=2)
    assert "since" in p.stderr and "try: adctl event list --help" in p.stderr


def test_watch_shows_events_and_outlives_a_restart(engine):
    p = subprocess.Popen([ADCTL, "--server",
                          f"http://127.0.0.1:{engine.port}", "event",
                          "watch", "-o", "name"], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True)
    try:
        wait_until(lambda: "stream_subscribers 1" in engine.raw(
            "GET", "/metrics")[2].decode(), 20, "the subscriber")
        sent = run(engine, "event", "send", "--type", "one").stdout.strip()
        assert p.stdout.readline().strip() == sent
        assert engine.stop() == 0
        engine.start()
        wait_until(lambda: "stream_subscribers 1" in engine.raw(
            "GET", "/metrics")[2].decode(), 20, "the subscriber again")
        sent = run(engine, "event", "send", "--type", "two").stdout.strip()
        while p.stdout.readline().strip() != sent:
            assert p.poll() is None
    finally:
        p.send_signal(signal.SIGINT)
        assert p.wait(20) == -signal.SIGINT  # 130 for a shell


# ---- runbooks ---------------------------------------------------------------


def test_runbook_list_and_show(engine):
    assert run(engine, "runbook", "list", "-o", "name").stdout.split() == [
        "fail.yaml", "long.yaml", "test/echo.yaml"]
    assert run(engine, "runbook", "list", "--category", "test",
               "-o", "name").stdout.split() == ["test/echo.yaml"]
    assert run(engine, "rb", "ls", "--search", "hello",
               "-o", "name").stdout.split() == ["test/echo.yaml"]
    shown = run(engine, "runbook", "show", "test/echo.yaml").stdout
    assert "times" in shown and "integer" in shown
    p = run(engine, "runbook", "show", "test/ecko.yaml", code=5)
    assert "try: adctl runbook show test/echo.yaml" in p.stderr


def test_validate_works_with_the_daemon_down(tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(ECHO)
    bad.write_text(BAD)
    nowhere = Nowhere()
    assert run(nowhere, "runbook", "validate", str(good)).stdout == \
        f"{good}: ok\n"
    p = run(nowhere, "runbook", "validate", str(bad), code=1)
    assert f"{bad}:4:5: error: " in p.stdout and "action" in p.stdout
    p = run(nowhere, "runbook", "validate", "--all", str(tmp_path), code=1)
    assert p.stdout.splitlines()[-1].startswith("2 files, ")
    items = json.loads(run(nowhere, "runbook", "validate", str(good),
                           str(bad), "-o", "json", code=1).stdout)["items"]
    assert [i["valid"] for i in items] == [True, False]
    assert items[1]["errors"][-1]["line"] == 4
    # A path that is not here is the engine's business.
    run(nowhere, "runbook", "validate", "none.yaml", code=9)
    run(nowhere, "runbook", "validate", code=2)
    run(nowhere, "runbook", "validate", str(tmp_path), code=2)
    run(nowhere, "runbook", "validate", "--all", str(tmp_path / "no"), code=5)


def test_validate_a_path_of_the_repository(engine, tmp_path):
    engine.write_runbook("bad.yaml", BAD)
    assert run(engine, "runbook", "validate", "test/echo.yaml",
               cwd=tmp_path).stdout == "test/echo.yaml: ok\n"
    p = run(engine, "runbook", "validate", "bad.yaml", code=1, cwd=tmp_path)
    assert "bad.yaml:4:5: error: " in p.stdout
    run(engine, "runbook", "validate", "none.yaml", code=5, cwd=tmp_path)
    run(engine, "runbook", "validate", "../x.yaml", code=2, cwd=tmp_path)


def test_the_readme_s_runbook_is_valid(tmp_path):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        text = f.read()
    block = text[text.index("    name: Restart web"):text.index("\nRunbooks are files ")]
    file = tmp_path / "restart-web.yaml"
    file.write_text("\n".join(line[4:] for line in block.splitlines()))
    assert "ok" in run(Nowhere(), "runbook", "validate", str(file)).stdout


def test_run_with_parameters(engine):
    p = run(engine, "runbook", "run", "test/echo.yaml", "-p", "who=12",
            "--param", "times=3", "--wait")
    workflow = p.stdout.split()[0]
    assert workflow.startswith("wf-")
    # "12" stays a text because the runbook declares one.
    assert engine.get(f"/api/workflows/{workflow}")["parameters"] == {
        "who": "12", "times": 3}
    assert "hello 12 3" in run(engine, "workflow", "logs", workflow).stdout
    p = run(engine, "runbook", "run", "test/echo.yaml", "-p", "whoo=1",
            code=2)
    assert "try: adctl runbook show test/echo.yaml" in p.stderr
    p = run(engine, "runbook", "run", "none.yaml", code=5)
    assert "try: adctl runbook list" in p.stderr
    run(engine, "runbook", "run", "test/echo.yaml", "-p", "who", code=2)


def test_dry_run_runs_nothing(engine):
    p = run(engine, "runbook", "run", "test/echo.yaml", "--dry-run",
            "--wait", "--header")
    assert "TIMEOUT" in p.stdout and "Colour" in p.stdout
    assert engine.get("/api/workflows")["active_workflows"] == 0
    plan = json.loads(run(engine, "runbook", "run", "test/echo.yaml",
                          "--dry-run", "-o", "json").stdout)
    assert plan["dry_run"] is True and len(plan["plan"]) == 2


def test_dry_run_says_which_parameters_a_run_needs(make_daemon):
    d = make_daemon({"restart.yaml": ECHO.replace(
        "default: world", "required: true")})
    p = run(d, "runbook", "run", "restart.yaml", "--dry-run")
    assert "a run needs: -p who=VALUE" in p.stdout
    run(d, "runbook", "run", "restart.yaml", code=2)
    answer = d.post("/api/runbooks/execute",
                    {"runbook": "restart.yaml", "dry_run": True}, 200)
    assert answer["missing_parameters"] == ["who"]


def test_the_result_of_a_run_is_the_exit_status(engine):
    p = run(engine, "runbook", "run", "fail.yaml", "--wait", code=1)
    assert "try: adctl workflow logs wf-" in p.stderr and "failed" in p.stdout
    p = run(engine, "runbook", "run", "long.yaml", "--wait", "--timeout",
            "200ms", code=7)
    assert "goes on" in p.stderr
    engine.go.touch()


# ---- workflows --------------------------------------------------------------


def test_ids_by_prefix_and_shortcut(engine):
    run(engine, "runbook", "run", "fail.yaml", "--wait", code=1)
    failed = run(engine, "workflow", "list", "-o", "name").stdout.strip()
    last = run(engine, "runbook", "run", "test/echo.yaml",
               "--wait").stdout.split()[0]

    def shown(word):
        return json.loads(run(engine, "workflow", "show", word,
                              "-o", "json").stdout)["id"]
    assert shown("@latest") == last and shown("@failed") == failed
    assert shown(last[:-1]) == last and shown(last[3:-1]) == last
    assert shown(failed) == failed
    p = run(engine, "workflow", "show", "wf-0", code=2)
    assert failed in p.stderr and last in p.stderr
    run(engine, "workflow", "show", "wf-zzz", code=5)
    run(engine, "workflow", "show", "@first", code=2)
    run(engine, "workflow", "show", "wf-" + "0" * 26, code=5)
    run(engine, "event", "show", "@latest", code=5)


def test_the_ids_in_a_table_can_be_given_back(engine):
    for _ in range(3):
        run(engine, "runbook", "run", "test/echo.yaml", "--wait")
    rows = run(engine, "workflow", "list").stdout.splitlines()
    assert len(rows) == 3
    for row in rows:
        run(engine, "workflow", "show", row.split()[0])


def test_kubectl_order_and_aliases(engine):
    last = run(engine, "runbook", "run", "test/echo.yaml",
               "--wait").stdout.split()[0]
    wanted = run(engine, "workflow", "list", "-o", "name").stdout
    for args in (["get", "runs"], ["wf", "ls"], ["runs", "get"],
                 ["-o", "name", "list", "workflows"]):
        assert run(engine, *args, "-o", "name").stdout == wanted
    assert "hello" in run(engine, "logs", f"run/{last}").stdout
    assert last in run(engine, "get", "workflow", last, "-o", "name").stdout


def test_logs(engine):
    run(engine, "runbook", "run", "test/echo.yaml", "--wait")
    assert run(engine, "workflow", "logs", "@latest").stdout == \
        "--- Hello\nhello world 1\n--- Colour\nred\\x1b[31m\n"
    assert run(engine, "workflow", "logs", "@latest", "--step",
               "Colour", "--raw").stdout == "red\033[31m\n"
    lines = run(engine, "workflow", "logs", "@latest", "-o",
                "jsonl").stdout.splitlines()
    assert [json.loads(x)["step"] for x in lines] == ["Hello", "Colour"]
    assert "\033" not in "".join(lines)


def test_logs_follow_until_the_end(engine):
    run(engine, "runbook", "run", "long.yaml")
    p = subprocess.Popen([ADCTL, "--server",
                          f"http://127.0.0.1:{engine.port}", "workflow",
                          "logs", "@latest", "-f"], stdout=subprocess.PIPE,
                         text=True)
    assert p.stdout.readline() == "--- Waits\n"
    assert p.stdout.readline() == "began\n"
    engine.go.touch()
    assert p.stdout.read() == "ended\n" and p.wait(20) == 0


@pytest.mark.parametrize("how, status", [("cancel", "cancelled"),
                                         ("kill", "killed")])
def test_stop_a_workflow(engine, how, status):
    run(engine, "runbook", "run", "long.yaml")
    wait_until(lambda: "began" in run(engine, "workflow", "logs",
                                      "@latest").stdout)
    p = run(engine, "workflow", how, "@latest", "--wait")
    assert status in p.stdout
    p = run(engine, "workflow", how, "@latest", code=6)
    assert "already " + status in p.stderr
    run(engine, "workflow", how, code=2)


def test_stop_without_waiting_says_what_was_asked(engine):
    workflow = run(engine, "runbook", "run", "long.yaml").stdout.strip()
    p = run(engine, "workflow", "kill", workflow)
    assert workflow in p.stdout and "kill requested" in p.stdout
    engine.wait_status(workflow, "killed")


# ---- the engine -------------------------------------------------------------


def test_status(engine):
    p = run(engine, "status")
    assert "✓ ok" in p.stdout and "3 in force" in p.stdout
    both = json.loads(run(engine, "status", "-o", "json").stdout)
    assert both["health"]["status"] == "ok" and "ledger" in both["metrics"]
    assert run(engine, "status", "-o", "name").stdout == "ok\n"
    engine.write_runbook("bad.yaml", BAD)
    engine.post("/api/admin/reload-runbooks")
    p = run(engine, "status", code=1)
    assert "1 rejected" in p.stdout and "adctl doctor" in p.stderr


def checks(p):
    return {i["check"]: i for i in json.loads(p.stdout)["items"]}


def test_doctor(engine):
    p = adctl(engine, "doctor", "--config", engine.config_path, "-o", "json",
              check=False)
    found = checks(p)
    clock = found.pop("clock")["status"]  # is the machine's
    for of_units in ("folders", "service"):
        assert found.pop(of_units)["status"] == "skipped"
    steps = found.pop("steps")["status"]  # root's, if the tests are
    assert steps == ("warning" if os.geteuid() == 0 else "ok")
    assert {i["status"] for i in found.values()} == {"ok"}, p.stdout
    assert p.returncode == (0 if {clock, steps} == {"ok"} else 3)
    engine.write_runbook("bad.yaml", BAD)
    engine.post("/api/admin/reload-runbooks")
    p = run(engine, "doctor", "--config", engine.config_path, "-o", "json",
            code=1)
    assert checks(p)["runbooks"]["next"] == "adctl runbook list"
    os.chmod(engine.repo, 0o777)
    p = run(engine, "doctor", "--config", engine.config_path, "-o", "json",
            code=1)
    assert checks(p)["permissions"]["next"].startswith("chmod")


def test_doctor_helps_while_the_daemon_is_down(engine):
    engine.write_runbook("bad.yaml", BAD)
    engine.stop()
    p = run(engine, "doctor", "--config", engine.config_path, "-o", "json",
            code=1)
    found = checks(p)
    assert found["server"]["status"] == "failed"
    assert "systemctl" in found["server"]["next"]
    assert found["store"]["status"] == "skipped"
    assert found["configuration"]["status"] == "ok"
    assert found["disk space"]["status"] in ("ok", "warning")
    assert "bad.yaml" in found["runbooks"]["detail"]
    text = run(engine, "doctor", "--config", engine.config_path,
               code=1).stdout
    assert "✗ failed   server" in text and "try: systemctl" in text
    with open(engine.config_path, "w", encoding="utf-8") as f:
        f.write("servr: 1\n")
    p = run(engine, "doctor", "--config", engine.config_path, "-o", "json",
            code=1)
    assert "check-config" in checks(p)["configuration"]["next"]


def test_version(engine):
    assert run(engine, "version").stdout.splitlines()[0].startswith("adctl ")
    both = json.loads(run(engine, "--version", "-o", "json").stdout)
    assert both["adctl"] == both["engine"]
    assert run(Nowhere(), "version").stdout.count("\n") == 1


def test_daemon_down_ends_with_9_and_says_what_to_do():
    nowhere = Nowhere()
    for args in (["status"], ["event", "list"], ["event", "watch"],
                 ["event", "send", "--type", "t"], ["runbook", "list"],
                 ["runbook", "run", "x.yaml"], ["workflow", "list"],
                 ["workflow", "logs", "@latest"],
                 ["workflow", "kill", "wf-0"]):
        p = run(nowhere, *args, code=9)
        assert p.stdout == "" and "try: adctl doctor" in p.stderr
        assert "Connection refused" in p.stderr


# ---- output -----------------------------------------------------------------


def test_tables_fit_80_columns(engine):
    run(engine, "event", "send", "--type", "t" * 60, "--source", "s" * 60,
        "--severity", "v" * 60, "--label", "alertname=" + "ü界" * 40)
    engine.write_runbook("a/" + "b" * 90 + ".yaml",
                         ECHO.replace("Echo", "E" * 90))
    engine.post("/api/admin/reload-runbooks")
    run(engine, "runbook", "run", "a/" + "b" * 90 + ".yaml", "--wait")
    for args in (["event", "list"], ["workflow", "list"],
                 ["runbook", "list"]):
        lines = Terminal(engine, *args).read().splitlines()
        assert len(lines) >= 2 and lines[0] == lines[0].upper()
        for line in lines:
            plain = re.sub(r"\033\[[0-9;]*m", "", line)
            wide = len(plain) + len(re.findall("界", plain))
            assert wide <= 80, line
    assert "b" * 90 in Terminal(engine, "runbook", "list", "-o",
                                "wide").read()


class Slow(http.server.BaseHTTPRequestHandler):
    """An engine that answers when it is let."""
    let = None

    def do_GET(self):
        type(self).let.wait(60)
        body = b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def on_a_terminal_of_stderr(url, *args):
    """(process, what reads until a text has come)"""
    master, slave = pty.openpty()
    p = subprocess.Popen([ADCTL, "--server", url, *args], stderr=slave,
                         stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                         text=True)
    os.close(slave)
    seen = []

    def until(text):
        while text not in "".join(seen):
            ready, _, _ = select.select([master], [], [], 60)
            assert ready, seen
            seen.append(os.read(master, 4096).decode())
        return "".join(seen)
    return p, until


def test_what_takes_long_says_so_and_goes(engine):
    """On a terminal: the line counts, and is erased when it is over."""
    url = f"http://127.0.0.1:{engine.port}"
    p, until = on_a_terminal_of_stderr(url, "runbook", "run", "long.yaml",
                                       "--wait")
    said = until("3 s")
    assert 'waiting for the end of the step "Waits" ... 2 s' in said
    engine.go.touch()
    assert until("3 s\r\033[K")
    out, _ = p.communicate(timeout=60)
    assert p.returncode == 0 and "succeeded" in out and "..." not in out


def test_a_slow_answer_is_waited_for_visibly():
    Slow.let = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        p, until = on_a_terminal_of_stderr(
            f"http://127.0.0.1:{server.server_address[1]}", "version")
        until("waiting for the engine's answer ... 2 s")
        Slow.let.set()
        out, _ = p.communicate(timeout=60)
        assert out.startswith("adctl ")
        server.shutdown()


def test_headers_and_colours_only_where_they_help(engine):
    run(engine, "event", "send", "--type", "t", "--wait")
    assert "STATUS" in Terminal(engine, "event", "list").read()
    assert "STATUS" not in run(engine, "event", "list").stdout
    assert "STATUS" in run(engine, "event", "list", "--header").stdout
    assert "\033[" in Terminal(engine, "event", "list").read()
    for env, args in (({"NO_COLOR": "1"}, []), ({"TERM": "dumb"}, []),
                      ({}, ["--no-color"]),
                      ({"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, [])):
        assert "\033[" not in Terminal(engine, "event", "list", *args,
                                       env=env).read()
    assert "\033[" not in run(engine, "event", "list").stdout
    assert "\033[" in run(engine, "event", "list",
                          env={"CLICOLOR_FORCE": "1"}).stdout
    assert "\033[" in Terminal(engine, "event", "list",
                               env={"NO_COLOR": ""}).read()
    plain = run(engine, "event", "list", env={"LC_ALL": "C"}).stdout
    assert plain.isascii() and "+ processed" in plain


# ---- what no daemon does ----------------------------------------------------


@pytest.fixture
def played():
    """A server that answers what the test puts into answers[path]."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.seen.append((self.command, self.path,
                                dict(self.headers)))
            status, body = server.answers.get(
                self.path.split("?")[0],
                (404, {"error": "there is none", "code": "not_found"}))
            if not isinstance(body, bytes):
                body = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.port, server.answers, server.seen = server.server_port, {}, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_events_cannot_drive_the_terminal(played):
    evil = "\033]0;owned\a\u202e\u009b31m\u2028x"
    event = {"id": "evt-" + "0" * 26, "status": evil, "source": evil,
             "labels": {"alertname": evil, evil: evil}, "error": evil,
             "workflows": [{"id": evil, "status": evil, "runbook": evil}]}
    played.answers["/api/events"] = (200, {"events": [event]})
    played.answers["/api/events/evt-" + "0" * 26] = (200, event)
    for args in (["event", "list"], ["event", "list", "-o", "wide"],
                 ["event", "show", "@latest"], ["event", "list", "-o", "json"],
                 ["event", "list", "-o", "jsonl"]):
        out = run(played, *args).stdout
        for c in "\033\a\u202e\u009b\u2028":
            assert c not in out, (args, c)
    item = json.loads(run(played, "event", "show", "@latest", "-o",
                          "json").stdout)
    assert item["source"] == evil
    played.answers["/api/events"] = (500, {"error": evil, "code": "x"})
    assert "\033" not in run(played, "event", "list", code=1).stderr


@pytest.mark.parametrize("status, code", [
    (400, 2), (401, 4), (403, 4), (404, 5), (409, 6), (413, 2), (422, 1),
    (500, 1), (503, 9), (507, 1)])
def test_every_status_has_its_exit_code(played, status, code):
    played.answers["/api/events"] = (status, {"error": "the reason",
                                              "code": "x"})
    p = run(played, "event", "list", code=code)
    assert "adctl: the reason" in p.stderr and "try: " in p.stderr


def test_a_held_workflow_ends_with_8(played):
    played.answers["/api/runbooks/execute"] = (202, {
        "workflow_id": "wf-" + "0" * 26, "status": "running"})
    played.answers["/api/workflows/wf-" + "0" * 26] = (200, {
        "id": "wf-" + "0" * 26, "status": "held", "steps": []})
    p = run(played, "runbook", "run", "x.yaml", "--wait", code=8)
    assert "an operator must decide" in p.stderr


def test_what_is_not_the_engine(played):
    played.answers["/api/events"] = (200, b"<html>hello</html>")
    p = run(played, "event", "list", code=1)
    assert "is not the engine" in p.stderr
    played.answers["/api/events"] = (302, b"")
    assert "302" in run(played, "event", "list", code=1).stderr
    played.answers["/api/events"] = (200, b'{"events": 7}')
    assert run(played, "event", "list").stdout == ""


def test_the_token_comes_from_a_file(played, tmp_path):
    played.answers["/api/events"] = (200, {"events": []})
    token = tmp_path / "token"
    token.write_text("secret-token\n")
    run(played, "event", "list", "--token-file", str(token))
    run(played, "event", "list", env={"AD_TOKEN_FILE": str(token)})
    assert [h["Authorization"] for _, _, h in played.seen] == [
        "Bearer secret-token"] * 2
    for text in ("", "two words\n", "two\nlines\n", "x" * 600):
        token.write_text(text)
        p = run(played, "event", "list", "--token-file", str(token), code=4)
        assert "does not hold a token" in p.stderr
    run(played, "event", "list", "--token-file", str(tmp_path / "no"), code=4)
    assert len(played.seen) == 2


def test_the_server_comes_from_flag_or_environment(played):
    played.answers["/api/events"] = (200, {"events": []})
    url = f"http://127.0.0.1:{played.port}/"
    assert bare("event", "list", env={"AD_SERVER": url}).returncode == 0
    assert bare("event", "list", "-s", url,
                env={"AD_SERVER": "http://127.0.0.1:1"}).returncode == 0
    p = bare("event", "list", "--server", "localhost:9000")
    assert p.returncode == 2 and "http://localhost:9000" in p.stderr


def test_a_full_pipe_is_no_crash(engine):
    p = subprocess.run(f"{ADCTL} completion bash | head -1; "
                       f"{ADCTL} help > /dev/full; echo $?", shell=True,
                       capture_output=True, text=True, timeout=60,
                       check=True)
    assert p.stdout.splitlines()[-1] == "1"
    assert "cannot write" in p.stderr


# ---- usage ------------------------------------------------------------------


@pytest.mark.parametrize("args, hint", [
    (["evnt"], "adctl event"), (["workflow", "lst"], "adctl workflow list"),
    (["event", "list", "--typ", "x"], "--type"),
    (["list"], "needs a noun"), (["event", "show"], "needs ID"),
    (["status", "now"], "one word too many"),
    (["event", "list", "--limit"], "needs a value"),
    (["status", "--help=yes"], "takes no value"),
    (["workflow", "list", "--status", "faild"], "--status failed"),
    (["-o", "xml", "status"], "unknown word"),
    (["completion", "tcsh"], "adctl completion bash"),
    (["help", "exit-code"], "adctl help exit-codes"),
    (["status", "-x"], "unknown flag -x")])
def test_wrong_usage_ends_with_2_and_a_hint(args, hint):
    p = bare(*args)
    assert p.returncode == 2 and p.stdout == "" and hint in p.stderr


def test_help_is_everywhere():
    assert bare().returncode == 0 and "Commands:" in bare().stdout
    p = bare("workflow")
    assert p.returncode == 2 and "workflow logs" in p.stderr
    text = bare("help").stdout
    names = re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?: \S+)*  ", text, re.M)
    assert {"status", "event send", "workflow kill", "backup make"} <= set(
        names)
    for name in names:
        for args in ([*name.split(), "-h"], ["help", *name.split()]):
            p = bare(*args)
            assert p.returncode == 0, (args, p.stderr)
            assert p.stdout.startswith("Usage: adctl " + name)
            assert "Examples:\n  adctl" in p.stdout
            assert all(len(x) <= 80 for x in p.stdout.splitlines()), p.stdout
    assert "130" in bare("help", "exit-codes").stdout
    assert "AD_SERVER" in bare("help", "environment").stdout


# ---- completion -------------------------------------------------------------


def completion(shell, tmp_path):
    file = tmp_path / f"adctl.{shell}"
    file.write_text(bare("completion", shell).stdout)
    return file


def shell_output(*command):
    env = {**os.environ, "PATH": BUILD + ":" + os.environ["PATH"]}
    p = subprocess.run(command, capture_output=True, text=True, timeout=60,
                       check=False, env=env)
    assert p.returncode == 0 and p.stderr == "", (p.stdout, p.stderr)
    return p.stdout


@pytest.mark.parametrize("line, wanted", [
    ("adctl work", ["workflow", "worker"]),
    ("adctl wf ", ["list", "show", "logs", "cancel", "kill", "retry", "rerun",
                   "verdict", "archive"]),
    ("adctl --server x event li", ["list"]),
    ("adctl event list --status po", ["poison"]),
    ("adctl -o js", ["json", "jsonl"]),
    ("adctl runbook run --dr", ["--dry-run"]),
    ("adctl completion ", ["bash", "zsh", "fish"])])
def test_bash_completes(tmp_path, line, wanted):
    script = f"""source {completion('bash', tmp_path)}
COMP_WORDS=({line}); [[ '{line}' == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _adctl
printf '%s\\n' "${{COMPREPLY[@]}}" """
    assert shell_output("bash", "-c", script).split() == wanted


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize("line, wanted", [
    ("adctl work", {"workflow", "worker"}),
    ("adctl workflow ", {"list", "show", "logs", "cancel", "kill", "archive",
                         "verdict", "retry", "rerun"}),
    ("adctl event list --status po", {"poison"}),
    ("adctl completion ", {"bash", "zsh", "fish"})])
def test_fish_completes(tmp_path, line, wanted):
    out = shell_output("fish", "--no-config", "-c",
                       f"source {completion('fish', tmp_path)}; "
                       f"complete -C '{line}'")
    assert {x.split("\t")[0] for x in out.splitlines()} == wanted


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_takes_the_script(tmp_path):
    file = completion("zsh", tmp_path)
    assert file.read_text().startswith("#compdef adctl\n")
    assert shell_output(
        "zsh", "-f", "-c", "autoload -U compinit; "
        f"compinit -u -d {tmp_path}/dump; source {file}; "
        "print ${_comps[adctl]}").split() == ["_adctl"]


def test_the_scripts_are_well_formed(tmp_path):
    shell_output("bash", "-n", str(completion("bash", tmp_path)))
    if shutil.which("shellcheck"):
        shell_output("shellcheck", "-s", "bash", "-e", "SC2116",
                     str(completion("bash", tmp_path)))


# ---- manual pages -----------------------------------------------------------


def page(name):
    """A page as it is built, without scdoc's escapes."""
    with open(os.path.join(BUILD, "doc/man", name + ".scd"),
              encoding="utf-8") as f:
        return f.read().replace("\\", "")


def test_the_manual_has_every_command_and_option():
    text = page("adctl.1")
    for name in re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?: \S+)*  ",
                           bare("help").stdout, re.M):
        assert f"\n## adctl {name}" in text
        for flag in re.findall(r"--[a-z-]+", bare("help",
                                                  *name.split()).stdout):
            assert f"*{flag}*" in text or flag in text
    assert "@COMMANDS@" not in text and "\n# EXIT STATUS\n" in text


def test_the_daemon_s_manual_has_every_command_and_option():
    daemon = os.path.join(BUILD, "autonomous-devops")
    usage = subprocess.run([daemon, "--help"], capture_output=True, text=True,
                           timeout=60, check=True).stdout
    text = page("autonomous-devops.8")
    assert [line for line in usage.splitlines() if len(line) > 80] == []
    commands = re.findall(r"^  ([a-z-]+) .*\n {8}", usage, re.M)
    assert len(commands) >= 4
    for command in commands:
        assert f"\n*{command}*\n" in text
    for option in re.findall(r"--[a-z-]+", usage):
        assert f"*{option}*" in text
    sample = subprocess.run([daemon, "print-config"], capture_output=True,
                            text=True, timeout=60, check=True).stdout
    options = page("autonomous-devops.yaml.5")
    for key in re.findall(r"^#? *([a-z_]+): \S", sample, re.M):
        assert re.search(rf"\.{key}\* \(", options), key
