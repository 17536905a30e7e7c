# Does a grid of tokens give the windows of the definition, with the gradients of all of them?
"""Tolerances of 1e-5: far above the rounding of sums of some tens of products of numbers of size 1, far below any defect. The derived bounds are the suite's: s2attn check --port "python3 -m s2attn.port"."""
import numpy as np
import pytest
import torch

import s2attn
from conftest import MASKS, draw

AXES = [(6, 3, 1), (4, 2, 1)]
N = 24


def visible(mask, axes, shifts):
    """[N,N]: which token sees which, axis by axis."""
    places = np.indices([axis[0] for axis in axes]).reshape(len(axes), -1)
    group = run = True
    order = 0
    for (n, g, s), place in zip(axes, places):
        s = s if shifts else 0
        position = (place - s) % (-(-n // g) * g)
        group = group & (position[:, None] // g == position[None, :] // g)
        run = run & ((place >= s)[:, None] == (place >= s)[None, :])
        order = order * n + position
    raster = np.tri(len(places[0]), dtype=bool)
    return {"local_causal": group & (order[None, :] <= order[:, None]), "split": group & run & raster, "position_causal": group & raster, "bidirectional": group,
            "bidirectional_split": group & run}[mask]


def definition(q, k, v, axes, mask, valid=None):
    """o and lse [B,H,N] in double, from q, k, v as tensors that autograd follows."""
    heads = q.shape[2]
    k, v = (x.repeat_interleave(heads // x.shape[2], dim=2) for x in (k, v))
    scores = torch.einsum("bthd,buhd->bhtu", q, k) / q.shape[-1] ** 0.5
    seen = torch.from_numpy(np.stack([visible(mask, axes, head >= heads // 2) for head in range(heads)]))[None]
    if valid is not None:
        seen = seen & valid[:, None, None, :]
    scores = scores.masked_fill(~seen, -torch.inf)
    return torch.einsum("bhtu,buhd->bthd", torch.softmax(scores, -1), v), torch.logsumexp(scores, -1)


def tensors(tokens=N):
    return [torch.from_numpy(x) for x in draw(1, 2, tokens, 4, 2, 8)]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("axes", [AXES, [(24, 6, 2)], [(2, 2, 1), (3, 3, 1), (4, 2, 0)]], ids=str)
def test_a_grid_has_the_outputs_and_gradients_of_its_windows(mask, axes):
    exact = [x.double().requires_grad_() for x in tensors()[:3]]
    q, k, v = (x.requires_grad_() for x in tensors()[:3])
    do = tensors()[3]
    expected, expected_lse = definition(*exact, axes, mask)
    o, lse = s2attn.s2_attn_grid_func(q, k, v, axes, mask=mask, return_lse=True)
    assert torch.allclose(o.double(), expected, atol=1e-5) and torch.allclose(lse.double(), expected_lse, atol=1e-5)
    expected.backward(do.double())
    o.backward(do)
    for tensor, right in zip((q, k, v), exact):
        assert torch.allclose(tensor.grad.double(), right.grad, atol=1e-5)


def test_short_last_groups_padding_and_arrays():
    axes = [(5, 3, 1), (5, 2, 1)]
    q, k, v, do = draw(3, 2, 25, 4, 2, 8)
    valid = np.ones((2, 25), bool)
    valid[0, 3] = valid[1, 20:] = False
    tensor = [torch.from_numpy(x).requires_grad_() for x in (q, k, v)]
    exact = [torch.from_numpy(x).double() for x in (q, k, v)]
    right = definition(*exact, axes, "bidirectional_split", torch.from_numpy(valid))[0].nan_to_num(0)
    o, lse = s2attn.s2_attn_grid_func(q, k, v, axes, mask="bidirectional_split", key_padding_mask=valid, return_lse=True)
    assert np.allclose(o, right.numpy(), atol=1e-5)
    s2attn.s2_attn_grid_func(*tensor, axes, mask="bidirectional_split", key_padding_mask=torch.from_numpy(valid)).backward(torch.from_numpy(do))
    gradients = s2attn.s2_attn_grid_backward(do, q, k, v, o, lse, axes, mask="bidirectional_split", key_padding_mask=valid)
    assert all(np.array_equal(x.grad.numpy(), gradient) for x, gradient in zip(tensor, gradients))


def test_one_axis_is_a_text_and_a_shift_that_is_left_out_is_half():
    q, k, v, _ = tensors()
    assert torch.equal(s2attn.s2_attn_grid_func(q, k, v, [(N, 6)], mask="split"), s2attn.s2_attn_func(q, k, v, 6, mask="split"))
    half = s2attn.s2_attn_grid_func(q, k, v, [(6, 3), (4, 2)], mask="split")
    assert torch.equal(half, s2attn.s2_attn_grid_func(q, k, v, AXES, mask="split"))
    assert not torch.equal(half, s2attn.s2_attn_grid_func(q, k, v, [(4, 2), (6, 3)], mask="split"))


@pytest.mark.parametrize("axes, error, text", [
    (6, TypeError, "axes=6: must be one to three axes"), ([], ValueError, r"axes=\[\]"), ([(6, 3)] * 4, ValueError, "one to three axes"), ([(6,), (4, 2)], ValueError, "one to three axes"),
    ([(6, 3), (4, 2.5)], TypeError, r"axes\[1\]=2.5"), ([(6, 3), (4, 5)], ValueError, r"axes\[1\]=\(4, 5\)"), ([(6, 3, 3), (4, 2)], ValueError, r"axes\[0\]=\(6, 3, 3\)"),
    ([(6, 3), (5, 2)], ValueError, "q has 24 tokens: must be 30"), ([(6, 4), (4, 2)], ValueError, r"axes\[0\].group_size = 4: must divide"),
])
def test_wrong_axes_are_named(axes, error, text):
    q, k, v, _ = tensors()
    with pytest.raises(error, match=text):
        s2attn.s2_attn_grid_func(q, k, v, axes, mask="bidirectional")


def test_heads_with_shifts_of_their_own_have_no_grid():
    with pytest.raises(TypeError):
        s2attn.s2_attn_grid_func(*tensors()[:3], AXES, mask="split", shift=[0, 0, 1, 1])
