#!/usr/bin/env python3
# What did LongLoRA's own attention functions compute? Writes one .safetensors for each case, and manifest.json.
"""python3 golden/export_longlora.py --longlora PATH [--out DIR]    (README.md documents the format)"""

import argparse
import hashlib
import json
import math
import os
import pathlib
import platform
import sys
import zlib

# Before numpy and torch load: one thread, so that sums have one order.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
sys.dont_write_bytecode = True

import numpy as np
import torch

import claims
import inputs as drawing
import plain_model
import safetensors_file
import standins
import upstream as longlora
from cases import CASES

SCHEMA_VERSION = 1
DTYPES = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
ROUNDOFF = {"f64": 2.0 ** -53, "f32": 2.0 ** -24, "bf16": 2.0 ** -8, "f16": 2.0 ** -11}
DIFFERS = 1e-9
DEFECT_SHOWS_IN = ("o", "y")


class ClaimError(Exception):
    """What upstream computed is not what the case claims."""


def plain(tensors):
    return {name: tensor.to(torch.float64).numpy() for name, tensor in tensors.items()}


def defect_model(case, config, valid):
    if config["mask"] == "Split":
        return plain_model.longlora_flash(config, valid)
    if case.function == "neox-flash":
        return plain_model.longlora_neox_flash(config, valid)
    return plain_model.longlora_eager(config, valid, empty_rows_reach_future=case.function == "llama-eager")


def tolerance(config, stages, q, k):
    """A coarse bound, only to catch a wrong claim: rounding a score moves a weight in proportion to the score's own size."""
    unit = max(ROUNDOFF[dtype] for dtype in stages.values())
    score = config["scale"] * np.linalg.norm(q, axis=-1).max() * np.linalg.norm(k, axis=-1).max()
    return 4.0 * unit * (8.0 + score)


def worst(got, want):
    """The largest absolute difference; infinity where anything is not finite."""
    difference = abs(got - want).max()
    return float(difference) if np.isfinite(difference) else math.inf


def compare(name, got, want, definition, bound, defect):
    """Errors from the claimed profile; raises if they are too large, or if a claimed defect is no nearer than the definition."""
    errors = {tensor: worst(got[tensor], want[tensor]) for tensor in got}
    for tensor, error in errors.items():
        limit = bound * max(1.0, float(abs(want[tensor]).max()))
        if error > limit:
            raise ClaimError(f"{name}: tensor {tensor} differs from the claimed profile by {error:.3g}, limit {limit:.3g}")
        if defect and tensor in DEFECT_SHOWS_IN and not worst(got[tensor], definition[tensor]) > 4.0 * error:
            raise ClaimError(f"{name}: claims a defect, but {tensor} is as close to the definition as to the defect")
    return {tensor: float(f"{error:.2g}") for tensor, error in errors.items()}


