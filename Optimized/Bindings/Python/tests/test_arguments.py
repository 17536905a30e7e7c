# Is every wrong argument refused with its name, its value and the rule, each in turn, by both kinds of tensors?
import numpy as np
import pytest
import torch

import s2attn

SIZES = {"q": (2, 24, 4, 8), "k": (2, 24, 2, 8), "v": (2, 24, 2, 8)}


def call(library, **changes):
    make = {"torch": lambda *size: torch.zeros(size), "numpy": lambda *size: np.zeros(size, np.float32)}[library]
    given = {**{name: make(*size) for name, size in SIZES.items()}, "group_size": 6, "mask": "split"}
    for name, value in changes.items():
        given[name] = make(*value) if name in SIZES and isinstance(value, tuple) else value
    return s2attn.s2_attn_func(given.pop("q"), given.pop("k"), given.pop("v"), given.pop("group_size"), **given)


def refused(error, *texts, **call_):
    for library in ("torch", "numpy"):
        with pytest.raises(error) as caught:
            call(library, **call_)
        for text in texts:
            assert text in str(caught.value), str(caught.value)


@pytest.mark.parametrize("changes, error, texts", [
    ({"group_size": 0}, ValueError, ["group_size=0", "at least 1"]),
    ({"group_size": -6}, ValueError, ["group_size=-6"]),
    ({"group_size": 25}, ValueError, ["group_size=25", "at most N, 24"]),
    ({"group_size": 1 << 40}, ValueError, ["group_size=1099511627776", "2**31"]),
    ({"group_size": 6.0}, ValueError, ["group_size=6.0", "ratio"]),
    ({"group_size": float("nan")}, ValueError, ["group_size=nan"]),
    ({"group_size": True}, TypeError, ["group_size=True"]),
    ({"group_size": None}, TypeError, ["group_size=None", "an int of at least 1"]),
    ({"group_size": "6"}, ValueError, ["group_size='6'", "'sft'"]),
    ({"group_size": 5, "mask": "local_causal"}, ValueError, ["group_size=5", "divide", "24 tokens", "local_causal", "'split'"]),
    ({"group_size": 0.3}, ValueError, ["group_size=0.3"]),
    ({"mask": None}, TypeError, ["mask=None", "'split'", "no default"]),
    ({"mask": "causal"}, ValueError, ["mask='causal'", "'local_causal'"]),
    ({"mask": np.zeros(3)}, TypeError, ["mask=", "must be one of"]),
    ({"shift": 6}, ValueError, ["shift=6", "group_size=6"]),
    ({"shift": -1}, ValueError, ["shift=-1", "at least 0"]),
    ({"shift": 1.5}, TypeError, ["shift=1.5", "an int"]),
    ({"shift": 7, "group_size": 0.25}, ValueError, ["shift"]),
    ({"shifted_heads": "first_half"}, ValueError, ["shifted_heads='first_half'", "'second_half'"]),
    ({"shifted_heads": [True] * 3}, ValueError, ["shifted_heads has 3 flags", "4 heads of q"]),
    ({"shifted_heads": [True, False, 2, 0]}, TypeError, ["shifted_heads[2]=2"]),
    ({"shifted_heads": None}, TypeError, ["shifted_heads=None"]),
    ({"shifted_heads": 3}, TypeError, ["shifted_heads=3"]),
    ({"softmax_scale": float("inf")}, ValueError, ["softmax_scale=inf", "finite"]),
    ({"softmax_scale": "1"}, TypeError, ["softmax_scale='1'"]),
    ({"q": (24, 4, 8)}, ValueError, ["q has shape [24, 4, 8]", "[B,N,H,D]"]),
    ({"q": (2, 24, 3, 8)}, ValueError, ["k has 2 heads", "divide the 3 heads of q"]),
    ({"q": (2, 24, 0, 8)}, ValueError, ["q has shape [2, 24, 0, 8]"]),
    ({"q": (2, 24, 4, 0), "k": (2, 24, 2, 0), "v": (2, 24, 2, 0)}, ValueError, ["H and D", "at least 1"]),
    ({"k": (2, 24, 0, 8), "v": (2, 24, 0, 8)}, ValueError, ["k has 0 heads"]),
    ({"k": (2, 25, 2, 8)}, ValueError, ["k has shape [2, 25, 2, 8]", "q, [2, 24, 4, 8]"]),
    ({"k": (1, 24, 2, 8)}, ValueError, ["k has shape [1, 24, 2, 8]"]),
    ({"k": (2, 24, 2, 9), "v": (2, 24, 2, 9)}, ValueError, ["k has shape"]),
    ({"v": (2, 24, 4, 8)}, ValueError, ["v has shape [2, 24, 4, 8]", "that of k"]),
    ({"q": [[1.0]]}, TypeError, ["q is list", "torch.Tensor or a numpy.ndarray"]),
    ({"q": None}, TypeError, ["q is NoneType"]),
    ({"k": None}, TypeError, ["k is NoneType", "as q is"]),
    ({"v": [1.0]}, TypeError, ["v is list"]),
    ({"key_padding_mask": [True]}, TypeError, ["key_padding_mask is list"]),
], ids=str)
def test_a_wrong_argument_is_named_with_its_value_and_the_rule(changes, error, texts):
    refused(error, *texts, **changes)


