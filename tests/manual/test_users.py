"""Two users: what the engine has, steps have not, and the other way round.

Whoever has taken over a step is that step's user inside the executor's unit;
whoever has taken over the engine is the engine's user inside the engine's.
"""
import json
import re

import pytest

from conftest import ready

ENGINE = "autonomous-devops.service"
EXECUTOR = "autonomous-devops-executor.service"
STATE = "/var/lib/autonomous-devops"
RUNBOOKS = f"{STATE}/runbooks"
STEPS = "autonomous-devops-steps"
API = "http://localhost:9000/api"
ALLOW = "/etc/autonomous-devops/units.allow"
MAY = "/usr/lib/autonomous-devops/may-manage"
SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n"


def run_step(host, script, extra=""):
    """What a step of a runbook says and how it ends."""
    host.write(f"{RUNBOOKS}/probe.yaml",
               f"name: Probe\nsteps:\n- name: x\n  action: exec\n{extra}"
               "  command: |\n" +
               "".join(f"    {line}\n" for line in script.splitlines()))
    start = f"""
        curl -sf -X POST {API}/admin/reload-runbooks >/dev/null &&
        curl -sf {API}/runbooks/execute -d '{{"runbook": "probe.yaml"}}'"""
    w = json.loads(host.run(start, status=0).out)["workflow_id"]
    done = json.loads(host.wait(
        f"curl -sf {API}/workflows/{w} | jq -e 'select(.status == "
        '"succeeded" or .status == "failed")\'', 60, "the step").out)
    said = host.run(f"adctl workflow logs {w}", status=0).out
    return done["status"], f"{said}\n{done['error'] or ''}"


@pytest.fixture(name="units")
def fixture_units(installed):
    """Makes units: name -> text."""
    made = []

    def make(name, text=SERVICE):
        path = f"/etc/systemd/system/{name}"
        made.append(path)
        installed.write(path, text)
        installed.run("systemctl daemon-reload", status=0)

    yield make
    installed.run(f"rm -f {' '.join(made)}; systemctl daemon-reload",
                  status=0)


# ---- units --------------------------------------------------------------------

def test_a_service_of_ones_own_needs_no_configuration(installed, units):
    """Not even the list."""
    units("myservice.service")
    installed.run(f"mv {ALLOW} /root/", status=0)
    status, said = run_step(installed, """\
id -un
systemctl start myservice
systemctl restart myservice && systemctl is-active myservice
systemctl stop myservice.service
systemctl reload-or-restart myservice && systemctl try-restart myservice""")
    installed.run(f"mv /root/units.allow {ALLOW}; systemctl stop myservice",
                  status=0)
    assert status == "succeeded", said
    assert STEPS in said and "active" in said


WALK = r"""
systemctl list-unit-files --no-legend --no-pager | while read -r name rest
do
    case $name in
    *@.*) name=${name%@.*}@x.${name##*.} ;;
    esac
    isolate=$(systemctl show -P AllowIsolate -- "$name")
    vital=$(systemctl show -P DefaultDependencies -- "$name")
    if why=$(setpriv --reuid=polkitd --regid=polkitd --clear-groups \
        /usr/lib/autonomous-devops/may-manage "$name" 2>&1)
    then
        echo "yes $isolate $vital $name"
    else
        echo "no $isolate $vital $name $why"
    fi
done
"""


def test_no_unit_of_a_bare_host_takes_others_along(installed):
    """All that Debian has brought here, each template with an instance."""
    rows = [line.split(None, 4) for line in
            installed.run(WALK, 300, status=0).out.splitlines()]
    assert len(rows) > 100
    names = {r[3] for r in rows}
    assert {"initrd-switch-root.service", "modprobe@x.service",
            "rescue.target", ENGINE, EXECUTOR} <= names
    for may, isolate, default, name, *why in rows:
        if may == "yes":
            assert isolate == "no" and default == "yes", name
            assert "@" not in name and name.endswith(".service")
        else:
            assert why and ":" in why[0], name
    assert sum(r[1] == "yes" for r in rows) > 5
    # What is left is short enough to be looked through.
    left = sorted(r[3] for r in rows if r[0] == "yes")
    for name in left:
        assert not re.match(
            "(ssh|cron|dbus|polkit|apparmor|systemd|getty|e2scrub|modprobe|"
            "initrd|rescue|emergency|autonomous-devops)", name), name
    print("left to steps:", " ".join(left))


