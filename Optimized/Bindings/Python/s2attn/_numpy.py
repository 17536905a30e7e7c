# How do NumPy arrays go through the kernels? Forward, and a backward pass of its own, because NumPy records none.
from typing import Any, Optional, Tuple

import numpy as np

from . import _kernel
from ._arguments import Settings, check_padding, check_shapes, cumulative
from ._kernel import View


def forward(settings: Settings, q: Any, k: Any, v: Any, cu_seqlens: Any, padding: Any) -> Tuple[np.ndarray, np.ndarray]:
    """o in the type of q and lse [B,H,N]; [T,H,D] and [H,T] where packed."""
    packed = cu_seqlens is not None
    check_shapes(settings, packed, *_facts(q=q, k=k, v=v))
    valid = _valid(padding, k, packed)
    ends = cumulative(settings, cu_seqlens, q.shape[0]) if packed else None
    o = np.empty(q.shape, q.dtype)
    lse = np.empty(q.shape[-2:-4:-1] if packed else (q.shape[0], q.shape[2], q.shape[1]), np.float32)
    if q.size == 0:
        return o, lse
    keep, views = _views(packed, q, k, v)
    _kernel.forward(_key(settings, q, k, packed, views, ends), *views, _address(valid), _address(o), _address(lse))
    return o, lse


def backward(settings: Settings, do: Any, q: Any, k: Any, v: Any, o: Any, lse: Any, dlse: Any, cu_seqlens: Any, padding: Any) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dq, dk and dv in the type of q."""
    packed = cu_seqlens is not None
    check_shapes(settings, packed, *_facts(q=q, k=k, v=v, do=do, o=o))
    for name, array in (("do", do), ("o", o)):
        if array.shape != q.shape:
            raise ValueError(f"{name} has shape {list(array.shape)}: must be that of q, {list(q.shape)}")
    lse_shape = (q.shape[1], q.shape[0]) if packed else (q.shape[0], q.shape[2], q.shape[1])
    for name, array in (("lse", lse), ("dlse", dlse)):
        if array is None and name == "dlse":
            continue
        if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.shape != lse_shape:
            raise ValueError(f"{name} must be a float32 array of shape {list(lse_shape)}, as s2_attn_func returns it")
    valid = _valid(padding, k, packed)
    ends = cumulative(settings, cu_seqlens, q.shape[0]) if packed else None
    dq, dk, dv = (np.empty(x.shape, x.dtype) for x in (q, k, v))
    if q.size == 0:
        return dq, dk, dv
    keep, views = _views(packed, q, k, v, do)
    o, lse = np.ascontiguousarray(o), np.ascontiguousarray(lse)
    dlse = None if dlse is None else np.ascontiguousarray(dlse)
    _kernel.backward(_key(settings, q, k, packed, views, ends), *views[:3], _address(valid), _address(o), _address(lse), views[3], _address(dlse), *map(_address, (dq, dk, dv)))
    return dq, dk, dv


def _facts(**arrays: Any) -> "tuple[dict[str, Tuple[int, ...]], dict[str, str]]":
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name} is {type(array).__name__}: must be a numpy.ndarray, as q is")
        if not array.dtype.isnative:
            raise TypeError(f"{name} has dtype {array.dtype.str}: must be in the byte order of the machine")
    return {name: arrays[name].shape for name in "qkv"}, {name: array.dtype.name for name, array in arrays.items()}


def _valid(padding: Any, k: np.ndarray, packed: bool) -> Optional[np.ndarray]:
    if padding is None:
        return None
    if not isinstance(padding, np.ndarray):
        raise TypeError(f"key_padding_mask is {type(padding).__name__}: must be a numpy.ndarray, as q is")
    check_padding("key_padding_mask", padding.shape, padding.dtype.name, k.shape[:-2], "[T]" if packed else "[B,N]")
    return np.ascontiguousarray(padding != 0).view(np.uint8)


def _views(packed: bool, *arrays: np.ndarray) -> "tuple[list[np.ndarray], list[View]]":
    """The arrays, which must outlive the call, and their memory. Strides of any size and sign are read in place; rows that are not contiguous are copied."""
    kept = []
    for array in arrays:
        size = array.itemsize
        in_place = (array.shape[-1] == 1 or array.strides[-1] == size) and array.flags.aligned and all(stride % size == 0 for stride in array.strides)
        kept.append((array if in_place else np.ascontiguousarray(array))[(None,) if packed else ...])
    return kept, [View(_address(array), tuple(stride // array.itemsize for stride in array.strides[:3])) for array in kept]


def _address(array: Optional[np.ndarray]) -> Any:
    return None if array is None else array.__array_interface__["data"][0]


def _key(settings: Settings, q: np.ndarray, k: np.ndarray, packed: bool, views: "list[View]", ends: Optional[bytes]) -> Any:
    shape = (1, *q.shape) if packed else q.shape
    return _kernel.key_of(settings, shape, k.shape, q.dtype.name, *views[:3], ends, 0)
