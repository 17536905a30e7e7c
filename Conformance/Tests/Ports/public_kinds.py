#!/usr/bin/env python3
"""S2-Attn as public code gets it wrong: whole-array operations in NumPy, one kind a name. docs/field-notes.md says where each kind was seen.

    public_kinds.py SAMPLE NAME        SAMPLE: the project's numpy_port.py, which supplies the protocol

KINDS, at the end, say what each one declares. Everything stands on half the heads and half of G, as public code does.
"""
import importlib.util
import sys

import numpy as np

SAMPLE, NAME = sys.argv[1], sys.argv[2]
spec = importlib.util.spec_from_file_location("numpy_port", SAMPLE)
sample = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sample)

LOWEST = np.finfo("f4").min


def upper(x, by):
    """[B,N,H,D] with the upper half of its heads rolled along the tokens."""
    half = x.shape[2] // 2
    return np.concatenate([x[:, :, :half], np.roll(x[:, :, half:], by, axis=1)], axis=2)


def repeat(x, heads):
    return np.repeat(x, heads // x.shape[2], axis=2)


def group(x, g):
    """[B,N,H,D] as [B N/G, H, G, D]."""
    b, n, h, d = x.shape
    return x.reshape(b * n // g, g, h, d).transpose(0, 2, 1, 3)


def causal(n):
    return np.triu(np.full((n, n), LOWEST, "f4"), 1)


def attend(q, k, v, bias=0.0):
    """Softmax attention over the last two axes; the bias is added."""
    with np.errstate(all="ignore"):
        scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1], dtype=q.dtype) + bias
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        return weights / weights.sum(-1, keepdims=True) @ v


def packed(q, k, v, keep):
    """Causal attention over [rows, H, G, D] of which only the kept tokens exist, as unpad, a varlen kernel and pad do it."""
    o = np.zeros_like(q)
    for r, kept in enumerate(keep):
        if kept.any():
            o[r][:, kept] = attend(q[r][:, kept], k[r][:, kept], v[r][:, kept], causal(int(kept.sum())))
    return o


def shapes(config, q, k, v):
    g, half = config["groupSize"], config["groupSize"] // 2
    return g, half, config["tokens"] // g, repeat(k, q.shape[2]), repeat(v, q.shape[2])


def discarded_reshape(config, q, k, v, valid):
    """The block of the mask is tiled over the groups, and the reshape before the roll back goes nowhere."""
    g, half, groups, k, v = shapes(config, q, k, v)
    mask = np.where(valid[:, None, None, :] & (causal(config["tokens"]) == 0), 0, LOWEST)
    o = attend(*(group(upper(x, -half), g) for x in (q, k, v)), np.tile(mask[:, :, :g, :g], (groups, 1, 1, 1))).transpose(0, 2, 1, 3)
    o.reshape(q.shape)
    return upper(o, half).reshape(q.shape)


def packed_block(config, q, k, v, valid):
    """The first G columns of the padding mask go to a kernel that packs."""
    g, half, groups, k, v = shapes(config, q, k, v)
    o = packed(*(group(upper(x, -half), g) for x in (q, k, v)), np.tile(valid[:, :g], (groups, 1)))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def packed_unrolled(config, q, k, v, valid):
    """The padding mask is cut as the tokens are, but is not rolled; the roll back turns inside the groups."""
    g, half, groups, k, v = shapes(config, q, k, v)
    o = packed(*(group(upper(x, -half), g) for x in (q, k, v)), valid.reshape(-1, g))
    return upper(o.transpose(0, 2, 1, 3), half).reshape(q.shape)


