# What do LongLoRA's files see in place of the packages that a CPU lacks?
"""Stand-ins for einops, flash_attn and transformers, only as far as the exported functions reach. README.md states their behaviour."""

import math
import sys
import types

import torch

QUERY_BLOCK = 512


# ---- einops -----------------------------------------------------------------------------------------------------------


def _axes(side):
    """'b (h d)' -> [['b'], ['h', 'd']]"""
    axes, inside = [], None
    for word in side.replace("(", " ( ").replace(")", " ) ").split():
        if word == "(":
            inside = []
        elif word == ")":
            axes.append(inside)
            inside = None
        elif inside is not None:
            inside.append(word)
        else:
            axes.append([word])
    return axes


def rearrange(tensor, pattern, **sizes):
    """einops.rearrange for patterns that keep the order of the axes, i.e. that only merge or split neighbours; "..." stands for the same axes on both sides."""
    if "..." in pattern:
        named = len(_axes(pattern.split("->")[0])) - 1
        pattern = pattern.replace("...", " ".join(f"rest{i}" for i in range(tensor.dim() - named)))
    left, right = (_axes(side) for side in pattern.split("->"))
    if [name for axis in left for name in axis] != [name for axis in right for name in axis] or len(left) != tensor.dim():
        raise NotImplementedError(f"rearrange: pattern '{pattern}' moves axes or does not fit shape {tuple(tensor.shape)}")
    sizes = dict(sizes)
    for axis, extent in zip(left, tensor.shape):
        unknown = [name for name in axis if name not in sizes]
        if len(unknown) > 1:
            raise ValueError(f"rearrange: '{pattern}' leaves the sizes of {unknown} open")
        known = math.prod(sizes[name] for name in axis if name in sizes)
        if unknown:
            sizes[unknown[0]] = extent // known
        if math.prod(sizes[name] for name in axis) != extent:
            raise ValueError(f"rearrange: '{pattern}' does not divide shape {tuple(tensor.shape)}")
    return tensor.reshape([math.prod(sizes[name] for name in axis) for axis in right])


# ---- flash_attn -------------------------------------------------------------------------------------------------------


def unpad_input(hidden_states, attention_mask):
    """Tokens whose mask is not 0, packed; their flat indices; int32 cumulative row lengths; the longest row's length."""
    lengths = attention_mask.sum(dim=-1, dtype=torch.int32)
    indices = torch.nonzero(attention_mask.flatten()).flatten()
    cumulative = torch.cat([lengths.new_zeros(1), torch.cumsum(lengths, dim=0, dtype=torch.int32)])
    return hidden_states.flatten(0, 1)[indices], indices, cumulative, int(lengths.max())


def pad_input(hidden_states, indices, batch, seqlen):
    """The inverse of unpad_input; rows that were not packed are 0."""
    padded = hidden_states.new_zeros(batch * seqlen, *hidden_states.shape[1:])
    padded[indices] = hidden_states
    return padded.unflatten(0, (batch, seqlen))


class VarlenCalls:
    """The cu_seqlens of each call, for the metadata."""

    log = []


def flash_attn_varlen_qkvpacked_func(qkv, cu_seqlens, max_seqlen, dropout_p=0.0, softmax_scale=None, causal=False):
    """Causal attention inside each segment [cu[i], cu[i+1]) of packed qkv [nnz, 3, H, D].

    Segments are taken in order. One with cu[i+1] <= cu[i] is skipped; an end beyond nnz is cut to nnz; a row written twice
    keeps the later value; a row in no segment is 0. float64 stays float64; every other type is computed in float32 and
    rounded once, at the end. (The CUDA kernel has no order between segments and no cut at nnz: see README.md.)
    """
    if dropout_p != 0.0 or not causal:
        raise NotImplementedError("flash_attn stand-in: only dropout_p=0 and causal=True")
    VarlenCalls.log.append((cu_seqlens.tolist(), int(max_seqlen), qkv.shape[0]))
    nnz, _, heads, dim = qkv.shape
    scale = 1.0 / math.sqrt(dim) if softmax_scale is None else softmax_scale
    wide = qkv if qkv.dtype == torch.float64 else qkv.float()
    query, key, value = (part.transpose(0, 1) for part in wide.unbind(1))  # [H, nnz, D]
    output = torch.zeros(heads, nnz, dim, dtype=wide.dtype)
    bounds = cu_seqlens.tolist()
    for start, end in zip(bounds, bounds[1:]):
        end = min(end, nnz)
        for first in range(start, end, QUERY_BLOCK):
            last = min(first + QUERY_BLOCK, end)
            scores = query[:, first:last] @ key[:, start:last].transpose(1, 2) * scale
            future = torch.arange(start, last)[None, :] > torch.arange(first, last)[:, None]
            weights = torch.softmax(scores.masked_fill(future, -math.inf), dim=-1)
            output[:, first:last] = weights @ value[:, start:last]
    return output.transpose(0, 1).to(qkv.dtype)


def _not_exported(name):
    def refuse(*_, **__):
        raise NotImplementedError(f"flash_attn stand-in: {name} is imported by LongLoRA but not reached by the exported functions")

    return refuse


# ---- transformers -----------------------------------------------------------------------------------------------------