def run(upstream, case, dtype):
    """(tensors in file order, metadata record) of one case, checked against the plain model."""
    config, kind = claims.configuration(case, dtype), DTYPES[dtype]
    profile, valid = claims.expected_profile(case, config), drawing.validity(case)
    tolerance_class, stages = claims.arithmetic(case, dtype)
    patches, patch_record = claims.patches_for(case, dtype)
    seed = zlib.crc32(case.name.encode("ascii"))
    random = np.random.RandomState(seed)
    to_torch = lambda array: torch.from_numpy(array).to(kind)
    valid_tensor = torch.from_numpy(valid)
    standins.VarlenCalls.log.clear()
    if case.layer:
        drawn = drawing.draw_layer(random, config, case.rotary_dim or case.head_dim, bias=case.function in longlora.NEOX)
        inputs = {name: to_torch(array) for name, array in drawn.items()}
        outputs = longlora.run_layer(upstream, case.function, config, valid_tensor, patches, inputs)
    else:
        q_shape = (case.batch, case.tokens, case.heads, case.head_dim)
        kv_shape = (case.batch, case.tokens, config["kvHeads"], case.head_dim)
        drawn = dict(zip("qkv", drawing.draw_qkv(case.inputs, random, q_shape, kv_shape)), do=random.standard_normal(q_shape))
        inputs = {name: to_torch(array) for name, array in drawn.items()}
        outputs = longlora.run_core(upstream, case.function, config, valid_tensor, patches, **inputs)
    calls = [{"starts": starts, "maxSegment": longest, "packedTokens": nnz} for starts, longest, nnz in standins.VarlenCalls.log]

    given, got = plain(inputs), plain(outputs)
    if case.layer:
        evaluate = lambda chosen: plain_model.layer(config, chosen, given)
    else:
        evaluate = lambda chosen: plain_model.attention(config, chosen, **given)
    defect = profile["kind"] == "defect"
    defined = evaluate(plain_model.definition(config, valid))
    want = evaluate(defect_model(case, config, valid)) if defect else defined
    sources = want if case.layer else given
    bound = tolerance(config, stages, sources["q"], sources["k"])
    errors = compare(f"{case.name}-{dtype}", got, want, defined, bound, defect)
    shown = "y" if case.layer else "o"
    rows = abs(want[shown] - defined[shown]).max(axis=-1) > DIFFERS * abs(defined[shown]).max()
    differing = int(rows.sum())
    if (differing > 0) != defect:
        raise ClaimError(f"{case.name}-{dtype}: claims {profile}, but {differing} rows of {shown} differ from the definition")

    file, function = longlora.FUNCTIONS[case.function]
    _, _, rule = claims.group_rule(case)
    record = {
        "name": f"{case.name}-{dtype}", "case": case.name, "family": "layer" if case.layer else "core",
        "upstream": {"repository": longlora.REPOSITORY, "commit": upstream.commit, "file": file, "function": function},
        "patches": patch_record, "torch": torch.__version__, "seed": seed, "config": config, "groupSizeRule": rule,
        "expected": profile, "toleranceClass": tolerance_class, "arithmetic": stages,
        "flags": claims.flags(case, config, valid, calls[0] if calls else None), "why": case.why,
        "rowsDifferingFromDefinition": differing, "rows": int(rows.size), "measuredError": errors}
    if case.layer:
        record["rotaryDim"] = case.rotary_dim or case.head_dim
    if calls:
        record["cuSeqlens"] = calls[0]
    tensors = {name: value.contiguous() for name, value in {**inputs, **outputs}.items()}
    if case.pads:
        tensors["valid"] = valid_tensor.to(torch.uint8)
    return tensors, record


def export(upstream, chosen):
    """(manifest entry, file bytes) of every chosen case; raises ClaimError before anything is written."""
    results = []
    for case in chosen:
        for dtype in case.dtypes:
            tensors, record = run(upstream, case, dtype)
            data = safetensors_file.encode(tensors, {"s2attn": json.dumps(record, separators=(",", ":"), allow_nan=False)})
            entry = {"file": record["name"] + ".safetensors", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **record}
            results.append((entry, data))
            print(f"{entry['file']:50} {len(data):9}  {record['expected']['kind']:10}  {record['rowsDifferingFromDefinition']}/{record['rows']}")
    return results


def listed_files(folder):
    """The files that the folder's manifest names, if it has one."""
    path = folder / "manifest.json"
    return {case["file"] for case in json.loads(path.read_text())["cases"]} if path.is_file() else set()


def manifest(upstream, entries):
    """JSON text with one case a line."""
    compact = lambda value: json.dumps(value, allow_nan=False)
    head = {
        "schemaVersion": SCHEMA_VERSION,
        "upstream": {"repository": longlora.REPOSITORY, "commit": upstream.commit, "files": upstream.sha256},
        "producer": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version(), "machine": platform.machine()}}
    lines = [f"{compact(key)}: {compact(value)}," for key, value in head.items()]
    return "\n".join(["{", *lines, '"cases": [', ",\n".join(compact(entry) for entry in entries), "]", "}", ""])


def main():
    parser = argparse.ArgumentParser(description="Export golden tensors from LongLoRA's own attention functions.")
    parser.add_argument("--longlora", required=True, help="a clean checkout of dvlab-research/LongLoRA")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to (default: this one)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        upstream = longlora.Upstream(arguments.longlora)
        results = export(upstream, CASES)
        entries = [entry for entry, _ in results]
        arguments.out.mkdir(parents=True, exist_ok=True)
        for stale in listed_files(arguments.out) - {entry["file"] for entry in entries}:
            (arguments.out / pathlib.Path(stale).name).unlink(missing_ok=True)
        for entry, data in results:
            (arguments.out / entry["file"]).write_bytes(data)
        (arguments.out / "manifest.json").write_bytes(manifest(upstream, entries).encode("ascii"))
    except (longlora.CheckoutError, ClaimError, OSError) as error:
        print(f"export_longlora: {error}", file=sys.stderr)
        return 1
    print(f"{len({entry['case'] for entry in entries})} cases in {len(entries)} files, {sum(entry['bytes'] for entry in entries)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
