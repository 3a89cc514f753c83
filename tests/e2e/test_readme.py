"""README.md: every block of it does what the text around it says, in a folder
as the README has it. A block that this test does not know fails it."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess

import pytest
import yaml

from harness import BUILD, ROOT, free_port, wait_until

# First line of a block -> why it is not run here.
NOT_RUN = {
    "Prometheus ── Alertmanager ──┐": "a drawing",
    "./start        # installs, builds, starts; shows a first remediation":
        "it installs packages; lint / start-and-check and test_host play it",
    "packaging/build-deb --install          "
    "# leaves dist/autonomous-devops_*.deb":
        "it installs the package: tests/manual does that on a booted host",
}


def blocks():
    """{first line: text} of the indented blocks."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        text = f.read()
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.M)
    found = ["\n".join(line[4:] for line in block.strip("\n").split("\n"))
             for block in found]
    return {block.lstrip().split("\n")[0]: block for block in found}


BLOCKS = blocks()


class Place:
    """The folder of a reader who has built the tree, with an engine in my/."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.ran = set()
        (folder / "build").symlink_to(BUILD)
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("AD_")}
        self.env.update(PATH=f"{BUILD}:{os.environ['PATH']}",
                        AD_SERVER=f"http://127.0.0.1:{self.port}")
        self.serving = None

    def block(self, first):
        """The block, with this place's ports."""
        self.ran.add(first)
        return BLOCKS[first].replace("127.0.0.1:9001",
                                     f"127.0.0.1:{self.port}").replace(
            "127.0.0.1:9000", f"127.0.0.1:{self.port}")

    def shell(self, text, codes=(0,)):
        p = subprocess.run(["bash", "-euc", text], cwd=self.folder,
                           env=self.env, capture_output=True, text=True,
                           timeout=120, check=False)
        assert p.returncode in codes, (text, p.returncode, p.stdout, p.stderr)
        return p


def serve(place):
    """"Run it from a folder", whose last line is the engine itself."""
    text = place.block("mkdir -p my/runbooks")
    before, last = text.rstrip().rsplit("\n", 1)
    assert last.startswith("build/autonomous-devops serve")
    assert place.shell(before).stdout == "my/config.yaml: OK\n"
    with open(place.folder / "log", "wb") as log:
        place.serving = subprocess.Popen(["bash", "-c", f"exec {last}"],
                                         cwd=place.folder, env=place.env,
                                         stdout=log, stderr=log)
    wait_until(lambda: b"ready on" in (place.folder / "log").read_bytes()
               or place.serving.poll() is not None, what="a ready engine")
    assert place.serving.poll() is None, (place.folder / "log").read_text()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    p = Place(tmp_path_factory.mktemp("readme"))
    serve(p)
    yield p
    # What it made is all in the folder, the executor's socket too.
    executor = subprocess.run(["pgrep", "-f", "executor --config=my/config"],
                              capture_output=True, text=True, check=False)
    p.serving.send_signal(signal.SIGTERM)
    assert p.serving.wait(60) == 0
    for pid in executor.stdout.split():
        with contextlib.suppress(OSError):  # it has ended
            if os.readlink(f"/proc/{pid}/cwd") == str(p.folder):
                os.kill(int(pid), signal.SIGTERM)


def test_it_runs_from_a_folder(place):
    def doctor():
        p = place.shell("build/adctl doctor -c my/config.yaml -o json",
                        (0, 1, 3))
        return {i["check"]: i for i in json.loads(p.stdout)["items"]}
    wait_until(lambda: doctor()["executor"]["status"] == "ok",
               what="the executor")
    assert sorted(os.listdir(place.folder / "my")) == [
        "config.yaml", "executor.sock", "runbooks", "spool", "state", "work"]
    found = doctor()
    assert found["server"]["detail"].startswith(
        f"http://127.0.0.1:{place.port} answers")
    assert {found[name]["status"] for name in
            ("configuration", "store", "executor")} == {"ok"}


def test_a_runbook(place):
    """The file is checked, put in its place, seen in force, and started."""
    text = place.block("# remediation/restart-web.yaml")
    (place.folder / "restart-web.yaml").write_text(text)
    validate, load, seen, *rest = place.block(
        "adctl lint restart-web.yaml").replace(
            "\\\n", " ").splitlines()
    assert place.shell(validate).stdout.startswith("1 file: 0 errors")
    shutil.copy(place.folder / "restart-web.yaml",
                place.folder / "my" / "runbooks")
    assert "1 added" in place.shell(load).stdout
    assert "restart-web.yaml" in place.shell(seen).stdout
    # There is no such unit here, so that the workflow fails, and says so.
    send, listed, logs = rest
    p = place.shell(send, (1,))
    assert "Restart" in p.stdout and "failed" in p.stdout
    assert "restart-web.yaml" in place.shell(listed).stdout
    assert place.shell(logs).stdout.startswith("--- Restart\n")


