# Does a grid of tokens give the windows of the definition, with the gradients of all of them, within the derived error bound?
import numpy as np
import pytest
import torch

import s2attn
from conftest import MASKS, assert_within, definition, draw

AXES = [(6, 3, 1), (4, 2, 1)]
N = 24


def tensors(tokens=N):
    return [torch.from_numpy(x) for x in draw(1, 2, tokens, 4, 2, 8)]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("axes", [AXES, [(24, 6, 2)], [(2, 2, 1), (3, 3, 1), (4, 2, 0)]], ids=str)
def test_a_grid_has_the_outputs_and_gradients_of_its_windows(mask, axes):
    q, k, v = (x.requires_grad_() for x in tensors()[:3])
    do = tensors()[3]
    o, lse = s2attn.s2_attn_grid_func(q, k, v, axes, mask=mask, return_lse=True)
    o.backward(do)
    expected = definition(*draw(1, 2, N, 4, 2, 8), group_size=N, shift=0, mask=mask, axes=axes)
    assert_within(expected, o=o, lse=lse, dq=q.grad, dk=k.grad, dv=v.grad)


def test_short_last_groups_padding_and_arrays():
    axes = [(5, 3, 1), (5, 2, 1)]
    q, k, v, do = draw(3, 2, 25, 4, 2, 8)
    valid = np.ones((2, 25), bool)
    valid[0, 3] = valid[1, 20:] = False
    tensor = [torch.from_numpy(x).requires_grad_() for x in (q, k, v)]
    expected = definition(q, k, v, do, group_size=25, shift=0, mask="bidirectional_split", valid=valid, axes=axes)
    o, lse = s2attn.s2_attn_grid_func(q, k, v, axes, mask="bidirectional_split", key_padding_mask=valid, return_lse=True)
    s2attn.s2_attn_grid_func(*tensor, axes, mask="bidirectional_split", key_padding_mask=torch.from_numpy(valid)).backward(torch.from_numpy(do))
    assert_within(expected, o=o, lse=lse, dq=tensor[0].grad, dk=tensor[1].grad, dv=tensor[2].grad)
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
