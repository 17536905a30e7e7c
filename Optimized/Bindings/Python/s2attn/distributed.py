# How is one sequence attended that is cut over many processes? Each computes its own tokens; of its neighbours it needs a halo whose size does not grow with the text.
"""Context parallelism over a torch.distributed process group (gloo, on the CPU).

shards = Shards(tokens_of_this_rank); o = s2_attn_sharded(q, k, v, shards, group_size, mask="split"). Forward and backward send only halos; docs/distributed.md states the theorem.
"""
import time
from datetime import timedelta
from typing import Any, List, NamedTuple, Optional, Tuple

import torch
import torch.distributed as dist

from ._arguments import GroupSize, Settings, ShiftedHeads, check_group, check_shapes
from .functional import s2_attn_func

_WRAPS = {"local_causal", "bidirectional", "position_causal"}
_BOTH_WAYS = {"bidirectional", "bidirectional_split"}


class Shards:
    """Which tokens each rank of a group holds: rank 0 the first ones, and so on in order. Every rank of the group must make one, and call what uses it in the same order.

    tokens: tokens of this rank, 0 or more. group: a process group; None for all processes. timeout: seconds after which a rank that does not answer is given up.
    """

    def __init__(self, tokens: int, group: Any = None, timeout: float = 60.0):
        if not dist.is_available() or not dist.is_initialized():
            raise RuntimeError("torch.distributed is not initialised: call torch.distributed.init_process_group('gloo', ...) first")
        if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0:
            raise ValueError(f"tokens={tokens!r}: must be an int of at least 0")
        if not timeout > 0:
            raise ValueError(f"timeout={timeout!r}: must be seconds, more than 0")
        self.group, self.timeout = group, float(timeout)
        self.rank, self.world = dist.get_rank(group), dist.get_world_size(group)
        if self.rank < 0:
            raise ValueError("group: this process is not in it")
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.world)]
        work = dist.all_gather(lengths, torch.tensor([tokens], dtype=torch.int64), group=group, async_op=True)
        self._wait(work, "the number of its tokens", None)
        self.lengths: Tuple[int, ...] = tuple(int(length) for length in lengths)
        self.bytes_sent = 0
        self._calls = 0
        # Ranks without tokens take no part: their neighbours are each other's.
        self._filled = [rank for rank, length in enumerate(self.lengths) if length > 0]

    @property
    def total(self) -> int:
        """N, the tokens of all ranks."""
        return sum(self.lengths)

    def first(self) -> bool:
        return self._filled[0] == self.rank

    def last(self) -> bool:
        return self._filled[-1] == self.rank

    def neighbour(self, step: int) -> int:
        """The rank that holds the tokens before (-1) or behind (1) those of this one, around the end."""
        return self._filled[(self._filled.index(self.rank) + step) % len(self._filled)]

    def alone(self) -> bool:
        return len(self._filled) == 1

    def _wait(self, work: Any, what: str, peer: Optional[int]) -> None:
        who = "a rank" if peer is None else f"rank {peer}"
        start = time.monotonic()
        try:
            # A receive that runs out of time ends the connection: the others hear of it at once.
            done = work.wait(timedelta(seconds=self.timeout))
        except RuntimeError as error:
            spent = time.monotonic() - start
            raise RuntimeError(f"s2attn.distributed: {who} ended or did not answer rank {self.rank} within {self.timeout:g} s (after {spent:.1f} s): {what} was not exchanged: {error}") from error
        if done is False:
            raise RuntimeError(f"s2attn.distributed: {who} did not answer rank {self.rank} within {self.timeout:g} s: {what} was not exchanged")

    def _global(self, rank: int) -> int:
        if self.group is None:
            return rank
        of = getattr(dist, "get_global_rank", None) or dist.distributed_c10d._get_global_rank
        return of(self.group, rank)


class _Message(NamedTuple):
    """`rows` tokens at one end of a shard go from rank `source` to `target`."""

    tail: bool
    source: int
    target: int
    rows: int


