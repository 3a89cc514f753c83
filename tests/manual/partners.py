#!/usr/bin/env python3
"""Plays Prometheus (9090) and Alertmanager (9093) on the host under test.

While /root/refuse exists, Prometheus wants the token that it holds.
"""
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REFUSE = "/root/refuse"


def refused(headers):
    if not os.path.exists(REFUSE):
        return False
    with open(REFUSE, encoding="ascii") as f:
        return headers.get("Authorization") != f"Bearer {f.read().strip()}"


class Prometheus(BaseHTTPRequestHandler):
    def do_GET(self):
        if refused(self.headers):
            self.answer(401, "Unauthorized")
        elif self.path.startswith("/api/v1/query"):
            self.answer(200, json.dumps({
                "status": "success",
                "data": {"resultType": "vector", "result": []}}))
        else:
            self.answer(200, "Prometheus Server is Healthy.\n")

    def answer(self, status, text):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json"
                         if text.startswith("{") else "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args):
        pass


class Alertmanager(Prometheus):
    def do_GET(self):
        self.answer(200, json.dumps({
            "cluster": {"status": "disabled", "peers": []},
            "versionInfo": {"version": "0.25.0"},
            "config": {"original": ""}, "uptime": "2026-01-01T00:00:00Z"})
            if self.path == "/api/v2/status" else "OK")


def main():
    for port, kind in ((9090, Prometheus), (9093, Alertmanager)):
        server = ThreadingHTTPServer(("127.0.0.1", port), kind)
        threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main()
