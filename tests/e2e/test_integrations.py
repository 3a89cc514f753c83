"""Partner systems: settings, health, tests, against a local server that plays
them and against the real Prometheus and Alertmanager."""
import base64
import concurrent.futures
import json
import os
import sqlite3
import subprocess
import urllib.parse

import pytest

from harness import adctl, free_port, tried, wait_until
from partners import Partner

NAMES = ["prometheus", "alertmanager", "pagerduty", "slack",
         "metrics-scraper"]


@pytest.fixture
def partner():
    p = Partner()
    yield p
    p.close()


def put(d, name, body, status=200):
    return d.api("PUT", f"/api/integrations/{name}", body, status)


def row(d, name):
    return next(r for r in d.get("/api/integrations") if r["name"] == name)


def wait_health(d, name, word):
    return wait_until(
        lambda: (r := row(d, name))["health"] == word and r,
        what=f"{name} {word}")


def test_an_empty_configuration_has_nothing_unhealthy(daemon):
    rows = daemon.get("/api/integrations")
    assert [r["name"] for r in rows] == NAMES
    assert {r["health"] for r in rows} == {"not_configured"}
    health = daemon.get("/api/integrations/health")
    assert [r["name"] for r in health] == NAMES
    assert not [r for r in health if r["healthy"] is False]
    answer = daemon.get("/api/integrations/jira", status=404)
    assert all(name in answer["error"] for name in NAMES)
    refused = daemon.get("/api/integrations/prometheus/test", status=409)
    assert refused["error"] == \
        "Prometheus integration: not configured (url is not set)"


def test_the_manual_updates_and_tests_prometheus(daemon, partner):
    partner.token = "new-token"
    put(daemon, "prometheus", {"url": partner.url, "scrape_interval": 15,
                               "timeout": 10})
    failed = daemon.get("/api/integrations/prometheus/test", status=502)
    assert failed["error"] == "Prometheus integration: 401 Unauthorized"
    health = daemon.get("/api/integrations/prometheus/health")
    assert health["healthy"] is False and health["health"] == "unhealthy"
    assert health["error"] == "Prometheus integration: 401 Unauthorized"
    assert [r["name"] for r in daemon.get("/api/integrations/health")
            if r["healthy"] is False] == ["prometheus"]
    shown = put(daemon, "prometheus", {"url": partner.url,
                                       "bearer_token": "new-token"})
    assert shown["bearer_token"]["set"] is True
    assert "new-token" not in json.dumps(shown)
    tested = daemon.get("/api/integrations/prometheus/test")
    assert tested["ok"] is True and tested["requests"] == 2
    health = daemon.get("/api/integrations/prometheus/health")
    assert health["healthy"] is True and health["error"] is None
    assert partner.paths()[-1] == "/api/v1/query?query=up"
    shown = daemon.get("/api/integrations/prometheus")
    assert shown["scrape_interval"] == 15 and shown["timeout"] == 10


def test_settings_survive_kill_and_are_audited(make_daemon, partner):
    d = make_daemon()
    put(d, "prometheus", {"url": partner.url, "bearer_token": "t0ken"})
    d.post("/api/integrations/slack/disable")
    d.post("/api/integrations/metrics-scraper/pause", {})
    d.kill9()
    d.start()
    shown = d.get("/api/integrations/prometheus")
    assert shown["url"] == partner.url
    assert shown["bearer_token"]["source"] == "api"
    partner.token = "t0ken"
    assert d.get("/api/integrations/prometheus/test")["ok"] is True
    slack = row(d, "slack")
    assert slack["enabled"] is False and slack["health"] == "disabled"
    assert row(d, "metrics-scraper")["paused"] is True
    d.post("/api/integrations/slack/enable")
    assert row(d, "slack")["enabled"] is True
    d.post("/api/integrations/metrics-scraper/resume", {})
    assert row(d, "metrics-scraper")["paused"] is False
    trail = d.get("/api/admin/audit")["audit"]
    assert [(r["action"], r["subject"]) for r in reversed(trail)] == [
        ("integration.set", "prometheus"), ("integration.disable", "slack"),
        ("integration.pause", "metrics-scraper"),
        ("integration.enable", "slack"),
        ("integration.resume", "metrics-scraper")]
    assert "sealed" not in json.dumps(trail)
    assert trail[-1]["after"]["secrets_set"] == ["bearer_token"]


