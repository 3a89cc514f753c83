#!/usr/bin/env bash
# Compiles every header of src/ by itself, with gcc and clang: a header
# includes what it needs.
#
# Usage: tools/headers.sh [ROOT]     prints FILE:LINE:..., exits 1 if any
set -euo pipefail
cd "${1:-$(dirname "$(readlink -f "$0")")/..}"

read -ra flags <<<"$(pkg-config --cflags jansson libfyaml libpcre2-8 \
    libsodium sqlite3 libsystemd libmicrohttpd libcurl)"
flags+=(-std=gnu17 -D_GNU_SOURCE -DADP_VERSION='"0"' -Isrc -fsyntax-only
    -Wall -Wextra -Wundef -Wstrict-prototypes -Werror -Wno-unused-function)
if [ -f src/base/banned.h ]; then
    flags+=(-include src/base/banned.h)
fi

# Twice, so that a header without its guard shows.
check() {
    printf '#include "%s"\n#include "%s"\n' "${2#src/}" "${2#src/}" |
        "$1" "${flags[@]}" -x c - 2>&1
}

bad=0
mapfile -t headers < <(find src -name '*.h' ! -name banned.h | sort)
for compiler in gcc clang; do
    if ! command -v "$compiler" >/dev/null; then
        echo "$compiler is not installed" >&2
        continue
    fi
    for header in "${headers[@]}"; do
        check "$compiler" "$header" || bad=1
    done
done
exit "$bad"
