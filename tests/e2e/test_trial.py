"""Tests of runbooks: adctl runbook test, which needs no engine."""
import json
import os
import subprocess
import xml.etree.ElementTree as ET

from harness import BUILD, ROOT

GOOD = """\
name: Web
parameters: {unit: {type: string, required: true}}
triggers:
  - type: alert
    labels: {alertname: Down}
    dedup: labels.unit
    cooldown: 30m
    parameters: {unit: "${{ event.labels.unit }}"}
steps:
  - {name: Restart, argv: [touch, "/nowhere/${{ parameters.unit }}"]}
tests:
  - name: it <works> & "well"
    event: {type: alert, labels: {alertname: Down, unit: a}}
    expect: {started: 1, status: succeeded, argv: {Restart: [touch, /nowhere/a]}}
"""
BAD = GOOD.replace("started: 1", "started: 2").replace("Web", "Bad")


def adctl(*args, code=0, cwd=None):
    p = subprocess.run([os.path.join(BUILD, "adctl"), *args],
                       capture_output=True, text=True, timeout=60,
                       check=False, cwd=cwd)
    assert p.returncode == code, (args, p.returncode, p.stdout, p.stderr)
    return p


def test_passes_and_fails(tmp_path):
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    p = adctl("runbook", "test", "good.yaml", cwd=tmp_path)
    assert '  ok    it <works> & "well"' in p.stdout
    assert p.stdout.endswith("1 test in 1 file: 1 passed, 0 failed\n")
    p = adctl("runbook", "test", ".", cwd=tmp_path, code=1)
    lines = p.stdout.splitlines()
    at = lines.index("        started")
    assert lines[at + 1:at + 3] == ["          expected  2",
                                    "          got       1"]
    assert "what happened (the test is in line 12)" in p.stdout
    assert lines[-1] == "2 tests in 2 files: 1 passed, 1 failed"


def test_json_and_junit(tmp_path):
    (tmp_path / "bad.yaml").write_text(BAD)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "none.yaml").write_text("name: x\nsteps: []\n")
    p = adctl("runbook", "test", ".", "-o", "json", "--junit", "out.xml",
              cwd=tmp_path, code=1)
    items = json.loads(p.stdout)["items"]
    assert [i["passed"] for i in items] == [False, True, False]
    assert items[0]["differences"] == [
        {"what": "started", "expected": "2", "got": "1"}]
    assert items[1]["path"] == "good.yaml" and items[1]["line"] == 12
    assert "at least one step" in items[2]["error"]
    root = ET.parse(tmp_path / "out.xml").getroot()
    assert root.attrib == {"name": "runbooks", "tests": "3", "failures": "1",
                           "errors": "1"}
    cases = {c.attrib["classname"]: c for c in root.iter("testcase")}
    assert cases["good.yaml"].attrib["name"] == 'it <works> & "well"'
    assert len(cases["good.yaml"]) == 0
    failure = cases["bad.yaml"].find("failure")
    assert failure.attrib["message"] == "started: expected 2, got 1"
    assert "workflow 1 is succeeded" in failure.text
    assert cases["none.yaml"].find("error") is not None
    p = adctl("runbook", "test", "good.yaml", "--junit", "-", cwd=tmp_path)
    assert ET.fromstring(p.stdout).attrib["tests"] == "1"


def test_nothing_to_test(tmp_path):
    text = GOOD[:GOOD.index("tests:")]
    (tmp_path / "x.yaml").write_text(text)
    p = adctl("runbook", "test", "x.yaml", cwd=tmp_path, code=3)
    assert "no test was found" in p.stderr
    adctl("runbook", "test", "y.yaml", cwd=tmp_path, code=5)
    (tmp_path / "x.yaml").write_text(GOOD.replace("{Restart:", "{Restrat:"))
    p = adctl("runbook", "test", "x.yaml", cwd=tmp_path, code=1)
    assert "did you mean 'Restart'?" in p.stdout


def test_lint_notes_what_is_untested_when_asked(tmp_path):
    text = GOOD[:GOOD.index("tests:")]
    (tmp_path / "x.yaml").write_text(text)
    assert "untested" not in adctl("lint", "x.yaml", cwd=tmp_path).stdout
    p = adctl("lint", "--more", "x.yaml", cwd=tmp_path)
    assert "note: the runbook has no tests [untested]" in p.stdout
    (tmp_path / "x.yaml").write_text(GOOD)
    p = adctl("lint", "--more", "x.yaml", cwd=tmp_path)
    assert "untested" not in p.stdout


