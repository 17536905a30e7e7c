# What do torch.compile and torch.export see? Two operators with shapes and derivatives, by torch.library of torch 2.4 or later.
"""Written against the published contract of torch.library.custom_op, register_fake and register_autograd. The project's machines have torch 1.13, so the tests
run this file against a stand-in for torch.library that holds it to that contract; it was not run inside torch.compile."""
import json
from dataclasses import astuple
from typing import Any, Optional, Tuple

import torch

from . import _torch
from ._arguments import Part, Settings, cumulative

NAMESPACE = "s2attn"


def encode(settings: Settings) -> str:
    """Settings as a text, the only kind of constant that operators have room for."""
    return json.dumps([settings.group_size, settings.mask, settings.shift, settings.shifted_heads, settings.scale, astuple(settings.part) if settings.part else None, settings.axes, settings.prefix,
                       settings.whole_prefix])


def decode(text: str) -> Settings:
    """What encode wrote."""
    group_size, mask, shift, shifted_heads, scale, part, axes, prefix, whole_prefix = json.loads(text)
    return Settings(group_size, mask, tuple(shift) if isinstance(shift, list) else shift, shifted_heads if isinstance(shifted_heads, str) else tuple(shifted_heads), scale, Part(*part) if part else None,
                    tuple(map(tuple, axes)) if axes else None, prefix, whole_prefix)


def _ends(settings: Settings, cu_seqlens: Optional[torch.Tensor], q: torch.Tensor) -> Optional[bytes]:
    return None if cu_seqlens is None else cumulative(settings, cu_seqlens, q.shape[0])


def _run_forward(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, valid: Optional[torch.Tensor], cu_seqlens: Optional[torch.Tensor], settings: str) -> Tuple[torch.Tensor, torch.Tensor]:
    chosen = decode(settings)
    return _torch.run_forward(chosen, q, k, v, valid, _ends(chosen, cu_seqlens, q))


def _run_backward(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, valid: Optional[torch.Tensor], cu_seqlens: Optional[torch.Tensor],
                  o: torch.Tensor, lse: torch.Tensor, do: torch.Tensor, dlse: torch.Tensor, settings: str) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    chosen = decode(settings)
    return _torch.run_backward(chosen, q, k, v, valid, _ends(chosen, cu_seqlens, q), o.contiguous(), lse.contiguous(), do, dlse)


def register(library: Any) -> Tuple[Any, Any]:
    """Registers s2attn::forward and s2attn::backward with torch.library, and returns both operators."""
    given = "Tensor q, Tensor k, Tensor v, Tensor? valid, Tensor? cu_seqlens"
    backward = library.custom_op(f"{NAMESPACE}::backward", _run_backward, mutates_args=(), device_types="cpu",
                                 schema=f"({given}, Tensor o, Tensor lse, Tensor do, Tensor dlse, str settings) -> (Tensor, Tensor, Tensor)")
    forward = library.custom_op(f"{NAMESPACE}::forward", _run_forward, mutates_args=(), device_types="cpu", schema=f"({given}, str settings) -> (Tensor, Tensor)")
    forward.register_fake(lambda q, k, v, valid, cu_seqlens, settings: _torch.empty_outputs(q, cu_seqlens is not None))
    backward.register_fake(lambda q, k, v, *_: tuple(x.new_empty(x.shape) for x in (q, k, v)))

    def keep(ctx: Any, inputs: Any, output: Any) -> None:
        q, k, v, valid, cu_seqlens, ctx.settings = inputs
        ctx.save_for_backward(q, k, v, valid, cu_seqlens, *output)

    def differentiate(ctx: Any, do: Optional[torch.Tensor], dlse: Optional[torch.Tensor]) -> Any:
        q, k, v, valid, cu_seqlens, o, lse = ctx.saved_tensors
        do = torch.zeros_like(o) if do is None else do
        dlse = torch.zeros_like(lse) if dlse is None else dlse
        return (*backward(q, k, v, valid, cu_seqlens, o, lse, do, dlse, ctx.settings), None, None, None)

    forward.register_autograd(differentiate, setup_context=keep)
    return forward, backward


_registered: Any = None


def forward(settings: Settings, q: Any, k: Any, v: Any, cu_seqlens: Any, padding: Any) -> Tuple[torch.Tensor, torch.Tensor]:
    """As _torch.forward, as one operator."""
    operator = prepared()
    if operator is None:
        raise RuntimeError("s2attn: torch.compile and torch.export need torch 2.4 or later, which has torch.library.custom_op")
    valid = None if padding is None else (padding != 0).to(torch.uint8).contiguous()
    if cu_seqlens is not None and not isinstance(cu_seqlens, torch.Tensor):
        cu_seqlens = torch.tensor(list(cu_seqlens), dtype=torch.int64)
    return operator(q, k, v, valid, cu_seqlens, encode(settings))


def prepared() -> Any:
    """The operator, registered when the package is first imported, because a trace must not find it half made. None where torch is older."""
    global _registered
    if _registered is None and hasattr(torch.library, "custom_op"):
        _registered = register(torch.library)[0]
    return _registered
