#!/usr/bin/env python3
"""The JSON Schema of runbooks agrees with the loader: it takes every runbook
that the loader takes, and refuses what it refuses wherever a schema can say
so. Needs python3-jsonschema and python3-yaml. Prints TAP.

Usage: schema_test.py ROOT ADCTL
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema
import yaml

ROOT, ADCTL = Path(sys.argv[1]), sys.argv[2]
FIXTURES = ROOT / "tests" / "fixtures" / "runbooks"

# What a schema cannot say: names that refer to each other, the inside of
# texts, the same thing twice. Messages of the loader.
ONLY_LOADER = [
    r"no parameter '.*' is declared", r"did you mean 'name'",
    r"may have no value here", r"labels\[\"a-b\"\]", r"is not closed",
    r"cannot be used in", r"stored and shown", r"\$ADP_PARAM_KEY",
    r"no field 'label'", r"has several values", r"missing closing parenthesis",
    r"at character \d+", r"does not start with", r"does not match the pattern",
    r"one of its values", r"control characters", r"whole seconds",
    r"expected an integer",  # of a trigger's constant
    r"no step has the id", r"did you mean '(unit|restart)'", r"in the order of 'at'",
    r"is the test of line", r"and has no value", r"expects nothing",
    r"expected a duration in whole", r"expected an RFC 3339",
    # types and names inside expressions
    r"expression gives", r"write int\(x\)", r"did you mean value", r"not one value",
    r"no such overload", r"fill it in the trigger", r"unguarded", r"is secret",
    r"there is no field", r"nest$",
    r"is the step of line", r"has this id", r"is not between", r"longer than max_backoff",
]


class Loader(yaml.SafeLoader):
    """YAML 1.2's core schema: `on` and `yes` are texts, a date is a text."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in (
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
         "-+.0123456789")):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}",
                                 re.compile(rf"^(?:{pattern})$"), list(first))


def adctl(*args):
    return subprocess.run([ADCTL, *map(str, args)], capture_output=True,
                          text=True, timeout=60, check=False)


SCHEMA = json.loads(adctl("runbook", "schema").stdout)
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def refusals(text):
    """Places that the schema refuses, written as the loader writes them."""
    def leaves(errors):
        for e in errors:
            yield e
            yield from leaves(e.context)
    places = set()
    for e in leaves(VALIDATOR.iter_errors(yaml.load(text, Loader))):
        place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}"
                        for p in e.absolute_path)
        places.add(place.lstrip("."))
        for name in re.findall(r"'([^']*)'", e.message):
            places.add(f"{place}.{name}".lstrip("."))
    return places


def is_draft_7():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


def accepts(path):
    def run():
        text = path.read_text(encoding="utf-8")
        assert adctl("runbook", "validate", path).returncode in (0, 3)
        errors = list(VALIDATOR.iter_errors(yaml.load(text, Loader)))
        assert not errors, [f"{e.json_path}: {e.message}" for e in errors]
    return run


def refuses(path):
    def run():
        text = path.read_text(encoding="utf-8")
        places = refusals(text)
        assert places, "the schema takes it"
        missed = []
        for line in text.splitlines():
            m = re.match(r"# error: \d+ (\S*) ?\| (.*)", line)
            # A list that has something twice is refused as a whole.
            where = {m[1], re.sub(r"\[\d+\]$", "", m[1])} if m else set()
            if m and not where & places and not any(
                    re.search(p, m[2]) for p in ONLY_LOADER):
                missed.append(f"{m[1]}: {m[2]}")
        assert not missed, f"{missed} not among {sorted(places)}"
    return run