def rotate_half(x):
    """(x1, x2) -> (-x2, x1), halves of the last axis."""
    first, second = x.split([x.shape[-1] // 2, x.shape[-1] - x.shape[-1] // 2], dim=-1)
    return torch.cat([-second, first], dim=-1)


class RotatedStates:
    """What apply_rotary_pos_emb returned last, so that q and k after rotation can be exported with their gradients."""

    query = key = None


def apply_rotary_pos_emb(q, k, cos, sin, position_ids):
    """q, k [B,H,N,D] and cos, sin [1,1,N,D] -> x * cos + rotate_half(x) * sin at the given positions."""
    cos, sin = (table[0, 0][position_ids].unsqueeze(1) for table in (cos, sin))
    RotatedStates.query, RotatedStates.key = (x * cos + rotate_half(x) * sin for x in (q, k))
    for x in (RotatedStates.query, RotatedStates.key):
        if x.requires_grad:
            x.retain_grad()
    # Copies, because LongLoRA's eager path shifts in place what it got.
    return RotatedStates.query.clone(), RotatedStates.key.clone()


def repeat_kv(hidden_states, n_rep):
    """[B,K,N,D] -> [B,K*n_rep,N,D]; head h of the result is head h / n_rep. The same tensor when n_rep is 1, else a copy.

    (transformers expands and reshapes, which for K = 1 is no copy, and LongLoRA's eager path then cannot shift it in place: README.md.)
    """
    return hidden_states if n_rep == 1 else hidden_states.unsqueeze(2).expand(-1, -1, n_rep, -1, -1).flatten(1, 2).contiguous()


def rotary_tables(tokens, dim, base, dtype):
    """cos and sin [1,1,N,dim] of t * base^(-2i/dim), the angles twice side by side; computed in float64, rounded once."""
    frequency = base ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angles = torch.arange(tokens, dtype=torch.float64)[:, None] * frequency[None, :]
    angles = torch.cat([angles, angles], dim=-1)[None, None]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def null_tables(tokens, dim, dtype):
    """The rotation by 0: cos = 1, sin = 0."""
    return torch.ones(1, 1, tokens, dim, dtype=dtype), torch.zeros(1, 1, tokens, dim, dtype=dtype)


def llama_additive_mask(valid, dtype):
    """[B,1,N,N]: lowest(dtype) where u > t, plus lowest(dtype) where u is padding. Where both hold the sum is -infinity."""
    batch, tokens = valid.shape
    lowest = torch.finfo(dtype).min
    future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    causal = torch.zeros(tokens, tokens, dtype=dtype).masked_fill(future, lowest)
    padding = torch.zeros(batch, 1, 1, tokens, dtype=dtype).masked_fill(~valid[:, None, None, :], lowest)
    return padding + causal


def neox_additive_mask(valid, dtype):
    """[B,1,1,N]: lowest(dtype) where u is padding; the future is masked in neox_attn."""
    padding = ~valid[:, None, None, :]
    return torch.zeros(padding.shape, dtype=dtype).masked_fill(padding, torch.finfo(dtype).min)


def neox_attn(query, key, value, attention_mask, head_mask=None):
    """GPTNeoXAttention._attn: scaled scores, where u > t REPLACED by lowest(dtype), then attention_mask ADDED; softmax in dtype."""
    scores = torch.baddbmm(
        query.new_zeros(query.shape[0] * query.shape[1], query.shape[2], key.shape[2]),
        query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2), beta=1.0, alpha=query.shape[-1] ** -0.5)
    scores = scores.unflatten(0, query.shape[:2])
    causal = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    scores = torch.where(causal, scores, torch.tensor(torch.finfo(scores.dtype).min, dtype=scores.dtype))
    weights = torch.softmax(scores + attention_mask, dim=-1)
    return weights @ value, weights


def neox_merge_heads(tensor, heads, head_size):
    """[B,H,N,D] -> [B,N,H*D]"""
    return tensor.transpose(1, 2).reshape(tensor.shape[0], tensor.shape[2], heads * head_size)


# ---- torch.nn, for float64 only ---------------------------------------------------------------------------------------


def softmax_keeping_float64(scores, dim=-1, dtype=None):
    """nn.functional.softmax that does not narrow float64 to the float32 which LongLoRA's line asks for."""
    return torch.softmax(scores, dim=dim, dtype=torch.float64 if scores.dtype == torch.float64 else dtype)


NN_KEEPING_FLOAT64 = types.SimpleNamespace(functional=types.SimpleNamespace(softmax=softmax_keeping_float64))


def install():
    """Puts the stand-ins where LongLoRA's import statements look."""
    flash = {
        "__version__": "2.1.0",
        "flash_attn_func": _not_exported("flash_attn_func"),
        "flash_attn_varlen_func": _not_exported("flash_attn_varlen_func"),
        "flash_attn_varlen_kvpacked_func": _not_exported("flash_attn_varlen_kvpacked_func"),
        "flash_attn_varlen_qkvpacked_func": flash_attn_varlen_qkvpacked_func,
    }
    modules = {
        "einops": {"rearrange": rearrange},
        "flash_attn": flash,
        "flash_attn.flash_attn_interface": flash,
        "flash_attn.bert_padding": {"unpad_input": unpad_input, "pad_input": pad_input},
        "transformers": {},
        "transformers.models": {},
        "transformers.models.llama": {},
        "transformers.models.llama.modeling_llama": {
            "apply_rotary_pos_emb": apply_rotary_pos_emb, "repeat_kv": repeat_kv, "rotate_half": rotate_half},
    }
    for name, members in modules.items():
        module = types.ModuleType(name)
        module.__path__ = []
        module.__dict__.update(members)
        sys.modules[name] = module
