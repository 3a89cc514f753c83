#!/usr/bin/env python3
"""Tests what ./start, ./check and the demo service say and refuse, without
installing or building anything. Prints TAP.

Usage: scripts_test.py ROOT
"""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(sys.argv[1])
DEMO = ROOT / "contrib" / "demo" / "demo-service"


def run(*command):
    done = subprocess.run([str(word) for word in command],
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def says(command, status, text):
    """A test: the command ends with this status and says this."""
    def test():
        got, output = run(ROOT / command[0], *command[1:])
        assert got == status, f"exit status {got}: {output}"
        assert text in output, f"did not say {text!r}: {output}"
    return test


def taken_port():
    with socket.socket() as other, tempfile.TemporaryDirectory() as folder:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        says(["start", "--port", port, "--dir", folder], 1,
             f"port {port} is taken by another program: choose one with "
             "--port")()
        assert not os.listdir(folder), "left something behind"


def foreign_pid_file():
    """--stop ends what ./start began, not whoever has the number now."""
    with tempfile.TemporaryDirectory() as folder, \
            subprocess.Popen(["sleep", "60"]) as bystander:
        Path(folder, "engine.pid").write_text(f"{bystander.pid}\n")
        Path(folder, "demo.pid").write_text("not a number\n")
        says(["start", "--stop", "--dir", folder], 0,
             "Nothing that ./start has started runs in")()
        alive = bystander.poll() is None
        bystander.kill()
        assert alive, "a foreign process was ended"


def await_status(folder, wanted):
    """The demo service's status, once it is the wanted one."""
    end = time.monotonic() + 30
    while True:
        status, output = run(DEMO, folder, "status")
        if status == wanted or time.monotonic() > end:
            return status, output
        time.sleep(0.02)


def stop_by_another_name():
    """A folder with a slash at its end is the same one."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yaml")
        config.touch()
        with subprocess.Popen(["tail", "-f", str(config)],
                              stdout=subprocess.DEVNULL) as engine:
            Path(folder, "engine.pid").write_text(f"{engine.pid}\n")
            says(["start", "--stop", "--dir", f"{folder}//"], 0,
                 f"Stopped in {folder}: engine.")()
            assert engine.wait(30) == -signal.SIGTERM


def relative_to_the_caller():
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [ROOT / "start", "--stop", "--dir", "sub"], cwd=folder,
            capture_output=True, text=True, check=False)
        assert f"runs in {os.path.realpath(folder)}/sub." in done.stdout, \
            done.stdout + done.stderr


def no_folder():
    with tempfile.NamedTemporaryFile() as file:
        says(["start", "--dir", f"{file.name}/x", "--port", "1"], 1,
             "is not a folder: choose another --dir")()
    says(["start", "--dir", "/proc/x", "--port", "1"], 1,
         "choose another --dir")()


def moved_build():
    """A build folder of another place is made anew, one of this place not."""
    script = 'cd "$1"; . "$2/tools/packages.sh"; moved_build build'
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder, "build", "meson-info", "meson-info.json")
        info.parent.mkdir(parents=True)
        for source, status in ((os.path.realpath(folder), 1), ("/gone", 0)):
            info.write_text('{"directories": {"source": "%s"}}' % source)
            got, output = run("bash", "-c", script, "bash", folder, ROOT)
            assert got == status, f"{source}: {got} {output}"


def demo_service():
    with tempfile.TemporaryDirectory() as folder, \
            subprocess.Popen([DEMO, folder, "supervise"]) as supervisor:
        try:
            assert await_status(folder, 0)[0] == 0, "did not start"
            pid = int(Path(folder, "worker.pid").read_text())
            os.kill(pid, signal.SIGKILL)
            status, output = await_status(folder, 1)
            assert status == 1 and "dead" in output, output
            status, output = run(DEMO, folder, "restart")
            assert status == 0, output
            assert await_status(folder, 0)[0] == 0, "was not restarted"
            assert int(Path(folder, "worker.pid").read_text()) != pid
            assert run(DEMO, folder, "stop")[0] == 0
            assert supervisor.wait(30) == 0
        finally:
            supervisor.kill()
        status, output = run(DEMO, folder, "restart")
        assert status == 1 and "no supervisor" in output, output


CASES = [
    ("start --help", says(["start", "--help"], 0, "--port N")),
    ("start: unknown option", says(["start", "--bogus"], 2, "--bogus")),
    ("start: value missing", says(["start", "--dir"], 2, "needs a value")),
    ("start: no port 0", says(["start", "--port", "0"], 2, "not a port")),
    ("start: no port 65536",
     says(["start", "--port", "65536"], 2, "not a port")),
    ("start: no port by name",
     says(["start", "--port", "http"], 2, "not a port")),
    ("start: a folder that YAML would misread",
     says(["start", "--dir", 'a"b'], 2, "not a usable name")),
    ("start: a folder that names a variable",
     says(["start", "--dir", "/tmp/a${HOME}"], 2, "not a usable name")),
    ("start: what cannot be a folder", no_folder),
    ("start: a relative folder", relative_to_the_caller),
    ("start --stop: another name of the folder", stop_by_another_name),
    ("start, check: a build folder that was moved", moved_build),
    ("start: the port is taken", taken_port),
    ("start --stop: a pid file of somebody else", foreign_pid_file),
    ("check --help", says(["check", "--help"], 0, "--quick")),
    ("check: unknown option", says(["check", "--bogus"], 2, "--bogus")),
    ("demo service: usage", says([DEMO], 2, "supervise")),
    ("demo service: dies and is restarted", demo_service),
]


def main():
    print(f"1..{len(CASES)}")
    failed = 0
    for number, (name, test) in enumerate(CASES, 1):
        try:
            test()
            print(f"ok {number} - {name}")
        except AssertionError as e:
            failed += 1
            print(f"not ok {number} - {name}")
            for line in str(e).splitlines():
                print(f"# {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
