# Do modules, transformers' interface and the Llama patch give what they should? With LongLoRA's golden layers, and modules that keep to the published contracts.
import sys
import types

import numpy as np
import pytest
import torch

import check
import s2attn
from conftest import ROOT, assert_within, definition, draw
from s2attn import huggingface, longlora


def test_the_module_is_the_function_with_its_settings():
    q, k, v, _ = map(torch.from_numpy, draw(1, 2, 24, 4, 2, 8))
    valid = torch.arange(24)[None] < torch.tensor([[24], [20]])
    module = s2attn.S2Attention(6, mask="split", shift=2, shifted_heads="all", softmax_scale=0.3)
    o, lse = module(q, k, v, key_padding_mask=valid, return_lse=True)
    again = s2attn.s2_attn_func(q, k, v, 6, mask="split", shift=2, shifted_heads="all", softmax_scale=0.3, key_padding_mask=valid, return_lse=True)
    assert torch.equal(o, again[0]) and torch.equal(lse, again[1])
    packed = module(q[0], k[0], v[0], cu_seqlens=[0, 10, 24])
    assert torch.equal(packed, s2attn.s2_attn_varlen_func(q[0], k[0], v[0], [0, 10, 24], 6, mask="split", shift=2, shifted_heads="all", softmax_scale=0.3))
    assert "group_size=6, mask='split', shift=2" in repr(module) and not list(module.parameters())
    with pytest.raises(ValueError, match="shift=6"):
        s2attn.S2Attention(6, mask="split", shift=6)


@pytest.mark.parametrize("prefix", [dict(prefix=3), dict(prefix=7, whole_prefix=True)], ids=["sinks", "whole"])
def test_a_prefix_is_that_of_the_function_in_the_module_the_interface_and_a_patched_layer(prefix):
    q, k, v, _, given = hf_inputs()
    tensors = [torch.from_numpy(x) for x in (q, k, v)]
    expected = s2attn.s2_attn_func(*tensors, 6, mask="split", **prefix)
    assert not torch.equal(expected, s2attn.s2_attn_func(*tensors, 6, mask="split"))
    module = s2attn.S2Attention(6, mask="split", **prefix)
    assert torch.equal(module(*tensors), expected) and f"prefix={prefix['prefix']}" in repr(module)
    ends = [0, 10, 24]
    assert torch.equal(module(*(x[0] for x in tensors), cu_seqlens=ends), s2attn.s2_attn_varlen_func(*(x[0] for x in tensors), ends, 6, mask="split", **prefix))
    assert torch.equal(huggingface.attention_function(6, mask="split", **prefix)(Attention(), *given, None)[0], expected)
    packed = huggingface.attention_function(6, mask="split", **prefix)(Attention(), *(x[:1] for x in given), None, cu_seq_lens_q=ends)[0]
    assert torch.equal(packed[0], s2attn.s2_attn_varlen_func(*(x[0] for x in tensors), ends, 6, mask="split", **prefix))

    # A layer without positions and projections is the function.
    eye = {name: torch.eye(16) for name in ("wq", "wk", "wv", "wo")}
    kind = llama({**eye, "cos": torch.ones(24, 8), "sin": torch.zeros(24, 8)}, {"headDim": 8, "heads": 2}, OldRotary)
    longlora.replace_llama_attn(kind, group_size=6, mask="split", **prefix)
    x = torch.from_numpy(draw(3, 2, 24, 2, 2, 8)[0])
    assert torch.equal(kind().train()(x.reshape(2, 24, 16))[0], s2attn.s2_attn_func(x, x, x, 6, mask="split", **prefix).reshape(2, 24, 16))


@pytest.mark.parametrize("make", [lambda **prefix: s2attn.S2Attention(6, mask="split", **prefix), lambda **prefix: huggingface.attention_function(6, mask="split", **prefix),
                                  lambda **prefix: longlora.replace_llama_attn(object, group_size=6, mask="split", **prefix)], ids=["module", "interface", "patch"])
