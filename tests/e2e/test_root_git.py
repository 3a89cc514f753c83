"""packaging/root-git: a repository whose owner means harm has nothing run."""
import os
import subprocess

import pytest

from harness import ROOT

TOOL = os.path.join(ROOT, "packaging", "root-git")
ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C"}


def sh(cwd, text):
    subprocess.run(["sh", "-euc", text], cwd=cwd, check=True, env={
        **ENV, "GIT_CONFIG_GLOBAL": "/dev/null"}, stdout=subprocess.DEVNULL)


def root_git(folder, *args, **env):
    return subprocess.run([TOOL, str(folder), *args], capture_output=True,
                          text=True, env={**ENV, **env}, check=False)


@pytest.fixture
def repo(tmp_path):
    before = os.umask(0o022)
    folder = tmp_path / "repo"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\necho \"$0 $*\" >> {tmp_path}/ran\n"
                    "cat 2>/dev/null || true\n")
    evil.chmod(0o755)
    sh(tmp_path, f"""
        git init -q --template= --bare -b main {tmp_path}/bare
        git init -q --template= -b main repo
        cd repo
        git config user.name x
        git config user.email x@y
        git remote add origin {tmp_path}/bare
        echo one > file
        git add -A
        git commit -qm first""")
    os.umask(before)
    return folder


@pytest.fixture(autouse=True)
def _nothing_ran(tmp_path):
    yield
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()


def work(folder):
    """What setup does; whether all of it was done."""
    (folder / "file").write_text("two\n")
    done = [root_git(folder, *args).returncode == 0 for args in (
        ("status",), ("add", "-A"), ("diff", "--cached"),
        ("commit", "-qm", "second"), ("push", "-q", "-u", "origin", "main"),
        ("fetch", "-q"), ("log", "-p", "-1"))]
    return all(done)


def test_git_itself_would_run_it(repo, tmp_path):
    """The canary sings where nothing keeps it quiet."""
    sh(repo, f"git config core.fsmonitor {tmp_path}/evil; git status")
    os.unlink(tmp_path / "ran")


def test_an_honest_repository(repo, tmp_path):
    assert work(repo), root_git(repo, "status").stderr
    heads = [subprocess.run(["git", "-C", where, "rev-parse", "main"],
                            capture_output=True, check=True, text=True,
                            env={**ENV, "GIT_CONFIG_COUNT": "1",
                                 "GIT_CONFIG_KEY_0": "safe.directory",
                                 "GIT_CONFIG_VALUE_0": "*"}).stdout
             for where in (str(repo), str(tmp_path / "bare"))]
    assert heads[0] == heads[1]
    assert root_git(tmp_path / "bare", "rev-parse", "main").stdout == heads[0]


