#!/usr/bin/env python3
"""S2-Attn with the mistakes that a language invites, said in NumPy: signs of remainders, counting from 1, ends of ranges. docs/field-notes.md tells of the trial in which they were made.

    tongue_kinds.py SAMPLE NAME        SAMPLE: the project's numpy_port.py, which supplies the protocol

KINDS, at the end, say what each one declares.
"""
import importlib.util
import sys

import numpy as np

SAMPLE, NAME = sys.argv[1], sys.argv[2]
spec = importlib.util.spec_from_file_location("numpy_port", SAMPLE)
sample = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sample)


def answer(config, q, k, v, sees, kv_head=None, scales=None, top_from=-np.inf):
    """Row after row: sees(shift) is the matrix of a head, rows of which nothing is seen stay 0."""
    h, shared, o = q.shape[2], q.shape[2] // k.shape[2], np.zeros(q.shape)
    shifted = sample.shifted_heads(config["shiftedHeads"], h)
    for b in range(q.shape[0]):
        for head in range(h):
            kv, scale = kv_head(head) if kv_head else head // shared, scales(head) if scales else config["scale"]
            mask = sees(config["shift"] if shifted[head] else 0)
            scores = np.where(mask, scale * (q[b, :, head] @ k[b, :, kv].T), -np.inf)
            top = np.maximum(scores.max(-1, keepdims=True), top_from)
            with np.errstate(all="ignore"):
                weights = np.exp((scores - np.where(np.isfinite(top), top, 0)).astype("f4")).astype("f8")
                weights = np.where(mask.any(-1, keepdims=True), weights / weights.sum(-1, keepdims=True), 0)
            o[b, :, head] = weights @ v[b, :, kv]
    return o


def by_positions(config, position, under="LocalCausal"):
    """Tokens of one quotient of positions and G, in the order of positions; the quotient is truncated, as most languages do."""
    def sees(shift):
        t = np.arange(config["tokens"])
        p = np.array([position(int(token), shift, config["tokens"]) for token in t])
        group = np.trunc(p / config["groupSize"])
        same = group[:, None] == group[None, :]
        return same & (p[None, :] <= p[:, None]) if under == "LocalCausal" else same & (t[None, :] <= t[:, None])
    return sees


def windows(config, starts):
    """Causal windows [start, end) that are written one after the other, the later over the earlier."""
    def sees(shift):
        n = config["tokens"]
        mask = np.zeros((n, n), bool)
        for first, end in starts(shift):
            mask[first:end] = False
            mask[first:end, first:end] = np.tri(end - first, dtype=bool)
        return mask
    return sees


def remainder_keeps_its_sign(config, q, k, v, valid):
    """(t - shift) % n, as C has it."""
    return answer(config, q, k, v, by_positions(config, lambda t, s, n: int(np.fmod(t - s, n))))


def size_t(config, q, k, v, valid):
    """(t - shift) % n of unsigned numbers of 64 bits."""
    return answer(config, q, k, v, by_positions(config, lambda t, s, n: (t - s) % 2 ** 64 % n))


def uint(config, q, k, v, valid):
    """The same of 32 bits."""
    return answer(config, q, k, v, by_positions(config, lambda t, s, n: (t - s) % 2 ** 32 % n))


def positions_from_one(config, q, k, v, valid):
    """floor(p / G), where p counts from 1."""
    return answer(config, q, k, v, by_positions(config, lambda t, s, n: (t - s) % n + 1))


def tokens_from_one(config, q, k, v, valid):
    """mod(t - shift, n), where t counts from 1."""
    return answer(config, q, k, v, by_positions(config, lambda t, s, n: (t + 1 - s) % n))


def run_from_one(config, q, k, v, valid, late=-1):
    """t >= shift, where t counts from 1."""
    def sees(shift):
        t = np.arange(config["tokens"])
        run = t >= (shift + late if shift else 0)
        return by_positions(config, lambda t, s, n: (t - s) % n, "")(shift) & (run[:, None] == run[None, :])
    return answer(config, q, k, v, sees)


def run_too_long(config, q, k, v, valid):
    """t > shift, where t counts from 0."""
    return run_from_one(config, q, k, v, valid, 1)


