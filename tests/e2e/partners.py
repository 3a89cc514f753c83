"""Partner systems as they are towards us: a local server that enforces their
rules (bodies, limits, credentials, deduplication) and fails when told to."""
import http.server
import json
import threading
import time
import urllib.parse

PAGERDUTY_BODY_MAX = 512 * 1024
SEVERITIES = ("critical", "error", "warning", "info")


class Partner:
    """All of them on one port. `script` holds answers that come before the
    rules: (status, headers, body), or None for the rules."""

    def __init__(self, port=0):
        self.lock = threading.Lock()
        self.requests = []   # (method, path, headers, body) as they came
        self.script = []     # the next answers
        self.fixed = {}      # path -> answer, whatever the rules say
        self.token = None    # that Prometheus and Alertmanager ask for
        self.api_key = None  # of PagerDuty's REST API
        self.keys = {"routing-key-0123456789"}
        self.incidents = {}  # dedup_key -> "open" or "resolved"
        self.opened = []     # dedup keys in order: one for each incident
        self.messages = []   # Slack's
        self.refused = []    # (path, why): rules that we broke
        self.delay = 0       # seconds between taking and answering
        self.metrics = ""    # what /metrics says
        self.metrics_type = "text/plain; version=0.0.4; charset=utf-8"
        # As published: (calls, seconds), in any such span.
        self.rate = {"pagerduty": [(120, 60)], "slack": [(63, 60), (5, 1)]}
        self.seen = {}
        self.limited = 0     # answers 429 by these rules
        handler = type("Handler", (Handler,), {"partner": self})
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", port), handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def paths(self):
        with self.lock:
            return [r[1] for r in self.requests]

    # ---- rules: (status, headers, body) -----------------------------------

    def refuse(self, path, why, status=400, body=None):
        self.refused.append((path, why))
        return status, {}, body if body is not None else why

    def too_often(self, who):
        now = time.monotonic()
        seen = [t for t in self.seen.get(who, []) if t > now - 60]
        self.seen[who] = seen + [now]
        if any(sum(t > now - seconds for t in seen) >= calls
               for calls, seconds in self.rate.get(who, [])):
            self.limited += 1
            return True
        return False

    def pagerduty(self, path, headers, body):
        def bad(*errors):
            return self.refuse(path, errors, 400, json.dumps({
                "status": "invalid event", "message": "Event object is invalid",
                "errors": errors}))
        if len(body) > PAGERDUTY_BODY_MAX:
            return self.refuse(path, "too large", 413)
        if headers.get("Content-Type") != "application/json":
            return bad("content type")
        try:
            e = json.loads(body)
        except ValueError:
            return bad("not JSON")
        action, key = e.get("event_action"), e.get("dedup_key", "")
        if e.get("routing_key") not in self.keys:
            return bad("routing_key")
        if action not in ("trigger", "acknowledge", "resolve"):
            return bad("event_action")
        if len(key) > 255 or (action != "trigger" and not key):
            return bad("dedup_key")
        p = e.get("payload", {})
        if action == "trigger" and (
                not 0 < len(p.get("summary", "")) <= 1024
                or not p.get("source") or p.get("severity") not in SEVERITIES
                or not isinstance(p.get("custom_details", {}), dict)):
            return bad("payload")
        if self.too_often("pagerduty"):
            return 429, {"Retry-After": "1"}, "slow down"
        if action == "trigger" and self.incidents.get(key) != "open":
            self.incidents[key] = "open"
            self.opened.append(key)
        elif action == "resolve" and key in self.incidents:
            self.incidents[key] = "resolved"
        return 202, {}, json.dumps({"status": "success", "dedup_key": key,
                                    "message": "Event processed"})

    def slack(self, path, _headers, body):
        try:
            m = json.loads(body)
        except ValueError:
            return self.refuse(path, "invalid_payload")
        text = m.get("text")
        if not isinstance(text, str) or not text:
            return self.refuse(path, "no_text")
        limits = {"header": 150, "section": 3000}
        for block in m.get("blocks", []):
            limit = limits.get(block.get("type"), 2000)
            texts = [block["text"]] if "text" in block else block["elements"]
            if any(not 0 < len(t["text"]) <= limit for t in texts):
                return self.refuse(path, "invalid_blocks")
        if len(m.get("blocks", [])) > 50 or len(text) > 40000:
            return self.refuse(path, "invalid_blocks")
        if self.too_often("slack"):
            return 429, {"Retry-After": "1"}, "rate_limited"
        self.messages.append(m)
        return 200, {}, "ok"

    def authorised(self, headers):
        return self.token is None or \
            headers.get("Authorization") == f"Bearer {self.token}"

    def answer(self, method, path, headers, body):
        with self.lock:
            self.requests.append((method, path, headers, body))
            if self.script:
                scripted = self.script.pop(0)
                if scripted is not None:
                    return scripted
            bare = urllib.parse.urlsplit(path).path
            if bare in self.fixed:
                return self.fixed[bare]
            if method == "POST" and bare == "/v2/enqueue":
                return self.pagerduty(path, headers, body)
            if method == "POST" and bare.startswith("/services/"):
                return self.slack(path, headers, body)
            if bare == "/abilities":
                good = headers.get("Authorization") == \
                    f"Token token={self.api_key}"
                return (200 if good else 401), {}, '{"abilities": []}'
            if bare == "/-/healthy":
                return 200, {}, "Healthy."
            if bare == "/metrics":
                good = self.authorised(headers)
                return (200 if good else 401), {
                    "Content-Type": self.metrics_type}, self.metrics
            if not self.authorised(headers):
                return 401, {}, "Unauthorized"
            if bare == "/api/v1/query":
                return 200, {}, json.dumps({
                    "status": "success",
                    "data": {"resultType": "vector", "result": []}})
            if bare == "/api/v2/status":
                return 200, {}, json.dumps({"cluster": {"status": "ready"}})
            return 404, {}, "no_service"


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""
    protocol_version = "HTTP/1.1"
    partner = None

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, text = self.partner.answer(
            self.command, self.path, dict(self.headers.items()), body)
        if status == 0:  # hang up without an answer
            self.close_connection = True
            return
        time.sleep(self.partner.delay)
        data = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = serve

    def log_message(self, *_args):  # pylint: disable=arguments-differ
        pass