SETTINGS = {
    "fsmonitor": "core.fsmonitor EVIL",
    "hooksPath": "core.hooksPath HOOKS",
    "filter": "filter.x.clean EVIL",
    "process": "filter.x.process EVIL",
    "smudge": "filter.x.smudge EVIL",
    "textconv": "diff.x.textconv EVIL",
    "driver": "diff.x.command EVIL",
    "external": "diff.external EVIL",
    "merge": "merge.x.driver EVIL",
    "gpg": "gpg.program EVIL",
    "sign": "commit.gpgSign true",
    "ssh": "core.sshCommand EVIL",
    "askpass": "core.askPass EVIL",
    "credential": "credential.helper EVIL",
    "pager": "core.pager EVIL",
    "editor": "core.editor EVIL",
    "receivepack": "remote.origin.receivepack EVIL",
    "uploadpack": "remote.origin.uploadpack EVIL",
    "promisor": "remote.evil.promisor true",
    "partial": "extensions.partialClone evil",
    "vcs": "remote.origin.vcs ext",
    "ext": "protocol.ext.allow always",
    "alternates": "core.alternateRefsCommand EVIL",
    "instead": "url.ext::EVIL.insteadOf /",
    "include": "include.path INCLUDED",
    "includeIf": "includeIf.gitdir:/.path INCLUDED",
    "worktree": "core.worktree /etc",
    "alias": "alias.status !EVIL",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_is_not_trusted(repo, tmp_path, name):
    evil = tmp_path / "evil"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("pre-commit", "post-commit", "pre-push", "post-index-change",
                 "reference-transaction", "pre-auto-gc"):
        (hooks / hook).symlink_to(evil)
    included = tmp_path / "included"
    included.write_text(f"[core]\n\tfsmonitor = {evil}\n"
                        f"\thooksPath = {hooks}\n[filter \"x\"]\n"
                        f"\tclean = {evil}\n")
    (repo / ".gitattributes").write_text("* filter=x diff=x merge=x\n")
    key, value = SETTINGS[name].split(" ")
    for word, path in (("EVIL", evil), ("HOOKS", hooks),
                       ("INCLUDED", included)):
        key, value = key.replace(word, str(path)), value.replace(
            word, str(path))
    sh(repo, f"git config '{key}' '{value}'")
    answer = root_git(repo, "status")
    assert answer.returncode == 77
    assert "is none that this trusts" in answer.stderr
    assert not work(repo)


def test_hooks_and_attributes_without_settings(repo, tmp_path):
    evil = tmp_path / "evil"
    os.makedirs(repo / ".git" / "hooks", exist_ok=True)
    for hook in ("pre-commit", "commit-msg", "post-commit", "pre-push",
                 "post-index-change", "reference-transaction"):
        (repo / ".git" / "hooks" / hook).symlink_to(evil)
    (repo / ".gitattributes").write_text("* filter=x diff=x\n")
    assert work(repo)


def test_transports_that_run_programs(repo, tmp_path):
    for url in (f"ext::{tmp_path}/evil", f"ssh://host{tmp_path}/bare",
                f"host:{tmp_path}/bare", "https://localhost:1/x"):
        sh(repo, f"git config remote.origin.url '{url}'")
        assert root_git(repo, "push", "origin", "main").returncode != 0
        assert root_git(repo, "fetch", "origin").returncode != 0


def test_the_environment_is_no_way_in(repo, tmp_path):
    evil = str(tmp_path / "evil")
    for name, value in (("GIT_EXTERNAL_DIFF", evil), ("GIT_SSH", evil),
                        ("GIT_PAGER", evil), ("GIT_DIR", "/tmp"),
                        ("GIT_EXEC_PATH", str(tmp_path)),
                        ("GIT_CONFIG_PARAMETERS",
                         f"'core.fsmonitor'='{evil}'")):
        assert root_git(repo, "diff", "HEAD", **{name: value}).returncode == 0


@pytest.mark.parametrize("what", [".git/config", "file", ".git/objects",
                                  "", ".git"])
@pytest.mark.parametrize("how", ["owner", "mode"])
def test_what_others_can_write(repo, what, how):
    path = repo / what if what else repo
    if how == "mode":
        path.chmod(path.stat().st_mode | 0o020)
    elif os.geteuid() == 0:
        os.chown(path, 65534, -1)
    else:
        pytest.skip("only root can give files away")
    answer = root_git(repo, "status")
    assert answer.returncode == 77
    assert f"others can write to {path}" in answer.stderr


def test_links_in_its_place(repo, tmp_path):
    (tmp_path / "link").symlink_to(repo)
    assert root_git(tmp_path / "link", "status").returncode == 77
    os.rename(repo / ".git", tmp_path / "moved")
    (repo / ".git").symlink_to(tmp_path / "moved")
    assert root_git(repo, "status").returncode == 77
    os.unlink(repo / ".git")
    (repo / ".git").write_text(f"gitdir: {tmp_path}/moved\n")
    assert root_git(repo, "status").returncode == 77
