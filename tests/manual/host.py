"""A bare Debian 12 that is booted with systemd, for the tests of the package.

Made with debootstrap, kept in a cache, booted by systemd-nspawn over an
overlay, so that a test never sees what another left. It has a network of its
own: nothing but its loopback, and none of this machine's ports.

    host.py [--deb FILE] [-- COMMAND...]     boots one, for looking around
"""
import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

CACHE = Path(os.environ.get("ADP_HOST_CACHE",
                            "/var/cache/autonomous-devops-host"))
SUITE = "bookworm"
# What a minimal installation of Debian has besides: no tool of the manual.
INCLUDE = "systemd,systemd-sysv,dbus,ca-certificates"
BOOT_SECONDS = 60
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NoHost(Exception):
    """Why there is no host here; the tests are skipped with it."""


class Result:
    """Exit status and output of a command."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return (f"status {self.status}\n--- stdout\n{self.out[-6000:]}\n"
                f"--- stderr\n{self.err[-3000:]}")


def sh(*command, **kwargs):
    return subprocess.run([str(c) for c in command], text=True, check=False,
                          capture_output=True, stdin=subprocess.DEVNULL,
                          errors="replace", **kwargs)


# ---- the base ---------------------------------------------------------------

def missing_here():
    """Why a host cannot be made or booted here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("systemd-nspawn", "debootstrap", "nsenter"):
        if shutil.which(tool) is None:
            return f"no {tool} here"
    return None


def apt_settings():
    """This machine's Debian archive and how it is reached."""
    lists, confs = [], []
    for folder, pattern, found in (("/etc/apt", r"^(URIs:|deb ).*debian",
                                    lists),
                                   ("/etc/apt/apt.conf.d", r"^ *Acquire",
                                    confs)):
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file() and file.suffix in (".list", ".sources", "") \
                    and re.search(pattern, file.read_text(errors="replace"),
                                  re.M):
                found.append(file)
    # Other vendors' archives are no part of a bare Debian.
    lists = [f for f in lists
             if not re.search("node|docker|pgdg|cuda", f.name)]
    return lists, confs


def mirror():
    for file in apt_settings()[0]:
        for line in file.read_text(errors="replace").splitlines():
            found = re.match(r"(?:URIs: *|deb +(?:\[[^]]*\] +)?)(\S+)", line)
            if found and "security" not in found[1]:
                return [found[1]]
    return []


