# Which plan serves a call? A bounded, thread-safe store of idle plans, because a plan serves one call at a time and costs a quarter of a millisecond.
import ctypes
import math
import os
import threading
from array import array
from collections import OrderedDict
from contextlib import contextmanager
from ctypes import POINTER, byref, c_int64, c_uint8, c_uint64, cast, pointer
from dataclasses import dataclass
from typing import Iterator, Optional, Tuple, Union

from . import _library
from ._library import LIBRARY, Strides, check

Stride3 = Tuple[int, int, int]


@dataclass(frozen=True)
class PlanKey:
    """Everything that a plan depends on. Strides are (batch, token, head) in elements; cu_seqlens are the bytes of int64 values."""

    batch: int
    tokens: int
    heads: int
    kv_heads: int
    head_dim: int
    dtype: str
    group_size: Union[int, float, str]
    mask: str
    shift: Union[None, int, Tuple[int, ...]]
    shifted_heads: Union[str, Tuple[bool, ...]]
    scale: Optional[float]
    threads: int
    query: Stride3
    key: Stride3
    value: Stride3
    output_gradient: Optional[Stride3] = None
    cu_seqlens: Optional[bytes] = None
    axes: Optional[Tuple[Tuple[int, int, int], ...]] = None     # N, G and S of each axis
    part: Optional[Tuple[int, int, int, int, bool]] = None      # first and end of the queries, first and end of the keys, whether the text may still grow
    prefix: int = 0                                             # P, with PREFIX_WHOLE where it is seen whole

    @property
    def queries(self) -> int:
        """Tokens of q."""
        return self.tokens if self.part is None else self.part[1] - self.part[0]

    def config(self) -> _library.Config:
        """What the library is asked for; what it points to lives as long as it does."""
        config = self.settings()
        # lse as flash-attn has it, [B,H,N]; o and the gradients are dense [B,N,H,D].
        lse = (self.heads * self.queries, 1, self.queries)
        for name, strides in (("query", self.query), ("key", self.key), ("value", self.value), ("lse", lse), ("output_gradient", self.output_gradient)):
            if strides is not None:
                setattr(config, name + "_strides", pointer(Strides(*strides)))
        return config

    def settings(self) -> _library.Config:
        """All but strides."""
        config = _library.new_config()
        config.batch, config.tokens, config.heads, config.kv_heads, config.head_dim = self.batch, self.tokens, self.heads, self.kv_heads, self.head_dim
        config.dtype = config.gradient_dtype = _library.DTYPES[self.dtype]
        config.mask = _library.MASKS[self.mask]
        config.threads = self.threads
        config.prefix = self.prefix
        config.shift = self.shift if isinstance(self.shift, int) and self.axes is None else _library.DEFAULT_SHIFT
        config.scale = math.nan if self.scale is None else self.scale
        if self.axes is not None:
            config.group_rule, config.group_size = _library.EXPLICIT, 0
        elif self.group_size == "sft":
            config.group_rule = _library.SFT
        elif isinstance(self.group_size, float):
            config.group_rule, config.group_ratio = _library.RATIO, self.group_size
        else:
            config.group_rule, config.group_size = _library.EXPLICIT, int(self.group_size)
        if isinstance(self.shift, tuple):
            # The library copies them; what they are cast to is a union of flags and shifts.
            shifts = (c_int64 * self.heads)(*self.shift)
            config.shifted_heads, config.shifted = _library.SHIFTS, cast(shifts, POINTER(c_uint8))
        elif isinstance(self.shifted_heads, str):
            config.shifted_heads = _library.SHIFTED_HEADS[self.shifted_heads]
        else:
            config.shifted_heads, config.shifted = _library.FLAGS, (c_uint8 * self.heads)(*self.shifted_heads)
        return config

    def create(self) -> int:
        """A new plan's handle. ValueError where the library refuses the configuration."""
        config = self.config()
        handle = c_uint64()
        what = f"s2attn, {f'axes={self.axes!r}' if self.axes else f'group_size={self.group_size!r}'}, mask={self.mask!r}, {self.tokens} tokens"
        if self.part is not None:
            part = _library.Slice(ctypes.sizeof(_library.Slice), *self.part, 0)
            check(LIBRARY.s2attn_create_slice(byref(config), byref(part), byref(handle)), what)
        elif self.axes is not None:
            check(LIBRARY.s2attn_create_grid(byref(config), (_library.Axis * len(self.axes))(*self.axes), len(self.axes), byref(handle)), what)
        elif self.cu_seqlens is None:
            check(LIBRARY.s2attn_create(byref(config), byref(handle)), what)
        else:
            ends = array("q", self.cu_seqlens)
            address, count = ends.buffer_info()
            check(LIBRARY.s2attn_create_varlen(byref(config), ctypes.c_void_p(address), count, 1, byref(handle)), what)
        return handle.value


class PlanStore:
    """Idle plans, at most `capacity`; the one that was not used for the longest time goes first."""

    def __init__(self, capacity: int):
        self._capacity = capacity
        self._idle: "OrderedDict[int, PlanKey]" = OrderedDict()     # handle -> key, oldest first
        self._lock = threading.Lock()
        # A thread that holds the lock when another one forks does not exist in the child.
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    @property
    def idle(self) -> int:
        """How many plans wait."""
        return len(self._idle)

    @contextmanager
    def plan(self, key: PlanKey) -> Iterator[int]:
        """A plan that is this thread's alone until the block ends."""
        handle = self._take(key)
        if handle is None:
            handle = key.create()
        try:
            yield handle
        finally:
            self._put(handle, key)

    def resize(self, capacity: int) -> None:
        """Changes the number of plans that are kept; 0 keeps none."""
        with self._lock:
            self._capacity = capacity
            surplus = self._surplus()
        self._destroy(surplus)

    def _take(self, key: PlanKey) -> Optional[int]:
        with self._lock:
            handle = next((handle for handle in reversed(self._idle) if self._idle[handle] == key), None)
            if handle is not None:
                del self._idle[handle]
            return handle

    def _put(self, handle: int, key: PlanKey) -> None:
        with self._lock:
            self._idle[handle] = key
            surplus = self._surplus()
        self._destroy(surplus)

    def _surplus(self) -> "list[int]":
        return [self._idle.popitem(last=False)[0] for _ in range(len(self._idle) - self._capacity)]

    @staticmethod
    def _destroy(handles: "list[int]") -> None:
        for handle in handles:
            LIBRARY.s2attn_destroy(handle)


PLANS = PlanStore(capacity=16)
