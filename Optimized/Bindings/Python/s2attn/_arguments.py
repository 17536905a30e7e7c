# Is a call well-formed? Every rule is checked here, under the names that the caller used, before anything is computed.
import math
import numbers
import operator
from array import array
from dataclasses import dataclass, replace
from typing import Any, Optional, Sequence, Tuple, Union

from ._library import DTYPES, MASKS, SHIFTED_HEADS

GroupSize = Union[int, float, str]
Shift = Union[None, int, Sequence[int]]
ShiftedHeads = Union[str, Sequence[bool]]
Axes = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Part:
    """Which part of a sequence q, k and v are: where they begin, and the tokens of the whole; None where the text may still grow."""

    first_query: int
    first_key: int
    tokens: Optional[int]

    @staticmethod
    def of(mask: str, group_size: GroupSize, q: Any, k: Any, first_query: Any, first_key: Any, tokens: Any) -> "Part":
        for name, tensor in (("q", q), ("k", k)):
            if len(getattr(tensor, "shape", ())) != 4:
                raise ValueError(f"{name} must be [B,T,heads,D]")
        first_key = _integer("first_key", first_key, "an int of at least 0")
        if q.shape[1] < 1:
            raise ValueError(f"q has shape {list(q.shape)}: a part has at least one query")
        # Fewer queries than keys are the last ones unless said otherwise.
        first_query = first_key + k.shape[1] - q.shape[1] if first_query is None else _integer("first_query", first_query, "an int of at least 0")
        if first_query < 0 or first_key < 0:
            raise ValueError(f"first_query={first_query}, first_key={first_key}: must be at least 0")
        if tokens is None and mask != "split":
            raise ValueError(f"tokens=None: must be N, the tokens of the whole sequence, for mask={mask!r}: only under 'split' does what a query sees not depend on it")
        if tokens is None and not isinstance(group_size, int):
            raise ValueError(f"group_size={group_size!r}: must be an int where tokens is None: N is not known")
        return Part(first_query, first_key, None if tokens is None else _integer("tokens", tokens, "an int of at least 1, or None"))


@dataclass(frozen=True)
class Settings:
    """What does not depend on the tensors, checked; see s2_attn_func for the meaning."""

    group_size: GroupSize
    mask: str
    shift: Union[None, int, Tuple[int, ...]]
    shifted_heads: Union[str, Tuple[bool, ...]]
    scale: Optional[float]
    part: Optional[Part] = None
    axes: Optional[Tuple[Tuple[int, int, int], ...]] = None     # N, G and S of each axis; group_size is then the tokens of all
    prefix: int = 0                                             # the first tokens, keys of every query
    whole_prefix: bool = False

    @staticmethod
    def of_grid(axes: Any, mask: Any, shifted_heads: Any, softmax_scale: Any) -> "Settings":
        rule = "one to three axes, the slowest first, each (tokens, group_size) or (tokens, group_size, shift)"
        try:
            given = [tuple(axis) for axis in axes]
        except TypeError:
            raise TypeError(f"axes={axes!r}: must be {rule}") from None
        if not 1 <= len(given) <= 3 or any(len(axis) not in (2, 3) for axis in given):
            raise ValueError(f"axes={axes!r}: must be {rule}")
        checked = []
        for index, axis in enumerate(given):
            tokens, group_size = (_integer(f"axes[{index}]", value, "ints") for value in axis[:2])
            shift = group_size // 2 if len(axis) == 2 or axis[2] is None else _integer(f"axes[{index}]", axis[2], "ints")
            if not (1 <= group_size <= tokens < 1 << 31 and 0 <= shift < group_size):
                raise ValueError(f"axes[{index}]={axis!r}: must have 1 <= group_size <= tokens < 2**31 and 0 <= shift < group_size")
            checked.append((tokens, group_size, shift))
        tokens = math.prod(axis[0] for axis in checked)
        return replace(Settings.of(tokens, mask, 0, shifted_heads, softmax_scale), axes=tuple(checked))

    @staticmethod
    def of(group_size: Any, mask: Any, shift: Any, shifted_heads: Any, softmax_scale: Any, prefix: Any = 0, whole_prefix: Any = False) -> "Settings":
        group_size = _group_size(group_size)
        shift = None if shift is None else _shift(shift, group_size)
        if isinstance(shift, tuple) and shifted_heads != "second_half":
            raise ValueError(f"shifted_heads={shifted_heads!r}: must be left out where shift has one int for each query head; a head with shift 0 does not shift")
        if softmax_scale is not None and (isinstance(softmax_scale, bool) or not isinstance(softmax_scale, numbers.Real)):
            raise TypeError(f"softmax_scale={softmax_scale!r}: must be a number, or None for 1 / sqrt(D)")
        if softmax_scale is not None and not math.isfinite(softmax_scale):
            raise ValueError(f"softmax_scale={softmax_scale!r}: must be finite")
        prefix = _integer("prefix", prefix, "an int of at least 0")
        if not 0 <= prefix < 1 << 30:
            raise ValueError(f"prefix={prefix}: must be at least 0 and less than 2**30")
        if not isinstance(whole_prefix, bool):
            raise TypeError(f"whole_prefix={whole_prefix!r}: must be a bool")
        return Settings(group_size, mask_name(mask), shift, _heads(shifted_heads), None if softmax_scale is None else float(softmax_scale), prefix=prefix,
                        whole_prefix=whole_prefix and prefix > 0)

    def arguments(self) -> "dict[str, Any]":
        """The checked settings under the names of s2_attn_func, but softmax_scale."""
        return {"group_size": self.group_size, "mask": self.mask, "shift": self.shift, "shifted_heads": self.shifted_heads, "prefix": self.prefix, "whole_prefix": self.whole_prefix}


