# Do NumPy arrays and PyTorch tensors, of every type and any strides, get what the definition says, with its gradients?
import os

import numpy as np
import pytest
import torch

import s2attn
from conftest import MASKS, assert_within, definition, draw

SHAPES = [(2, 24, 4, 2, 8, 6), (1, 12, 3, 1, 5, 3), (2, 16, 6, 6, 16, 16), (1, 96, 2, 1, 64, 32), (3, 1, 2, 2, 4, 1)]
TYPES = [torch.float32, torch.float16, torch.bfloat16]


def tensors(seed, shape, dtype=torch.float32):
    return [torch.from_numpy(x).to(dtype) for x in draw(seed, *shape[:5])]


def run(q, k, v, do, *arguments, **settings):
    q, k, v = (x.detach().requires_grad_() for x in (q, k, v))
    o, lse = s2attn.s2_attn_func(q, k, v, *arguments, return_lse=True, **settings)
    o.backward(do)
    return {"o": o, "lse": lse, "dq": q.grad, "dk": k.grad, "dv": v.grad}


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_tensors_get_the_definition_and_its_gradients(shape, mask, dtype):
    q, k, v, do = tensors(1, shape, dtype)
    answers = run(q, k, v, do, shape[5], mask=mask)
    assert all(answers[name].dtype == dtype for name in ("o", "dq", "dk", "dv")) and answers["lse"].dtype == torch.float32
    assert_within(definition(*(x.double() for x in (q, k, v, do)), shape[5], mask, dtype=str(dtype)[6:]), **answers)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("mask", MASKS)
def test_arrays_get_the_definition_and_its_gradients(mask, dtype):
    q, k, v, do = (x.astype(dtype) for x in draw(2, 2, 24, 4, 2, 8))
    o, lse = s2attn.s2_attn_func(q, k, v, 6, mask=mask, return_lse=True)
    dq, dk, dv = s2attn.s2_attn_backward(do, q, k, v, o, lse, 6, mask=mask)
    assert o.dtype == dq.dtype == dk.dtype == dtype
    assert_within(definition(q, k, v, do, 6, mask, dtype=dtype), o=o, lse=lse, dq=dq, dk=dk, dv=dv)


@pytest.mark.parametrize("settings", [
    {"shift": 0}, {"shift": 5}, {"shifted_heads": "none"}, {"shifted_heads": "all"}, {"shifted_heads": [True, False, True, False]},
    {"shifted_heads": np.array([False, True, True, True])}, {"softmax_scale": 0.125}, {"softmax_scale": -1.0}], ids=str)
def test_every_setting_has_its_effect(settings):
    q, k, v, do = draw(3, 2, 24, 4, 2, 8)
    expected = definition(q, k, v, do, 6, "local_causal", **settings)
    usual = definition(q, k, v, do, 6, "local_causal")
    assert not np.allclose(expected["o"][0], usual["o"][0])
    assert_within(expected, **run(*map(torch.from_numpy, (q, k, v, do)), 6, mask="local_causal", **settings))


def test_names_of_the_port_protocol_are_known():
    q, k, v, _ = tensors(4, SHAPES[0])
    for mask, name in MASKS.items():
        assert torch.equal(s2attn.s2_attn_func(q, k, v, 6, mask=mask), s2attn.s2_attn_func(q, k, v, 6, mask=name))


def test_a_ratio_and_the_sft_rule_choose_the_group_size():
    q, k, v, _ = tensors(5, (1, 24, 2, 2, 8))
    assert torch.equal(s2attn.s2_attn_func(q, k, v, 0.25, mask="split"), s2attn.s2_attn_func(q, k, v, 6, mask="split"))
    assert torch.equal(s2attn.s2_attn_func(q, k, v, "sft", mask="split"), s2attn.s2_attn_func(q, k, v, 24, mask="split", shift=0))
    with pytest.raises(ValueError, match="group_size=0.3"):
        s2attn.s2_attn_func(q, k, v, 0.3, mask="split")