def test_unknown_and_wrong_fields_are_refused(daemon):
    for body, what in (
            ({"urll": "http://x"}, "urll"), ({"url": "ftp://x"}, "http"),
            ({"url": "http://u:p@x"}, "user name"), ({"timeout": 0}, "timeout"),
            ({"url": 3}, "string"), ({"enabled": "yes"}, "enabled"),
            ({"api_key": "x"}, "api_key"), ({}, "fields"), ([1], "object"),
            ({"bearer_token": "a\nb"}, "bearer_token")):
        answer = put(daemon, "prometheus", body, 400)
        assert what in answer["error"], answer
    answer = put(daemon, "prometheus", {"bearer_token": "x"}, 400)
    assert "url" in answer["error"]
    assert daemon.get("/api/admin/audit")["audit"] == []


def test_a_credential_goes_to_its_host_only(make_daemon, partner):
    other = Partner()
    try:
        d = make_daemon(config={"integrations": {"alertmanager": {
            "url": partner.url, "bearer_token": "from-file"}}})
        put(d, "prometheus", {"url": partner.url, "bearer_token": "secret-1"})
        assert d.get("/api/integrations/prometheus/test")["ok"]
        moved = put(d, "prometheus", {"url": other.url})
        assert moved["dropped"] == ["bearer_token"]
        assert moved["bearer_token"]["set"] is False
        d.get("/api/integrations/prometheus/test")
        put(d, "alertmanager", {"url": other.url})
        d.get("/api/integrations/alertmanager/test")
        shown = d.get("/api/integrations/alertmanager")["bearer_token"]
        assert shown["source"] == "file" and "another host" in shown["problem"]
        assert not [r for r in other.requests if "Authorization" in r[2]]
        put(d, "alertmanager", {"url": None})
        d.get("/api/integrations/alertmanager/test")
        assert partner.requests[-1][2]["Authorization"] == "Bearer from-file"
    finally:
        other.close()


def test_without_a_key_only_secrets_are_refused(make_daemon, partner):
    d = make_daemon(config={"security": {
        "secrets_key": "/proc/self/nobody/may/write/here.key"}})
    put(d, "prometheus", {"url": partner.url})
    d.post("/api/integrations/slack/disable")
    assert d.get("/api/integrations/prometheus/test")["ok"] is True
    answer = put(d, "prometheus", {"bearer_token": "x"}, 500)
    assert answer["code"] == "no_key" and "secrets_key" in answer["error"]
    d.stop()
    d.write_config({})
    d.start()
    assert d.get("/api/integrations/prometheus")["url"] == partner.url
    put(d, "prometheus", {"bearer_token": "x"})
    assert row(d, "slack")["enabled"] is False


def test_redirects_are_not_followed(daemon, partner):
    put(daemon, "prometheus", {"url": partner.url})
    partner.fixed["/-/healthy"] = (
        302, {"Location": "http://127.0.0.1:1/"}, "")
    failed = daemon.get("/api/integrations/prometheus/test", status=502)
    assert failed["error"].startswith("Prometheus integration: 302 Found")


def test_the_engine_is_nobody_to_itself(daemon):
    """Whoever may set a partner's URL may not thereby do what else the
    engine's own user may."""
    own = f"http://127.0.0.1:{daemon.port}"
    put(daemon, "slack",
        {"webhook_url": own + "/api/admin/pause-processing"})
    failed = tried(daemon, "slack", 502)
    assert "403" in failed["error"], failed
    assert not any(a["action"] == "processing.pause"
                   for a in daemon.get("/api/admin/audit")["audit"])
    # Reading it may: its own metrics can be scraped.
    agent = {"User-Agent": "autonomous-devops/0"}
    assert daemon.raw("GET", "/metrics", headers=agent)[0] == 200
    assert daemon.raw("POST", "/api/admin/pause-processing",
                      headers=agent)[0] == 403