def test_an_error_leaves_everything_usable():
    with pytest.raises(ValueError):
        call("torch", group_size=25)
    assert call("torch").shape == (2, 24, 4, 8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.int32, torch.complex64, torch.bool], ids=str)
def test_a_type_that_there_is_no_kernel_for_is_named(dtype):
    x = torch.zeros(1, 4, 2, 8, dtype=dtype)
    with pytest.raises(TypeError, match=f"q has dtype {str(dtype)[6:]}: must be one of float32, float16, bfloat16"):
        s2attn.s2_attn_func(x, x, x, 4, mask="split")
    with pytest.raises(TypeError, match="q has dtype"):
        s2attn.s2_attn_func(x.numpy(), x.numpy(), x.numpy(), 4, mask="split")


def test_mixed_types_and_mixed_libraries_are_named():
    x = torch.zeros(1, 4, 2, 8)
    with pytest.raises(TypeError, match="v has dtype float16, q has float32"):
        s2attn.s2_attn_func(x, x, x.half(), 4, mask="split")
    with pytest.raises(TypeError, match="k is ndarray: must be a torch.Tensor"):
        s2attn.s2_attn_func(x, x.numpy(), x, 4, mask="split")
    with pytest.raises(TypeError, match="k is Tensor: must be a numpy.ndarray"):
        s2attn.s2_attn_func(x.numpy(), x, x, 4, mask="split")
    with pytest.raises(TypeError, match="byte order"):
        s2attn.s2_attn_func(*[x.numpy().astype(">f4")] * 3, 4, mask="split")
    with pytest.raises(TypeError, match="k has layout torch.sparse_coo"):
        s2attn.s2_attn_func(x, x.to_sparse(), x, 4, mask="split")


def test_tensors_on_two_devices_are_named():
    x = torch.zeros(1, 4, 2, 8)
    with pytest.raises(ValueError, match="k is on device meta"):
        s2attn.s2_attn_func(x, x.to("meta"), x, 4, mask="split")


@pytest.mark.parametrize("mask, error, text", [
    (torch.zeros(2, 24), TypeError, "key_padding_mask has dtype float32: must be bool or integers"),
    (torch.ones(2, 23, dtype=torch.bool), ValueError, r"key_padding_mask has shape \[2, 23\]: must be \[B,N\] = \[2, 24\]"),
    (torch.ones(24, dtype=torch.bool), ValueError, r"key_padding_mask has shape \[24\]"),
], ids=["additive", "length", "rank"])
def test_a_padding_mask_that_means_something_else_is_refused(mask, error, text):
    with pytest.raises(error, match=text):
        call("torch", key_padding_mask=mask)
    with pytest.raises(error, match=text):
        call("numpy", key_padding_mask=mask.numpy())