def test_a_wrong_prefix_is_named_when_the_settings_are_made(make):
    with pytest.raises(ValueError, match="prefix=-1: must be at least 0"):
        make(prefix=-1)
    with pytest.raises(TypeError, match="whole_prefix=1: must be a bool"):
        make(prefix=2, whole_prefix=1)


# ---- transformers ----------------------------------------------------------------------------------------------------------------------

class Attention(torch.nn.Module):
    """What transformers hands to an attention implementation as `module`."""

    is_causal, num_key_value_groups, layer_idx = True, 2, 0


def hf_inputs():
    q, k, v, do = draw(2, 2, 24, 4, 2, 8)
    return q, k, v, do, [torch.from_numpy(x).transpose(1, 2).contiguous() for x in (q, k, v)]


def test_the_attention_interface_gets_heads_first_and_gives_tokens_first():
    q, k, v, do, given = hf_inputs()
    function = huggingface.attention_function(6, mask="split")
    o, weights = function(Attention(), *given, None, dropout=0.0, scaling=0.25, is_causal=None, position_ids=torch.arange(24)[None], use_cache=False, sliding_window=None)
    assert weights is None
    assert_within(definition(q, k, v, do, 6, "split", softmax_scale=0.25), o=o)


def additive(valid, unmask=False, kind=torch.float32):
    """transformers' [B,1,N,N] mask; with unmask, rows that see nothing see everything, as some versions do it for SDPA."""
    tokens = valid.shape[1]
    sees = (torch.arange(tokens)[:, None] >= torch.arange(tokens)) & valid[:, None, :]
    if unmask:
        sees = sees | ~sees.any(-1, keepdim=True)
    return sees[:, None] if kind == torch.bool else torch.where(sees, 0.0, torch.finfo(kind).min).to(kind)[:, None]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("form", ["[B,N]", "bool", "float32", "bfloat16", "unmasked"])
def test_every_form_of_a_padding_mask_is_understood(form, side):
    q, k, v, do, given = hf_inputs()
    valid = torch.arange(24)[None] < torch.tensor([[24], [17]])
    valid = valid.flip(1) if side == "left" else valid
    mask = valid.long() if form == "[B,N]" else additive(valid, form == "unmasked", getattr(torch, form) if form != "unmasked" else torch.float32)
    o, _ = huggingface.attention_function(6, mask="split")(Attention(), *given, mask, scaling=None)
    expected = definition(q, k, v, do, 6, "split", valid=valid.numpy())
    rows = valid.numpy()
    assert (np.abs(o.numpy() - expected["o"][0]) <= expected["o"][1])[rows].all()


@pytest.mark.parametrize("mask, error, text", [
    (torch.zeros(2, 1, 24, 24), ValueError, "says more than causal attention"), (torch.zeros(2, 1, 24, 20), ValueError, r"attention_mask has shape \[2, 1, 24, 20\]"),
    (torch.ones(2, 9), ValueError, r"attention_mask has shape \[2, 9\]"), (torch.ones(2, 4, 24, 24), ValueError, "attention_mask has shape")], ids=["full", "short", "length", "heads"])
def test_a_mask_that_s2_attn_cannot_honour_is_refused(mask, error, text):
    with pytest.raises(error, match=text):
        huggingface.attention_function(6, mask="split")(Attention(), *hf_inputs()[4], mask)


@pytest.mark.parametrize("extra, error, text", [
    ({"dropout": 0.1}, ValueError, "dropout=0.1: must be 0"), ({"sliding_window": 4096}, ValueError, "sliding_window=4096"), ({"softcap": 30.0}, ValueError, "softcap=30.0"),
    ({"is_causal": False}, ValueError, "is_causal=False: contradicts mask='split'"), ({"output_attentions": True}, ValueError, "output_attentions=True"),
    ({"query": torch.zeros(2, 4, 1, 8)}, NotImplementedError, "query has 1 tokens and key 24")], ids=str)
def test_what_s2_attn_does_not_define_is_refused(extra, error, text):
    query, key, value = hf_inputs()[4]
    with pytest.raises(error, match=text):
        huggingface.attention_function(6, mask="split")(Attention(), extra.pop("query", query), key, value, None, **extra)


