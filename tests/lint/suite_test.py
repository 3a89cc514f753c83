#!/usr/bin/env python3
"""Tests how tools/run-suite.py counts. Prints TAP.

Usage: suite_test.py ROOT
"""
import importlib.util
import io
import json
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
        suite.count_meson(log, {"x": protocol}, count)
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


def main():
    cases = [(f"tap {text!r}", lambda t=text: count_tap(t), want)
             for text, want in TAP]
    cases += [(f"program {p[:2]} {p[2]!r}",
               lambda p=p: count_program(*p[:4]), p[4]) for p in PROGRAMS]
    cases.append(("sum", count_sum, (1, "7 passed, 1 failed, 1 skipped")))
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
