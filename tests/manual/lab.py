"""The host on which the manual's blocks are run: what it talks to, how a block
is run, and how to look at what it did.
"""
import json
import re
import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
API = "http://localhost:9000/api"
RUNBOOKS = "/var/lib/autonomous-devops/runbooks"
ENGINE = "autonomous-devops.service"
CONFIG = "/etc/autonomous-devops/config.yaml"

# What waits for a person gets a stand-in for one; all else is as printed.
#   vim       runs /root/editor FILE where a test has put one
#   watch     the real one on a terminal, for a moment
#   -f        journalctl that follows, for a moment
#   the engine in the foreground: for a moment, then Ctrl-C
PRELUDE = r"""
vim() { echo "$1" >>/root/edited; [ ! -x /root/editor ] || /root/editor "$1"; }
watch() {
    script -qec "timeout --foreground -k 2 -s INT 2 /usr/bin/watch $(printf '%q ' "$@")" \
        /dev/null </dev/null
}
follow() {
    case " $* " in
    *" -f "*) timeout 2 "$@" ;;
    *) "$@" ;;
    esac
}
journalctl() { follow /usr/bin/journalctl "$@"; }
sudo() { follow /usr/bin/sudo "$@"; }
python() {
    if [ "$1" = src/autonomous_engine.py ]; then
        timeout -s INT 3 python "$@"
    else
        command python "$@"
    fi
}
"""

UNITS = {
    "partners": "/usr/bin/python3 /root/partners.py",
    "nginx": "/bin/sleep infinity",
    "myservice": "/usr/bin/python3 -m http.server 8080 --bind 127.0.0.1 "
                 "--directory /srv/myservice",
}

SLEEPER = """\
name: Sleeper
category: test
steps:
  - name: Begins
    action: exec
    command: echo began
  - name: Sleeps
    action: exec
    command: |
      trap '' TERM
      echo "sleeping"
      for i in 1 2 3; do sh -c "trap '' TERM; exec sleep 4321" & done
      wait
    timeout: 10m
"""

FAILS = """\
name: Fails
category: test
steps:
  - {name: Fails, action: exec, command: "echo so it goes >&2; exit 3"}
"""


ORDERED = """\
name: Ordered
category: test
triggers:
  - {type: alert, labels: {ordered: "yes"}}
  - {type: metric, labels: {ordered: "yes"}}
steps:
  - {name: Nothing, action: exec, command: "true"}
"""


# What takes a worker long: hundreds of patterns that go over a long value
# again and again, each within its own limit.
SLOW = """\
name: Slow {no}
category: test
triggers:
{triggers}steps:
  - {{name: Nothing, action: exec, command: "true"}}
"""
SLOW_TRIGGER = """\
  - {{type: held-up, matchers: ['x=~"(?:a*[cd]|a)*[bc]{{{no}}}"']}}
"""
SLOW_FILES, SLOW_TRIGGERS = 20, 20


def values(text):
    """The JSON values that stand in an output, each from a line's start, or
    right behind another: what curl prints has no newline at its end."""
    found, decoder, at = [], json.JSONDecoder(), 0
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
            found.append(value)
            if text[at:at + 1] != "\n":
                continue
        except ValueError:
            pass
        end = text.find("\n", at)
        at = len(text) if end < 0 else end + 1
    return found


