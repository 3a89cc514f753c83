#!/usr/bin/env python3
"""Runs the tests of a build and counts them case by case.

Usage: run-suite.py --build DIR [--name NAME] [--suite S]... [--no-suite S]...
                    [--pytest DIR] [--wrap COMMAND] [--out FILE]

Programs that print TAP count each of their cases, pytest each test function,
any other program counts as one. The numbers are appended to FILE as one line
of JSON, which `run-suite.py --sum FILE` adds up, and what failed is printed.
Exit status: 0 when nothing failed and something ran, 1 otherwise.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

# ./check installs Debian's pytest, which another python3 ahead in the PATH
# does not see.
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() \
    else sys.executable
SHOWN_LINES = 40  # of the output of a program that failed


class Count:
    """Passed, failed and skipped cases, and the names of the failed."""

    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = 0

    def add_case(self, name, verdict):
        if verdict == "failed":
            self.failed.append(name)
        elif verdict == "skipped":
            self.skipped += 1
        else:
            self.passed += 1

    @property
    def total(self):
        return self.passed + len(self.failed) + self.skipped

    def line(self):
        return (f"{self.passed} passed, {len(self.failed)} failed, "
                f"{self.skipped} skipped")


def tap_cases(text):
    """(name, verdict) of each case, and what the plan and bail-outs add."""
    cases, plan = [], None
    for line in text.splitlines():
        words = line.strip().split(None, 1)
        if re.match(r"(not )?ok\b", line):
            head, _, directive = line.partition(" # ")
            directive = directive.upper()
            name = re.sub(r"^(not )?ok\s*\d*\s*-?\s*", "", head)
            if directive.startswith("SKIP"):
                verdict = "skipped"
            elif line.startswith("not ok") and \
                    not directive.startswith("TODO"):
                verdict = "failed"
            else:
                verdict = "passed"
            cases.append((name, verdict))
        elif words and words[0].startswith("1..") and \
                words[0][3:].isdigit():
            plan = (plan or 0) + int(words[0][3:])
        elif line.startswith("Bail out!"):
            cases.append((line, "failed"))
    if plan is not None and plan > len(cases):
        missing = plan - len(cases)
        cases.append((f"{missing} planned cases did not run", "failed"))
    return cases


def verdict_of(result):
    if result in ("OK", "EXPECTEDFAIL"):
        return "passed"
    return "skipped" if result == "SKIP" else "failed"


def protocols(build):
    """The protocol of each test by its full name."""
    tests = json.loads(
        (build / "meson-info" / "intro-tests.json").read_text())
    return {test["name"]: test["protocol"] for test in tests}


def count_meson(log, tap, count):
    """Adds the programs of a meson test log; prints those that failed."""
    for line in log.read_text(errors="replace").splitlines():
        test = json.loads(line)
        name = test["name"].split(" / ", 1)[-1]
        verdict = verdict_of(test["result"])
        output = test.get("stdout", "")
        cases = tap_cases(output) if tap.get(name) == "tap" else []
        for case, case_verdict in cases:
            count.add_case(f"{name}: {case}", case_verdict)
        # cmocka writes a skipped case as "not ok # SKIP", which meson takes
        # for a failure of the program.
        if test["result"] == "FAIL" and test.get("returncode") == 0 and \
                "skipped" in dict(cases).values():
            verdict = "passed"
        whole_is_news = verdict == "failed" and \
            not any(v == "failed" for _, v in cases)
        if whole_is_news or not cases:
            count.add_case(f"{name} ({test['result'].lower()})", verdict)
        if verdict == "failed":
            show(name, output + "\n" + test.get("stderr", ""))


def show(name, output):
    lines = [line for line in output.splitlines()
             if line.strip() and not line.startswith("ok ")]
    print(f"---- {name}")
    if len(lines) > SHOWN_LINES:
        print(f"  ... {len(lines) - SHOWN_LINES} lines left out")
    for line in lines[-SHOWN_LINES:]:
        print("  " + line)


def run_meson(options, count):
    command = ["meson", "test", "-C", str(options.build), "--no-rebuild",
               "--num-processes", str(os.cpu_count() or 1)]
    for suite in options.suite:
        command += ["--suite", suite]
    for suite in options.no_suite:
        command += ["--no-suite", suite]
    if options.wrap:
        command += ["--wrap", options.wrap]
    if options.timeout_multiplier:
        command += ["--timeout-multiplier", str(options.timeout_multiplier)]
    log = options.build / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    done = subprocess.run(command, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    if not log.exists():
        count.add_case("meson test did not run", "failed")
        show("meson test", done.stdout + done.stderr)
        return
    count_meson(log, protocols(options.build), count)


def run_pytest(options, count):
    report = options.build.resolve() / "meson-logs" / "pytest.xml"
    report.unlink(missing_ok=True)
    environment = dict(os.environ, ADP_BUILD=str(options.build.resolve()))
    done = subprocess.run(
        [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         f"--junitxml={report}", str(options.pytest)],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env=environment, check=False)
    if not report.exists():
        count.add_case("pytest did not run", "failed")
        show("pytest", done.stdout + done.stderr)
        return
    before = len(count.failed)
    reasons = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}: {case.get('name')}"
        tags = {child.tag for child in case}
        reasons.update(child.get("message") for child in case
                       if child.tag == "skipped")
        count.add_case(name, "failed" if tags & {"failure", "error"} else
                       "skipped" if "skipped" in tags else "passed")
    for reason, times in reasons.items():
        print(f"SKIPPED {times}: {reason}")
    if len(count.failed) > before:
        show("pytest", done.stdout + done.stderr)
    elif done.returncode not in (0, 5):
        count.add_case(f"pytest ended with {done.returncode}", "failed")
        show("pytest", done.stdout + done.stderr)


def sum_up(path):
    """Prints the table of all runs and the line that counts them all."""
    total = Count()
    for line in path.read_text().splitlines():
        run = json.loads(line)
        total.passed += run["passed"]
        total.skipped += run["skipped"]
        total.failed += [f"{run['name']}: {name}" for name in run["failed"]]
        print(f"  {run['name']:<28} {run['passed']:>6} passed "
              f"{len(run['failed']):>4} failed {run['skipped']:>4} skipped")
    for name in total.failed:
        print(f"FAILED {name}")
    print(total.line())
    return 1 if total.failed or not total.passed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path)
    parser.add_argument("--name", default="tests")
    parser.add_argument("--suite", action="append", default=[])
    parser.add_argument("--no-suite", action="append", default=[])
    parser.add_argument("--pytest", type=Path)
    parser.add_argument("--no-meson", action="store_true")
    parser.add_argument("--wrap")
    parser.add_argument("--timeout-multiplier", type=int)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sum", type=Path)
    options = parser.parse_args()
    if options.sum:
        return sum_up(options.sum)
    if not options.build:
        parser.error("--build is missing")

    count = Count()
    if not options.no_meson:
        run_meson(options, count)
    if options.pytest:
        run_pytest(options, count)
    if options.out:
        with options.out.open("a") as f:
            print(json.dumps({"name": options.name, "passed": count.passed,
                              "failed": count.failed,
                              "skipped": count.skipped}), file=f)
    for name in count.failed:
        print(f"FAILED {name}")
    print(f"{options.name}: {count.line()}", flush=True)
    return 1 if count.failed or not count.total else 0


if __name__ == "__main__":
    sys.exit(main())
