#!/usr/bin/env bash
# Checks that the pure modules stay pure: what their static libraries leave
# undefined must be on the list in purity.allow.
#
# Usage: purity.sh ARCHIVE...     prints PLACE: MESSAGE, exits 1 if any
#
# Sanitizers add calls of their own: run it on a plain build.
set -euo pipefail
export LC_ALL=C

[ $# -gt 0 ] || { echo "usage: purity.sh ARCHIVE..." >&2; exit 2; }
for archive in "$@"; do
    [ -f "$archive" ] || { echo "$archive: no such archive" >&2; exit 2; }
done
allow_file=$(dirname "$(readlink -f "$0")")/purity.allow

allowed=()
refused=()
while read -r pattern _; do
    case $pattern in
    '' | '#'*) ;;
    '!'*) refused+=("${pattern#!}") ;;
    *) allowed+=("$pattern") ;;
    esac
done <"$allow_file"

# A literal name wins over a glob, then refusals over permissions.
is_allowed() {
    local symbol=$1 pattern
    for pattern in "${allowed[@]}"; do
        [ "$symbol" = "$pattern" ] && return 0
    done
    for pattern in "${refused[@]}"; do
        # shellcheck disable=SC2053  # a glob on purpose
        [[ $symbol == $pattern ]] && return 1
    done
    for pattern in "${allowed[@]}"; do
        # shellcheck disable=SC2053
        [[ $symbol == $pattern ]] && return 0
    done
    return 1
}

# The pure modules may call each other.
own=$(nm --defined-only --format=posix "$@" | awk 'NF >= 2 { print $1 }' |
    sort -u)
wanted=$(nm --undefined-only --format=posix "$@" |
    awk 'NF >= 2 { print $1 }' | sort -u)
[ -n "$own" ] || { echo "no symbols in $*" >&2; exit 2; }
foreign=$(comm -13 <(printf '%s\n' "$own") <(printf '%s\n' "$wanted"))

# "path/file.c:12", or the object where the line is not known or is that of a
# system header (inlined).
places_of() {
    nm --undefined-only --print-file-name --line-numbers "${@:2}" |
        awk -v symbol="$1" '
        NF >= 3 && ($(NF) == symbol || $(NF - 1) == symbol) {
            known = $(NF) != symbol && $(NF) !~ /^\/usr\//
            place = known ? $(NF) : $1
            sub(/:$/, "", place)
            print place
        }' | sed "s|^$PWD/||; s|^.*/\.\./||" | sort -u | head -3 |
        paste -sd' '
}

bad=0
while read -r symbol; do
    if [ -n "$symbol" ] && ! is_allowed "$symbol"; then
        echo "$(places_of "$symbol" "$@"): a pure module uses $symbol"
        bad=1
    fi
done <<<"$foreign"
exit "$bad"
