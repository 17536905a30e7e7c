# Is the wheel whole, the same twice, and do the README's snippets run with what is installed?
import base64
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import s2attn
from conftest import ROOT

HERE = ROOT / "Optimized" / "Bindings" / "Python"
WHEEL = os.environ.get("S2ATTN_WHEEL")
PAGES = [page for page in (HERE / "README.md", ROOT / "docs" / "using.md") if page.is_file()]
SNIPPETS = [(page.name, text) for page in PAGES for text in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S) if "s2attn" in text]


@pytest.mark.parametrize("page, snippet", SNIPPETS, ids=lambda value: value if value.endswith(".md") else "snippet")
def test_a_snippet_of_the_documents_runs(page, snippet, tmp_path):
    done = subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout, done.stderr


def test_there_are_snippets():
    assert len(SNIPPETS) >= 2


def test_help_says_every_argument_and_shape():
    for function in (s2attn.s2_attn_func, s2attn.s2_attn_varlen_func):
        names = function.__code__.co_varnames[:function.__code__.co_argcount + function.__code__.co_kwonlyargcount]
        assert all(name in function.__doc__ for name in names) and "[B,N,H,D]" in (function.__doc__ + s2attn.s2_attn_func.__doc__) and "{" not in function.__doc__


wheel_only = pytest.mark.skipif(WHEEL is None, reason="did not run: no S2ATTN_WHEEL; Conformance/Tests/Python/try-wheel.sh builds one")


@wheel_only
def test_the_package_under_test_is_the_installed_one():
    assert not Path(s2attn.__file__).resolve().is_relative_to(ROOT) and "S2ATTN_LIBRARY" not in os.environ


@wheel_only
def test_every_file_of_the_wheel_is_recorded_with_its_hash():
    with zipfile.ZipFile(WHEEL) as archive:
        record = next(name for name in archive.namelist() if name.endswith("/RECORD"))
        rows = dict(line.split(",", 1) for line in archive.read(record).decode().splitlines())
        assert sorted(rows) == sorted(archive.namelist())
        for name in archive.namelist():
            if name != record:
                digest = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).rstrip(b"=").decode()
                assert rows[name] == f"sha256={digest},{len(archive.read(name))}"
        names = " ".join(archive.namelist())
    assert "s2attn/lib/libs2attn.so" in names and "py.typed" in names and "LICENSE" in names


@wheel_only
def test_the_same_sources_give_the_same_wheel(tmp_path):
    native = Path(s2attn.__file__).parent
    done = subprocess.run([sys.executable, str(HERE / "build_wheel.py"), "--native", str(native), "--out", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == Path(WHEEL).read_bytes()


def test_a_wheel_without_kernels_is_refused(tmp_path):
    (tmp_path / "lib").mkdir()
    done = subprocess.run([sys.executable, str(HERE / "build_wheel.py"), "--native", str(tmp_path), "--out", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode != 0 and "run Optimized/Bindings/Native/build.sh first" in done.stderr and not list(tmp_path.glob("*.whl"))
