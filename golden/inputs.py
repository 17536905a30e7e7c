# Which numbers go in?
import math

import numpy as np
import torch

import standins


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
