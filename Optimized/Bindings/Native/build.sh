#!/usr/bin/env bash
# Builds libs2attn and the kernels for each instruction set: build.sh [--rid linux-x64|linux-arm64] [--levels "x86-64-v3 ..."] [--out FOLDER]
# FOLDER (default artifacts/native/RID of the repository) then holds include/, lib/, lib/pkgconfig and lib/cmake, and is printed. A level is built again only where a source
# has changed; several calls at once wait for each other. linux-arm64 is cross-built on x64 with clang and lld, and needs gcc-aarch64-linux-gnu and libc6-dev-arm64-cross.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
rid=linux-x64 levels="" out=""
while [ $# -gt 0 ]; do
    case "$1" in
        --rid) rid=${2-} ;;
        --levels) levels=${2-} ;;
        --out) out=${2-} ;;
        *) echo "build.sh: $1: must be --rid, --levels or --out" >&2; exit 2 ;;
    esac
    shift 2 || { echo "build.sh: the last option lacks its value" >&2; exit 2; }
done
case "$rid" in
    linux-x64) levels=${levels:-x86-64-v2 x86-64-v3 x86-64-v4} cc=gcc cross=() ;;
    linux-arm64)
        levels=${levels:-arm64} cc=aarch64-linux-gnu-gcc
        cross=(-p:CppCompilerAndLinker=clang -p:LinkerFlavor=lld -p:SysRoot=/ -p:ObjCopyName=aarch64-linux-gnu-objcopy) ;;
    *) echo "build.sh: --rid $rid: must be linux-x64 or linux-arm64" >&2; exit 2 ;;
esac
out=${out:-$root/artifacts/native/$rid}
mkdir -p "$out/lib/pkgconfig" "$out/lib/cmake/s2attn" "$out/include"
out=$(cd "$out" && pwd)
exec 9>"$out/.lock"
flock 9

version=$(sed -nE 's:.*<Version>(.*)</Version>.*:\1:p' "$root/Directory.Build.props")
hash=$(cd "$root" && find Spec Optimized Directory.*.props global.json -type f \( -name '*.cs' -o -name '*.csproj' -o -name '*.props' -o -name '*.json' -o -name '*.sh' -o -name '*.c' -o -name '*.h' \) \
    -not -path '*/obj/*' -not -path '*/bin/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
for level in $levels; do
    library=$out/lib/libs2attn-$level.so
    if [ -f "$library" ] && [ "$(cat "$library.hash" 2>/dev/null)" = "$hash" ]; then continue; fi
    instructions=$level
    if [ "$level" = arm64 ]; then instructions=""; fi
    # A folder of its own for each level: what one publishes must not be taken for what another did.
    work=$out/.build/$level
    mkdir -p "$work"
    "$cc" -std=c11 -O2 -Wall -Wextra -Werror -fPIC -fvisibility=hidden -I "$here" -c "$here/runtime_threads.c" -o "$work/runtime_threads.o"
    bash "$root/.ci/alone" dotnet publish "$here/S2Attn.Native.csproj" -c Release -r "$rid" -v quiet -nologo -o "$work/publish" "-p:S2AttnIsa=$instructions" "-p:S2AttnLevel=$level" "-p:S2AttnThreads=$work/runtime_threads.o" \
        "-p:NativeIntermediateOutputPath=$work/obj/" "-p:NativeOutputPath=$work/bin/" "${cross[@]}" 9>&- >&2
    install -m 755 "$work/publish/s2attn-core.so" "$library"
    echo "$hash" > "$library.hash"
done
"$cc" -std=c11 -O2 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden "-DS2ATTN_VERSION=\"$version\"" -Wl,-soname,libs2attn.so -Wl,-z,nodelete -Wl,-z,defs \
    -I "$here" "$here/libs2attn.c" -o "$out/lib/libs2attn.so.new" -ldl -lpthread
mv "$out/lib/libs2attn.so.new" "$out/lib/libs2attn.so"
install -m 644 "$here/s2attn.h" "$out/include/s2attn.h"
sed "s/@VERSION@/$version/" "$here/s2attn.pc" > "$out/lib/pkgconfig/s2attn.pc"
sed "s/@VERSION@/$version/" "$here/s2attn-config.cmake" > "$out/lib/cmake/s2attn/s2attn-config.cmake"
sed "s/@VERSION@/$version/" "$here/s2attn-config-version.cmake" > "$out/lib/cmake/s2attn/s2attn-config-version.cmake"
echo "$out"
