"""The Python module against a played engine and the built programs."""
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from src import autonomous_engine as ae

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ADP_BUILD", ROOT / "build"))
GOOD = "name: Good\nsteps:\n  - name: s\n    action: exec\n    command: 'true'\n"
BAD_KEY = GOOD + "stps: 1\n"
NO_YAML = "name: [unclosed\n"


@pytest.fixture(autouse=True)
def built_programs(monkeypatch):
    monkeypatch.setattr(ae, "_program", lambda name: str(BUILD / name))


def python(code, env=None, cwd=ROOT):
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, text=True,
                          capture_output=True, timeout=60, check=False,
                          env={**os.environ, **(env or {})})


# ---- the queue -------------------------------------------------------------

def test_queue_health_of_an_idle_engine(engine):
    health = ae.get_queue_health()
    assert health["status"] == "ok"
    assert (health["depth"], health["limit"], health["workers"]) == (3, 100, 2)


@pytest.mark.parametrize("change, status", [
    (lambda a: a["/api/health"][1]["checks"]["store"].update(ok=False),
     "down"),
    (lambda a: a["/api/health"][1]["checks"]["queue"].update(ok=False),
     "full"),
    (lambda a: a["/api/admin/workers"][1]["workers"][0].update(
        status="stuck"), "stuck"),
    (lambda a: a["/api/health"][1]["checks"]["queue"].update(paused=True),
     "paused"),
])
def test_queue_health_names_what_is_wrong(engine, change, status):
    change(engine.answers)
    engine.answers["/api/health"] = (503, engine.answers["/api/health"][1])
    assert ae.get_queue_health()["status"] == status


def test_diagnosis_says_what_to_do(engine, capsys):
    answers = engine.answers
    answers["/api/admin/workers"][1]["workers"][1]["status"] = "stuck"
    answers["/api/metrics"][1]["ledger"]["events"].update(poison=2, drained=7)
    answers["/api/health"][1]["checks"]["queue"].update(paused=True)
    result = ae.diagnose_queue()
    text = capsys.readouterr().out
    assert result["stuck_workers"] == [1]
    for part in ("restart-workers", "resume-processing", "2 poison",
                 "7 drained"):
        assert part in text


def test_diagnosis_of_a_sound_queue(engine, capsys):
    assert ae.diagnose_queue()["findings"] == []
    assert "nothing is wrong" in capsys.readouterr().out


def test_event_statistics(engine):
    stats = ae.get_event_stats()
    assert stats["by_type"] == {"alert": 5}
    assert stats["by_source"] == {"prometheus": 5}
    assert stats["accepted"] == stats["last_24h"] == 5
    assert sum(stats["by_status"].values()) == 5


# ---- what the engine says ----------------------------------------------------

def test_the_engine_is_down(monkeypatch):
    monkeypatch.setenv("AD_SERVER", "http://127.0.0.1:1")
    with pytest.raises(ae.EngineError, match="systemctl status"):
        ae.get_queue_health()


def test_an_address_of_another_kind_is_refused(monkeypatch):
    monkeypatch.setenv("AD_SERVER", "file:///etc/passwd")
    with pytest.raises(ae.EngineError, match="not an http"):
        ae.get_queue_health()


def test_the_engines_own_words(engine):
    engine.answers["/api/metrics"] = (401, {"error": "who are you?"})
    with pytest.raises(ae.EngineError, match="^who are you"):
        ae.get_event_stats()


@pytest.mark.parametrize("status, body", [(200, b"<html>"), (500, b"oops"),
                                          (404, {"no": "error"})])
def test_what_is_not_the_engine(engine, status, body):
    engine.answers["/api/metrics"] = (status, body)
    with pytest.raises(ae.EngineError, match="/api/metrics"):
        ae.get_event_stats()


def test_an_answer_without_end_is_cut(engine, monkeypatch):
    monkeypatch.setattr(ae, "ANSWER_MAX_BYTES", 100)
    engine.answers["/api/metrics"] = (200, b" " * 101)
    with pytest.raises(ae.EngineError, match="too large"):
        ae.get_event_stats()


