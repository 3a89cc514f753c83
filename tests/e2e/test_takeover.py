"""An engine that was taken over: whatever it asks of the executor, nothing
runs that is not a step of a runbook on disk, as the user that it may be."""
import contextlib
import hashlib
import os
import random
import select
import socket
import struct
import time

import pytest

from harness import wait_until

# As in src/wire/exec_proto.[ch].
HELLO, WELCOME, START, STOP, FORGET, PIN = 1, 2, 3, 4, 5, 6
STARTED, OUTPUT, ENDED, PINNED, DEFERRED = 7, 8, 9, 10, 11
SUCCEEDED, REFUSED = 2, 7
MESSAGE_MAX = 192 * 1024

GOOD = """\
name: Good
parameters:
  word: {{type: string, default: none, pattern: '.*'}}
steps:
- name: Say
  command: 'echo "$ADP_PARAM_WORD" >> {ran}'
- name: Show
  argv: [/bin/echo, "${{{{ parameters.word }}}}"]
"""

PROTO_VERSION = 3
NOW_MS = 1764342000000
EVIL = "name: Evil\nsteps:\n- {{name: x, command: 'touch {canary}/{name}'}}\n"


def text(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack("<I", len(data)) + data


def message(kind, body):
    return struct.pack("<HHI", 0x4144, kind, len(body)) + body


def sha(data):
    data = data.encode() if isinstance(data, str) else data
    return hashlib.sha256(data).digest()


class Engine:
    """Speaks to the executor in datagrams of its own making."""

    def __init__(self, path):
        self.path = path
        self.ended = {}
        self.output = {}
        self.count = 0
        self.connect()

    def connect(self):
        def attempt():
            try:
                self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                self.s.connect(self.path)
                return True
            except OSError:
                return False
        wait_until(attempt, what="the executor's socket")
        self.s.send(message(HELLO, struct.pack("<I", PROTO_VERSION)))
        wait_until(lambda: self.take() == WELCOME, what="a welcome")

    def take(self, seconds=0.5):
        """The kind of the next message, None, or "closed"."""
        if not select.select([self.s], [], [], seconds)[0]:
            return None
        try:
            data = self.s.recv(MESSAGE_MAX)
        except ConnectionResetError:
            return "closed"
        if not data:
            return "closed"
        kind = struct.unpack_from("<H", data, 2)[0]
        body = data[8:]
        if kind == WELCOME:
            self.life = body[4:20]
        elif kind == ENDED:
            state = struct.unpack_from("<I", body, 24)[0]
            rest = body[24 + 4 + 16 + 4 + 24 + 4 + 4 + 8 + 1 + 4:]
            size = struct.unpack_from("<I", rest)[0]
            self.ended[body[:24]] = (state, rest[4:4 + size].decode())
        elif kind == OUTPUT:
            self.output.setdefault(body[:24], b"")
            self.output[body[:24]] += body[24 + 8 + 4 + 8 + 4:]
        elif kind == PINNED:
            self.pinned = body
        return kind

    def key(self, step=0):
        self.count += 1
        return struct.pack(">QQ", 0x0199000000000000 + self.count,
                           0x8000000000000000 + self.count) + struct.pack(
                               "<II", step, 1)

    def start(self, path, digest, parameters="{}", step=0, key=None):
        key = key or self.key(step)
        body = (key + self.life + text(path) + digest + text(parameters) +
                text("") + struct.pack("<QQQQ", NOW_MS, NOW_MS, 20000, 100))
        return key, message(START, body)

    def run(self, path, digest, parameters="{}", step=0, key=None):
        """(state, error) of an attempt, or "closed"."""
        key, data = self.start(path, digest, parameters, step, key)
        try:
            self.s.send(data)
        except OSError:
            self.connect()
            return "closed"
        end = time.monotonic() + 30
        while key not in self.ended:
            assert time.monotonic() < end, "no answer"
            if self.take() == "closed":
                self.connect()
                return "closed"
        return self.ended[key]

    def throw(self, data):
        """Sends anything; comes back connected."""
        try:
            self.s.send(data)
        except OSError:
            pass
        while True:
            kind = self.take(0.05)
            if kind is None:
                return
            if kind == "closed":
                self.s.close()
                self.connect()
                return


class Scene:
    def __init__(self, d, folder):
        self.d = d
        self.canary = os.path.join(folder, "canary")
        self.ran = os.path.join(folder, "ran")
        os.mkdir(self.canary)
        os.chmod(self.canary, 0o777)

    def evil(self, name):
        return EVIL.format(canary=self.canary, name=name)

    def lines(self):
        if not os.path.exists(self.ran):
            return []
        with open(self.ran, encoding="utf-8") as f:
            return f.read().splitlines()


@pytest.fixture
def scene(make_daemon, tmp_path):
    """A real executor whose engine is gone, and us in its place."""
    d = make_daemon(config={"executor": {
        "idle_exit": 0,
        "run_as_allowed": [{"user": "root", "runbooks": ["root.yaml"]}]}},
        start=False)
    s = Scene(d, str(tmp_path))
    s.good = GOOD.format(ran=s.ran)
    s.as_root = s.evil("as-root").replace("command:", "run_as: root, command:")
    d.write_runbook("good.yaml", s.good)
    d.write_runbook("elsewhere.yaml", s.as_root)
    d.start()
    d.wait_executor()
    s.executor = d.executor_pid()
    d.kill9()
    s.engine = Engine(f"{d.folder}/run/executor.sock")
    yield s
    assert os.listdir(s.canary) == []
    # It is the same executor, and it still does what it is for.
    assert d.executor_pid() == s.executor
    assert s.engine.run("good.yaml", sha(s.good))[0] == SUCCEEDED
    s.engine.s.close()


def refused(answer, *words):
    assert answer != "closed"
    state, error = answer
    assert state == REFUSED, answer
    assert not words or any(w in error for w in words), error


def test_texts_that_are_not_on_disk(scene):
    e = scene.engine
    refused(e.run("good.yaml", sha(scene.evil("hash"))), "not the version")
    refused(e.run("none.yaml", sha(scene.good)), "no such file")
    refused(e.run("good.yaml", bytes(32)), "not the version")
    refused(e.run("good.yaml", sha(scene.good), step=2), "steps")
    e.s.send(message(PIN, text("good.yaml") + sha(scene.evil("pin"))))
    wait_until(lambda: e.take() == PINNED, what="the answer")
    assert b"not the version" in e.pinned


def test_the_kill_switch_that_is_roots(scene):
    """The engine's own file is the engine's to remove; this one is not."""
    e = scene.engine
    switch = os.path.join(os.path.dirname(scene.d.config_path), "kill-switch")
    with open(switch, "w", encoding="utf-8") as f:
        f.write("root: taken over\n")
    for _ in range(3):
        key, data = e.start("good.yaml", sha(scene.good))
        e.s.send(data)
        wait_until(lambda: e.take() == DEFERRED, what="its answer")
        assert key not in e.ended
    assert not os.path.exists(scene.ran)
    os.unlink(switch)


def test_paths_that_lead_away(scene, tmp_path):
    e = scene.engine
    evil = scene.evil("path")
    outside = tmp_path / "evil.yaml"
    outside.write_text(evil)
    os.symlink(outside, f"{scene.d.repo}/link.yaml")
    os.symlink(tmp_path, f"{scene.d.repo}/folder")
    os.mkdir(f"{scene.d.repo}/.git")
    for name in (".git/evil.yaml", "evil.txt", ".evil.yaml"):
        with open(f"{scene.d.repo}/{name}", "w", encoding="utf-8") as f:
            f.write(evil)
    for path in ("../evil.yaml", str(outside), "link.yaml",
                 "folder/evil.yaml", "a/../../evil.yaml", "./good.yaml",
                 "good.yaml/../../evil.yaml", ".git/evil.yaml", "evil.txt",
                 ".evil.yaml", "//" + str(outside), "good.yaml ", "-x.yaml",
                 f"/proc/self/root{outside}", "x" * 250 + ".yaml"):
        answer = e.run(path, sha(evil))
        assert answer == "closed" or answer[0] == REFUSED, path
    for path in (b"evil\0.yaml", b"\xff.yaml", b"", b"y" * 5000):
        e.throw(e.start(path, sha(evil))[1])


def test_values_that_are_no_parameters(scene):
    e = scene.engine
    touch = f"touch {scene.canary}/value"
    for parameters in (
            '{"command": "%s"}' % touch, '{"argv": ["sh"]}', "[]", "null", "",
            '{"word": ["%s"]}' % touch, '{"word": {"$ne": 1}}', "{" * 5000,
            '{"word": "a", "word": "b"}', '{"word": "a"} {}',
            '{"word": "a\\u0000b"}', '{"word": "%s"}' % ("x" * 5000),
            '{"LD_PRELOAD": "/tmp/x.so"}', '{"word": "a\\nb"}'):
        answer = e.run("good.yaml", sha(scene.good), parameters)
        assert answer == "closed" or answer[0] == REFUSED, parameters
    # What is a value stays one, in a shell and as an argument.
    for value in (f"$({touch})", f"`{touch}`", f"; {touch};", f"'; {touch} '",
                  f"\\\" && {touch} && \\\"", f"a | {touch}"):
        parameters = '{"word": "%s"}' % value
        state, error = e.run("good.yaml", sha(scene.good), parameters)
        assert state == SUCCEEDED, error
        state, error = e.run("good.yaml", sha(scene.good), parameters, 1)
        assert state == SUCCEEDED, error
    assert len(scene.lines()) == 6
    assert scene.lines()[0] == f"$({touch})"


def test_users_that_it_may_not_be(scene):
    e = scene.engine
    refused(e.run("elsewhere.yaml", sha(scene.as_root)), "does not permit")
    # The permitted path, with the text of another file, pinned or not.
    e.s.send(message(PIN, text("elsewhere.yaml") + sha(scene.as_root)))
    wait_until(lambda: e.take() == PINNED, what="the answer")
    refused(e.run("root.yaml", sha(scene.as_root)), "no such file")
    scene.d.write_runbook("root.yaml", scene.good)
    refused(e.run("root.yaml", sha(scene.as_root)), "not the version")


def test_a_file_that_changes_in_between(scene):
    e = scene.engine
    first = scene.good
    second = first.replace("name: Good", "name: Better")
    e.s.send(message(PIN, text("good.yaml") + sha(first)))
    wait_until(lambda: e.take() == PINNED, what="the answer")
    scene.d.write_runbook("good.yaml", second)
    # Both have been on disk; a third one has not.
    assert e.run("good.yaml", sha(first), '{"word": "1"}')[0] == SUCCEEDED
    assert e.run("good.yaml", sha(second), '{"word": "2"}')[0] == SUCCEEDED
    third = scene.evil("third")
    refused(e.run("good.yaml", sha(third)), "not the version")
    # One that was on disk but never pinned or run is not to be had.
    scene.d.write_runbook("good.yaml", third)
    scene.d.write_runbook("good.yaml", second)
    refused(e.run("good.yaml", sha(third)), "not the version")
    assert scene.lines() == ["1", "2"]
    scene.good = second


def withdrawn_long_ago(scene):
    """All versions that are not on disk any more."""
    folder = f"{scene.d.folder}/spool/runbooks"
    marks = [f for f in os.listdir(folder) if f.endswith(".gone")]
    for mark in marks:
        os.utime(f"{folder}/{mark}", (time.time() - 7200,) * 2)
    return len(marks)


def of_workflow(key, step, attempt):
    return key[:16] + struct.pack("<II", step, attempt)


def test_a_version_that_was_withdrawn(scene):
    e = scene.engine
    bad = scene.good
    begun = e.key()
    assert e.run("good.yaml", sha(bad), '{"word": "1"}',
                 key=begun)[0] == SUCCEEDED
    # It did harm, and was mended; that is two hours ago.
    scene.good = bad.replace("name: Good", "name: Better")
    scene.d.write_runbook("good.yaml", scene.good)
    e.s.send(message(PIN, text("good.yaml") + sha(scene.good)))
    wait_until(lambda: e.take() == PINNED, what="the answer")
    assert withdrawn_long_ago(scene) == 1
    # No workflow begins with it, nor do pins and other edits revive it.
    refused(e.run("good.yaml", sha(bad)), "was withdrawn")
    e.s.send(message(PIN, text("good.yaml") + sha(bad)))
    wait_until(lambda: e.take() == PINNED, what="the answer")
    os.utime(f"{scene.d.repo}/good.yaml")
    refused(e.run("good.yaml", sha(bad)), "was withdrawn")
    # One that began with it goes on, as itself only: same values, same path.
    refused(e.run("good.yaml", sha(bad), '{"word": "2"}',
                  key=of_workflow(begun, 0, 2)), "was withdrawn")
    assert e.run("good.yaml", sha(bad), '{"word": "1"}', 1,
                 key=of_workflow(begun, 1, 1))[0] == SUCCEEDED
    # That was its last step.
    refused(e.run("good.yaml", sha(bad), '{"word": "1"}',
                  key=of_workflow(begun, 0, 3)), "was withdrawn")
    assert scene.lines() == ["1"]


def test_a_version_that_was_removed(scene):
    e = scene.engine
    scene.d.write_runbook("gone.yaml", scene.good)
    e.s.send(message(PIN, text("gone.yaml") + sha(scene.good)))
    wait_until(lambda: e.take() == PINNED, what="the answer")
    os.unlink(f"{scene.d.repo}/gone.yaml")
    e.s.send(message(PIN, text("gone.yaml") + sha(scene.good)))
    wait_until(lambda: e.take() == PINNED, what="the answer")
    assert withdrawn_long_ago(scene) == 1
    refused(e.run("gone.yaml", sha(scene.good)), "was withdrawn")
    # Back on disk it is like any other.
    scene.d.write_runbook("gone.yaml", scene.good)
    e.s.send(message(PIN, text("gone.yaml") + sha(scene.good)))
    wait_until(lambda: e.take() == PINNED, what="the answer")
    assert withdrawn_long_ago(scene) == 0
    assert e.run("gone.yaml", sha(scene.good))[0] == SUCCEEDED


def test_frames_that_are_none(scene):
    e = scene.engine
    _, good = e.start("good.yaml", sha(scene.good), key=b"\1" * 16 +
                      struct.pack("<II", 0, 1))
    body = good[8:]
    frames = [b"", b"x", b"GET / HTTP/1.1\r\n\r\n", good[:7], good[:-1],
              good + b"x", b"\0" * MESSAGE_MAX, b"\xff" * 1000,
              message(START, body[:-1]), message(START, body + b"\0"),
              message(0, body), message(11, body), message(0xffff, body),
              message(WELCOME, struct.pack("<I", PROTO_VERSION) + b"\1" * 16),
              message(STARTED, body[:24] + struct.pack("<IQ", 1, 1)),
              message(ENDED, body), message(OUTPUT, body),
              struct.pack("<HHI", 0x4144, START, 0xffffffff) + body,
              message(PIN, text(b"a" * 300 + b".yaml") + bytes(32)),
              message(STOP, body[:24] + b"\2" + struct.pack("<Q", 0)),
              message(HELLO, struct.pack("<I", PROTO_VERSION))]
    for frame in frames:
        e.throw(frame)
    # Too large for one datagram of ours: the kernel or the executor says no.
    e.throw(message(START, body + b"\0" * (1024 * 1024)))


def test_mutations_of_a_good_request(scene):
    e = scene.engine
    random.seed(20261128)
    for _ in range(400):
        _, data = e.start(random.choice(["good.yaml", "elsewhere.yaml"]),
                          random.choice([sha(scene.good), sha(scene.as_root),
                                         sha(scene.evil("fuzz"))]),
                          '{"word": "fuzz"}')
        data = bytearray(data)
        for _ in range(random.randint(1, 8)):
            at = random.randrange(len(data))
            data[at] = random.choice([0, 1, 0x2e, 0x2f, 0x7f, 0xff,
                                      data[at] ^ (1 << random.randrange(8))])
        if random.random() < 0.2:
            del data[random.randrange(len(data)):]
        e.throw(bytes(data))
    # What did run was the step of the runbook: it can only have written words.
    assert all(len(line) <= len("fuzz") for line in scene.lines())


def test_nobody_cuts_the_engine_off(make_daemon):
    """Whoever may connect: the engine that is there stays, and it is told."""
    d = make_daemon({"slow.yaml": "name: Slow\nsteps:\n- name: x\n"
                                  "  command: sleep 1; echo done\n"})
    d.wait_executor()
    w = d.post("/api/runbooks/execute", {"runbook": "slow.yaml"})
    for _ in range(20):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(f"{d.folder}/run/executor.sock")
            with contextlib.suppress(OSError):
                s.send(message(HELLO, struct.pack("<I", 1)))
            assert select.select([s], [], [], 10)[0]
            try:
                assert s.recv(MESSAGE_MAX) == b""
            except ConnectionResetError:
                pass
        assert d.get("/api/health")["checks"]["executor"]["ok"]
    d.wait_status(w["workflow_id"], "succeeded")
    assert "is not connected" not in d.log()
    assert f"process {os.getpid()} of user {os.geteuid()} is turned away" in \
        d.log()
