import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Daemon  # noqa: E402


@pytest.fixture(autouse=True)
def room(tmp_path):
    """Each store reserves 64 MiB, and pytest keeps the folders of hundreds of
    tests: where /tmp is small they would fill it."""
    yield
    # Not rglob(): executors that end meanwhile take their folders along.
    for folder, _, files in os.walk(tmp_path):
        if "engine.ballast" in files:
            os.unlink(os.path.join(folder, "engine.ballast"))


@pytest.fixture
def make_daemon(tmp_path):
    """make_daemon(runbooks={...}, config={...}) gives one that is started."""
    made = []

    def make(runbooks=None, config=None, start=True):
        folder = tmp_path / f"daemon{len(made)}"
        folder.mkdir()
        d = Daemon(folder, runbooks, config)
        made.append(d)
        return d.start() if start else d

    yield make
    for d in made:
        d.close()


@pytest.fixture
def daemon(make_daemon):
    return make_daemon()
