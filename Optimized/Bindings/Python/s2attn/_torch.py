# How do PyTorch's tensors go through the kernels? Forward and backward as autograd sees them, from torch 1.13; as operators from 2.4.
from typing import Any, Optional, Tuple

import torch

from . import _kernel
from ._arguments import Settings, check_padding, check_shapes, cumulative
from ._kernel import View

Pair = Tuple[torch.Tensor, torch.Tensor]


def forward(settings: Settings, q: Any, k: Any, v: Any, cu_seqlens: Any, padding: Any) -> Pair:
    """o in the type of q and lse [B,H,N]; [T,H,D] and [H,T] where packed. Both are differentiable."""
    packed = cu_seqlens is not None
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        _check_tensor(name, tensor, q)
    check_shapes(settings, packed, {"q": tuple(q.shape), "k": tuple(k.shape), "v": tuple(v.shape)}, {name: str(tensor.dtype)[6:] for name, tensor in (("q", q), ("k", k), ("v", v))})
    if padding is not None:
        _check_tensor("key_padding_mask", padding, q)
        check_padding("key_padding_mask", tuple(padding.shape), str(padding.dtype)[6:], tuple(k.shape[:-2]), "[T]" if packed else "[B,N]")
    if is_traced(q):
        from . import _operators
        return _operators.forward(settings, q, k, v, cu_seqlens, padding)
    valid = None if padding is None else (padding != 0).contiguous().view(torch.uint8)
    ends = cumulative(settings, cu_seqlens, q.shape[0]) if packed else None
    if q.device.type == "meta":
        return empty_outputs(q, packed)
    return _Attention.apply(q, k, v, valid, settings, ends)


def is_traced(q: torch.Tensor) -> bool:
    """Whether torch.compile or torch.export looks on, which see operators and not memory (torch 2.4 or later)."""
    compiler = getattr(torch, "compiler", None)
    return type(q).__name__ in ("FakeTensor", "FunctionalTensor") or (compiler is not None and hasattr(compiler, "is_compiling") and compiler.is_compiling())


def empty_outputs(q: torch.Tensor, packed: bool) -> Pair:
    """Memory for o and lse."""
    lse = (q.shape[1], q.shape[0]) if packed else (q.shape[0], q.shape[2], q.shape[1])
    return torch.empty(q.shape, dtype=q.dtype, device=q.device), torch.empty(lse, dtype=torch.float32, device=q.device)


def run_forward(settings: Settings, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, valid: Optional[torch.Tensor], ends: Optional[bytes]) -> Pair:
    """The kernels' forward pass, outside of autograd."""
    packed = ends is not None
    o, lse = empty_outputs(q, packed)
    if q.numel():
        kept, views = _views(packed, q, k, v)
        _kernel.forward(_key(settings, q, k, packed, views, ends), *views, _address(valid), o.data_ptr(), lse.data_ptr())
    return o, lse


def run_backward(settings: Settings, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, valid: Optional[torch.Tensor], ends: Optional[bytes],
                 o: torch.Tensor, lse: torch.Tensor, do: Optional[torch.Tensor], dlse: Optional[torch.Tensor]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The kernels' backward pass: dense dq, dk and dv in the type of q."""
    packed = ends is not None
    dq, dk, dv = (torch.empty(x.shape, dtype=x.dtype) for x in (q, k, v))
    if q.numel():
        do = torch.zeros(q.shape[-1], dtype=q.dtype).expand(q.shape) if do is None else do
        kept, views = _views(packed, q, k, v, do)
        dlse = None if dlse is None else dlse.contiguous()
        _kernel.backward(_key(settings, q, k, packed, views, ends), *views[:3], _address(valid), o.data_ptr(), lse.data_ptr(), views[3], _address(dlse),
                         dq.data_ptr(), dk.data_ptr(), dv.data_ptr())
    return dq, dk, dv


class _Attention(torch.autograd.Function):
    """o and lse; PyTorch keeps the inputs and both outputs for the backward pass, and complains where one is changed in between."""

    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, valid: Optional[torch.Tensor], settings: Settings, ends: Optional[bytes]) -> Pair:
        o, lse = run_forward(settings, q, k, v, valid, ends)
        ctx.save_for_backward(q, k, v, valid, o, lse)
        ctx.settings, ctx.ends = settings, ends
        ctx.set_materialize_grads(False)
        return o, lse

    @staticmethod
    def backward(ctx: Any, do: Optional[torch.Tensor], dlse: Optional[torch.Tensor]) -> Any:
        q, k, v, valid, o, lse = ctx.saved_tensors
        if do is None and dlse is None:
            return (None,) * 6
        with torch.no_grad():
            gradients = run_backward(ctx.settings, q, k, v, valid, ctx.ends, o, lse, do, dlse)
        if torch.is_grad_enabled():         # create_graph=True: the first derivative is right, a second one is refused when it is asked for
            gradients = tuple(_FirstDerivative.apply(gradient, q, k, v, do, dlse) for gradient in gradients)
        return (*(gradient if needed else None for gradient, needed in zip(gradients, ctx.needs_input_grad)), None, None, None)


class _FirstDerivative(torch.autograd.Function):
    """Its argument, as a function of what it was computed from, with the derivative that the kernels do not have."""

    @staticmethod
    def forward(ctx: Any, gradient: torch.Tensor, *sources: Optional[torch.Tensor]) -> torch.Tensor:
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Optional[torch.Tensor]) -> Any:
        raise NotImplementedError("s2_attn_func has no second derivative: the gradients of q, k and v cannot be differentiated again (create_graph=True)")


def _check_tensor(name: str, tensor: Any, q: torch.Tensor) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} is {type(tensor).__name__}: must be a torch.Tensor, as q is")
    if tensor.layout != torch.strided:
        raise TypeError(f"{name} has layout {tensor.layout}: must be strided")
    if tensor.device.type not in ("cpu", "meta") or tensor.device != q.device:
        raise ValueError(f"{name} is on device {tensor.device}: must be on the CPU; call {name}.cpu() first")


def _views(packed: bool, *tensors: torch.Tensor) -> "tuple[list[torch.Tensor], list[View]]":
    """The tensors, which must outlive the call, and their memory. Any strides are read in place, 0 too; rows that are not contiguous are copied."""
    kept = []
    for tensor in tensors:
        tensor = tensor.resolve_neg() if tensor.is_neg() else tensor
        tensor = tensor if tensor.shape[-1] == 1 or tensor.stride(-1) == 1 else tensor.contiguous()
        kept.append(tensor[None] if packed else tensor)
    return kept, [View(tensor.data_ptr(), tensor.stride()[:3]) for tensor in kept]


def _address(tensor: Optional[torch.Tensor]) -> Any:
    return None if tensor is None else tensor.data_ptr()


def _key(settings: Settings, q: torch.Tensor, k: torch.Tensor, packed: bool, views: "list[View]", ends: Optional[bytes]) -> Any:
    shape = (1, *q.shape) if packed else tuple(q.shape)
    return _kernel.key_of(settings, shape, tuple(k.shape), str(q.dtype)[6:], *views[:3], ends, torch.get_num_threads())


if hasattr(torch, "library") and hasattr(torch.library, "custom_op"):
    from . import _operators
    _operators.prepared()
