#!/usr/bin/env bash
# Does the packed tool install, and does every command of docs/porting.md run with it, outside of the repository?
# Blocks marked "sh install" run in the repository, blocks marked "sh run" in an empty folder. Leaves nothing behind.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export NUGET_PACKAGES="${NUGET_PACKAGES:-$HOME/.nuget/packages}" DOTNET_CLI_HOME="$work/home" HOME="$work/home" TMPDIR="$work/tmp"
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false
mkdir -p "$HOME" "$TMPDIR" "$work/empty"

blocks() { awk -v mark="$1" '$0 == "```sh " mark { on = 1; next } /^```/ { on = 0 } on' "$repository/docs/porting.md"; }

# NumPy may live in another Python than the first one on the PATH.
python=${S2ATTN_PYTHON:-python3}
"$python" -c 'import numpy' 2>/dev/null || python=/usr/bin/python3
mkdir "$work/bin" && ln -s "$(command -v "$python")" "$work/bin/python3" && export PATH="$work/bin:$PATH"

# The package goes to a folder of ours instead of into the repository; what builds there waits for others that do.
cd "$repository"
blocks install | sed "s#\bartifacts\b#$work/feed#; s#\$PWD/$work#$work#; s#^dotnet pack#bash .ci/alone dotnet pack#" > "$work/install.sh"
grep -q "tool install" "$work/install.sh"
set -x
. "$work/install.sh"
test "$(command -v s2attn)" = "$HOME/.s2attn/s2attn"
ls -l "$work/feed"
cd "$work/empty"
# A command that the page says ends with a certain exit code must end with it, and with no other.
blocks run | sed -E 's/^(.*[^ ]) +# exit code ([0-9]+)$/code=0; \1 || code=$?; test "$code" = \2/' > "$work/run.sh"
test "$(grep -c s2attn "$work/run.sh")" -ge 5
test "$(grep -c 'test "$code"' "$work/run.sh")" -ge 5
. "$work/run.sh" > >(tee "$work/said")
wait "$!"
said() { tr -s ' \n' '  ' < "$work/said" | grep -F "$1" > "$work/found"; }
said "conforms, levels 1, 2, 3, 4, 5 and 6 earned"
said "does NOT conform"

# The remaining samples start from nothing, too.
s2attn new javascript
command -v node && s2attn describe --port "node javascript_port.mjs"
s2attn new fsharp --output fsharp
dotnet build -c Release -v q fsharp
s2attn describe --port "dotnet fsharp/bin/Release/net10.0/fsharp_port.dll"
cc -O2 -o process_port process_port.c native_port.c -lm
s2attn describe --port ./process_port
find "$HOME/.s2attn/.store" -path '*/golden/manifest.json' | grep -q .
s2attn golden --filter n16-g4
test -z "$(ls -A "$TMPDIR" | grep '^s2attn-' || true)"
set +x
echo "try-tool: the packed tool works outside of the repository"
