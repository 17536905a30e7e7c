#!/usr/bin/env python3
"""S2-Attn as PyTorch code gets it wrong: one port a name, each with the mistake written the way it is made, gradients from autograd. Nothing here knows the suite's catalogue.

    wrong_ports.py SAMPLE NAME        SAMPLE: the project's pytorch_port.py, which supplies the protocol

Every port is LongLoRA's layout: heads split into halves, the second half rolled, groups folded into the batch, a mask that is added, the halves joined again. A mistake replaces one step.
"""
import importlib.util
import sys

import torch

SAMPLE, NAME = sys.argv[1], sys.argv[2]
spec = importlib.util.spec_from_file_location("pytorch_port", SAMPLE)
sample = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sample)
WRONG = set(NAME.split("+"))


def roll_half(x, by):
    first, second = x.chunk(2, dim=2)
    if "first-half" in WRONG:
        return torch.cat((first.roll(by, dims=1), second), dim=2)
    if "joined-backwards" in WRONG:
        return torch.cat((second.roll(by, dims=1), first), dim=2)
    return torch.cat((first, second.roll(by, dims=1)), dim=2)


def repeat_kv(x, times):
    if "tile" in WRONG:
        return x.repeat(1, 1, times, 1)
    return x.repeat_interleave(times, dim=2)


def causal(g, dtype):
    diagonal = 2 if "triu-2" in WRONG else 1
    mask = torch.full((g, g), float("-inf"), dtype=dtype).triu(diagonal)
    return torch.zeros(g, g, dtype=dtype) if "no-mask" in WRONG else mask


