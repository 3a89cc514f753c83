"""Every command of adctl's table, by the examples of its own help: they run,
end as documented, fit a terminal, and with -o json print one document."""
import json
import os
import re
import select
import shlex
import shutil
import signal
import subprocess

import pytest

from harness import BUILD, Daemon, poisoned, wait_until
from test_adctl import Terminal, bare

ADCTL = os.path.join(BUILD, "adctl")

RUNBOOK = """\
name: {name}
description: Of the examples
category: remediation
parameters: {{service: {{type: string, default: web}}}}
triggers: [{{type: alert, labels: {{alertname: {name}}}}}]
steps: [{{name: Say, action: exec, command: {command}}}]
"""
RESTART = RUNBOOK.format(name="Restart", command="echo $ADP_PARAM_SERVICE")
HIGH = RESTART.replace("Restart", "High").replace("alert", "metric")
HIGH += """\
tests:
- name: It runs
  parameters: {service: web}
  expect: {ran: [Say], status: succeeded}
"""
LONG = RUNBOOK.format(name="Long", command="sleep 600")
ROTATE = """\
name: Rotate
parameters: {token: {type: string, required: true, secret: true}}
steps: [{name: Say, action: exec, command: "true"}]
"""
TEST = "name: Test\nsteps: [{name: Say, action: exec, command: echo hello}]\n"
FAIL = "name: Fail\nsteps: [{name: No, action: exec, command: exit 3}]\n"

# Those that change what the next ones would need, last.
LAST = ["queue pause", "queue drain", "queue clear", "queue replay",
        "queue resume", "workflow retry", "workflow rerun",
        "workflow cancel", "workflow kill",
        "workflow archive", "slo withdraw", "workflow verdict", "poison requeue", "poison clear",
        "integration disable", "integration enable", "backup acknowledge",
        "restore"]

# What the help shows and this engine cannot give: what it ends with, and why.
OTHER_ENDS = {
    "integration test prometheus": {1, 6},  # nothing listens there
    "integration test slack": {1, 6},  # it is not set up
    "integration health": {0, 1, 3},
    "integration list": {0, 1, 3},
    "status": {0, 1, 3},  # something waits for a person
    "doctor": {0, 1, 3},
    "slo show": {0, 1},  # it has just been killed
    "workflow retry": {0, 1},  # it fails again
    "workflow rerun": {0, 1},
    "expr conformance": {5},  # its file is no part of the tree
    "lint": {0, 1, 3},  # what lies about here is no library
    "runbook lint": {0, 1, 3},
    "event watch": {-signal.SIGINT},  # 130 to a shell
    "kill-switch off": {0, 6},  # root's own file is there, until the second
    "poison requeue": {0, 5, 6},  # the first example took it away
    "poison clear": {0, 5, 6},
}
# -o changes nothing where there is nothing to put into a document.
NO_DOCUMENT = {"completion", "help"}
# One document for each thing as it comes: a stream has no end.
STREAMS = {"event watch"}


def commands():
    """[(command, flags, examples)] out of adctl's own help."""
    text = bare("help").stdout
    table = text[text.index("Commands:"):text.index("\nFlags")]
    found = []
    for name in re.findall(r"^  ([a-z-]+(?: [a-z]+)?)", table, re.M):
        page = bare("help", *name.split()).stdout
        lines = page[page.index("\nExamples:\n") + 11:].replace("\\\n", " ")
        found.append((name, set(re.findall(r"--([a-z-]+)", page)),
                      [" ".join(line.split()) for line in lines.splitlines()]))
    found.sort(key=lambda row: LAST.index(row[0]) if row[0] in LAST else -1)
    return found


