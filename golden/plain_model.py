# What should each case contain, computed without any of LongLoRA's code?
"""The definition of S2-Attn and of LongLoRA's deviations, row by row, in numpy float64. README.md has the same formulas in words."""

from dataclasses import dataclass
from typing import Callable

import numpy as np

ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Model:
    """How o[b,t,h] comes about. t and the results are arrays over query rows; keys are the last axis.

    query_row(h, t)   the token whose query makes row t of head h (t itself, unless the un-shift is wrong)
    sees(b, h, t)     bool [rows, N]: the keys with a weight that is not 0
    uniform(b, h, t)  bool [rows]: all weights of the row are equal, whatever the scores
    flows(b, h, t)    bool [rows, N]: the score's gradient reaches q and k
    place(rows)       [N, H, 2] -> the same: which row (token, head) of what the above gives becomes row (t, h) of o
    """

    query_row: Callable
    sees: Callable
    uniform: Callable
    flows: Callable
    place: Callable = lambda rows: rows


def is_shifted(config, head):
    return config["shiftedHeads"] == "SecondHalf" and head >= config["heads"] // 2


def definition(config, valid):
    """The mask policies of the definition, with `valid` as one more conjunct on keys."""
    n, g, mask = config["tokens"], config["groupSize"], config["mask"]

    def sees(b, h, t):
        s = config["shift"] if is_shifted(config, h) else 0
        ring = -(-n // g) * g
        t, u = t[:, None], np.arange(n)[None, :]
        pt, pu = (t - s) % ring, (u - s) % ring
        same_group = pt // g == pu // g
        order = {"LocalCausal": pu <= pt, "Split": ((t >= s) == (u >= s)) & (u <= t)}[mask]
        return same_group & order & valid[b][None, :]

    return Model(lambda h, t: t, sees, lambda b, h, t: np.zeros(len(t), bool), sees)


def longlora_eager(config, valid, empty_rows_reach_future):
    """forward_noflashattn and the non-flash GPT-NeoX path: floored shifts, one tiled mask block, lowest(dtype) as the mask value."""
    n, g, batch = config["tokens"], config["groupSize"], config["batch"]

    def shifts(h):
        return ((g + 1) // 2, g // 2) if is_shifted(config, h) else (0, 0)

    def query_row(h, t):
        forward, back = shifts(h)
        return (t - back + forward) % n

    def parts(b, h, t):
        forward, _ = shifts(h)
        at = (query_row(h, t)[:, None] - forward) % n
        key = (np.arange(n)[None, :] - forward) % n
        mask_batch = (b * (n // g) + at // g) % batch
        past = key % g <= at % g
        real = valid[mask_batch, key % g]
        return at // g == key // g, past, real

    def uniform(b, h, t):
        same, past, real = parts(b, h, t)
        return ~(same & past & real).any(axis=1)

    def sees(b, h, t):
        same, past, real = parts(b, h, t)
        return same & np.where(uniform(b, h, t)[:, None], past | real, past & real)

    def flows(b, h, t):
        return sees(b, h, t) if empty_rows_reach_future else sees(b, h, t) & parts(b, h, t)[1]

    return Model(query_row, sees, uniform, flows)


def longlora_flash(config, valid):
    """The flash paths with padding: the mask of another row decides which tokens are packed, and groups are counted in packed tokens."""
    g, batch = config["groupSize"], config["batch"]

    def sees(b, h, t):
        half = int(is_shifted(config, h))
        kept = valid[(2 * b + half) % batch]
        packed = np.cumsum(kept) - kept
        segment = (packed + (g - config["shift"] if half else 0)) // g
        return (kept[t][:, None] & kept[None, :] & (segment[t][:, None] == segment[None, :])
                & (packed[None, :] <= packed[t][:, None]))

    return Model(lambda h, t: t, sees, lambda b, h, t: np.zeros(len(t), bool), sees)


def longlora_neox_flash(config, valid):
    """The flash GPT-NeoX path: floored shifts, no padding, and o of each group [G, H, D] read as [H, G, D] before it is rolled back."""
    n, g, heads = config["tokens"], config["groupSize"], config["heads"]
    eager = longlora_eager(config, np.ones_like(valid), empty_rows_reach_future=False)

    def place(rows):
        # rows[t, h] holds the eager row of (t, h), already rolled back by g // 2: undo that, read each group's memory in the other order, and roll back again.
        back = lambda x, by: np.concatenate([x[:, : heads // 2], np.roll(x[:, heads // 2:], by, axis=0)], axis=1)
        memory = back(rows, -(g // 2)).reshape(n // g, g, heads, 2).transpose(0, 2, 1, 3)
        return back(memory.reshape(n, heads, 2), g // 2)

    return Model(eager.query_row, eager.sees, eager.uniform, eager.flows, place)


def _take(rows, tensor):
    return tensor[:, rows[..., 0], rows[..., 1]]


def _give(rows, tensor):
    result = np.zeros_like(tensor)
    result[:, rows[..., 0], rows[..., 1]] = tensor
    return result


def attention(config, model, q, k, v, do):
    """o, dq, dk, dv in float64. q, o, do, dq: [B,N,H,D]; k, v, dk, dv: [B,N,K,D]. A row that sees no key is 0."""
    batch, n, heads, scale = config["batch"], config["tokens"], config["heads"], config["scale"]
    o, dq, dk, dv = np.zeros_like(q), np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    rows = model.place(np.stack(np.meshgrid(np.arange(n), np.arange(heads), indexing="ij"), axis=-1))
    do = _give(rows, do)
    for b in range(batch):
        for h in range(heads):
            kv = h // (heads // config["kvHeads"])
            keys, values = k[b, :, kv], v[b, :, kv]
            for first in range(0, n, ROWS_AT_ONCE):
                t = np.arange(first, min(first + ROWS_AT_ONCE, n))
                row = model.query_row(h, t)
                sees = model.sees(b, h, t)
                scores = scale * (q[b, row, h] @ keys.T)
                scores = np.where(model.uniform(b, h, t)[:, None], 0.0, scores)
                top = np.max(scores, axis=1, where=sees, initial=-np.inf, keepdims=True)
                exps = np.where(sees, np.exp(np.where(sees, scores - np.where(sees.any(1)[:, None], top, 0.0), 0.0)), 0.0)
                p = exps / np.maximum(exps.sum(axis=1, keepdims=True), np.finfo(float).tiny)
                o[b, t, h] = p @ values
                dp = do[b, t, h] @ values.T
                ds = p * (dp - (p * dp).sum(axis=1, keepdims=True))
                ds = scale * np.where(model.flows(b, h, t), ds, 0.0)
                dq[b, row, h] = ds @ keys
                dk[b, :, kv] += ds.T @ q[b, row, h]
                dv[b, :, kv] += p.T @ do[b, t, h]
    return {"o": _take(rows, o), "dq": dq, "dk": dk, "dv": dv}


# ---- a whole layer ----------------------------------------------------------------------------------------------------


def _rotate_half(x):
    half = x.shape[-1] // 2
    return np.concatenate([-x[..., half:], x[..., :half]], axis=-1)


def _unrotate_half(x):
    half = x.shape[-1] // 2
    return np.concatenate([x[..., half:], -x[..., :half]], axis=-1)


def _rotary(x, cos, sin):
    """x [B,N,H,D]; the first cos.shape[-1] coordinates turn, the rest pass."""
    r = cos.shape[-1]
    turned = x[..., :r] * cos[:, None] + _rotate_half(x[..., :r]) * sin[:, None]
    return np.concatenate([turned, x[..., r:]], axis=-1)


def _rotary_backward(dx, cos, sin):
    r = cos.shape[-1]
    turned = dx[..., :r] * cos[:, None] + _unrotate_half(dx[..., :r] * sin[:, None])
    return np.concatenate([turned, dx[..., r:]], axis=-1)


def layer(config, model, tensors):
    """y, dx and the gradients of the weights; also q, k (rotated), v, o and their gradients. Weights are [out, in]."""
    batch, n, dim = config["batch"], config["tokens"], config["headDim"]
    x, dy, cos, sin = (tensors[name] for name in ("x", "dy", "cos", "sin"))
    flat = lambda a: a.reshape(batch * n, -1)
    project = lambda name: (x @ tensors["w" + name].T + tensors.get("b" + name, 0.0)).reshape(batch, n, -1, dim)
    q, k, v = _rotary(project("q"), cos, sin), _rotary(project("k"), cos, sin), project("v")
    do = (dy @ tensors["wo"]).reshape(batch, n, -1, dim)
    core = attention(config, model, q, k, v, do)
    result = {"q": q, "k": k, "v": v, "do": do, **core}
    result["y"] = core["o"].reshape(batch, n, -1) @ tensors["wo"].T + tensors.get("bo", 0.0)
    result["dwo"] = flat(dy).T @ flat(core["o"])
    result["dbo"] = flat(dy).sum(axis=0)
    result["dx"] = np.zeros_like(x)
    for name, grad in (("q", _rotary_backward(core["dq"], cos, sin)), ("k", _rotary_backward(core["dk"], cos, sin)), ("v", core["dv"])):
        result["dx"] += (flat(grad) @ tensors["w" + name]).reshape(x.shape)
        result["dw" + name] = flat(grad).T @ flat(x)
        result["db" + name] = flat(grad).sum(axis=0)
    return result
