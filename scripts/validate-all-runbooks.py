#!/usr/bin/env python3
"""Checks every runbook of the repository, also while the engine is down.

Usage: validate-all-runbooks.py [FOLDER]

Exit status: 0 all valid (warnings are shown), 1 errors, 2 wrong usage.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from src.autonomous_engine import (  # noqa: E402
    EngineError, validate_all_runbooks)


def main(arguments):
    asks = arguments[:1] in (["-h"], ["--help"])
    if asks or len(arguments) > 1:
        print(__doc__.strip(), file=sys.stdout if asks else sys.stderr)
        return 0 if asks else 2
    try:
        validate_all_runbooks(*arguments)
    except EngineError as e:
        print(e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
