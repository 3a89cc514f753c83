"""The objectives, from real workflows, over restarts; and what they rest on."""
import json
import re
import shutil
import subprocess

import pytest

from harness import adctl, wait_until
from test_history import GOOD, runbooks, work


def objectives(d, query=""):
    return {s["name"]: s for s in d.get("/api/slo" + query)["slos"]}


def sampled(d):
    """The next start finds what this process has counted."""
    assert d.stop() == 0
    d.start()


def test_objectives_come_from_records(make_daemon):
    d = runbooks(make_daemon)
    before = objectives(d)
    assert len(before) == 7
    for name, slo in before.items():
        if name != "availability":
            assert slo["samples"] == 0 and slo["actual"] is None, name
            assert slo["met"] is None and slo["error_budget"] is None
    work(d, good=3, bad=1)
    sampled(d)
    now = objectives(d)
    success = now["workflow_success_rate"]
    assert success["actual"] == 0.75 and success["samples"] == 4
    assert success["met"] is False and success["target"] == 0.95
    assert success["error_budget"]["used"] == 1
    assert abs(success["error_budget"]["total"] - 0.2) < 1e-6
    assert now["auto_remediation_success_rate"]["actual"] == 0.75
    for name, most in (("event_processing_latency_p95", 5),
                       ("runbook_execution_time_p95", 120)):
        assert now[name]["samples"] == 4
        assert 0 < now[name]["actual"] < most and now[name]["met"], name
    up = now["availability"]
    assert 0 < up["actual"] <= 1 and up["unit"] == "ratio"
    assert now["false_positive_rate"]["actual"] is None


def test_verdicts_are_durable_and_audited(make_daemon):
    d = runbooks(make_daemon)
    work(d, good=4, bad=0)
    ids = [w["id"] for w in d.get("/api/workflows")["workflows"]]
    d.post(f"/api/workflows/{ids[0]}/verdict",
           {"verdict": "false_positive", "note": "planned downtime"})
    missed = d.post("/api/incidents/missed", {"summary": "disk full"}, 201)
    d.kill9()
    d.start()
    wait_until(lambda: objectives(d)["false_positive_rate"]["samples"] == 4,
               what="the count of workflows that events started")
    now = objectives(d)
    assert now["false_positive_rate"]["actual"] == 0.25
    assert now["incident_detection_accuracy"]["actual"] == 3 / 5
    w = d.get(f"/api/workflows/{ids[0]}")
    assert w["verdict"]["verdict"] == "false_positive"
    assert w["verdict"]["note"] == "planned downtime"
    trail = d.get("/api/admin/audit")["audit"]
    assert [(a["action"], a["subject"]) for a in trail[:2]] == [
        ("incident.missed", missed["id"]), ("workflow.verdict", ids[0])]
    assert trail[1]["before"] is None
    d.post(f"/api/workflows/{ids[0]}/verdict", {"verdict": "correct"})
    row = d.get("/api/admin/audit")["audit"][0]
    assert row["before"] == {"verdict": "false_positive",
                             "note": "planned downtime"}
    assert row["after"]["verdict"] == "correct"
    # By hand: nothing to judge.
    by_hand = d.post("/api/runbooks/execute", {"runbook": "good.yaml"})
    d.post(f"/api/workflows/{by_hand['workflow_id']}/verdict",
           {"verdict": "correct"}, 409)


def test_metrics_say_how_the_objectives_stand(make_daemon):
    d = runbooks(make_daemon)
    work(d, good=3, bad=1)
    sampled(d)

    def exposed():
        text = d.raw("GET", "/metrics")[2].decode()
        return dict(re.findall(
            r'autonomous_devops_slo_actual\{slo="(\w+)"\} (\S+)', text))
    wait_until(lambda: exposed().get("workflow_success_rate") == "0.75",
               what="the objective in /metrics")
    assert "false_positive_rate" not in exposed()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool")
def test_promtool_has_nothing_to_say_of_the_metrics(make_daemon):
    d = runbooks(make_daemon)
    work(d)
    sampled(d)
    wait_until(lambda: b"slo_actual{" in d.raw("GET", "/metrics")[2],
               what="the objectives in /metrics")
    p = subprocess.run(["promtool", "check", "metrics"],
                       input=d.raw("GET", "/metrics")[2], check=False,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert p.returncode == 0 and p.stdout == b"", p.stdout


def test_adctl_shows_and_judges(make_daemon):
    d = runbooks(make_daemon)
    work(d, good=2, bad=0)
    sampled(d)
    p = adctl(d, "slo", "--header", check=False)
    assert max(map(len, p.stdout.splitlines())) <= 80, p.stdout
    assert "Event processing latency (p95)" in p.stdout
    availability = re.search("Platform availability +30d +>=99.9% .*",
                             p.stdout).group(0)
    assert re.search(r" \d+[smh]$", availability), availability
    items = json.loads(adctl(d, "slo", "-o", "json", check=False).stdout)
    assert len(items["items"]) == 7
    out = adctl(d, "workflow", "verdict", "@latest", "false_positive",
                "--note", "planned").stdout
    assert "false_positive" in out
    p = adctl(d, "slo", check=False)
    assert p.returncode == 1 and "failed" in p.stdout
    p = adctl(d, "workflow", "verdict", "@latest", "wrong", check=False)
    assert p.returncode == 2 and "false_positive" in p.stderr
    out = adctl(d, "slo", "missed", "disk full", "--at",
                "2026-01-01T00:00:00Z").stdout
    missed = out.split()[0]
    assert missed.startswith("mis-")
    assert "disk full" in adctl(d, "slo", "missed").stdout
    adctl(d, "slo", "withdraw", missed)
    assert "disk full" not in adctl(d, "slo", "missed").stdout
    assert adctl(d, "slo", "withdraw", missed, check=False).returncode == 5


def test_metrics_know_the_oldest_workflow_under_way(make_daemon):
    slow = GOOD.replace('"true"', '"sleep 60"')
    d = make_daemon(runbooks={"good.yaml": slow})
    d.event(type="alert", labels={"do": "good"})
    wait_until(lambda: d.get("/api/workflows?status=running")["workflows"],
               what="a running workflow")
    w = d.get("/api/workflows")["workflows"][0]

    def oldest():
        found = re.search(
            rb"\nautonomous_devops_oldest_active_workflow_created_seconds "
            rb"(\S+)",
            d.raw("GET", "/metrics")[2])
        return float(found[1])
    wait_until(lambda: oldest() == w["created_at"], 30,
               "the workflow in the metrics")
    d.post(f"/api/workflows/{w['id']}/kill")
    d.wait_status(w["id"], "killed")
    wait_until(lambda: oldest() == 0, 30, "no workflow in the metrics")