def test_before_it_runs_and_afterwards(place):
    """Tests, back-test, plan and explanation of the README's runbook."""
    test, back, plan, explain = place.block(
        "adctl runbook test restart-web.yaml").splitlines()
    assert "1 test in 1 file: 1 passed" in place.shell(test).stdout
    assert re.search(r"^would start +1 workflow", place.shell(
        f"{back} -c my/config.yaml").stdout, re.M)
    p = place.shell(plan.replace("remediation/", ""))
    assert '["systemctl","restart","web-shop.service"]' in p.stdout
    assert "--plan" in p.stdout
    assert "label alertname is WebDown" in place.shell(explain).stdout


def test_connect_it(place):
    """The two examples are what those programs take, the curl is answered."""
    receivers = yaml.safe_load(place.block("receivers:"))
    alerting = yaml.safe_load(place.block("alerting:"))
    (place.folder / "am.yml").write_text(yaml.dump(
        {"route": {"receiver": "engine"}, **receivers}))
    (place.folder / "prometheus.yml").write_text(yaml.dump(alerting))
    for program, words in (("amtool", "check-config am.yml"),
                           ("promtool", "check config prometheus.yml")):
        if shutil.which(program):
            place.shell(f"{program} {words}")
    url = receivers["receivers"][0]["webhook_configs"][0]["url"]
    body = {"version": "4", "status": "firing", "alerts": [
        {"status": "firing", "labels": {"alertname": "A"},
         "startsAt": "2026-01-01T00:00:00Z"}]}
    (place.folder / "body.json").write_text(json.dumps(body))
    place.shell(f"curl -fsS --json @body.json {url}")
    p = place.shell(place.block(
        "curl -X POST http://127.0.0.1:9000/api/events -d '{"))
    assert json.loads(p.stdout)["id"].startswith("evt-")


def test_the_pages_name_commands_that_there_are():
    """`adctl noun verb` in every page: as adctl's own table has it."""
    table = subprocess.run([os.path.join(BUILD, "adctl"), "help"],
                           capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"^  ([a-z]+(?: [a-z]+)?)", table, re.M))
    nouns = {}
    for name in names:
        noun, _, verb = name.partition(" ")
        nouns.setdefault(noun, set()).add(verb)
    wrong = []
    pages = [os.path.join(folder, name)
             for top in ("doc", "contrib", ".")
             for folder, _, files in os.walk(os.path.join(ROOT, top))
             if top != "." or folder == os.path.join(ROOT, top)
             for name in files if name.endswith((".md", ".scd"))]
    assert len(pages) > 15
    for page in pages:
        with open(page, encoding="utf-8") as f:
            found = re.findall(r"[`*]adctl ([a-z]+)(?: ([a-z]+))?", f.read())
        wrong += [(page, noun, verb) for noun, verb in found
                  if noun != "get" and noun not in nouns or  # as kubectl
                  (verb and nouns.get(noun, {""}) != {""} and
                   verb not in nouns[noun])]
    assert not wrong


def test_the_api_page_names_every_route(place):
    """Each by its last word, as `POST …/{id}/requeue` has it."""
    served = json.loads(place.shell(
        f"curl -fsS {place.env['AD_SERVER']}/api/openapi.json").stdout)
    with open(os.path.join(ROOT, "doc", "internals", "api.md"),
              encoding="utf-8") as f:
        page = f.read()
    assert len(served["paths"]) > 50
    words = {re.sub(r"/\{[a-z_]+\}", "", path).rstrip("/").rpartition("/")[2]
             for path in served["paths"]}
    assert [word for word in words if f"/{word}" not in page] == []


def test_no_block_is_left_out(place):
    known = place.ran | set(NOT_RUN)
    assert set(BLOCKS) - known == set(), "a block that nobody tries"
    assert known - set(BLOCKS) == set(), "a block that is not there"


def test_the_programs_that_it_names_are_there(place):
    """`build/autonomous-devops print-config`, `adctl help`, ..."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        inline = re.findall(r"`((?:build/)?(?:adctl|autonomous-devops)(?: "
                            r"[a-z-]+)+)`", f.read())
    assert "build/autonomous-devops print-config" in inline
    for line in inline:
        line = re.sub(r"^(?!build/)", "build/", line)
        place.shell(f"{line} --help" if " help" not in line else line)
