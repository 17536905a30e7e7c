# How does a call reach the library? From addresses and strides, whoever owns the memory; NumPy and PyTorch both come through here.
from dataclasses import dataclass, replace
from typing import Optional, Tuple

from ._arguments import Settings
from . import _library
from ._library import LIBRARY, check
from ._plans import PLANS, PlanKey

_threads = 0


@dataclass(frozen=True)
class View:
    """Memory of a tensor [B,N,heads,D]: the address of element (0,0,0,0) and the strides of b, n and h in elements; rows are contiguous."""

    address: int
    strides: Tuple[int, int, int]


def set_threads(threads: Optional[int]) -> None:
    """Workers of a call, from now on. None: PyTorch's torch.get_num_threads() for its tensors, the processors of the machine for arrays."""
    global _threads
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int)):
        raise TypeError(f"threads={threads!r}: must be an int of at least 1, or None")
    if threads is not None and not 1 <= threads <= 1024:
        raise ValueError(f"threads={threads}: must be from 1 to 1024, or None")
    _threads = threads or 0


def threads() -> int:
    """What set_threads said; 0 where it said nothing."""
    return _threads


def set_plan_cache(plans: int) -> None:
    """How many idle plans are kept, 16 unless set. A plan of its own is needed for each shape, strides and settings, and for calls at the same time."""
    if isinstance(plans, bool) or not isinstance(plans, int):
        raise TypeError(f"plans={plans!r}: must be an int of at least 0")
    if plans < 0:
        raise ValueError(f"plans={plans}: must be at least 0")
    PLANS.resize(plans)


def key_of(settings: Settings, shape: Tuple[int, int, int, int], key_shape: Tuple[int, ...], dtype: str, q: View, k: View, v: View,
           cu_seqlens: Optional[bytes], threads: int) -> PlanKey:
    """The plan of a forward pass over q of this shape [B,N,H,D]."""
    batch, tokens, heads, dim = shape
    part = settings.part
    bounds = None if part is None else (part.first_query, part.first_query + tokens, part.first_key, part.first_key + key_shape[1], part.tokens is None)
    if part is not None:
        tokens = max(int(settings.group_size), settings.prefix) if part.tokens is None else part.tokens
    return PlanKey(batch, tokens, heads, key_shape[-2], dim, dtype, settings.group_size, settings.mask, settings.shift, settings.shifted_heads, settings.scale,
                   _threads or threads, q.strides, k.strides, v.strides, None, cu_seqlens, settings.axes, bounds, prefix_of(settings, tokens if cu_seqlens is not None else None))


def prefix_of(settings: Settings, most: Optional[int] = None) -> int:
    """What the library is told of a prefix; of packed sequences no more than all tokens."""
    prefix = settings.prefix if most is None else min(settings.prefix, most)
    return prefix | _library.PREFIX_WHOLE if settings.whole_prefix and prefix else prefix


def forward(key: PlanKey, q: View, k: View, v: View, valid: Optional[int], o: int, lse: int) -> None:
    """o [B,N,H,D], dense, and lse [B,H,N], f32; addresses of memory that the caller keeps alive."""
    with PLANS.plan(key) as plan:
        check(LIBRARY.s2attn_forward(plan, q.address, k.address, v.address, valid, o, lse), "s2attn forward")


def backward(key: PlanKey, q: View, k: View, v: View, valid: Optional[int], o: int, lse: int, do: View, dlse: Optional[int], dq: int, dk: int, dv: int) -> None:
    """dq [B,N,H,D], dk and dv [B,N,K,D], dense, in the type of q; dlse [B,H,N] or None."""
    dense = (key.queries * key.heads * key.head_dim, key.heads * key.head_dim, key.head_dim)
    with PLANS.plan(key if do.strides == dense else replace(key, output_gradient=do.strides)) as plan:
        check(LIBRARY.s2attn_backward(plan, q.address, k.address, v.address, valid, o, lse, do.address, dlse, dq, dk, dv), "s2attn backward")