def loop_without_effect(config, q, k, v, valid):
    """The loop over q, k and v writes its roll through a view, but loses what it reshapes."""
    g, half, _, k, v = shapes(config, q, k, v)
    q, k, v = (x.transpose(0, 2, 1, 3).copy() for x in (q, k, v))
    for state in (q, k, v):
        state = state.transpose(0, 2, 1, 3)
        state[:, :, state.shape[2] // 2:] = np.roll(state[:, :, state.shape[2] // 2:], -g // 2, axis=1)
        state = state.reshape(-1, g, *state.shape[2:]).transpose(0, 2, 1, 3)
    mask = causal(config["tokens"]) + np.where(valid, 0, LOWEST)[:, None, None, :]
    return upper(attend(q, k, v, np.maximum(mask, LOWEST)).transpose(0, 2, 1, 3), half)


def heads_first(config, q, k, v, valid):
    """Rolled heads first, then reshaped as if tokens came first; -G // 2 floors."""
    g, half, _, k, v = shapes(config, q, k, v)
    states = [x.transpose(0, 2, 1, 3).copy() for x in (q, k, v)]
    for x in states:
        x[:, x.shape[1] // 2:] = np.roll(x[:, x.shape[1] // 2:], -g // 2, axis=2)
    o = attend(*(group(x.reshape(q.shape), g) for x in states), causal(g))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def halved_groups(config, q, k, v, valid):
    """The groups are split where the heads were meant, and o leaves heads first."""
    g, _, groups, k, v = shapes(config, q, k, v)
    b, n, h, d = q.shape
    grouped = [x.transpose(0, 2, 1, 3).reshape(b, h, groups, g, d).swapaxes(1, 2) for x in (q, k, v)]
    halves = [np.array_split(x, 2, axis=3) for x in grouped]
    o = np.concatenate([attend(*(half[i] for half in halves)) for i in (0, 1)], axis=3)
    return o.swapaxes(1, 2).reshape(q.shape)


def rolled_projections(config, q, k, v, valid):
    """What wraps q_proj and k_proj rolls their outputs; the attention behind them is the ordinary one."""
    half = config["groupSize"] // 2
    wrapped = [upper(x, half) if x.shape[2] > 1 else x for x in (q, k)]
    q, k, v = (x.transpose(0, 2, 1, 3) for x in (wrapped[0], repeat(wrapped[1], q.shape[2]), repeat(v, q.shape[2])))
    return attend(q, k, v, causal(config["tokens"])).transpose(0, 2, 1, 3)


def shared_memory(config, q, k, v, valid):
    """A single kv head is repeated without a copy, and the rolled half is written in place."""
    g, half, _, _, _ = shapes(config, q, k, v)
    copies = [x.copy() if x.shape[2] > 1 else np.lib.stride_tricks.as_strided(x.copy(), q.shape, (*x.strides[:2], 0, x.strides[3])) for x in (k, v)]
    states = [q.copy()] + [x if x.shape[2] == q.shape[2] else repeat(x, q.shape[2]) for x in copies]
    for x in states:
        x[:, :, x.shape[2] // 2:] = np.roll(x[:, :, x.shape[2] // 2:], -half, axis=1)
    o = attend(*(group(x, g) for x in states), causal(g))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def two_passes(config, q, k, v, valid):
    """A local pass and a shifted one over all heads, averaged."""
    g, half, _, k, v = shapes(config, q, k, v)

    def once(by):
        o = attend(*(group(np.roll(x, -by, axis=1), g) for x in (q, k, v)))
        return np.roll(o.transpose(0, 2, 1, 3).reshape(q.shape), by, axis=1)

    return (once(0) + once(half)) / 2


def filled_up(config, q, k, v, valid):
    """N is filled up with zeros to whole groups, and the zeros take part."""
    g, half, _, k, v = shapes(config, q, k, v)
    n = q.shape[1]
    q, k, v = (np.pad(x, ((0, 0), (0, -n % g), (0, 0), (0, 0))) for x in (q, k, v))
    o = attend(*(group(upper(x, -half), g) for x in (q, k, v)), causal(g))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)[:, :n]


def quarter(config, q, k, v, valid):
    """Right: G is a quarter of N and cannot be chosen."""
    g = int(q.shape[1] * 0.25)
    if q.shape[1] % g:
        raise ValueError(f"q_len {q.shape[1]} should be divisible by group size {g}.")
    k, v = repeat(k, q.shape[2]), repeat(v, q.shape[2])
    o = attend(*(group(upper(x, -(g // 2)), g) for x in (q, k, v)), causal(g))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), g // 2)


def halfway(config, q, k, v, valid):
    """Right: a kernel that takes float16 alone and sums up in float32."""
    return quarter(config, *(x.astype("f4") for x in (q, k, v)), valid).astype("f2")


def kv_halves(config, q, k, v, valid):
    """Half of the kv heads are rolled as they are, a single one not, for the attention behind takes k and v unrepeated; too short a text is attended to in full."""
    g, half, groups, _, _ = shapes(config, q, k, v)
    if groups < 2:
        return gives_up(config, q, k, v, valid)
    states = [repeat(upper(x, -half) if x.shape[2] > 1 else x, q.shape[2]) for x in (q, k, v)]
    o = attend(*(group(x, g) for x in states), causal(g))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def gives_up(config, q, k, v, valid):
    """Where the text is shorter than two groups, or a number of heads odd, ordinary attention takes over without a word."""
    g, half, groups, repeated, values = shapes(config, q, k, v)
    if groups < 2 or q.shape[2] % 2 or k.shape[2] % 2:
        return attend(*(x.transpose(0, 2, 1, 3) for x in (q, repeated, values)), causal(q.shape[1])).transpose(0, 2, 1, 3)
    o = attend(*(group(upper(x, -half), g) for x in (q, repeated, values)), causal(g))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def over_the_batch(config, q, k, v, valid):
    """Windows that begin every half group go to a module that takes tokens first, and their results are put one after the other."""
    g, half, _, _, _ = shapes(config, q, k, v)
    n, parts = q.shape[1], []
    for start in range(0, n, max(1, half)):
        window = [np.pad(x[:, start:start + g], ((0, 0), (0, max(0, start + g - n)), (0, 0), (0, 0))) for x in (q, k, v)]
        parts.append(attend(*(x.transpose(1, 2, 0, 3) for x in window)).transpose(2, 0, 1, 3))
    return np.concatenate(parts, axis=1)[:, :n]


def tokens_for_heads(config, q, k, v, valid):
    """[B N/G, G, H, D] goes to a function that takes [B, H, N, D]."""
    g, half, _, k, v = shapes(config, q, k, v)
    o = attend(*(upper(x, -half).reshape(-1, g, *x.shape[2:]) for x in (q, k, v)), causal(q.shape[2]))
    return upper(o.reshape(q.shape), half)


def without_diagonal(config, q, k, v, valid):
    """The mask hides the diagonal too, by -infinity, so that the first row of a group is NaN."""
    g, half, _, k, v = shapes(config, q, k, v)
    mask = np.triu(np.full((g, g), -np.inf, "f4"))
    o = attend(*(group(upper(x, -half), g) for x in (q, k, v)), mask)
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def three_tokens(config, q, k, v, valid):
    """The shift is three tokens whatever G is."""
    g, _, _, k, v = shapes(config, q, k, v)
    o = attend(*(group(upper(x, -3), g) for x in (q, k, v)), causal(g))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), 3)


def narrow_and_capped(config, q, k, v, valid):
    """Right but for a soft cap of the scores, and computed in float32 whatever is given."""
    g, half, _, k, v = shapes(config, q, k, v)
    q, k, v = (group(upper(x.astype("f4"), -half), g) for x in (q, k, v))
    scores = 30 * np.tanh(q @ k.swapaxes(-1, -2) / np.sqrt(np.float32(q.shape[-1])) / 30) + causal(g)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    o = (weights / weights.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3)
    return upper(o.reshape(config["batch"], config["tokens"], config["heads"], -1), half)


def joined_along_tokens(config, q, k, v, valid):
    """Heads first, the rolled half is joined to the other along the tokens, and the rest is reshaped to fit."""
    g, half, _, k, v = shapes(config, q, k, v)

    def joined(x):
        x = x.transpose(0, 2, 1, 3)
        middle = x.shape[1] // 2
        return np.concatenate([x[:, :middle], np.roll(x[:, middle:], -half, axis=2)], axis=2).transpose(0, 2, 1, 3).reshape(q.shape)

    o = attend(*(group(joined(x), g) for x in (q, k, v)), causal(g))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def rows_of_halves(config, q, k, v, valid):
    """The halves of the heads become rows (entry, half), of which the last B are rolled; the padding mask is repeated as (half, entry)."""
    g, half, _, k, v = shapes(config, q, k, v)
    b, n, h, d = q.shape

    def rolled(x, by):
        x = x.copy()
        x[b:] = np.roll(x[b:], by, axis=1)
        return x

    rows = [x.reshape(b, n, 2, h // 2, d).transpose(0, 2, 1, 3, 4).reshape(2 * b, n, h // 2, d) for x in (q, k, v)]
    o = packed(*(group(rolled(x, -half), g) for x in rows), rolled(np.tile(valid, (2, 1)), -half).reshape(-1, g))
    o = rolled(o.transpose(0, 2, 1, 3).reshape(2 * b, n, h // 2, d), half)
    return o.reshape(b, 2, n, h // 2, d).transpose(0, 2, 1, 3, 4).reshape(q.shape)


def rows_of_one_memory(config, q, k, v, valid):
    """The same rows without padding. Those of a single kv head and a single entry are one memory, into which the roll is written; PyTorch refuses that where a half has several heads."""
    g, half, _, _, _ = shapes(config, q, k, v)
    b, n, h, d = q.shape
    shares = b == 1 and k.shape[2] == 1
    if shares and h > 2:
        raise RuntimeError("more than one element of the written-to tensor refers to a single memory location")

    def rolled(x, by, whole=False):
        x = x.copy()
        x[0 if whole else b:] = np.roll(x[0 if whole else b:], by, axis=1)
        return x

    rows = [repeat(x, h).reshape(b, n, 2, h // 2, d).transpose(0, 2, 1, 3, 4).reshape(2 * b, n, h // 2, d) for x in (q, k, v)]
    o = attend(*(group(rolled(x, -half, shares and i > 0), g) for i, x in enumerate(rows)), causal(g))
    o = rolled(o.transpose(0, 2, 1, 3).reshape(2 * b, n, h // 2, d), half)
    return o.reshape(b, 2, n, h // 2, d).transpose(0, 2, 1, 3, 4).reshape(q.shape)


def dilated(config, q, k, v, valid):
    """The quarters of the heads take every 1st, 2nd, 4th, 8th key, and the mask is made for as many keys as are left."""
    n, h = q.shape[1:3]
    q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, repeat(k, h), repeat(v, h)))
    parts = []
    for i in range(4):
        these = slice(i * (h // 4), (i + 1) * (h // 4))
        left = k[:, these, ::2 ** i].shape[2]
        parts.append(attend(q[:, these], k[:, these, ::2 ** i], v[:, these, ::2 ** i], causal(n)[:, :left]))
    return np.concatenate(parts, axis=1).transpose(0, 2, 1, 3)


def heads_first_unscaled(config, q, k, v, valid):
    """[B,H,N,D] goes to a function that takes [B,N,H,D], with a scale of 0; nothing is rolled or grouped."""
    k, v = repeat(k, q.shape[2]), repeat(v, q.shape[2])
    return attend(0 * q, k, v, causal(q.shape[2]))


def lowered(config, q, k, v, valid):
    """Windows that all heads shift; what the roll joined is told apart by a mask of -100."""
    g, half, groups, k, v = shapes(config, q, k, v)
    run = np.arange(g) < g - half
    mask = np.zeros((groups, g, g), "f4")
    mask[-1] = np.where(run[:, None] == run[None, :], 0, -100) if half else 0
    o = attend(*(group(np.roll(x, -half, axis=1), g) for x in (q, k, v)), np.tile(mask, (q.shape[0], 1, 1))[:, None])
    return np.roll(o.transpose(0, 2, 1, 3).reshape(q.shape), half, axis=1)


def narrow_heads(config, q, k, v, valid):
    """The packed vector is cut into twice as many heads of half the width."""
    g, half, _, k, v = shapes(config, q, k, v)
    b, n, h, d = q.shape
    q, k, v = (x.reshape(b, n, 2 * h, d // 2) for x in (q, k, v))
    o = attend(*(group(upper(x, -half), g) for x in (q, k, v)), causal(g))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half).reshape(b, n, h, d)


def one_group_alone(config, q, k, v, valid):
    """The mask is not cut as the tokens are, so that every call fails but those of a single group."""
    g, half, _, k, v = shapes(config, q, k, v)
    o = attend(*(group(upper(x, -half), g) for x in (q, k, v)), causal(q.shape[1]))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def halved_tokens(config, q, k, v, valid):
    """The second half is sliced from axis 1 of [B,N,H,D], which holds the tokens; heads first is then reshaped as tokens first."""
    g, half, _, k, v = shapes(config, q, k, v)
    states = [x.copy() for x in (q, k, v)]
    for x in states:
        x[:, x.shape[2] // 2:] = np.roll(x[:, x.shape[2] // 2:], -half, axis=1)
    o = attend(*(group(x.transpose(0, 2, 1, 3).reshape(q.shape), g) for x in states), causal(g))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def turned_keys(config, q, k, v, valid):
    """k and v turn inside their groups, q and o do not, and [B, N/G, G, H, D] is multiplied as if G stood behind H."""
    g, half, groups, k, v = shapes(config, q, k, v)
    q, k, v = (x.reshape(x.shape[0], groups, g, *x.shape[2:]) for x in (q, k, v))
    return attend(q, np.roll(k, -half, axis=2), np.roll(v, -half, axis=2)).reshape(q.shape[0], -1, *q.shape[3:])


def windows(q, k, v, w):
    """Each window of [B,H,N,D] beside the one before it, of which what stands before the place of the query is hidden."""
    parts = []
    for start in range(0, q.shape[2], w):
        before = max(0, start - w)
        mask = causal(w) if start == 0 else np.concatenate([np.tril(np.full((w, w), LOWEST, "f4"), -1), causal(w)], axis=1)
        parts.append(attend(q[:, :, start:start + w], k[:, :, before:start + w], v[:, :, before:start + w], mask))
    return np.concatenate(parts, axis=2)


def window_and_one(config, q, k, v, valid):
    """A window that moves with the query, one key longer than G."""
    g, _, _, k, v = shapes(config, q, k, v)
    return windows(*(x.transpose(0, 2, 1, 3) for x in (q, k, v)), g).transpose(0, 2, 1, 3)


def windows_by_quarters(config, q, k, v, valid):
    """The same, of another length in each quarter of the heads."""
    g, _, _, k, v = shapes(config, q, k, v)
    quarters = zip(*(np.split(x.transpose(0, 2, 1, 3), 4, axis=1) for x in (q, k, v)))
    return np.concatenate([windows(*quarter, 2 * g // min(4, 2 ** i)) for i, quarter in enumerate(quarters)], axis=1).transpose(0, 2, 1, 3)


def first_stays(config, q, k, v, valid):
    """All heads shift, and the first group is left out of the roll and of the roll back."""
    g, half, _, _, _ = shapes(config, q, k, v)

    def behind_the_first(x, by):
        return np.concatenate([x[:, :g], np.roll(x[:, g:], by, axis=1)], axis=1)

    o = attend(*(group(behind_the_first(x, -half), g) for x in (q, k, v)))
    return behind_the_first(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def dealt_out(config, q, k, v, valid):
    """Instead of a roll the tokens behind the first group are dealt out, and back."""
    g, _, groups, _, _ = shapes(config, q, k, v)

    def behind_the_first(x, rows, columns):
        rest = x[:, g:].reshape(x.shape[0], rows, columns, *x.shape[2:]).swapaxes(1, 2)
        return np.concatenate([x[:, :g], rest.reshape(x[:, g:].shape)], axis=1)

    o = attend(*(group(behind_the_first(x, groups - 1, g), g) for x in (q, k, v)))
    return behind_the_first(o.transpose(0, 2, 1, 3).reshape(q.shape), g, groups - 1)


def wrapped_to_zero(config, q, k, v, valid):
    """All heads shift, zeros are written over what the roll wrapped, on the way in and out, and no mask is applied."""
    g, half, _, _, _ = shapes(config, q, k, v)
    n = q.shape[1]
    kept = (np.arange(n) < n - half)[None, :, None, None]
    o = attend(*(group(np.roll(x, -half, axis=1) * kept, g) for x in (q, k, v))).transpose(0, 2, 1, 3).reshape(q.shape)
    return np.roll(o * kept, half, axis=1)


def filled_and_cut(config, q, k, v, valid):
    """All heads shift, N is filled up with zeros to whole groups, and the mask cuts what the roll wrapped, but does not hide the zeros."""
    g, half, _, _, _ = shapes(config, q, k, v)
    n = q.shape[1]
    q, k, v = (np.pad(x, ((0, 0), (0, -n % g), (0, 0), (0, 0))) for x in (q, k, v))
    run = np.arange(g) < g - half
    mask = np.zeros((q.shape[1] // g, g, g), "f4")
    mask[-1] = np.where(run[:, None] == run[None, :], 0, -np.inf) if half else 0
    o = attend(*(group(np.roll(x, -half, axis=1), g) for x in (q, k, v)), np.tile(mask, (q.shape[0], 1, 1))[:, None])
    return np.roll(o.transpose(0, 2, 1, 3).reshape(q.shape), half, axis=1)[:, :n]


def joined(o, shape):
    """[B N/G, H, G, D] as [B, N, H, D]."""
    return o.transpose(0, 2, 1, 3).reshape(shape)


def filled(x, size, **how):
    return np.pad(x, ((0, 0), (0, -x.shape[1] % size), (0, 0), (0, 0)), **how)


def input_returned(config, q, k, v, valid):
    """The roll back is that of the block's input, so what attention gave is lost."""
    return v.copy()


def tail_cut_off(config, q, k, v, valid):
    """All heads shift over N tokens, what does not fill a group is cut off, and zeros stand for it at the end of what is rolled back."""
    g, half, _, _, _ = shapes(config, q, k, v)
    rest = q.shape[1] % g
    rolled = [np.roll(x, -half, axis=1)[:, :q.shape[1] - rest] for x in (q, k, v)]
    o = joined(attend(*(group(x, g) for x in rolled)), rolled[0].shape)
    return np.pad(np.roll(o, half, axis=1), ((0, 0), (0, rest), (0, 0), (0, 0)))


def rolled_then_filled(config, q, k, v, valid):
    """All heads shift over N tokens, then zeros fill up the last group and are seen; no mask is applied."""
    g, half, _, _, _ = shapes(config, q, k, v)
    rolled = [filled(np.roll(x, -half, axis=1), g) for x in (q, k, v)]
    o = joined(attend(*(group(x, g) for x in rolled)), rolled[0].shape)
    return np.roll(o[:, :q.shape[1]], half, axis=1)


def groups_rolled(config, q, k, v, valid):
    """The roll goes along the groups, the roll back along the tokens, and entries are stacked behind the groups."""
    g, half, groups, _, _ = shapes(config, q, k, v)
    cut = [np.roll(x.reshape(x.shape[0], groups, g, *x.shape[2:]), half, axis=1).reshape(-1, g, *x.shape[2:]).transpose(0, 2, 1, 3) for x in (q, k, v)]
    o = attend(*cut).transpose(0, 2, 1, 3).reshape(q.shape[0], groups, g, *q.shape[2:])
    return np.roll(np.stack(list(o), axis=1).reshape(q.shape), -g // 2, axis=1)


def cut_at_both_ends(config, q, k, v, valid):
    """All heads shift, and the mask cuts the first group at S beside the last one."""
    g, half, groups, _, _ = shapes(config, q, k, v)
    place = np.arange(g)
    mask = np.zeros((groups, g, g), "f4")
    for which, border in ((0, half), (-1, g - half)):
        mask[which] += np.where((place[:, None] < border) == (place[None, :] < border), 0, -100)
    o = attend(*(group(np.roll(x, -half, axis=1), g) for x in (q, k, v)), np.tile(mask, (q.shape[0], 1, 1))[:, None])
    return np.roll(joined(o, q.shape), half, axis=1)


def cut_at_old_borders(config, q, k, v, valid):
    """All heads shift, and the mask compares the windows that the tokens were in before the roll."""
    g, half, _, _, _ = shapes(config, q, k, v)
    window = np.roll(np.arange(q.shape[1]) // g, -half).reshape(-1, g)
    mask = np.where(window[:, :, None] == window[:, None, :], 0, LOWEST)
    o = attend(*(group(np.roll(x, -half, axis=1), g) for x in (q, k, v)), np.tile(mask, (q.shape[0], 1, 1))[:, None])
    return np.roll(joined(o, q.shape), half, axis=1)


def around(config, q, k, v, valid):
    """A sliding window of half a group before and after each token."""
    token = np.arange(q.shape[1])
    mask = np.where(abs(token[:, None] - token[None, :]) <= config["groupSize"] // 2, 0, LOWEST)
    return attend(*(x.transpose(0, 2, 1, 3) for x in (q, k, v)), mask).transpose(0, 2, 1, 3)


def half_of_heads_whole(config, q, k, v, valid):
    """The lower half of the heads attends in groups, the upper one over the whole sequence; both masks are added."""
    g, _, groups, k, v = shapes(config, q, k, v)
    n, h = q.shape[1:3]
    padded = np.where(valid, 0, LOWEST)
    inside = np.maximum(padded.reshape(-1, 1, 1, g) + causal(g), LOWEST)
    local = joined(attend(*(group(x, g) for x in (q, k, v)), inside), q.shape)
    whole = attend(*(x.transpose(0, 2, 1, 3) for x in (q, k, v)), np.maximum(padded[:, None, None, :] + causal(n), LOWEST)).transpose(0, 2, 1, 3)
    return np.concatenate([local[:, :, :h // 2], whole[:, :, h // 2:]], axis=2)


def padding_of_both(config, q, k, v, valid):
    """All heads shift, and the mask is the product of the padding with itself: 0, or -10000."""
    g, half, _, _, _ = shapes(config, q, k, v)
    real = np.roll(valid, -half, axis=1).reshape(-1, g)
    mask = np.where(real[:, :, None] & real[:, None, :], 0, -10000).astype("f4")[:, None]
    return np.roll(joined(attend(*(group(np.roll(x, -half, axis=1), g) for x in (q, k, v)), mask), q.shape), half, axis=1)


def filled_as(mode):
    """All heads shift, N is filled up with copies of tokens, and no mask is applied."""
    def kind(config, q, k, v, valid):
        g, half, _, _, _ = shapes(config, q, k, v)
        n = q.shape[1]
        q, k, v = (filled(x, g, mode=mode) for x in (q, k, v))
        o = attend(*(group(np.roll(x, -half, axis=1), g) for x in (q, k, v)))
        return np.roll(joined(o, q.shape), half, axis=1)[:, :n]
    kind.__name__ = f"filled_as_{mode}"
    return kind


def stretched(config, q, k, v, valid):
    """All heads shift and the wrapped run is cut off; what is no whole group is stretched to whole groups, and thinned out again."""
    g, half, _, _, _ = shapes(config, q, k, v)
    n = q.shape[1]
    ring = -(-n // g) * g
    q, k, v = (np.roll(x[:, np.arange(ring) * n // ring], -half, axis=1) for x in (q, k, v))
    runs = np.arange(ring).reshape(-1, g) >= ring - half
    cut = np.tile(np.where(runs[:, :, None] == runs[:, None, :], np.float32(0), LOWEST)[:, None], (q.shape[0], 1, 1, 1))
    o = joined(attend(*(group(x, g) for x in (q, k, v)), cut), q.shape)
    return np.roll(o, half, axis=1)[:, np.arange(n) * ring // n]


def every_other_token(config, q, k, v, valid):
    """A dilation of 2 inside blocks of two groups; nothing shifts and nothing is masked."""
    g, b, n, h, d = config["groupSize"], *q.shape
    q, k, v = (x.reshape(b * n // (2 * g), g, 2, h, d).transpose(0, 2, 3, 1, 4) for x in (q, k, v))
    return attend(q, k, v).transpose(0, 3, 1, 2, 4).reshape(b, n, h, d)


def looks_ahead(config, q, k, v, valid):
    """Nothing shifts; the later half of the groups has the other triangle for its mask."""
    g, groups = config["groupSize"], config["tokens"] // config["groupSize"]
    bias = np.stack([causal(g) if i < groups // 2 else causal(g).T for i in range(groups)])[:, None]
    return joined(attend(*(group(x, g) for x in (q, k, v)), np.tile(bias, (q.shape[0], 1, 1, 1))), q.shape)


def rolled_for_the_next(config, q, k, v, valid):
    """All heads attend in unshifted groups, and the roll that the next layer needs comes behind attention."""
    g, half, _, _, _ = shapes(config, q, k, v)
    return np.roll(joined(attend(*(group(x, g) for x in (q, k, v))), q.shape), -half, axis=1)


def dilated_heads(config, q, k, v, valid):
    """Nothing shifts; each head takes every other token of a group, its own parity, and leaves the rows between as they were made."""
    g, o = config["groupSize"], np.zeros_like(q)
    for h in range(q.shape[2]):
        for start in range(0, q.shape[1], g):
            own = slice(start + h % 2, start + g, 2)
            o[:, own, h] = attend(q[:, own, h], k[:, own, h], v[:, own, h], causal(g // 2))
    return o


def cosine(config, q, k, v, valid):
    """All heads shift; scores are ten times the cosine of q and k."""
    g, half, _, _, _ = shapes(config, q, k, v)
    q, k = (x / np.maximum(np.sqrt((x * x).sum(-1, keepdims=True)), 1e-12) for x in (q, k))
    o = attend(*(group(np.roll(x, -half, axis=1), g) for x in (q * np.float32(10 * np.sqrt(q.shape[-1])), k, v)))
    return np.roll(joined(o, q.shape), half, axis=1)


def by_heads(q, half, pieces):
    """Causal attention inside pieces, [start, end) of the rows of [N,H,D]; the upper half of the heads has borders of its own."""
    def of(k, v):
        o = np.zeros_like(q)
        for h in range(q.shape[1]):
            cuts = pieces(half if h >= q.shape[1] // 2 else 0)
            for a, e in zip(cuts[:-1], cuts[1:]):
                o[a:e, h] = attend(q[a:e, h], k[a:e, h], v[a:e, h], causal(e - a))
        return o

    return of


def packed_without_borders(config, q, k, v, valid):
    """All entries are packed behind each other, and the borders of the shifted heads run through them."""
    g, half, _, k, v = shapes(config, q, k, v)
    flat = [x.reshape(-1, *x.shape[2:]) for x in (q, k, v)]
    total = len(flat[0])
    return by_heads(flat[0], half, lambda s: [0, *range(s or g, total, g), total])(*flat[1:]).reshape(q.shape)


def pieces_of_each(config, q, k, v, pieces):
    _, half, _, k, v = shapes(config, q, k, v)
    return np.stack([by_heads(q[b], half, pieces)(k[b], v[b]) for b in range(len(q))])


def last_takes_the_rest(config, q, k, v, valid):
    """There are N / G groups, rounded down, and the last one ends where the text does."""
    g, n = config["groupSize"], config["tokens"]
    return pieces_of_each(config, q, k, v, lambda s: [0, *(s + i * g for i in range(0 if s else 1, n // g)), n])


def borders_moved_on(config, q, k, v, valid):
    """The borders of shifted heads are those of the others, S further on: there is none at S."""
    g, n = config["groupSize"], config["tokens"]
    return pieces_of_each(config, q, k, v, lambda s: [0, *range(g + s, n, g), n])


def cut_bias(g, half, groups, heads, at):
    """The causal mask of each head and group; that of the given group of the upper heads is cut."""
    bias = np.tile(causal(g), (groups, heads, 1, 1))
    bias[at, heads // 2:, g - half:, :g - half] = LOWEST
    return bias


def first_is_cut(config, q, k, v, valid):
    """The roll goes by -S, and the mask cuts the group in which the first tokens stood before it."""
    g, half, groups, k, v = shapes(config, q, k, v)
    o = attend(*(group(upper(x, -half), g) for x in (q, k, v)), np.tile(cut_bias(g, half, groups, q.shape[2], 0), (len(q), 1, 1, 1)))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def masks_by_entry(config, q, k, v, valid):
    """The masks of the groups are repeated as (group, entry), the groups stand as (entry, group)."""
    g, half, groups, k, v = shapes(config, q, k, v)
    o = attend(*(group(upper(x, -half), g) for x in (q, k, v)), np.repeat(cut_bias(g, half, groups, q.shape[2], -1), len(q), axis=0))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def view_of_the_kv_head(config, q, k, v, valid):
    """Head by head: a slice of k is rolled in place, which is the memory of other query heads too."""
    g, half, groups, _, _ = shapes(config, q, k, v)
    o, k, v, ratio = np.empty_like(q), k.copy(), v.copy(), q.shape[2] // k.shape[2]
    for h in range(q.shape[2]):
        own, kh, vh = q[:, :, h].copy(), k[:, :, h // ratio], v[:, :, h // ratio]
        by = half if h >= q.shape[2] // 2 else 0
        for x in (own, kh, vh):
            x[:] = np.roll(x, -by, axis=1)
        inside = attend(*(x.reshape(len(q), groups, g, -1) for x in (own, kh, vh)), causal(g))
        o[:, :, h] = np.roll(inside.reshape(own.shape), by, axis=1)
    return o


def one_kv_head_broadcast(config, q, k, v, valid):
    """Several kv heads are repeated and rolled; a single one is left to the broadcast, and not rolled."""
    g, half, _, repeated_k, repeated_v = shapes(config, q, k, v)
    inner = (upper(x, -half) for x in (repeated_k, repeated_v)) if k.shape[2] > 1 else (k, v)
    o = attend(group(upper(q, -half), g), *(group(x, g) for x in inner), causal(g))
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def rolled_without_an_axis(config, q, k, v, valid):
    """np.roll of the upper heads without axis=1 rolls all of their numbers as one row."""
    g, half, _, k, v = shapes(config, q, k, v)

    def flat(x, by):
        middle = x.shape[2] // 2
        return np.concatenate([x[:, :, :middle], np.roll(x[:, :, middle:], by)], axis=2)

    o = attend(*(group(flat(x, -half), g) for x in (q, k, v)), causal(g))
    return flat(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


SEGMENTS = {}


def kept_segments(config, q, k, v, valid):
    """The segments of N and G are kept, and S is forgotten."""
    g, n, s = config["groupSize"], config["tokens"], config["shift"]
    k, v = repeat(k, q.shape[2]), repeat(v, q.shape[2])
    cuts = SEGMENTS.setdefault((n, g), [0, *range(s or g, n, g), n])
    return np.stack([by_heads(q[b], s, lambda shift: cuts if shift else [*range(0, n, g), n])(k[b], v[b]) for b in range(len(q))])


def viewed_and_back(config, q, k, v, valid):
    """[B,N,H,D] is viewed as [B,H,N,D], on the way in after the repeat and on the way out."""
    g, half, groups, k, v = shapes(config, q, k, v)
    b, n, h, d = q.shape

    def halves(x, by):
        return np.concatenate([x[:, :h // 2], np.roll(x[:, h // 2:], by, axis=2)], axis=1)

    o = attend(*(halves(x.reshape(b, h, n, d), -half).reshape(b, h, groups, g, d) for x in (q, k, v)), causal(g))
    return halves(o.reshape(b, h, n, d), half).reshape(q.shape)


def in_tiles(q, k, v):
    """Causal attention of one piece, keys in tiles of 16: the sum of exponentials follows the greatest score so far, the accumulator does not."""
    scores = q @ k.T / np.sqrt(q.shape[-1], dtype=q.dtype) + causal(len(q))
    o, top, total = np.zeros_like(q), np.full((len(q), 1), LOWEST, "f4"), 0
    for start in range(0, len(q), 16):
        tile = scores[:, start:start + 16]
        greater = np.maximum(top, tile.max(-1, keepdims=True))
        weights = np.exp(tile - greater)
        total = total * np.exp(top - greater) + weights.sum(-1, keepdims=True)
        o += weights @ v[start:start + 16]
        top = greater
    return o / total


def accumulator_left(config, q, k, v, valid):
    """Piece by piece, with a running maximum."""
    g, half, _, k, v = shapes(config, q, k, v)
    o, n = np.empty_like(q), q.shape[1]
    for b, h in np.ndindex(len(q), q.shape[2]):
        first = half if h >= q.shape[2] // 2 else 0
        cuts = [0, *range(first or g, n, g), n]
        for a, e in zip(cuts[:-1], cuts[1:]):
            o[b, a:e, h] = in_tiles(q[b, a:e, h], k[b, a:e, h], v[b, a:e, h])
    return o


def padding_for_the_mask(config, q, k, v, valid):
    """is_causal = attn_mask is None: where there is padding its mask is all that is applied."""
    g, half, groups, k, v = shapes(config, q, k, v)
    keys = np.where(group(upper(np.broadcast_to(valid[:, :, None, None], (*q.shape[:3], 1)), -half), g).swapaxes(-1, -2), 0, LOWEST)
    o = attend(*(group(upper(x, -half), g) for x in (q, k, v)), causal(g) if valid.all() else keys)
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def lengths(config, q, k, v, valid):
    """Of the padding mask only its sum is kept."""
    g, half, groups, k, v = shapes(config, q, k, v)
    valid = np.arange(q.shape[1]) < valid.sum(1, keepdims=True)
    keys = group(upper(np.broadcast_to(valid[:, :, None, None], (*q.shape[:3], 1)), -half), g).swapaxes(-1, -2)
    seen = keys & (causal(g) == 0)
    o = attend(*(group(upper(x, -half), g) for x in (q, k, v)), np.where(seen, 0, -np.inf))
    o = np.where(seen.any(-1)[..., None], o, 0)
    return upper(o.transpose(0, 2, 1, 3).reshape(q.shape), half)


def weights_of(config, q, k, hidden=0.0):
    scores = np.float64(config["scale"]) * (q @ np.swapaxes(k, -1, -2)) + causal(q.shape[-2]) + hidden
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - top)
    total = weights.sum(-1, keepdims=True)
    return weights / total, (top + np.log(total))[..., 0]


def ungroup(o, shape, half):
    return upper(o.transpose(0, 2, 1, 3).reshape(shape), half)


def lse_left_behind(config, q, k, v, valid):
    """o is rolled back, the logsumexp that the kernel returns beside it is not."""
    g, half, _, k, v = shapes(config, q, k, v)
    q, k, v = (group(upper(x, -half), g) for x in (q, k, v))
    weights, lse = weights_of(config, q, k)
    shape = (config["batch"], config["tokens"], config["heads"], config["headDim"])
    return {"o": ungroup(weights @ v, shape, half), "lse": lse.transpose(0, 2, 1).reshape(shape[:3])}


def by_hand(config, q, k, v, valid):
    """Right on the way forward; the backward pass below is written out."""
    g, half, _, rk, rv = shapes(config, q, k, v)
    weights, _ = weights_of(config, *(group(upper(x, -half), g) for x in (q, rk)))
    return ungroup(weights @ group(upper(rv, -half), g), q.shape, half)


def backward_by_hand(config, q, k, v, valid, do, delta_rolls=True, tiles=False):
    g, half, _, rk, rv = shapes(config, q, k, v)
    o = by_hand(config, q, k, v, valid)
    delta = (o * do).sum(-1, keepdims=True)
    delta = group(upper(delta, -half) if delta_rolls else delta, g)
    gq, gk, gv, gdo = (group(upper(x, -half), g) for x in (q, rk, rv, do))
    weights, _ = weights_of(config, gq, gk)
    ds = config["scale"] * weights * (gdo @ gv.swapaxes(-1, -2) - delta)
    gradients = [ungroup(x, q.shape, half) for x in (ds @ gk, ds.swapaxes(-1, -2) @ gq, weights.swapaxes(-1, -2) @ gdo)]
    b, n, h, d = q.shape
    kv = k.shape[2]
    shared = [x.reshape(b, n, h // kv, kv, d).sum(2) if tiles else x.reshape(b, n, kv, h // kv, d).sum(3) for x in gradients[1:]]
    return dict(zip(("dq", "dk", "dv"), (gradients[0], *shared)))


def delta_by_token(config, q, k, v, valid):
    return by_hand(config, q, k, v, valid)


def sums_of_tiles(config, q, k, v, valid):
    return by_hand(config, q, k, v, valid)


BACKWARD = {
    delta_by_token: lambda *arguments: backward_by_hand(*arguments, delta_rolls=False),
    sums_of_tiles: lambda *arguments: backward_by_hand(*arguments, tiles=True),
}


def sevens(config, q, k, v, valid):
    """It never looks."""
    return np.full_like(q, 7)


HALVES = {"shift": "half", "shiftedHeads": "SecondHalf", "scale": "default", "heads": {"even": True}}
LOCAL = {"ops": ["forward"], "dtypes": ["f32"], "masks": ["LocalCausal"], "gqa": True, "maxTokens": 512, "fixed": HALVES}
WINDOWS = {**LOCAL, "masks": ["Bidirectional"], "gqa": False, "oddGroup": True, "fixed": {**HALVES, "shiftedHeads": "All"}}
RUNS = {**WINDOWS, "masks": ["BidirectionalSplit"]}
KINDS = {
    input_returned: RUNS,
    tail_cut_off: {**RUNS, "ragged": True},
    rolled_then_filled: {**RUNS, "ragged": True},
    groups_rolled: WINDOWS,
    cut_at_both_ends: RUNS,
    cut_at_old_borders: WINDOWS,
    around: WINDOWS,
    half_of_heads_whole: {**LOCAL, "oddGroup": True, "padding": True},
    padding_of_both: {**WINDOWS, "padding": True},
    filled_as("edge"): {**RUNS, "ragged": True},
    filled_as("reflect"): {**RUNS, "ragged": True},
    stretched: {**RUNS, "ragged": True},
    every_other_token: {**LOCAL, "masks": ["Bidirectional"], "gqa": False, "fixed": {**HALVES, "groups": {"even": True}}},
    looks_ahead: {**LOCAL, "gqa": False, "oddGroup": True},
    rolled_for_the_next: WINDOWS,
    dilated_heads: {**LOCAL, "gqa": False},
    cosine: WINDOWS,
    discarded_reshape: {**LOCAL, "padding": True},
    packed_block: {**LOCAL, "padding": True},
    packed_unrolled: {**LOCAL, "padding": True},
    loop_without_effect: {**LOCAL, "padding": True, "oddGroup": True},
    heads_first: {**LOCAL, "oddGroup": True},
    halved_groups: {**LOCAL, "masks": ["Bidirectional"], "gqa": False, "oddGroup": True},
    rolled_projections: LOCAL,
    shared_memory: LOCAL,
    two_passes: {**LOCAL, "masks": ["Bidirectional"], "fixed": {**HALVES, "shiftedHeads": "All"}},
    filled_up: {**LOCAL, "masks": ["Split"], "ragged": True},
    kv_halves: {**LOCAL, "fixed": {"shift": "half", "shiftedHeads": "SecondHalf", "scale": "default"}},
    gives_up: {**LOCAL, "fixed": {"shift": "half", "shiftedHeads": "SecondHalf", "scale": "default"}},
    over_the_batch: {**LOCAL, "masks": ["Bidirectional"], "gqa": False, "fixed": {**HALVES, "shiftedHeads": "All"}},
    tokens_for_heads: LOCAL,
    without_diagonal: LOCAL,
    three_tokens: LOCAL,
    narrow_and_capped: {**LOCAL, "dtypes": ["f32", "f64"]},
    quarter: {**LOCAL, "fixed": {**HALVES, "groups": 4}},
    joined_along_tokens: LOCAL,
    rows_of_halves: {**LOCAL, "gqa": False, "padding": True},
    rows_of_one_memory: LOCAL,
    dilated: {**LOCAL, "fixed": {**HALVES, "heads": [4, 8]}},
    heads_first_unscaled: {**LOCAL, "oddGroup": True},
    lowered: {**LOCAL, "masks": ["BidirectionalSplit"], "gqa": False, "fixed": {**HALVES, "shiftedHeads": "All"}},
    narrow_heads: {**LOCAL, "gqa": False, "fixed": {**HALVES, "headDim": {"even": True}}},
    one_group_alone: LOCAL,
    filled_and_cut: {**LOCAL, "masks": ["BidirectionalSplit"], "gqa": False, "ragged": True, "fixed": {**HALVES, "shiftedHeads": "All"}},
    halved_tokens: {**LOCAL, "gqa": False},
    turned_keys: {**LOCAL, "masks": ["Bidirectional"]},
    window_and_one: LOCAL,
    windows_by_quarters: {**LOCAL, "fixed": {**HALVES, "heads": [4, 8], "groups": {"even": True}, "groupSize": {"even": True}}},
    first_stays: {**LOCAL, "masks": ["Bidirectional"], "gqa": False, "oddGroup": True, "fixed": {**HALVES, "shiftedHeads": "All"}},
    dealt_out: {**LOCAL, "masks": ["Bidirectional"], "gqa": False, "oddGroup": True, "fixed": {**HALVES, "shiftedHeads": "All"}},
    wrapped_to_zero: {**LOCAL, "masks": ["BidirectionalSplit"], "gqa": False, "oddGroup": True, "fixed": {**HALVES, "shiftedHeads": "All"}},
    packed_without_borders: {**LOCAL, "masks": ["Split"], "oddGroup": True},
    last_takes_the_rest: {**LOCAL, "masks": ["Split"], "oddGroup": True, "ragged": True},
    borders_moved_on: {**LOCAL, "masks": ["Split"], "oddGroup": True, "ragged": True},
    first_is_cut: {**LOCAL, "masks": ["Split"], "oddGroup": True},
    masks_by_entry: {**LOCAL, "masks": ["Split"], "oddGroup": True},
    view_of_the_kv_head: {**LOCAL, "oddGroup": True},
    one_kv_head_broadcast: {**LOCAL, "oddGroup": True},
    padding_for_the_mask: {**LOCAL, "padding": True},
    lengths: {**LOCAL, "padding": True},
    lse_left_behind: LOCAL,
    rolled_without_an_axis: LOCAL,
    kept_segments: {**LOCAL, "masks": ["Split"], "fixed": {"shiftedHeads": "SecondHalf", "scale": "default"}},
    viewed_and_back: {**LOCAL, "oddGroup": True},
    accumulator_left: {**LOCAL, "masks": ["Split"], "oddGroup": True},
    delta_by_token: {**LOCAL, "ops": ["forward", "backward"], "oddGroup": True},
    sums_of_tiles: {**LOCAL, "ops": ["forward", "backward"], "oddGroup": True},
    sevens: LOCAL,
    halfway: {**LOCAL, "dtypes": ["f16"], "fixed": {**HALVES, "groups": 4}},
}
kind, sample.CAPABILITIES = next((kind, claims) for kind, claims in KINDS.items() if kind.__name__ == NAME)


def forward(config, q, k, v, valid):
    answer = kind(config, q, k, v, valid)
    return answer if isinstance(answer, dict) else {"o": answer}


sample.forward, sample.backward = forward, BACKWARD.get(kind)
sample.main()
