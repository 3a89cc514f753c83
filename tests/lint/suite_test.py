#!/usr/bin/env python3
"""Tests how tools/run-suite.py and ./check count, with a meson that does what
is asked of it. Prints TAP.

Usage: suite_test.py ROOT
"""
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

ROOT = Path(sys.argv[1])
SPEC = importlib.util.spec_from_file_location(
    "run_suite", ROOT / "tools" / "run-suite.py")
suite = importlib.util.module_from_spec(SPEC)
sys.dont_write_bytecode = True
SPEC.loader.exec_module(suite)

# TAP output -> passed, failed, skipped
TAP = [
    ("1..2\nok 1 - a\nok 2 - b\n", (2, 0, 0)),
    ("1..2\nok 1 - a\nnot ok 2 - b\n# why\n", (1, 1, 0)),
    ("1..2\nok 1 - a\nnot ok 2 # SKIP b\n", (1, 0, 1)),
    ("1..1\nok 1 - a # SKIP no server\n", (0, 0, 1)),
    ("1..1\nnot ok 1 - a # TODO later\n", (1, 0, 0)),
    # A program that died before its plan was done.
    ("1..5\nok 1 - a\nok 2 - b\n", (2, 1, 0)),
    ("1..2\nok 1 - a\nBail out! no disk\n", (1, 1, 0)),
    # Several groups, as cmocka prints them.
    ("1..1\nok 1 - a\n1..2\nok 1 - b\nok 2 - c\n", (3, 0, 0)),
    ("ok 1 - a\nok 2 - b\n1..2\n", (2, 0, 0)),
    ("okay, not a case\nnothing\n", (0, 0, 0)),
]

# meson's result, exit status, output, protocol -> passed, failed, skipped
PROGRAMS = [
    ("OK", 0, "", "exitcode", (1, 0, 0)),
    ("FAIL", 1, "", "exitcode", (0, 1, 0)),
    ("SKIP", 77, "", "exitcode", (0, 0, 1)),
    ("TIMEOUT", -15, "", "exitcode", (0, 1, 0)),
    ("OK", 0, "1..2\nok 1 - a\nok 2 - b\n", "tap", (2, 0, 0)),
    ("FAIL", 1, "1..2\nok 1 - a\nnot ok 2 - b\n", "tap", (1, 1, 0)),
    # A crash after the last case, and one that the plan shows.
    ("ERROR", -11, "1..1\nok 1 - a\n", "tap", (1, 1, 0)),
    ("ERROR", -11, "1..2\nok 1 - a\n", "tap", (1, 1, 0)),
    ("TIMEOUT", -15, "1..1\nok 1 - a\n", "tap", (1, 1, 0)),
    # How meson sees cmocka's skipped cases.
    ("FAIL", 0, "1..2\nok 1 - a\nnot ok 2 # SKIP b\n", "tap", (1, 0, 1)),
    ("FAIL", 1, "1..2\nok 1 - a\nnot ok 2 # SKIP b\n", "tap", (1, 1, 1)),
    # Output that looks like TAP from a program that does not speak it.
    ("OK", 0, "ok 1 - a\nok 2 - b\n", "exitcode", (1, 0, 0)),
]


def numbers(count):
    return count.passed, len(count.failed), count.skipped


def count_tap(text):
    count = suite.Count()
    for name, verdict in suite.tap_cases(text):
        count.add_case(name, verdict)
    return numbers(count)


def count_program(result, status, output, protocol):
    count = suite.Count()
    with tempfile.TemporaryDirectory() as folder, \
            redirect_stdout(io.StringIO()):
        log = Path(folder) / "log"
        log.write_text(json.dumps({
            "name": "project:unit / x", "result": result,
            "returncode": status, "stdout": output}) + "\n")
        suite.count_meson(log, [{"name": "x", "protocol": protocol}], count)
    return numbers(count)


def count_sum():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results"
        path.write_text(
            '{"name": "a", "passed": 3, "failed": [], "skipped": 1}\n'
            '{"name": "b", "passed": 4, "failed": ["x"], "skipped": 0}\n')
        out = io.StringIO()
        with redirect_stdout(out):
            status = suite.sum_up(path)
        return status, out.getvalue().splitlines()[-1]


