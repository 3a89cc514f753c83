"""filter=EXPR: one evaluator for every list, in the API and in adctl."""
import json
import urllib.parse

import pytest

from harness import adctl, poisoned, wait_until

ONE = """
name: One
description: Say it once
category: test
triggers:
  - {type: say}
parameters:
  word: {type: string, secret: true, default_from_nowhere: x}
steps:
  - {name: One, action: exec, command: echo first}
""".replace(", default_from_nowhere: x", "")

# More than one evaluation may cost: it fails for every row.
COSTLY = ("[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, "
          "[0,1,2,3,4,5,6,7,8,9].all(c, [0,1,2,3,4,5,6,7,8,9].all(d, "
          "[0,1,2,3,4,5,6,7,8,9].all(e, a + b + c + d + e >= 0)))))")


@pytest.fixture
def engine(make_daemon):
    d = make_daemon({"one.yaml": ONE})
    d.wait_executor()
    return d


def ask(d, path, expr, status=200, **more):
    query = urllib.parse.urlencode({"filter": expr, **more})
    return d.get(f"{path}?{query}", status)


def values(answer):
    return [e.get("value") for e in answer["events"]]


def test_events(engine):
    for n in range(10):
        engine.event(type="metric", value=n, metric_name="load",
                     labels={"host": f"db-{n % 3}"} if n % 2 else {},
                     payload={"n": [n]})
    a = ask(engine, "/api/events", "event.value >= 7")
    assert values(a) == [9, 8, 7]
    assert a["filter"] == {"looked_at": 10, "failed": 0,
                           "first_failure": None, "warnings": []}
    assert a["next_cursor"] is None
    # The plain parameters hold as well, and limit counts what is shown.
    a = ask(engine, "/api/events", "event.value < 5", limit=2, type="metric")
    assert values(a) == [4, 3] and a["filter"]["looked_at"] == 7
    a = ask(engine, "/api/events", "event.value < 5", limit=2,
            cursor=a["next_cursor"])
    assert values(a) == [2, 1]
    assert values(ask(engine, "/api/events/recent",
                      "event.payload.n[0] == 3 && "
                      "event.received_at > now - duration('1h')")) == [3]
    wait_until(lambda: values(ask(engine, "/api/events",
                                  "event.status == 'processed'",
                                  limit=10)) == list(range(9, -1, -1)))
    assert "filter" not in engine.get("/api/events")


def test_a_missing_label_is_no_match_and_not_silent(engine):
    engine.event(type="metric", value=1, labels={"env": "prod"})
    engine.event(type="metric", value=2)
    a = ask(engine, "/api/events", "event.labels.env == 'prod'")
    assert values(a) == [1]
    f = a["filter"]
    assert (f["looked_at"], f["failed"]) == (2, 1)
    assert f["first_failure"]["message"] == "no such key: 'env'"
    assert "unguarded label access" in f["warnings"][0]["message"]
    a = ask(engine, "/api/events", "event.labels[?'env'] == "
            "optional.of('prod')")
    assert values(a) == [1] and a["filter"]["failed"] == 0
    p = adctl(engine, "event", "list", "-o", "name", "--filter",
              "event.labels.env == 'prod'")
    assert len(p.stdout.split()) == 1
    assert "1 of 2 rows are left out: the filter fails at 1:14: no such key: 'env'" in p.stderr, p.stderr
    assert ".?env" in p.stderr


@pytest.mark.parametrize("expr, message", [
    ("event.lables.env == 'x'", "1:7: there is no field 'lables'"),
    ("event.value", "1:7: this must give bool, and gives double"),
    ("event.value >", "1:14:"),
    ("parameters.x == 1", "1:1:"),
    ("", "1:1:"),
    ("true || " * 600 + "true", "4096"),
])
def test_a_wrong_filter_is_refused_with_its_place(engine, expr, message):
    e = ask(engine, "/api/events", expr, 400)
    assert e["code"] == "filter_invalid" and e["detail"]["field"] == "filter"
    assert message in e["error"]
    assert "\n" in e["detail"]["picture"]


def test_did_you_mean(engine):
    e = ask(engine, "/api/events", "event.lables.env == 'x'", 400)
    assert e["error"].endswith("(did you mean labels?)")
    p = adctl(engine, "event", "list", "--filter", "event.lables.env == 'x'",
              check=False)
    assert p.returncode == 2 and p.stdout == ""
    assert "  event.lables.env == 'x'\n        ^\n" in p.stderr
    assert "did you mean labels?" in p.stderr


