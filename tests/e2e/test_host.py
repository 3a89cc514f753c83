"""What a configuration says about the machine, and a start that cannot be:
told at once, with the place and what to do, and nothing is left behind."""
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading

import pytest

from harness import BUILD, adctl, free_port, wait_until

PROGRAM = os.path.join(BUILD, "autonomous-devops")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def run(d, command, *words):
    return subprocess.run([PROGRAM, command, "--config", d.config_path, *words],
                          capture_output=True, text=True, timeout=60,
                          check=False)


def line_of(d, key):
    """FILE:LINE of the last place where the key stands."""
    with open(d.config_path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    found = [i for i, line in enumerate(lines, 1) if f'"{key}"' in line]
    return f"{d.config_path}:{found[-1]}:"


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Two key pairs."""
    folder = tmp_path_factory.mktemp("pem")
    for i in "12":
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
             "/CN=localhost", "-keyout", folder / f"key{i}", "-out",
             folder / f"cert{i}"], check=True, capture_output=True)
    return folder


def wrong(folder, pem):
    """(what it is about, the configuration, the key at fault, what is said)"""
    a_file = os.path.join(folder, "a-file")
    with open(a_file, "w", encoding="utf-8"):
        pass
    tls = lambda cert, key: {"server": {"tls": {"cert": str(pem / cert),
                                                "key": str(pem / key)}}}
    return [
        ({"executor": {"user": "nouserxyz"}}, "user",
         "executor.user: cannot find the user 'nouserxyz': no such user"),
        ({"executor": {"run_as_allowed": ["root2"]}}, "run_as_allowed",
         "executor.run_as_allowed: cannot find the user 'root2'"),
        ({"security": {"group": "nogroupxyz"}}, "group",
         "security.group: cannot find the group 'nogroupxyz': no such group"),
        (tls("none", "key1"), "cert",
         f"server.tls.cert: cannot read {pem}/none: No such file"),
        (tls("cert1", "none"), "key",
         f"server.tls.key: cannot read {pem}/none: No such file"),
        (tls("cert1", "key2"), "key",
         "server.tls.key: the certificate and the key are no pair"),
        ({"executor": {"spool": f"{a_file}/spool"}}, "spool",
         f"executor.spool: {a_file} is not a folder"),
        ({"executor": {"work": "/proc/x/work"}}, "work",
         "executor.work: no folder can be made in /proc"),
        ({"executor": {"socket": f"{a_file}/executor.sock"}}, "socket",
         f"executor.socket: {a_file} is not a folder"),
        ({"storage": {"url": f"sqlite://{a_file}/engine.db"}}, "url",
         f"storage.url: {a_file} is not a folder"),
        ({"backup": {"directory": "/sys/x"}}, "directory",
         "backup.directory: no folder can be made in /sys"),
        ({"archive": {"directory": f"{a_file}/x"}}, "directory",
         f"archive.directory: {a_file} is not a folder"),
        ({"runbooks": {"repository": a_file}}, "repository",
         f"runbooks.repository: {a_file} is not a folder"),
    ]


def test_what_the_machine_does_not_have_is_refused(make_daemon, pem):
    d = make_daemon(start=False)
    for extra, key, text in wrong(d.folder, pem):
        d.write_config(extra)
        for command in ("check-config", "serve"):
            p = run(d, command)
            assert p.returncode == 78, (command, extra, p.stderr)
            told = [x for x in p.stderr.splitlines() if " error: " in x]
            assert len(told) == 1, p.stderr
            assert told[0].startswith(line_of(d, key)), (told, extra)
            assert text in told[0]
        report = json.loads(run(d, "check-config", "--json").stdout)
        assert report["valid"] is False
        assert text in ": ".join([report["errors"][0]["field"],
                                  report["errors"][0]["message"]])
    assert not os.path.exists(os.path.join(d.folder, "state"))
    assert d.executor_pid() is None


def test_a_reload_refuses_what_a_start_refuses(make_daemon):
    d = make_daemon()
    d.write_config({"executor": {"user": "nouserxyz"}})
    answer = d.post("/api/admin/reload-config", status=422)
    assert "nouserxyz" in answer["error"]
    assert d.get("/api/health")["status"] == "degraded"
    d.write_config({})
    d.post("/api/admin/reload-config")


def test_a_matching_pair_and_known_names_pass(make_daemon, pem):
    user = pwd.getpwuid(os.geteuid()).pw_name
    d = make_daemon(config={
        "server": {"tls": {"cert": str(pem / "cert1"),
                           "key": str(pem / "key1")}},
        "executor": {"user": user}, "security": {"group": "root"}},
        start=False)
    os.mkdir(os.path.join(d.folder, "state"))
    p = run(d, "check-config")
    assert (p.returncode, p.stderr) == (0, "")


def test_who_else_may_write_is_told(make_daemon):
    d = make_daemon(start=False)
    state = os.path.join(d.folder, "state")
    assert f"{state} is missing" in run(d, "check-config").stderr
    os.mkdir(state)
    for path in (d.repo, d.folder, d.config_path, state):
        for mode, who in ((0o770, "its group"), (0o777, "everybody")):
            os.chmod(path, mode)
            p = run(d, "check-config")
            assert f"{who} may write to {path} (chmod " in p.stderr
            fatal = path == state and who == "everybody"
            assert p.returncode == (78 if fatal else 0)
        os.chmod(path, 0o700)
    assert run(d, "check-config").stderr == ""
    shutil.rmtree(d.repo)
    p = run(d, "check-config")
    assert p.returncode == 0
    assert f"warning: runbooks.repository: {d.repo}: No such file" in p.stderr


def test_a_state_folder_for_everybody_is_not_served(make_daemon):
    d = make_daemon(start=False)
    state = os.path.join(d.folder, "state")
    os.mkdir(state)
    os.chmod(state, 0o777)
    p = run(d, "serve")
    assert p.returncode == 78
    assert f"everybody may write to {state}" in p.stderr
    assert os.listdir(state) == []
    p = adctl(d, "doctor", "--config", d.config_path, "-o", "json", check=False)
    found = [i for i in json.loads(p.stdout)["items"]
             if i["check"] == "permissions"]
    assert [i["status"] for i in found] == ["failed"]
    assert found[0]["next"] == f"chmod go-w {state}"


# ---- a port that is taken -------------------------------------------------


def test_a_taken_port_is_told_with_its_holder(make_daemon):
    d = make_daemon(start=False)
    with socket.socket() as s:
        s.bind(("127.0.0.1", d.port))
        s.listen()
        p = run(d, "serve")
        assert p.returncode == 75
        assert f"cannot listen on 127.0.0.1:{d.port}: " in p.stderr
        assert f"(pid {os.getpid()}) has it" in p.stderr
        assert "server.listen" in p.stderr
    assert sorted(os.listdir(d.folder)) == ["config.yaml", "runbooks"]
    assert d.executor_pid() is None


def test_a_store_that_is_taken_leaves_no_executor(make_daemon):
    first = make_daemon()
    d = make_daemon(config={"storage": {
        "url": f"sqlite://{first.folder}/state/engine.db"}}, start=False)
    p = run(d, "serve")
    assert p.returncode == 75
    assert (f"another engine (pid {first.process.pid}, autonomous-devops "
            "serve, since 20") in p.stderr
    assert d.executor_pid() is None


def test_who_connects_while_it_starts_is_answered(make_daemon):
    """It listens before it is ready: nobody is refused, all are served."""
    d = make_daemon(start=False)
    d.spawn()
    statuses = []

    def ask():
        def once():
            try:
                statuses.append(d.raw("GET", "/-/healthy")[0])
                return True
            except ConnectionRefusedError:
                return False
        wait_until(once, step=0.001)
    lanes = [threading.Thread(target=ask) for _ in range(4)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    assert statuses == [200] * 4


@AS_ROOT
def test_steps_that_run_as_root_are_told(make_daemon):
    d = make_daemon()
    d.wait_executor()
    assert "steps of runbooks run as root" in d.log()
    # A plain file has no priorities of the journal in it.
    assert " WARNING executor: steps run as root: " in d.log()
    assert "<4>" not in d.log()
    p = adctl(d, "doctor", "--config", d.config_path, "-o", "json", check=False)
    found = {i["check"]: i for i in json.loads(p.stdout)["items"]}
    assert found["steps"]["status"] == "warning"
    assert found["steps"]["next"] == f"set executor.user in {d.config_path}"
    other = make_daemon(config={"executor": {"user": "nobody"}})
    other.wait_executor()
    assert "run as root" not in other.log()
    p = adctl(other, "doctor", "--config", other.config_path, "-o", "json",
              check=False)
    found = {i["check"]: i for i in json.loads(p.stdout)["items"]}
    assert found["steps"]["detail"] == "they run as nobody"


@pytest.fixture
def open_folder():
    """Not below pytest's own, where only its user may look."""
    with tempfile.TemporaryDirectory(prefix="adp-open-") as folder:
        os.chmod(folder, 0o755)
        yield folder


@AS_ROOT
def test_anybodys_process_is_no_executor(make_daemon, open_folder):
    """A process may call itself what it likes, and name any file: root opens
    none for it, and believes nothing of it."""
    d = make_daemon(start=False)
    pipe = os.path.join(open_folder, "pipe")
    lie = os.path.join(open_folder, "lie.yaml")
    os.mkfifo(pipe, 0o666)
    with open(d.config_path, encoding="utf-8") as f:
        config = json.load(f)
    config["executor"] = {**config.get("executor", {}), "user": "nobody"}
    with open(lie, "w", encoding="utf-8") as f:
        json.dump(config, f)
    names = [["autonomous-devops", "executor", "--config", path]
             for path in (pipe, lie)]
    fakes = []
    nobody = pwd.getpwnam("nobody").pw_uid
    # Python runs the file "executor" of its folder, and is called as we say.
    script = os.path.join(open_folder, "executor")
    with open(script, "w", encoding="utf-8") as f:
        f.write("import time; print(flush=True); time.sleep(600)")
    os.chmod(script, 0o644)
    for name in names:
        fakes.append(subprocess.Popen(
            name, executable="/usr/bin/python3", user=nobody, cwd=open_folder,
            stdout=subprocess.PIPE))
    try:
        for fake in fakes:
            assert fake.stdout.read(1) == b"\n"
        d.start()
        d.wait_executor()
        p = adctl(d, "doctor", "--config", d.config_path, "-o", "json",
                  check=False)
        found = {i["check"]: i for i in json.loads(p.stdout)["items"]}
        assert found["steps"]["detail"] == "they run as root"
    finally:
        for fake in fakes:
            fake.kill()
            fake.wait()


# ---- ./start ----------------------------------------------------------------

START = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))), "start")


