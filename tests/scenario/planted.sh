#!/bin/sh
# planted.sh SIM INVARIANT FILE...: SIM has a planted bug. Passes when playing
# the files with a crash at each boundary finds it, as that invariant.
set -u
sim=$1
invariant=$2
shift 2
found=$("$sim" --exhaustive "$@" 2>&1 >/dev/null)
status=$?
echo "$found"
[ "$status" -eq 1 ] || { echo "exit status $status, not 1"; exit 1; }
case $found in
*"violation: $invariant:"*) ;;
*) echo "no violation of $invariant"; exit 1 ;;
esac
