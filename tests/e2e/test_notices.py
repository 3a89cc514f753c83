"""Notices on their way to PagerDuty and Slack: nothing is lost, whatever
fails or is killed."""
import random
import time

import pytest

from harness import adctl, wait_until
from partners import Partner

KEY = "routing-key-0123456789"

TARGET = """\
name: Mend target
parameters:
  target: {type: string, required: true}
triggers:
  - type: alert
    parameters: {target: "${{ event.labels.target }}"}
steps:
  - name: Mend
    action: exec
    command: '[ -e "%s/$ADP_PARAM_TARGET" ]'
"""


@pytest.fixture
def partner():
    p = Partner()
    p.rate = {}
    yield p
    p.close()


def options(partner, **more):
    # All of them fail, which must not end at the breaker.
    return {"guards": {"breaker": {"failures": 0}}, "integrations": {
        "health_interval": "1h",
        "pagerduty": {"url": partner.url, "routing_key": KEY},
        "slack": {"webhook_url": partner.url + "/services/T/B/x"}, **more}}


def alert(d, target):
    return d.event(type="alert", labels={"target": target})


def fail(d, target):
    assert d.wait_workflow(alert(d, target))["status"] == "failed"


def outbox(d, name):
    return d.get(f"/api/integrations/{name}")["outbox"]


def wait_empty(d, seconds=60):
    wait_until(lambda: all(outbox(d, n)["pending"] == 0
                           for n in ("pagerduty", "slack")),
               seconds, "an empty outbox")


def states(partner):
    with partner.lock:
        return sorted(partner.incidents.values())


@pytest.fixture
def start(make_daemon, tmp_path):
    mended = tmp_path / "mended"
    mended.mkdir()

    def go(config):
        d = make_daemon({"mend.yaml": TARGET % mended}, config)
        d.wait_executor()
        d.mended = mended
        return d
    return go


def test_a_failure_opens_and_a_success_resolves(start, partner):
    d = start(options(partner))
    fail(d, "web-1")
    wait_until(lambda: states(partner) == ["open"], what="an incident")
    fail(d, "web-1")  # the same again: nothing new is said
    fail(d, "web-2")
    wait_until(lambda: states(partner) == ["open", "open"], what="another")
    (d.mended / "web-1").touch()
    assert d.wait_workflow(alert(d, "web-1"))["status"] == "succeeded"
    wait_until(lambda: states(partner) == ["open", "resolved"],
               what="the end of the first")
    wait_empty(d)
    bodies = [r[3].decode() for r in partner.requests
              if r[1] == "/v2/enqueue"]
    assert len(bodies) == 3 and "web-1" not in "".join(bodies)
    assert "mend.yaml" in bodies[0] and '"severity":"error"' in bodies[0]
    assert [m["text"].split(":")[0] for m in partner.messages] == [
        "Runbook Mend target failed", "Runbook Mend target failed",
        "Runbook Mend target succeeded"]
    assert partner.refused == []
    assert d.get("/api/integrations/pagerduty")["health"] == "healthy"
    text = d.raw("GET", "/metrics")[2].decode()
    assert 'notices_sent_total{integration="pagerduty"} 3' in text


def test_only_what_is_wanted_is_told(start, partner):
    d = start(options(partner))
    d.api("PUT", "/api/integrations/slack", {"notify_on": ["resolved"]}, 200)
    d.post("/api/integrations/pagerduty/disable")
    fail(d, "a")
    d.post("/api/integrations/pagerduty/enable")
    fail(d, "b")
    wait_until(lambda: states(partner) == ["open"], what="the second")
    assert partner.messages == []
    answer = d.api("PUT", "/api/integrations/slack",
                   {"notify_on": ["faild"]}, 400)
    assert "failed" in answer["error"]


def test_failing_partners_are_tried_again(start, partner):
    d = start(options(partner))
    d.post("/api/integrations/slack/disable")
    partner.script = [(503, {}, "down"), (429, {"Retry-After": "1"}, "slow"),
                      (0, {}, "")]
    before = time.monotonic()
    fail(d, "x")
    wait_until(lambda: states(partner) == ["open"], 60, "the incident")
    assert time.monotonic() - before > 1
    sent = [r for r in partner.requests if r[1] == "/v2/enqueue"]
    assert len(sent) == 4 and len({r[3] for r in sent}) == 1
    wait_empty(d)
    counted = outbox(d, "pagerduty")
    # A connection that was kept and turns out to be dead is replaced at once.
    assert counted.pop("retried") in (2, 3)
    assert counted == {"pending": 0, "dead": 0, "sent": 1, "dropped": 0}


