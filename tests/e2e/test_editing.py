"""What helps to write runbooks: adctl runbook new, adctl runbook schema and
adctl lint in its formats. None needs an engine but the served schema."""
import json
import os
import re
import subprocess

import pytest
import yaml

from harness import BUILD, ROOT

RISKY = """\
name: Risky
steps:
  - name: Remove
    timeout: 30
    command: |
      set -e
      rm -rf "$DIR"/*
    env: {DIR: /srv}
  - name: End
    timeout: 30
    command: pkill -f worker
"""
TEMPLATES = ("shell", "service", "metric", "webhook", "cleanup", "secret")


def adctl(*args, code=0, cwd=None, text=None):
    p = subprocess.run([os.path.join(BUILD, "adctl"), *args],
                       capture_output=True, text=True, timeout=60,
                       check=False, cwd=cwd, input=text)
    assert p.returncode == code, (args, p.returncode, p.stdout, p.stderr)
    return p


# ---- new ---------------------------------------------------------------------

@pytest.mark.parametrize("template", TEMPLATES)
def test_new_is_valid_and_clean(tmp_path, template):
    path = f"{template}.yaml"
    p = adctl("runbook", "new", "My runbook", "--template", template,
              "--output", path, cwd=tmp_path)
    assert f"adctl lint {path}" in p.stderr  # what to do next
    text = (tmp_path / path).read_text()
    assert text.startswith("# yaml-language-server: $schema=/usr/share/")
    assert "\n# " in text  # it is commented
    assert yaml.safe_load(text)["name"] == "My runbook"
    adctl("lint", path, cwd=tmp_path)
    adctl("runbook", "validate", path, cwd=tmp_path)
    assert (tmp_path / path).stat().st_mode & 0o022 == 0  # the executor's rule


def test_new_never_overwrites(tmp_path):
    (tmp_path / "x.yaml").write_text("mine")
    p = adctl("runbook", "new", "x", "--output", "x.yaml", cwd=tmp_path, code=6)
    assert "stays as it is" in p.stderr and "try: adctl lint x.yaml" in p.stderr
    assert (tmp_path / "x.yaml").read_text() == "mine"
    os.symlink("nowhere", tmp_path / "link.yaml")
    adctl("runbook", "new", "x", "-o", "link.yaml", cwd=tmp_path, code=6)
    assert not (tmp_path / "nowhere").exists()


def test_new_prints_without_a_file(tmp_path):
    p = adctl("runbook", "new", "x", cwd=tmp_path)
    adctl("lint", "-", text=p.stdout)
    assert not list(tmp_path.iterdir())
    made = json.loads(adctl("runbook", "new", "x", "-o", "json").stdout)
    assert made["text"] == p.stdout and made["path"] is None
    made = json.loads(adctl("runbook", "new", "x", "-o", "json", "--output",
                            "x.yaml", cwd=tmp_path).stdout)
    assert made["path"] == "x.yaml"
    assert (tmp_path / "x.yaml").read_text() == p.stdout


def test_new_says_what_it_cannot_do(tmp_path):
    assert "--output x.yaml" in adctl(
        "runbook", "new", "x", "--output", "x", cwd=tmp_path, code=2).stderr
    assert "cannot write" in adctl(
        "runbook", "new", "x", "--output", "no/x.yaml", cwd=tmp_path,
        code=1).stderr
    adctl("runbook", "new", "x" * 201, cwd=tmp_path, code=2)
    adctl("runbook", "new", "a\nb", cwd=tmp_path, code=2)
    assert "--template service" in adctl(
        "runbook", "new", "x", "--template", "servic", code=2).stderr
    assert not list(tmp_path.iterdir())


# ---- schema ------------------------------------------------------------------

def test_the_schema_is_the_same_everywhere(make_daemon):
    d = make_daemon()
    printed = adctl("runbook", "schema").stdout
    assert d.get("/api/runbooks/schema") == json.loads(printed)
    with open(os.path.join(BUILD, "runbook.json"), encoding="utf-8") as f:
        assert f.read() == printed  # what the package installs


# ---- lint --------------------------------------------------------------------

@pytest.fixture
def risky(tmp_path):
    folder = tmp_path / "books"
    (folder / "sub").mkdir(parents=True)
    (folder / "risky.yaml").write_text(RISKY)
    (folder / "sub" / "good.yaml").write_text(
        adctl("runbook", "new", "good").stdout)
    return folder


def test_lint_tells_people(risky):
    p = adctl("lint", cwd=risky, code=1)
    lines = p.stdout.splitlines()
    assert lines[0].startswith(
        "risky.yaml:7:14: error: steps[0]: if $DIR is empty or /, this removes")
    assert lines[0].endswith(" [unguarded-rm]")
    assert '"${NAME:?}"' in lines[1]
    assert lines[2].startswith("risky.yaml:11:14: warning: steps[1]: ")
    assert lines[4] == "2 files: 1 error, 1 warning, 0 notes"
    assert p.stdout == adctl("runbook", "lint", ".", cwd=risky, code=1).stdout