# One key changed in a good runbook -> does the loader take it?
BASE = {"name": "x", "steps": [{"name": "a", "command": "true"}]}
CASES = [
    ({}, True), ({"name": 5}, True), ({"name": None}, False),
    ({"name": ""}, False), ({"name": "a\nb"}, False),
    ({"name": "x" * 201}, False), ({"description": "a\nb"}, True),
    ({"category": "two words"}, False), ({"concurrency": 0}, False),
    ({"concurrency": 1000}, True), ({"concurrency": "2"}, False),
    ({"timeout": 1}, True), ({"timeout": 0}, False),
    ({"timeout": "1h30m"}, True), ({"timeout": "30m1h"}, False),
    ({"timeout": "soon"}, False), ({"timeout": 604801}, False),
    ({"steps": []}, False), ({"steps": {}}, False), ({"nmae": "x"}, False),
    ({"parameters": {"a": {}}}, True), ({"parameters": {"A": {}}}, False),
    ({"parameters": {"a": {"type": "strin"}}}, False),
    ({"parameters": {"a": {"type": "enum"}}}, False),
    ({"parameters": {"a": {"type": "enum", "values": []}}}, False),
    ({"parameters": {"a": {"type": "enum", "values": ["b", "c"]}}}, True),
    ({"parameters": {"a": {"type": "enum", "values": ["b", "b"]}}}, False),
    ({"parameters": {"a": {"values": ["b"]}}}, False),
    ({"parameters": {"a": {"type": "integer", "pattern": "1"}}}, False),
    ({"parameters": {"a": {"type": "integer", "default": "1"}}}, False),
    ({"parameters": {"a": {"type": "integer", "default": -1}}}, False),
    ({"parameters": {"a": {"type": "integer", "default": -1,
                           "allow_leading_dash": True}}}, True),
    ({"parameters": {"a": {"default": "-x"}}}, False),
    ({"parameters": {"a": {"type": "boolean", "default": 1}}}, False),
    ({"parameters": {"a": {"type": "number", "default": 1.5}}}, True),
    ({"parameters": {"a": {"default": 1.5}}}, True),
    ({"parameters": {"a": {"default": None}}}, False),
    ({"parameters": {"a": {"secret": True, "default": "x"}}}, False),
    ({"parameters": {"a": {"required": "yes"}}}, False),
    ({"triggers": []}, True), ({"triggers": [{"type": "a b"}]}, False),
    ({"triggers": [{"type": "a", "on": "any"}]}, True),
    ({"triggers": [{"type": "a", "on": "any", "state": "any"}]}, False),
    ({"triggers": [{"type": "a", "on": "fired"}]}, False),
    ({"triggers": [{"type": "a", "severity": []}]}, False),
    ({"triggers": [{"type": "a", "severity": ["a", "b"]}]}, True),
    ({"triggers": [{"type": "a", "source": "a b"}]}, True),
    ({"triggers": [{"type": "a", "labels": {"b": 1}}]}, True),
    ({"triggers": [{"type": "a", "labels": {"b": ["c"]}}]}, False),
    ({"triggers": [{"type": "a", "labels": {"b": "${{ event.id }}"}}]}, False),
    ({"triggers": [{"type": "a", "matchers": "b=c"}]}, True),
    ({"triggers": [{"id": "a_1", "cooldown": "30m"}]}, True),
    ({"triggers": [{"id": "#1", "cooldown": "30m"}]}, False),
    ({"triggers": [{"cooldown": 0}]}, False),
    ({"triggers": [{"cooldown": 1, "dedup": "type"}]}, True),
    ({"triggers": [{"cooldown": 1, "dedup": ["labels.a.b"]}]}, True),
    ({"triggers": [{"cooldown": 1, "dedup": ["labels."]}]}, False),
    ({"triggers": [{"cooldown": 1, "dedup": ["label.a"]}]}, False),
    ({"triggers": [{"cooldown": 1, "dedup": []}]}, False),
    ({"triggers": [{"cooldown": 1, "dedup": ["type", "type"]}]}, False),
    ({"triggers": [{"count": {"at_least": 2, "within": "1m"}}]}, True),
    ({"triggers": [{"count": {"at_least": 1, "within": "1m"}}]}, False),
    ({"triggers": [{"count": {"at_least": 101, "within": "1m"}}]}, False),
    ({"triggers": [{"count": {"at_least": 2}}]}, False),
    ({"triggers": [{"count": 3}]}, False),
    ({"triggers": [{"max_runs": {"limit": 1, "within": 60}}]}, True),
    ({"triggers": [{"max_runs": {"limit": 1, "within": 0}}]}, False),
    ({"triggers": [{"max_runs": {"most": 1, "within": 60}}]}, False),
]
TEST = {"name": "t", "event": {"type": "a"}, "expect": {"started": 0}}
CASES += [({"tests": [{**TEST, **change}]}, good) for change, good in [
    ({}, True), ({"name": None}, False), ({"nmae": "x"}, False),
    ({"event": [{"type": "a", "labels": {"b": 1}}, {"at": "5m", "type": "a"}]}, True),
    ({"event": {"type": "a", "label": {}}}, False), ({"event": []}, False),
    ({"event": {"type": "a", "value": "1"}}, False),
    ({"parameters": {}}, False), ({"now": "2026-01-05T12:00:00Z"}, True),
    ({"now": 5}, False), ({"until": "1d"}, True), ({"until": 0}, False),
    ({"mocks": {"a": {"exit": 1, "stdout": "x", "hangs": True}}}, True),
    ({"mocks": {"a": {"times": [{"exit": 1}, {}]}}}, True),
    ({"mocks": {"a": {"times": []}}}, False),
    ({"mocks": {"a": {"exit": 300}}}, False), ({"mocks": {"a": {"code": 1}}}, False),
    ({"mocks": []}, False), ({"expect": []}, False), ({"expect": {"start": 1}}, False),
    ({"expect": {"ran": ["a"], "skipped": [], "attempts": {"a": 2}}}, True),
    ({"expect": {"ran": "a"}}, False), ({"expect": {"attempts": {"a": 1001}}}, False),
    ({"expect": {"status": "failed", "result": "verified", "error": "x"}}, True),
    ({"expect": {"status": "fail"}}, False), ({"expect": {"result": "good"}}, False),
    ({"expect": {"argv": {"a": ["b"]}, "env": {"a": {"B": "c", "D": None}}}}, True),
    ({"expect": {"argv": {"a": []}}}, False), ({"expect": {"env": {"a": "b"}}}, False),
    ({"expect": {"matched": False}}, True), ({"expect": {"matched": 1}}, False),
]]
STEPS = [
    ({}, False), ({"command": "true", "argv": ["true"]}, False),
    ({"argv": []}, False), ({"argv": "true"}, False), ({"argv": ["a", 1]}, True),
    ({"argv": ["a", ""]}, True), ({"argv": [""]}, False),
    ({"argv": ["${{ workflow.id }}"]}, False),
    ({"argv": ["a", "${{ workflow.id }}"]}, True),
    ({"command": ["a"]}, False), ({"command": "echo ${{ x }}"}, False),
    ({"command": "true", "action": "shell"}, False),
    ({"command": "true", "id": "a_1"}, True),
    ({"command": "true", "id": "A"}, False),
    ({"command": "true", "run_as": "root"}, True),
    ({"command": "true", "run_as": "Root"}, False),
    ({"command": "true", "run_as": "r" * 33}, False),
    ({"command": "true", "timeout": "1ms"}, True),
    ({"command": "true", "timeout": 3601}, False),
    ({"command": "true", "idempotent": 1}, False),
    ({"command": "true", "retry": 20}, True),
    ({"command": "true", "retry": 21}, False),
    ({"command": "true", "retry": {"attempts": 0}}, False),
    ({"command": "true", "retry": {"backoff": 0}}, True),
    ({"command": "true", "retry": {"tries": 1}}, False),
    ({"command": "true", "env": {"A_1": "${{ workflow.id }}"}}, True),
    ({"command": "true", "env": {"a": "b"}}, False),
    ({"command": "true", "env": {"PATHS": "b"}}, True),
    ({"command": "true", "env": {"PATH": "b"}}, False),
    ({"command": "true", "env": {"LD_X": "b"}}, False),
]


