"""The measures: each method gives one or more rows of the table."""
import http.client
import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time

import engine

EVENT = {
    "type": "metric", "severity": "warning", "source": "prometheus",
    "metric_name": "cpu_usage_percent", "value": 95,
    "labels": {"alertname": "HighCPU", "instance": "server-01:9100",
               "job": "node", "severity": "warning", "env": "production"},
    "annotations": {"summary": "CPU usage is above ninety percent here"},
}

TRUE_RUNBOOK = """\
name: Bench
category: test
triggers:
  - type: alert
    labels: {alertname: Bench}
steps:
  - name: nothing
    action: exec
    argv: [/bin/true]
"""


def row(name, ours, baseline, ratio, bar, ok):
    return {"name": name, "ours": ours, "baseline": baseline, "ratio": ratio,
            "bar": bar, "ok": ok}


def rate(n):
    return f"{n:,.0f}/s"


class Bench:
    def __init__(self, root, build, quick):
        self.root = root
        self.build = build
        self.quick = quick
        self.rounds = 1 if quick else 3
        self.seconds = 2 if quick else 6

    def run(self, only):
        rows = []
        for method in [self.single, self.sustained, self.batches, self.latency,
                       self.workflows, self.matching, self.condition,
                       self.backtest,
                       self.retention,
                       self.idle]:
            name = method.__name__
            if only and not any(o in name for o in only):
                continue
            print(f"measuring {name} ...", file=os.sys.stderr, flush=True)
            rows += method()
        return rows

    # ---- load -------------------------------------------------------------

    def wrk(self, port, body, seconds, path="/api/events", connections=64):
        """Requests answered 2xx per second, and all others."""
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write('wrk.method = "POST"\nwrk.body = [==[' + body +
                         ']==]\nwrk.headers["Content-Type"] = '
                         '"application/json"\n')
            script.flush()
            out = subprocess.run(
                ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                 "--timeout", "10s", "-s", script.name,
                 f"http://127.0.0.1:{port}{path}"],
                capture_output=True, text=True, check=True).stdout
        total = int(re.search(r"(\d+) requests in", out).group(1))
        took = float(re.search(r"requests in ([\d.]+)s", out).group(1))
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        bad = int(bad.group(1)) if bad else 0
        return (total - bad) / took, bad

    def bare_http(self):
        port = engine.free_port()
        p = subprocess.Popen([os.path.join(self.build, "bench/bare_http"),
                              str(port)])
        engine.wait_port(port)
        return p, port

    def against_bare_http(self, seconds):
        """Medians of our durable POSTs and of the bare handler's."""
        body = json.dumps(EVENT)
        ours, bare = [], []
        for _ in range(self.rounds):
            p, port = self.bare_http()
            bare.append(self.wrk(port, body, seconds)[0])
            p.kill()
            p.wait()
            e = engine.Engine(self.build)
            e.start()
            ours.append(self.wrk(e.port, body, seconds)[0])
            e.close()
        return statistics.median(ours), statistics.median(bare)

    # ---- measures ---------------------------------------------------------

    def single(self):
        ours, bare = self.against_bare_http(self.seconds)
        ratio = ours / bare
        return [row("durable single POST, 64 connections", rate(ours),
                    rate(bare) + " bare handler", f"{ratio:.2f}", ">= 0.30",
                    ratio >= 0.30)]

    def sustained(self):
        seconds = 10 if self.quick else 30
        p, port = self.bare_http()
        bare = self.wrk(port, json.dumps(EVENT), self.seconds)[0]
        p.kill()
        p.wait()
        e = engine.Engine(self.build, engine="  event_processing: {}")
        e.start()
        depths = []
        done = threading.Event()

        def watch():
            while not done.wait(0.5):
                depths.append(e.metrics()["event_queue_depth"])
        watcher = threading.Thread(target=watch)
        watcher.start()
        begin = time.monotonic()
        accepted, refused = self.wrk(e.port, json.dumps(EVENT), seconds)
        done.set()
        watcher.join()
        while e.metrics()["event_queue_depth"] != 0:
            time.sleep(0.01)
        took = time.monotonic() - begin
        processed = accepted * seconds / took
        half = len(depths) // 2
        first = statistics.mean(depths[:half] or [0])
        last = statistics.mean(depths[half:] or [0])
        grows = last > 2 * first + 1000
        e.close()
        ratio = processed / bare
        return [row(f"accepted and processed, {seconds} s", rate(processed),
                    rate(bare) + " bare handler", f"{ratio:.2f}", ">= 0.20",
                    ratio >= 0.20 and not grows),
                row("  queue depth, first and second half",
                    f"{first:.0f}, {last:.0f}",
                    f"{refused} refused (503)", "", None, True)]

    def batches(self):
        body = json.dumps([EVENT] * 100)
        ours, bare = [], []
        for _ in range(self.rounds):
            with tempfile.TemporaryDirectory(prefix="adp-bench.") as folder:
                out = subprocess.run(
                    [os.path.join(self.build, "bench/bare_sqlite"),
                     os.path.join(folder, "bare.db"),
                     "100000" if self.quick else "400000"],
                    capture_output=True, text=True, check=True).stdout
                bare.append(float(out))
            e = engine.Engine(self.build)
            e.start()
            ours.append(100 * self.wrk(e.port, body, self.seconds,
                                       connections=8)[0])
            e.close()
        o, b = statistics.median(ours), statistics.median(bare)
        return [row("durable ingest in batches of 100", rate(o),
                    rate(b) + " bare SQLite", f"{o / b:.2f}", ">= 0.50",
                    o / b >= 0.50)]

    def latency(self):
        stamps = os.path.join(tempfile.mkdtemp(prefix="adp-bench."), "stamps")
        runbook = f"""\
name: Stamp
category: test
parameters:
  name: {{type: string, required: true}}
triggers:
  - type: alert
    labels: {{alertname: Stamp}}
    parameters: {{name: "${{{{ event.labels.name }}}}"}}
steps:
  - name: stamp
    action: exec
    argv: ["{self.build}/bench/stamp", "{stamps}",
           "${{{{ parameters.name }}}}"]
"""
        e = engine.Engine(self.build, {"stamp.yaml": runbook})
        e.start()
        c = http.client.HTTPConnection("127.0.0.1", e.port)
        count = 400 if self.quick else 4000
        accepted = {}
        begin = time.monotonic()
        for i in range(count):
            pause = begin + i / 200 - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            c.request("POST", "/api/events", json.dumps(
                {"type": "alert", "labels": {"alertname": "Stamp",
                                             "name": f"n{i}"}}))
            c.getresponse().read()
            accepted[f"n{i}"] = time.time_ns()
        started = {}
        end = time.monotonic() + 30
        while len(started) < count and time.monotonic() < end:
            time.sleep(0.2)
            with open(stamps, encoding="ascii") as f:
                for line in f:
                    ns, name = line.split()
                    started[name] = int(ns)
        e.close()
        late = sorted((started[n] - accepted[n]) / 1e6 for n in started)
        if len(late) < count:
            return [row("accepted to step started", "lost steps", "", "",
                        "all", False)]
        p50, p99 = late[len(late) // 2], late[len(late) * 99 // 100]
        return [row("accepted to step started at 200/s, p50",
                    f"{p50:.2f} ms", "", "", "< 3 ms", p50 < 3),
                row("accepted to step started at 200/s, p99",
                    f"{p99:.2f} ms", "", "", "< 20 ms", p99 < 20)]

    def workflows(self):
        count = 1000 if self.quick else 4000
        ours, bare = [], []
        for _ in range(self.rounds):
            out = subprocess.run(
                [os.path.join(self.build, "bench/bare_spawn"), str(count),
                 "20"], capture_output=True, text=True, check=True).stdout
            bare.append(float(out))
            e = engine.Engine(self.build, {"true.yaml": TRUE_RUNBOOK})
            e.start()
            begin = time.monotonic()
            one = {"type": "alert", "labels": {"alertname": "Bench"}}
            for _ in range(0, count, 100):
                e.post("/api/events", [one] * 100)
            while True:
                m = e.metrics()
                if m["ledger"]["workflows"]["succeeded"] >= count:
                    break
                time.sleep(0.05)  # asking costs CPU that the engine needs
            ours.append(count / (time.monotonic() - begin))
            e.close()
        o, b = statistics.median(ours), statistics.median(bare)
        return [row("workflows of one /bin/true step", rate(o),
                    rate(b) + " bare spawn", f"{o / b:.2f}", ">= 0.60",
                    o / b >= 0.60)]

    def matching(self):
        ns = {}
        for _ in range(self.rounds):
            for n in (10, 10000):
                out = subprocess.run(
                    [os.path.join(self.build, "bench/match_bench"), str(n)],
                    capture_output=True, text=True, check=True).stdout
                ns.setdefault(n, []).append(float(out))
        small, large = (statistics.median(ns[n]) for n in (10, 10000))
        return [row("matching, 10,000 runbooks loaded", f"{large:.0f} ns",
                    f"{small:.0f} ns with 10", f"{large / small:.2f}",
                    "<= 2.00", large <= 2 * small)]

    def condition(self):
        ours, bare = map(float, subprocess.run(
            [os.path.join(self.build, "bench/cel_bench")],
            capture_output=True, text=True, check=True).stdout.split())
        return [row("evaluating a typical condition", f"{ours:.0f} ns",
                    f"{bare:.0f} ns by hand in C", f"{ours / bare:.1f}",
                    "< 250 ns", ours < 250)]

    def backtest(self):
        """Stored events against a draft, with the command that people use."""
        count = 50000 if self.quick else 500000
        draft = ("name: Draft\ntriggers:\n  - type: alert\n"
                 "    labels: {alertname: HighCPU}\n"
                 "    dedup: labels.instance\n    cooldown: 30m\n"
                 "steps:\n  - {name: nothing, argv: [/bin/true]}\n")
        with tempfile.TemporaryDirectory() as folder:
            state = os.path.join(folder, "state")
            os.mkdir(state, 0o700)
            bare = float(subprocess.run(
                [os.path.join(self.build, "bench/backtest_bench"), state,
                 str(count)], capture_output=True, text=True,
                check=True).stdout)
            config = os.path.join(folder, "config.yaml")
            with open(config, "w", encoding="utf-8") as f:
                f.write(f"storage: {{url: 'sqlite://{state}/engine.db'}}\n")
            path = os.path.join(folder, "draft.yaml")
            with open(path, "w", encoding="utf-8") as f:
                f.write(draft)
            rates = []
            for _ in range(self.rounds):
                begin = time.monotonic()
                out = subprocess.run(
                    [os.path.join(self.build, "adctl"), "runbook", "backtest",
                     path, "--since", "300d", "--config", config, "-o",
                     "json"], capture_output=True, text=True, check=True)
                rates.append(count / (time.monotonic() - begin))
                report = json.loads(out.stdout)
                assert report["events"] == count, report["events"]
                assert report["matched"] == count // 10, report["matched"]
        ours = statistics.median(rates)
        return [row("back-test of stored events", rate(ours),
                    rate(bare) + " rows read by SQLite alone",
                    f"{ours / bare:.2f}", ">= 100,000/s", ours >= 100000)]

    @staticmethod
    def timed_posts(e, until):
        """Milliseconds of one POST after the other, 200 a second."""
        c = http.client.HTTPConnection("127.0.0.1", e.port)
        body = json.dumps(EVENT)
        took = []
        begin = time.monotonic()
        while not until(len(took)):
            pause = begin + len(took) / 200 - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            at = time.monotonic()
            c.request("POST", "/api/events", body)
            answer = c.getresponse()
            answer.read()
            assert answer.status == 202
            took.append((time.monotonic() - at) * 1000)
        c.close()
        return sorted(took)

    def retention(self):
        """POSTs while retention removes what a store is full of, and while it
        removes nothing."""
        old = 20000 if self.quick else 200000
        e = engine.Engine(self.build,
                          more="retention: {events: 0, interval: 1s}")
        e.start()
        for _ in range(0, old, 1000):
            e.post("/api/events", [EVENT] * 1000)
        while e.metrics()["event_queue_depth"] != 0:
            time.sleep(0.1)
        count = 1000 if self.quick else 4000
        without = self.timed_posts(e, lambda n: n >= count)
        e.configure("retention: {events: 1s, interval: 1s}")
        e.post("/api/admin/reload-config", {})
        asked = [0, 0]

        def removed(n):
            if n - asked[0] >= 200:
                asked[:] = n, e.metrics()["ledger"]["events"]["archived"]
            return asked[1] >= old
        begin = time.monotonic()
        during = self.timed_posts(e, removed)
        took = time.monotonic() - begin
        e.close()
        p99 = [x[len(x) * 99 // 100] for x in (during, without)]
        return [row(f"POST at 200/s while {old:,} events are removed, p99",
                    f"{p99[0]:.2f} ms", f"{p99[1]:.2f} ms without",
                    f"{p99[0] / p99[1]:.2f}", None, True),
                row("  of that, the slowest", f"{during[-1]:.1f} ms",
                    f"{without[-1]:.1f} ms without", "", None, True),
                row("  removed", rate(old / took), "", "", None, True)]

    def idle(self):
        e = engine.Engine(self.build, {"true.yaml": TRUE_RUNBOOK})
        empty = statistics.median(self.starts(e, self.rounds))
        e.start()
        while len(e.executor_pids()) < 2:
            time.sleep(0.01)
        time.sleep(1)
        ours = engine.rss_kib(e.process.pid)
        executor = sum(map(engine.rss_kib, e.executor_pids()))
        e.close()
        full = self.start_with_backlog()
        mib = (ours + executor) / 1024
        return [row("idle memory, engine + executor", f"{mib:.1f} MiB",
                    f"{ours / 1024:.1f} + {executor / 1024:.1f}", "",
                    "< 20 MB", mib * 1.048576 < 20),
                row("start to ready, empty", f"{empty * 1000:.0f} ms", "", "",
                    "< 300 ms", empty < 0.3),
                row("start to ready, 100,000 events waiting",
                    f"{full * 1000:.0f} ms", "", "", "< 3 s", full < 3)]

    @staticmethod
    def starts(e, rounds):
        times = []
        for _ in range(rounds):
            times.append(e.start())
            e.stop()
        return times

    def start_with_backlog(self):
        """Kills an engine whose workflow limit keeps 100,000 events queued."""
        slow = TRUE_RUNBOOK.replace("[/bin/true]", '[/bin/sleep, "600"]')
        e = engine.Engine(
            self.build, {"slow.yaml": slow}, engine="""\
  event_processing: {queue_size: 1000000}
  workflow_execution: {max_live: 1, max_concurrent: 1}
""")
        e.start()
        one = {"type": "alert", "labels": {"alertname": "Bench"}}
        for _ in range(0, 101000, 1000):
            e.post("/api/events", [one] * 1000)
        assert e.metrics()["event_queue_depth"] >= 100000 - 1000
        e.stop(kill=True)
        took = e.start()
        for w in e.get("/api/workflows?status=running")["workflows"]:
            e.request("POST", f"/api/workflows/{w['id']}/kill", raw=True)
        e.close()
        return took
