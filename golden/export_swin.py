#!/usr/bin/env python3
# How do the golden tensors of Swin's shifted windows come about? Its own block is run unmodified and observed.
"""python3 golden/export_swin.py --swin PATH_TO_CHECKOUT [--out golden/swin]

SwinTransformerBlock.forward of microsoft/Swin-Transformer rolls, partitions, masks, attends, reverses and rolls back; nothing of it is rewritten here. Only modules that the block
holds are exchanged: the projections pick rows of q, k and v, norms and MLP do nothing, and the place of drop_path records what the attention gave. The relative position bias is 0.
"""
import argparse
import contextlib
import hashlib
import io
import json
import pathlib
import platform
import subprocess
import sys
import types
from dataclasses import dataclass

import numpy as np
import torch

import safetensors_file

REPOSITORY, FILE, FUNCTION = "https://github.com/microsoft/Swin-Transformer", "models/swin_transformer.py", "SwinTransformerBlock.forward"
SHA256 = "779c9ad487e2c577eff12a60c7a2f92267e2bb55c68f7bb32c8edad5ad5bd1e1"
# Double sums of a few dozen numbers below ten, in another order.
AGREES = 1e-12


@dataclass(frozen=True)
class Case:
    name: str
    rows: int
    columns: int
    window: int
    shift: int
    heads: int
    dim: int
    batch: int
    why: str


CASES = [
    Case("swin-8x8-w4-s2", 8, 8, 4, 2, 2, 4, 1, "four windows, each of the last row and column cut where the roll wraps"),
    Case("swin-8x8-w4-s0", 8, 8, 4, 0, 2, 4, 1, "a block that does not shift"),
    Case("swin-12x8-w4-s1", 12, 8, 4, 1, 3, 5, 2, "rows and columns differ, S is not G / 2, two entries"),
    Case("swin-8x16-w4-s3", 8, 16, 4, 3, 1, 8, 2, "the largest shift"),
    Case("swin-14x14-w7-s3", 14, 14, 7, 3, 3, 4, 1, "the windows of the published models: 7 x 7, shifted by 7 // 2"),
    Case("swin-16x16-w8-s4", 16, 16, 8, 4, 2, 4, 1, "windows of 8 x 8"),
    Case("swin-7x7-w7-s3", 7, 7, 7, 3, 2, 4, 1, "one window: the block shifts nothing then"),
    Case("swin-6x10-w2-s1", 6, 10, 2, 1, 2, 3, 3, "windows of 2 x 2"),
]


class CheckoutError(Exception):
    """The checkout is not what the exporter knows."""


class ClaimError(Exception):
    """A case is not what it claims to be."""


def load(checkout):
    """(module, commit): Swin's file, unmodified, with a stand-in for the three names that it takes from timm."""
    path = pathlib.Path(checkout) / FILE
    source = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(source).hexdigest() != SHA256:
        raise CheckoutError(f"{path}: is missing or changed; its sha256 must be {SHA256}")
    commit = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    layers = types.ModuleType("timm.models.layers")
    layers.DropPath, layers.to_2tuple, layers.trunc_normal_ = torch.nn.Identity, lambda size: (size, size), lambda tensor, std: tensor
    sys.modules.update({"timm": types.ModuleType("timm"), "timm.models": types.ModuleType("timm.models"), "timm.models.layers": layers})
    module = types.ModuleType("swin_transformer")
    # It says on stdout that its CUDA extension is missing.
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(source, str(path), "exec"), module.__dict__)
    return module, commit


class Pick(torch.nn.Module):
    """In place of Linear(C, 3 C): channel 0 of each token is its number in the batch; its q, k and v side by side."""

    def __init__(self, q, k, v):
        super().__init__()
        self.rows = torch.cat([tensor.flatten(0, 1).flatten(1) for tensor in (q, k, v)], 1)

    def forward(self, x):
        return self.rows[x[..., 0].long()]


class Record(torch.nn.Module):
    """In place of drop_path: keeps what it is given first, the attention's output before the residual."""

    def __init__(self):
        super().__init__()
        self.first = None

    def forward(self, x):
        if self.first is None:
            self.first = x
        return x


def run(module, case, dtype):
    """(inputs, outputs) of one block, as [B,N,H,D] in raster order, and the shift that the block used."""
    random = np.random.RandomState(int(hashlib.sha256(case.name.encode()).hexdigest()[:8], 16))
    shape = (case.batch, case.rows * case.columns, case.heads, case.dim)
    inputs = {name: torch.from_numpy(random.standard_normal(shape)).to(dtype) for name in ("q", "k", "v", "do")}
    q, k, v = (inputs[name].clone().requires_grad_() for name in ("q", "k", "v"))
    width = case.heads * case.dim
    block = module.SwinTransformerBlock(width, (case.rows, case.columns), case.heads, window_size=case.window, shift_size=case.shift).to(dtype)
    if block.attn.relative_position_bias_table.abs().max() != 0:
        raise ClaimError(f"{case.name}: the relative position bias is not 0")
    block.norm1 = block.norm2 = block.mlp = block.attn.proj = torch.nn.Identity()
    block.attn.qkv, block.drop_path = Pick(q, k, v), Record()
    numbers = torch.zeros(case.batch, shape[1], width, dtype=dtype)
    numbers[..., 0] = torch.arange(case.batch * shape[1]).reshape(case.batch, shape[1])
    block(numbers)
    o = block.drop_path.first.reshape(shape)
    o.backward(inputs["do"])
    return inputs, {"o": o.detach(), "dq": q.grad, "dk": k.grad, "dv": v.grad}, block.shift_size