VITAL = ("ssh", "sshd", "cron", "cron-update", "auditd", "apparmor",
         "nftables", "ufw", "firewalld", "fail2ban", "rsyslog", "NetworkManager", "networking",
         "unattended-upgrades", "chrony", "dbus-broker", "polkit",
         "autonomous-devops-backup", "plymouth-quit", "kexec-load",
         "systemd-journald", "console-getty", "emergency")


def test_what_the_host_stands_on_is_refused_by_name(installed, units):
    for name in VITAL:
        if name not in ("polkit", "autonomous-devops-backup", "emergency",
                        "systemd-journald", "console-getty"):
            units(f"{name}.service")
    units("along.service", "[Unit]\nConflicts=ssh.service\n" + SERVICE)
    units("needed.service", SERVICE + "[Install]\nRequiredBy=basic.target\n")
    units("early.service", "[Unit]\nDefaultDependencies=no\n" + SERVICE)
    units("front.service", "[Unit]\nAllowIsolate=yes\n" + SERVICE)
    units("reboots.service", "[Unit]\nStartLimitAction=reboot\n" + SERVICE)
    units("after.service", "[Unit]\nOnFailure=emergency.target\n" + SERVICE)
    installed.run("systemctl enable needed; "
                  "ln -s ssh.service /etc/systemd/system/plain.service; "
                  "systemctl daemon-reload", status=0)
    tried = [*VITAL, "along", "needed", "early", "front", "plain",
             "reboots", "after"]
    script = "".join(
        f"if systemctl --no-ask-password restart {n} 2>/dev/null; then "
        f"echo restarted {n}; fi\n" for n in tried)
    status, said = run_step(installed, script + "echo tried")
    installed.run("systemctl disable needed; "
                  "rm /etc/systemd/system/plain.service", status=0)
    assert status == "succeeded" and "tried" in said, said
    assert "restarted" not in said, said
    # It is said why, to whoever looks.
    log = installed.run("journalctl -q -t autonomous-devops --no-pager").out
    assert ("steps may not restart ssh.service: the host stands on it; root "
            "may list it") in log, log[-2000:]


CALL = ("busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 "
        "org.freedesktop.systemd1.Manager StartUnit ss ")


@pytest.mark.parametrize("unit, mode", [
    ("initrd-switch-root.service", "isolate"),
    ("initrd-switch-root.service", "replace"),
    ("rescue.target", "isolate"), ("multi-user.target", "isolate"),
    ("modprobe@dccp.service", "replace"), ("e2scrub@x.service", "replace"),
    ("myservice.service", "isolate")])
def test_jobs_that_end_the_host_are_refused(installed, units, unit, mode):
    units("myservice.service")
    status, said = run_step(installed, f"{CALL} {unit} {mode}")
    assert status == "failed", said
    assert "ccess denied" in said or "isolat" in said, said
    installed.run(f"systemctl is-active dbus {EXECUTOR}", status=0)


@pytest.mark.parametrize("command", [
    "systemd-run --wait touch /root/taken", "systemctl enable myservice",
    "systemctl set-property myservice CPUWeight=1",
    "systemctl kill myservice", "systemctl reboot",
    "systemctl daemon-reload", "systemctl freeze myservice"])
def test_nothing_but_the_verbs(installed, units, command):
    units("myservice.service")
    installed.run("systemctl start myservice", status=0)
    status, said = run_step(installed, f"{command} </dev/null")
    assert status == "failed", said
    installed.run("systemctl is-active myservice && "
                  "systemctl stop myservice && ! test -e /root/taken",
                  status=0)


