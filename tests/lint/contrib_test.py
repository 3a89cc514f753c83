#!/usr/bin/env python3
"""What contrib/ gives to Prometheus, Alertmanager and Grafana is sound: their
own tools say so, and every metric that it names is one that the engine has.
Prints TAP.

Usage: contrib_test.py ROOT
"""
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(sys.argv[1])
CONTRIB = ROOT / "contrib"
RULES = CONTRIB / "prometheus" / "autonomous-devops.rules.yml"
TESTS = CONTRIB / "prometheus" / "autonomous-devops.rules.test.yml"
DASHBOARD = CONTRIB / "grafana" / "autonomous-devops.json"
PREFIX = "autonomous_devops_"


def exported():
    """Names by type, from the page that is made from the engine's table."""
    page = (ROOT / "doc" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(" + PREFIX + r"\w+)` \| (\w+) \|", page, re.M)
    assert len(rows) > 30, "doc/metrics.md has another shape"
    names = set()
    for name, kind in rows:
        if kind == "histogram":
            names |= {name + s for s in ("_bucket", "_sum", "_count")}
        else:
            names.add(name)
    return names


def named(text):
    """Metrics in a text; job:... are names of recording rules."""
    return set(re.findall(r"(?<![\w:])" + PREFIX + r"\w+", text))


def tool(name, *args):
    def run():
        if shutil.which(name) is None:
            return f"SKIP {name} is not installed"
        done = subprocess.run([name, *map(str, args)], capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return None
    return run


def names_are_exported(path):
    def run():
        unknown = named(path.read_text(encoding="utf-8")) - exported()
        assert not unknown, f"not exported: {sorted(unknown)}"
    return run


def every_alert_fires_in_a_test():
    text = TESTS.read_text(encoding="utf-8")
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8"))
    assert len(alerts) > 10
    for alert in alerts:
        fires = re.search(
            rf"alertname: {alert}\n +exp_alerts:\n +- exp_labels", text)
        assert fires, f"no test in which {alert} fires"
        assert re.search(rf"alertname: {alert}, exp_alerts: \[\]", text), \
            f"no test in which {alert} does not fire"


def every_alert_says_what_to_do():
    blocks = RULES.read_text(encoding="utf-8").split("- alert: ")[1:]
    for block in blocks:
        for word in ("priority: P", "severity: ", "summary: ", "action: "):
            assert word in block, f"{block.split()[0]} has no {word}"
    for priority in ("P0", "P1", "P2", "P3"):
        assert f"priority: {priority}" in "".join(blocks), priority


def a_broken_rule_is_found():
    """The checks above can fail."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "x.yml"
        text = RULES.read_text(encoding="utf-8")
        copy.write_text(text.replace("event_queue_depth", "event_queue_dept"),
                        encoding="utf-8")
        assert named(copy.read_text(encoding="utf-8")) - exported()


def the_dashboard_is_whole():
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    panels = [p for p in board["panels"] if p["type"] != "row"]
    assert len(panels) > 15
    assert len({p["id"] for p in board["panels"]}) == len(board["panels"])
    taken = set()
    for p in panels:
        assert p["title"] and p["targets"], p
        for t in p["targets"]:
            assert PREFIX in t["expr"] or t["expr"].startswith("up{"), t
        at = p["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, p["title"]
        taken |= cells


def its_queries_parse():
    """Each as a rule of its own, so that promtool reads it."""
    if shutil.which("promtool") is None:
        return "SKIP promtool is not installed"
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    lines = ["groups:", "- name: dashboard", "  rules:"]
    for p in board["panels"]:
        for i, t in enumerate(p.get("targets", [])):
            expr = t["expr"].replace("$job", "j").replace("$instance", "i")
            lines += [f"  - record: panel:p{p['id']}_{i}:x",
                      f"    expr: {json.dumps(expr)}"]
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "dashboard.yml"
        rules.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tool("promtool", "check", "rules", rules)()


CASES = [
    ("promtool check rules", tool("promtool", "check", "rules", RULES)),
    ("promtool test rules", tool("promtool", "test", "rules", TESTS)),
    ("promtool check config", tool("promtool", "check", "config",
                                   CONTRIB / "prometheus/prometheus.yml")),
    ("amtool check-config", tool("amtool", "check-config",
                                 CONTRIB / "alertmanager/alertmanager.yml")),
    ("rules name exported metrics", names_are_exported(RULES)),
    ("tests name exported metrics", names_are_exported(TESTS)),
    ("the dashboard names exported metrics", names_are_exported(DASHBOARD)),
    ("every alert fires in a test", every_alert_fires_in_a_test),
    ("every alert says what to do", every_alert_says_what_to_do),
    ("a broken rule is found", a_broken_rule_is_found),
    ("the dashboard is whole", the_dashboard_is_whole),
    ("its queries parse", its_queries_parse),
]

print(f"1..{len(CASES)}")
failed = 0
for number, (title, case) in enumerate(CASES, 1):
    try:
        result = case()
    except AssertionError as e:
        failed += 1
        print(f"not ok {number} - {title}")
        print("\n".join("# " + line for line in str(e).splitlines()))
    else:
        print(f"ok {number} - {title}" + (f" # {result}" if result else ""))
sys.exit(1 if failed else 0)
