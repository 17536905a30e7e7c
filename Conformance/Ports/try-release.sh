#!/usr/bin/env bash
# Does the one-file release work for someone who has Python and no .NET? Makes the file for this machine, and tries it in an empty environment. Leaves nothing behind.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
case "$(uname -m)" in x86_64) rid=linux-x64 ;; aarch64) rid=linux-arm64 ;; *) echo "try-release: no release for $(uname -m)" >&2; exit 2 ;; esac

# With a file as argument that file is tried.
if [ "${1:-}" != --inside ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if [ $# -gt 0 ]; then
        cp "$1" "$work/s2attn"
    else
        bash "$repository/Conformance/Cli/release.sh" --output "$work/release" "$rid"
        mv "$work/release/s2attn-$rid" "$work/s2attn"
    fi
    chmod +x "$work/s2attn"
    mkdir "$work/bin" "$work/home" "$work/empty" "$work/tmp"

    # Python may be any that has NumPy; of the rest of the system only what a stranger's shell has.
    python=${S2ATTN_PYTHON:-python3}
    "$python" -c 'import numpy' 2>/dev/null || python=/usr/bin/python3
    for tool in "$python" sh bash cat grep ls date rm find; do
        ln -s "$(command -v "$tool")" "$work/bin/$(basename "$tool")"
    done
    ln -sf "$(command -v "$python")" "$work/bin/python3"

    # Where a mount namespace of our own is allowed, the runtime is not only out of the PATH but gone.
    inside=(env -i "PATH=$work/bin" "HOME=$work/home" "TMPDIR=$work/tmp" "$(command -v bash)" "$0" --inside "$work")
    # shellcheck disable=SC2016
    if unshare --mount true 2>/dev/null; then
        unshare --mount bash -c 'for folder in /usr/share/dotnet /usr/lib/dotnet /usr/lib64/dotnet; do [ ! -d "$folder" ] || mount -t tmpfs none "$folder"; done; exec "$@"' _ "${inside[@]}"
    else
        echo "try-release: no mount namespace here, so .NET is hidden by the PATH alone"
        "${inside[@]}"
    fi
    exit
fi

work=$2
cd "$work/empty"
if command -v dotnet; then exit 1; fi
s2attn=$work/s2attn
seconds() {
    local begin end
    begin=$(date +%s%N)
    "$@" > out 2>&1 || true
    end=$(date +%s%N)
    echo "$(((end - begin) / 1000000)) ms: ${*##*/}"
}
set -x
"$s2attn" --help > help
grep -q "executable standard" help
"$s2attn" new numpy
"$s2attn" describe --port "python3 numpy_port.py"
"$s2attn" check --port "python3 numpy_port.py" --cases 3 --seed 1 --html report.html --json report.json --junit report.xml --badge badge.svg > out
grep -q "^conforms" out || { cat out; exit 1; }
code=0; "$s2attn" xray --port mutant:split-as-local-causal --mask Split --only --svg xray.svg > out || code=$?
test "$code" = 1 && grep -q LocalCausal out && grep -q "</svg>" xray.svg

# ONNX Runtime is inside of the file, and the child that runs a model is the file itself.
"$s2attn" graph --mask Split --group-size 8 --output model.onnx
"$s2attn" check --onnx model.onnx --cases 3 --seed 1 > out || { cat out; exit 1; }
code=0; "$s2attn" frobnicate 2> out || code=$?
test "$code" = 2 && grep -q "there is no command frobnicate" out
test -z "$(ls -A "$work/tmp")" && test -z "$(ls -A "$work/home")"
set +x
for _ in 1 2 3; do seconds "$s2attn" --help; done
for _ in 1 2 3; do seconds "$s2attn" check --port "python3 numpy_port.py" --cases 1 --filter Determinism --seed 1; done
echo "try-release: the one file works where there is no .NET ($(($(find "$s2attn" -printf %s) / 1000000)) MB)"