def test_a_request_is_bounded_and_goes_on_at_the_cursor(engine):
    batch = [{"type": "metric", "value": n} for n in range(250)]
    engine.post("/api/events", batch)
    a = ask(engine, "/api/events", COSTLY, limit=100)
    # 20,000,000 units, of which one row gets 100,000, and some for reading it;
    # it ends while there are enough for one more.
    assert a["filter"]["looked_at"] == 199
    assert a["filter"]["failed"] == 199 and a["events"] == []
    assert "budget" in a["filter"]["first_failure"]["message"]
    b = ask(engine, "/api/events", "event.value >= 0", limit=100,
            cursor=a["next_cursor"])
    assert values(b) == list(range(50, -1, -1))
    # adctl goes on by itself until it has what was asked for.
    p = adctl(engine, "event", "list", "-o", "json", "--filter",
              f"event.value < 3 || {COSTLY}", "-n", "2")
    assert [e["value"] for e in json.loads(p.stdout)["items"]] == [2, 1]
    assert "247 of 249 rows" in p.stderr


def test_workflows_show_and_filter_the_same(engine):
    w = engine.post("/api/runbooks/execute", {
        "runbook": "one.yaml", "parameters": {"word": "s3same-s3same"}})
    engine.wait_status(w["workflow_id"], "succeeded")
    engine.event(type="say")
    wait_until(lambda: len(engine.get("/api/workflows")["workflows"]) == 2)

    def ids(expr):
        a = ask(engine, "/api/workflows", expr)
        assert a["filter"]["failed"] == 0, a["filter"]
        return [x["id"] for x in a["workflows"]]

    assert ids("workflow.event_id == ''") == [w["workflow_id"]]
    assert len(ids("workflow.created_at > now - duration('1h')")) == 2
    assert ids("has(workflow.duration_seconds) && "
               "workflow.duration_seconds < 100.0 && workflow.result == "
               "'unverified' && workflow.event_id == ''") != []
    # What is not shown cannot be guessed either.
    assert ids("workflow.parameters[?'word'] == optional.of('***')") != []
    assert ids("workflow.parameters[?'word'] == "
               "optional.of('s3same-s3same')") == []
    p = adctl(engine, "workflow", "list", "-o", "name", "--filter",
              "workflow.requested_by != 'trigger'")
    assert p.stdout.split() == [w["workflow_id"]]
    a = ask(engine, f"/api/workflows/{w['workflow_id']}/logs",
            "chunk.text.contains('first')")
    assert len(a["logs"]) == 1
    assert ask(engine, f"/api/workflows/{w['workflow_id']}/logs",
               "false")["logs"] == []


def test_every_other_list(engine, make_daemon):
    def rows(path, member, expr, count):
        a = ask(engine, path, expr)
        assert len(a[member]) == count, (path, expr, a)
        assert a["filter"]["failed"] == 0

    rows("/api/runbooks", "runbooks", "runbook.category == 'test'", 1)
    rows("/api/runbooks", "runbooks",
         "runbook.parameters.exists(p, !p.secret)", 0)
    rows("/api/admin/workers", "workers", "worker.status == 'none'", 0)
    rows("/api/admin/workers", "workers", "worker.id == 0", 1)
    rows("/api/slo", "slos", "slo.name == 'none'", 0)
    rows("/api/slo", "slos", "slo.target > 0.0 && slo.name != ''",
         engine.get("/api/slo")["count"])
    rows("/api/metrics/runbook-performance", "runbooks", "true", 0)
    rows("/api/integrations/slack/outbox", "notices", "notice.seq > 0", 0)
    engine.post("/api/runbooks/disable", {"runbook": "one.yaml"})
    rows("/api/admin/audit", "audit", "audit.action == 'runbook.disable' && "
         "audit.subject == 'one.yaml'", 1)
    rows("/api/admin/audit", "audit", "audit.before == 'x'", 0)
    engine.post("/api/incidents/missed", {"summary": "the disk of db-1"},
                status=(201,))
    rows("/api/incidents/missed", "missed",
         "missed.summary.contains('db-1')", 1)
    rows("/api/incidents/missed", "missed", "missed.recorded_at > now", 0)
    query = urllib.parse.urlencode({"filter": "integration.name == 'slack'"})
    (slack,) = engine.get("/api/integrations?" + query)
    assert slack["name"] == "slack"
    assert len(engine.get("/api/integrations/health?" + query)) == 1
    query = urllib.parse.urlencode({"filter": "integration.healthy"})
    e = engine.get("/api/integrations?" + query, 400)
    assert e["code"] == "filter_invalid" and "for a row" in e["error"]
    p = adctl(engine, "audit", "list", "--filter", "audit.who == 'nobody'",
              "-o", "name")
    assert p.stdout == ""
    p = adctl(engine, "integration", "list", "-o", "name", "--filter",
              "integration.name.startsWith('s')")
    assert p.stdout == "slack\n"


def test_poison_messages(make_daemon):
    d, ids = poisoned(make_daemon, 1)
    a = ask(d, "/api/admin/poison-messages", "event.error != ''")
    assert [e["id"] for e in a["poison_messages"]] == list(ids)
    assert ask(d, "/api/admin/poison-messages",
               "event.type == 'none'")["poison_messages"] == []
    p = adctl(d, "poison", "list", "-o", "name", "--filter",
              "event.attempts > 100")
    assert p.stdout == ""
