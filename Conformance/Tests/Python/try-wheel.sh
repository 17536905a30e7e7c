#!/usr/bin/env bash
# Does the wheel work outside of the repository? Builds it, installs it into a fresh environment, runs its tests there: try-wheel.sh [pytest arguments].
# WORK, where given, is the folder to use and keep; then WORK/venv/bin/python is an interpreter that has the package.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
work=${WORK:-$(mktemp -d)}
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"
python=${S2ATTN_PYTHON:-/usr/bin/python3}

native=$(bash "$root/Optimized/Bindings/Native/build.sh" ${S2ATTN_LEVELS:+--levels "$S2ATTN_LEVELS"})
wheel=$("$python" "$root/Optimized/Bindings/Python/build_wheel.py" --native "$native" --out "$work/wheel")
"$python" -m venv --system-site-packages --without-pip "$work/venv"
"$python" -m pip --disable-pip-version-check --python "$work/venv/bin/python" install --quiet --no-index --no-deps --force-reinstall "$wheel"

# A copy, so that nothing beside the tests can be imported from the repository; they find golden/ by S2ATTN_ROOT.
rm -rf "$work/tests" && cp -r "$root/Optimized/Bindings/Python/tests" "$work/tests"
cd "$work/tests"
unset S2ATTN_LIBRARY PYTHONPATH
S2ATTN_ROOT=$root S2ATTN_WHEEL=$wheel "$work/venv/bin/python" -m pytest -q -p no:cacheprovider "$@" .