def plain(case, shift, inputs):
    """o of the definition, numpy float64 and none of Swin's code: same window and same side of the wrap on both axes."""
    def of(n):
        place = np.arange(n)
        return (place - shift) % n // case.window, place >= shift
    row, column = np.divmod(np.arange(case.rows * case.columns), case.columns)
    (row_window, row_run), (column_window, column_run) = of(case.rows), of(case.columns)
    names = np.stack([row_window[row], row_run[row], column_window[column], column_run[column]], 1)
    visible = (names[:, None] == names[None]).all(2)
    q, k, v = (inputs[name].numpy().astype(float) for name in ("q", "k", "v"))
    scores = np.where(visible, np.einsum("bthd,buhd->bhtu", q, k) * case.dim ** -0.5, -np.inf)
    weights = np.exp(scores - scores.max(3, keepdims=True))
    return np.einsum("bhtu,buhd->bthd", weights / weights.sum(3, keepdims=True), v)


def export(module, commit):
    for case in CASES:
        for dtype, name, tolerance in ((torch.float64, "f64", AGREES), (torch.float32, "f32", 1e-5)):
            inputs, outputs, shift = run(module, case, dtype)
            error = float(abs(plain(case, shift, inputs) - outputs["o"].numpy()).max())
            if not error <= tolerance:
                raise ClaimError(f"{case.name}-{name}: o differs from the definition by {error}")
            tokens, window = case.rows * case.columns, min(case.window, case.rows, case.columns)
            record = {
                "name": f"{case.name}-{name}", "case": case.name, "family": "grid",
                "upstream": {"repository": REPOSITORY, "commit": commit, "file": FILE, "function": FUNCTION},
                "patches": {"relative_position_bias_table": "0", "qkv": "picks q, k, v", "norm1, norm2, mlp, proj": "identity", "drop_path": "records"},
                "torch": torch.__version__,
                "axes": [{"tokens": case.rows, "groupSize": window, "shift": shift}, {"tokens": case.columns, "groupSize": window, "shift": shift}],
                "config": {"groupSize": window * window, "shift": 0, "mask": "BidirectionalSplit", "shiftedHeads": "All", "scale": case.dim ** -0.5, "dtype": name,
                           "batch": case.batch, "tokens": tokens, "heads": case.heads, "kvHeads": case.heads, "headDim": case.dim},
                "expected": {"kind": "definition", "mask": "BidirectionalSplit", "defects": []}, "toleranceClass": name,
                "arithmetic": dict.fromkeys(("sumDtype", "scoresDtype", "softmaxDtype", "probabilitiesDtype", "outputDtype"), name),
                "why": case.why, "rowsDifferingFromDefinition": 0, "rows": case.batch * tokens * case.heads, "measuredError": {"o": float(f"{error:.1e}")}}
            data = safetensors_file.encode({**inputs, **outputs}, {"s2attn": json.dumps(record, separators=(",", ":"), allow_nan=False)})
            print(f"{record['name']:24} {len(data):8}  {error:.1e}")
            yield {"file": record["name"] + ".safetensors", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **record}, data


def main():
    parser = argparse.ArgumentParser(description="Export golden tensors from Swin's own shifted window attention.")
    parser.add_argument("--swin", required=True, help="a checkout of microsoft/Swin-Transformer")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "swin", help="folder to write to (default: swin beside this file)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        module, commit = load(arguments.swin)
        results = list(export(module, commit))
        arguments.out.mkdir(parents=True, exist_ok=True)
        for entry, data in results:
            (arguments.out / entry["file"]).write_bytes(data)
        head = {"schemaVersion": 1, "upstream": {"repository": REPOSITORY, "commit": commit, "files": {FILE: SHA256}},
                "producer": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version(), "machine": platform.machine()}}
        lines = [f"{json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
        text = "\n".join(["{", *lines, '"cases": [', ",\n".join(json.dumps(entry, allow_nan=False) for entry, _ in results), "]", "}", ""])
        (arguments.out / "manifest.json").write_text(text, encoding="ascii")
    except (CheckoutError, ClaimError, OSError, subprocess.CalledProcessError) as error:
        print(f"export_swin: {error}", file=sys.stderr)
        return 1
    print(f"{len(CASES)} cases in {len(results)} files, {sum(entry['bytes'] for entry, _ in results)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
