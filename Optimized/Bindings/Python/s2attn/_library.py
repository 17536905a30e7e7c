# How is libs2attn found, opened and called? The structs and functions of s2attn.h, by ctypes.
import ctypes
import os
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_uint8, c_uint64, c_void_p
from pathlib import Path
from typing import Any

ABI_VERSION = 1
DTYPES = {"float32": 1, "float16": 2, "bfloat16": 3}
MASKS = {"local_causal": 1, "split": 2, "position_causal": 3, "bidirectional": 4, "bidirectional_split": 5}
SHIFTED_HEADS = {"second_half": 0, "none": 1, "all": 2}
FLAGS, SHIFTS = 3, 4
EXPLICIT, RATIO, SFT = 0, 1, 2
PREFIX_WHOLE = 1 << 30
DEFAULT_SHIFT = -1
NEEDED, ALL_SEQUENCES = -1, -1
SUCCESS, ARGUMENT, UNSUPPORTED, MEMORY = 0, 1, 2, 6


class Strides(ctypes.Structure):
    """s2attn_strides, in elements."""

    _fields_ = [("batch", c_int64), ("token", c_int64), ("head", c_int64)]


class Config(ctypes.Structure):
    """s2attn_config."""

    _fields_ = (
        [(name, c_int64) for name in ("struct_size", "batch", "tokens", "heads", "kv_heads", "head_dim", "value_dim", "group_size")]
        + [("group_ratio", c_double), ("shift", c_int64), ("scale", c_double)]
        + [(name, c_int32) for name in ("dtype", "gradient_dtype", "mask", "group_rule", "shifted_heads", "layout", "threads", "prefix")]
        + [("shifted", POINTER(c_uint8))]
        + [(name + "_strides", POINTER(Strides))
           for name in ("query", "key", "value", "output", "lse", "output_gradient", "query_gradient", "key_gradient", "value_gradient")])


class Slice(ctypes.Structure):
    """s2attn_slice."""

    _fields_ = [(name, c_int64) for name in ("struct_size", "first_query", "end_query", "first_key", "end_key")] + [("is_unbounded", c_int32), ("reserved", c_int32)]


class Axis(ctypes.Structure):
    """s2attn_axis."""

    _fields_ = [(name, c_int64) for name in ("tokens", "group_size", "shift")]


class CacheInfo(ctypes.Structure):
    """s2attn_cache_info."""

    _fields_ = [(name, c_int64) for name in ("struct_size", "length", "first_key", "max_rows", "bytes")]


_FUNCTIONS: "dict[str, tuple[Any, list[Any]]]" = {
    "s2attn_config_init": (c_int32, [POINTER(Config), c_int64]),
    "s2attn_create": (c_int32, [POINTER(Config), POINTER(c_uint64)]),
    "s2attn_create_varlen": (c_int32, [POINTER(Config), c_void_p, c_int64, c_int32, POINTER(c_uint64)]),
    "s2attn_create_slice": (c_int32, [POINTER(Config), POINTER(Slice), POINTER(c_uint64)]),
    "s2attn_create_grid": (c_int32, [POINTER(Config), POINTER(Axis), c_int64, POINTER(c_uint64)]),
    "s2attn_cache_create": (c_int32, [POINTER(Config), c_int64, c_int64, POINTER(c_uint64)]),
    "s2attn_cache_append": (c_int32, [c_uint64, c_int64, c_int64, c_void_p, c_void_p]),
    "s2attn_cache_attend": (c_int32, [c_uint64, c_int64, c_int64, c_void_p, c_void_p, c_void_p]),
    "s2attn_cache_reset": (c_int32, [c_uint64, c_int64]),
    "s2attn_cache_query": (c_int32, [c_uint64, c_int64, POINTER(CacheInfo)]),
    "s2attn_cache_destroy": (c_int32, [c_uint64]),
    "s2attn_forward": (c_int32, [c_uint64] + [c_void_p] * 6),
    "s2attn_backward": (c_int32, [c_uint64] + [c_void_p] * 11),
    "s2attn_destroy": (c_int32, [c_uint64]),
    "s2attn_last_error": (c_char_p, []),
    "s2attn_version": (c_char_p, []),
    "s2attn_abi_version": (c_int32, []),
    "s2attn_isa": (c_char_p, []),
}


def _path() -> Path:
    chosen = os.environ.get("S2ATTN_LIBRARY")
    return Path(chosen) if chosen else Path(__file__).resolve().parent / "lib" / "libs2attn.so"


def _open() -> Any:
    path = _path()
    if not path.is_file():
        raise ImportError(f"s2attn: there is no {path}: install the wheel, or name a libs2attn.so in S2ATTN_LIBRARY")
    try:
        library = ctypes.CDLL(str(path))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise ImportError(f"s2attn: {path} cannot be used: {error}") from None
    if (version := library.s2attn_abi_version()) < ABI_VERSION:
        raise ImportError(f"s2attn: {path} serves version {version} of s2attn.h, this package needs {ABI_VERSION}")
    return library


LIBRARY = _open()


def check(code: int, what: str) -> None:
    """Raises what a result other than success means; `what` names the call in the caller's terms."""
    if code == SUCCESS:
        return
    text = f"{what}: {LIBRARY.s2attn_last_error().decode('utf-8', 'replace')}"
    raise {ARGUMENT: ValueError, UNSUPPORTED: NotImplementedError, MEMORY: MemoryError}.get(code, RuntimeError)(text)


def new_config() -> Config:
    """A config with every field at its default."""
    config = Config()
    check(LIBRARY.s2attn_config_init(byref(config), ctypes.sizeof(Config)), "s2attn_config_init")
    return config


def version() -> str:
    """The version of the library."""
    return LIBRARY.s2attn_version().decode()


def instruction_set() -> str:
    """The instruction set in use, as "x86-64-v3"; the environment variable S2ATTN_ISA overrides the choice before the first import."""
    name = LIBRARY.s2attn_isa().decode()
    if not name:
        raise RuntimeError(f"s2attn: no instruction set can be used: {LIBRARY.s2attn_last_error().decode('utf-8', 'replace')}")
    return name
