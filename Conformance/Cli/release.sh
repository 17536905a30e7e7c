#!/usr/bin/env bash
# Makes s2attn as one file that needs no .NET where it runs: release.sh [--output DIR] [RID ...]. Without RIDs: linux-x64 linux-arm64 osx-arm64 win-x64.
set -euo pipefail
cd "$(dirname "$0")/../.."
output=artifacts/release
rids=()
while [ $# -gt 0 ]; do
    case "$1" in
        --output) output=${2:?--output needs a folder}; shift 2 ;;
        linux-x64 | linux-arm64 | osx-arm64 | win-x64) rids+=("$1"); shift ;;
        *) echo "release.sh: $1: must be linux-x64, linux-arm64, osx-arm64, win-x64, or --output DIR" >&2; exit 2 ;;
    esac
done
[ "${#rids[@]}" -gt 0 ] || rids=(linux-x64 linux-arm64 osx-arm64 win-x64)
mkdir -p "$output"
output=$(cd "$output" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for rid in "${rids[@]}"; do
    # Objects of other platforms must not meet those of the build.
    dotnet publish Conformance/Cli -c Release -r "$rid" -v quiet -nologo -p:OneFile=true --artifacts-path "$work/$rid" -o "$work/out/$rid"
    program=s2attn name=s2attn-$rid
    case "$rid" in win-*) program=s2attn.exe name=s2attn-$rid.exe ;; esac
    # Anything beside the program would be missing from a single download.
    others=$(find "$work/out/$rid" -type f ! -name "$program" ! -name '*.pdb' ! -name '*.xml')
    [ -z "$others" ] || { echo "release.sh: $rid: not in the one file: $others" >&2; exit 1; }
    cp "$work/out/$rid/$program" "$output/$name"
    rm -rf "${work:?}/$rid"
done
(cd "$output" && sha256sum s2attn-* > SHA256SUMS)
ls -l "$output"