def test_the_page_s_tests_pass(tmp_path):
    """runbook(5): the example's runbook with the tests of TESTS."""
    with open(os.path.join(ROOT, "doc/man/runbook.5.scd"),
              encoding="utf-8") as f:
        page = f.read()
    runbook = page[page.index("# EXAMPLE"):].split("```\n")[1]
    tests = page[page.index("# TESTS"):].split("```\n")[1]
    (tmp_path / "x.yaml").write_text(runbook + tests)
    p = adctl("runbook", "test", "x.yaml", cwd=tmp_path)
    assert ", 0 failed" in p.stdout and "without" not in p.stdout


# ---- back-test -----------------------------------------------------------------

DRAFT = GOOD.replace("cooldown: 30m", "cooldown: 1h")
LIVE = GOOD.replace("    dedup: labels.unit\n    cooldown: 30m\n", "").replace(
    "[touch, \"/nowhere/${{ parameters.unit }}\"]", "['true']")
LIVE = LIVE[:LIVE.index("tests:")]


def backtest(daemon, draft, *args):
    p = adctl("runbook", "backtest", draft, "--config", daemon.config_path,
              "-o", "json", *args)
    return json.loads(p.stdout)


def test_backtest_beside_the_engine_and_without_it(make_daemon, tmp_path):
    """One runbook without a cooldown did run for every alert; the draft of
    the same name would for the first of each unit."""
    daemon = make_daemon({"web.yaml": LIVE})
    draft = tmp_path / "draft.yaml"
    draft.write_text(DRAFT)
    ids = [daemon.event(type="alert", fingerprint=f"f{i}",
                        labels={"alertname": "Down", "unit": unit})
           for i, unit in enumerate(["a", "a", "b", "a"])]
    daemon.event(type="metric", value=1)
    for event in ids:
        daemon.wait_workflow(event)
    report = backtest(daemon, draft)
    assert report["events"] == 5 and report["matched"] == 4
    assert report["started"] == 2 and report["held"] == 2
    assert [s["event"] for s in report["starts"]] == [ids[0], ids[2]]
    assert report["starts"][1]["parameters"] == {"unit": "b"}
    assert report["reasons"][0]["guard"] == "cooldown"
    assert report["reasons"][0]["count"] == 2
    assert report["compared"] == {"both": 2, "only_then": 2, "only_now": 0}
    before = daemon.get("/api/events")
    daemon.stop()
    assert backtest(daemon, draft) == report
    p = adctl("runbook", "backtest", str(draft), "--config", daemon.config_path)
    assert "would start   2 workflows" in p.stdout
    assert "held back     2 events" in p.stdout
    assert "for 4 events; for 2 of them it would now, for 2 not" in p.stdout
    daemon.start()
    assert daemon.get("/api/events") == before  # nothing was changed
    # The same events from a file.
    p = adctl("-s", f"http://127.0.0.1:{daemon.port}", "event", "list", "-o",
              "jsonl")
    lines = p.stdout.splitlines()
    (tmp_path / "e.jsonl").write_text("\n".join(reversed(lines)) + "\n")
    again = backtest(daemon, draft, "--events", str(tmp_path / "e.jsonl"))
    del report["compared"]
    assert again == report
    (tmp_path / "e.jsonl").write_text("\n".join(lines) + "\n")
    p = adctl("runbook", "backtest", str(draft), "--events",
              str(tmp_path / "e.jsonl"), code=2)
    assert "e.jsonl:2: it was received before" in p.stderr
    assert "tac" in p.stderr


def test_backtest_refuses(tmp_path):
    (tmp_path / "x.yaml").write_text("name: x\nsteps: []\n")
    p = adctl("runbook", "backtest", "x.yaml", cwd=tmp_path, code=1)
    assert "adctl runbook validate x.yaml" in p.stderr
    (tmp_path / "x.yaml").write_text(
        "name: x\nsteps: [{name: a, command: 'true'}]\n")
    p = adctl("runbook", "backtest", "x.yaml", cwd=tmp_path, code=2)
    assert "has no triggers" in p.stderr
    (tmp_path / "x.yaml").write_text(GOOD)
    p = adctl("runbook", "backtest", "x.yaml", "--since", "soon", cwd=tmp_path,
              code=2)
    assert "is no time" in p.stderr
    (tmp_path / "c.yaml").write_text(
        f"storage: {{url: 'sqlite://{tmp_path}/none/engine.db'}}\n")
    p = adctl("runbook", "backtest", "x.yaml", "--config", "c.yaml",
              cwd=tmp_path, code=5)
    assert "none/engine.db" in p.stderr