class Lab:
    """A host with the package, partners, and a few services to remedy."""

    def __init__(self, host, deb):
        self.host = host
        shutil.copy(HERE / "partners.py", f"{host.root}/root/partners.py")
        host.write("/srv/myservice/health", "fine\n")
        for name, command in UNITS.items():
            host.write(f"/etc/systemd/system/{name}.service",
                       f"[Service]\nExecStart={command}\n")
        host.run("echo 127.0.0.1 prometheus >>/etc/hosts; "
                 "systemctl daemon-reload; systemctl start "
                 + " ".join(UNITS), status=0)
        host.install(deb)
        host.write(f"{RUNBOOKS}/test/sleeper.yaml", SLEEPER)
        host.write(f"{RUNBOOKS}/test/fails.yaml", FAILS)
        host.write(f"{RUNBOOKS}/test/ordered.yaml", ORDERED)
        self.ready()
        self.post("/admin/reload-runbooks")

    # ---- running ----------------------------------------------------------

    def sh(self, script, status=0, timeout=120):
        return self.host.run(script, timeout, status=status)

    def block(self, commands, timeout=180):
        """Runs a block where the manual's relative paths belong."""
        result = self.host.run("cd /opt/autonomous-devops\n" + PRELUDE +
                               commands, timeout)
        # What watch moves about on a terminal are lines to us.
        result.out = re.sub(r"\x1b[\[()][0-9;?]*[A-Za-z0-9]|\x1b[=>]|\r|\x0f",
                            "\n", result.out)
        return result

    def editor(self, script):
        """What the person at vim does to the file $1; None: looks only."""
        if script is None:
            self.sh("rm -f /root/editor")
        else:
            self.host.write("/root/editor", f"#!/bin/sh\n{script}\n", 0o755)

    # ---- the API -------------------------------------------------------------

    def get(self, path):
        return json.loads(self.sh(f"curl -sf '{API}{path}'").out)

    def post(self, path, body=None):
        data = json.dumps(body if body is not None else {})
        return json.loads(self.sh(
            f"curl -s -X POST '{API}{path}' -d @- <<'END'\n{data}\nEND").out)

    def event(self, **fields):
        return self.post("/events", {"source": "test", **fields})["id"]

    def start(self, runbook, **parameters):
        return self.post("/runbooks/execute", {
            "runbook": runbook, "parameters": parameters})["workflow_id"]

    def until(self, path, condition, seconds=60):
        """Waits until jq finds the condition true; the value of the path."""
        return json.loads(self.host.wait(
            "set -o pipefail; "
            f"curl -sf '{API}{path}' | jq -e 'select({condition})'", seconds,
            f"{path}: {condition}").out)

    def slow_runbooks(self, there):
        """From now on matching a slow event takes seconds, or not."""
        for i in range(SLOW_FILES):
            numbers = range(i * SLOW_TRIGGERS + 1, (i + 1) * SLOW_TRIGGERS + 1)
            text = SLOW.format(no=i, triggers="".join(
                SLOW_TRIGGER.format(no=no) for no in numbers))
            if there:
                self.host.write(f"{RUNBOOKS}/test/slow-{i}.yaml", text)
        if not there:
            self.sh(f"rm -f {RUNBOOKS}/test/slow-*.yaml")
        self.post("/admin/reload-runbooks")

    def slow_event(self):
        """One that a worker has from now on for some seconds."""
        event = self.event(type="held-up", labels={"x": "a" * 4000})
        self.until(f"/events/{event}", '.status == "processing"')
        return event

    def end(self, workflow, seconds=60):
        return self.until(
            f"/workflows/{workflow}",
            '.status | IN("queued", "running", "waiting") | not', seconds)

    def ready(self):
        self.until("/health", ".checks.executor.ok and .checks.store.ok")

    def idle(self):
        """Nothing queued, nothing processing."""
        self.until("/metrics", ".event_queue_depth == 0 and "
                   ".ledger.events.processing == 0")

    def partners(self):
        """Partners that run and answer."""
        self.sh("systemctl start partners")
        for port in (9090, 9093):
            self.host.wait(f"curl -sf localhost:{port}/-/healthy || "
                           f"curl -s localhost:{port} | grep -q Unauth")

    def recover(self):
        """An engine under systemd, processing, whatever a test has left."""
        self.sh("for p in $(pgrep -x autonomous-devo); do "
                "grep -q system.slice /proc/$p/cgroup || kill $p; done; "
                "rm -rf /root/editor /root/refuse "
                "/etc/autonomous-devops/config.d; "
                "[ ! -e /root/good.yaml ] || "
                f"cp -p /root/good.yaml {CONFIG}; "
                f"systemctl reset-failed; systemctl stop {ENGINE}")
        self.host.wait("! (exec 3<>/dev/tcp/127.0.0.1/9000) 2>/dev/null")
        self.sh(f"systemctl start {ENGINE}")
        self.ready()
        self.partners()
        self.slow_runbooks(False)
        self.post("/admin/resume-processing")

    # ---- the host --------------------------------------------------------------

    def unit(self, unit, name):
        return self.sh(f"systemctl show -P {name} {unit}").out.strip()

    def set_options(self, text):
        """Options of the engine besides those of the manual's file."""
        self.host.write("/etc/autonomous-devops/config.d/test.yaml", text)
        self.sh(f"autonomous-devops check-config && systemctl restart "
                f"{ENGINE}")
        self.ready()

    def reset_options(self):
        self.sh("rm -rf /etc/autonomous-devops/config.d; systemctl restart "
                f"{ENGINE}")
        self.ready()