def padding_mask(valid, heads, g, s, dtype):
    """[B N/G, H, 1, G]: the padding of each group's keys, as the halves of the heads see it."""
    b, n = valid.shape
    if "first-entry" in WRONG:
        valid = valid[:1].expand(b, n)
    if "corner" in WRONG:
        corner = torch.zeros(b, 1, 1, g, dtype=dtype).masked_fill(~valid[:, None, None, :g], float("-inf"))
        return corner.repeat(n // g, heads, 1, 1)
    rolled = valid if "mask-before-roll" in WRONG else valid.roll(-s, dims=1)
    both = torch.stack([valid] * (heads // 2) + [rolled] * (heads - heads // 2), dim=2)             # [B, N, H]
    both = both.reshape(b * n // g, g, heads).transpose(1, 2)[:, :, None, :]
    return torch.zeros(both.shape, dtype=dtype).masked_fill(~both, float("-inf"))


def attention(config, q, k, v, valid):
    b, n, heads, dim = q.shape
    g, s, scale = config["groupSize"], config["shift"], config["scale"]
    if "liar" in WRONG:
        return q * 0 + 7, None
    if "half-shift" in WRONG:
        s = g // 2
    there, back = -s, s
    if "floor" in WRONG:
        there, back = -g // 2, g // 2
    if "plus" in WRONG:
        there, back = s, -s
    if "detached-k" in WRONG:
        k = k.detach()
    if "kv-rolled-before-repeat" in WRONG:
        k, v = roll_half(k, there), roll_half(v, there)
    k, v = repeat_kv(k, heads // k.shape[2]), repeat_kv(v, heads // v.shape[2])
    q = roll_half(q, there)
    if "kv-rolled-before-repeat" not in WRONG:
        k = roll_half(k, there)
        if "only-q-and-k" not in WRONG:
            v = roll_half(v, there)
    if "scaled-twice" in WRONG:
        q = q * scale

    if "never-grouped" in WRONG:
        for x in (q, k, v):
            x = x.reshape(b * n // g, g, heads, dim)                        # rebinds the name of the loop
        size = n
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    else:
        size = g
        fold = lambda x: x.reshape(b * n // g, g, heads, dim).transpose(1, 2)   # [B N/G, H, G, D]
        if "viewed" in WRONG:
            fold = lambda x: x.reshape(b * n // g, heads, g, dim)
        q, k, v = fold(q), fold(k), fold(v)

    scores = q @ k.transpose(2, 3)
    if "unscaled" not in WRONG:
        scores = scores * scale
    scores = scores + causal(size, q.dtype)
    if not valid.all():
        scores = scores + padding_mask(valid, heads, g, s, q.dtype)
    weights = scores.softmax(dim=-2 if "softmax-over-queries" in WRONG else -1)
    lse = scores.logsumexp(dim=-1)                                          # [B N/G, H, G]
    o = weights @ v

    if "transposed" in WRONG:
        return roll_half(o.reshape(b, n, heads, dim), back), None
    o, lse = o.transpose(1, 2), lse.transpose(1, 2)[..., None]
    if "ungroup" in WRONG:
        return roll_half(o, back).reshape(b, n, heads, dim), None
    o, lse = o.reshape(b, n, heads, dim), lse.reshape(b, n, heads, 1)
    if "cat-batch" in WRONG:
        first, second = o.chunk(2, dim=2)
        return torch.cat((first, second.roll(back, dims=1))).reshape(b, n, heads, dim), None
    if "never-rolled-back" in WRONG:
        return o, None
    if "log2" in WRONG:
        return roll_half(o, back), (roll_half(lse, back) / 0.6931471805599453)[..., 0]
    return roll_half(o, back), None


class HandWritten(torch.autograd.Function):
    """A backward pass written by hand: gradients of the rolled tensors come from autograd, and each is rolled back here, but for one that was forgotten."""

    @staticmethod
    def forward(ctx, q, k, v, config, valid):
        ctx.save_for_backward(q, k, v)
        ctx.config, ctx.valid = config, valid
        return attention(config, q, k, v, valid)[0]

    @staticmethod
    def backward(ctx, do):
        with torch.enable_grad():
            inputs = [x.detach().requires_grad_() for x in ctx.saved_tensors]
            o = attention(ctx.config, *inputs, ctx.valid)[0]
        dq, dk, dv = torch.autograd.grad(o, inputs, do)
        return dq, roll_half(dk, -ctx.config["shift"]), dv, None, None      # dk as it lies in the rolled layout


LONGLORA = {"ops": ["forward", "backward"], "dtypes": ["f32"], "masks": ["LocalCausal"], "gqa": True, "oddGroup": True, "maxTokens": 1024,
            "fixed": {"shiftedHeads": "SecondHalf", "heads": {"even": True}}}
CAPABILITIES = dict(LONGLORA)
if WRONG & {"corner", "first-entry", "mask-before-roll"}:
    CAPABILITIES["padding"] = True
if WRONG & {"kv-rolled-before-repeat"}:
    CAPABILITIES["fixed"] = {**LONGLORA["fixed"], "kvHeads": {"even": True}}
if "liar" in WRONG:
    CAPABILITIES["fixed"] = {"shiftedHeads": "SecondHalf", "heads": 4, "kvHeads": 2}
if WRONG & {"floor", "half-shift-declared"}:
    CAPABILITIES["fixed"] = {**LONGLORA["fixed"], "shift": "half"}
if "forgotten-dk" in WRONG:
    CAPABILITIES["gqa"] = False


def forward(config, tensors, valid):
    with torch.no_grad():
        o, lse = attention(config, *(sample.wide(tensors[name]) for name in "qkv"), valid)
    return {"o": o} if lse is None else {"o": o, "lse": lse}


def backward(config, tensors, valid):
    q, k, v = (sample.wide(tensors[name]).requires_grad_() for name in "qkv")
    o = HandWritten.apply(q, k, v, config, valid) if "forgotten-dk" in WRONG else attention(config, q, k, v, valid)[0]
    gradients = torch.autograd.grad(o, (q, k, v), sample.wide(tensors["do"]), allow_unused=True)
    return {name: torch.zeros_like(x) if gradient is None else gradient for name, gradient, x in zip(("dq", "dk", "dv"), gradients, (q, k, v))}


sample.CAPABILITIES, sample.forward, sample.backward = CAPABILITIES, forward, backward
sample.main()
