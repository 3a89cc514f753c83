"""What operators call from Python: questions to the engine, checks of files.

The engine is a program of its own, ``autonomous-devops``; this module asks it
over HTTP, or runs ``autonomous-devops`` and ``adctl`` for what must work while
it is down. Only the standard library is used.

    python -c "from src.autonomous_engine import get_queue_health; \
print(get_queue_health())"
    python src/autonomous_engine.py        # runs the engine in the foreground

Functions print what a person wants to read and return what a program wants to
have. What is wrong is raised as an :class:`EngineError`; in ``python -c`` and
in the scripts it is shown as one message, and the exit status is 1.

Environment:

AD_SERVER
    address of the engine; unless set, what the configuration has as
    ``server.listen``, or ``http://127.0.0.1:9000`` where it cannot be read
AD_TOKEN_FILE
    file that holds a bearer token, for an engine on another machine
AD_RUNBOOKS
    folder that relative runbook paths belong to, when it is not
    ``/var/lib/autonomous-devops/runbooks``
LOGLEVEL
    DEBUG, INFO, WARNING or ERROR: messages of an engine started from here
"""
from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

__all__ = [
    "EngineError", "InvalidError", "check_execution_environment",
    "diagnose_queue", "get_event_stats", "get_queue_health",
    "test_integration", "validate_all_runbooks", "validate_config",
    "validate_runbook", "verify_credentials",
]

ROOT = Path(__file__).resolve().parent.parent
SERVER = "http://127.0.0.1:9000"
CONFIG = "/etc/autonomous-devops/config.yaml"
RUNBOOKS = "/var/lib/autonomous-devops/runbooks"
TIMEOUT_SECONDS = 30
ANSWER_MAX_BYTES = 64 * 1024 * 1024
TOOL_TIMEOUT_SECONDS = 120
FINDINGS = 3  # adctl's exit status for "only warnings"


class EngineError(Exception):
    """The engine, or a program of it, could not do what was asked."""


class InvalidError(EngineError):
    """A file is not valid; the message has every problem with its place."""


# ---- talking to the engine --------------------------------------------------

def _configured(config: str) -> str | None:
    """Where the engine of this configuration listens, if it can be read."""
    if not os.access(config, os.R_OK):
        return None
    try:
        shown = _run("autonomous-devops", "show-config", "--json", config)
        options = {option["key"]: option["value"]
                   for option in json.loads(shown.stdout)["options"]}
        host, port = options["server.listen"].rsplit(":", 1)
    except (EngineError, ValueError, KeyError, TypeError):
        return None  # what is wrong with it is not what was asked
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    scheme = "https" if options.get("server.tls.cert") else "http"
    return f"{scheme}://{host}:{port}" if port != "0" else None


