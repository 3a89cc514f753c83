"""The metrics scraper: pages of metrics become metric events, and no flood."""
import pytest

from harness import wait_until
from partners import Partner

PAGE = """\
# HELP load1 The load.
# TYPE load1 gauge
load1 {load}
# TYPE disk_free_bytes gauge
disk_free_bytes{{mount="/"}} 5e8
disk_free_bytes{{mount="/data"}} 5e11
requests_total{{code="200"}} 7
"""

RUNBOOK = """\
name: Note
triggers:
  - type: metric
    parameters: {{mount: "${{{{ event.labels.mount }}}}"}}
parameters:
  mount: {{type: string, required: true}}
concurrency: 1
steps:
  - {{name: Note, action: exec, command: 'echo "$ADP_PARAM_MOUNT" >> {out}'}}
"""


@pytest.fixture
def page():
    p = Partner()
    p.metrics = PAGE.format(load=1)
    yield p
    p.close()


def config(page, **more):
    return {"integrations": {"metrics-scraper": {
        "url": page.url + "/metrics", "scrape_interval": "1s",
        "metrics": ["load1 > 4", 'disk_free_bytes{mount!="/data"} < 1e9'],
        **more}}}


def events(d):
    return d.get("/api/events?type=metric&limit=1000")["events"]


def detail(d):
    return d.get("/api/integrations/metrics-scraper")


def scrapes(page):
    return page.paths().count("/metrics")


def wait_scrapes(page, more):
    want = scrapes(page) + more
    wait_until(lambda: scrapes(page) >= want, what=f"{more} more scrapes")


def test_samples_become_events_and_start_runbooks(make_daemon, page, tmp_path):
    out = tmp_path / "out"
    d = make_daemon({"note.yaml": RUNBOOK.format(out=out)}, config(page))
    d.wait_executor()
    first = wait_until(lambda: events(d), what="an event")
    assert len(first) == 1
    e = first[0]
    assert (e["type"], e["source"], e["metric_name"], e["value"]) == (
        "metric", "metrics-scraper", "disk_free_bytes", 5e8)
    host = page.url.removeprefix("http://")
    assert e["labels"] == {"mount": "/", "instance": host}
    wait_until(lambda: out.exists() and out.read_text() == "/\n",
               what="the runbook's word")
    wait_scrapes(page, 3)
    assert len(events(d)) == 1  # it is still low: that is no news
    page.metrics = PAGE.format(load=9)
    wait_until(lambda: len(events(d)) == 2, what="the load")
    page.metrics = PAGE.format(load=2)
    wait_scrapes(page, 2)
    page.metrics = PAGE.format(load=7)
    loads = wait_until(
        lambda: len(found := [x["value"] for x in events(d)
                              if x["metric_name"] == "load1"]) == 2 and found,
        what="the load again")
    assert sorted(loads) == [7, 9]
    shown = detail(d)
    assert shown["health"] == "healthy"
    assert shown["scrapes"][0]["ok"] is True
    assert shown["scrapes"][0]["samples"] == 4
    text = d.raw("GET", "/metrics")[2].decode()
    assert "autonomous_devops_scrape_events_total 3" in text
    assert 'scrapes_total{result="failed"} 0' in text


def test_pause_stops_and_resume_goes_on(make_daemon, page):
    d = make_daemon(config=config(page))
    wait_scrapes(page, 2)
    d.post("/api/integrations/metrics-scraper/pause", {})
    # One may be on its way; after that, nothing.
    d.get("/api/integrations/metrics-scraper/test")
    count = scrapes(page)
    assert detail(d)["health"] == "paused"
    for _ in range(20):
        d.get("/api/integrations/health")
    assert scrapes(page) <= count + 1
    d.post("/api/integrations/metrics-scraper/resume", {})
    wait_scrapes(page, 2)


def test_a_bad_page_says_nothing(make_daemon, page):
    page.metrics = 'load1 9\ngarbage{ 1\n'
    d = make_daemon(config=config(page))
    wait_until(lambda: detail(d)["health"] == "unhealthy", what="bad health")
    assert "not a page of metrics: line 2" in detail(d)["error"]
    assert events(d) == []
    tested = d.get("/api/integrations/metrics-scraper/test", status=502)
    assert tested["error"] == ("Metrics scraper integration: the answer is not "
                               "a page of metrics")
    page.metrics_type = "application/openmetrics-text; version=1.0.0"
    page.metrics = "load1 9\n# EOF\n"
    wait_until(lambda: len(events(d)) == 1, what="the event")
    assert detail(d)["health"] == "healthy"
    page.metrics = "load1 9\n"  # cut off
    wait_until(lambda: "# EOF" in (detail(d)["error"] or ""), what="an error")


def test_one_scrape_makes_no_flood(make_daemon, page):
    page.metrics = "".join(f'x{{i="{i}"}} {i}\n' for i in range(300))
    d = make_daemon(config=config(page, metrics=["x > 0"],
                                  scrape_interval="1h"))
    wait_until(lambda: len(events(d)) == 100, what="the first hundred")
    text = d.raw("GET", "/metrics")[2].decode()
    assert "scrape_events_dropped_total 199" in text
    assert "more than 100 events" in d.log()


def test_a_full_queue_is_respected(make_daemon, page):
    d = make_daemon(config={**config(page), "engine": {
        "event_processing": {"queue_size": 1}}})
    d.post("/api/admin/pause-processing", {})
    d.raw("POST", "/api/events", {"type": "alert"})
    page.metrics = PAGE.format(load=9)
    wait_until(lambda: "scrape_events_dropped_total 0" not in
               d.raw("GET", "/metrics")[2].decode(), what="refused events")
    before = len(events(d))
    d.post("/api/admin/resume-processing", {})
    wait_until(lambda: len(events(d)) >= before + 1, what="what was refused")


def test_several_targets_and_credentials_of_their_own(make_daemon, page):
    other = Partner()
    try:
        page.token = "t0ken"
        other.metrics = "load1 50\n"
        d = make_daemon(config=config(
            page, targets=[other.url + "/metrics"], bearer_token="t0ken"))
        wait_until(lambda: {e["value"] for e in events(d)} == {5e8, 50},
                   what="events of both")
        assert not [r for r in other.requests if "Authorization" in r[2]]
        assert len(detail(d)["scrapes"]) == 2
        other.fixed["/metrics"] = (500, {}, "")
        wait_until(lambda: detail(d)["healthy"] is False, what="bad health")
        assert [s["ok"] for s in detail(d)["scrapes"]] == [True, False]
    finally:
        other.close()


def test_rules_are_checked(daemon):
    for rules in (["load1 >"], ["{a=\"b\"}"], "load1", [1]):
        answer = daemon.api("PUT", "/api/integrations/metrics-scraper",
                            {"metrics": rules}, 400)
        assert answer["detail"]["field"] == "metrics"
    answer = daemon.api("PUT", "/api/integrations/metrics-scraper",
                        {"targets": ["ftp://x"]}, 400)
    assert "http" in answer["error"]


def test_its_own_metrics_and_those_of_prometheus_can_be_read(make_daemon,
                                                             page):
    d = make_daemon(config=config(page))
    d.api("PUT", "/api/integrations/metrics-scraper", {
        "url": f"http://127.0.0.1:{d.port}/metrics",
        "metrics": ["autonomous_devops_executor_up == 1"]}, 200)
    e = wait_until(lambda: [x for x in events(d) if x["value"] == 1],
                   what="its own word")[0]
    assert e["metric_name"] == "autonomous_devops_executor_up"