def past_of_a_group(config, q, k, v, valid):
    """A key j of a group is hidden where j > n_past + i, and n_past is where the group begins."""
    def sees(shift):
        p = (np.arange(config["tokens"]) - shift) % config["tokens"]
        group, place = p // config["groupSize"], p % config["groupSize"]
        return (group[:, None] == group[None, :]) & (place[None, :] <= (group * config["groupSize"] + place)[:, None])
    return answer(config, q, k, v, sees)


def sorted_as_texts(config, q, k, v, valid):
    """Positions are sorted as JavaScript's sort() does without a comparison."""
    def sees(shift):
        n = config["tokens"]
        place = {int(text): i for i, text in enumerate(sorted(map(str, range(n))))}
        return by_positions(config, lambda t, s, n: place[(t - s) % n])(shift)
    return answer(config, q, k, v, sees)


def chunks_overlap(config, q, k, v, valid):
    """Chunks of G, which in the shifted heads begin S tokens earlier and so overlap."""
    def sees(shift):
        t = np.arange(config["tokens"])
        return (t[None, :] <= t[:, None]) & (t[None, :] >= (t // config["groupSize"] * config["groupSize"] - shift)[:, None])
    return answer(config, q, k, v, sees)


def clamped_slice(config, q, k, v, valid):
    """Windows are taken and written by slices whose start is clamped so that they fit."""
    n, g = config["tokens"], config["groupSize"]
    return answer(config, q, k, v, windows(config, lambda s: [(0, s)] * (s > 0) + [(min(a, n - g), min(a, n - g) + g) for a in range(s, n, g)]))


def stepped_range(config, q, k, v, valid):
    """Borders of range(S, N + 1, G), which holds N only where it is met."""
    n, g = config["tokens"], config["groupSize"]
    return answer(config, q, k, v, windows(config, lambda s: [(0, s)] * (s > 0) + [(a, a + g) for a in range(s, n - g + 1, g)]))


def short_loop(config, q, k, v, valid):
    """Blocks of 32 queries read tiles of 16 keys up to the first query of the block and one tile more."""
    def sees(shift):
        p = (np.arange(config["tokens"]) - shift) % config["tokens"]
        place = p % config["groupSize"]
        return by_positions(config, lambda t, s, n: (t - s) % n)(shift) & (place[None, :] < (place // 32 * 32 + 16)[:, None])
    return answer(config, q, k, v, sees)


def plain(config):
    return by_positions(config, lambda t, s, n: (t - s) % n)


def scaled_in_place(config, q, k, v, valid):
    """k is scaled where it lies, once for each query head that reads it."""
    shared = q.shape[2] // k.shape[2]
    return answer(config, q, k, v, plain(config), scales=lambda head: config["scale"] ** (1 + head % shared))


def heads_from_one(config, q, k, v, valid):
    """h * K / H + 1, where h counts from 1."""
    h, kv = q.shape[2], k.shape[2]
    return answer(config, q, k, v, plain(config), kv_head=lambda head: min((head + 1) * kv // h + 1, kv) - 1)


def over_the_next_head(config, q, k, v, valid):
    """Heads lie behind each other, and a head is rolled by appending its first S tokens in place."""
    shifted, s = sample.shifted_heads(config["shiftedHeads"], q.shape[2]), config["shift"]
    memory = [np.concatenate([x.transpose(0, 2, 1, 3).reshape(-1, x.shape[3]), np.zeros((s, x.shape[3]))]) for x in (q, k, v)]
    n, o, tri = config["tokens"], np.zeros(q.shape), np.tri(config["groupSize"], dtype=bool)
    for b in range(q.shape[0]):
        for head in range(q.shape[2]):
            kv, by = head * k.shape[2] // q.shape[2], s if shifted[head] else 0
            rows = []
            for x, at, heads in zip(memory, (head, kv, kv), (q.shape[2], k.shape[2], k.shape[2])):
                first = (b * heads + at) * n
                if first + n + s < len(x):
                    x[first + n:first + n + by] = x[first:first + by]
                    rows.append(x[first + by:first + n + by])
                else:
                    rows.append(np.roll(x[first:first + n], -by, 0))        # no room is left: append copies
            for first in range(0, n, config["groupSize"]):
                part = slice(first, first + config["groupSize"])
                scores = np.where(tri, config["scale"] * (rows[0][part] @ rows[1][part].T), -np.inf)
                weights = np.exp(scores - scores.max(-1, keepdims=True))
                o[b, (np.arange(part.start, part.stop) + by) % n, head] = weights / weights.sum(-1, keepdims=True) @ rows[2][part]
    return o


def windows_run_on(config, q, k, v, valid):
    """Windows into [B,H,N,D] that begin S tokens late in the second half of the heads, in memory that goes on."""
    b, n, h, d = q.shape
    g, s = config["groupSize"], config["groupSize"] // 2
    memory = [np.concatenate([x.transpose(0, 2, 1, 3).ravel(), np.zeros(s * d)]) for x in (q, k, v)]
    o, tri = np.zeros(b * h * n * d + s * d), np.tri(g, dtype=bool)
    for row in range(b * h):
        first = (row * n + (s if row % h >= h // 2 else 0)) * d
        rows = [x[first:first + n * d].reshape(n // g, g, d) for x in memory]
        scores = np.where(tri, config["scale"] * (rows[0] @ rows[1].transpose(0, 2, 1)), -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        o[first:first + n * d] = (weights / weights.sum(-1, keepdims=True) @ rows[2]).ravel()
    return o[:b * h * n * d].reshape(b, h, n, d).transpose(0, 2, 1, 3)


def rolled_where_longer_than_one(config, q, k, v, valid):
    """Octave's circshift without a dimension rolls the first axis that is longer than 1."""
    axis, tri, o, g = (0 if q.shape[0] > 1 else 1), np.tri(config["groupSize"], dtype=bool), np.zeros(q.shape), config["groupSize"]
    shifted = sample.shifted_heads(config["shiftedHeads"], q.shape[2])
    for head in range(q.shape[2]):
        kv, by = head * k.shape[2] // q.shape[2], config["shift"] if shifted[head] else 0
        rows = [np.roll(x[:, :, at], -by, axis).reshape(-1, g, q.shape[3]) for x, at in ((q, head), (k, kv), (v, kv))]
        scores = np.where(tri, config["scale"] * (rows[0] @ rows[1].transpose(0, 2, 1)), -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        o[:, :, head] = np.roll((weights / weights.sum(-1, keepdims=True) @ rows[2]).reshape(q.shape[0], q.shape[1], -1), by, axis)
    return o


def whole_groups_alone(config, q, k, v, valid):
    """N // G groups of the padded ring are computed."""
    n, g = config["tokens"], config["groupSize"]
    ring = -(-n // g) * g
    o = answer(config, q, k, v, windows(config, lambda s: [(0, s)] * (s > 0) + [(a, min(a + g, n)) for a in range(s, n, g)]))
    for head, by in enumerate(sample.shifts_of(config)):
        o[:, (np.arange(n) - by) % ring >= n // g * g, head] = 0
    return o


def halves_for_floats(config, q, k, v, valid):
    """Right but for a kernel that takes 16 bits alone."""
    return answer(config, *(x.astype("f2").astype("f8") for x in (q, k, v)), plain(config))


def least_positive(config, q, k, v, valid):
    """Right but for the greatest score, which is looked for from the least positive number upwards."""
    return answer(config, q, k, v, plain(config), top_from=float(np.finfo("f4").tiny))


PAGES = {}


def whole_pages(config, q, k, v, valid):
    """A cache of pages of 4 tokens that is kept from call to call, filled token by token and read to the end of the last page."""
    d = q.shape[3]
    cache = PAGES.setdefault(d, np.zeros((2, 4096, d)))
    o, g = np.zeros(q.shape), config["groupSize"]
    shifted = sample.shifted_heads(config["shiftedHeads"], q.shape[2])
    for b in range(q.shape[0]):
        for head in range(q.shape[2]):
            kv, s = head * k.shape[2] // q.shape[2], config["shift"] if shifted[head] else 0
            filled = 0
            for t in range(config["tokens"]):
                filled = 0 if t == s or t > s and (t - s) % g == 0 else filled
                cache[0, filled], cache[1, filled] = k[b, t, kv], v[b, t, kv]
                filled += 1
                end = -(-filled // 4) * 4
                scores = config["scale"] * (cache[0, :end] @ q[b, t, head])
                weights = np.exp(scores - scores.max())
                o[b, t, head] = weights / weights.sum() @ cache[1, :end]
    return o


def backward(config, q, k, v, do, over_queries=False, kv_do=False):
    """Row after row on dense masks; dv and the mean of a row as their author has them."""
    shared, sees = q.shape[2] // k.shape[2], plain(config)
    shifted = sample.shifted_heads(config["shiftedHeads"], q.shape[2])
    dq, dk, dv = np.zeros(q.shape), np.zeros(k.shape), np.zeros(v.shape)
    for b in range(q.shape[0]):
        for h in range(q.shape[2]):
            kv = h // shared
            scores = np.where(sees(config["shift"] if shifted[h] else 0), config["scale"] * (q[b, :, h] @ k[b, :, kv].T), -np.inf)
            p = np.exp(scores - scores.max(-1, keepdims=True))
            p /= p.sum(-1, keepdims=True)
            dp = do[b, :, h] @ v[b, :, kv].T
            mean = (p * dp).sum(0 if over_queries else -1, keepdims=True)
            ds = config["scale"] * p * (dp - mean)
            dq[b, :, h] = ds @ k[b, :, kv]
            dk[b, :, kv] += ds.T @ q[b, :, h]
            dv[b, :, kv] += p.T @ do[b, :, kv if kv_do else h]
    return {"dq": dq, "dk": dk, "dv": dv}


def sum_of_columns(config, q, k, v, valid):
    """The backward pass sums weight times dweight along the queries."""
    return answer(config, q, k, v, plain(config))


def output_gradient_of_the_kv_head(config, q, k, v, valid):
    """dv takes do at the index of the kv head."""
    return answer(config, q, k, v, plain(config))


BACKWARD = {
    sum_of_columns: lambda config, q, k, v, valid, do: backward(config, q, k, v, do, over_queries=True),
    output_gradient_of_the_kv_head: lambda config, q, k, v, valid, do: backward(config, q, k, v, do, kv_do=True),
}
LOCAL = {"ops": ["forward"], "dtypes": ["f32"], "masks": ["LocalCausal"], "gqa": True, "padding": False, "oddGroup": True, "ragged": False, "maxTokens": 512}
SPLIT = {**LOCAL, "masks": ["Split"]}
KINDS = {
    remainder_keeps_its_sign: LOCAL,
    size_t: LOCAL,
    uint: LOCAL,
    positions_from_one: LOCAL,
    tokens_from_one: LOCAL,
    run_from_one: SPLIT,
    run_too_long: SPLIT,
    past_of_a_group: LOCAL,
    sorted_as_texts: LOCAL,
    chunks_overlap: SPLIT,
    clamped_slice: SPLIT,
    stepped_range: {**SPLIT, "ragged": True},
    short_loop: LOCAL,
    scaled_in_place: LOCAL,
    heads_from_one: LOCAL,
    over_the_next_head: LOCAL,
    windows_run_on: {**LOCAL, "gqa": False, "fixed": {"shift": "half", "shiftedHeads": "SecondHalf", "scale": "default", "heads": {"even": True}}},
    rolled_where_longer_than_one: LOCAL,
    whole_groups_alone: {**SPLIT, "ragged": True},
    halves_for_floats: LOCAL,
    least_positive: LOCAL,
    whole_pages: SPLIT,
    sum_of_columns: {**LOCAL, "ops": ["forward", "backward"]},
    output_gradient_of_the_kv_head: {**LOCAL, "ops": ["forward", "backward"]},
}
kind, sample.CAPABILITIES = next((kind, claims) for kind, claims in KINDS.items() if kind.__name__ == NAME)
sample.forward = lambda config, q, k, v, valid: {"o": kind(config, q, k, v, valid)}
sample.backward = BACKWARD.get(kind)
sample.main()
