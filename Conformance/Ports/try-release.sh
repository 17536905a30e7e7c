#!/usr/bin/env bash
# Does the one-file release work for someone who has Python and no .NET? try-release.sh [FILE]: tries that file, or makes the one for this machine first. Leaves nothing behind.
# The file lies alone in a folder outside of the repository; of the system there is what stands in `bin` below, and no variable but PATH, HOME and TMPDIR.
set -euo pipefail

if [ "${1:-}" != --inside ]; then
    repository=$(cd "$(dirname "$0")/../.." && pwd)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/bin" "$work/home" "$work/empty" "$work/tmp"
    if [ $# -gt 0 ]; then
        cp "$1" "$work/s2attn"
    else
        case "$(uname -m)" in x86_64) rid=linux-x64 ;; aarch64) rid=linux-arm64 ;; *) echo "try-release: no release for $(uname -m)" >&2; exit 2 ;; esac
        bash "$repository/.ci/release" --output "$work" "$rid"
        mv "$work/s2attn-$rid" "$work/s2attn"
        echo "try-release: made in $SECONDS s"
    fi
    chmod +x "$work/s2attn"

    # Python may be any that has NumPy.
    python=${S2ATTN_PYTHON:-python3}
    "$python" -c 'import numpy' 2>/dev/null || python=/usr/bin/python3
    for tool in bash cat cmp date find grep ls rm sed sh sort; do
        ln -s "$(command -v "$tool")" "$work/bin/$tool"
    done
    ln -s "$(command -v "$python")" "$work/bin/python3"
    cp "$repository/golden/manifest.json" "$work/manifest.json"
    inside=(env -i "PATH=$work/bin" "HOME=$work/home" "TMPDIR=$work/tmp" "$(command -v bash)" "$0" --inside "$work")

    # Where a mount namespace of our own is allowed, the runtime is not only out of the PATH but gone.
    if unshare --mount true 2>/dev/null; then
        # shellcheck disable=SC2016
        unshare --mount bash -c 'for folder in /usr/share/dotnet /usr/lib/dotnet /usr/lib64/dotnet; do [ ! -d "$folder" ] || mount -t tmpfs none "$folder"; done; exec "$@"' _ "${inside[@]}"
    else
        echo "try-release: no mount namespace here, so .NET is hidden by the PATH alone"
        "${inside[@]}"
    fi
    exit
fi

work=$2 s2attn=$2/s2attn
cd "$work/empty"
if command -v dotnet; then exit 1; fi

# ends CODE WORDS COMMAND...: it ends with that code and says these words.
ends() {
    local code=0
    "${@:3}" > "$work/said" 2>&1 || code=$?
    [ "$code" = "$1" ] && { [ -z "$2" ] || grep -qF -- "$2" "$work/said"; } || { cat "$work/said"; echo "try-release: ${*:3}: exit code $code, not $1, or not: $2"; exit 1; }
}

ends 0 "executable standard" "$s2attn" --help
ends 0 numpy_port.py "$s2attn" new numpy
ends 0 "level 5, gradients: claimed" "$s2attn" describe --port "python3 numpy_port.py"
ends 0 "conforms, level" "$s2attn" check --port "python3 numpy_port.py" --cases 2 --seed 1 --html report.html --json report.json --junit report.xml --badge badge.svg
ends 0 "" "$s2attn" compare report.json report.json
ends 1 LocalCausal "$s2attn" xray --port mutant:split-as-local-causal --mask Split --only --svg xray.svg
ends 2 "there is no command frobnicate" "$s2attn" frobnicate

# ONNX Runtime is inside, and the child that runs a model is the file itself.
ends 0 "" "$s2attn" graph --mask Split --group-size 8 --output model.onnx
ends 0 "conforms, level" "$s2attn" check --onnx model.onnx --cases 2 --seed 1

# So are the golden tensors, and the checker for Python.
ends 0 " cases agree" "$s2attn" golden --filter n16-g4
ends 0 "check.py" "$s2attn" golden --write vectors
cmp vectors/manifest.json "$work/manifest.json"
ends 0 " agree, 0 differ" python3 vectors/check.py --max-tokens 16
rm -r vectors/__pycache__ 2>/dev/null || true
ends 2 "exists; nothing was written" "$s2attn" golden --write vectors

left=$(find "$work/tmp" "$work/home" -mindepth 1)
[ -z "$left" ] || { echo "try-release: left behind: $left"; exit 1; }

# least MILLISECONDS WHAT COMMAND...: the best of five runs takes less, by the clock or, where others use the machine, of processors.
least() {
    local best=1000000 took begin times user system TIMEFORMAT='%3U %3S'
    for _ in 1 2 3 4 5; do
        begin=$(date +%s%N)
        # What the command itself says goes past the times, and where it fails there are none.
        times=$({ time "${@:3}" > /dev/null 2>&3; } 3>&2 2>&1) || { echo "try-release: $2 failed"; exit 1; }
        read -r user system <<< "$times"
        took=$((($(date +%s%N) - begin) / 1000000)) user=${user/./} system=${system/./}
        echo "try-release: $2: $took ms, $((10#$user + 10#$system)) ms of processors"
        for took in "$took" "$((10#$user + 10#$system))"; do best=$((took < best ? took : best)); done
    done
    [ "$best" -lt "$1" ] || { echo "try-release: $2 must take less than $1 ms"; exit 1; }
}
first_row() {
    local line
    while read -r line; do case "$line" in holds*) break ;; esac; done < <(exec "$s2attn" check --port "python3 numpy_port.py" --cases 20 --seed 1 --verbose)
    kill $!
    wait $! 2> /dev/null || true
    case "$line" in holds*) ;; *) echo "try-release: no row came" >&2; return 1 ;; esac
}
least 150 "s2attn --help" "$s2attn" --help
least 1000 "the first row of a check" first_row
echo "try-release: the one file works where there is no .NET ($(($(find "$s2attn" -printf %s) / 1000000)) MB)"
