"""Runbooks that change while the engine runs: by hand, by git, by itself."""
import hashlib
import os
import shutil
import signal
import subprocess

import pytest

from harness import BUILD, wait_until

GOOD = "name: {name}\nsteps:\n- {{name: a, command: 'echo {name}'}}\n"
ODD = "name: Odd\nauthor: me\nsteps:\n- {name: a, command: 'exit 0'}\n"


def good(name):
    return GOOD.format(name=name)


def git(folder, *words):
    done = subprocess.run(
        ["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@t",
         "-c", "commit.gpgsign=false", *words],
        capture_output=True, text=True, check=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"})
    return done.stdout.strip()


def paths(d):
    return {r["path"] for r in d.get("/api/runbooks")["runbooks"]}


def names(d):
    return {r["name"] for r in d.get("/api/runbooks")["runbooks"]}


MANUAL = {"runbooks": {"auto_reload": False}}


def test_a_reload_tells_files_and_commit(make_daemon):
    d = make_daemon({"same.yaml": good("same"), "edit.yaml": good("old"),
                     "gone.yaml": good("gone"), "break.yaml": good("b")},
                    MANUAL)
    answer = d.post("/api/admin/reload-runbooks")
    assert answer["commit"] is None
    assert answer["files"] == {"added": [], "changed": [], "removed": [],
                               "rejected": [], "refused": []}
    d.write_runbook("edit.yaml", good("new"))
    d.write_runbook("deep/er/added.yaml", good("added"))
    d.write_runbook("break.yaml", "name: [")
    os.unlink(os.path.join(d.repo, "gone.yaml"))
    git(d.repo, "init", "-q")
    git(d.repo, "add", ".")
    git(d.repo, "commit", "-qm", "x")
    answer = d.post("/api/admin/reload-runbooks")
    assert answer["commit"] == git(d.repo, "rev-parse", "HEAD")
    files = answer["files"]
    assert files["added"] == ["deep/er/added.yaml"]
    assert files["changed"] == ["edit.yaml"]
    assert files["removed"] == ["gone.yaml"]
    assert [f["path"] for f in files["rejected"]] == ["break.yaml"]
    assert files["rejected"][0]["errors"][0]["line"] is not None
    assert names(d) == {"same", "new", "added", "b"}


def test_a_workflow_records_commit_and_hash(make_daemon):
    text = good("w")
    d = make_daemon({"w.yaml": text}, MANUAL)
    git(d.repo, "init", "-q")
    git(d.repo, "add", ".")
    git(d.repo, "commit", "-qm", "x")
    d.post("/api/admin/reload-runbooks")
    d.wait_executor()
    commit = git(d.repo, "rev-parse", "HEAD")
    first = d.post("/api/runbooks/execute", {"runbook": "w.yaml"})
    w = d.wait_status(first["workflow_id"], "succeeded")
    assert w["commit"] == commit
    assert w["runbook_hash"] == hashlib.sha256(text.encode()).hexdigest()
    git(d.repo, "commit", "-q", "--allow-empty", "-m", "y")
    git(d.repo, "pack-refs", "--all")
    d.post("/api/admin/reload-runbooks")
    second = d.post("/api/runbooks/execute", {"runbook": "w.yaml"})
    w = d.wait_status(second["workflow_id"], "succeeded")
    assert w["commit"] == git(d.repo, "rev-parse", "HEAD") != commit
    first = d.get(f"/api/workflows/{first['workflow_id']}")
    assert first["commit"] == commit


def test_changes_are_noticed(make_daemon):
    d = make_daemon({"a.yaml": good("a1")})
    d.write_runbook("a.yaml", good("a2"))
    wait_until(lambda: names(d) == {"a2"}, what="an edit in place")
    new = d.write_runbook("a.yaml.new", good("a3"))
    os.rename(new, os.path.join(d.repo, "a.yaml"))
    wait_until(lambda: names(d) == {"a3"}, what="an editor's rename")
    d.write_runbook("b/c/d.yaml", good("d"))
    wait_until(lambda: paths(d) == {"a.yaml", "b/c/d.yaml"},
               what="a new folder")
    git(d.repo, "init", "-q")
    git(d.repo, "add", ".")
    git(d.repo, "commit", "-qm", "x")
    commit = git(d.repo, "rev-parse", "HEAD")

    def commit_of_a_run():
        w = d.post("/api/runbooks/execute",
                   {"runbook": "a.yaml", "dry_run": True})["workflow_id"]
        return d.get(f"/api/workflows/{w}")["commit"]
    wait_until(lambda: commit_of_a_run() == commit, what="a commit")
    shutil.rmtree(os.path.join(d.repo, "b"))
    wait_until(lambda: paths(d) == {"a.yaml"}, what="a removed folder")
    moved = d.repo + ".moved"
    os.rename(d.repo, moved)
    wait_until(lambda: "cannot look for changed runbooks" in d.log(),
               what="the log says so")
    assert names(d) == {"a3"}  # what was good stays in force
    shutil.copytree(moved, d.repo)
    d.write_runbook("e.yaml", good("e"))
    wait_until(lambda: names(d) == {"a3", "e"}, what="the folder is back")


def test_a_pull_is_one_reload_or_few(make_daemon, tmp_path):
    origin = str(tmp_path / "origin")
    os.mkdir(origin)
    git(origin, "init", "-q")
    for i in range(200):
        with open(f"{origin}/r{i:03}.yaml", "w", encoding="utf-8") as f:
            f.write(good(f"r{i}"))
    git(origin, "add", ".")
    git(origin, "commit", "-qm", "one")
    d = make_daemon(start=False)
    os.rmdir(d.repo)
    git(str(tmp_path), "clone", "-q", origin, d.repo)
    d.start()
    assert len(paths(d)) == 200
    git(origin, "rm", "-q", *[f"r{i:03}.yaml" for i in range(50)])
    os.mkdir(f"{origin}/moved")
    git(origin, "mv", *[f"r{i:03}.yaml" for i in range(50, 150)], "moved")
    with open(f"{origin}/r199.yaml", "w", encoding="utf-8") as f:
        f.write(good("changed"))
    git(origin, "add", ".")
    git(origin, "commit", "-qm", "two")
    before = d.get("/api/health")
    git(d.repo, "pull", "-q")
    wait_until(lambda: len(paths(d)) == 150 and "changed" in names(d), 30,
               "the pulled runbooks")
    assert before["checks"]["runbooks"]["loaded"] == 200
    answer = d.post("/api/admin/reload-runbooks")
    assert answer["commit"] == git(origin, "rev-parse", "HEAD")
    assert answer["generation"] < 10


def test_a_signal_during_a_reload_is_not_lost(make_daemon):
    many = {f"r{i}.yaml": good(f"r{i}") for i in range(400)}
    d = make_daemon(many, MANUAL)
    for workers in (3, 4, 5, 6, 7, 8, 3, 4, 5, 6, 7, 8):
        d.write_config({**MANUAL, "engine": {
            "event_processing": {"workers": workers}}})
        # Its runbooks are still being read when the next one comes.
        d.process.send_signal(signal.SIGHUP)
        wait_until(lambda: d.get("/api/admin/workers")["count"] == workers,
                   what=f"{workers} workers", step=0)
    before = d.get("/api/health")["checks"]["config"]["loaded_at"]
    d.process.send_signal(signal.SIGHUP)
    wait_until(lambda: d.get("/api/health")["checks"]["config"]["loaded_at"]
               > before, what="one more")


def test_unknown_keys(make_daemon):
    strict = make_daemon({"odd.yaml": ODD})
    assert paths(strict) == set()
    refused = strict.post("/api/runbooks/execute", {"runbook": "odd.yaml"},
                          422)
    assert "has no key 'author'" in refused["error"]
    warn = make_daemon({"odd.yaml": ODD, "bad.yaml": "name: Bad\nsteps: []\n"},
                       {"runbooks": {"validation": "warn"}})
    warn.wait_executor()
    assert paths(warn) == {"odd.yaml"}
    answer = warn.post("/api/admin/reload-runbooks")
    problem = [p for p in answer["problems"] if p["file"] == "odd.yaml"][0]
    assert (problem["warning"], problem["line"]) == (True, 2)
    assert [f["path"] for f in answer["files"]["rejected"]] == ["bad.yaml"]
    report = warn.post("/api/runbooks/validate", {"runbook_path": "odd.yaml"})
    assert report["valid"] is True and len(report["warnings"]) == 1
    # So say the tools of the host, with the same configuration.
    p = subprocess.run(
        [os.path.join(BUILD, "adctl"), "runbook", "validate",
         os.path.join(warn.folder, "runbooks", "odd.yaml"), "--config",
         warn.config_path], capture_output=True, text=True, check=False)
    assert p.returncode == 3 and "author" in p.stdout, (p.stdout, p.stderr)
    w = warn.post("/api/runbooks/execute", {"runbook": "odd.yaml"})
    warn.wait_status(w["workflow_id"], "succeeded")


def test_a_stored_workflow_survives_stricter_validation(make_daemon):
    slow = ODD.replace("exit 0", "sleep 1000")
    d = make_daemon({"odd.yaml": slow}, {"runbooks": {"validation": "warn"}})
    d.wait_executor()
    w = d.post("/api/runbooks/execute", {"runbook": "odd.yaml"})["workflow_id"]
    d.wait_status(w, "running")
    d.kill9()
    d.write_config({"runbooks": {"repository": d.repo}})
    d.start()
    assert d.get(f"/api/workflows/{w}")["status"] == "running"
    d.post(f"/api/workflows/{w}/kill")
    d.wait_status(w, "killed")


@pytest.mark.parametrize("known", [True, False])
def test_the_manuals_words_for_bad_yaml(make_daemon, known):
    d = make_daemon({"test.yaml": good("t")} if known else {}, MANUAL)
    d.write_runbook("test.yaml", "name: Test\nsteps:\n  - name: [a\n")
    refused = d.post("/api/runbooks/execute", {"runbook": "test.yaml"}, 422)
    assert refused["error"] == "Runbook validation failed: Invalid YAML syntax"
    error = refused["detail"]["errors"][0]
    assert error["file"] == "test.yaml" and error["line"] >= 3
    assert error["message"]