@pytest.mark.parametrize("folder", ["/proc/x", "/etc/passwd", "/etc/passwd/x"])
def test_start_refuses_a_folder_before_it_installs(folder):
    p = subprocess.run([START, "--dir", folder, "--port", str(free_port())],
                       capture_output=True, text=True, timeout=60, check=False)
    assert p.returncode == 1
    assert "choose another --dir" in p.stderr and "1/4" not in p.stdout


def test_start_refuses_a_port_before_it_installs(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = str(s.getsockname()[1])
        p = subprocess.run([START, "--dir", tmp_path / "d", "--port", port],
                           capture_output=True, text=True, timeout=60,
                           check=False)
    assert p.returncode == 1
    assert f"port {port} is taken" in p.stderr and "1/4" not in p.stdout
    assert not os.path.exists(tmp_path / "d")


@pytest.mark.parametrize("where", ["config.yaml", "config.d/x.yaml"])
def test_a_secret_in_a_file_for_everybody_is_told(make_daemon, where):
    """Written out, that is: a reference gives nothing away."""
    d = make_daemon(start=False)
    os.mkdir(os.path.join(d.folder, "state"))
    os.mkdir(os.path.join(d.folder, "config.d"))
    path = os.path.join(d.folder, where)

    def warnings(value, mode):
        if where == "config.yaml":
            d.write_config({"integrations": {"pagerduty":
                                             {"routing_key": value}}})
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write("integrations:\n  pagerduty:\n"
                        f"    routing_key: {value}\n")
        os.chmod(path, mode)
        p = run(d, "check-config")
        assert p.returncode == 0 and "LITERAL" not in p.stderr, p
        return [line for line in p.stderr.splitlines()
                if "everybody may read" in line]

    for mode in (0o640, 0o600):
        assert warnings("LITERAL123", mode) == []
    told = warnings("LITERAL123", 0o644)
    assert len(told) == 1 and told[0].startswith(path), told
    assert "pagerduty.routing_key" in told[0] and f"chmod o= {path}" in told[0]
    assert warnings("${credential:pd}", 0o644) == []
