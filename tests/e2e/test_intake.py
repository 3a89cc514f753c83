"""What a sender of events can do to runbooks that are not his business."""
import json

from harness import wait_until


def runbook(trigger):
    return (f"name: Test\ntriggers:\n  - {json.dumps(trigger)}\n"
            "steps: [{name: step, command: 'true'}]\n")


def metric(d, name):
    text = d.raw("GET", "/metrics")[2].decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines()
               if line.startswith(("autonomous_devops_" + name + " ",
                                   "autonomous_devops_" + name + "{")))


def test_a_runaway_regex_stops_no_other_runbook(make_daemon):
    d = make_daemon({
        "careless.yaml": runbook({"matchers": ['inst=~"(a+)+[bc]"']}),
        "good.yaml": runbook({"labels": {"alertname": "Y"}})})
    d.wait_executor()
    event = d.event(type="alert",
                    labels={"alertname": "Y", "inst": "a" * 4000})

    def final():
        found = {w["runbook"]: w["id"] for w in d.workflows_of(event)}
        return len(found) == 2 and found
    found = wait_until(final, what="both workflows")
    assert d.wait_status(found["good.yaml"], "succeeded", "failed")[
        "status"] == "succeeded"
    failed = d.get("/api/workflows/" + found["careless.yaml"])
    assert failed["status"] == "failed"
    assert "ran into its limit" in failed["error"]
    assert d.get(f"/api/events/{event}")["status"] == "processed"
    assert metric(d, "workflows_unstartable_total") == 1
    assert metric(d, "event_processing_errors_total") == 0
    assert "failed before its first step" in d.log()