def test_the_administrator_may_list_units(installed, units):
    units("cron.service")
    units("db@.service")
    units("front.service", "[Unit]\nAllowIsolate=yes\n" + SERVICE)
    units("job.timer", "[Timer]\nOnCalendar=yearly\nUnit=cron.service\n")
    ask = (f"for u in cron db@main db@other job.timer front ssh; do "
           f"if {MAY} $u; then echo may $u; fi; done; ")
    before = installed.run(f"cp -p {ALLOW} /root/; {ask}", status=0)
    assert before.out == "", before
    try:
        installed.run(f"printf '%s\\n' '# mine' cron 'db@m*' job.timer front "
                      f">>{ALLOW}", status=0)
        assert installed.run(ask).out == \
            "may cron\nmay db@main\nmay job.timer\n"
        status, said = run_step(
            installed, "systemctl restart cron db@main job.timer")
        assert status == "succeeded", said
        # The list of somebody else is none.
        for spoil in (f"chmod g+w {ALLOW}",
                      f"chmod go-w {ALLOW}; chown {STEPS} {ALLOW}"):
            after = installed.run(f"{spoil}; {ask}")
            assert after.out == "" and "is ignored" in after.err, after
    finally:
        installed.run(f"cp -p /root/units.allow {ALLOW}; "
                      "systemctl stop cron db@main job.timer", status=0)


# ---- a step ---------------------------------------------------------------------

def test_steps_are_in_no_group_but_their_own(installed):
    assert installed.run(f"id -nG {STEPS}", status=0).out.split() == [STEPS]
    assert installed.run("id -nG autonomous-devops", status=0
                         ).out.split() == ["autonomous-devops"]


SECRET = [f"{STATE}/secrets.key", f"{STATE}/state/engine.db",
          f"{STATE}/backups/x", f"{STATE}/archive/x",
          "/etc/autonomous-devops/config.yaml",
          "/etc/autonomous-devops/config.d/x.yaml", "/backup/autonomous-devops/x"]


def test_a_step_reads_nothing_of_the_engine(installed):
    for path in SECRET:
        installed.run(f"test -e {path} || echo {{}} >{path}", status=0)
    status, said = run_step(installed, "\n".join(
        f"if cat {p} >/dev/null 2>&1; then echo read {p}; fi"
        for p in SECRET) + f"""
pid=$(cut -d' ' -f4 /proc/self/stat)
echo "parent $pid"
for p in /proc/[0-9]*; do
    if [ "$(cat $p/comm)" = autonomous-devo ] && cat $p/environ; then
        echo read $p
    fi
done 2>/dev/null
echo tried""")
    assert status == "succeeded" and "tried" in said, said
    assert "read" not in said, said


WRITTEN = [RUNBOOKS, f"{RUNBOOKS}/remediation", f"{RUNBOOKS}/.git",
           f"{STATE}/runbooks.git", f"{STATE}/platform.git", STATE,
           f"{STATE}/state", f"{STATE}/backups", f"{STATE}/archive",
           f"{STATE}/executor", f"{STATE}/executor/work",
           f"{STATE}/executor/spool", "/etc/autonomous-devops",
           "/etc/autonomous-devops/config.d", "/opt/autonomous-devops",
           "/var/log/autonomous-devops", "/var/log/autonomous-devops/incidents",
           "/backup/autonomous-devops", "/archive"]


def try_to_write(folders):
    return "".join(f"if touch {f}/by-step 2>/dev/null; then echo wrote {f}; "
                   "fi\n" for f in folders) + "echo tried"


def test_a_step_writes_nothing_of_the_engine(installed):
    status, said = run_step(installed, try_to_write(WRITTEN))
    assert status == "succeeded" and "tried" in said, said
    assert "wrote" not in said, said