def test_lint_ends_as_it_says(risky):
    adctl("lint", "sub", cwd=risky)
    adctl("lint", "sub/", "risky.yaml", cwd=risky, code=1)
    (risky / "warn.yaml").write_text(RISKY.replace('"$DIR"/*', "/srv/x"))
    adctl("lint", "warn.yaml", cwd=risky, code=3)
    (risky / "note.yaml").write_text(
        "name: x\nsteps: [{name: a, command: ls}]\n")
    assert "1 note\n" in adctl("lint", "note.yaml", cwd=risky).stdout
    adctl("lint", "none.yaml", cwd=risky, code=5)
    adctl("lint", "-f", "yaml", cwd=risky, code=2)
    (risky / "warn.yaml").write_text(RISKY.replace('"$DIR"/*', "/srv/x").replace(
        "    command: pkill", "    # lint: allow kill-by-name ours alone\n"
        "    command: pkill"))
    assert "; 1 allowed by comments\n" in adctl("lint", "warn.yaml",
                                                cwd=risky).stdout


def test_lint_gives_json(risky):
    p = adctl("lint", "-f", "json", cwd=risky, code=1)
    items = json.loads(p.stdout)["items"]
    assert [(i["path"], i["line"], i["column"], i["severity"], i["rule"])
            for i in items] == [
        ("risky.yaml", 7, 14, "error", "unguarded-rm"),
        ("risky.yaml", 11, 14, "warning", "kill-by-name")]
    assert all(i["message"] and i["fix"] for i in items)
    assert adctl("lint", "-o", "json", cwd=risky, code=1).stdout == p.stdout
    lines = adctl("lint", "-o", "jsonl", cwd=risky, code=1).stdout.splitlines()
    assert [json.loads(line) for line in lines] == items
    assert json.loads(adctl("lint", "sub", "-f", "json", cwd=risky).stdout)[
        "items"] == []


def test_lint_annotates_for_github(risky):
    os.rename(risky / "risky.yaml", risky / "a,b.yaml")
    lines = adctl("lint", "a,b.yaml", "-f", "github", cwd=risky,
                  code=1).stdout.splitlines()
    assert len(lines) == 2  # and nothing else
    assert lines[0].startswith(
        "::error file=a%2Cb.yaml,line=7,col=14,title=unguarded-rm::if $DIR")
    assert "%0Awrite " in lines[0]
    assert lines[1].startswith("::warning file=")


def check_sarif(log):
    """What SARIF 2.1.0 asks for: its required properties and closed words."""
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    for run in log["runs"]:
        driver = run["tool"]["driver"]
        assert driver["name"] and driver["version"]
        ids = [r["id"] for r in driver["rules"]]
        assert len(set(ids)) == len(ids)
        for rule in driver["rules"]:
            for key in ("shortDescription", "fullDescription", "help"):
                assert rule[key]["text"]
            assert rule["defaultConfiguration"]["level"] in (
                "none", "note", "warning", "error")
        assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
        for result in run["results"]:
            assert result["message"]["text"]
            assert ids[result["ruleIndex"]] == result["ruleId"]
            assert result["level"] in ("none", "note", "warning", "error")
            for location in result["locations"]:
                physical = location["physicalLocation"]
                assert re.fullmatch(r"[A-Za-z0-9._~/%:-]+",
                                    physical["artifactLocation"]["uri"])
                assert physical["region"]["startLine"] >= 1
                assert physical["region"]["startColumn"] >= 1
    return log["runs"][0]["results"]


def test_lint_gives_sarif(risky):
    os.rename(risky / "risky.yaml", risky / "a b.yaml")
    log = json.loads(adctl("lint", "a b.yaml", "sub", "-f", "sarif", cwd=risky,
                           code=1).stdout)
    results = check_sarif(log)
    assert [r["ruleId"] for r in results] == ["unguarded-rm", "kill-by-name"]
    place = results[0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b.yaml"
    assert place["region"] == {"startLine": 7, "startColumn": 14}
    clean = json.loads(adctl("lint", "sub", "-f", "sarif", cwd=risky).stdout)
    assert check_sarif(clean) == []


def test_lint_says_all_that_the_loader_says():
    folder = os.path.join(ROOT, "tests", "fixtures", "runbooks", "bad")
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        loaded = json.loads(adctl("runbook", "validate", path, "-o", "json",
                                  code=1).stdout)["items"][0]
        found = json.loads(adctl("lint", path, "-o", "json",
                                 code=1).stdout)["items"]
        messages = {(i["line"], i["column"], i["message"]) for i in found}
        for problem in loaded["errors"] + loaded["warnings"]:
            assert (problem["line"], problem["column"],
                    problem["message"]) in messages, (name, problem)


def test_rules_are_listed():
    rules = json.loads(adctl("lint", "--rules", "-o", "json").stdout)["items"]
    assert {r["severity"] for r in rules} == {"note", "warning", "error"}
    page = os.path.join(BUILD, "doc", "man", "runbook-lint.7.scd")
    with open(page, encoding="utf-8") as f:
        text = f.read()
    for rule in rules:
        assert f"## {rule['rule']} ({rule['severity']})" in text
        assert f"```\n{rule['bad']}```" in text


def test_the_demonstration_is_clean(tmp_path):
    source = os.path.join(ROOT, "contrib", "demo",
                          "restart-demo-service.yaml.in")
    with open(source, encoding="utf-8") as f:
        text = f.read().replace("@DEMO@", "/opt/demo/demo-service")
    assert "0 errors, 0 warnings, 0 notes" in adctl(
        "lint", "-", text=text).stdout