def test_what_answers_badly_is_said(make_daemon, partner):
    d = make_daemon()
    put(d, "prometheus", {"url": partner.url, "timeout": 1})
    partner.fixed["/api/v1/query"] = (200, {}, "<html>")
    error = d.get("/api/integrations/prometheus/test", status=502)["error"]
    assert "not that of a Prometheus" in error
    partner.fixed["/-/healthy"] = (200, {}, "x" * (1024 * 1024 + 1))
    error = d.get("/api/integrations/prometheus/test", status=502)["error"]
    assert "larger than 1048576 bytes" in error
    put(d, "prometheus", {"url": "http://169.254.169.254/"})
    error = d.get("/api/integrations/prometheus/test", status=502)["error"]
    assert "not allowed" in error
    put(d, "prometheus", {"url": f"http://127.0.0.1:{free_port()}"})
    d.get("/api/integrations/prometheus/test", status=502)


def test_the_file_wins_again_when_its_section_changes(make_daemon, partner):
    d = make_daemon(config={"integrations": {"prometheus": {
        "url": "http://127.0.0.1:1"}}})
    put(d, "prometheus", {"url": partner.url})
    d.stop()
    d.write_config({"integrations": {
        "prometheus": {"url": "http://127.0.0.1:1"},
        "slack": {"channel": "#x"}}})
    d.start()
    assert d.get("/api/integrations/prometheus")["url"] == partner.url
    d.stop()
    d.write_config({"integrations": {"prometheus": {
        "url": "http://127.0.0.1:2"}}})
    d.start()
    shown = d.get("/api/integrations/prometheus")
    assert shown["url"] == "http://127.0.0.1:2"


def test_a_reload_overrules_only_what_it_changes(make_daemon, partner):
    file = {"url": "http://127.0.0.1:1"}
    d = make_daemon(config={"integrations": {"prometheus": file}})
    partner.token = "t0ken"
    put(d, "prometheus", {"url": partner.url, "bearer_token": "t0ken",
                          "timeout": 5})
    d.post("/api/integrations/prometheus/pause", {})
    d.write_config({"integrations": {"prometheus": {
        **file, "scrape_interval": 30, "timeout": 7}}})
    d.post("/api/admin/reload-config")
    shown = d.get("/api/integrations/prometheus")
    assert (shown["url"], shown["timeout"], shown["scrape_interval"]) == (
        partner.url, 7, 30)
    assert shown["changed_by_api"] is True and shown["paused"] is True
    assert d.get("/api/integrations/prometheus/test")["ok"] is True
    rows = wait_until(lambda: [
        r for r in d.get("/api/admin/audit")["audit"]
        if r["action"] == "integration.overruled"], what="a row of the trail")
    assert len(rows) == 1 and rows[0]["who"] == "configuration"
    assert rows[0]["before"]["fields"] == {"url": partner.url, "timeout": 5}
    assert rows[0]["after"]["fields"] == {"url": partner.url, "timeout": 7}
    assert "of timeout no longer counts" in d.log()
    d.write_config({"integrations": {"prometheus": file}})
    d.post("/api/admin/reload-config")
    # It is gone, not waiting for the file to say what it said then.
    assert d.get("/api/integrations/prometheus")["timeout"] == 10


def test_a_reload_that_changes_nothing_forgets_no_health(make_daemon, partner):
    d = make_daemon(config={"integrations": {
        "health_interval": "1h", "alertmanager": {"url": partner.url},
        "prometheus": {"url": partner.url, "scrape_interval": "1h"}}})
    for name in ("prometheus", "alertmanager"):
        wait_health(d, name, "healthy")
    asked = len(partner.requests)
    d.post("/api/admin/reload-config")
    assert row(d, "prometheus")["health"] == "healthy"
    d.write_config({"integrations": {
        "health_interval": "1h", "alertmanager": {"url": partner.url},
        "prometheus": {"url": partner.url, "scrape_interval": "1h",
                       "timeout": 3}}})
    d.post("/api/admin/reload-config")
    wait_health(d, "prometheus", "healthy")
    assert row(d, "alertmanager")["health"] == "healthy"
    assert len(partner.requests) == asked + 2  # of Prometheus, once more


