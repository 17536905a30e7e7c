#!/usr/bin/env python3
"""S2-Attn as PyTorch code usually computes it: whole-tensor operations, a mask that is ADDED to the scores, gradients from autograd.

    usual_ports.py SAMPLE NAME        SAMPLE: the project's pytorch_port.py, which supplies the protocol

added     roll, regroup, add the mask, softmax, ungroup, roll back: all five masks, padding, GQA, ragged N
varlen    causal attention inside the segments of cu_seqlens, one list for each half of the heads
halves    LongLoRA's way: the heads are chunked, the second half is rolled by G // 2, the halves are joined again by cat
floored   the same with -G // 2, which Python floors: wrong for odd G

All but the last are right, but for NaN in hidden keys and values, which spreads.
"""
import importlib.util
import sys

import torch

SAMPLE, NAME = sys.argv[1], sys.argv[2]
spec = importlib.util.spec_from_file_location("pytorch_port", SAMPLE)
sample = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sample)

MASKS = {
    "LocalCausal": lambda position, token, run: position[None, :] <= position[:, None],
    "Split": lambda position, token, run: (run[None, :] == run[:, None]) & (token[None, :] <= token[:, None]),
    "PositionCausal": lambda position, token, run: token[None, :] <= token[:, None],
    "Bidirectional": lambda position, token, run: torch.ones(len(token), len(token), dtype=torch.bool),
    "BidirectionalSplit": lambda position, token, run: run[None, :] == run[:, None],
}


def hidden(visible, dtype):
    return torch.zeros(visible.shape, dtype=dtype).masked_fill(~visible, float("-inf"))


def repeat_kv(x, heads):
    return x.repeat_interleave(heads // x.shape[2], dim=2)


def added(config, q, k, v, valid):
    n, g, s, heads = config["tokens"], config["groupSize"], config["shift"], config["heads"]
    ring = -(-n // g) * g
    shifted = torch.tensor(sample.shifted_heads(config["shiftedHeads"], heads))
    pad = lambda x: torch.nn.functional.pad(x, (0, 0, 0, 0, 0, ring - n))
    roll = lambda x, by: torch.where(shifted[:, None], x.roll(by, 1), x)
    group = lambda x: x.unflatten(1, (ring // g, g)).transpose(2, 3)                              # [B, N/G, H, G, D]
    qg, kg, vg = (group(roll(pad(x), -s)) for x in (q, repeat_kv(k, heads), repeat_kv(v, heads)))
    real = torch.nn.functional.pad(valid, (0, ring - n))
    biases = []
    for moved in shifted.tolist():
        tokens = ((torch.arange(ring) + (s if moved else 0)) % ring).unflatten(0, (ring // g, g))
        seen = torch.stack([MASKS[config["mask"]](torch.arange(g), t, t >= s if moved else t >= 0) for t in tokens])
        biases.append(seen[None] & real[:, tokens][:, :, None, :])
    seen = torch.stack(biases, 2)                                                                 # [B, N/G, H, G, G]
    some = seen.any(-1, keepdim=True)
    scores = config["scale"] * (qg @ kg.transpose(-1, -2)) + hidden(seen | ~some, q.dtype)
    o = (scores.softmax(-1) @ vg).masked_fill(~some, 0)
    lse = scores.logsumexp(-1, keepdim=True).masked_fill(~some, float("-inf"))
    back = lambda x: roll(x.transpose(2, 3).flatten(1, 2), s)[:, :n]
    return back(o), back(lse)[..., 0]


def varlen(config, q, k, v, valid):
    n, g, s, heads = config["tokens"], config["groupSize"], config["shift"], config["heads"]
    k, v = repeat_kv(k, heads), repeat_kv(v, heads)
    out, lses = [], []
    for h, moved in enumerate(sample.shifted_heads(config["shiftedHeads"], heads)):
        cu_seqlens = sorted({0, n, *range(s if moved else 0, n, g)})
        parts, sums = [], []
        for start, end in zip(cu_seqlens, cu_seqlens[1:]):
            causal = torch.ones(end - start, end - start, dtype=torch.bool).tril()
            scores = config["scale"] * (q[:, start:end, h] @ k[:, start:end, h].transpose(1, 2)) + hidden(causal, q.dtype)
            parts.append(scores.softmax(-1) @ v[:, start:end, h])
            sums.append(scores.logsumexp(-1))
        out.append(torch.cat(parts, 1))
        lses.append(torch.cat(sums, 1))
    return torch.stack(out, 2), torch.stack(lses, 2)


def halves(config, q, k, v, valid):
    batch, n, heads, dim = q.shape
    g = config["groupSize"]
    there, back = (-g // 2 if NAME == "floored" else -(g // 2)), g // 2

    def shift(x):
        first, second = x.chunk(2, dim=2)
        return torch.cat((first, second.roll(there, dims=1)), dim=2).reshape(batch * n // g, g, heads, -1).transpose(1, 2)

    q, k, v = (shift(x) for x in (q, repeat_kv(k, heads), repeat_kv(v, heads)))
    mask = torch.full((g, g), torch.finfo(q.dtype).min, dtype=q.dtype).triu(1)
    weights = (q @ k.transpose(2, 3) / dim ** 0.5 + mask).softmax(dim=-1)
    first, second = (weights @ v).transpose(1, 2).reshape(batch, n, heads, dim).chunk(2, dim=2)
    return torch.cat((first, second.roll(back, dims=1)), dim=2), None


ONE_MASK = {"ops": ["forward", "backward"], "dtypes": ["f32", "f64"], "gqa": True, "oddGroup": True, "maxTokens": 1024}
PORTS = {
    "added": (added, {**ONE_MASK, "masks": list(MASKS), "padding": True, "ragged": True}),
    "varlen": (varlen, {**ONE_MASK, "masks": ["Split"], "ragged": True}),
    "halves": (halves, {**ONE_MASK, "masks": ["LocalCausal"],
                        "fixed": {"shift": "half", "shiftedHeads": "SecondHalf", "heads": {"even": True}, "scale": "default"}}),
}
PORTS["floored"] = PORTS["halves"]
sample.attention, sample.CAPABILITIES = PORTS[NAME]


def forward(config, tensors, valid):
    with torch.no_grad():
        o, lse = sample.attention(config, *(sample.wide(tensors[name]) for name in "qkv"), valid)
    return {"o": o} if lse is None else {"o": o, "lse": lse}


sample.forward = forward
sample.main()