# Stands for meson: `test` does what FAKE_MESON says after it has written the
# log of the tests that FAKE_RAN names.
FAKE_MESON = """#!/usr/bin/python3
import json, os, signal, sys
words = sys.argv[1:]
if words[0] == "setup":
    folder = [w for w in words[1:] if not w.startswith("-")][-1]
    os.makedirs(folder + "/meson-info", exist_ok=True)
    os.makedirs(folder + "/meson-logs", exist_ok=True)
    open(folder + "/build.ninja", "w").close()
    plan = [{"name": n, "suite": ["p:" + s], "protocol": "exitcode"}
            for n, s in (("a", "lint"), ("b", "unit"), ("c", "unit"),
                         ("d", "store"))]
    json.dump(plan, open(folder + "/meson-info/intro-tests.json", "w"))
    sys.exit(0)
folder = words[words.index("-C") + 1]
plan = json.load(open(folder + "/meson-info/intro-tests.json"))
chosen = [w for w, before in zip(words[1:], words) if before == "--suite"]
dropped = [w for w, before in zip(words[1:], words) if before == "--no-suite"]
ran = os.environ.get("FAKE_RAN", "abcd")
with open(folder + "/meson-logs/testlog.json", "w") as log:
    for test in plan:
        name = test["suite"][0][2:]
        if test["name"] in ran and name not in dropped and \
                (not chosen or name in chosen):
            print(json.dumps({"name": "p:" + name + " / " + test["name"],
                              "result": "OK", "returncode": 0}), file=log)
    log.write(os.environ.get("FAKE_TAIL", ""))
sys.stdout.buffer.write(b"\\xff\\xfe not text\\n")
sys.stdout.flush()
end = os.environ.get("FAKE_END", "0")
if end == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(end))
"""


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def fake_tree(folder):
    """A tree with the real scripts and one trivial end-to-end test."""
    root = Path(folder)
    for name in ("check", "tools/packages.sh", "tools/run-suite.py"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    program(root / "bin" / "meson", FAKE_MESON)
    program(root / "bin" / "ninja", "#!/bin/sh\nprintf '[1/1] done\\n'\n")
    for part in ("e2e", "python", "manual"):
        (root / "tests" / part).mkdir(parents=True)
        (root / "tests" / part / f"test_{part}.py").write_text(
            "def test_it():\n    pass\n")
    return root


def run_in(root, *command, **settings):
    done = subprocess.run(
        command, cwd=root, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", check=False,
        env=dict(os.environ, PATH=f"{root}/bin:{os.environ['PATH']}",
                 **settings))
    lines = done.stdout.splitlines() or [""]
    return done.returncode, lines[-1], done.stdout + done.stderr


def run_suite(*options, **settings):
    """Exit status and counts of run-suite.py over the fake meson."""
    with tempfile.TemporaryDirectory() as folder:
        root = fake_tree(folder)
        run_in(root, "bin/meson", "setup", "build")
        status, line, _ = run_in(root, "tools/run-suite.py", "--build",
                                 "build", "--out", "results", *options,
                                 **settings)
        noted = json.loads((root / "results").read_text())
        return status, line.split(": ", 1)[-1], \
            noted["failed"]


# options, what meson does -> exit status, the last line, what failed
SUITES = [
    ((), {}, (0, "4 passed, 0 failed, 0 skipped", [])),
    (("--suite", "unit"), {}, (0, "2 passed, 0 failed, 0 skipped", [])),
    (("--no-suite", "unit", "--no-suite", "lint"), {},
     (0, "1 passed, 0 failed, 0 skipped", [])),
    # It died half way, in the middle of a line or between two.
    ((), {"FAKE_RAN": "ab", "FAKE_END": "kill"},
     (1, "2 passed, 3 failed, 0 skipped",
      ["c did not run", "d did not run", "meson test ended with -9"])),
    ((), {"FAKE_RAN": "abc", "FAKE_TAIL": '{"name": "p:store / d", "re'},
     (1, "3 passed, 2 failed, 0 skipped",
      ["meson's log is cut off", "d did not run"])),
    # It left one out without a word.
    ((), {"FAKE_RAN": "abd"},
     (1, "3 passed, 1 failed, 0 skipped", ["c did not run"])),
    ((), {"FAKE_END": "2"},
     (1, "4 passed, 1 failed, 0 skipped", ["meson test ended with 2"])),
    (("--suite", "none"), {},
     (1, "0 passed, 1 failed, 0 skipped", ["no test is in these suites"])),
    (("--no-meson",), {}, (1, "0 passed, 1 failed, 0 skipped",
                           ["nothing ran"])),
    (("--no-meson", "--pytest", "tests/e2e"), {},
     (0, "1 passed, 0 failed, 0 skipped", [])),
    (("--no-meson", "--pytest", "tests/gone"), {},
     (1, "0 passed, 1 failed, 0 skipped", ["pytest ended with 4"])),
    (("--no-meson", "--pytest", "bin"), {},
     (1, "0 passed, 1 failed, 0 skipped", ["pytest found no test"])),
]


def no_plan():
    """A build folder without a list of tests: told, and counted."""
    with tempfile.TemporaryDirectory() as folder:
        root = fake_tree(folder)
        status, line, _ = run_in(root, "tools/run-suite.py", "--build",
                                 "none", "--out", "results")
        noted = json.loads((root / "results").read_text())
        return status, line, len(noted["failed"])


def check(change, **settings):
    """Exit status and last line of ./check --quick in a changed tree."""
    with tempfile.TemporaryDirectory() as folder:
        root = fake_tree(folder)
        change(root)
        status, line, _ = run_in(root, "./check", "--quick", "--no-install",
                                 **settings)
        return status, line


def crash(root):
    """The runner dies before it has noted anything."""
    program(root / "tools" / "run-suite.py",
            (root / "tools" / "run-suite.py").read_text().replace(
                "    count = Count()\n",
                "    count = Count()\n    if options.name == 'unit':\n"
                "        os.abort()\n", 1))


# The build, four meson tests, one test of each folder of pytest.
CHECKS = [
    ("all is well", lambda root: None, {},
     (0, "8 passed, 0 failed, 0 skipped")),
    ("no end-to-end tests", lambda root: shutil.rmtree(root / "tests/e2e"),
     {}, (1, "7 passed, 1 failed, 0 skipped")),
    ("the runner dies", crash, {}, (1, "6 passed, 1 failed, 0 skipped")),
    ("meson dies", lambda root: None, {"FAKE_END": "kill", "FAKE_RAN": "ab"},
     (1, "6 passed, 5 failed, 0 skipped")),
    ("the build fails",
     lambda root: program(root / "bin/ninja", "#!/bin/sh\nexit 1\n"), {},
     (1, "0 passed, 1 failed, 0 skipped")),
]


def main():
    cases = [(f"tap {text!r}", lambda t=text: count_tap(t), want)
             for text, want in TAP]
    cases += [(f"program {p[:2]} {p[2]!r}",
               lambda p=p: count_program(*p[:4]), p[4]) for p in PROGRAMS]
    cases.append(("sum", count_sum, (1, "7 passed, 1 failed, 1 skipped")))
    cases += [(f"suite {options} {how}",
               lambda o=options, h=how: run_suite(*o, **h), want)
              for options, how, want in SUITES]
    cases.append(("no plan", no_plan,
                  (1, "tests: 0 passed, 1 failed, 0 skipped", 1)))
    cases += [(f"check: {name}", lambda c=change, h=how: check(c, **h), want)
              for name, change, how, want in CHECKS]
    print(f"1..{len(cases)}")
    failed = 0
    for number, (name, run, want) in enumerate(cases, 1):
        got = run()
        name = name.replace("#", ".")
        print(f"{'ok' if got == want else 'not ok'} {number} - {name}")
        if got != want:
            failed += 1
            print(f"# expected {want}, got {got}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