def _request(path: str) -> urllib.request.Request:
    server = os.environ.get("AD_SERVER") or _configured(CONFIG) or SERVER
    if not server.startswith(("http://", "https://")):
        raise EngineError(f"AD_SERVER={server}: not an http or https address")
    request = urllib.request.Request(server.rstrip("/") + path)
    token_file = os.environ.get("AD_TOKEN_FILE")
    if token_file:
        try:
            token = Path(token_file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as e:
            raise EngineError(f"cannot read the token in {token_file}: {e}") \
                from e
        request.add_header("Authorization", f"Bearer {token}")
    return request


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token goes to the engine and to nobody it points at."""

    def redirect_request(self, *_args: Any) -> None:  # type: ignore[override]
        return None


# Proxies of the environment have no business between us and the engine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                      _NoRedirect)


def _fetch(path: str) -> tuple[int, bytes]:
    """Status and body, whatever the status is."""
    request = _request(path)
    try:
        with _opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, answer.read(ANSWER_MAX_BYTES + 1)
    except urllib.error.HTTPError as e:
        with e:
            return e.code, e.read(ANSWER_MAX_BYTES)
    except (OSError, ValueError, http.client.HTTPException) as e:
        reason = getattr(e, "reason", None) or e
        raise EngineError(
            f"the engine does not answer at {request.full_url}: {reason}; "
            "try: systemctl status autonomous-devops.service") from e


def _call(path: str, also: int = 200) -> Any:
    """The engine's answer as JSON; EngineError says what to do otherwise."""
    status, data = _fetch(path)
    if len(data) > ANSWER_MAX_BYTES:
        raise EngineError(f"{path}: the answer is too large")
    try:
        body = json.loads(data)
    except ValueError as e:
        raise EngineError(f"{path}: status {status}, and the answer is not "
                          "the engine's: it is not JSON") from e
    if status in (200, also):
        return body
    text = body.get("error") if isinstance(body, dict) else None
    # The engine's own sentence where there is one.
    raise EngineError(str(text or f"{path}: status {status}"))


# ---- running its programs ---------------------------------------------------

def _program(name: str) -> str:
    """The installed program, or the one built in this source tree."""
    built = ROOT / "build" / name
    path = str(built) if os.access(built, os.X_OK) else shutil.which(name)
    if path is None:
        raise EngineError(
            f"there is no program {name}: install the Debian package, or "
            "build it here with ./start --build")
    return path


def _run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [_program(name), *arguments]
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, errors="replace",
                              timeout=TOOL_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as e:
        raise EngineError(f"cannot run {' '.join(command)}: {e}") from e


def _show(text: str, to: Any = None) -> None:
    if text:
        print(text.rstrip("\n"), file=to or sys.stdout, flush=True)


# ---- the queue and events ---------------------------------------------------

def get_queue_health() -> dict[str, Any]:
    """How the event queue is doing.

    ``status`` is ``ok``, ``paused``, ``stuck`` (a worker makes no progress),
    ``full`` (new events are answered 503), or ``down`` (the store failed).
    """
    health = _call("/api/health", also=503)  # not everything is well
    metrics = _call("/api/metrics")
    workers = _call("/api/admin/workers")["workers"]
    queue = health["checks"]["queue"]
    stuck = [w["id"] for w in workers if w["status"] == "stuck"]
    if not health["checks"]["store"]["ok"]:
        status = "down"
    elif not queue["ok"]:
        status = "full"
    elif stuck:
        status = "stuck"
    elif queue.get("paused"):
        status = "paused"
    else:
        status = "ok"
    return {
        "status": status,
        "depth": queue["depth"],
        "limit": queue["limit"],
        "paused": bool(queue.get("paused")),
        "workers": len(workers),
        "stuck_workers": stuck,
        "events_per_minute": metrics["events_per_minute"],
        "events_processed_per_second":
            metrics["events_processed_per_second"],
        "processing_errors_last_hour":
            metrics["processing_errors_last_hour"],
        "poison": metrics["ledger"]["events"]["poison"],
        "drained": metrics["ledger"]["events"]["drained"],
    }


def get_event_stats() -> dict[str, Any]:
    """Events by what they are (in 24 hours) and by where they are (ever), and
    how fast they come and go."""
    metrics = _call("/api/metrics")
    stats = _call("/api/events/stats")
    return {
        "accepted": stats["total"],
        "by_status": stats["by_status"],
        "by_type": stats["by_type"],
        "by_severity": stats["by_severity"],
        "by_source": stats["by_source"],
        "last_hour": stats["last_hour"],
        "last_24h": stats["last_24h"],
        "events_per_minute": metrics["events_per_minute"],
        "events_processed_per_second":
            metrics["events_processed_per_second"],
        "processing_errors_last_hour":
            metrics["processing_errors_last_hour"],
    }


def _advice(health: dict[str, Any]) -> list[str]:
    """What each finding calls for, the most urgent first."""
    found = []
    if health["status"] == "down":
        found.append("the store has failed and no event is accepted: "
                     "journalctl -u autonomous-devops.service -n 50")
    if health["depth"] >= health["limit"]:
        found.append("the queue is full and new events get 503: "
                     "adctl event list --status queued")
    if health["stuck_workers"]:
        names = ", ".join(map(str, health["stuck_workers"]))
        found.append(f"stuck workers: {names}: curl -X POST "
                     f"{SERVER}/api/admin/restart-workers")
    if health["paused"]:
        found.append(f"processing is paused: curl -X POST "
                     f"{SERVER}/api/admin/resume-processing")
    if health["poison"]:
        found.append(f"{health['poison']} poison events are set aside: "
                     f"curl -s {SERVER}/api/admin/poison-messages")
    if health["drained"]:
        found.append(f"{health['drained']} drained events are kept: curl -X "
                     f"POST {SERVER}/api/admin/replay-drained")
    if health["processing_errors_last_hour"]:
        found.append(f"{health['processing_errors_last_hour']} processing "
                     "errors in the last hour: adctl event list --status "
                     "error")
    return found


def diagnose_queue() -> dict[str, Any]:
    """Says what is wrong with the queue and what to do about it."""
    health = get_queue_health()
    findings = _advice(health)
    _show(f"queue: {health['status']}, {health['depth']} of at most "
          f"{health['limit']} events wait, {health['workers']} workers, "
          f"{health['events_processed_per_second']:.1f} events/s")
    for finding in findings or ["nothing is wrong"]:
        _show(f"  - {finding}")
    return {**health, "findings": findings}


# ---- files ------------------------------------------------------------------

def validate_config(path: str = CONFIG) -> bool:
    """True when the engine would start with the file; works while it is down.

    Warnings are shown. Errors are raised as one InvalidError, each with file,
    line and column.
    """
    if not Path(path).is_file():
        raise InvalidError(f"{path}: there is no such file")
    done = _run("autonomous-devops", "check-config", "--config", str(path))
    if done.returncode != 0:
        raise InvalidError((done.stderr or done.stdout).strip())
    _show(done.stderr, sys.stderr)
    _show(done.stdout)
    return True


def _runbook_file(path: str) -> Path:
    """A file here, or a path of the repository."""
    here = Path(path)
    if here.is_absolute() or here.exists():
        return here
    return _repository() / here


def _repository() -> Path:
    return Path(os.environ.get("AD_RUNBOOKS") or RUNBOOKS)


def validate_runbook(path: str) -> bool:
    """True when the runbook is valid; works while the engine is down.

    A relative path that is no file here belongs to the repository. Warnings
    are shown; errors are raised as one InvalidError with their places.
    """
    file = _runbook_file(path)
    if not file.is_file():
        raise InvalidError(f"{file}: there is no such file")
    # Absolute: no name is an option, and none is the engine's to look up.
    done = _run("adctl", "runbook", "validate", str(file.absolute()))
    if done.returncode not in (0, FINDINGS):
        raise InvalidError((done.stdout + done.stderr).strip())
    _show(done.stderr, sys.stderr)
    _show(done.stdout)
    return True


def validate_all_runbooks(folder: str | None = None) -> bool:
    """True when every runbook of the folder (the repository) is valid."""
    where = Path(folder) if folder else _repository()
    if not where.is_dir():
        raise InvalidError(f"{where}: there is no such folder")
    done = _run("adctl", "runbook", "validate", "--all",
                str(where.absolute()))
    if done.returncode not in (0, FINDINGS):
        raise InvalidError((done.stdout + done.stderr).strip())
    _show(done.stderr, sys.stderr)
    _show(done.stdout)
    return True


# ---- integrations and surroundings ------------------------------------------

def test_integration(name: str) -> dict[str, Any]:
    """Asks the engine to test an integration now; EngineError when it fails.

    The error has the engine's words, such as
    ``Prometheus integration: 401 Unauthorized``.
    """
    result = _call(f"/api/integrations/{urllib.parse.quote(name, safe='')}"
                   "/test")
    if result.get("ok", result.get("healthy")) is False:
        raise EngineError(str(result.get("error") or f"{name}: not healthy"))
    _show(f"{name}: ok")
    return result


# pytest must not take it for a test of its own.
test_integration.__test__ = False  # type: ignore[attr-defined]


def check_execution_environment() -> list[dict[str, Any]]:
    """Checks what runbooks need in order to run, one thing after another.

    That is ``adctl doctor``: configuration, store, executor, runbooks,
    permissions, folders, backups, disk space, clock. EngineError when a check
    failed.
    """
    config = ["--config", CONFIG] if os.path.exists(CONFIG) else []
    server = os.environ.get("AD_SERVER")
    done = _run("adctl", *(["--server", server] if server else []),
                "doctor", "-o", "json", *config)
    try:
        checks = json.loads(done.stdout)["items"]
    except (ValueError, KeyError) as e:
        raise EngineError((done.stderr or done.stdout).strip()) from e
    lines = []
    for check in checks:
        lines.append(f"{check['status']:<9}{check['check']}: "
                     f"{check['detail']}")
        if check.get("next"):
            lines.append(f"{'':9}try: {check['next']}")
    text = "\n".join(lines)
    failed = [c["check"] for c in checks if c["status"] == "failed"]
    if failed:
        raise EngineError(f"{text}\nfailed: {', '.join(failed)}")
    _show(text)
    return checks


def _try_credentials(name: str) -> dict[str, Any]:
    """Asks the partner, with the credentials it has, without side effects."""
    try:
        health = _call(f"/api/integrations/{urllib.parse.quote(name, safe='')}"
                       "/health")
    except EngineError as e:
        return {"name": name, "ok": False, "error": str(e)}
    return {"name": name, "ok": health.get("healthy"),
            "error": health.get("error")}


def verify_credentials() -> list[dict[str, Any]]:
    """Tries every integration in use with the credentials it has.

    Nobody is paged by that: partners are asked for their health. One that has
    no question without side effects (Slack, PagerDuty without an ``api_key``)
    has the health that its last message has shown, and ``ok`` None before;
    ``test_integration`` sends it one, labelled as a test. ``ok`` is None, too,
    and ``error`` says why, where what is set is not enough to use it. Also
    that this caller may use the API at all. EngineError when a partner refuses
    a credential or does not answer; no credential is ever shown.
    """
    used = [i["name"] for i in _call("/api/integrations")
            if i.get("enabled") and (i.get("configured", True)
                                     or i.get("error"))]
    _show("engine: you may use the API")
    results = [_try_credentials(name) for name in used]
    failed = [str(r["error"]) for r in results if r["ok"] is False]
    if failed:
        raise EngineError("\n".join(failed))
    for r in results:
        _show(f"{r['name']}: ok" if r["ok"] else r["error"] or
              f"{r['name']}: not known before something is sent; "
              f"test_integration('{r['name']}') sends a test")
    if not used:
        _show("no integration is in use")
    return results


# ---- as a program -----------------------------------------------------------

def fail(error: EngineError) -> NoReturn:
    """Ends the program with the message and exit status 1."""
    print(error, file=sys.stderr)
    sys.exit(1)


def _hook(kind: type[BaseException], value: BaseException,
          trace: TracebackType | None) -> None:
    if isinstance(value, EngineError):
        print(value, file=sys.stderr)
    else:
        sys.__excepthook__(kind, value, trace)


# Whoever types python -c wants to read what is wrong, not where we noticed.
if sys.argv[:1] == ["-c"] and sys.excepthook is sys.__excepthook__:
    sys.excepthook = _hook


def main() -> NoReturn:
    """Becomes the engine, in the foreground, with the arguments given."""
    try:
        program = _program("autonomous-devops")
        os.execv(program, ["autonomous-devops", "serve", *sys.argv[1:]])
    except OSError as e:
        fail(EngineError(f"cannot run autonomous-devops: {e}"))
    except EngineError as e:
        fail(e)


if __name__ == "__main__":
    main()
