#!/usr/bin/env python3
"""Checks runbooks, also while the engine is down.

Usage: validate-runbook.py RUNBOOK...

A relative path that is no file here belongs to the runbook repository:
validate-runbook.py remediation/restart-service.yaml
Exit status: 0 valid (warnings are shown), 1 errors, 2 wrong usage.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from src.autonomous_engine import EngineError, validate_runbook  # noqa: E402


def main(paths):
    if not paths or paths[0] in ("-h", "--help"):
        print(__doc__.strip(), file=sys.stdout if paths else sys.stderr)
        return 0 if paths else 2
    status = 0
    for path in paths:
        try:
            validate_runbook(path)
        except EngineError as e:
            print(e, file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
