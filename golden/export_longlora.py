#!/usr/bin/env python3
# What did LongLoRA's own attention functions compute? Writes one .safetensors for each case, and manifest.json.
"""python3 golden/export_longlora.py --longlora PATH [--out DIR]    (README.md documents the format)"""

import argparse
import hashlib
import json
import math
import pathlib
import platform
import sys
import zlib

sys.dont_write_bytecode = True

import numpy as np
import torch

import plain_model
import safetensors_file
import standins
import upstream as longlora
from cases import CASES

SCHEMA_VERSION = 1
DTYPES = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
ROUNDOFF = {"f64": 2.0 ** -53, "f32": 2.0 ** -24, "bf16": 2.0 ** -8, "f16": 2.0 ** -11}


# ---- what a case claims -----------------------------------------------------------------------------------------------


def group_rule(case):
    """(groupSize, shift, rule record) as the upstream function computes them; a group never exceeds N."""
    if case.function != "sft-flash":
        size = int(case.tokens * case.ratio)
        return size, size // 2, {"name": "longlora-ratio", "ratio": case.ratio, "upstreamGroupSize": size}
    size = int(case.tokens * case.ratio) if case.tokens % 4096 == 0 else 8192
    shift = size // 2 if size // 2 < case.tokens else 0
    return min(size, case.tokens), shift, {"name": "longlora-sft", "ratio": case.ratio, "upstreamGroupSize": size}


def configuration(case, dtype):
    """The port protocol's names."""
    size, shift, _ = group_rule(case)
    flash = case.function in ("llama-flash", "sft-flash")
    return {
        "groupSize": size, "shift": shift, "mask": "Split" if flash else "LocalCausal", "shiftedHeads": "SecondHalf",
        "scale": 1.0 / math.sqrt(case.head_dim), "dtype": dtype, "batch": case.batch, "tokens": case.tokens,
        "heads": case.heads, "kvHeads": case.kv_heads or case.heads, "headDim": case.head_dim}


def expected_profile(case, config):
    """The definition's mask policy, or the named defects that this run exhibits."""
    flash = config["mask"] == "Split"
    defects = []
    if not flash and config["groupSize"] % 2 == 1:
        defects.append("longlora-odd-group")
    if case.pads:
        defects.append("longlora-flash-padding" if flash else "longlora-batch-mask")
    return {"kind": "defect" if defects else "definition", "mask": config["mask"], "defects": defects}


def arithmetic(case, dtype):
    """The type to which each stage is rounded; sums inside a stage are never narrower than f32."""
    eager = case.function in ("llama-eager", "neox-eager")
    if dtype == "f64":
        softmax = "f32" if case.upstream_softmax else "f64"
        return "f64-softmax-f32" if case.upstream_softmax else "f64", {
            "scoresDtype": "f64", "softmaxDtype": softmax, "probabilitiesDtype": "f64", "outputDtype": "f64"}
    if dtype == "f32" or not eager:
        return ("f32" if dtype == "f32" else dtype + "-storage"), {
            "scoresDtype": "f32", "softmaxDtype": "f32", "probabilitiesDtype": "f32", "outputDtype": dtype}
    return dtype + "-stages", {"scoresDtype": dtype, "softmaxDtype": "f32", "probabilitiesDtype": dtype, "outputDtype": dtype}


def patches_for(case, dtype):
    """Module globals to replace, and their description for the metadata."""
    values, record = {}, {}
    if case.ratio != 0.25:
        values["group_size_ratio"] = record["group_size_ratio"] = case.ratio
    if case.function == "llama-eager" and dtype == "f64" and not case.upstream_softmax:
        values["nn"] = standins.NN_KEEPING_FLOAT64
        record["nn"] = "nn.functional.softmax keeps float64"
    return values, record


