# How does a model of transformers call S2-Attn? As an attention implementation of its interface, registered by name.
"""    s2attn.huggingface.register("s2attn", group_size=0.25, mask="split")
    model = AutoModelForCausalLM.from_pretrained(..., attn_implementation="s2attn")

Written against the published contract of transformers' AttentionInterface (and AttentionMaskInterface), and tested with modules that keep to it; it was not run inside
transformers, which the project's machines do not have.
"""
from typing import Any, Callable, Optional, Tuple

import torch

from ._arguments import GroupSize, Settings, Shift, ShiftedHeads
from .functional import s2_attn_func, s2_attn_varlen_func

# Arguments of models whose attention has a part that S2-Attn does not define: silence would be a wrong answer.
_REFUSED = ("sliding_window", "softcap", "s_aux", "head_mask", "position_bias")


def attention_function(group_size: GroupSize, *, mask: str, shift: Shift = None, shifted_heads: ShiftedHeads = "second_half", prefix: int = 0,
                       whole_prefix: bool = False) -> Callable[..., Tuple[torch.Tensor, None]]:
    """A function with the signature of transformers' attention implementations; settings as in s2_attn_func."""
    checked = Settings.of(group_size, mask, shift, shifted_heads, None, prefix, whole_prefix)
    settings = checked.arguments()
    causal = checked.mask not in ("bidirectional", "bidirectional_split")

    def s2_attention_forward(module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Optional[torch.Tensor],
                             dropout: float = 0.0, scaling: Optional[float] = None, is_causal: Optional[bool] = None, **kwargs: Any) -> Tuple[torch.Tensor, None]:
        """query [B,H,N,D], key and value [B,K,N,D], unrepeated -> (o [B,N,H,D], None)."""
        if dropout:
            raise ValueError(f"dropout={dropout}: must be 0; S2-Attn of s2attn drops no weights")
        wanted = getattr(module, "is_causal", None) if is_causal is None else is_causal
        if wanted is not None and bool(wanted) != causal:
            raise ValueError(f"is_causal={wanted}: contradicts mask={checked.mask!r}, with which s2attn was registered")
        for name in _REFUSED:
            if kwargs.get(name) is not None:
                raise ValueError(f"{name}={kwargs[name]!r}: must be None; S2-Attn does not define it")
        if kwargs.get("output_attentions"):
            raise ValueError("output_attentions=True: the weights are never stored; use attn_implementation='eager' to see them")
        if query.dim() == 4 and key.dim() == 4 and query.shape[2] != key.shape[2]:
            raise NotImplementedError(f"query has {query.shape[2]} tokens and key {key.shape[2]}: S2-Attn is for training and evaluation of whole sequences; generate with attn_implementation='sdpa'")
        q, k, v = (tensor.transpose(1, 2) for tensor in (query, key, value))
        ends = kwargs.get("cu_seq_lens_q")
        if ends is not None:
            if q.shape[0] != 1:
                raise ValueError(f"query has batch {q.shape[0]}: must be 1 where cu_seq_lens_q is given")
            padding = None if attention_mask is None else key_padding(attention_mask, q.shape[1], causal)[0]
            return s2_attn_varlen_func(q[0], k[0], v[0], ends, softmax_scale=scaling, key_padding_mask=padding, **settings)[None], None
        padding = None if attention_mask is None else key_padding(attention_mask, q.shape[1], causal)
        return s2_attn_func(q, k, v, softmax_scale=scaling, key_padding_mask=padding, **settings), None

    return s2_attention_forward


def key_padding(attention_mask: torch.Tensor, tokens: int, causal: bool) -> torch.Tensor:
    """bool [B,N], true for a real key, from transformers' mask: [B,N], or [B,1,N,N] (bool, or added to the scores) if it says no more than "causal, these keys are padded".

    Rows of padded queries are not looked at: versions of transformers fill them in differently.
    """
    if attention_mask.dim() == 2:
        if attention_mask.shape[1] != tokens:
            raise ValueError(f"attention_mask has shape {list(attention_mask.shape)}: must be [B,N] with N = {tokens}")
        return attention_mask != 0
    if attention_mask.dim() != 4 or attention_mask.shape[1] != 1 or attention_mask.shape[3] != tokens:
        raise ValueError(f"attention_mask has shape {list(attention_mask.shape)}: must be [B,N] or [B,1,N,N] with N = {tokens}")
    sees = attention_mask[:, 0] if attention_mask.dtype == torch.bool else attention_mask[:, 0] > -1.0
    rows = sees.shape[1]
    if rows not in (1, tokens):
        raise ValueError(f"attention_mask has shape {list(attention_mask.shape)}: must be [B,1,N,N] or [B,1,1,N] with N = {tokens}")
    # A real key is seen by the last real query, which is the last query (left padding) or sees itself (right padding).
    valid = sees[:, -1] if rows == 1 else torch.diagonal(sees, dim1=1, dim2=2)
    if rows == 1:
        return valid
    # Versions that let padded queries see every key, themselves too, hide left padding from the diagonal: the first key seen by the last row tells it.
    last = sees[:, -1]
    if causal:
        some = last.any(1, keepdim=True)
        before = torch.cumsum(last.to(torch.int32), 1) == 0
        valid = valid & ~(before & some)
    else:
        valid = last
    position = torch.arange(tokens, device=sees.device)
    expected = valid[:, None, :] & ((position[:, None] >= position) if causal else torch.ones(tokens, tokens, dtype=torch.bool, device=sees.device))
    if not bool(((sees == expected) | ~valid[:, :, None]).all()):
        raise ValueError(f"attention_mask of shape {list(attention_mask.shape)} says more than {'causal' if causal else 'bidirectional'} attention with padded keys, which S2-Attn cannot honour: give [B,N]")
    return valid


def register(name: str = "s2attn", function: Optional[Callable[..., Any]] = None, **settings: Any) -> Callable[..., Any]:
    """Registers attention_function(**settings), or `function`, with transformers under a name for attn_implementation; returns it. ImportError where transformers has no such interface."""
    if (function is None) == (not settings):
        raise TypeError("register(name, function) or register(name, group_size=..., mask=...): give a function or settings")
    function = attention_function(**settings) if function is None else function
    try:
        from transformers import AttentionInterface
    except ImportError as error:
        raise ImportError(f"s2attn.huggingface needs transformers 4.48 or later: {error}") from None
    AttentionInterface.register(name, function)
    try:                                    # so that the model hands over [B,N] instead of building N x N numbers
        from transformers.masking_utils import AttentionMaskInterface, flash_attention_mask
    except ImportError:
        return function
    AttentionMaskInterface.register(name, flash_attention_mask)
    return function
