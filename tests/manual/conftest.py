"""One booted host for each file of tests; skipped where none can be."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import host as hosts  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def deb():
    """The package: ADP_DEB, or built now."""
    why = hosts.missing_here()
    if why:
        pytest.skip(f"no host to boot here: {why}")
    if os.environ.get("ADP_DEB"):
        return Path(os.environ["ADP_DEB"]).resolve()
    done = subprocess.run([ROOT / "packaging" / "build-deb"], text=True,
                          capture_output=True, stdin=subprocess.DEVNULL,
                          check=False)
    assert done.returncode == 0, done.stderr
    return ROOT / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def bare(deb):
    """A booted host on which the package is not installed yet."""
    try:
        host = hosts.Host(hosts.base_for(deb))
    except hosts.NoHost as e:
        pytest.skip(f"no host to boot here: {e}")
    with host:
        yield host


@pytest.fixture(scope="module")
def installed(bare, deb):
    """A booted host with the package."""
    bare.install(deb)
    ready(bare)
    return bare


def ready(host):
    """Waits for an engine that answers and can run steps."""
    return host.wait(
        "curl -sf localhost:9000/api/health | jq -e '.checks.executor.ok'",
        what="an engine that is ready")


# ---- the table of the manual's blocks ---------------------------------------

TABLE = ROOT / "build" / "check" / "blocks.txt"
outcomes = {}


def pytest_runtest_logreport(report):
    properties = dict(report.user_properties)
    if "block" in properties and (report.when == "call" or
                                  report.outcome != "passed"):
        outcomes[properties["block"]] = (report.outcome,
                                         properties["section"])


def table():
    lines = [f"{number:>3}  {outcome:<8} {section}" for
             number, (outcome, section) in sorted(outcomes.items())]
    passed = sum(o == "passed" for o, _ in outcomes.values())
    return [*lines, f"{passed} of {len(outcomes)} blocks of the manual work"]


def pytest_terminal_summary(terminalreporter):
    if outcomes:
        for line in table():
            terminalreporter.write_line(line)
        if TABLE.parent.is_dir():
            TABLE.write_text("\n".join(table()) + "\n")
