#!/usr/bin/env python3
"""Runs the tests of a build and counts them case by case.

Usage: run-suite.py --build DIR [--name NAME] [--suite S]... [--no-suite S]...
                    [--pytest DIR] [--wrap COMMAND] [--out FILE]

Programs that print TAP count each of their cases, pytest each test function,
any other program counts as one. The numbers are appended to FILE as one line
of JSON, which `run-suite.py --sum FILE` adds up, and what failed is printed.
What was planned and did not run has failed: a program that is missing in the
log of meson, an empty suite, a runner that died, this script if it does.
Exit status: 0 when nothing failed and something ran, 1 otherwise.
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import traceback
import xml.etree.ElementTree as ElementTree
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


def planned_tests(options):
    """The tests of the build that the options select."""
    tests = json.loads(
        (options.build / "meson-info" / "intro-tests.json").read_text())

    def chosen(test):
        suites = {suite.split(":", 1)[-1] for suite in test["suite"]}
        return (not options.suite or suites & set(options.suite)) and \
            not suites & set(options.no_suite)
    return [test for test in tests if chosen(test)]


def log_entries(log, count):
    """The programs that a log of meson tells of; one cut off has failed."""
    for line in log.read_text(errors="replace").splitlines():
        try:
            test = json.loads(line)
            test["name"] = test["name"].split(" / ", 1)[-1]
            yield test
        except (ValueError, KeyError, TypeError):
            count.add_case("meson's log is cut off", "failed")


def count_program(test, tap, count):
    """Adds one program; true if meson takes it for a failure that is none."""
    name, output = test["name"], test.get("stdout", "")
    verdict = verdict_of(test["result"])
    cases = tap_cases(output) if tap else []
    for case, case_verdict in cases:
        count.add_case(f"{name}: {case}", case_verdict)
    # cmocka writes a skipped case as "not ok # SKIP", which meson takes
    # for a failure of the program.
    tolerated = test["result"] == "FAIL" and test.get("returncode") == 0 and \
        "skipped" in dict(cases).values()
    if tolerated:
        verdict = "passed"
    whole_is_news = verdict == "failed" and \
        not any(v == "failed" for _, v in cases)
    if whole_is_news or not cases:
        count.add_case(f"{name} ({test['result'].lower()})", verdict)
    if verdict == "failed":
        show(name, output + "\n" + test.get("stderr", ""))
    return tolerated


def count_meson(log, planned, count):
    """Adds the programs of a meson test log, prints those that failed, and
    adds those that should be in it; true if meson may say that some failed."""
    tap = {test["name"] for test in planned if test["protocol"] == "tap"}
    missing = collections.Counter(test["name"] for test in planned)
    tolerated = False
    for test in log_entries(log, count):
        missing[test["name"]] -= 1
        tolerated |= count_program(test, test["name"] in tap, count)
    for name in sorted((+missing).elements()):
        count.add_case(f"{name} did not run", "failed")
    return tolerated


def show(name, output):
    lines = [line for line in output.splitlines()
             if line.strip() and not line.startswith("ok ")]
    print(f"---- {name}")
    if len(lines) > SHOWN_LINES:
        print(f"  ... {len(lines) - SHOWN_LINES} lines left out")
    for line in lines[-SHOWN_LINES:]:
        print("  " + line)


def run_and_watch(command, **how):
    """Runs it; its output, whatever bytes it has, as text."""
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          check=False, text=True, errors="replace", **how)
    return done.returncode, done.stdout


def run_meson(options, count):
    planned = planned_tests(options)
    if not planned:
        count.add_case("no test is in these suites", "failed")
        return
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
    status, output = run_and_watch(command)
    if not log.exists():
        count.add_case("meson test did not run", "failed")
        show("meson test", output)
        return
    tolerated = count_meson(log, planned, count)
    if status < 0 or (status != 0 and not count.failed and not tolerated):
        count.add_case(f"meson test ended with {status}", "failed")
        show("meson test", output)


def run_pytest(options, count):
    report = options.build.resolve() / "meson-logs" / "pytest.xml"
    report.unlink(missing_ok=True)
    environment = dict(os.environ, ADP_BUILD=str(options.build.resolve()))
    status, output = run_and_watch(
        [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         f"--junitxml={report}", str(options.pytest)], env=environment)
    if not report.exists():
        count.add_case("pytest did not run", "failed")
        show("pytest", output)
        return
    total, failed = count.total, len(count.failed)
    count_pytest(report, count)
    if status == 5:  # nothing was collected; skipped modules are cases
        if count.total == total:
            count.add_case("pytest found no test", "failed")
    elif status != 0 and len(count.failed) == failed:
        count.add_case(f"pytest ended with {status}", "failed")
    if len(count.failed) > failed:
        show("pytest", output)


def count_pytest(report, count):
    """Adds the cases of a report as pytest writes it; says why it skipped."""
    try:
        cases = list(ElementTree.parse(report).iter("testcase"))
    except ElementTree.ParseError as e:
        count.add_case(f"pytest's report cannot be read: {e}", "failed")
        return
    reasons = collections.Counter()
    for case in cases:
        name = f"{case.get('classname')}: {case.get('name')}"
        tags = {child.tag for child in case}
        reasons.update(child.get("message") for child in case
                       if child.tag == "skipped")
        count.add_case(name, "failed" if tags & {"failure", "error"} else
                       "skipped" if "skipped" in tags else "passed")
    for reason, times in reasons.items():
        print(f"SKIPPED {times}: {reason}")


def sum_up(path):
    """Prints the table of all runs and the line that counts them all."""
    total = Count()
    for line in path.read_text(errors="replace").splitlines():
        try:
            run = json.loads(line)
        except ValueError:
            run = {"name": "?", "passed": 0, "skipped": 0,
                   "failed": ["a result that cannot be read"]}
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
    try:
        if not options.no_meson:
            run_meson(options, count)
        if options.pytest:
            run_pytest(options, count)
    except Exception as e:  # pylint: disable=broad-except
        traceback.print_exc()
        count.add_case(f"run-suite.py: {type(e).__name__}: {e}", "failed")
    if not count.total:
        count.add_case("nothing ran", "failed")
    if options.out:
        with options.out.open("a") as f:
            print(json.dumps({"name": options.name, "passed": count.passed,
                              "failed": count.failed,
                              "skipped": count.skipped}), file=f)
    for name in count.failed:
        print(f"FAILED {name}")
    print(f"{options.name}: {count.line()}", flush=True)
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main())
