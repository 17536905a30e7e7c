# How is text generated, or read in chunks, without computing again what was computed? Keys and values of the past are kept, as many as the future can see.
import ctypes
import sys
from ctypes import byref, c_uint64
from typing import Any, List, Optional, Tuple

from . import _kernel, _library
from ._arguments import Settings, ShiftedHeads, _integer
from ._library import LIBRARY, check
from ._plans import PlanKey


class KeyValueCache:
    """Keys and values of sequences that grow, under mask "split": at most group_size + max_chunk tokens of each are kept, however long it gets.

        cache = s2attn.KeyValueCache(group_size=2048, heads=32, kv_heads=8, head_dim=128)
        o = cache(q, k, v)              # [T,H,D], [T,K,D], [T,K,D]: a chunk of the prompt, or one new token

    prefix, whole_prefix: as s2_attn_func has them; these tokens are kept for ever, and queries of a prefix that is seen whole are attended after all of it was appended.
    group_size of the longest text with shift=0 is causal attention to everything. With sequences=B every tensor has a first axis B, unless `sequence` names one.
    dtype: "float32", "float16" or "bfloat16", or the torch.dtype. Tensors of NumPy or PyTorch; there are no gradients. One call at a time.
    """

    def __init__(self, group_size: int, heads: int, kv_heads: int, head_dim: int, *, dtype: Any = "float32", sequences: int = 1, max_chunk: int = 512,
                 shift: Optional[int] = None, shifted_heads: ShiftedHeads = "second_half", softmax_scale: Optional[float] = None, threads: int = 0, prefix: int = 0,
                 whole_prefix: bool = False) -> None:
        self._handle = 0
        settings = Settings.of(_integer("group_size", group_size, "an int of at least 1"), "split", shift, shifted_heads, softmax_scale, prefix, whole_prefix)
        self._dtype = str(dtype).rpartition(".")[2]
        if self._dtype not in _library.DTYPES:
            raise TypeError(f"dtype={dtype!r}: must be one of {', '.join(_library.DTYPES)}")
        numbers = {name: _integer(name, value, "an int") for name, value in (("heads", heads), ("kv_heads", kv_heads), ("head_dim", head_dim), ("sequences", sequences), ("max_chunk", max_chunk), ("threads", threads))}
        self._heads, self._kv_heads, self._dim, self._sequences = (numbers[name] for name in ("heads", "kv_heads", "head_dim", "sequences"))
        if not isinstance(settings.shifted_heads, str) and len(settings.shifted_heads) != self._heads:
            raise ValueError(f"shifted_heads has {len(settings.shifted_heads)} flags: must be one for each of the {self._heads} heads")
        any_strides = (0, 0, 0)
        config = PlanKey(1, max(int(settings.group_size), settings.prefix), self._heads, self._kv_heads, self._dim, self._dtype, settings.group_size, "split", settings.shift, settings.shifted_heads, settings.scale,
                         numbers["threads"] or _kernel.threads(), any_strides, any_strides, any_strides, prefix=_kernel.prefix_of(settings)).settings()
        handle = c_uint64()
        check(LIBRARY.s2attn_cache_create(byref(config), self._sequences, numbers["max_chunk"], byref(handle)), "KeyValueCache")
        self._handle = handle.value

    def __call__(self, q: Any, k: Any, v: Any, sequence: Optional[int] = None, return_lse: bool = False) -> Any:
        """Appends k and v, and attends q, the queries of the same tokens."""
        self.append(k, v, sequence)
        return self.attend(q, sequence, return_lse)

    def append(self, k: Any, v: Any, sequence: Optional[int] = None) -> None:
        """Appends tokens, k and v [T,K,D], to one sequence; [B,T,K,D] to all where there are several and none is named. T may be more than max_chunk."""
        tokens = self._tokens("k", k, self._kv_heads, sequence)
        self._tokens("v", v, self._kv_heads, sequence)
        if tuple(v.shape) != tuple(k.shape):
            raise ValueError(f"v has shape {list(v.shape)}: must be that of k, {list(k.shape)}")
        kept = [_dense(tensor) for tensor in (k, v)]
        check(LIBRARY.s2attn_cache_append(self._open(), self._number(sequence), tokens, *(address for _, address in kept)), "KeyValueCache.append")

    def attend(self, q: Any, sequence: Optional[int] = None, return_lse: bool = False) -> Any:
        """o of the queries of the last T tokens, q [T,H,D], or [B,T,H,D] of all sequences; with lse [H,T] or [B,H,T] where asked. T is at most max_chunk."""
        tokens = self._tokens("q", q, self._heads, sequence)
        kept, address = _dense(q)
        o, lse = _empty(kept, tuple(kept.shape)), _empty(kept, tuple(kept.shape[:-1]), single=True)
        check(LIBRARY.s2attn_cache_attend(self._open(), self._number(sequence), tokens, address, _dense(o)[1], _dense(lse)[1]), "KeyValueCache.attend")
        return (o, lse.swapaxes(-1, -2)) if return_lse else o

    def reset(self, sequence: Optional[int] = None) -> None:
        """Forgets the tokens of a sequence, or of all, so that others can take their place."""
        check(LIBRARY.s2attn_cache_reset(self._open(), _library.ALL_SEQUENCES if sequence is None else sequence), "KeyValueCache.reset")

    @property
    def lengths(self) -> List[int]:
        """Tokens that were appended to each sequence."""
        return [self._info(sequence).length for sequence in range(self._sequences)]

    @property
    def first_keys(self) -> List[int]:
        """Of each sequence the first key that a later query sees; those before are dead."""
        return [self._info(sequence).first_key for sequence in range(self._sequences)]

    @property
    def bytes(self) -> int:
        """Bytes of keys and values that memory is held for."""
        return self._info(0).bytes

    def close(self) -> None:
        """Frees the memory; the cache cannot be used any more."""
        handle, self._handle = self._handle, 0
        check(LIBRARY.s2attn_cache_destroy(handle), "KeyValueCache.close")

    def __del__(self) -> None:
        if getattr(self, "_handle", 0) and LIBRARY is not None:
            LIBRARY.s2attn_cache_destroy(self._handle)

    def _open(self) -> int:
        if not self._handle:
            raise ValueError("the cache is closed")
        return self._handle

    def _number(self, sequence: Optional[int]) -> int:
        return _library.ALL_SEQUENCES if sequence is None else _integer("sequence", sequence, "an int, or None for all")

    def _info(self, sequence: int) -> Any:
        info = _library.CacheInfo(ctypes.sizeof(_library.CacheInfo))
        check(LIBRARY.s2attn_cache_query(self._open(), sequence, byref(info)), "KeyValueCache")
        return info

    def _tokens(self, name: str, tensor: Any, heads: int, sequence: Optional[int]) -> int:
        shape, dtype = tuple(getattr(tensor, "shape", ())), str(getattr(tensor, "dtype", type(tensor).__name__)).rpartition(".")[2]
        several = sequence is None and self._sequences > 1
        if dtype != self._dtype:
            raise TypeError(f"{name} has dtype {dtype}: must be {self._dtype}, the cache's")
        if shape[-2:] != (heads, self._dim) or len(shape) != 3 + several or (several and shape[0] != self._sequences):
            raise ValueError(f"{name} has shape {list(shape)}: must be {[self._sequences] if several else []}[T,{heads},{self._dim}]".replace("][", ","))
        if getattr(tensor, "requires_grad", False) and sys.modules["torch"].is_grad_enabled():
            raise ValueError(f"{name} requires gradients, and a cache has none: use torch.no_grad(), or s2_attn_slice_func")
        return shape[-3]


def _dense(tensor: Any) -> Tuple[Any, int]:
    """The tensor in row-major order, which must outlive the call, and its address."""
    if hasattr(tensor, "data_ptr"):
        if tensor.device.type != "cpu":
            raise ValueError(f"a tensor is on device {tensor.device}: must be on the CPU")
        tensor = tensor.detach().resolve_neg().contiguous()
        return tensor, tensor.data_ptr()
    if not hasattr(tensor, "__array_interface__"):
        raise TypeError(f"{type(tensor).__name__}: must be a torch.Tensor or a numpy.ndarray")
    import numpy as np
    tensor = np.ascontiguousarray(tensor)
    return tensor, tensor.__array_interface__["data"][0]


def _empty(like: Any, shape: Tuple[int, ...], single: bool = False) -> Any:
    """Memory of the library that `like` is of."""
    if hasattr(like, "data_ptr"):
        return like.new_empty(shape, dtype=sys.modules["torch"].float32) if single else like.new_empty(shape)
    import numpy as np
    return np.empty(shape, np.float32 if single else like.dtype)