def test_the_token_goes_to_the_engine_only(engine, tmp_path, monkeypatch):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    monkeypatch.setenv("AD_TOKEN_FILE", str(token))
    ae.get_event_stats()
    assert engine.asked[-1][1]["Authorization"] == "Bearer s3cret"
    engine.answers["/api/metrics"] = (302, {})
    engine.answers["/elsewhere"] = (200, {})
    with pytest.raises(ae.EngineError):
        ae.get_event_stats()
    assert "/elsewhere" not in [path for path, _ in engine.asked]


def test_a_token_that_cannot_be_read(engine, monkeypatch):
    monkeypatch.setenv("AD_TOKEN_FILE", "/nonexistent")
    with pytest.raises(ae.EngineError, match="/nonexistent"):
        ae.get_event_stats()


# ---- integrations --------------------------------------------------------------

def test_integration_that_works(engine, capsys):
    engine.answers["/api/integrations/prometheus/test"] = (
        200, {"name": "prometheus", "ok": True})
    assert ae.test_integration("prometheus")["ok"]
    assert capsys.readouterr().out == "prometheus: ok\n"


@pytest.mark.parametrize("answer", [
    (200, {"ok": False,
           "error": "Prometheus integration: 401 Unauthorized"}),
    (502, {"error": "Prometheus integration: 401 Unauthorized"}),
])
def test_integration_that_is_refused(engine, answer):
    engine.answers["/api/integrations/prometheus/test"] = answer
    with pytest.raises(ae.EngineError,
                       match="^Prometheus integration: 401 Unauthorized$"):
        ae.test_integration("prometheus")


def test_an_integrations_name_stays_one_segment(engine):
    with pytest.raises(ae.EngineError):
        ae.test_integration("../admin/x")
    assert engine.asked[-1][0] == "/api/integrations/..%2Fadmin%2Fx/test"


def test_credentials_of_the_integrations_in_use(engine, capsys):
    engine.answers["/api/integrations"] = (200, [
        {"name": "prometheus", "enabled": True, "configured": True},
        {"name": "alertmanager", "enabled": False, "configured": True},
        {"name": "metrics-scraper", "enabled": True, "configured": False,
         "error": None},
        {"name": "pagerduty", "enabled": True, "configured": False,
         "error": "PagerDuty integration: not configured (routing_key)"},
        {"name": "slack", "enabled": True, "configured": True}])

    def health(name, healthy, error=None):
        engine.answers[f"/api/integrations/{name}/health"] = (
            200, {"healthy": healthy, "error": error})

    health("prometheus", True)
    health("pagerduty", None, "PagerDuty integration: not configured (r)")
    health("slack", None)
    assert [(r["name"], r["ok"]) for r in ae.verify_credentials()] == [
        ("prometheus", True), ("pagerduty", None), ("slack", None)]
    out = capsys.readouterr().out
    assert "prometheus: ok\nPagerDuty integration: not configured (r)\n" in out
    assert "test_integration('slack') sends a test" in out
    health("prometheus", False, "Prometheus integration: 401 Unauthorized")
    with pytest.raises(ae.EngineError, match="401 Unauthorized"):
        ae.verify_credentials()
    # Whoever investigates pages nobody.
    assert not any(path.endswith("/test") for path, _ in engine.asked)


# ---- files -------------------------------------------------------------------

def test_runbooks_are_checked_without_an_engine(tmp_path, monkeypatch,
                                                capsys):
    monkeypatch.setenv("AD_SERVER", "http://127.0.0.1:1")
    good = tmp_path / "good.yaml"
    good.write_text(GOOD)
    assert ae.validate_runbook(str(good)) is True
    assert capsys.readouterr().out == f"{good}: ok\n"
    bad = tmp_path / "bad.yaml"
    bad.write_text(BAD_KEY)
    with pytest.raises(ae.InvalidError, match=r"bad\.yaml:6:1: error: "):
        ae.validate_runbook(str(bad))
    with pytest.raises(ae.InvalidError, match="no such file"):
        ae.validate_runbook(str(tmp_path / "none.yaml"))


def test_relative_paths_belong_to_the_repository(tmp_path, monkeypatch):
    (tmp_path / "remediation").mkdir()
    (tmp_path / "remediation" / "x.yaml").write_text(GOOD)
    monkeypatch.setenv("AD_RUNBOOKS", str(tmp_path))
    assert ae.validate_runbook("remediation/x.yaml")
    monkeypatch.chdir(tmp_path / "remediation")
    (tmp_path / "remediation" / "--help.yaml").write_text(GOOD)
    assert ae.validate_runbook("--help.yaml")  # never an option