def run_logged(log, *command):
    with open(log, "ab") as out:
        done = subprocess.run([str(c) for c in command], stdout=out,
                              stderr=out, stdin=subprocess.DEVNULL,
                              check=False,
                              env={**os.environ,
                                   "DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode != 0:
        tail = Path(log).read_text(errors="replace").splitlines()[-5:]
        raise NoHost(f"{command[0]} failed: {'; '.join(tail)} (log: {log})")


def make_bare(target, log):
    run_logged(log, "debootstrap", "--variant=minbase",
               f"--include={INCLUDE}", SUITE, target, *mirror())
    lists, confs = apt_settings()
    (target / "etc/apt/sources.list").unlink(missing_ok=True)
    for file in lists + confs:
        shutil.copy(file, f"{target}{file}")
    (target / "etc/hosts").write_text(
        "127.0.0.1 localhost\n127.0.1.1 bare\n::1 localhost\n")
    (target / "etc/hostname").write_text("bare\n")
    for unit in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        sh("systemctl", f"--root={target}", "mask", "-q", unit)


def install_in(target, packages, log):
    """Installs Debian packages into a tree that is not booted."""
    policy = target / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    nspawn = ["systemd-nspawn", "-q", "-D", target, "--register=no",
              "--keep-unit", "--as-pid2", "--resolv-conf=copy-host",
              "--setenv=DEBIAN_FRONTEND=noninteractive"]
    run_logged(log, *nspawn, "apt-get", "update")
    run_logged(log, *nspawn, "apt-get", "install", "-y",
               "--no-install-recommends", *packages)
    run_logged(log, *nspawn, "apt-get", "clean")
    policy.unlink()


def relations(deb):
    """Names of the packages that a package depends on or recommends: the
    first of each alternative."""
    names = set()
    for field in ("Depends", "Recommends"):
        for one in sh("dpkg-deb", "-f", deb, field).stdout.split(","):
            name = one.split("|")[0].split("(")[0].strip()
            if name:
                names.add(name)
    return sorted(names)


def layer(name, make):
    """A folder in the cache, made once, whoever asks at the same time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    target, done = CACHE / name, CACHE / f"{name}.done"
    lock = CACHE / f"{name}.lock"
    with open(lock, "w", encoding="ascii") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(target, ignore_errors=True)
            make(target)
            done.touch()
    return target


def base_for(deb):
    """The tree to boot for a package: bare, and what the package needs, so
    that it installs without a network."""
    sweep()
    needs = relations(deb)
    log = CACHE / "make.log"
    bare = layer("bare", lambda target: make_bare(target, log))

    def make(target):
        if sh("cp", "-a", "--reflink=auto", bare, target).returncode != 0:
            raise NoHost(f"cannot copy {bare}: is the disk full?")
        install_in(target, needs, log)

    tag = hashlib.sha256(" ".join(needs).encode()).hexdigest()[:12]
    for old in CACHE.glob("needs-*.done"):
        if old.name != f"needs-{tag}.done":
            old.unlink()
            shutil.rmtree(old.with_suffix(""), ignore_errors=True)
    return layer(f"needs-{tag}", make)


def sweep():
    """Throws away hosts whose test program was killed."""
    for scratch in CACHE.glob("host.adp-*"):
        owner = scratch.name.split("-")[1]
        if not os.path.exists(f"/proc/{owner}"):
            if os.path.ismount(scratch / "root"):
                sh("umount", "-l", scratch / "root")
            shutil.rmtree(scratch, ignore_errors=True)


def own_groups(name):
    """New control groups below those that we are in, for a host's systemd: two
    hosts in one would take each other's units for their own."""
    mounts = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        kind, _, options = right.split()[:3]
        if kind == "cgroup2":
            mounts[""] = left.split()[4]
        elif kind == "cgroup" and "name=systemd" in options:
            mounts["name=systemd"] = left.split()[4]
    groups = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controller, path = line.split(":", 2)
        if controller in mounts:
            group = Path(mounts[controller] + path) / name
            with contextlib.suppress(OSError):
                group.mkdir()
                groups.append(group)
    return groups


def in_groups(groups):
    """In the child: goes there, and ends with whoever boots the host."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    for group in groups:
        (group / "cgroup.procs").write_text("0")


def remove_groups(groups):
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


# ---- a host -----------------------------------------------------------------

class Host:
    """One booted host; close() throws it away."""

    def __init__(self, base, binds=()):
        self.nspawn = self.init = None
        self.groups = []
        self.name = f"adp-{os.getpid()}-{secrets.token_hex(3)}"
        self.scratch = CACHE / f"host.{self.name}"
        self.scratch.mkdir(mode=0o700)
        self.root = self.scratch / "root"
        try:
            self._mount(base)
            self._boot(binds)
        except BaseException:
            self.close()
            raise

    def _mount(self, base):
        for name in ("up", "work", "root"):
            (self.scratch / name).mkdir()
        done = sh("mount", "-t", "overlay", "overlay", "-o",
                  f"lowerdir={base},upperdir={self.scratch}/up,"
                  f"workdir={self.scratch}/work", self.root)
        if done.returncode != 0:
            raise NoHost(f"no overlay: {done.stderr.strip()}")

    def _boot(self, binds):
        os.makedirs("/run/systemd/nspawn", exist_ok=True)
        log = self.scratch / "boot.log"
        self.groups = own_groups(self.name)
        with open(log, "wb") as out:
            self.nspawn = subprocess.Popen(
                ["systemd-nspawn", "-q", "-D", str(self.root),
                 "-M", self.name, "--hostname=bare", "-b", "--register=no", "--keep-unit",
                 "--console=read-only", "--private-network",
                 *[f"--bind-ro={b}" for b in binds]],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
                preexec_fn=lambda: in_groups(self.groups),
                env={**os.environ,
                     "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})
        end = time.monotonic() + BOOT_SECONDS
        while not self._is_up():
            if self.nspawn.poll() is not None or time.monotonic() > end:
                raise NoHost("the host does not boot: " + "; ".join(
                    log.read_text(errors="replace").splitlines()[-5:]))
            time.sleep(0.1)

    def _is_up(self):
        pid = self.nspawn.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            return False
        if not children.split():
            return False
        self.init = children.split()[0]
        state = sh(*self._enter(), "systemctl", "is-system-running")
        return state.stdout.strip() in ("running", "degraded")

    def _enter(self):
        return ["nsenter", "-t", self.init, "-a", "/usr/bin/env", "-i",
                "HOME=/root", "USER=root", "LOGNAME=root", "TERM=xterm",
                "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
                f"PATH={PATH}"]

    def run(self, script, timeout=120, status=None, user=None):
        """Runs a bash script in the host; asserts its exit status if told."""
        command = ["bash", "-c", script]
        if user:
            command = ["setpriv", f"--reuid={user}", f"--regid={user}",
                       "--init-groups", *command]
        with subprocess.Popen(
                [*self._enter(), *command], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True) as process:
            timer = threading.Timer(timeout, os.killpg,
                                    (process.pid, signal.SIGKILL))
            timer.start()
            out, err = process.communicate()
            timer.cancel()
        result = Result(process.returncode, out.decode(errors="replace"),
                        err.decode(errors="replace"))
        if status is not None:
            assert result.status == status, f"{script}\n{result!r}"
        return result

    def write(self, path, text, mode=0o644):
        target = Path(f"{self.root}{path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def wait(self, script, seconds=30, what=None):
        """Waits until a script ends with 0; its result."""
        end = time.monotonic() + seconds
        while True:
            result = self.run(script)
            if result.status == 0:
                return result
            assert time.monotonic() < end, \
                f"{what or script}: not within {seconds} s\n{result!r}"
            time.sleep(0.1)

    def install(self, deb):
        """Installs a package as an operator does, without a network."""
        name = Path(deb).name
        shutil.copy(deb, f"{self.root}/root/{name}")
        return self.run(f"apt-get install -y --allow-downgrades "
                        f"/root/{name}", 300, status=0)

    def close(self):
        if self.nspawn is not None and self.nspawn.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.nspawn.pid, signal.SIGTERM)
            try:
                self.nspawn.wait(20)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
        remove_groups(self.groups)
        if os.path.ismount(self.root) and \
                sh("umount", self.root).returncode != 0:
            sh("umount", "-l", self.root)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_args):
        self.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--deb", required=True)
    parser.add_argument("command", nargs="*", default=["bash", "-i"])
    options = parser.parse_args()
    why = missing_here()
    if why:
        sys.exit(f"host.py: {why}")
    with Host(base_for(options.deb)) as host:
        host.install(options.deb)
        return subprocess.call([*host._enter(), *options.command])


if __name__ == "__main__":
    sys.exit(main())
