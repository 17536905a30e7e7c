#!/usr/bin/env bash
# Writes the two sample graphs of this folder again. A test holds them to be what this gives, byte for byte.
set -euo pipefail
cd "$(dirname "$0")"
for mask in LocalCausal Split; do
    dotnet run -c Release --project ../../Cli -- graph --mask "$mask" --group-size 4 --output "s2attn-$mask-g4.onnx"
done
