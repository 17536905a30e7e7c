#!/usr/bin/env python3
"""S2-Attn in NumPy behind the port protocol: copy this file, put your own implementation into `forward` and `backward`, and run

    s2attn check --port "python3 numpy_port.py"

Everything is computed in float64, row by row, and rounded once at the end. Needs NumPy and nothing else.
"""
import json
import struct
import sys

import numpy as np


# ---- The attention: replace this by yours. ----------------------------------------------------------------------------------------------

def visible(config, shift):
    """The [N,N] matrix of which query t may see which key u, in a head that shifts by `shift` (0 for a head that does not)."""
    n, g, mask = config["tokens"], config["groupSize"], config["mask"]
    ring = -(-n // g) * g                   # N, rounded up to whole groups: the short last group does not wrap onto the first
    t = np.arange(n)
    position = (t - shift) % ring           # where token t stands after the roll by -shift
    run = t >= shift                        # False for the tokens that the roll wrapped from the front to the back
    same_group = position[:, None] // g == position[None, :] // g
    same_run = run[:, None] == run[None, :]
    not_after = t[None, :] <= t[:, None]
    prefix = t[None, :] < config.get("prefix", 0)       # the first tokens are keys of every query; delete it if you know of no prefix
    if "Bidirectional" not in mask and not config.get("prefixWhole"):
        prefix = prefix & not_after
    return prefix | {
        "LocalCausal": same_group & (position[None, :] <= position[:, None]),
        "Split": same_group & same_run & not_after,
        "PositionCausal": same_group & not_after,
        "Bidirectional": same_group,
        "BidirectionalSplit": same_group & same_run,
    }[mask]


def visible_on_axes(config, shifts):
    """The same where tokens stand on several axes, the last one fastest: same group and same run are asked on every axis. Delete it if you know of one axis only."""
    axes, mask = config["axes"], config["mask"]
    places = np.indices([axis["tokens"] for axis in axes]).reshape(len(axes), -1)
    same_group = same_run = True
    order = 0                               # of shifted positions, compared axis by axis from the slowest
    for axis, place in zip(axes, places):
        n, g, shift = axis["tokens"], axis["groupSize"], axis["shift"] if shifts else 0
        position, run = (place - shift) % (-(-n // g) * g), place >= shift
        same_group = same_group & (position[:, None] // g == position[None, :] // g)
        same_run = same_run & (run[:, None] == run[None, :])
        order = order * n + position
    not_after = np.tri(config["tokens"], dtype=bool)
    return {
        "LocalCausal": same_group & (order[None, :] <= order[:, None]),
        "Split": same_group & same_run & not_after,
        "PositionCausal": same_group & not_after,
        "Bidirectional": same_group,
        "BidirectionalSplit": same_group & same_run,
    }[mask]


def rows(config, valid):
    """Yields each query row (b, t, h), the kv head that it reads, and the keys that it sees."""
    heads, group = config["heads"], config["heads"] // config["kvHeads"]
    see, shifts = (visible_on_axes, shifted_heads(config["shiftedHeads"], heads)) if "axes" in config else (visible, shifts_of(config))
    masks = {shift: see(config, shift) for shift in set(shifts)}
    for b in range(config["batch"]):
        for h in range(heads):
            mask = masks[shifts[h]]
            for t in range(config["tokens"]):
                # Selection, not a large negative number: what is masked is never read, so it may hold NaN.
                yield b, t, h, h // group, np.flatnonzero(mask[t] & valid[b])


def shifts_of(config):
    """By how much each QUERY head shifts: as written out where heads have shifts of their own, else by S or not at all."""
    if "shifts" in config:
        return config["shifts"]
    return [config["shift"] if shifts else 0 for shifts in shifted_heads(config["shiftedHeads"], config["heads"])]


def shifted_heads(which, heads):
    """One flag for each QUERY head. For an odd number of heads the second half is the larger one."""
    if which == "None":
        return [False] * heads
    if which == "SecondHalf":
        return [h >= heads // 2 for h in range(heads)]
    return [True] * heads if which == "All" else which


def softmax(scores):
    """Weights and logsumexp; the maximum is taken off first so that exp cannot overflow."""
    top = scores.max()
    weights = np.exp(scores - top)
    total = weights.sum()
    return weights / total, top + np.log(total)


def forward(config, q, k, v, valid):
    o = np.zeros(q.shape)                       # a row that sees no key stays 0 ...
    lse = np.full(q.shape[:3], -np.inf)         # ... and has logsumexp -infinity
    for b, t, h, kv, keys in rows(config, valid):
        if len(keys):
            weights, lse[b, t, h] = softmax(config["scale"] * (k[b, keys, kv] @ q[b, t, h]))
            o[b, t, h] = weights @ v[b, keys, kv]
    return {"o": o, "lse": lse}


def backward(config, q, k, v, valid, do):
    dq, dk, dv = np.zeros(q.shape), np.zeros(k.shape), np.zeros(v.shape)
    for b, t, h, kv, keys in rows(config, valid):
        if len(keys):
            weights, _ = softmax(config["scale"] * (k[b, keys, kv] @ q[b, t, h]))
            dweights = v[b, keys, kv] @ do[b, t, h]
            dscores = config["scale"] * weights * (dweights - weights @ dweights)
            dq[b, t, h] = dscores @ k[b, keys, kv]
            dk[b, keys, kv] += np.outer(dscores, q[b, t, h])        # += : the query heads of a group share their kv head
            dv[b, keys, kv] += np.outer(weights, do[b, t, h])
    return {"dq": dq, "dk": dk, "dv": dv}


CAPABILITIES = {                                # claim what you have: what is left out here is not tested
    "ops": ["forward", "backward"],
    "dtypes": ["f32", "f64", "f16", "bf16"],
    "masks": ["LocalCausal", "Split", "PositionCausal", "Bidirectional", "BidirectionalSplit"],
    "gqa": True, "padding": True, "oddGroup": True, "ragged": True, "phases": True, "grids": True, "prefixes": True,
}


# ---- .safetensors: 8 bytes of header length, a JSON header, the tensors. ----------------------------------------------------------------

NUMPY_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "U8": "u1", "BF16": "<u2"}


def read_tensors(path):
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack_from("<Q", content)
    tensors = {}
    for name, entry in json.loads(content[8:8 + length]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = np.frombuffer(content[8 + length + begin:8 + length + end], NUMPY_TYPES[entry["dtype"]])
            if entry["dtype"] == "BF16":        # NumPy has no bfloat16: it is the upper half of a float32
                values = (values.astype("<u4") << 16).view("<f4")
            tensors[name] = values.astype("f8").reshape(entry["shape"])
    return tensors


def write_tensors(path, tensors):
    header, data = {}, b""
    for name, (dtype, values) in tensors.items():
        payload = to_bfloat16(values) if dtype == "BF16" else values.astype(NUMPY_TYPES[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(payload)]}
        data += payload
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def to_bfloat16(values):
    bits = values.astype("<f4").view("<u4")
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16        # to nearest, ties to even
    return np.where(np.isnan(values), 0x7FC0, rounded).astype("<u2").tobytes()


# ---- The protocol: one JSON object a line, in and out. Print nothing else on stdout; stderr is yours. -----------------------------------

def answer(request):
    if request["op"] == "describe":
        return {"ok": True, "name": "numpy-rows", "version": "1.0", "language": "python", "capabilities": CAPABILITIES}
    if request["op"] not in CAPABILITIES["ops"]:
        return {"ok": False, "unsupported": "op " + request["op"]}
    config, tensors = request["config"], read_tensors(request["inputs"])
    valid = tensors["valid"] != 0 if "valid" in tensors else np.ones((config["batch"], config["tokens"]), bool)
    arguments = [config, tensors["q"], tensors["k"], tensors["v"], valid]
    results = forward(*arguments) if request["op"] == "forward" else backward(*arguments, tensors["do"])
    dtype = config["dtype"].upper()
    lse_dtype = "F64" if dtype == "F64" else "F32"
    write_tensors(request["outputs"], {name: (lse_dtype if name == "lse" else dtype, values) for name, values in results.items()})
    return {"ok": True}


def main():
    np.seterr(all="ignore")                     # overflow to infinity is a result here, not news
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "shutdown":
            break
        try:
            reply = answer(request)
        except Exception as error:              # report it: the suite shows the message beside the case
            reply = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"id": request["id"], **reply}), flush=True)


if __name__ == "__main__":
    main()
