# Does check.py accept right ports and name what is wrong with others? Run: python3 -m pytest golden/test_check.py (NumPy only).
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import check

SHORT = check.cases(max_tokens=256)


def weights(q, k, config, valid, b, h, see=check.visible):
    mask = see(config, h) & valid[b]
    scores = np.where(mask, config["scale"] * (q[b, :, h] @ k[b, :, h // (config["heads"] // config["kvHeads"])].T), -np.inf)
    top = np.where(mask.any(1, keepdims=True), scores.max(1, keepdims=True), 0)
    w = np.exp(scores - top)
    total = w.sum(1, keepdims=True)
    with np.errstate(divide="ignore"):
        return w / np.where(total > 0, total, 1), (top + np.log(total))[:, 0]


def attention(q, k, v, config, valid, see=check.visible):
    """Right, in the arithmetic of its inputs (f16 in f32)."""
    q, k, v = (x.astype(np.float32) if x.dtype == np.float16 else x for x in (q, k, v))
    o, lse = np.zeros_like(q), np.zeros(q.shape[:3], q.dtype)
    for b in range(len(q)):
        for h in range(q.shape[2]):
            w, lse[b, :, h] = weights(q, k, config, valid, b, h, see)
            o[b, :, h] = w @ v[b, :, h // (config["heads"] // config["kvHeads"])]
    return o, lse


def gradients(q, k, v, do, config, valid):
    q, k, v, do = (x.astype(np.float32) if x.dtype == np.float16 else x for x in (q, k, v, do))
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for b in range(len(q)):
        for h in range(q.shape[2]):
            kv = h // (config["heads"] // config["kvHeads"])
            w, _ = weights(q, k, config, valid, b, h)
            dp = do[b, :, h] @ v[b, :, kv].T
            ds = config["scale"] * w * (dp - (w * dp).sum(1, keepdims=True))
            dq[b, :, h] = ds @ k[b, :, kv]
            dk[b, :, kv] += ds.T @ q[b, :, h]
            dv[b, :, kv] += w.T @ do[b, :, h]
    return dq, dk, dv


@pytest.mark.parametrize("case", SHORT, ids=str)
def test_a_right_port_agrees_in_every_type(case):
    check.check(attention, case, gradients)


def test_the_vectors_are_whole_and_upstream_is_what_the_manifest_says(capsys):
    assert check.main(["--max-tokens", "256"]) == 0
    assert f"{len(SHORT)} agree, 0 differ" in capsys.readouterr().out


def test_swins_own_tensors_agree_over_rows_and_columns_and_not_with_the_axes_swapped(capsys):
    folder = check.FOLDER / "swin"
    assert check.main(["--dir", str(folder)]) == 0
    assert "agree, 0 differ" in capsys.readouterr().out
    oblong = next(case for case in check.cases(folder) if str(case) == "swin-12x8-w4-s1-f64")
    check.check(attention, oblong, gradients)
    swapped = lambda config: {**config, "axes": config["axes"][::-1]}
    assert "o[" in differs(lambda q, k, v, config, valid: attention(q, k, v, swapped(config), valid), oblong)


def without(part):
    """A visibility that leaves one part of the definition out."""
    def see(config, head):
        n, g, h = config["tokens"], config["groupSize"], config["heads"]
        s = config["shift"] if {"head": head < h // 2, "even": head % 2 == 1}.get(part, head >= h // 2) else 0
        s = {"direction": (g - s) % g, "shift": 0, "one": max(s - 1, 0)}.get(part, s)
        if part == "ring":
            position, t = (np.arange(n) - s) % n, np.arange(n)
            same = (position // g)[:, None] == position // g
            return same & ((t >= s)[:, None] == (t >= s)) & (t[:, None] >= t)
        return check.visible({**config, "shift": s, "shiftedHeads": [True] * h, **({"mask": "Split"} if part == "leak" else {})}, head)
    return see


@pytest.mark.parametrize("part", ["head", "even", "direction", "shift", "one", "ring", "leak"])
def test_a_port_that_sees_other_keys_differs_in_some_case(part):
    # "direction" is right for even groups, "ring" for whole groups: some case tells them apart.
    wrong = [case for case in SHORT if differs(lambda q, k, v, config, valid: attention(q, k, v, config, valid, without(part)), case)]
    assert wrong


@pytest.mark.parametrize("spoil", [
    lambda o, config: o * (1 + 1e-3), lambda o, config: np.roll(o, 1, 1), lambda o, config: o[:, :, ::-1], lambda o, config: np.where(np.arange(o.shape[-1]) == 1, np.nan, o)])
def test_an_output_that_is_off_differs(spoil):
    case = next(case for case in SHORT if str(case) == "llama-eager-n16-g8-f32")
    assert differs(lambda q, k, v, config, valid: spoil(attention(q, k, v, config, valid)[0], config), case)


def differs(port, case, backward=None):
    try:
        check.check(port, case, backward)
    except AssertionError as error:
        return str(error)
    return ""


def test_one_key_more_or_less_in_one_row_differs():
    case = next(case for case in SHORT if str(case) == "llama-flash-n16-g4-b2-f32")

    def see(config, head):
        mask = check.visible(config, head)
        mask[9, 8] = not mask[9, 8]
        return mask

    text = differs(lambda q, k, v, config, valid: attention(q, k, v, config, valid, see), case)
    assert "o[" in text and ",9," in text and "the definition gives" in text


def test_an_answer_that_is_longloras_own_is_told_by_its_defect():
    case = next(case for case in SHORT if str(case) == "llama-eager-n12-g3-f32")
    text = differs(lambda *_: case.tensors["o"], case)
    assert "longlora-odd-group" in text and "LongLoRA's own" in text
    assert "longlora-odd-group" not in differs(lambda *_: case.tensors["o"] + 1, case)


def test_a_wrong_gradient_and_a_wrong_lse_are_told_by_name():
    case = SHORT[0]
    assert "dk[" in differs(attention, case, lambda *a: tuple(g * f for g, f in zip(gradients(*a), (1, 2, 1))))
    assert "lse[" in differs(lambda *a: (attention(*a)[0], attention(*a)[1] / np.log(2)), case)
    assert "(dq, dk, dv)" in differs(attention, case, lambda *a: gradients(*a)[0])


def test_a_wrong_shape_or_type_is_told_with_the_remedy():
    case = SHORT[0]
    assert "transpose axes 1 and 2" in differs(lambda *a: attention(*a)[0].swapaxes(1, 2), case)
    assert "expected [B,N,H,D]" in differs(lambda *a: attention(*a)[0][..., :1], case)
    assert "bf16 as float32" in differs(lambda *a: attention(*a)[0].view(np.uint64).astype(np.uint16), case)


def test_a_port_may_write_into_its_arguments():
    def spoiling(q, k, v, config, valid):
        answer = attention(q, k, v, config, valid)
        q[:], k[:], v[:], config["scale"], valid[:] = 0, 0, 0, 0, False
        return answer

    check.check(spoiling, SHORT[0], gradients)


@pytest.fixture
def port_folder(tmp_path):
    (tmp_path / "my_port.py").write_text(
        "import sys\nsys.modules['torch'] = None\nsys.path.insert(0, %r)\nfrom test_check import attention, gradients\n" % str(check.FOLDER)
        + "def only_f64(q, k, v, config, valid):\n    if config['dtype'] != 'f64':\n        raise NotImplementedError('f64 only')\n    return attention(q, k, v, config, valid)[0]\n"
        + "def none(*a):\n    raise NotImplementedError('nothing')\ndef broken(*a):\n    return 1 / 0\ndef leaves(*a):\n    sys.exit(0)\nnumber = 3\n")
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    return tmp_path


def run(folder, *arguments):
    """The command as a stranger starts it: from a folder of theirs, by the file's path."""
    return subprocess.run([sys.executable, str(check.FOLDER / "check.py"), *arguments], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("arguments, code, text", [
    (["--port", "my_port:attention", "--backward", "my_port:gradients"], 0, " agree, 0 differ, 0 not supported"),
    (["--port", "my_port:only_f64"], 0, "f64 only"),
    (["--port", "my_port:none"], 1, "nothing was checked"),
    (["--port", "my_port:broken"], 1, "ZeroDivisionError: division by zero"),
    (["--port", "my_port:leaves"], 1, "SystemExit: 0"),
    (["--port", "leaving:attention"], 2, "'leaving:attention' cannot be loaded: SystemExit: 0"),
    (["--port", "my_port"], 2, "'my_port' must be module:function"),
    (["--port", "my_port:absent"], 2, "no attribute 'absent'"),
    (["--port", "absent:port"], 2, "No module named 'absent'"),
    (["--port", "my_port:number"], 2, "not a function"),
    (["--only", "no such case"], 2, "no case has 'no such case' in its name"),
    (["--dir", "no such folder"], 2, "manifest.json: No such file"),
    (["--backward", "my_port:gradients"], 2, "--backward needs --port"),
])
def test_the_command(port_folder, arguments, code, text):
    done = run(port_folder, "--max-tokens", "16", *arguments)
    assert (done.returncode, text in done.stdout + done.stderr) == (code, True), done.stdout[-500:] + done.stderr[-500:]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("damage, text", [
    (lambda data: data[:-1], "sha256 is"), (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "sha256 is"), (lambda data: b"", "sha256 is")])
def test_a_damaged_file_is_told_by_name(tmp_path, damage, text):
    for name in ("manifest.json", f"{SHORT[0]}.safetensors"):
        shutil.copy(check.FOLDER / name, tmp_path)
    path = tmp_path / f"{SHORT[0]}.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    done = run(tmp_path, "--dir", str(tmp_path), "--only", str(SHORT[0]))
    assert done.returncode == 2 and str(path) in done.stderr and text in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ['{"schemaVersion": 1}', '{"schemaVersion": 1, "cases": null}', '{"schemaVersion": 1, "cases": [3]}', '{"schemaVersion": 1, "cases": [{"name": "a", "file": "a"}]}'])
def test_a_manifest_of_another_form_is_told_by_name(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(check.VectorError, match="manifest.json: it is not of the form"):
        check.cases(tmp_path)


@pytest.mark.parametrize("data", [b"", b"\xff" * 9, b"\x02" + b"\0" * 7 + b"[]", b"\x09" + b"\0" * 7 + b'{"a":{}} ',
                                  b"\x3b" + b"\0" * 7 + b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9999999]}}'])
def test_a_file_that_is_no_safetensors_is_told_by_name(tmp_path, data):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(check.VectorError, match="bad.safetensors"):
        check.read_safetensors(path)


def test_the_manifest_must_be_of_a_version_that_is_known(tmp_path):
    (tmp_path / "manifest.json").write_text('{"schemaVersion": 2}')
    with pytest.raises(check.VectorError, match="schemaVersion must be 1, it is 2"):
        check.cases(tmp_path)
    (tmp_path / "manifest.json").write_text("[")
    with pytest.raises(check.VectorError, match="manifest.json"):
        check.cases(Path(tmp_path))