class World:
    """An engine in which the examples have something to talk about."""

    def __init__(self, folder, make):
        self.folder = folder
        self.d, poison = poisoned(make, 2)
        self.poison = poison
        d = self.d
        d.write_config({"backup": {"directory": f"{d.folder}/backups"}})
        for name, text in (("remediation/restart-service.yaml", RESTART),
                           ("remediation/high-cpu-usage.yaml", HIGH),
                           ("rotate.yaml", ROTATE), ("test.yaml", TEST),
                           ("fail.yaml", FAIL), ("long.yaml", LONG)):
            d.write_runbook(name, text)
        d.post("/api/admin/reload-runbooks")
        d.wait_executor()
        for name in ("config.yaml", "high-cpu-usage.yaml", "event.json",
                     "token", "routing-key"):
            (folder / name).write_text({
                "event.json": json.dumps({
                    "type": "metric", "metric_name": "cpu", "value": 95,
                    "labels": {"env": "prod"}}),
                "high-cpu-usage.yaml": HIGH}.get(name, "x" * 32))
        shutil.copy(d.config_path, folder / "config.yaml")
        shutil.copy(folder / "high-cpu-usage.yaml", folder / "draft.yaml")
        (folder / "values.json").write_text(json.dumps(
            {"steps": {"look": {"outputs": {"used": 90}}}}))
        (folder / "runbooks").mkdir()
        shutil.copy(folder / "high-cpu-usage.yaml", folder / "runbooks")
        self.run("runbook run test.yaml --wait")
        self.run("runbook run fail.yaml --wait")
        self.run("event send --type alert --label alertname=Restart --wait")
        self.run("backup make")

    def words(self, example, flags):
        """The words of an example, with what this world has in its places."""
        d = self.d
        places = [("/var/lib/autonomous-devops/runbooks", d.repo),
                  ("/mnt/backups", str(self.folder / "mnt")),
                  ("/run/token", str(self.folder / "token")),
                  ("/root/routing-key", str(self.folder / "routing-key"))]
        for theirs, ours in places:
            example = example.replace(theirs, ours)
        example = re.sub(r"backup-\d{8}T\d{6}Z", lambda _: self.newest(),
                         example)
        example = example.replace("evt-01jc", self.poison[-1])
        if "wf-01jc" in example:
            example = example.replace("wf-01jc", self.running())
        if "--known" in example:
            example = re.sub(r"\d+:[0-9a-f]+\.\.\.", lambda _: self.kept(),
                             example)
        if "mis-01" in example:
            example = re.sub(r"mis-\w+", lambda _: self.missed(), example)
        if "--plan" in example:
            example = re.sub(r"wf-01j\S+", lambda _: self.plan(), example)
        words = shlex.split(example.removeprefix("sudo "))[1:]
        if ">" in words:
            words = words[:words.index(">")]
        if "config" in flags and "--config" not in words:
            words += ["--config", d.config_path]
        return words

    def judged(self):
        """The newest workflow, started by an event."""
        self.run("event send --type alert --label alertname=Restart --wait")

    def kept(self):
        row = json.loads(self.run("audit verify -o json").stdout)
        return f"{row['rows']}:{row['last_hash']}"

    def plan(self):
        return json.loads(self.run(
            "runbook run test.yaml --dry-run -o json").stdout)["plan_id"]

    def newest(self):
        return json.loads(self.run("backup list -o json").stdout)[
            "items"][0]["name"]

    def running(self):
        event = self.d.event(type="alert", labels={"alertname": "Long"})
        started = wait_until(lambda: self.d.workflows_of(event),
                             what="a workflow")[0]["id"]
        self.d.wait_status(started, "running")
        return started

    def missed(self):
        self.run("slo missed 'a disk was full'")
        return json.loads(self.run("slo missed -o json").stdout)[
            "items"][0]["id"]

    def run(self, line):
        words = shlex.split(line)
        if words[0] in ("backup", "restore"):
            words += ["--config", self.d.config_path]
        p = self.call(words)
        assert p.returncode in (0, 1), (line, p.stdout, p.stderr)
        return p

    def until_it_speaks(self, p):
        def speaks():
            self.d.event(type="watched")
            return select.select([p.stdout], [], [], 0.2)[0]
        wait_until(speaks, what="a word of adctl")

    def call(self, words):
        env = {k: v for k, v in os.environ.items() if not k.startswith("AD_")}
        env.update(AD_SERVER=f"http://127.0.0.1:{self.d.port}",
                   LC_ALL="C.UTF-8")
        p = subprocess.Popen([ADCTL, *words], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, env=env,
                             stdin=subprocess.DEVNULL, cwd=self.folder)
        try:
            if words[:2] == ["event", "watch"]:
                self.until_it_speaks(p)
                p.send_signal(signal.SIGINT)
            out, err = p.communicate(timeout=60)
        finally:
            p.kill()
        return subprocess.CompletedProcess(words, p.returncode, out, err)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verbs")
    made = []

    def make(runbooks=None, config=None):
        (folder / "d").mkdir()
        made.append(Daemon(folder / "d", runbooks, config))
        return made[0].start()
    yield World(folder, make)
    made[0].close()


def expected(name, example):
    line = example.removeprefix("adctl ").split(" -o ")[0]
    for key in (line, name):
        if key in OTHER_ENDS:
            return OTHER_ENDS[key]
    return {0}


def check(world, name, flags, example):
    if name == "workflow verdict":
        world.judged()
    words = world.words(example, flags)
    p = world.call(words)
    assert p.returncode in expected(name, example), (
        example, words, p.returncode, p.stdout, p.stderr)
    if name in NO_DOCUMENT:
        return
    if "json" not in words:
        words = world.words(example, flags) + ["-o", "json"]
        p = world.call(words)
        # Done a second time, some find it done, or what it was about gone.
        assert p.returncode in expected(name, example) | {5, 6}, (
            words, p.returncode, p.stdout, p.stderr)
    if name in STREAMS:
        assert all(json.loads(line) for line in p.stdout.splitlines())
    elif p.returncode in (0, 3) or p.stdout:
        json.loads(p.stdout)
    else:
        assert p.stderr.startswith("adctl: "), p.stderr


def too_wide(world, name, flags, examples):
    """Lines that an 80-column terminal would break."""
    told = []
    for example in examples:
        words = world.words(example, flags)
        if "-o" not in words and "|" not in words:
            text = Terminal(world.d, *words).read()
            told += [f"{example}: {len(line)} columns: {line}"
                     for line in re.sub(r"\033\[[0-9;]*m", "",
                                        text).splitlines() if len(line) > 80 and
                     str(world.folder) not in line]  # names are not cut
    return told


def test_every_example_runs(world):
    table = commands()
    assert len(table) >= 55
    told = []
    for name, flags, examples in table:
        assert examples, name
        if name == "restore":
            world.d.stop()
        for example in examples:
            assert f"adctl {name.split()[0]}" in example
            if " | " in example:  # two commands, each tried by itself
                continue
            try:
                check(world, name, flags, example)
            except (AssertionError, ValueError) as e:
                told.append(f"{example}: {e}"[:1500])
        if re.search(r"status|doctor|list|show|stats|slo|history|health|"
                     r"performance|verify|outbox", name):
            told += too_wide(world, name, flags, examples)
    assert not told, "\n".join(told)
