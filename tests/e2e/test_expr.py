"""Expressions tried by hand: adctl expr, POST /api/expr/eval."""
import json
import os
import subprocess

import pytest

from harness import BUILD

ONE = """
name: One
description: Say it once
triggers:
  - {type: say}
steps:
  - {name: One, action: exec, command: echo first}
"""


def adctl(*args, code=0, text=None):
    p = subprocess.run([os.path.join(BUILD, "adctl"), "expr", *args],
                       capture_output=True, text=True, timeout=60,
                       check=False, input=text)
    assert p.returncode == code, (args, p.returncode, p.stdout, p.stderr)
    return p


@pytest.fixture
def engine(make_daemon):
    d = make_daemon({"one.yaml": ONE})
    d.wait_executor()
    return d


def test_adctl_needs_no_engine(tmp_path):
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"labels": {"env": "prod"}, "value": 95}))
    p = adctl("eval", "event.value > 90 && event.labels.?env.orValue('') == "
              "'prod'", "-e", str(event))
    assert (p.stdout, p.stderr) == ("true\n", "")
    p = adctl("eval", "event.labels.env", "-e", "-", text=event.read_text())
    assert p.stdout == '"prod"\n'
    assert "unguarded label access" in p.stderr
    p = adctl("eval", "parameters.n + '!'", "-p", "n=x")
    assert p.stdout == '"x!"\n'


def test_adctl_points_at_the_mistake():
    p = adctl("eval", "event.lables.env == 'prod'", code=1)
    assert p.stdout == ""
    assert p.stderr.splitlines() == [
        "error: 1:7: there is no field 'lables' in event",
        "  event.lables.env == 'prod'",
        "        ^",
        "  did you mean labels?"]
    p = adctl("eval", "1 / 0", "-o", "json", code=1)
    result = json.loads(p.stdout)
    assert result["valid"] and result["error"]["message"] == "division by zero"
    adctl("eval", "1", "-e", "/no/such/file", code=5)
    adctl("eval", "1", "-e", "-", text='{"labels": [1]}', code=2)
    adctl("eval", "1", "-p", "=x", code=2)


def test_adctl_runs_a_suite(tmp_path):
    suite = tmp_path / "suite.jsonl"
    cases = [{"file": "f", "section": "s", "name": "good", "expr": "1 + 1",
              "value": {"int": "2"}},
             {"file": "f", "section": "s", "name": "bad", "expr": "1 + 1",
              "value": {"uint": "2"}},
             {"file": "f", "section": "s", "name": "error", "expr": "1 / 0",
              "error": ["divide by zero"]},
             {"file": "f", "section": "s", "name": "type", "expr": "[1]",
              "check_only": True, "deduced_type":
              [["list_type", [["elem_type", [["primitive", "INT64"]]]]]]}]
    suite.write_text("".join(json.dumps(c) + "\n" for c in cases) + "{\n")
    p = adctl("conformance", str(suite), code=1)
    lines = p.stdout.splitlines()
    assert lines[0] == "f/s/bad: 1 + 1: want 2u, got 2"
    assert "not JSON" in lines[1]
    assert lines[-1] == "3 passed, 2 failed"
    p = adctl("conformance", str(suite), "-o", "json", code=1)
    assert json.loads(p.stdout)["failed"] == 2
    suite.write_text(json.dumps(cases[0]))
    assert adctl("conformance", str(suite)).stdout == "1 passed, 0 failed\n"


def test_adctl_lists_functions():
    p = adctl("functions")
    assert "string.split(string, int)" in p.stdout
    assert all(len(line) <= 80 for line in p.stdout.splitlines())
    names = {i["name"] for i in
             json.loads(adctl("functions", "-o", "json").stdout)["items"]}
    assert {"size", "math.greatest", "ip", "optional.of", "glob"} <= names
    assert "containsIP" in adctl("functions", "network").stdout
    adctl("functions", "nosuchthing", code=5)


def ask(engine, body):
    status, _, data = engine.raw("POST", "/api/expr/eval", body)
    return status, json.loads(data)


def test_the_api_evaluates(engine):
    status, answer = ask(engine, {
        "expr": "event.value > 90 && parameters.on",
        "event": {"type": "metric", "value": 95},
        "parameters": {"on": True}})
    assert status == 200
    assert answer["valid"] and answer["value"] is True
    assert answer["type"] == "bool" and answer["error"] is None
    status, answer = ask(engine, {"expr": "evnt.value"})
    assert status == 200 and not answer["valid"]
    assert answer["error"]["hint"] == "did you mean event?"
    assert answer["error"]["column"] == 1


def test_the_api_says_what_is_wrong_with_a_request(engine):
    for body, word in [({}, "expr"), ({"expr": 1}, "expr"),
                       ({"expr": "1", "evnt": {}}, "evnt"),
                       ({"expr": "1", "event": []}, "event"),
                       ({"expr": "1", "event": {"value": "x"}}, "value"),
                       ({"expr": "1", "parameters": 1}, "parameters")]:
        status, answer = ask(engine, body)
        assert status == 400, body
        assert word in json.dumps(answer), body


def test_a_hostile_expression_ends(engine):
    status, answer = ask(engine, {
        "expr": "lists.range(1000).all(a, lists.range(1000).all(b, true))"})
    assert status == 200
    assert answer["error"]["message"] == \
        "the expression used up its budget"
