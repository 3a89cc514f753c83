"""Hostile JSON in the body of a request: an answer that says so, no event."""
import json
import os
import re

import pytest

CASES = os.path.join(os.path.dirname(__file__), "..", "fixtures", "json",
                     "cases.tsv")


def unescape(text):
    return re.sub(rb"\\\\|\\x([0-9a-f]{2})",
                  lambda m: bytes.fromhex(m[1].decode()) if m[1] else b"\\",
                  text.encode("ascii"))


def read_cases():
    with open(CASES, encoding="ascii") as f:
        for line in f:
            if not line.startswith("#"):
                name, verdict, _, times, text = line.rstrip("\n").split("\t")
                yield name, verdict, unescape(text) * int(times)


@pytest.fixture
def engine(make_daemon):
    d = make_daemon()
    return d


def accepted(d):
    return d.get("/api/metrics")["ledger"]["accepted"]


@pytest.mark.parametrize("before, after", [
    (b'{"type": "json", "payload": {"v": ', b"}}"),
    (b'[{"type": "json", "payload": {"v": ', b"}}]"),
], ids=["object", "list"])
def test_a_value_in_an_event(engine, before, after):
    wrong = []
    expected = 0
    for name, verdict, text in read_cases():
        status, _, body = engine.raw("POST", "/api/events",
                                     before + text + after)
        expected += status == 202
        wanted = {"accept": {202}, "reject": {400, 413},
                  "either": {202, 400}}[verdict]
        if status not in wanted or \
                (status != 202 and "error" not in json.loads(body)):
            wrong.append((name, verdict, status, body))
    assert not wrong
    assert accepted(engine) == expected


def test_the_whole_body(engine):
    """None of them is an event, so nothing is stored, whoever asks."""
    for path in ("/api/events", "/api/events/alertmanager",
                 "/api/runbooks/execute", "/api/v2/alerts"):
        for name, _, text in read_cases():
            status, _, body = engine.raw(
                "POST", path, text,
                headers={"Content-Type": "application/json"})
            # An empty list of events or alerts is none of them.
            assert status in (400, 413, 422) or text.strip() == b"[]", \
                (path, name, status, body)
            assert status < 500, (path, name, status, body)
    assert accepted(engine) == 0
