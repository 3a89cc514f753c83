import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


class FakeEngine:
    """Answers paths with (status, JSON or bytes); notes what was asked."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                fake.asked.append((self.path, dict(self.headers)))
                status, body = fake.answers.get(
                    self.path, (404, {"error": f"no route {self.path}",
                                      "code": "not_found"}))
                data = body if isinstance(body, bytes) \
                    else json.dumps(body).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def well():
    """Answers of an engine that has nothing to do."""
    return {
        "/api/health": (200, {"status": "ok", "checks": {
            "store": {"ok": True}, "executor": {"ok": True},
            "queue": {"ok": True, "depth": 3, "limit": 100,
                      "paused": False}}}),
        "/api/metrics": (200, {
            "event_types": {"alert": 5}, "events_per_minute": 5,
            "events_processed_per_second": 0.5,
            "processing_errors_last_hour": 0,
            "ledger": {"accepted": 5,
                       "events": {"queued": 3, "processed": 2, "poison": 0,
                                  "drained": 0}}}),
        "/api/events/stats": (200, {
            "total": 5, "last_hour": 5, "last_24h": 5,
            "by_status": {"queued": 3, "processed": 2},
            "by_type": {"alert": 5}, "by_severity": {"critical": 5},
            "by_source": {"prometheus": 5}}),
        "/api/admin/workers": (200, {"workers": [
            {"id": 0, "status": "idle"}, {"id": 1, "status": "busy"}]}),
    }


@pytest.fixture
def engine(monkeypatch):
    fake = FakeEngine()
    fake.answers.update(well())
    monkeypatch.setenv("AD_SERVER", fake.url)
    monkeypatch.delenv("AD_TOKEN_FILE", raising=False)
    # A proxy of the environment would see the token.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    yield fake
    fake.close()
