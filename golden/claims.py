# What does each case claim to be: configuration, profile, precision and flags?
import math

import standins

INPUT_FLAGS = {
    "large": ["NearOneHot"], "overflow": ["NaiveExpOverflows"], "underflow": ["NaiveExpUnderflows"], "tiny": ["NearlyUniform"],
    "ties": ["TiedScores"], "equal": ["EqualKeys"]}


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
    if case.function == "neox-flash" and config["heads"] > 1 and config["groupSize"] > 1:
        defects.append("output-not-transposed")
    if case.pads:
        defects.append("longlora-flash-padding" if flash else "longlora-batch-mask")
    profile = {"kind": "defect" if defects else "definition", "mask": config["mask"], "defects": defects}
    if "longlora-batch-mask" in defects:
        profile["emptyRowGradient"] = "allKeys" if case.function == "llama-eager" else "pastKeys"
    return profile


def arithmetic(case, dtype):
    """(tolerance class, the type in which each stage's sums run at worst and to which its result is rounded)."""

    def stages(sums, scores, softmax, probabilities, output):
        return {"sumDtype": sums, "scoresDtype": scores, "softmaxDtype": softmax, "probabilitiesDtype": probabilities, "outputDtype": output}

    if case.upstream_softmax:
        return "f64-softmax-f32", stages("f64", "f64", "f32", "f64", "f64")
    if dtype in ("f64", "f32"):
        return dtype, stages(*[dtype] * 5)
    if case.function in ("llama-eager", "neox-eager"):
        return dtype + "-stages", stages(dtype, dtype, "f32", dtype, dtype)
    return dtype + "-storage", stages("f32", "f32", "f32", "f32", dtype)


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
    both_ways = h > 1 and (h // 2 - 1) // (h // k) == h // 2 // (h // k)
    bounds = cu_seqlens["starts"] if cu_seqlens else []
    found = {
        "EvenGroup": g % 2 == 0, "OddGroup": g % 2 == 1, "GroupOfOne": g == 1, "OneGroup": g == n, "OddHeads": h % 2 == 1,
        "SingleHead": h == 1, "Gqa": 1 < k < h, "Mqa": 1 == k < h, "KvHeadReadBothWays": both_ways,
        "OtherRatio": case.ratio != 0.25, "GroupCountNotInverseRatio": case.function != "sft-flash" and g * round(1 / case.ratio) != n,
        "RaggedTokens": n % g != 0, "LongContext": n >= 4096, "Layer": case.layer,
        "PaddingLeft": any(left for left, _ in case.pads or ()), "PaddingRight": any(right for _, right in case.pads or ()),
        "EntryAllPadding": not valid.any(axis=1).all(),
        "SegmentsNotMonotone": any(b < a for a, b in zip(bounds, bounds[1:])),
        "SegmentPastEnd": any(b > cu_seqlens["packedTokens"] for b in bounds) if cu_seqlens else False,
        "OwnFloat32Softmax": case.upstream_softmax,
    }
    return [name for name, holds in found.items() if holds] + INPUT_FLAGS.get(case.inputs, [])