def test_packed_position_ids_come_as_cu_seq_lens():
    q, k, v = hf_inputs()[4]
    o, _ = huggingface.attention_function(6, mask="split")(Attention(), q[:1], k[:1], v[:1], None, cu_seq_lens_q=torch.tensor([0, 10, 24], dtype=torch.int32), max_length_q=14)
    assert torch.equal(o[0], s2attn.s2_attn_varlen_func(*(x[0].transpose(0, 1) for x in (q, k, v)), [0, 10, 24], 6, mask="split"))


def test_registration_needs_and_uses_transformers_interface(monkeypatch):
    with pytest.raises(TypeError, match="give a function or settings"):
        huggingface.register("s2attn")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match="transformers 4.48 or later"):
        huggingface.register("s2attn", group_size=6, mask="split")
    known, masks = {}, {}
    fake = types.ModuleType("transformers")
    fake.AttentionInterface = type("AttentionInterface", (), {"register": classmethod(lambda cls, name, function: known.__setitem__(name, function))})
    fake.masking_utils = types.ModuleType("transformers.masking_utils")
    fake.masking_utils.flash_attention_mask = object()
    fake.masking_utils.AttentionMaskInterface = type("AttentionMaskInterface", (), {"register": classmethod(lambda cls, name, function: masks.__setitem__(name, function))})
    monkeypatch.setitem(sys.modules, "transformers", fake)
    monkeypatch.setitem(sys.modules, "transformers.masking_utils", fake.masking_utils)
    function = huggingface.register("mine", group_size=6, mask="split")
    assert known == {"mine": function} and masks == {"mine": fake.masking_utils.flash_attention_mask}
    huggingface.register("other", function)
    assert known["other"] is function


# ---- Llama -------------------------------------------------------------------------------------------------------------------------------

def golden_layer(name):
    path = ROOT / "golden" / f"{name}.safetensors"
    record = next(case.record for case in check.cases() if str(case) == name)
    return record, {key: torch.from_numpy(array.copy()) for key, array in check.read_safetensors(path).items()}


class Rotary(torch.nn.Module):
    def __init__(self, cos, sin):
        super().__init__()
        self.cos, self.sin = cos, sin


class OldRotary(Rotary):
    """transformers until 4.37: the tables, whatever the positions."""

    def forward(self, x, seq_len=None):
        return self.cos[None, None], self.sin[None, None]


class MiddleRotary(Rotary):
    """transformers 4.38 to 4.47: rows of the positions."""

    def forward(self, x, position_ids):
        return self.cos[position_ids], self.sin[position_ids]


