# How is a Llama model fine-tuned as LongLoRA does? By replacing the forward function of its attention layers.
"""    undo = s2attn.longlora.replace_llama_attn(group_size=0.25, mask="split")      # as llama_attn_replace.py's replace_llama_attn(use_flash_attn=True)
    ... train ...
    undo()

Works on the attention modules of transformers 4.31 and later (it reads q_proj, k_proj, v_proj, o_proj and the rotary embedding); tested on LongLoRA's golden layers with
modules of that shape; it was not run inside transformers. With newer versions prefer s2attn.huggingface.register.
"""
import inspect
from typing import Any, Callable, Optional, Tuple

import torch

from ._arguments import GroupSize, Settings, Shift, ShiftedHeads
from .functional import s2_attn_func
from .huggingface import key_padding


def replace_llama_attn(attention_class: Optional[type] = None, *, group_size: GroupSize = 0.25, mask: str, shift: Shift = None,
                       shifted_heads: ShiftedHeads = "second_half", full_attention_in_eval: bool = True, prefix: int = 0, whole_prefix: bool = False) -> Callable[[], None]:
    """Replaces attention_class.forward (transformers' LlamaAttention where not given) and returns a function that puts it back.

    In evaluation mode the class's own forward, full attention, goes on unless full_attention_in_eval is false: that is how LongLoRA evaluates and generates.
    mask="split" is what LongLoRA's flash-attention code computes, "local_causal" its eager code; settings as in s2_attn_func.
    """
    checked = Settings.of(group_size, mask, shift, shifted_heads, None, prefix, whole_prefix)
    settings = checked.arguments()
    causal = checked.mask not in ("bidirectional", "bidirectional_split")
    if attention_class is None:
        from transformers.models.llama.modeling_llama import LlamaAttention as attention_class
    original = attention_class.forward
    returns_cache = "use_cache" in inspect.signature(original).parameters

    def forward(self: Any, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if full_attention_in_eval and not self.training:
            return original(self, hidden_states, *args, **kwargs)
        given = inspect.signature(original).bind(self, hidden_states, *args, **kwargs).arguments
        given = {**given, **given.get("kwargs", {})}
        for name in ("past_key_value", "past_key_values"):
            if given.get(name) is not None:
                raise ValueError(f"{name}: must be None in training; set use_cache=False")
        if given.get("output_attentions"):
            raise ValueError("output_attentions=True: the weights are never stored")
        if self.training and getattr(self, "attention_dropout", 0.0):
            raise ValueError(f"attention_dropout={self.attention_dropout}: must be 0; S2-Attn of s2attn drops no weights")
        o = _attend(self, hidden_states, given, settings, causal)
        return (o, None, None) if returns_cache else (o, None)

    attention_class.forward = forward

    def undo() -> None:
        attention_class.forward = original

    return undo


def _attend(layer: Any, x: torch.Tensor, given: "dict[str, Any]", settings: "dict[str, Any]", causal: bool) -> torch.Tensor:
    """x [B,N,E] -> [B,N,E]."""
    batch, tokens, _ = x.shape
    q, k, v = (project(x).view(batch, tokens, -1, layer.head_dim) for project in (layer.q_proj, layer.k_proj, layer.v_proj))
    cos, sin = _rotation(layer, v, given)
    q, k = (tensor * cos + _rotate_half(tensor) * sin for tensor in (q, k))
    attention_mask = given.get("attention_mask") if given.get("padding_mask") is None else given["padding_mask"]
    padding = None if attention_mask is None else key_padding(attention_mask, tokens, causal)
    o = s2_attn_func(q, k, v, key_padding_mask=padding, softmax_scale=getattr(layer, "scaling", None), **settings)
    return layer.o_proj(o.reshape(batch, tokens, -1))


def _rotation(layer: Any, v: torch.Tensor, given: "dict[str, Any]") -> Tuple[torch.Tensor, torch.Tensor]:
    """cos and sin as [B or 1,N,1,D], from the caller (transformers 4.46 and later) or from the layer's own embedding (before)."""
    tokens = v.shape[1]
    if given.get("position_embeddings") is not None:
        cos, sin = given["position_embeddings"]
        return cos[:, :, None], sin[:, :, None]
    positions = given.get("position_ids")
    positions = torch.arange(tokens, device=v.device)[None] if positions is None else positions
    if "seq_len" in inspect.signature(layer.rotary_emb.forward).parameters:
        cos, sin = layer.rotary_emb(v.transpose(1, 2), seq_len=tokens)
        cos, sin = (table.reshape(-1, table.shape[-1])[positions] for table in (cos, sin))
    else:
        cos, sin = layer.rotary_emb(v, positions)
    return cos[:, :, None], sin[:, :, None]


def _rotate_half(x: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), -1)
