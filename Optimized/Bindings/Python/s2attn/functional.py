# What is called: S2-Attn over NumPy arrays or PyTorch tensors, in flash-attn's layout and order of arguments.
import sys
from dataclasses import replace
from typing import Any, Optional

from ._arguments import Axes, GroupSize, Part, Settings, Shift, ShiftedHeads

_DOCUMENTATION = """
    mask: which keys a query sees, by name; there is no default, because ports differ in just this (docs/semantics.md). With position(t) = (t - shift) mod N:
        "split"                same group, same side of the wrap-around, u <= t. LongLoRA's flash-attention code; never sees the future; any N
        "local_causal"         same group, position(u) <= position(t). LongLoRA's eager code; SEES THE FUTURE in the first `shift` tokens
        "position_causal"      same group, u <= t
        "bidirectional"        same group
        "bidirectional_split"  same group, same side of the wrap-around; any N
    group_size: G, an int; or a float r for int(N * r), LongLoRA's rule with 0.25; or "sft" for LongLoRA's rule of supervised fine-tuning.
    shift: S, 0 <= S < G; None: G // 2; or one int for each query head, 0 for those that do not shift: s2attn.phase_shifts makes such a list.
    shifted_heads: "second_half" (query heads h >= H // 2), "none", "all", or one bool for each query head.
    prefix, whole_prefix: the first `prefix` tokens, of each packed sequence its own, are keys of every query beside what the mask shows. Under a causal mask a query sees none of them that
        comes after it (attention sinks), unless whole_prefix: the prefix is then seen whole, also by its own tokens, as an image in front of a text. A part needs the keys from 0 on.
    softmax_scale: factor of q.k; None: 1 / sqrt(D).
    key_padding_mask: {padding}, bool or integers, true for a real key and false for a padded one. Padded keys and values may hold anything, NaN too.
    return_lse: also return the logsumexp of each row, {lse} in float32.

    Returns o in the shape and type of q, or (o, lse). A row that sees no key is 0 in o and -infinity in lse.
    Types: float32, float16 and bfloat16, the same for q, k and v; arithmetic is in float32. Tensors of any strides, 0 and negative too, are read in place unless their
    last axis is strided, which is copied. PyTorch tensors must be on the CPU; o and lse are differentiable once. Results do not depend on the number of threads.

    Raises TypeError and ValueError that name the argument, its value and the rule, before anything is computed.
    """


def s2_attn_func(q: Any, k: Any, v: Any, group_size: GroupSize, *, mask: str, shift: Shift = None, shifted_heads: ShiftedHeads = "second_half",
                 softmax_scale: Optional[float] = None, key_padding_mask: Any = None, return_lse: bool = False, prefix: int = 0, whole_prefix: bool = False) -> Any:
    """S2-Attn of q [B,N,H,D] over k and v [B,N,K,D]; K divides H, and query head h reads kv head h // (H // K)."""
    settings = Settings.of(group_size, mask, shift, shifted_heads, softmax_scale, prefix, whole_prefix)
    o, lse = _engine(q).forward(settings, q, k, v, None, key_padding_mask)
    return (o, lse) if return_lse else o


def s2_attn_varlen_func(q: Any, k: Any, v: Any, cu_seqlens: Any, group_size: GroupSize, *, mask: str, shift: Shift = None, shifted_heads: ShiftedHeads = "second_half",
                        softmax_scale: Optional[float] = None, key_padding_mask: Any = None, return_lse: bool = False, prefix: int = 0, whole_prefix: bool = False) -> Any:
    """S2-Attn within each of several sequences, packed one after another: q [T,H,D], k and v [T,K,D].

    cu_seqlens: ints 0, end of the first sequence, ..., T (a tensor, an array or a list); sequences of no tokens are allowed, and one shorter than group_size is a single group.
    """
    if cu_seqlens is None:
        raise TypeError("cu_seqlens=None: must be a sequence of ints; without one call s2_attn_func")
    settings = Settings.of(group_size, mask, shift, shifted_heads, softmax_scale, prefix, whole_prefix)
    o, lse = _engine(q).forward(settings, q, k, v, cu_seqlens, key_padding_mask)
    return (o, lse) if return_lse else o


def s2_attn_grid_func(q: Any, k: Any, v: Any, axes: Axes, *, mask: str, shifted_heads: ShiftedHeads = "second_half", softmax_scale: Optional[float] = None,
                      key_padding_mask: Any = None, return_lse: bool = False) -> Any:
    """S2-Attn of tokens on one to three axes, as the shifted windows of Swin over images and videos: q [B,N,H,D], k and v [B,N,K,D], N tokens in raster order, the last axis fastest.

    axes: the slowest first, each (tokens, group_size, shift), or (tokens, group_size) for a shift of group_size // 2; N is the product of their tokens. Two tokens are of one group, or on one
    side of the wrap-around, where they are so on every axis, and causal masks order them in raster order ("local_causal": that of their positions). "bidirectional_split" over two axes
    is Swin: s2_attn_grid_func(q, k, v, [(56, 7, 3), (56, 7, 3)], mask="bidirectional_split", shifted_heads="all"), and in every second layer shifted_heads="none".
    """
    o, lse = _engine(q).forward(Settings.of_grid(axes, mask, shifted_heads, softmax_scale), q, k, v, None, key_padding_mask)
    return (o, lse) if return_lse else o