def llama(tensors, config, rotary):
    """A fresh class with the parts of LlamaAttention that the patch reads; its own forward is full attention's stand-in."""
    class LlamaAttention(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head_dim, self.num_heads, self.attention_dropout = config["headDim"], config["heads"], 0.0
            for part, weight in (("q", "wq"), ("k", "wk"), ("v", "wv"), ("o", "wo")):
                linear = torch.nn.Linear(*reversed(tensors[weight].shape), bias=False, dtype=tensors[weight].dtype)
                linear.weight.data.copy_(tensors[weight])
                setattr(self, f"{part}_proj", linear)
            self.rotary_emb = rotary(tensors["cos"], tensors["sin"])

        if rotary is Rotary:
            def forward(self, hidden_states, position_embeddings=None, attention_mask=None, past_key_values=None, **kwargs):
                return "full", None
        else:
            def forward(self, hidden_states, attention_mask=None, position_ids=None, past_key_value=None, output_attentions=False, use_cache=False, padding_mask=None):
                return "full", None, None

    return LlamaAttention


LAYERS = [("llama-eager-layer-n16-g4-gqa-f32", "local_causal", 0.25), ("llama-flash-layer-n16-g4-gqa-f32", "split", 0.25), ("sft-flash-layer-n24-full-f32", "split", "sft"),
          ("llama-flash-layer-n16-g4-gqa-bf16", "split", 0.25)]


def run_layer(name, mask, group_size, rotary, **arguments):
    record, tensors = golden_layer(name)
    dtype = torch.bfloat16 if name.endswith("bf16") else torch.float32
    tensors = {key: tensor.to(dtype) for key, tensor in tensors.items()}
    kind = llama(tensors, record["config"], rotary)
    undo = longlora.replace_llama_attn(kind, group_size=group_size, mask=mask)
    layer = kind().train()
    x = tensors["x"].requires_grad_()
    if rotary is Rotary:
        arguments["position_embeddings"] = (tensors["cos"][None], tensors["sin"][None])
    answer = layer(x, **arguments)
    assert len(answer) == (2 if rotary is Rotary else 3)
    answer[0].backward(tensors["dy"])
    answers = {"y": answer[0], "dx": x.grad, **{f"dw{part}": getattr(layer, f"{part}_proj").weight.grad for part in "qkvo"}}
    undo()
    assert kind()(x)[0] == "full"
    return answers, tensors, record


def largest_error(answers, tensors):
    """Of the parts of a layer, relative to each tensor's largest number."""
    return max(float((answers[name] - tensors[name]).abs().max() / tensors[name].abs().max()) for name in answers)


@pytest.mark.parametrize("rotary", [OldRotary, MiddleRotary, Rotary])
@pytest.mark.parametrize("name, mask, group_size", LAYERS)
def test_a_patched_layer_gives_longloras_own_output_and_gradients(name, mask, group_size, rotary):
    answers, tensors, _ = run_layer(name, mask, group_size, rotary)
    assert largest_error(answers, tensors) < (0.04 if name.endswith("bf16") else 2e-5)


def test_the_golden_layers_tell_the_masks_apart():
    name = LAYERS[0][0]
    answers, tensors, _ = run_layer(name, "split", 0.25, OldRotary)
    assert largest_error(answers, tensors) > 0.05


def test_a_full_mask_of_no_padding_changes_nothing():
    name, mask, group_size = LAYERS[1]
    batch, tokens = golden_layer(name)[1]["x"].shape[:2]
    for given in (torch.ones(batch, tokens), additive(torch.ones(batch, tokens, dtype=torch.bool))):
        answers, tensors, _ = run_layer(name, mask, group_size, OldRotary, attention_mask=given, position_ids=torch.arange(tokens)[None])
        assert largest_error(answers, tensors) < 2e-5


def test_a_layers_own_scale_is_the_scale_of_its_scores():
    record, tensors = golden_layer(LAYERS[1][0])
    kind = llama(tensors, record["config"], OldRotary)
    longlora.replace_llama_attn(kind, mask="split")
    layer, usual = kind().train(), record["config"]["headDim"] ** -0.5
    unscaled = layer(tensors["x"])[0]
    layer.scaling = usual
    assert torch.equal(layer(tensors["x"])[0], unscaled)
    layer.scaling = 2 * usual
    scaled = layer(tensors["x"])[0]
    # A factor of two is exact, whether the scale or q has it.
    layer.scaling = usual
    layer.q_proj.weight.data *= 2
    assert torch.equal(layer(tensors["x"])[0], scaled) and not torch.equal(scaled, unscaled)


def test_evaluation_goes_on_with_full_attention_unless_asked():
    record, tensors = golden_layer(LAYERS[1][0])
    kind = llama(tensors, record["config"], OldRotary)
    undo = longlora.replace_llama_attn(kind, mask="split")
    assert kind().eval()(tensors["x"])[0] == "full"
    undo()
    longlora.replace_llama_attn(kind, mask="split", full_attention_in_eval=False)
    assert float((kind().eval()(tensors["x"])[0] - tensors["y"]).abs().max()) < 1e-4


@pytest.mark.parametrize("arguments, text", [({"past_key_value": object()}, "use_cache=False"), ({"output_attentions": True}, "output_attentions=True")])
def test_a_cache_in_training_is_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        run_layer(*LAYERS[1], OldRotary, **arguments)


def test_dropout_is_refused():
    record, tensors = golden_layer(LAYERS[1][0])
    kind = llama(tensors, record["config"], OldRotary)
    longlora.replace_llama_attn(kind, mask="split")
    layer = kind().train()
    layer.attention_dropout = 0.1
    with pytest.raises(ValueError, match="attention_dropout=0.1"):
        layer(tensors["x"])