def test_nor_does_one_that_is_root(installed):
    """By the executor's mounts: the user would be permitted."""
    installed.write("/etc/autonomous-devops/config.d/root.yaml",
                    "executor:\n  run_as_allowed:\n"
                    "    - {user: root, runbooks: [probe.yaml]}\n")
    installed.run(f"systemctl restart {EXECUTOR} {ENGINE}", status=0)
    ready(installed)
    ours = [f for f in WRITTEN if f.startswith((STATE, "/etc")) and
            not f.startswith(f"{STATE}/executor")]
    keys = [f for f in SECRET if f.startswith(STATE)]
    try:
        status, said = run_step(
            installed, "id -un\n" + "".join(
                f"if [ -n \"$(head -c 9 {p} | od -An -tx1)\" ]; then "
                f"echo got {p}; fi\n" for p in keys) + try_to_write(ours), "  run_as: root\n")
        assert status == "succeeded" and "root" in said, said
        assert "tried" in said
        assert "wrote" not in said and "got /" not in said, said
    finally:
        installed.run("rm /etc/autonomous-devops/config.d/root.yaml; "
                      f"systemctl restart {EXECUTOR} {ENGINE}", status=0)
        ready(installed)


def test_a_step_is_nobody_to_the_api_and_the_executor(installed):
    status, said = run_step(installed, f"""\
for path in health admin/audit integrations; do
    curl -s -o /dev/null -w '%{{http_code}}\\n' {API}/$path
done
curl -s -o /dev/null -w '%{{http_code}}\\n' -X POST {API}/admin/drain-queue
python3 - <<'END'
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    s.connect("/run/autonomous-devops/executor.sock")
    print("connected")
except OSError as e:
    print(e.strerror)
END""")
    assert status == "succeeded", said
    assert said.count("401") == 4, said
    assert "Permission denied" in said and "connected" not in said, said


def test_a_step_has_a_folder_for_what_is_temporary(installed):
    """Of its own, gone with it; /tmp is the host's, to be cleaned."""
    installed.run("touch /tmp/of-the-host", status=0)
    status, said = run_step(installed, """\
[ "$TMPDIR" = "$(pwd)" ] && file=$(mktemp) && echo "made $file"
[ -e /tmp/of-the-host ] && echo seen""")
    assert status == "succeeded" and "seen" in said, said
    made = re.search(rf"made ({STATE}/executor/work/\S+)", said)[1]
    installed.run(f"! test -e {made}", status=0)


def test_the_shipped_runbooks_work(installed, units):
    units("myservice.service")
    installed.run("systemctl start myservice", status=0)
    for runbook, parameters in (
            ("test.yaml", {}), ("test/noop.yaml", {}),
            ("remediation/restart-service.yaml",
             {"service": "myservice", "settle": 0}),
            ("remediation/high-memory-usage.yaml",
             {"threshold": 100, "service": "myservice"}),
            ("remediation/high-cpu-usage.yaml",
             {"threshold": 101, "service": "myservice"})):
        body = json.dumps({"runbook": runbook, "parameters": parameters})
        w = json.loads(installed.run(
            f"curl -sf {API}/runbooks/execute -d '{body}'", status=0
        ).out)["workflow_id"]
        done = json.loads(installed.wait(
            f"curl -sf {API}/workflows/{w} | jq -e 'select(.status == "
            '"succeeded" or .status == "failed")\'', 60).out)
        logs = installed.run(f"adctl workflow logs {w}").out
        assert done["status"] == "succeeded", logs
        assert "denied" not in logs.lower(), logs
    # It says why another one is not restarted.
    body = json.dumps({"runbook": "remediation/restart-service.yaml",
                       "parameters": {"service": "ssh"}})
    w = json.loads(installed.run(f"curl -sf {API}/runbooks/execute -d "
                                 f"'{body}'", status=0).out)["workflow_id"]
    installed.wait(f"curl -sf {API}/workflows/{w} | "
                   "jq -e '.status == \"failed\"'", 60)
    assert "root may list it" in installed.run(f"adctl workflow logs {w}").out


