"""The metrics scraper: pages of metrics become metric events, and no flood."""
import pytest

from harness import adctl, tried, wait_until
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
    return sum(p.startswith("/metrics") for p in page.paths())


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
    with open(d.log_path, encoding="utf-8") as log:
        assert "more than 100 events" in log.read()


def test_a_full_queue_is_respected(make_daemon, page):
    d = make_daemon(config={**config(page), "engine": {
        "event_processing": {"queue_size": 1}}})
    # From here on each scrape has one event more: two never fit.
    wait_until(lambda: events(d), what="the first event")
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


def test_what_was_told_stays_told_whatever_is_set(make_daemon, page):
    page.metrics = PAGE.format(load=9)
    d = make_daemon(config=config(page))
    wait_until(lambda: len(events(d)) == 2, what="both")

    def more(change):
        change()
        wait_scrapes(page, 2)
        return len(events(d)) - 2

    def put(body):
        d.api("PUT", "/api/integrations/metrics-scraper", body, 200)

    assert more(lambda: d.post("/api/admin/reload-config")) == 0
    assert more(lambda: put({"timeout": 3})) == 0
    d.post("/api/integrations/metrics-scraper/pause", {})
    assert more(lambda: d.post(
        "/api/integrations/metrics-scraper/resume", {})) == 0
    # Other rules: only what is new is told.
    rules = ["load1 > 4", "requests_total > 1"]
    assert more(lambda: put({"metrics": rules})) == 1
    d.write_config(config(page, scrape_interval="2s"))
    assert more(lambda: d.post("/api/admin/reload-config")) == 1


def test_a_page_speaks_for_itself_only(make_daemon, page):
    page.metrics = ('load1{instance="db-primary:9100",job="a"} 9\n'
                    'load1{exported_instance="x",instance="y"} 8\n')
    d = make_daemon(config=config(page))
    found = wait_until(lambda: len(e := events(d)) == 2 and e, what="both")
    host = page.url.removeprefix("http://")
    assert {e["value"]: e["labels"] for e in found} == {
        9: {"instance": host, "job": "a",
            "exported_instance": "db-primary:9100"},
        8: {"instance": host, "exported_instance": "x",
            "exported_exported_instance": "y"}}
    d.api("PUT", "/api/integrations/metrics-scraper",
          {"honor_labels": True, "metrics": ["load1 > 5"]}, 200)
    found = wait_until(lambda: len(e := events(d)) == 4 and e, what="again")
    assert {"db-primary:9100", "y"} <= {e["labels"]["instance"] for e in found}


def test_a_target_has_limits(make_daemon, page):
    page.metrics = "".join(f'x{{i="{i}"}} {i}\n' for i in range(1000))
    d = make_daemon(config=config(page, sample_limit=999))

    def error():
        return detail(d)["error"] or ""

    wait_until(lambda: "more than 999 samples" in error(), what="the limit")
    assert "sample_limit" in error() and events(d) == []
    scraper = "/api/integrations/metrics-scraper"
    d.api("PUT", scraper, {"sample_limit": 1000, "body_size_limit": 2048}, 200)
    wait_until(lambda: "larger than 2048 bytes" in error(), what="the limit")
    d.api("PUT", scraper, {"body_size_limit": "100000"}, 200)
    wait_until(lambda: detail(d)["health"] == "healthy", what="health")
    for body in ({"sample_limit": 0}, {"sample_limit": 100001},
                 {"body_size_limit": 1023}, {"sample_limit": "a"},
                 {"body_size_limit": 10 * 1024 * 1024 + 1},
                 {"honor_labels": "yes"}):
        answer = d.api("PUT", scraper, body, 400)
        assert answer["detail"]["field"] in body
    shown = adctl(d, "integration", "set", "metrics-scraper",
                  "sample_limit=5000", "honor_labels=true").stdout
    assert "5000" in shown


def test_costly_pages_delay_no_notice(make_daemon, page):
    """Reading them takes longer than Slack's time limit."""
    page.metrics = "".join(f'x{{i="{"a" * 60}{i}"}} 1\n'
                           for i in range(90000))
    rules = ['x{i=~"(a|aa)+[b-z]%d"} > 0' % i for i in range(64)]
    targets = [f"{page.url}/metrics?{i}" for i in range(20)]
    d = make_daemon(config=config(
        page, metrics=rules, targets=targets, sample_limit=100000,
        body_size_limit="10MiB", timeout="5m"))
    hook = Partner()
    try:
        d.api("PUT", "/api/integrations/slack", {
            "webhook_url": hook.url + "/services/T/B/x", "timeout": 5}, 200)
        wait_until(lambda: scrapes(page) >= 3, 60, "some scrapes")
        for _ in range(3):
            tried(d, "slack")
        assert len(hook.messages) == 3
        assert all(s["last_scrape"] is None for s in detail(d)["scrapes"][-5:])
    finally:
        hook.close()


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
