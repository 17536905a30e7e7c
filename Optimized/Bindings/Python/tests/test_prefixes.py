# Are the first tokens keys of every query, as sinks and seen whole, with the gradients of all of them?
"""Tolerances of 1e-5: far above the rounding of sums of some tens of products of numbers of size 1, far below any defect. The derived bounds are the suite's: s2attn check --port "python3 -m s2attn.port"."""
import numpy as np
import pytest
import torch

import s2attn
from conftest import MASKS, draw

N, G, S = 24, 6, 2


def visible(mask, shift, prefix, whole):
    """[N,N]: which query sees which key."""
    t = np.arange(N)
    position, run = (t - shift) % N, t >= shift
    group, not_after = position[:, None] // G == position[None, :] // G, t[None, :] <= t[:, None]
    split = group & (run[:, None] == run[None, :])
    first = t[None, :] < prefix
    if "bidirectional" not in mask and not whole:
        first = first & not_after
    return first | {"local_causal": group & (position[None, :] <= position[:, None]), "split": split & not_after, "position_causal": group & not_after, "bidirectional": group,
                    "bidirectional_split": split}[mask]


def definition(q, k, v, mask, prefix, whole):
    """o and lse [B,H,N] in double, from q, k, v as tensors that autograd follows."""
    heads = q.shape[2]
    k, v = (x.repeat_interleave(heads // x.shape[2], dim=2) for x in (k, v))
    scores = torch.einsum("bthd,buhd->bhtu", q, k) / q.shape[-1] ** 0.5
    seen = torch.from_numpy(np.stack([visible(mask, S if head >= heads // 2 else 0, prefix, whole) for head in range(heads)]))[None]
    scores = scores.masked_fill(~seen, -torch.inf)
    return torch.einsum("bhtu,buhd->bthd", torch.softmax(scores, -1), v), torch.logsumexp(scores, -1)


def tensors():
    return [torch.from_numpy(x) for x in draw(1, 2, N, 4, 2, 8)]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("prefix, whole", [(1, False), (9, False), (9, True), (N, True)])
def test_a_prefix_has_the_outputs_and_gradients_of_the_definition(mask, prefix, whole):
    exact = [x.double().requires_grad_() for x in tensors()[:3]]
    q, k, v = (x.requires_grad_() for x in tensors()[:3])
    do = tensors()[3]
    expected, expected_lse = definition(*exact, mask, prefix, whole)
    o, lse = s2attn.s2_attn_func(q, k, v, G, shift=S, mask=mask, return_lse=True, prefix=prefix, whole_prefix=whole)
    assert torch.allclose(o.double(), expected, atol=1e-5) and torch.allclose(lse.double(), expected_lse, atol=1e-5)
    expected.backward(do.double())
    o.backward(do)
    for tensor, right in zip((q, k, v), exact):
        assert torch.allclose(tensor.grad.double(), right.grad, atol=1e-5)
    arrays = [x.detach().numpy() for x in (do, q, k, v, o, lse)]
    gradients = s2attn.s2_attn_backward(*arrays, G, shift=S, mask=mask, prefix=prefix, whole_prefix=whole)
    assert all(np.array_equal(x.grad.numpy(), gradient) for x, gradient in zip((q, k, v), gradients))


def test_packed_sequences_have_prefixes_of_their_own():
    q, k, v, _ = (x[0] for x in tensors())
    packed = s2attn.s2_attn_varlen_func(q, k, v, [0, 10, 13, N], G, shift=S, mask="split", prefix=4)
    for start, end in ((0, 10), (10, 13), (13, N)):
        part = [x[None, start:end] for x in (q, k, v)]
        alone = s2attn.s2_attn_varlen_func(*(x[0] for x in part), [0, end - start], G, shift=S, mask="split", prefix=4)
        assert torch.equal(packed[start:end], alone)
    assert not torch.equal(packed, s2attn.s2_attn_varlen_func(q, k, v, [0, 10, 13, N], G, shift=S, mask="split"))


@pytest.mark.parametrize("prefix, whole", [(1, False), (9, False), (9, True)])
def test_parts_and_caches_keep_the_prefix(prefix, whole):
    q, k, v, _ = tensors()
    o = s2attn.s2_attn_func(q, k, v, G, shift=S, mask="split", prefix=prefix, whole_prefix=whole)
    part = s2attn.s2_attn_slice_func(q[:, 15:20], k[:, :20], v[:, :20], G, shift=S, mask="split", first_query=15, prefix=prefix, whole_prefix=whole)
    assert torch.equal(part, o[:, 15:20])
    with pytest.raises(ValueError, match="first_key = 1: must be from 0 to 0"):
        s2attn.s2_attn_slice_func(q[:, 15:20], k[:, 1:20], v[:, 1:20], G, shift=S, mask="split", first_query=15, first_key=1, prefix=prefix, whole_prefix=whole)
    cache = s2attn.KeyValueCache(G, 4, 2, 8, shift=S, max_chunk=10, prefix=prefix, whole_prefix=whole)
    assert torch.allclose(cache(q[0, :10], k[0, :10], v[0, :10]), o[0, :10], atol=1e-5)
    for t in range(10, N):
        assert torch.allclose(cache(q[0, t:t + 1], k[0, t:t + 1], v[0, t:t + 1]), o[0, t:t + 1], atol=1e-5)


@pytest.mark.parametrize("prefix, whole, error, text", [
    (-1, False, ValueError, "prefix=-1: must be at least 0"), (N + 1, False, ValueError, f"prefix={N + 1}: must be at most N"), (1.5, False, TypeError, "prefix=1.5"), (2, 1, TypeError, "whole_prefix=1"),
])
def test_wrong_prefixes_are_named(prefix, whole, error, text):
    with pytest.raises(error, match=text):
        s2attn.s2_attn_func(*tensors()[:3], G, mask="split", prefix=prefix, whole_prefix=whole)
