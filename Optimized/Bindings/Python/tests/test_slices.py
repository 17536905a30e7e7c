# Do parts of a sequence, and a cache of keys and values, give the rows of the whole, with shares of its gradients?
import numpy as np
import pytest
import torch

import s2attn
from conftest import MASKS, assert_within, definition, draw
from s2attn.generate import Model

N, G = 24, 6


def whole(dtype=torch.float32, mask="split"):
    q, k, v, do = draw(1, 2, N, 4, 2, 8)
    expected = definition(q, k, v, do, G, mask, dtype=str(dtype)[6:])
    return [torch.from_numpy(x).to(dtype) for x in (q, k, v, do)], expected


def rows(expected, name, first, end):
    exact, bound = expected[name]
    return {name: (exact[:, first:end], bound[:, first:end])}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("mask", MASKS)
def test_slices_have_the_rows_of_the_whole_and_their_gradients_add_up(mask, dtype):
    (q, k, v, do), expected = whole(dtype, mask)
    k, v, q = (x.requires_grad_() for x in (k, v, q))
    for first, end in ((0, 7), (7, 12), (12, N)):
        # Split needs no key behind the queries, and no tokens.
        last = end if mask == "split" else N
        o, lse = s2attn.s2_attn_slice_func(q[:, first:end], k[:, :last], v[:, :last], G, mask=mask, first_query=first, tokens=None if mask == "split" else N, return_lse=True)
        assert_within(rows(expected, "o", first, end), o=o)
        assert_within(rows(expected, "lse", first, end), lse=lse)
        o.backward(do[:, first:end])            # autograd adds the shares, each rounded to the type
    if dtype == torch.float32:
        assert_within({name: (exact, 4 * bound) for name, (exact, bound) in expected.items()}, dq=q.grad, dk=k.grad, dv=v.grad)


def test_queries_are_the_last_ones_unless_said_otherwise():
    (q, k, v, _), expected = whole()
    o = s2attn.s2_attn_slice_func(q[:, -3:], k, v, G, mask="split")
    assert_within(rows(expected, "o", N - 3, N), o=o)
    o = s2attn.s2_attn_slice_func(q[:, -3:], k[:, 12:], v[:, 12:], G, mask="split", first_key=12)
    assert_within(rows(expected, "o", N - 3, N), o=o)


def test_arrays_have_slices_with_gradients_of_lse():
    q, k, v, do = draw(2, 1, N, 2, 1, 4)
    part = dict(mask="split", first_query=10, tokens=N)
    o, lse = s2attn.s2_attn_slice_func(q[:, 10:15], k, v, G, return_lse=True, **part)
    dlse = np.ones_like(lse)
    answers = s2attn.s2_attn_slice_backward(do[:, 10:15], q[:, 10:15], k, v, o, lse, G, dlse=dlse, **part)
    tensors = [torch.from_numpy(x).requires_grad_() for x in (q[:, 10:15], k, v)]
    torch.autograd.backward(s2attn.s2_attn_slice_func(*tensors, G, return_lse=True, **part), [torch.from_numpy(do[:, 10:15]), torch.from_numpy(dlse)])
    for tensor, answer in zip(tensors, answers):
        assert np.array_equal(tensor.grad.numpy(), answer)
    assert np.abs(answers[1]).sum() > 0


@pytest.mark.parametrize("change, message", [
    ({"mask": "local_causal"}, "tokens=None: must be N"), ({"first_key": 10}, "first_key = 10: must be from 0"), ({"first_query": -1}, "first_query=-1"),
    ({"first_query": 20}, "end_key"), ({"tokens": 7}, "end_query = 12"), ({"group_size": 0.25}, "group_size=0.25: must be an int"), ({"first_key": 1.5}, "first_key=1.5")], ids=str)
def test_a_slice_that_breaks_a_rule_is_refused_by_name(change, message):
    (q, k, v, _), _ = whole()
    settings = {"mask": "split", "first_query": 10, "group_size": G, **change}
    with pytest.raises((ValueError, TypeError), match=message):
        s2attn.s2_attn_slice_func(q[:, 10:12], k[:, :12], v[:, :12], **settings)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_cache_gives_the_rows_of_the_whole(dtype):
    (q, k, v, _), expected = whole(dtype)
    cache = s2attn.KeyValueCache(G, 4, 2, 8, dtype=dtype, sequences=2, max_chunk=9)
    at = 0
    for tokens in (9, 1, 1, 3, 1, 9):
        o, lse = cache(*(x[:, at:at + tokens] for x in (q, k, v)), return_lse=True)
        assert_within(rows(expected, "o", at, at + tokens), o=o)
        assert_within(rows(expected, "lse", at, at + tokens), lse=lse)
        at += tokens
        assert cache.lengths == [at, at] and all(at - first <= G for first in cache.first_keys)
    assert cache.bytes == 2 * 2 * (G + 9) * 2 * 8 * q.element_size()
    cache.reset(1)
    assert cache.lengths == [N, 0]
    cache.close()
    with pytest.raises(ValueError, match="closed"):
        cache.append(k, v)


def test_a_cache_refuses_what_it_cannot_hold():
    (q, k, v, _), _ = whole()
    cache = s2attn.KeyValueCache(G, 4, 2, 8, max_chunk=9)
    with pytest.raises(ValueError, match="k has shape"):
        cache.append(k, v)
    with pytest.raises(TypeError, match="k has dtype float16"):
        cache.append(k[0].half(), v[0].half())
    cache.append(k[0], v[0])
    with pytest.raises(ValueError, match="max_chunk"):
        cache.attend(q[0])
    with pytest.raises(ValueError, match="sequence"):
        cache.attend(q[0, -1:], sequence=3)
    with pytest.raises(ValueError, match="requires gradients"):
        cache.attend(q[0, -1:].requires_grad_())
    for wrong in ({"max_chunk": 0}, {"sequences": 0}, {"kv_heads": 3}):
        with pytest.raises(ValueError):
            s2attn.KeyValueCache(**{"group_size": G, "heads": 4, "kv_heads": 2, "head_dim": 8, **wrong})


@pytest.mark.parametrize("prompt, group_size", [(1, 16), (100, 24)])
def test_a_cache_changes_no_token_of_generated_text(prompt, group_size):
    model, text = Model(group_size), np.random.default_rng(3).integers(97, size=prompt).tolist()
    cached, again = model.with_cache(text, 40)[0], model.computing_again(text, 40)[0]
    assert cached == again and len(set(cached[prompt:])) > 1