def agree():
    told = []
    docs = [({**BASE, **change}, good) for change, good in CASES]
    docs += [({"name": "x", "steps": [{"name": "a", **change}]}, good)
             for change, good in STEPS]
    with tempfile.TemporaryDirectory() as folder:
        for doc, good in docs:
            file = Path(folder) / "x.yaml"
            file.write_text(json.dumps(doc), encoding="utf-8")
            p = adctl("runbook", "validate", file)
            if (p.returncode in (0, 3)) is not good:
                told.append(f"the loader on {doc}: {p.stdout}")
            if VALIDATOR.is_valid(doc) is not good:
                told.append(f"the schema on {doc}: {not good}")
    assert not told, "\n".join(told)


def main():
    tests = [("is draft 7", is_draft_7), ("says what the loader says", agree)]
    good = sorted((FIXTURES / "good").glob("*.yaml")) + sorted(
        (ROOT / "runbooks").rglob("*.yaml"))
    bad = sorted((FIXTURES / "bad").glob("*.yaml"))
    assert len(good) >= 8 and len(bad) >= 7
    tests += [(f"accepts {p.relative_to(ROOT)}", accepts(p)) for p in good]
    tests += [(f"refuses {p.relative_to(ROOT)}", refuses(p)) for p in bad]
    print(f"1..{len(tests)}")
    failed = False
    for number, (name, run) in enumerate(tests, 1):
        try:
            run()
            print(f"ok {number} - {name}")
        except Exception as e:  # pylint: disable=broad-except
            failed = True
            print(f"not ok {number} - {name}")
            print("\n".join(f"# {line}" for line in str(e).splitlines()))
    sys.exit(failed)


main()