def mask_name(mask: Any) -> str:
    """The canonical name of a mask; the names of the port protocol ("LocalCausal") are known too."""
    if isinstance(mask, str):
        for name in MASKS:
            if mask.replace("_", "").lower() == name.replace("_", ""):
                return name
    raise (ValueError if isinstance(mask, str) else TypeError)(f"mask={mask!r}: must be one of {', '.join(map(repr, MASKS))}; it has no default, because ports differ in just this")


def _group_size(value: Any) -> GroupSize:
    rule = "an int of at least 1, a ratio of the tokens as a float in (0, 1], or 'sft' for LongLoRA's rule of supervised fine-tuning"
    if isinstance(value, str):
        if value != "sft":
            raise ValueError(f"group_size={value!r}: must be {rule}")
        return value
    if isinstance(value, numbers.Real) and not isinstance(value, (bool, numbers.Integral)):
        if not 0 < value <= 1:
            raise ValueError(f"group_size={value!r}: must be {rule}")
        return float(value)
    value = _integer("group_size", value, rule)
    if not 1 <= value < 1 << 31:
        raise ValueError(f"group_size={value}: must be {rule}, less than 2**31")
    return value


def _integer(name: str, value: Any, rule: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={value!r}: must be {rule}") from None


def _shift(value: Any, group_size: GroupSize) -> Union[int, Tuple[int, ...]]:
    rule = "an int with 0 <= shift < group_size, one such int for each query head, or None for group_size // 2"
    if isinstance(value, (list, tuple)) or getattr(value, "ndim", 0) == 1:
        shifts = value.tolist() if hasattr(value, "tolist") else value
        return tuple(_shift_in(f"shift[{index}]", shift, group_size, rule) for index, shift in enumerate(shifts))
    return _shift_in("shift", value, group_size, rule)


def _shift_in(name: str, value: Any, group_size: GroupSize, rule: str) -> int:
    shift = _integer(name, value, rule)
    if not 0 <= shift < 1 << 31 or (isinstance(group_size, int) and shift >= group_size):
        raise ValueError(f"{name}={shift}: must be at least 0 and less than group_size={group_size}")
    return shift


def phase_shifts(phases: int, heads: int, group_size: int, rotated: bool = False) -> "list[int]":
    """One shift for each of `heads` query heads, in `phases` phases, to be given as `shift`: head h has phase p = (phases * (h + 1) - 1) // heads and shifts by
    group_size * p // phases; where `rotated`, as in every second layer of a model that turns its phases, by half a step more. Two phases are LongLoRA's halves."""
    for name, value in (("phases", phases), ("heads", heads), ("group_size", group_size)):
        if _integer(name, value, "an int of at least 1") < 1:
            raise ValueError(f"{name}={value}: must be at least 1")
    return [group_size * (2 * ((phases * (head + 1) - 1) // heads) + bool(rotated)) // (2 * phases) for head in range(heads)]


def _heads(value: Any) -> Union[str, Tuple[bool, ...]]:
    rule = f"one of {', '.join(map(repr, SHIFTED_HEADS))}, or one bool for each query head"
    if isinstance(value, str):
        if value not in SHIFTED_HEADS:
            raise ValueError(f"shifted_heads={value!r}: must be {rule}")
        return value
    try:
        flags = tuple(value.tolist() if hasattr(value, "tolist") else value)
    except TypeError:
        raise TypeError(f"shifted_heads={value!r}: must be {rule}") from None
    for index, flag in enumerate(flags):
        if not isinstance(flag, (bool, int)) and type(flag).__name__ not in ("bool_", "bool") or flag not in (0, 1):
            raise TypeError(f"shifted_heads[{index}]={flag!r}: must be a bool; shifted_heads is {rule}")
    return tuple(bool(flag) for flag in flags)


def check_shapes(settings: Settings, packed: bool, shapes: "dict[str, Tuple[int, ...]]", dtypes: "dict[str, str]") -> None:
    """q [B,N,H,D], k and v [B,N,K,D], or without B where packed; one type of DTYPES for all."""
    q, k, v = (shapes[name] for name in "qkv")
    rank, axes, kv_axes = (3, "[T,H,D]", "[T,K,D]") if packed else (4, "[B,N,H,D]", "[B,N,K,D]")
    for name, expected in zip("qkv", (axes, kv_axes, kv_axes)):
        if len(shapes[name]) != rank:
            raise ValueError(f"{name} has shape {list(shapes[name])}: must be {expected}" + (", the sequences one after another" if packed else ""))
    for name, dtype in dtypes.items():
        if dtype not in DTYPES:
            raise TypeError(f"{name} has dtype {dtype}: must be one of {', '.join(DTYPES)}")
        if dtype != dtypes["q"]:
            raise TypeError(f"{name} has dtype {dtype}, q has {dtypes['q']}: must be the same")
    heads, dim = q[-2:]
    if heads == 0 or dim == 0:
        raise ValueError(f"q has shape {list(q)}: H and D of {axes} must be at least 1")
    if settings.part is not None and (k[0] != q[0] or k[-1] != dim):
        raise ValueError(f"k has shape {list(k)}: must be [B,U,K,D] with the B and D of q, {list(q)}")
    if settings.part is None and (k[:-2] != q[:-2] or k[-1] != dim):
        raise ValueError(f"k has shape {list(k)}: must be {kv_axes} with the {'T' if packed else 'B and N'} and D of q, {list(q)}")
    if v != k:
        raise ValueError(f"v has shape {list(v)}: must be that of k, {list(k)}")
    if k[-2] == 0 or heads % k[-2]:
        raise ValueError(f"k has {k[-2]} heads: must divide the {heads} heads of q")
    if isinstance(settings.shift, tuple) and len(settings.shift) != heads:
        raise ValueError(f"shift has {len(settings.shift)} ints: must be one for each of the {heads} heads of q")
    if not isinstance(settings.shifted_heads, str) and len(settings.shifted_heads) != heads:
        raise ValueError(f"shifted_heads has {len(settings.shifted_heads)} flags: must be one for each of the {heads} heads of q")
    if settings.axes is not None and q[1] != settings.group_size:
        raise ValueError(f"q has {q[1]} tokens: must be {settings.group_size}, the places of axes={settings.axes!r}")
    if not packed and settings.part is None and 0 < q[1] < settings.prefix:
        raise ValueError(f"prefix={settings.prefix}: must be at most N, {q[1]} tokens of q")
    if not packed and settings.part is None and isinstance(settings.group_size, int) and q[1] > 0:
        check_group(settings, q[1], f"the {q[1]} tokens of q")
        if settings.group_size > q[1]:
            raise ValueError(f"group_size={settings.group_size}: must be at most N, {q[1]} tokens of q")


def check_group(settings: Settings, tokens: int, where: str) -> None:
    """Masks that wrap around need whole groups; a sequence shorter than a group is one."""
    if settings.mask not in ("split", "bidirectional_split") and tokens % min(int(settings.group_size), tokens):
        raise ValueError(f"group_size={settings.group_size}: must divide {where} for mask={settings.mask!r}; 'split' and 'bidirectional_split' take any number")


def check_padding(name: str, shape: Tuple[int, ...], dtype: str, expected: Tuple[int, ...], axes: str) -> None:
    """bool or 0 and 1; an additive mask of -infinity is refused rather than misread."""
    if dtype not in ("bool", "uint8", "int8", "int16", "int32", "int64"):
        raise TypeError(f"{name} has dtype {dtype}: must be bool or integers, true for a real key and false for a padded one; an additive mask must be turned into that first")
    if tuple(shape) != expected:
        raise ValueError(f"{name} has shape {list(shape)}: must be {axes} = {list(expected)}")


def cumulative(settings: Settings, values: Any, tokens: int) -> bytes:
    """cu_seqlens as the bytes of int64 values: 0, the end of the first sequence, ..., T."""
    if hasattr(values, "tolist"):
        if len(getattr(values, "shape", (0,))) != 1:
            raise ValueError(f"cu_seqlens has shape {list(values.shape)}: must have one axis")
        values = values.tolist()
    try:
        ends = [_integer(f"cu_seqlens[{index}]", value, "an int") for index, value in enumerate(values)]
    except TypeError as error:
        raise TypeError(str(error) if str(error).startswith("cu_seqlens") else f"cu_seqlens={values!r}: must be a sequence of ints") from None
    if not ends or ends[0] != 0:
        raise ValueError(f"cu_seqlens begins with {ends[:1]}: must begin with 0")
    for index in range(1, len(ends)):
        if ends[index] < ends[index - 1]:
            raise ValueError(f"cu_seqlens[{index}]={ends[index]}: must be at least cu_seqlens[{index - 1}]={ends[index - 1]}")
    if ends[-1] != tokens:
        raise ValueError(f"cu_seqlens ends with {ends[-1]}: must end with T, {tokens} rows of q")
    if isinstance(settings.group_size, int):
        for index in range(1, len(ends)):
            if (length := ends[index] - ends[index - 1]) > 0:
                check_group(settings, length, f"the {length} tokens of sequence {index - 1}")
    # A sequence without tokens changes nothing.
    return array("q", sorted(set(ends))).tobytes()