# ---- git as root in the runbooks ---------------------------------------------

EVIL = """\
cd {folder} || exit 0
rm -rf lib && mkdir lib && cd lib && git init -q . &&
git config core.fsmonitor {script} && git config core.pager {script} &&
git -c user.name=x -c user.email=x@x commit -q --allow-empty -m x &&
echo planted
git -C {folder} config core.fsmonitor {script} && echo configured
"""

AS_PRINTED = f"""
cd {RUNBOOKS}
git status; git diff; git add -A; git commit -qm 'of root'; git log --oneline
git status; git pull; git push"""


@pytest.mark.parametrize("how", ["given away", "put back"])
def test_git_of_root_runs_nothing_of_a_step(installed, how):
    """After the manual's chown, and after its restore from git."""
    script = "/var/tmp/evil"
    installed.write(script, "#!/bin/sh\nid >>/var/tmp/pwned\n", 0o755)
    if how == "put back":
        installed.run(f"mv {RUNBOOKS} /root/runbooks.old && "
                      f"git clone -q {STATE}/runbooks.git {RUNBOOKS}",
                      status=0)
    installed.run("chown -R autonomous-devops:autonomous-devops "
                  f"{RUNBOOKS}; systemctl restart {ENGINE}", status=0)
    ready(installed)
    status, said = run_step(installed, EVIL.format(
        folder=f"{RUNBOOKS}/remediation", script=script) + EVIL.format(
            folder=RUNBOOKS, script=script) + "echo tried")
    assert status == "succeeded" and "tried" in said, said
    assert "planted" not in said and "configured" not in said, said
    installed.run(AS_PRINTED)
    installed.run("! test -e /var/tmp/pwned", status=0)
    installed.run(f"chown -R root:root {RUNBOOKS}", status=0)


def test_a_repository_of_somebody_else_is_not_trusted(installed):
    """What git runs in it is theirs."""
    forget = ("git config --system --fixed-value --unset-all safe.directory "
              f"{RUNBOOKS}")
    listed = "git config --system --get-all safe.directory"
    installed.run(f"{forget}; chown -R nobody {RUNBOOKS}; "
                  "/usr/lib/autonomous-devops/setup", status=0)
    assert f"{RUNBOOKS}\n" not in installed.run(listed).out
    installed.run(f"chown -R root {RUNBOOKS}; rm -rf {RUNBOOKS}; "
                  "/usr/lib/autonomous-devops/setup runbooks", status=0)
    assert f"{RUNBOOKS}\n" in installed.run(listed).out
    installed.run("curl -sf -X POST "
                  f"{API}/admin/reload-runbooks", status=0)


def test_a_setup_that_was_interrupted_is_done_again(installed):
    """Killed while it copied: a folder with a part of a file."""
    installed.run(f"""
        rm -rf {RUNBOOKS} {STATE}/runbooks.git
        mkdir -p {RUNBOOKS}/test {STATE}/runbooks.new {STATE}/runbooks.git.new
        head -c 20 /usr/share/autonomous-devops/runbooks/test/noop.yaml \
            >{RUNBOOKS}/test/noop.yaml
        /usr/lib/autonomous-devops/setup
        git -C {RUNBOOKS} log --oneline && git -C {RUNBOOKS} status -sb &&
        [ -z "$(git -C {RUNBOOKS} status --short)" ] &&
        git -C {RUNBOOKS} rev-parse origin/main &&
        cmp /usr/share/autonomous-devops/runbooks/test/noop.yaml \
            {RUNBOOKS}/test/noop.yaml &&
        ! ls -d {STATE}/*.new""", status=0)
    # What is somebody's own stays as it is.
    installed.run(f"rm -rf {RUNBOOKS}/.git; echo >{RUNBOOKS}/own.yaml; "
                  "/usr/lib/autonomous-devops/setup; "
                  f"! test -e {RUNBOOKS}/.git && test -e {RUNBOOKS}/own.yaml",
                  status=0)
    installed.run(f"rm -rf {RUNBOOKS} {STATE}/runbooks.git; "
                  "/usr/lib/autonomous-devops/setup", status=0)