@pytest.mark.parametrize("as_type", [bool, np.uint8, np.int64], ids=str)
def test_padded_keys_are_never_read(as_type):
    q, k, v, do = draw(6, 3, 24, 4, 2, 8)
    valid = np.ones((3, 24), as_type)
    valid[0, 20:], valid[1, :7], valid[2] = 0, 0, 0
    expected = definition(q, k, v, do, 6, "local_causal", valid=valid)
    assert np.isneginf(expected["lse"][0][2]).all()
    k[valid == 0], v[valid == 0] = np.nan, np.inf
    assert_within(expected, **run(*map(torch.from_numpy, (q, k, v, do)), 6, mask="local_causal", key_padding_mask=torch.from_numpy(valid)))
    o, lse = s2attn.s2_attn_func(q, k, v, 6, mask="local_causal", key_padding_mask=valid, return_lse=True)
    dq, dk, dv = s2attn.s2_attn_backward(do, q, k, v, o, lse, 6, mask="local_causal", key_padding_mask=valid)
    assert_within(expected, o=o, lse=lse, dq=dq, dk=dk, dv=dv)


def test_two_runs_and_any_number_of_threads_give_the_same_bits():
    q, k, v, do = tensors(7, (2, 96, 4, 2, 16))
    first = run(q, k, v, do, 32, mask="split")
    for threads in (1, 2, 3, 7):
        s2attn.set_threads(threads)
        again = run(q, k, v, do, 32, mask="split")
        assert all(torch.equal(first[name], again[name]) for name in first)


# ---- Memory that people have ---------------------------------------------------------------------------------------------------------

def layouts(x):
    """The same numbers in other memory."""
    yield "heads first", x.transpose(1, 2).contiguous().transpose(1, 2)
    yield "tokens reversed twice", x.flip(1).contiguous().flip(1)
    yield "last axis strided", x.transpose(-1, -2).contiguous().transpose(-1, -2)
    yield "every second row of more", torch.stack((x, torch.full_like(x, float("nan"))), 2)[:, :, 0]
    yield "part of wider rows", torch.cat((x, torch.full_like(x, float("nan"))), -1)[..., :x.shape[-1]]
    yield "behind an offset", torch.cat((torch.zeros(3), x.flatten()))[3:].view(x.shape)


def test_tensors_of_any_strides_give_the_same_bits():
    q, k, v, do = tensors(8, SHAPES[0])
    dense = run(q, k, v, do, 6, mask="split")
    for (name, a), (_, b), (_, c), (_, d) in zip(*map(layouts, (q, k, v, do))):
        answers = run(a, b, c, d, 6, mask="split")
        assert all(torch.equal(answers[part], dense[part]) for part in dense), name


def test_one_fused_qkv_tensor_is_read_in_place_and_gets_one_gradient():
    qkv = torch.randn(2, 24, 3, 4, 8, requires_grad=True)
    do = torch.randn(2, 24, 4, 8)
    s2attn.s2_attn_func(*qkv.unbind(2), 6, mask="split").backward(do)
    apart = run(*(x.contiguous() for x in qkv.detach().unbind(2)), do, 6, mask="split")
    assert torch.equal(qkv.grad, torch.stack([apart["dq"], apart["dk"], apart["dv"]], 2))


def test_arrays_with_negative_and_zero_strides_are_read_in_place():
    q, k, v, do = draw(9, 2, 24, 4, 2, 8)
    reversed_ = [x[:, ::-1].copy()[:, ::-1] for x in (q, k, v, do)]
    assert reversed_[0].strides[1] < 0
    o, lse = s2attn.s2_attn_func(*reversed_[:3], 6, mask="split", return_lse=True)
    dq, dk, dv = s2attn.s2_attn_backward(reversed_[3], *reversed_[:3], o, lse, 6, mask="split")
    assert_within(definition(q, k, v, do, 6, "split"), o=o, lse=lse, dq=dq, dk=dk, dv=dv)
    wide = [np.broadcast_to(x[:, :, :1], (2, 24, 4, 8)) for x in (k, v)]
    assert wide[0].strides[2] == 0
    assert_within(definition(q, *wide, do, 6, "split"), o=s2attn.s2_attn_func(q, *wide, 6, mask="split"))