def test_config_is_checked_without_an_engine(tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text("engine: {event_processing: {workers: 4}}\n")
    assert ae.validate_config(str(config)) is True
    assert f"{config}: OK" in capsys.readouterr().out
    config.write_text("engine:\n  event_processing: {wrkers: 4}\n")
    with pytest.raises(ae.InvalidError, match=r"config\.yaml:2:"):
        ae.validate_config(str(config))
    with pytest.raises(ae.InvalidError, match="no such file"):
        ae.validate_config(str(tmp_path / "none.yaml"))


def test_no_program_to_ask(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(ae, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    file = tmp_path / "x.yaml"
    file.write_text(GOOD)
    with pytest.raises(ae.EngineError, match="./start --build"):
        ae.validate_runbook(str(file))


# ---- as commands ---------------------------------------------------------------

def test_a_command_ends_with_one_message(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text(NO_YAML)
    done = python("from src.autonomous_engine import validate_runbook; "
                  f"validate_runbook('{bad}')")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{bad}:" in done.stderr
    done = python("import src.autonomous_engine; raise KeyError('ours')")
    assert "Traceback" in done.stderr  # a bug keeps its trace


def test_scripts_check_one_and_all(tmp_path):
    repository = tmp_path / "runbooks"
    (repository / "remediation").mkdir(parents=True)
    (repository / "remediation" / "a.yaml").write_text(GOOD)
    env = {**os.environ, "AD_RUNBOOKS": str(repository)}

    def script(name, *arguments):
        return subprocess.run(
            [sys.executable, str(ROOT / "scripts" / name), *arguments],
            env=env, cwd=tmp_path, text=True, capture_output=True,
            timeout=60, check=False)

    one = script("validate-runbook.py", "remediation/a.yaml")
    assert (one.returncode, one.stderr) == (0, ""), one.stderr
    assert script("validate-all-runbooks.py").returncode == 0
    (repository / "b.yaml").write_text(NO_YAML)
    every = script("validate-all-runbooks.py")
    assert every.returncode == 1
    assert "b.yaml:" in every.stderr
    some = script("validate-runbook.py", "b.yaml", "remediation/a.yaml")
    assert some.returncode == 1
    assert "a.yaml: ok" in some.stdout  # one bad file hides no other
    assert script("validate-runbook.py").returncode == 2
    assert script("validate-all-runbooks.py", str(tmp_path / "no")
                  ).returncode == 1


def test_execution_environment(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AD_SERVER", "http://127.0.0.1:1")
    with pytest.raises(ae.EngineError, match="failed: .*server"):
        ae.check_execution_environment()
    items = {"items": [{"check": "clock", "status": "warning",
                        "detail": "nothing keeps it", "next": "set it"}]}
    monkeypatch.setattr(ae, "_run", lambda *_a: subprocess.CompletedProcess(
        [], 3, json.dumps(items), ""))
    assert ae.check_execution_environment() == items["items"]
    assert "try: set it" in capsys.readouterr().out


def test_the_module_becomes_the_engine(tmp_path):
    config = tmp_path / "config.yaml"
    state = tmp_path / "x"
    config.write_text(json.dumps({
        "server": {"listen": "127.0.0.1:0"},
        "storage": {"url": f"sqlite://{state}/state/engine.db"},
        "runbooks": {"repository": str(tmp_path / "runbooks")},
        "executor": {"socket": f"{state}/x.sock", "spool": f"{state}/spool",
                     "work": f"{state}/work", "autostart": False}}))
    (tmp_path / "runbooks").mkdir()
    with subprocess.Popen(
            [sys.executable, str(ROOT / "src" / "autonomous_engine.py"),
             "--config", str(config)],
            env={**os.environ, "LOGLEVEL": "DEBUG", "PATH": os.pathsep.join(
                [str(BUILD), os.environ["PATH"]])},
            stderr=subprocess.PIPE, text=True) as process:
        seen = []
        for line in process.stderr:
            seen.append(line)
            if "ready on" in line:
                break
        process.send_signal(signal.SIGTERM)
        seen.append(process.stderr.read())
        assert process.wait(60) == 0, "".join(seen)
    assert any("ready on" in line for line in seen), "".join(seen)
