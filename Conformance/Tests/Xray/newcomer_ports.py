#!/usr/bin/env python3
"""S2-Attn as a newcomer writes it in NumPy, one sequence and head after the other, with one mistake that no entry of the suite's catalogue describes.

    newcomer_ports.py SAMPLE NAME     SAMPLE: the project's numpy_port.py, which supplies the protocol; NAME: right, or a mistake below
"""
import importlib.util
import sys

import numpy as np

SAMPLE, NAME = sys.argv[1], sys.argv[2]
spec = importlib.util.spec_from_file_location("numpy_port", SAMPLE)
sample = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sample)


def head(q, k, v, group, shift, scale):
    """q, k, v [N, D] of one sequence and head; the answer in the order of the text."""
    n, dim = q.shape
    q, k, v = (np.roll(x, -shift, axis=0).reshape(n // group, group, -1) for x in (q, k, v))
    scores = scale * q @ k.transpose(0, 2, 1)
    scores[:, np.triu(np.ones((group, group), bool), 1)] = -np.inf
    top = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - top)
    total = weights.sum(axis=-1, keepdims=True)
    return (weights / total @ v).reshape(n, dim), (top + np.log(total)).reshape(n)


def forward(config, q, k, v, valid):
    o, lse = np.empty(q.shape), np.empty(q.shape[:3])
    halves = sample.shifted_heads(config["shiftedHeads"], q.shape[2])
    for b in range(q.shape[0]):
        for h, shifts in enumerate(halves):
            kv = h // (q.shape[2] // k.shape[2])
            shift, scale = config["shift"] if shifts else 0, config["scale"]
            if shifts and NAME == "scale-twice-in-shifted-heads":
                scale = scale * scale
            if h == 0 and NAME == "scale-twice-in-head-0":
                scale = scale * scale
            rows, sums = head(q[b, :, h], k[b, :, kv], v[b, :, kv], config["groupSize"], shift, scale)
            back = 0 if NAME == f"unshift-missing-in-entry-{b}" else shift
            o[b, :, h], lse[b, :, h] = np.roll(rows, back, axis=0), np.roll(sums, back)
    return {"o": o, "lse": lse}


sample.CAPABILITIES = {"ops": ["forward"], "dtypes": ["f32", "f64"], "masks": ["LocalCausal"], "gqa": True, "oddGroup": True}
sample.forward = forward
sample.main()