def test_arrays_that_are_not_aligned_or_are_read_only_are_taken():
    q, k, v, do = draw(10, 1, 12, 2, 2, 8)
    moved = np.frombuffer(b"x" + q.tobytes(), np.uint8)[1:].view(np.float32).reshape(q.shape)
    assert not moved.flags.aligned and not moved.flags.writeable
    assert_within(definition(q, k, v, do, 4, "split"), o=s2attn.s2_attn_func(moved, k, v, 4, mask="split"))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_broadcast_inputs_get_the_sum_of_the_gradients(axis):
    shape = (2, 24, 4, 4, 8, 6)
    q, k, v, do = tensors(11, shape)
    small = [x.narrow(axis, 0, 1).clone().requires_grad_() for x in (q, k, v)]
    s2attn.s2_attn_func(*(x.expand(shape[0], shape[1], shape[2], shape[4]) for x in small), 6, mask="split").backward(do)
    apart = run(*(x.detach().expand(2, 24, 4, 8).contiguous() for x in small), do, 6, mask="split")
    for x, name in zip(small, ("dq", "dk", "dv")):
        assert torch.allclose(x.grad, apart[name].sum(axis, keepdim=True), rtol=1e-5, atol=1e-5)


def test_the_gradient_of_a_sum_comes_with_strides_of_zero():
    q, k, v, _ = tensors(12, SHAPES[0])
    answers = run(q, k, v, torch.ones(()).expand(q.shape), 6, mask="split")
    dense = run(q, k, v, torch.ones(q.shape), 6, mask="split")
    assert all(torch.equal(answers[name], dense[name]) for name in dense)


def test_one_tensor_as_q_k_and_v_gets_all_three_gradients():
    x = torch.randn(1, 24, 2, 8, requires_grad=True)
    s2attn.s2_attn_func(x, x, x, 6, mask="split").sum().backward()
    apart = run(*(x.detach().clone() for _ in range(3)), torch.ones(x.shape), 6, mask="split")
    assert torch.allclose(x.grad, apart["dq"] + apart["dk"] + apart["dv"], rtol=1e-5, atol=1e-5)


# ---- Packed sequences ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["list", "int32", "int64", "array"])
def test_packed_sequences_are_as_if_each_were_alone(kind):
    lengths, dim = [12, 0, 5, 24, 0, 1, 7], 8
    ends = np.concatenate([[0], np.cumsum(lengths)])
    given = {"list": ends.tolist(), "int32": torch.tensor(ends, dtype=torch.int32), "int64": torch.tensor(ends), "array": ends}[kind]
    q, k, v, do = (torch.from_numpy(x[0]) for x in draw(13, 1, int(ends[-1]), 4, 2, dim))
    q, k, v = (x.requires_grad_() for x in (q, k, v))
    o, lse = s2attn.s2_attn_varlen_func(q, k, v, given, 6, mask="split", return_lse=True)
    assert o.shape == q.shape and lse.shape == (4, ends[-1])
    o.backward(do)
    for first, last in zip(ends, ends[1:]):
        if last > first:
            part = slice(first, last)
            group = min(6, last - first)        # a sequence shorter than a group is one group
            alone = definition(*(x[None, part].detach() for x in (q, k, v, do)), group, "split", shift=min(3, group - 1) if group < 6 else 3)
            if group == 6:
                assert_within(alone, o=o[None, part], lse=lse[None, :, part], dq=q.grad[None, part], dk=k.grad[None, part], dv=v.grad[None, part])
    arrays = [x.detach().numpy() for x in (q, k, v)]
    o2, lse2 = s2attn.s2_attn_varlen_func(*arrays, given if kind == "list" else ends, 6, mask="split", return_lse=True)
    gradients = s2attn.s2_attn_backward(do.numpy(), *arrays, o2, lse2, 6, mask="split", cu_seqlens=ends)
    assert np.array_equal(o2, o.detach()) and all(np.array_equal(a, x.grad) for a, x in zip(gradients, (q, k, v)))


def test_packed_sequences_take_a_padding_mask():
    q, k, v, do = draw(14, 1, 24, 2, 2, 8)
    valid = np.arange(24) % 5 != 0
    o = s2attn.s2_attn_varlen_func(q[0], k[0], v[0], [0, 24], 6, mask="split", key_padding_mask=valid)
    assert_within(definition(q, k, v, do, 6, "split", valid=valid[None]), o=o[None])


# ---- Nothing to do -------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("batch, tokens", [(0, 24), (2, 0), (0, 0)])
def test_an_empty_batch_is_no_error(batch, tokens):
    answers = run(*(torch.zeros(batch, tokens, heads, 8) for heads in (4, 2, 2, 4)), 6, mask="split")
    assert answers["o"].shape == (batch, tokens, 4, 8) and answers["lse"].shape == (batch, 4, tokens) and answers["dk"].shape == (batch, tokens, 2, 8)
    q, k = np.zeros((batch, tokens, 4, 8), np.float32), np.zeros((batch, tokens, 2, 8), np.float32)
    o, lse = s2attn.s2_attn_func(q, k, k, 6, mask="split", return_lse=True)
    assert o.shape == q.shape and s2attn.s2_attn_backward(o, q, k, k, o, lse, 6, mask="split")[1].shape == k.shape


