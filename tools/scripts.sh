#!/usr/bin/env bash
# Checks the scripts: shellcheck for those of bash and sh, compilation for
# those of Python.
#
# Usage: tools/scripts.sh [ROOT]      prints FILE:LINE:..., exits 1 if any
set -euo pipefail
cd "${1:-$(dirname "$(readlink -f "$0")")/..}"

bash_files=()
python_files=()
while IFS= read -r file; do
    case $(head -c 80 "$file" | head -n 1 | tr -d '\0') in
    '#!'*bash* | '#!'*/sh*) bash_files+=("$file") ;;
    '#!'*python3*) python_files+=("$file") ;;
    *) [ "${file%.py}" = "$file" ] || python_files+=("$file") ;;
    esac
done < <(find . \( -path './build*' -o -path './.git' -o -path './run' \) \
    -prune -o -type f -size -200k \
    \( -perm -u+x -o -name '*.sh' -o -name '*.py' \) -print | sort)

bad=0
if [ ${#bash_files[@]} -gt 0 ]; then
    shellcheck -x --format=gcc "${bash_files[@]}" || bad=1
fi
for file in "${python_files[@]}"; do
    python3 - "$file" <<'PY' || bad=1
import ast
import sys
name = sys.argv[1]
try:
    ast.parse(open(name, encoding="utf-8").read(), name)
except SyntaxError as e:
    print(f"{name}:{e.lineno}: {e.msg}")
    sys.exit(1)
PY
done
exit "$bad"
