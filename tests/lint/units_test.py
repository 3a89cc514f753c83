#!/usr/bin/env python3
"""The units of the package: what they have in common is said alike.

units_test.py ROOT
"""
import re
import sys
from pathlib import Path

ROOT = Path(sys.argv[1])
UNITS = ROOT / "packaging" / "systemd"
ENGINE, BACKUP, EXECUTOR = (
    f"autonomous-devops{x}.service" for x in ("", "-backup", "-executor"))

# What says how far a unit is shut in; the rest is its own affair.
SANDBOX = re.compile(
    "(Protect|Private|Restrict|Lock|MemoryDeny|NoNewPriv|RemoveIPC|Keyring|"
    "Capability|Ambient|DevicePolicy|SystemCall|UMask|Limit(CORE)$)")

# Where the backup may differ from the engine, and why.
DIFFERENT = {
    "RestrictAddressFamilies",  # asks the engine over HTTP, knows no caller
}


def read(name):
    """{key: [values]} of the [Service] section."""
    found, section = {}, None
    for line in (UNITS / name).read_text().splitlines():
        if line.startswith("["):
            section = line
        elif "=" in line and not line.startswith("#") and \
                section == "[Service]":
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def sandbox(unit):
    return {k: sorted(v) for k, v in unit.items() if SANDBOX.match(k)}


def differences(engine, backup):
    engine, backup = sandbox(engine), sandbox(backup)
    return sorted(
        f"{key}: engine {engine.get(key)}, backup {backup.get(key)}"
        for key in engine.keys() | backup.keys()
        if key not in DIFFERENT and engine.get(key) != backup.get(key))


def backup_is_shut_in_like_the_engine():
    return differences(read(ENGINE), read(BACKUP))


def a_difference_is_found():
    engine, backup = read(ENGINE), read(BACKUP)
    del backup["PrivateTmp"]
    return [] if differences(engine, backup) else ["nothing was found"]


def all_get_the_same_variables():
    """They read the same configuration, which may refer to them."""
    return [f"{name}: no EnvironmentFile=" for name in
            (ENGINE, BACKUP, EXECUTOR)
            if "-/etc/default/autonomous-devops" not in
            read(name).get("EnvironmentFile", [])]


def steps_are_not_the_engine():
    engine = read(ENGINE)["User"]
    steps = re.findall(r"--default-user (\S+)", read(EXECUTOR)["ExecStart"][0])
    socket = re.findall(r"(?m)^SocketUser=(.*)$", (
        UNITS / "autonomous-devops-executor.socket").read_text())
    wrong = []
    if steps == engine or len(steps) != 1:
        wrong.append(f"steps run as {steps}, the engine as {engine}")
    if socket != engine or read(BACKUP)["User"] != engine:
        wrong.append("socket, backup and engine have one user")
    users = (ROOT / "packaging/autonomous-devops.sysusers").read_text()
    rules = (ROOT / "packaging/autonomous-devops.rules").read_text()
    for user in engine + steps:
        if f"\nu {user} " not in users:
            wrong.append(f"no user {user} in sysusers")
    if f'subject.user !== "{steps[0]}"' not in rules:
        wrong.append("the polkit rule is for another user")
    return wrong


def steps_do_not_see_what_the_engine_keeps():
    """Each folder of the engine is named in the executor's unit."""
    hidden = " ".join(read(EXECUTOR)["InaccessiblePaths"])
    kept = " ".join(read(ENGINE)["StateDirectory"]).split()
    return [f"steps see /var/lib/{folder}" for folder in kept
            if f"/var/lib/{folder}" not in hidden]


def scripts_name_no_unit():
    """build-deb fills them in from one list."""
    text = (ROOT / "packaging" / "build-deb").read_text()
    listed = re.findall(r"autonomous-devops[a-z-]*\.(?:service|socket|timer)",
                        "\n".join(re.findall(r'(?m)^(?:enabled|started)=.*',
                                             text)))
    wrong = [f"build-deb does not list {unit.name}" for unit in
             sorted(UNITS.iterdir()) if unit.name not in listed]
    for script in ("postinst", "prerm", "postrm"):
        text = (ROOT / "packaging" / "debian" / script).read_text()
        if "@ENABLED@" not in text:
            wrong.append(f"{script} has a list of its own")
    return wrong


TESTS = (backup_is_shut_in_like_the_engine, a_difference_is_found,
         all_get_the_same_variables, steps_are_not_the_engine,
         steps_do_not_see_what_the_engine_keeps, scripts_name_no_unit)

print(f"1..{len(TESTS)}")
for number, test in enumerate(TESTS, 1):
    problems = test()
    for problem in problems:
        print(f"# {problem}")
    print("not ok" if problems else "ok", number, "-", test.__name__)
