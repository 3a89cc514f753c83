#!/bin/sh
# refused.sh SIM: senseless scenarios are refused with the line (status 2), and
# a story that does not come true is a violation (status 1).
set -u
sim=$1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

# expect STATUS TEXT: plays stdin
expect() {
    cat >"$dir/x.scn"
    said=$("$sim" "$dir/x.scn" 2>&1)
    status=$?
    case $status:$said in
    "$1":*"$2"*) ;;
    *) echo "want $1 '$2', got $status: $said"; failed=1 ;;
    esac
}

expect 2 'x.scn:1: no such statement' <<EOF
once upon a time
EOF
expect 2 'x.scn:2: at what time?' <<EOF
title late
at noon event web
EOF
expect 2 'x.scn:1: no such happening' <<EOF
at 1s miracle
EOF
expect 2 'x.scn:1: no such ending' <<EOF
finally happy ever after
EOF
expect 2 'x.scn:1: not a limit' <<EOF
limits sky=1
EOF
expect 2 'x.scn:1: a step cannot do this' <<EOF
step fly flies
EOF
expect 2 'x.scn:1: more words are needed' <<EOF
at 1s run web
EOF
expect 2 'x.scn:1: too many words, or no closing quote' <<EOF
finally error "web
EOF
expect 2 "x.scn:4: a runbook has no key 'stepz'" <<EOF
title a runbook with a wrong key
runbook a.yaml
    name: A
    stepz: []
    steps: [{name: a, action: exec, command: a}]
EOF
expect 1 "line 2: number of workflows of 'web' is '0', not '1'" <<EOF
at 0s event web alertname=Down
finally runs web 1
EOF
expect 1 "web was never answered" <<EOF
at 0s run web nowhere.yaml
EOF
[ "$("$sim" --help | head -n 1)" = \
    'usage: adp-sim [OPTION]... [FILE.scn]...' ] || failed=1
"$sim" >/dev/null 2>&1 && failed=1
"$sim" "$dir/absent.scn" 2>/dev/null
[ $? -eq 2 ] || failed=1
exit $failed