def messages(shards: Shards, mask: str, group_size: int, shift: int) -> List[_Message]:
    """All halos of one call that this rank sends or receives, in the same order on every rank: the halo plan as data."""
    found = []
    filled = shards._filled
    for index, rank in enumerate(filled):
        before, behind = filled[index - 1], filled[(index + 1) % len(filled)]
        wraps_before = index == 0 and mask in ("local_causal", "bidirectional")
        if index > 0 or wraps_before:
            found.append(_Message(True, before, rank, group_size - shift))
        last = index == len(filled) - 1
        if (mask in _BOTH_WAYS and not last) or (last and mask in ("bidirectional", "position_causal")):
            # The last shard may be short of a head: only where nothing wraps may it be ragged.
            found.append(_Message(False, behind, rank, min(shift, shards.lengths[behind])))
    return [message for message in found if shards.rank in (message.source, message.target) and message.rows > 0]


def s2_attn_sharded(q: Any, k: Any, v: Any, shards: Shards, group_size: GroupSize, *, mask: str, shift: Optional[int] = None, shifted_heads: ShiftedHeads = "second_half",
                    softmax_scale: Optional[float] = None, return_lse: bool = False) -> Any:
    """S2-Attn of a sequence of which this rank holds q [B,n,H,D], k and v [B,n,K,D]: its rows of o (and lse [B,H,n]), as one process would compute them.

    Every shard but the last must hold a multiple of G tokens; ranks may hold none. Arguments and types are those of s2_attn_func, without padded keys; every rank passes the same.
    Heads that do not shift are computed while the halos of the others travel. Backward sends the gradients of the halos back: every rank must take part in it.
    """
    settings = Settings.of(group_size, mask, shift, shifted_heads, softmax_scale)
    if not isinstance(shards, Shards):
        raise TypeError(f"shards is {type(shards).__name__}: must be s2attn.distributed.Shards")
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        if not isinstance(tensor, torch.Tensor) or tensor.dim() != 4:
            raise ValueError(f"{name}: must be a torch.Tensor [B,n,heads,D]")
    if isinstance(settings.shift, tuple):
        raise ValueError(f"shift={list(settings.shift)}: must be one int, or None, where the sequence is cut over ranks: the halos are planned for one shift")
    size, cut = _sizes(settings, shards)
    if q.shape[1] != shards.lengths[shards.rank]:
        raise ValueError(f"q has {q.shape[1]} tokens: must have the {shards.lengths[shards.rank]} that rank {shards.rank} said to hold")
    fixed = Settings(1, settings.mask, 0, settings.shifted_heads, settings.scale)
    check_shapes(fixed, False, {"q": tuple(q.shape), "k": tuple(k.shape), "v": tuple(v.shape)}, {name: str(x.dtype)[6:] for name, x in (("q", q), ("k", k), ("v", v))})
    if q.shape[1] == 0:
        # No rows, but a function of all three, whose gradients are as empty.
        o = q + (k.sum() + v.sum())
        return (o, o.new_zeros((q.shape[0], q.shape[2], 0), dtype=torch.float32)) if return_lse else o
    heads = q.shape[2]
    flags = list(settings.shifted_heads) if not isinstance(settings.shifted_heads, str) else [
        settings.shifted_heads == "all" or (settings.shifted_heads == "second_half" and head >= heads // 2) for head in range(heads)]
    shifted = [head for head in range(heads) if flags[head] and cut > 0]
    others = [head for head in range(heads) if head not in shifted]
    scale = q.shape[3] ** -0.5 if settings.scale is None else settings.scale
    local = "bidirectional_split" if settings.mask in _BOTH_WAYS else "split"

    def attend(part: Tuple[torch.Tensor, torch.Tensor, torch.Tensor], start: int, name: str) -> Any:
        """Groups of G from the first token on, or runs whose first one has `start` tokens."""
        return s2_attn_func(*part, min(size, part[0].shape[1]), mask=name, shift=start, shifted_heads="all" if start else "none", softmax_scale=scale, return_lse=True)

    parts = []
    if shifted and shards.alone():
        exchange = None
    elif shifted:
        kv = sorted({_kv_of(head, heads, k.shape[2]) for head in shifted})
        exchange = _Exchange(shards, messages(shards, settings.mask, size, cut), _take(k, kv), _take(v, kv))
    if others:
        parts.append(attend(_subset(q, k, v, others), 0, local))
    if shifted:
        if exchange is None:
            parts.append(attend(_subset(q, k, v, shifted), cut, settings.mask))
        else:
            parts.append(_shifted(q, shifted, kv, heads // k.shape[2], exchange, shards, settings.mask, size, cut, local, attend))
    order = others + shifted
    inverse = [order.index(head) for head in range(heads)]
    o, lse = (part[0] if len(part) == 1 else torch.cat(part, axis) for part, axis in (([p[0] for p in parts], 2), ([p[1] for p in parts], 1)))
    if inverse != list(range(heads)):
        o, lse = o[:, :, inverse], lse[:, inverse]
    return (o, lse) if return_lse else o


def _shifted(q: torch.Tensor, heads: List[int], kv: List[int], share: int, exchange: "_Exchange", shards: Shards, mask: str, size: int, cut: int, local: str, attend: Any) -> Any:
    """The heads that shift: this rank's tokens between the halos, whose queries are not asked for."""
    own = q.shape[1]
    received = exchange.receive()
    pieces_k, pieces_v, rows, start = [], [], [], cut
    left, right = received.get(True), received.get(False)
    if left is not None:
        pieces_k.append(left[0])
        pieces_v.append(left[1])
        start = 0
    tail = size - cut if mask == "position_causal" and right is not None else 0
    before = 0 if left is None else size - cut
    pieces_k.append(exchange.k[:, :own - tail])
    pieces_v.append(exchange.v[:, :own - tail])
    rows = list(range(before, before + own - tail))
    if right is not None:
        pieces_k.append(right[0])
        pieces_v.append(right[1])
        if tail:
            # The first tokens of the text come before the last ones in their common group.
            pieces_k.append(exchange.k[:, own - tail:])
            pieces_v.append(exchange.v[:, own - tail:])
            rows += range(before + own - tail + cut, before + own + cut)
    k, v = torch.cat(pieces_k, 1), torch.cat(pieces_v, 1)
    queries = _take(q, heads)
    behind = k.shape[1] - before - own
    nothing = [queries.new_zeros((queries.shape[0], count, *queries.shape[2:])) for count in (before, behind)]
    asked = torch.cat([nothing[0], queries[:, :own - tail], nothing[1], queries[:, own - tail:]], 1)
    mapped = [kv.index(_kv_of(head, q.shape[2], q.shape[2] // share)) for head in heads]
    k, v = _read_by(k, mapped), _read_by(v, mapped)
    o, lse = attend((asked, k, v), start, local)
    if rows == list(range(before, before + own)):
        return o[:, before:before + own], lse[:, :, before:before + own]
    return o[:, rows], lse[:, :, rows]


class _Exchange:
    """Halos on their way. They are sent and received when it is made, and waited for by receive()."""

    def __init__(self, shards: Shards, plan: List[_Message], k: torch.Tensor, v: torch.Tensor):
        self.shards, self.plan, self.k, self.v = shards, plan, k, v
        shards._calls += 1
        # Tags keep apart the messages of calls, of passes, and those between the same two ranks.
        self.tag = shards._calls % (1 << 20) * 8
        shape = [2, k.shape[0], 0, *k.shape[2:]]
        self.edges = {message.tail: torch.stack([_edge(k.detach(), message), _edge(v.detach(), message)]).contiguous() for message in plan if message.source == shards.rank}
        self.halos = {message.tail: k.new_empty([*shape[:2], message.rows, *shape[3:]]) for message in plan if message.target == shards.rank}
        self.works = self.travel(self.edges, self.halos, 0)

    def travel(self, sent: "dict[bool, torch.Tensor]", received: "dict[bool, torch.Tensor]", phase: int) -> List[Tuple[Any, int, str]]:
        """Starts every message; in phase 1 the gradients, from target to source."""
        works = []
        what = "gradients of halos" if phase else "halos of keys and values"
        for message in self.plan:
            tag = self.tag + 4 * phase + 2 * message.tail
            source, target = (message.target, message.source) if phase else (message.source, message.target)
            if target == self.shards.rank:
                works.append((dist.irecv(received[message.tail], self.shards._global(source), self.shards.group, tag), source, what))
            if source == self.shards.rank:
                buffer = sent[message.tail]
                works.append((dist.isend(buffer, self.shards._global(target), self.shards.group, tag), target, what))
                self.shards.bytes_sent += buffer.numel() * buffer.element_size()
        return works

    def finish(self, works: List[Tuple[Any, int, str]]) -> None:
        for work, peer, what in works:
            self.shards._wait(work, what, peer)

    def receive(self) -> "dict[bool, Tuple[torch.Tensor, torch.Tensor]]":
        """tail -> (k, v) of each halo of this rank, differentiable."""
        self.finish(self.works)
        names = sorted(self.halos)
        self.k, self.v, *halos = _Halos.apply(self, names, self.k, self.v)
        return {name: (halos[2 * index], halos[2 * index + 1]) for index, name in enumerate(names)}


class _Halos(torch.autograd.Function):
    """The halos as functions of the keys and values of this rank, which stand for those of its neighbours: their gradients go home in the backward pass."""

    @staticmethod
    def forward(ctx: Any, exchange: _Exchange, names: List[bool], k: torch.Tensor, v: torch.Tensor) -> Any:
        ctx.exchange, ctx.names = exchange, names
        # k and v pass through, so that a rank that only sends still takes part in the backward pass.
        return (k.clone(), v.clone(), *(exchange.halos[name][which] for name in names for which in (0, 1)))

    @staticmethod
    def backward(ctx: Any, *gradients: Optional[torch.Tensor]) -> Any:
        exchange, names = ctx.exchange, ctx.names
        sent = {name: torch.stack([gradients[2 * index + 2], gradients[2 * index + 3]]).contiguous() for index, name in enumerate(names)}
        received = {name: torch.empty_like(edge) for name, edge in exchange.edges.items()}
        exchange.finish(exchange.travel(sent, received, 1))
        dk, dv = gradients[0].clone(), gradients[1].clone()
        for message in exchange.plan:
            if message.source == exchange.shards.rank:
                for total, share in zip((dk, dv), received[message.tail]):
                    _edge(total, message).add_(share)
        return None, None, dk, dv


def _edge(tensor: torch.Tensor, message: _Message) -> torch.Tensor:
    return tensor[:, tensor.shape[1] - message.rows:] if message.tail else tensor[:, :message.rows]


def _sizes(settings: Settings, shards: Shards) -> Tuple[int, int]:
    """G and S, checked against all shards, with the same outcome on every rank."""
    total = shards.total
    size = settings.group_size
    if not isinstance(size, int):
        raise ValueError(f"group_size={size!r}: must be an int where the sequence is cut over ranks")
    if total == 0:
        return size, 0
    if size > total:
        raise ValueError(f"group_size={size}: must be at most N, {total} tokens of all ranks")
    check_group(settings, total, f"the {total} tokens of all ranks")
    for rank in shards._filled[:-1]:
        if shards.lengths[rank] % size:
            raise ValueError(f"rank {rank} holds {shards.lengths[rank]} tokens: must be a multiple of group_size={size}, as every shard but the last")
    return size, size // 2 if settings.shift is None else settings.shift


def _kv_of(head: int, heads: int, kv_heads: int) -> int:
    return head // (heads // kv_heads)


def _take(tensor: torch.Tensor, heads: List[int]) -> torch.Tensor:
    return tensor[:, :, heads[0]:heads[-1] + 1] if heads == list(range(heads[0], heads[-1] + 1)) else tensor[:, :, heads]


def _read_by(tensor: torch.Tensor, mapped: List[int]) -> torch.Tensor:
    """The kv heads that query heads read: as they are where each is read by as many heads, else one for each."""
    count = tensor.shape[2]
    even = len(mapped) % count == 0 and mapped == [index // (len(mapped) // count) for index in range(len(mapped))]
    return tensor if even else tensor[:, :, mapped]


def _subset(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: List[int]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    kv = sorted({_kv_of(head, q.shape[2], k.shape[2]) for head in heads})
    mapped = [kv.index(_kv_of(head, q.shape[2], k.shape[2])) for head in heads]
    return _take(q, heads), _read_by(_take(k, kv), mapped), _read_by(_take(v, kv), mapped)