@pytest.mark.parametrize("ends, error, text", [
    (None, TypeError, "cu_seqlens=None"), ([], ValueError, "cu_seqlens begins with"), ([1, 24], ValueError, r"cu_seqlens begins with \[1\]: must begin with 0"),
    ([0, 12, 11, 24], ValueError, r"cu_seqlens\[2\]=11: must be at least cu_seqlens\[1\]=12"), ([0, 12], ValueError, "cu_seqlens ends with 12: must end with T, 24"),
    ([0, 12.0, 24], TypeError, r"cu_seqlens\[1\]=12.0: must be an int"), (24, TypeError, "cu_seqlens=24"), ([0, -3, 24], ValueError, r"cu_seqlens\[1\]=-3"),
    (torch.zeros(2, 2, dtype=torch.int32), ValueError, r"cu_seqlens has shape \[2, 2\]"), ([0, 1 << 40, 24], ValueError, r"cu_seqlens\[2\]=24"),
], ids=str)
def test_a_wrong_cu_seqlens_is_named_by_element(ends, error, text):
    q = torch.zeros(24, 2, 8)
    for x in (q, q.numpy()):
        with pytest.raises(error, match=text):
            s2attn.s2_attn_varlen_func(x, x, x, ends, 6, mask="split")


def test_packed_sequences_that_a_group_does_not_divide_are_named():
    q = torch.zeros(24, 2, 8)
    with pytest.raises(ValueError, match="group_size=6: must divide the 14 tokens of sequence 1"):
        s2attn.s2_attn_varlen_func(q, q, q, [0, 6, 20, 24], 6, mask="bidirectional")
    with pytest.raises(ValueError, match=r"q has shape \[1, 24, 2, 8\]: must be \[T,H,D\]"):
        s2attn.s2_attn_varlen_func(q[None], q[None], q[None], [0, 24], 6, mask="split")


@pytest.mark.parametrize("name", ["do", "o", "lse", "dlse"])
def test_the_backward_pass_of_arrays_names_a_wrong_shape(name):
    q = np.zeros((1, 12, 2, 8), np.float32)
    o, lse = s2attn.s2_attn_func(q, q, q, 6, mask="split", return_lse=True)
    given = {"do": o, "o": o, "lse": lse, "dlse": lse, name: np.zeros((3, 3), np.float32)}
    with pytest.raises(ValueError, match=f"^{name} "):
        s2attn.s2_attn_backward(given["do"], q, q, q, given["o"], given["lse"], 6, mask="split", dlse=given["dlse"])


@pytest.mark.parametrize("call_, text", [
    (lambda: s2attn.set_threads(0), "threads=0"), (lambda: s2attn.set_threads(1.5), "threads=1.5"), (lambda: s2attn.set_threads(True), "threads=True"),
    (lambda: s2attn.set_plan_cache(-1), "plans=-1"), (lambda: s2attn.set_plan_cache(None), "plans=None")])
def test_wrong_settings_of_the_package_are_named(call_, text):
    with pytest.raises((TypeError, ValueError), match=text):
        call_()


@pytest.mark.parametrize("settings, error, text", [
    ({"shift": [0, 1, 2]}, ValueError, r"shift has 3 ints: must be one for each of the 2 heads"), ({"shift": [0, 6]}, ValueError, r"shift\[1\]=6: must be at least 0 and less than group_size=6"),
    ({"shift": [0, -1]}, ValueError, r"shift\[1\]=-1"), ({"shift": [0, 1.5]}, TypeError, r"shift\[1\]=1.5"), ({"shift": (True, 0)}, TypeError, r"shift\[0\]=True"),
    ({"shift": [0, 1], "shifted_heads": "all"}, ValueError, "shifted_heads='all': must be left out"),
], ids=str)
def test_wrong_shifts_of_heads_are_named(settings, error, text):
    x = torch.zeros(1, 12, 2, 8)
    with pytest.raises(error, match=text):
        s2attn.s2_attn_func(x, x, x, 6, mask="split", **settings)


def test_there_is_no_default_mask():
    x = torch.zeros(1, 4, 2, 8)
    with pytest.raises(TypeError, match="mask"):
        s2attn.s2_attn_func(x, x, x, 4)