def flags(case, config, valid, cu_seqlens):
    """Why a verifier might want to select this case."""
    n, g, h, k = (config[name] for name in ("tokens", "groupSize", "heads", "kvHeads"))
    reads = [{kv_head * 0 + int(head >= h // 2) for head in range(h) if head // (h // k) == kv_head} for kv_head in range(k)]
    bounds = cu_seqlens["starts"] if cu_seqlens else []
    found = {
        "EvenGroup": g % 2 == 0, "OddGroup": g % 2 == 1, "GroupOfOne": g == 1, "OneGroup": g == n, "OddHeads": h % 2 == 1,
        "SingleHead": h == 1, "Gqa": 1 < k < h, "Mqa": 1 == k < h, "KvHeadReadBothWays": any(len(read) == 2 for read in reads),
        "OtherRatio": case.ratio != 0.25, "GroupCountNotInverseRatio": case.function != "sft-flash" and g * round(1 / case.ratio) != n,
        "RaggedTokens": n % g != 0, "LongContext": n >= 4096, "Layer": case.layer,
        "PaddingLeft": any(left for left, _ in case.pads or ()), "PaddingRight": any(right for _, right in case.pads or ()),
        "EntryAllPadding": not valid.any(axis=1).all(),
        "SegmentsNotMonotone": any(b < a for a, b in zip(bounds, bounds[1:])),
        "SegmentPastEnd": any(b > cu_seqlens["packedTokens"] for b in bounds) if cu_seqlens else False,
        "OwnFloat32Softmax": case.upstream_softmax,
    }
    return [name for name, holds in found.items() if holds] + ([INPUT_FLAGS[case.inputs]] if case.inputs in INPUT_FLAGS else [])


# ---- inputs -----------------------------------------------------------------------------------------------------------

INPUT_FLAGS = {
    "large": "NearOneHot", "overflow": "NaiveExpOverflows", "underflow": "NaiveExpUnderflows", "tiny": "NearlyUniform",
    "ties": "TiedScores", "equal": "EqualKeys"}


def draw_qkv(kind, random, q_shape, kv_shape):
    """float64 q, k, v. The kinds choose how large and how different the scores are."""
    q, k, v = (random.standard_normal(shape) for shape in (q_shape, kv_shape, kv_shape))
    if kind == "large":
        q, k = 8.0 * q, 8.0 * k
    elif kind in ("overflow", "underflow"):
        # One coordinate carries +-800 into every score, the others tell keys apart.
        q[..., 0] = 40.0
        k[..., 0] = (20.0 if kind == "overflow" else -20.0) * math.sqrt(q_shape[-1])
    elif kind == "tiny":
        q, k = 1e-20 * q, 1e-20 * k
    elif kind == "ties":
        q, k = np.sign(q) * (abs(q) > 0.5), np.sign(k) * (abs(k) > 0.5)
    elif kind == "equal":
        k[:] = k[:, :1]
    return q, k, v


def draw_layer(random, config, rotary_dim, bias):
    heads, kv_heads, dim, batch, n = (config[name] for name in ("heads", "kvHeads", "headDim", "batch", "tokens"))
    width = heads * dim
    inputs = {"x": random.standard_normal((batch, n, width))}
    for name, rows in (("q", width), ("k", kv_heads * dim), ("v", kv_heads * dim), ("o", width)):
        inputs["w" + name] = random.standard_normal((rows, width)) / math.sqrt(width)
        if bias:
            inputs["b" + name] = random.standard_normal(rows)
    inputs["dy"] = random.standard_normal((batch, n, width))
    tables = standins.rotary_tables(n, rotary_dim, 10000.0, torch.float64)
    inputs["cos"], inputs["sin"] = (table[0, 0].numpy() for table in tables)
    return inputs


def validity(case):
    valid = np.ones((case.batch, case.tokens), bool)
    for entry, (left, right) in enumerate(case.pads or ()):
        valid[entry, :left] = False
        valid[entry, case.tokens - right:] = False
    return valid


# ---- export and check -------------------------------------------------------------------------------------------------


class ClaimError(Exception):
    """What upstream computed is not what the case claims."""


def plain(tensors):
    return {name: tensor.to(torch.float64).numpy() for name, tensor in tensors.items()}


def profile_model(case, config, profile, valid):
    if profile["kind"] == "definition":
        return plain_model.definition(config, valid)
    if config["mask"] == "Split":
        return plain_model.longlora_flash(config, valid)
    return plain_model.longlora_eager(config, valid, future_keys_get_gradient=case.function == "llama-eager")


def tolerance(case, config, stages, inputs):
    """A coarse bound, only to catch a wrong claim: rounding of a score moves a weight by the score's own size."""
    unit = max(ROUNDOFF[stages[name]] for name in ("scoresDtype", "softmaxDtype", "probabilitiesDtype", "outputDtype"))
    score = config["scale"] * config["headDim"] * abs(inputs["q"]).max() * abs(inputs["k"]).max()
    return 16.0 * unit * (8.0 + score)


def compare(case, dtype, got, want, bound):
    errors = {}
    for name in got:
        error = float(abs(got[name] - want[name]).max())
        limit = bound * max(1.0, float(abs(want[name]).max()))
        if not error <= limit:
            raise ClaimError(f"{case.name}-{dtype}: tensor {name} differs from the claimed profile by {error:.3g}, limit {limit:.3g}")
        errors[name] = float(f"{error:.2g}")
    return errors


def run(upstream, case, dtype):
    """(tensors in file order, metadata record) of one case, checked against the plain model."""
    config, kind = configuration(case, dtype), DTYPES[dtype]
    profile, valid = expected_profile(case, config), validity(case)
    tolerance_class, stages = arithmetic(case, dtype)
    patches, patch_record = patches_for(case, dtype)
    seed = zlib.crc32(case.name.encode("ascii"))
    random = np.random.RandomState(seed)
    to_torch = lambda array: torch.from_numpy(array).to(kind)
    valid_tensor = torch.from_numpy(valid)
    standins.VarlenCalls.log.clear()
    if case.layer:
        drawn = draw_layer(random, config, case.rotary_dim or case.head_dim, bias=case.function == "neox-eager")
        inputs = {name: to_torch(array) for name, array in drawn.items()}
        outputs = longlora.run_layer(upstream, case.function, config, valid_tensor, patches, inputs)
    else:
        q_shape = (case.batch, case.tokens, case.heads, case.head_dim)
        kv_shape = (case.batch, case.tokens, config["kvHeads"], case.head_dim)
        drawn = dict(zip("qkv", draw_qkv(case.inputs, random, q_shape, kv_shape)), do=random.standard_normal(q_shape))
        inputs = {name: to_torch(array) for name, array in drawn.items()}
        outputs = longlora.run_core(upstream, case.function, config, valid_tensor, patches, **inputs)
    calls = [{"starts": starts, "maxSegment": longest, "packedTokens": nnz} for starts, longest, nnz in standins.VarlenCalls.log]

    given, got = plain(inputs), plain(outputs)
    model = profile_model(case, config, profile, valid)
    definition = plain_model.definition(config, valid)
    if case.layer:
        evaluate = lambda chosen: plain_model.layer(config, chosen, given)
    else:
        evaluate = lambda chosen: plain_model.attention(config, chosen, **given)
    want = evaluate(model)
    bound = tolerance(case, config, stages, given if not case.layer else want)
    errors = compare(case, dtype, got, want, bound)
    shown = "y" if case.layer else "o"
    rows = abs(got[shown] - evaluate(definition)[shown]).max(axis=-1) > bound * max(1.0, abs(want[shown]).max())
    differing = int(rows.sum())
    if (differing > 0) != (profile["kind"] == "defect"):
        raise ClaimError(f"{case.name}-{dtype}: claims {profile}, but {differing} rows of {shown} differ from the definition")

    file, function = longlora.FUNCTIONS[case.function]
    _, _, rule = group_rule(case)
    record = {
        "name": f"{case.name}-{dtype}", "family": "layer" if case.layer else "core",
        "upstream": {"repository": longlora.REPOSITORY, "commit": upstream.commit, "file": file, "function": function},
        "patches": patch_record, "torch": torch.__version__, "seed": seed, "config": config, "groupSizeRule": rule,
        "expected": profile, "toleranceClass": tolerance_class, "arithmetic": stages,
        "flags": flags(case, config, valid, calls[0] if calls else None), "why": case.why,
        "rowsDifferingFromDefinition": differing, "rows": int(rows.size), "measuredError": errors}
    if case.layer:
        record["rotaryDim"] = case.rotary_dim or case.head_dim
    if calls:
        record["cuSeqlens"] = calls[0]
    tensors = {name: value.contiguous() for name, value in {**inputs, **outputs}.items()}
    if case.pads:
        tensors["valid"] = valid_tensor.to(torch.uint8)
    return tensors, record


def export(upstream, out, chosen):
    """Writes every chosen case and the manifest; returns the manifest's entries."""
    entries = []
    for case in chosen:
        for dtype in case.dtypes:
            tensors, record = run(upstream, case, dtype)
            data = safetensors_file.encode(tensors, {"s2attn": json.dumps(record, separators=(",", ":"), allow_nan=False)})
            file = record["name"] + ".safetensors"
            (out / file).write_bytes(data)
            entries.append({"file": file, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **record})
            print(f"{file:60} {len(data):9}  {record['expected']['kind']:10}  {record['rowsDifferingFromDefinition']}/{record['rows']}")
    return entries


def manifest(upstream, entries):
    return {
        "schemaVersion": SCHEMA_VERSION,
        "upstream": {"repository": longlora.REPOSITORY, "commit": upstream.commit, "files": upstream.sha256},
        "producer": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version(), "machine": platform.machine()},
        "cases": entries}


def main():
    parser = argparse.ArgumentParser(description="Export golden tensors from LongLoRA's own attention functions.")
    parser.add_argument("--longlora", required=True, help="a clean checkout of dvlab-research/LongLoRA")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to (default: this one)")
    parser.add_argument("--only", default="", help="export only cases whose name contains this (no manifest is written)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        upstream = longlora.Upstream(arguments.longlora)
        arguments.out.mkdir(parents=True, exist_ok=True)
        chosen = [case for case in CASES if arguments.only in case.name]
        names = [case.name for case in CASES]
        if len(set(names)) != len(names):
            raise ClaimError(f"two cases have one name: {sorted(name for name in names if names.count(name) > 1)}")
        entries = export(upstream, arguments.out, chosen)
        if not arguments.only:
            for stale in {path.name for path in arguments.out.glob("*.safetensors")} - {entry["file"] for entry in entries}:
                (arguments.out / stale).unlink()
            text = json.dumps(manifest(upstream, entries), indent=1, allow_nan=False) + "\n"
            (arguments.out / "manifest.json").write_bytes(text.encode("ascii"))
        print(f"{len(entries)} cases, {sum(entry['bytes'] for entry in entries)} bytes")
    except (longlora.CheckoutError, ClaimError, OSError) as error:
        print(f"export_longlora: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