def test_the_manuals_pagerduty_is_tried_and_says_what_is_missing(make_daemon,
                                                                 partner):
    """api_key alone, as the manual has it: it only asks for health."""
    partner.api_key = "rest"
    d = make_daemon(config={"integrations": {
        "health_interval": "1s",
        "pagerduty": {"api_url": partner.url, "api_key": "rest"}}})
    wait_until(lambda: "/abilities" in partner.paths(), what="the question")
    shown = d.post("/api/integrations/pagerduty/health")
    assert (shown["configured"], shown["missing"], shown["healthy"]) == (
        False, "routing_key", None)
    assert shown["health"] == "not_configured" and shown["last_check"]
    assert shown["error"] == (
        "PagerDuty integration: not configured (routing_key is not set; with "
        "the api_key alone nothing can be sent)")
    listed = next(r for r in d.get("/api/integrations/health")
                  if r["name"] == "pagerduty")
    assert listed["missing"] == "routing_key" and listed["error"]
    assert d.get("/api/integrations/pagerduty/test", status=409)["error"] == \
        shown["error"]
    partner.api_key = "another"
    bad = wait_health(d, "pagerduty", "unhealthy")
    assert bad["error"] == "PagerDuty integration: 401 Unauthorized"
    assert bad["healthy"] is False
    text = d.raw("GET", "/metrics")[2].decode()
    assert 'integration_failing{integration="pagerduty"} 1' in text
    partner.api_key = "rest"
    put(d, "pagerduty", {"url": partner.url,
                         "routing_key": "routing-key-0123456789"})
    wait_health(d, "pagerduty", "healthy")
    # What nobody has mentioned is missed by nobody.
    assert row(d, "slack")["error"] is None
    assert row(d, "slack")["missing"] == "webhook_url"


def test_one_question_serves_all_who_ask(make_daemon, partner):
    d = make_daemon(config={"integrations": {
        "health_interval": "1h", "alertmanager": {"url": partner.url}}})
    wait_health(d, "alertmanager", "healthy")
    before = len(partner.requests)
    health = "/api/integrations/alertmanager/health"
    partner.delay = 0.5
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: d.post(health), range(16)))
    assert all(a["healthy"] for a in answers)
    for _ in range(100):
        d.post(health)
    assert len(partner.requests) == before + 2  # the two of one check
    # Other settings are another question, also at once.
    partner.delay = 0
    partner.token = "wanted"
    put(d, "alertmanager", {"timeout": 3})
    wait_health(d, "alertmanager", "unhealthy")


def test_no_secret_goes_over_http_to_a_far_host(make_daemon, partner):
    far = "http://events.example.com"
    d = make_daemon(config={"integrations": {
        "pagerduty": {"url": far, "routing_key": "r"},
        "prometheus": {"url": far}}})
    shown = d.get("/api/integrations/pagerduty")
    assert shown["configured"] is False and "http" in shown["error"]
    assert "insecure_http" in shown["routing_key"]["problem"]
    refused = put(d, "prometheus", {"url": far, "bearer_token": "x"}, 400)
    assert "over http" in refused["error"]
    assert refused["detail"]["field"] == "bearer_token"
    refused = put(d, "slack", {"webhook_url": far + "/services/x"}, 400)
    assert "over http" in refused["error"]
    for body in ({"url": far, "bearer_token": "x", "insecure_http": True},
                 # as the manual prints it
                 {"url": "http://prometheus:9090", "bearer_token": "new-token",
                  "insecure_http": None},
                 {"url": "https://events.example.com", "bearer_token": "x"}):
        shown = put(d, "prometheus", body)
        assert shown["bearer_token"]["set"] and \
            shown["bearer_token"]["problem"] is None, body
    put(d, "prometheus", {"url": far, "bearer_token": "x",
                          "insecure_http": True})
    shown = put(d, "prometheus", {"insecure_http": False})
    assert "insecure_http" in shown["bearer_token"]["problem"]
    assert shown["configured"] is True  # it is asked, without the secret