def s2_attn_grid_backward(do: Any, q: Any, k: Any, v: Any, o: Any, lse: Any, axes: Axes, *, mask: str, shifted_heads: ShiftedHeads = "second_half",
                          softmax_scale: Optional[float] = None, key_padding_mask: Any = None, dlse: Any = None) -> Any:
    """(dq, dk, dv) of s2_attn_grid_func for NumPy arrays, as s2_attn_backward gives those of s2_attn_func."""
    from . import _numpy
    return _numpy.backward(Settings.of_grid(axes, mask, shifted_heads, softmax_scale), do, q, k, v, o, lse, dlse, None, key_padding_mask)


def s2_attn_slice_func(q: Any, k: Any, v: Any, group_size: GroupSize, *, mask: str, first_query: Optional[int] = None, first_key: int = 0, tokens: Optional[int] = None,
                       shift: Shift = None, shifted_heads: ShiftedHeads = "second_half", softmax_scale: Optional[float] = None, key_padding_mask: Any = None,
                       return_lse: bool = False, prefix: int = 0, whole_prefix: bool = False) -> Any:
    """S2-Attn of a part of a sequence: queries q [B,T,H,D] over the keys and values that are there for them, k and v [B,U,K,D].

    first_query, first_key: the tokens of q[:,0] and k[:,0], counted from the start of the sequence. first_query=None: the queries are the last T of the U tokens.
    tokens: N of the whole sequence; None, under "split" alone: the text may still grow, and what a query sees does not depend on it.
    Every key that a query sees must be there; more may be. Gradients of k and v are this part's shares: over parts that make up the sequence they add up to the whole's.
    """
    settings = _part(Settings.of(group_size, mask, shift, shifted_heads, softmax_scale, prefix, whole_prefix), q, k, first_query, first_key, tokens)
    o, lse = _engine(q).forward(settings, q, k, v, None, key_padding_mask)
    return (o, lse) if return_lse else o


def s2_attn_slice_backward(do: Any, q: Any, k: Any, v: Any, o: Any, lse: Any, group_size: GroupSize, *, mask: str, first_query: Optional[int] = None, first_key: int = 0,
                           tokens: Optional[int] = None, shift: Shift = None, shifted_heads: ShiftedHeads = "second_half", softmax_scale: Optional[float] = None,
                           key_padding_mask: Any = None, dlse: Any = None, prefix: int = 0, whole_prefix: bool = False) -> Any:
    """(dq, dk, dv) of s2_attn_slice_func for NumPy arrays, as s2_attn_backward gives those of s2_attn_func."""
    settings = _part(Settings.of(group_size, mask, shift, shifted_heads, softmax_scale, prefix, whole_prefix), q, k, first_query, first_key, tokens)
    from . import _numpy
    return _numpy.backward(settings, do, q, k, v, o, lse, dlse, None, key_padding_mask)


def _part(settings: Settings, q: Any, k: Any, first_query: Any, first_key: Any, tokens: Any) -> Settings:
    return replace(settings, part=Part.of(settings.mask, settings.group_size, q, k, first_query, first_key, tokens))


def s2_attn_backward(do: Any, q: Any, k: Any, v: Any, o: Any, lse: Any, group_size: GroupSize, *, mask: str, shift: Shift = None,
                     shifted_heads: ShiftedHeads = "second_half", softmax_scale: Optional[float] = None, key_padding_mask: Any = None,
                     cu_seqlens: Any = None, dlse: Any = None, prefix: int = 0, whole_prefix: bool = False) -> Any:
    """(dq, dk, dv) for NumPy arrays, from what s2_attn_func took and gave with return_lse=True, and do [B,N,H,D] (PyTorch: call backward() of the output).

    dlse: the gradient of lse, [B,H,N]; None where lse was not used. cu_seqlens: as in s2_attn_varlen_func, and then all shapes are those of packed sequences.
    """
    settings = Settings.of(group_size, mask, shift, shifted_heads, softmax_scale, prefix, whole_prefix)
    from . import _numpy
    return _numpy.backward(settings, do, q, k, v, o, lse, dlse, cu_seqlens, key_padding_mask)


def _engine(q: Any) -> Any:
    """PyTorch for its tensors; it is not imported for anything else."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(q, torch.Tensor):
        from . import _torch
        return _torch
    if type(q).__module__.partition(".")[0] != "numpy":
        raise TypeError(f"q is {type(q).__name__}: must be a torch.Tensor or a numpy.ndarray")
    from . import _numpy
    return _numpy


# The axes of a grid have groups and shifts of their own.
_OF_GRIDS = "\n".join(line for line in _DOCUMENTATION.split("\n") if not line.startswith(("    group_size:", "    shift:", "    prefix,", "        comes after it")))

for _function, _padding, _lse in ((s2_attn_func, "[B,N]", "[B,H,N]"), (s2_attn_varlen_func, "[T]", "[H,T]"), (s2_attn_grid_func, "[B,N]", "[B,H,N]"), (s2_attn_slice_func, "[B,U]", "[B,H,T]")):
    _function.__doc__ = (_function.__doc__ or "").rstrip() + "\n" + (_OF_GRIDS if _function is s2_attn_grid_func else _DOCUMENTATION).replace("{padding}", _padding).replace("{lse}", _lse)