def test_no_packed_sequences_at_all_are_no_error():
    q = torch.zeros(0, 4, 8, requires_grad=True)
    for ends in ([0], [0, 0, 0]):
        s2attn.s2_attn_varlen_func(q, q, q, ends, 6, mask="split").sum().backward()
    assert q.grad.shape == q.shape


# ---- Derivatives -----------------------------------------------------------------------------------------------------------------------

@pytest.mark.filterwarnings("ignore:Input #. requires gradient and is not a double precision")
@pytest.mark.parametrize("mask", MASKS)
def test_gradcheck_passes(mask):
    q, k, v = (x.requires_grad_() for x in tensors(15, (1, 8, 2, 1, 4))[:3])
    attend = lambda q, k, v: s2attn.s2_attn_func(q, k, v, 4, mask=mask, return_lse=True)
    assert torch.autograd.gradcheck(attend, (q, k, v), eps=1e-2, atol=3e-3, rtol=3e-2)


def test_the_gradient_of_lse_merges_two_halves_into_the_whole():
    q, k, v, do = tensors(16, (1, 16, 2, 2, 8))
    whole = run(q, k, v, do, 16, mask="bidirectional", shifted_heads="none")
    leaves = [x.detach().requires_grad_() for x in (q, k, v)]
    first = torch.arange(16)[None] < 9
    parts = [s2attn.s2_attn_func(*leaves, 16, mask="bidirectional", shifted_heads="none", key_padding_mask=mask, return_lse=True) for mask in (first, ~first)]
    lse = torch.logaddexp(parts[0][1], parts[1][1])
    o = sum(part * (part_lse - lse).exp().transpose(1, 2)[..., None] for part, part_lse in parts)
    o.backward(do)
    assert torch.allclose(o, whole["o"], atol=1e-5)
    for leaf, name in zip(leaves, ("dq", "dk", "dv")):
        assert torch.allclose(leaf.grad, whole[name], atol=1e-5), name


def test_the_gradient_of_lse_alone_is_that_of_its_formula():
    q, k, v, _ = (x.requires_grad_() for x in tensors(17, (1, 12, 2, 2, 8)))
    s2attn.s2_attn_func(q, k, v, 12, mask="bidirectional", shifted_heads="none", return_lse=True)[1].sum().backward()
    p, r = (x.detach().clone().requires_grad_() for x in (q, k))
    torch.logsumexp(torch.einsum("bthd,buhd->bhtu", p, r) * 8 ** -0.5, -1).sum().backward()
    assert torch.allclose(q.grad, p.grad, atol=1e-5) and torch.allclose(k.grad, r.grad, atol=1e-5) and not v.grad.any()
    arrays = [x.detach().numpy() for x in (q, k, v)]
    o, lse = s2attn.s2_attn_func(*arrays, 12, mask="bidirectional", shifted_heads="none", return_lse=True)
    dq, _, _ = s2attn.s2_attn_backward(np.zeros_like(o), *arrays, o, lse, 12, mask="bidirectional", shifted_heads="none", dlse=np.ones_like(lse))
    assert np.allclose(dq, p.grad, atol=1e-5)


def test_only_what_needs_a_gradient_gets_one():
    q, k, v, do = tensors(18, SHAPES[0])
    k.requires_grad_()
    s2attn.s2_attn_func(q, k, v, 6, mask="split").backward(do)
    assert torch.equal(k.grad, run(q, k, v, do, 6, mask="split")["dk"]) and q.grad is None and v.grad is None
    assert not s2attn.s2_attn_func(q, k.detach(), v, 6, mask="split").requires_grad
    with torch.no_grad():
        assert not s2attn.s2_attn_func(q, k, v, 6, mask="split").requires_grad


