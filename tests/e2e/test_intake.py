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


def test_a_long_list_of_alerts_is_cut(make_daemon):
    d = make_daemon()
    note = {f"a{i}": "x" * 16000 for i in range(15)}
    for i in range(80):
        d.api("POST", "/api/v2/alerts", [{
            "labels": {"alertname": f"A{i}"}, "annotations": note,
            "endsAt": "9999-12-30T00:00:00Z"}], 200,
            {"Content-Type": "application/json"})
    status, headers, body = d.raw("GET", "/api/v2/alerts")
    assert status == 200
    assert headers["Warning"].startswith("299 ")
    alerts = json.loads(body)
    assert 60 < len(alerts) < 80
    assert not alerts[0]["endsAt"].startswith("9999")
    status, headers, body = d.raw("GET", "/api/v2/alerts?filter=alertname=A7")
    assert status == 200 and "Warning" not in headers
    assert [a["labels"]["alertname"] for a in json.loads(body)] == ["A7"]


def test_a_webhook_with_one_bad_alert_is_not_lost(make_daemon):
    d = make_daemon({"r.yaml": runbook({"labels": {"alertname": "Good"}})})
    answer = d.post("/api/events/alertmanager", {
        "version": "4", "truncatedAlerts": 2, "alerts": [
            {"status": "firing", "labels": {"alertname": "Bad", "x": "y" * 5000}},
            {"status": "firing", "labels": {"alertname": "Good"},
             "annotations": {"text": "z" * 17000}}]}, 202)
    assert (answer["count"], answer["refused"], answer["truncated"]) == (1, 1, 2)
    assert "alerts[0]" in answer["errors"][0]
    assert d.wait_workflow(answer["ids"][0])["status"] == "succeeded"
    assert metric(d, "alerts_truncated_total") == 2
    assert "alerts of a webhook were refused" in d.log()


def test_a_late_duplicate_does_not_revive_an_alert(make_daemon):
    d = make_daemon()

    def deliver(status):
        return d.post("/api/events/alertmanager", {
            "version": "4", "alerts": [{
                "status": status, "labels": {"alertname": "A"},
                "startsAt": "2026-11-24T00:00:00Z"}]}, 202)["deduplicated"]
    assert deliver("firing") == 0
    assert len(d.get("/api/v2/alerts")) == 1
    assert deliver("resolved") == 0
    assert deliver("firing") == 1
    assert d.get("/api/v2/alerts") == []
