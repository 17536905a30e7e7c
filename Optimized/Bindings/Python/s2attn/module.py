# How is S2-Attn placed in a PyTorch model? As a module without weights that holds the settings.
from typing import Any, Optional

import torch

from ._arguments import GroupSize, Settings, Shift, ShiftedHeads
from .functional import s2_attn_func, s2_attn_varlen_func


class S2Attention(torch.nn.Module):
    """s2_attn_func with its settings fixed, checked when the module is made; see there for their meaning."""

    def __init__(self, group_size: GroupSize, *, mask: str, shift: Shift = None, shifted_heads: ShiftedHeads = "second_half", softmax_scale: Optional[float] = None,
                 prefix: int = 0, whole_prefix: bool = False):
        super().__init__()
        checked = Settings.of(group_size, mask, shift, shifted_heads, softmax_scale, prefix, whole_prefix)
        self.settings = {**checked.arguments(), "softmax_scale": checked.scale}

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, key_padding_mask: Optional[torch.Tensor] = None, cu_seqlens: Any = None, return_lse: bool = False) -> Any:
        """q [B,N,H,D], k and v [B,N,K,D] -> o [B,N,H,D], or (o, lse [B,H,N]); with cu_seqlens q [T,H,D], k and v [T,K,D] -> o [T,H,D]."""
        if cu_seqlens is None:
            return s2_attn_func(q, k, v, key_padding_mask=key_padding_mask, return_lse=return_lse, **self.settings)
        return s2_attn_varlen_func(q, k, v, cu_seqlens, key_padding_mask=key_padding_mask, return_lse=return_lse, **self.settings)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