def test_a_second_derivative_is_refused_and_a_first_with_create_graph_is_right():
    q, k, v, do = tensors(19, SHAPES[0])
    q.requires_grad_()
    (dq,) = torch.autograd.grad(s2attn.s2_attn_func(q, k, v, 6, mask="split"), q, do, create_graph=True)
    assert torch.equal(dq, run(q, k, v, do, 6, mask="split")["dq"])
    with pytest.raises(NotImplementedError, match="s2_attn_func has no second derivative"):
        dq.sum().backward()


def test_an_input_changed_before_the_backward_pass_is_noticed():
    q, k, v, do = tensors(20, SHAPES[0])
    o = s2attn.s2_attn_func(q.requires_grad_(), k, v, 6, mask="split")
    k.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        o.backward(do)


def test_meta_tensors_get_shapes_without_memory():
    q, k = torch.empty(2, 1 << 30, 4, 8, device="meta"), torch.empty(2, 1 << 30, 2, 8, device="meta")
    o, lse = s2attn.s2_attn_func(q, k, k, 1 << 20, mask="split", return_lse=True)
    assert o.device.type == "meta" and o.shape == q.shape and lse.shape == (2, 4, 1 << 30)


def test_tensors_whose_elements_lie_more_than_two_to_the_31_apart_are_read():
    q, k, v, do = tensors(21, (1, 40, 1, 1, 8), torch.float16)
    far = torch.empty(40 * (1 << 26), dtype=torch.float16).view(40, 1 << 26)       # 5 GiB of addresses, of which a few pages are touched
    spread = []
    for index, x in enumerate((q, k, v)):
        far[:, 8 * index:8 * index + 8] = x[0, :, 0]
        spread.append(far[None, :, 8 * index:8 * index + 8][:, :, None])
    assert spread[0].stride(1) * 39 > 1 << 31
    dense, answers = run(q, k, v, do, 8, mask="split"), run(*spread, do, 8, mask="split")
    assert all(torch.equal(dense[name], answers[name]) for name in dense)


@pytest.mark.skipif("S2ATTN_LARGE_TESTS" not in os.environ, reason="did not run: writes 2 GiB in a minute; set S2ATTN_LARGE_TESTS=1")
def test_outputs_of_more_than_two_gib_are_written():
    tokens, heads, dim = (1 << 17) + 8, 64, 128
    q, k, v = (torch.randn(1, 1, 1, dim).half() for _ in range(3))
    o = s2attn.s2_attn_func(*(x.expand(1, tokens, heads, dim) for x in (q, k, v)), 8, mask="split")
    assert o.numel() * o.element_size() > 1 << 31
    for row in (0, tokens // 2, tokens - 1):        # one value everywhere: every row is that value
        assert torch.equal(o[0, row], v[0, 0].expand(heads, dim))


@pytest.mark.parametrize("mask", MASKS)
def test_heads_with_shifts_of_their_own_are_those_heads_alone(mask):
    shifts = [5, 0, 2, 3]
    q, k, v, do = draw(8, 2, 24, 4, 2, 8)
    answers = run(*map(torch.from_numpy, (q, k, v, do)), 6, mask=mask, shift=shifts)
    for head, shift in enumerate(shifts):
        own, kv = slice(head, head + 1), slice(head // 2, head // 2 + 1)
        alone = definition(q[:, :, own], k[:, :, kv], v[:, :, kv], do[:, :, own], 6, mask, shift=shift, shifted_heads="all")
        assert_within({name: alone[name] for name in ("o", "lse", "dq")}, o=answers["o"][:, :, own], lse=answers["lse"][:, own], dq=answers["dq"][:, :, own])
    packed = s2attn.s2_attn_varlen_func(*(torch.from_numpy(x[0]) for x in (q, k, v)), [0, 24], 6, mask=mask, shift=np.array(shifts))
    assert torch.equal(packed, answers["o"][0])


def test_phases_are_shifts():
    assert s2attn.phase_shifts(4, 8, 16) == [0, 0, 4, 4, 8, 8, 12, 12] and s2attn.phase_shifts(2, 3, 5) == [0, 2, 2]
    assert s2attn.phase_shifts(2, 4, 16, rotated=True) == [4, 4, 12, 12]
    q, k, v, do = map(torch.from_numpy, draw(9, 1, 24, 4, 2, 8))
    half, phases = run(q, k, v, do, 6, mask="split"), run(q, k, v, do, 6, mask="split", shift=s2attn.phase_shifts(2, 4, 6))
    assert all(torch.equal(half[name], phases[name]) for name in half)