def test_background_health_notices_both_ways(make_daemon, partner):
    d = make_daemon(config={"integrations": {
        "health_interval": "1s", "alertmanager": {"url": partner.url},
        "pagerduty": {"api_url": partner.url, "url": partner.url,
                      "api_key": "rest", "routing_key": "r"}}})
    partner.api_key = "rest"
    wait_health(d, "alertmanager", "healthy")
    wait_health(d, "pagerduty", "healthy")
    partner.token = "wanted"
    wait_health(d, "alertmanager", "unhealthy")
    text = d.raw("GET", "/metrics")[2].decode()
    assert 'integration_failing{integration="alertmanager"} 1' in text
    assert 'integration_failing{integration="slack"} 0' in text
    partner.token = None
    wait_health(d, "alertmanager", "healthy")


def test_tests_keep_to_the_rate_of_notices(daemon, partner):
    """Whoever asks in a loop gets no hook revoked."""
    put(daemon, "slack", {"webhook_url": partner.url + "/services/T/B/x"})
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: daemon.raw(
            "POST", "/api/integrations/slack/test"), range(12)))
    refused = [a for a in answers if a[0] == 429]
    assert refused and {a[0] for a in answers} <= {200, 429}
    assert len(partner.messages) == 12 - len(refused)
    for _, headers, body in refused:
        assert json.loads(body)["code"] == "too_many_tests"
        assert 1 <= int(headers["Retry-After"]) <= 12
    tried(daemon, "slack")
    assert row(daemon, "slack")["health"] == "healthy"


def test_pagerduty_and_slack_are_tried_for_real(daemon, partner):
    put(daemon, "pagerduty", {"api_key": "your-api-key",
                              "routing_key": "your-routing-key"})
    put(daemon, "pagerduty", {"url": partner.url,
                              "routing_key": "routing-key-0123456789"})
    assert tried(daemon, "pagerduty")["requests"] == 2
    assert list(partner.incidents.values()) == ["resolved"]
    put(daemon, "slack", {"webhook_url": partner.url + "/services/T/B/secret",
                          "channel": "#ops"})
    tried(daemon, "slack")
    assert partner.messages[0]["channel"] == "#ops"
    assert row(daemon, "slack")["health"] == "healthy"
    assert row(daemon, "slack")["url"] == partner.url
    assert partner.refused == []
    put(daemon, "slack", {"webhook_url": partner.url + "/gone"})
    failed = tried(daemon, "slack", 502)
    assert failed["error"] == "Slack integration: 404 Not Found"