# ---- an engine that was taken over -----------------------------------------

TAKEN = r"""
import os, socket, sys
pid = int(sys.argv[1])
found = []
for name in ("/run/dbus/system_bus_socket", "/run/systemd/private"):
    try:
        socket.socket(socket.AF_UNIX).connect(name)
        found.append("bus" if os.geteuid() != 0 else "root's bus")
    except OSError:
        pass
for name, flags in (("mem", os.O_RDWR), ("mem", os.O_RDONLY),
                    ("environ", os.O_RDONLY), ("fd/0", os.O_RDONLY)):
    try:
        os.close(os.open(f"/proc/{pid}/{name}", flags))
        found.append(name)
    except OSError:
        pass
try:
    os.kill(pid, 0)
    found.append("kill")
except OSError:
    pass
print("found:", *found)
"""


def test_the_engines_user_has_no_hold_on_a_step(installed):
    """In the engine's view of the host, and, more than it has, in root's."""
    installed.write("/usr/local/lib/taken.py", TAKEN)
    installed.write(f"{RUNBOOKS}/held.yaml",
                    "name: Held\nsteps:\n- {name: x, command: "
                    "'exec sleep 4711'}\n")
    installed.run(f"curl -sf -X POST {API}/admin/reload-runbooks && curl -sf "
                  f"{API}/runbooks/execute -d '{{\"runbook\": \"held.yaml\"}}'",
                  status=0)
    pid = installed.wait("pgrep -xf 'sleep 4711'").out.strip()
    as_engine = ("setpriv --reuid=autonomous-devops --regid=autonomous-devops "
                 "--init-groups --no-new-privs --bounding-set=-all ")
    inside = f"nsenter -m -t $(systemctl show -P MainPID {ENGINE}) "
    try:
        assert installed.run(f"ps -o user:32= -p {pid}", status=0
                             ).out.strip() == STEPS
        said = installed.run(f"{as_engine} python3 /usr/local/lib/taken.py "
                             f"{pid}")
        assert said.status == 0 and said.out == "found: bus\n", said
        said = installed.run(f"{inside + as_engine} python3 "
                             f"/usr/local/lib/taken.py {pid}")
        assert said.status == 0 and said.out == "found:\n", said
        # And in a unit that is the engine's in all but its program.
        said = installed.run(f"""
            sed -e 's|^ExecStart=.*|ExecStart=/usr/bin/python3 \
                /usr/local/lib/taken.py {pid}|' -e 's/^Type=.*/Type=oneshot/' \
                -e '/^\\(Restart\\|WatchdogSec\\|Wants\\|After\\)/d' \
                /lib/systemd/system/{ENGINE} >/run/systemd/system/taken.service
            systemctl daemon-reload; systemctl start taken; s=$?
            journalctl -q -o cat _SYSTEMD_UNIT=taken.service; exit $s""")
        assert said.status == 0 and said.out == "found:\n", said
        # Its test would find something: the step's own user does.
        said = installed.run(f"setpriv --reuid={STEPS} --clear-groups "
                             f"python3 /usr/local/lib/taken.py {pid}")
        assert "kill" in said.out, said
        # Nor has it the bus, nor would the bus listen.
        for way in (inside + as_engine, as_engine):
            said = installed.run(
                f"{way} busctl call org.freedesktop.systemd1 "
                "/org/freedesktop/systemd1 org.freedesktop.systemd1.Manager "
                "RestartUnit ss myservice.service replace")
            assert said.status != 0, said
        assert "uthentication required" in said.err, said
    finally:
        installed.run(f"kill -9 {pid}; rm {RUNBOOKS}/held.yaml "
                      "/run/systemd/system/taken.service; "
                      "systemctl daemon-reload; "
                      f"curl -sf -X POST {API}/admin/reload-runbooks")
