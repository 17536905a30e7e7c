# What do the tests share? The definition with its error bound, from golden/check.py, and ways to draw and judge tensors.
import os
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(os.environ["S2ATTN_ROOT"]) if "S2ATTN_ROOT" in os.environ else Path(__file__).resolve().parents[4]
sys.path.insert(0, str(ROOT / "golden"))
import check  # noqa: E402

MASKS = {"local_causal": "LocalCausal", "split": "Split", "position_causal": "PositionCausal", "bidirectional": "Bidirectional", "bidirectional_split": "BidirectionalSplit"}
PROTOCOL = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
HEADS = {"second_half": "SecondHalf", "none": "None", "all": "All"}


def draw(seed, batch, tokens, heads, kv_heads, dim):
    """q, k, v, do as float32 arrays whose numbers are bf16 numbers, so that every type holds them exactly."""
    generator = np.random.default_rng(seed)
    sizes = [(batch, tokens, heads, dim), (batch, tokens, kv_heads, dim), (batch, tokens, kv_heads, dim), (batch, tokens, heads, dim)]
    return [np.round(generator.standard_normal(size) * 32).astype(np.float32) / 32 for size in sizes]


def definition(q, k, v, do, group_size, mask, shift=None, shifted_heads="second_half", softmax_scale=None, valid=None, dtype="float32", axes=None):
    """name -> (exact, bound) of o, lse [B,N,H], dq, dk, dv; over (tokens, group size, shift) of each axis where there are axes."""
    batch, tokens, heads, dim = q.shape
    config = {"groupSize": group_size, "shift": group_size // 2 if shift is None else shift, "mask": MASKS[mask], "batch": batch, "tokens": tokens, "heads": heads,
              "shiftedHeads": HEADS[shifted_heads] if isinstance(shifted_heads, str) else list(shifted_heads), "kvHeads": k.shape[2], "headDim": dim,
              "scale": dim ** -0.5 if softmax_scale is None else softmax_scale, "dtype": PROTOCOL[dtype]}
    if axes is not None:
        config["axes"] = [{"tokens": n, "groupSize": g, "shift": s} for n, g, s in axes]
    valid = np.ones((batch, tokens), bool) if valid is None else valid != 0
    return check.evaluate(config, *(np.asarray(x, np.float64) for x in (q, k, v, do)), valid)


def assert_within(expected, **answers):
    """Each answer (an array or a tensor) against the definition; lse comes as [B,H,N]."""
    for name, answer in answers.items():
        exact, bound = expected[name]
        answer = np.asarray(answer.detach().double() if hasattr(answer, "detach") else answer, np.float64)
        answer = answer.swapaxes(1, 2) if name == "lse" else answer
        assert answer.shape == exact.shape, name
        same = answer == exact
        with np.errstate(invalid="ignore"):
            wrong = ~(same | (np.abs(answer - exact) <= bound))
        assert not wrong.any(), f"{name}{np.argwhere(wrong)[0]}: {answer[wrong][0]} instead of {exact[wrong][0]} +- {bound[wrong][0]}, {wrong.sum()} of {wrong.size} elements"


@pytest.fixture(autouse=True)
def threads_as_before():
    import s2attn
    yield
    s2attn.set_threads(None)
    s2attn.set_plan_cache(16)