def forms_of(secret):
    """The secret as somebody might have written it down."""
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        yield coded[-(-shift * 8 // 6) + 1:-4]
    yield urllib.parse.quote(secret, safe="").encode()


def test_planted_secrets_are_nowhere(make_daemon, partner, tmp_path):
    planted = {"file": "File/Token+Planted=One~1", "api": "Api/Token+Two=2~",
               "hook": "Hook/Secret+Three~3", "key": "Routing/Key+Four=4~"}
    d = make_daemon(config={
        "log": {"level": "debug"},
        "integrations": {"alertmanager": {"url": partner.url,
                                          "bearer_token": planted["file"]}},
        "backup": {"directory": str(tmp_path / "backups")}})
    put(d, "prometheus", {"url": partner.url, "bearer_token": planted["api"]})
    put(d, "slack", {"webhook_url":
                     f"{partner.url}/services/{planted['hook']}"})
    put(d, "pagerduty", {"url": partner.url, "routing_key": planted["key"]})
    seen = [json.dumps(tried(d, name, status)).encode()
            for name, status in (("pagerduty", 502), ("slack", 200))]
    for name in NAMES:
        for path in ("", "/health", "/test"):
            seen.append(d.raw("GET", f"/api/integrations/{name}{path}")[2])
    for path in ("/api/integrations", "/api/integrations/health",
                 "/api/admin/audit", "/api/health", "/api/metrics",
                 "/metrics", "/", "/api/openapi.json"):
        seen.append(d.raw("GET", path)[2])
    assert any(planted["api"] in r[2].get("Authorization", "")
               for r in partner.requests)
    sql = sqlite3.connect(os.path.join(d.folder, "state/engine.db"))
    seen.append(repr(sql.execute("SELECT * FROM setting").fetchall()).encode())
    sql.close()
    adctl(d, "backup", "make", "--config", d.config_path)
    seen.append(subprocess.run(["ps", "axwwo", "args"], check=True,
                               capture_output=True).stdout)
    d.stop()
    files = [os.path.join(folder, name)
             for top in (d.folder, str(tmp_path / "backups"))
             for folder, _, names in os.walk(top) for name in names]
    for path in files:
        if path != d.config_path and os.path.isfile(path):
            with open(path, "rb") as f:
                seen.append(f.read())
    assert len(files) > 5
    for secret in planted.values():
        for form in forms_of(secret):
            assert not [s for s in seen if form in s], (secret, form)


def test_adctl_integration(daemon, partner, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    partner.token = "s3cret"
    shown = adctl(daemon, "integration", "set", "prometheus",
                  f"url={partner.url}", "timeout=5", f"bearer_token@{token}")
    assert "set (api)" in shown.stdout and "s3cret" not in shown.stdout
    refused = adctl(daemon, "integration", "set", "prometheus",
                    "bearer_token=x", check=False)
    assert refused.returncode == 2 and "bearer_token@-" in refused.stderr
    assert "ok" in adctl(daemon, "integration", "test", "prometheus").stdout
    listed = adctl(daemon, "integration", "list").stdout
    assert max(len(line) for line in listed.splitlines()) <= 80
    assert "prometheus" in listed and "healthy" in listed
    partner.token = "another"
    bad = adctl(daemon, "integration", "health", "prometheus", check=False)
    assert bad.returncode == 1 and "401 Unauthorized" in bad.stdout
    assert adctl(daemon, "integration", "health", check=False).returncode == 1
    assert adctl(daemon, "integration", "test", "prometheus",
                 check=False).returncode == 1
    for verb, word in (("disable", "disabled"), ("enable", "un"),
                       ("pause", "paused"), ("resume", "un")):
        got = adctl(daemon, "integration", verb, "prometheus").stdout
        assert got.startswith("prometheus: ") and word in got
    as_json = json.loads(adctl(daemon, "integration", "show", "prometheus",
                               "-o", "json").stdout)
    assert as_json["name"] == "prometheus" and as_json["timeout"] == 5
    missing = adctl(daemon, "integration", "show", "nix", check=False)
    assert missing.returncode == 5 and "metrics-scraper" in missing.stderr


def test_real_prometheus_and_alertmanager(daemon, tmp_path):
    ports = [free_port(), free_port()]
    (tmp_path / "p.yml").write_text("scrape_configs: []\n")
    (tmp_path / "a.yml").write_text(
        "route: {receiver: none}\nreceivers: [{name: none}]\n")
    programs = [
        subprocess.Popen(["prometheus", f"--config.file={tmp_path}/p.yml",
                          f"--storage.tsdb.path={tmp_path}/p",
                          f"--web.listen-address=127.0.0.1:{ports[0]}"],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
        subprocess.Popen(["prometheus-alertmanager",
                          f"--config.file={tmp_path}/a.yml",
                          f"--storage.path={tmp_path}/a",
                          "--cluster.listen-address=",
                          f"--web.listen-address=127.0.0.1:{ports[1]}"],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
    try:
        for name, port in zip(NAMES, ports):
            put(daemon, name, {"url": f"http://127.0.0.1:{port}"})

            def works(name=name):
                return daemon.raw(
                    "GET", f"/api/integrations/{name}/test")[0] == 200
            wait_until(works, 60, f"the real {name}")
            assert daemon.get(f"/api/integrations/{name}/health")["healthy"]
    finally:
        for p in programs:
            p.terminate()
        for p in programs:
            p.wait()
