#!/usr/bin/env python3
# How is the wheel made? A zip of the package, the library that build.sh made, and the metadata; no network, no build back end. Prints the wheel's path.
"""    bash Optimized/Bindings/Native/build.sh && python3 Optimized/Bindings/Python/build_wheel.py [--native FOLDER] [--rid linux-x64|linux-arm64] [--out FOLDER]"""
import argparse
import base64
import hashlib
import re
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PLATFORMS = {"linux-x64": "manylinux_2_34_x86_64", "linux-arm64": "manylinux_2_34_aarch64"}
EPOCH = (1980, 1, 1, 0, 0, 0)                   # the same sources give the same bytes


def files(native, tag, version):
    """(path in the wheel, bytes), without RECORD."""
    libraries = sorted((native / "lib").glob("libs2attn*.so"))
    if not any(path.name == "libs2attn.so" for path in libraries) or len(libraries) < 2:
        sys.exit(f"build_wheel.py: {native / 'lib'} lacks libs2attn.so or the kernels of an instruction set: run Optimized/Bindings/Native/build.sh first")
    for path in sorted((HERE / "s2attn").rglob("*")):
        if path.suffix in (".py", ".typed"):
            yield f"s2attn/{path.relative_to(HERE / 's2attn').as_posix()}", path.read_bytes()
    for path in libraries:
        yield f"s2attn/lib/{path.name}", path.read_bytes()
    info = f"s2attn-{version}.dist-info"
    yield f"{info}/LICENSE", (ROOT / "LICENSE").read_bytes()
    yield f"{info}/METADATA", (
        f"Metadata-Version: 2.1\nName: s2attn\nVersion: {version}\nSummary: Shifted Sparse Attention (S2-Attn of LongLoRA) for NumPy and PyTorch on the CPU, verified\n"
        "License-File: LICENSE\nRequires-Python: >=3.8\nProvides-Extra: numpy\nRequires-Dist: numpy; extra == 'numpy'\nProvides-Extra: torch\nRequires-Dist: torch>=1.13; extra == 'torch'\n"
        f"Description-Content-Type: text/markdown\n\n{(HERE / 'README.md').read_text(encoding='utf-8')}").encode()
    yield f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: build_wheel.py\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()


def build(native, rid, out):
    version = re.search(r"<Version>(.*?)</Version>", (ROOT / "Directory.Build.props").read_text(encoding="utf-8")).group(1)
    tag = f"py3-none-{PLATFORMS[rid]}"
    contents = list(files(native, tag, version))    # before anything is written
    out.mkdir(parents=True, exist_ok=True)
    wheel = out / f"s2attn-{version}-{tag}.whl"
    record = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        def add(name, data):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, (0o755 if name.endswith(".so") else 0o644) << 16
            archive.writestr(entry, data)

        for name, data in contents:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(data)}")
            add(name, data)
        name = f"s2attn-{version}.dist-info/RECORD"
        add(name, ("\n".join([*record, f"{name},,"]) + "\n").encode())
    return wheel


def main():
    parser = argparse.ArgumentParser(description="Builds the wheel of s2attn.")
    parser.add_argument("--rid", choices=PLATFORMS, default="linux-x64")
    parser.add_argument("--native", type=Path, help="what build.sh printed; default artifacts/native/RID of the repository")
    parser.add_argument("--out", type=Path, default=ROOT / "artifacts" / "python")
    options = parser.parse_args()
    print(build(options.native or ROOT / "artifacts" / "native" / options.rid, options.rid, options.out))


if __name__ == "__main__":
    main()