def test_a_refused_notice_is_dead_and_others_pass(start, partner):
    d = start(options(partner))
    d.post("/api/integrations/slack/disable")
    partner.script = [(400, {}, "invalid event")]
    fail(d, "bad")
    fail(d, "good")
    wait_until(lambda: states(partner) == ["open"], what="the good one")
    dead = wait_until(
        lambda: d.get("/api/integrations/pagerduty/outbox?state=dead")[
            "notices"], what="a dead one")
    assert len(dead) == 1 and dead[0]["attempts"] == 1
    assert dead[0]["error"] == \
        "PagerDuty integration: 400 Bad Request: invalid event"
    assert dead[0]["notice"]["runbook"] == "mend.yaml"
    shown = adctl(d, "integration", "outbox", "pagerduty", "--state",
                  "dead").stdout
    assert "failed" in shown and "mend.yaml" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert adctl(d, "integration", "outbox", "slack").stdout == ""
    shown = adctl(d, "integration", "set", "slack",
                  "notify_on=failed; held").stdout
    assert "failed, held" in shown


def test_a_broken_hook_is_left_alone_until_it_is_mended(start, partner):
    d = start(options(partner))
    d.post("/api/integrations/pagerduty/disable")
    partner.fixed["/services/T/B/x"] = (404, {}, "no_service")
    fail(d, "a")
    wait_until(lambda: d.get("/api/integrations/slack")["healthy"] is False,
               what="an unhealthy Slack")
    fail(d, "b")
    assert partner.paths().count("/services/T/B/x") == 1
    listed = d.get("/api/integrations/slack/outbox")["notices"]
    assert len(listed) == 2 and "no_service" in listed[-1]["error"]
    d.api("PUT", "/api/integrations/slack",
          {"webhook_url": partner.url + "/services/T/B/y"}, 200)
    wait_empty(d)
    assert len(partner.messages) == 2


def test_paused_notices_wait_and_disabled_ones_are_dropped(start, partner):
    d = start(options(partner))
    for name in ("pagerduty", "slack"):
        d.post(f"/api/integrations/{name}/pause", {})
    fail(d, "a")
    assert outbox(d, "slack")["pending"] == 1
    assert partner.requests == []
    d.kill9()
    d.start()
    d.post("/api/integrations/slack/disable")
    wait_until(lambda: outbox(d, "slack")["dead"] == 1, what="a dropped one")
    d.post("/api/integrations/pagerduty/resume", {})
    wait_until(lambda: states(partner) == ["open"], what="the other")
    assert partner.messages == []


def test_old_notices_are_given_up(start, partner):
    d = start(options(partner, notice_give_up="2s"))
    d.post("/api/integrations/slack/disable")
    partner.fixed["/v2/enqueue"] = (503, {}, "down")
    fail(d, "a")
    dead = wait_until(
        lambda: d.get("/api/integrations/pagerduty/outbox?state=dead")[
            "notices"], 60, "a dead one")
    assert "too old" in dead[0]["error"] and "503" in dead[0]["error"]


def test_kill9_loses_no_notice(start, partner):
    """Killed at any moment of the outbox: each incident is opened once."""
    d = start(options(partner))
    rng = random.Random(4)
    partner.delay = 0.01  # taken, but nobody here knows yet
    want = 25
    for i in range(want):
        partner.script = [(503, {}, "down")] if i % 3 == 0 else []
        event = alert(d, f"t{i}")
        if i % 2:
            d.wait_workflow(event)
        time.sleep(rng.random() * 0.03)  # any moment is a good one
        d.kill9()
        d.start()
    wait_until(lambda: len(partner.incidents) == want, 120, "every incident")
    wait_empty(d, 120)
    assert len(partner.opened) == want
    assert len({m["text"] for m in partner.messages}) >= 1
    assert len(partner.messages) >= want
    assert partner.refused == []


def burst(d, partner, name, count):
    """That many notices that wait, and then may all go at once."""
    other = {"slack": "pagerduty", "pagerduty": "slack"}[name]
    d.post(f"/api/integrations/{other}/disable", {})
    d.post(f"/api/integrations/{name}/pause", {})
    events = [alert(d, f"b{i}") for i in range(count)]
    for event in events:
        assert d.wait_workflow(event)["status"] == "failed"
    wait_until(lambda: outbox(d, name)["pending"] == count, what="notices")


def test_a_burst_for_pagerduty(start, partner):
    started = time.monotonic()
    d = start(options(partner))
    burst(d, partner, "pagerduty", 20)
    # One for the start, one a second since; and what comes in 5 s.
    may = min(40, 2 + int(time.monotonic() - started))
    partner.rate = {"pagerduty": [(120, 60), (may + 6, 5)]}
    d.post("/api/integrations/pagerduty/resume", {})
    wait_empty(d)
    assert len(partner.opened) == 20
    assert partner.limited == 0 and partner.refused == []
    assert outbox(d, "pagerduty")["retried"] == 0


def test_a_burst_for_slack(start, partner):
    d = start(options(partner))
    burst(d, partner, "slack", 10)
    partner.rate = {"slack": [(63, 60), (5, 1)]}
    d.post("/api/integrations/slack/resume", {})
    wait_until(lambda: len(partner.messages) == 5, what="some")
    # A start does not fill the bucket.
    d.kill9()
    partner.rate = {"slack": [(63, 60), (2, 0.9)]}
    d.start()
    wait_empty(d)
    assert len(partner.messages) in (10, 11)  # one may have been under way
    assert partner.limited == 0 and partner.refused == []
    assert outbox(d, "slack")["retried"] == 0
