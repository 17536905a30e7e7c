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
from .functional import s2_attn_func, s2_attn_slice_func

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
        what = "the number of its tokens"
        self._wait(self._begin(what, None, dist.all_gather, lengths, torch.tensor([tokens], dtype=torch.int64), group=group, async_op=True), what, None)
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

    def _begin(self, what: str, peer: Optional[int], start: Any, *arguments: Any, **options: Any) -> Any:
        """Starts a message, which fails at once where the connection is known to be closed."""
        try:
            return start(*arguments, **options)
        except RuntimeError as error:
            raise RuntimeError(f"s2attn.distributed: {_named(peer)} ended before rank {self.rank}: {what} was not exchanged: {error}") from error

    def _wait(self, work: Any, what: str, peer: Optional[int]) -> None:
        who = _named(peer)
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


def _named(peer: Optional[int]) -> str:
    return "a rank" if peer is None else f"rank {peer}"


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


class _Pass(NamedTuple):
    """`rows` tokens of a prefix go from rank `source` to its neighbour `target`: to the right those from 0 on, to the left those up to its end."""

    right: bool
    source: int
    target: int
    rows: int


def prefix_messages(shards: Shards, prefix: int, ordered: bool) -> List[_Pass]:
    """How a prefix goes from neighbour to neighbour, as data: what this rank sends or receives. At a cut behind c tokens min(P, c) rows go to the right, and where no order keeps
    queries of the prefix from what comes after them, the other P - min(P, c) to the left: P in all, however many ranks there are."""
    found, cut = [], 0
    for left, right in zip(shards._filled, shards._filled[1:]):
        cut += shards.lengths[left]
        found.append(_Pass(True, left, right, min(prefix, cut)))
        if not ordered:
            found.append(_Pass(False, right, left, prefix - min(prefix, cut)))
    return [message for message in found if shards.rank in (message.source, message.target) and message.rows > 0]


def s2_attn_sharded(q: Any, k: Any, v: Any, shards: Shards, group_size: GroupSize, *, mask: str, shift: Optional[int] = None, shifted_heads: ShiftedHeads = "second_half",
                    softmax_scale: Optional[float] = None, return_lse: bool = False, prefix: int = 0, whole_prefix: bool = False) -> Any:
    """S2-Attn of a sequence of which this rank holds q [B,n,H,D], k and v [B,n,K,D]: its rows of o (and lse [B,H,n]), as one process would compute them.

    Every shard but the last must hold a multiple of G tokens; ranks may hold none. Arguments and types are those of s2_attn_func, without padded keys; every rank passes the same.
    Heads that do not shift are computed while the halos of the others travel. A prefix, on however many ranks it lies, goes from neighbour to neighbour first. Backward sends the gradients
    of the halos and of the prefix back: every rank must take part in it.
    """
    settings = Settings.of(group_size, mask, shift, shifted_heads, softmax_scale, prefix, whole_prefix)
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
    if shards.alone():
        return s2_attn_func(q, k, v, softmax_scale=settings.scale, return_lse=return_lse, **{**settings.arguments(), "shift": cut})
    heads = q.shape[2]
    flags = list(settings.shifted_heads) if not isinstance(settings.shifted_heads, str) else [
        settings.shifted_heads == "all" or (settings.shifted_heads == "second_half" and head >= heads // 2) for head in range(heads)]
    shifted = [head for head in range(heads) if flags[head] and cut > 0]
    others = [head for head in range(heads) if head not in shifted]
    call = _Call(settings, shards, size, cut, q, k, v)
    parts = []
    exchange = _Exchange(shards, messages(shards, settings.mask, size, cut), *(_take(x, call.read_by(shifted)) for x in (call.k, call.v))) if shifted else None
    if others:
        parts.append(call.unshifted(others))
    if exchange is not None:
        parts.append(call.shifted(shifted, exchange))
    order = others + shifted
    inverse = [order.index(head) for head in range(heads)]
    o, lse = (part[0] if len(part) == 1 else torch.cat(part, axis) for part, axis in (([p[0] for p in parts], 2), ([p[1] for p in parts], 1)))
    if inverse != list(range(heads)):
        o, lse = o[:, :, inverse], lse[:, inverse]
    return (o, lse) if return_lse else o


_KeysAndValues = Tuple[torch.Tensor, torch.Tensor]


class _Call:
    """One call on one of several ranks. Each part of it is a slice of a text that is local to this rank: the prefix, a halo, own tokens from a multiple of G on, a halo, the rest of the prefix."""

    def __init__(self, settings: Settings, shards: Shards, size: int, cut: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor):
        self.shards, self.mask, self.size, self.cut, self.prefix, self.q = shards, settings.mask, size, cut, settings.prefix, q
        self.local = "bidirectional_split" if settings.mask in _BOTH_WAYS else "split"
        self.ordered = settings.mask not in _BOTH_WAYS and not settings.whole_prefix
        self.scale = q.shape[3] ** -0.5 if settings.scale is None else settings.scale
        self.start = sum(shards.lengths[:shards.rank])
        shards._calls += 1
        if self.prefix:
            self.k, self.v, *edges = _Prefix.apply(shards, prefix_messages(shards, self.prefix, self.ordered), self.prefix, self.start, k, v)
            self.before, self.behind = (edges[0], edges[1]), (edges[2], edges[3])
        else:
            self.k, self.v = k, v
            self.before = self.behind = (k[:, :0], v[:, :0])

    def read_by(self, heads: List[int]) -> List[int]:
        """The kv heads that query heads read."""
        return sorted({_kv_of(head, self.q.shape[2], self.k.shape[2]) for head in heads})

    def unshifted(self, heads: List[int]) -> Any:
        own, before, behind = (self._of(heads, pair) for pair in ((self.k, self.v), self.before, self.behind))
        return self._runs(_take(self.q, heads), own, before, behind, None, None, 0)

    def shifted(self, heads: List[int], exchange: "_Exchange") -> Any:
        """The heads that shift: what the wrap joins to the other end of the text is asked apart."""
        received = exchange.receive()
        own, left, right = (None if pair is None else tuple(self._mapped(heads, x) for x in pair) for pair in ((exchange.k, exchange.v), received.get(True), received.get(False)))
        before, behind = self._of(heads, self.before), self._of(heads, self.behind)
        q, rows = _take(self.q, heads), self.q.shape[1]
        first = self.shards.first() and self.mask in ("local_causal", "bidirectional")
        last = self.shards.last() and self.mask in ("bidirectional", "position_causal")
        front, back = self.cut if first else 0, self.size - self.cut if last else 0
        parts = [self._runs(q[:, front:rows - back], own, before, behind, None if first else left, None if last else right, self.cut, front)]
        if first:
            parts.insert(0, self._first_run(q[:, :front], own, behind, left))
        if last:
            parts.append(self._last_run(q[:, rows - back:], own, before, right))
        return tuple(torch.cat([part[index] for part in parts], axis) for index, axis in ((0, 1), (1, 2)))

    def _runs(self, q: torch.Tensor, own: _KeysAndValues, before: _KeysAndValues, behind: _KeysAndValues, left: Optional[_KeysAndValues], right: Optional[_KeysAndValues], shift: int,
              front: int = 0) -> Any:
        """Queries from the `front`-th of this rank on, in groups whose borders are those of the text."""
        halo, over = (0 if pair is None else pair[0].shape[1] for pair in (left, right))
        # The first multiple of G with room for prefix and halo before it stands for where this rank begins, unless it begins there or before.
        at = min(self.start, -(-(self.prefix + halo) // self.size) * self.size)
        begin = at - halo if self.prefix else 0
        text = tuple(_joined([
            before[i][:, :begin], own[i].new_zeros((q.shape[0], max(0, begin - before[i].shape[1]), *own[i].shape[2:])), *([] if left is None else [left[i]]), own[i],
            *([] if right is None else [right[i]]), behind[i][:, over:]]) for i in (0, 1))
        return self._ask(q, at + front, text, self.size, shift, self.prefix, 0 if self.prefix else at - halo)

    def _first_run(self, q: torch.Tensor, own: _KeysAndValues, behind: _KeysAndValues, tail: _KeysAndValues) -> Any:
        """The first S tokens, to which the wrap shows the last G - S before their own: one group, and the prefix where no order hides it from them, each key once."""
        prefix = 0 if self.ordered else self.prefix
        wrapped = min(tail[0].shape[1], self.shards.total - prefix)
        text = tuple(_joined([tail[i][:, tail[i].shape[1] - wrapped:], own[i][:, :max(self.cut, prefix)], behind[i]] if prefix else [tail[i], own[i][:, :self.cut]]) for i in (0, 1))
        return self._ask(q, wrapped, text, wrapped + self.cut, 0, wrapped + prefix if prefix else 0)

    def _last_run(self, q: torch.Tensor, own: _KeysAndValues, before: _KeysAndValues, head: _KeysAndValues) -> Any:
        """The last G - S tokens, to which the wrap shows the first S: one group of all that they see, in the order of the text."""
        rows = own[0].shape[1] - q.shape[1]
        first = min(max(self.cut, self.prefix), self.shards.total - q.shape[1])
        text = tuple(_joined([*([head[i][:, :first]] if self.prefix < first else [before[i][:, :first], own[i][:, :max(0, first - before[i].shape[1])]]), own[i][:, rows:]]) for i in (0, 1))
        return self._ask(q, first, text, text[0].shape[1], 0, 0 if self.ordered else self.prefix)

    def _ask(self, q: torch.Tensor, at: int, text: _KeysAndValues, size: int, shift: int, prefix: int, first_key: int = 0) -> Any:
        tokens = first_key + text[0].shape[1]
        return s2_attn_slice_func(q, *text, min(size, tokens), mask=self.local, first_query=at, first_key=first_key, tokens=tokens, shift=shift, shifted_heads="all" if shift else "none",
                                  softmax_scale=self.scale, return_lse=True, prefix=min(prefix, tokens), whole_prefix=not self.ordered)

    def _of(self, heads: List[int], pair: _KeysAndValues) -> _KeysAndValues:
        kv = self.read_by(heads)
        return self._mapped(heads, _take(pair[0], kv)), self._mapped(heads, _take(pair[1], kv))

    def _mapped(self, heads: List[int], tensor: torch.Tensor) -> torch.Tensor:
        """The kv heads that the query heads read: as they are where each is read by as many heads, else one for each."""
        kv = self.read_by(heads)
        mapped = [kv.index(_kv_of(head, self.q.shape[2], self.k.shape[2])) for head in heads]
        even = len(mapped) % len(kv) == 0 and mapped == [index // (len(mapped) // len(kv)) for index in range(len(mapped))]
        return tensor if even else tensor[:, :, mapped]


class _Prefix(torch.autograd.Function):
    """Keys and values of a prefix before this rank's tokens and behind them. In the backward pass each rank adds its share of their gradients, in float32, and passes the sum on to their owners."""

    @staticmethod
    def forward(ctx: Any, shards: Shards, plan: List[_Pass], prefix: int, start: int, k: torch.Tensor, v: torch.Tensor) -> Any:
        ctx.shards, ctx.plan, ctx.call = shards, plan, shards._calls
        ctx.own = max(0, min(prefix - start, k.shape[1]))
        relay = _Relay(shards, plan, ctx.call, 0, k.new_empty((2, k.shape[0], 0, *k.shape[2:])))
        own = torch.stack((k[:, :ctx.own], v[:, :ctx.own]))
        before = relay.receive(True)
        relay.send(True, torch.cat((before, own), 2))
        behind = relay.receive(False)
        relay.send(False, torch.cat((own, behind), 2))
        relay.finish()
        return (k.clone(), v.clone(), *before, *behind)

    @staticmethod
    def backward(ctx: Any, dk: torch.Tensor, dv: torch.Tensor, *gradients: torch.Tensor) -> Any:
        before, behind = (torch.stack(pair).float() for pair in (gradients[:2], gradients[2:]))
        relay = _Relay(ctx.shards, ctx.plan, ctx.call, 1, before[:, :, :0])
        own = torch.zeros((2, dk.shape[0], ctx.own, *dk.shape[2:]))
        # To the left what later ranks gave back of the rows from 0 on, to the right what earlier ones did of those up to the end.
        later = relay.receive(True)
        if later.shape[2]:
            before, own = before + later[:, :, :before.shape[2]], own + later[:, :, before.shape[2]:]
        relay.send(True, before)
        earlier = relay.receive(False)
        if earlier.shape[2]:
            own, behind = own + earlier[:, :, :ctx.own], behind + earlier[:, :, ctx.own:]
        relay.send(False, behind)
        relay.finish()
        totals = [gradient.clone() for gradient in (dk, dv)]
        for total, share in zip(totals, own):
            total[:, :ctx.own] = (total[:, :ctx.own].float() + share).to(total.dtype)
        return None, None, None, None, *totals


class _Relay:
    """Rows of a prefix that come from a neighbour and go on to the other; in phase 1 their gradients, the other way. Rows of which there are none come as `nothing`."""

    def __init__(self, shards: Shards, plan: List[_Pass], call: int, phase: int, nothing: torch.Tensor):
        self.shards, self.plan, self.phase, self.nothing = shards, plan, phase, nothing
        self.sent: List[Tuple[Any, int, torch.Tensor]] = []
        self.what = "gradients of the prefix" if phase else "keys and values of the prefix"
        # Beside the tags of halos, which are even.
        self.tag = call % (1 << 20) * 8 + 4 * phase + 1

    def receive(self, right: bool) -> torch.Tensor:
        for message in self.plan:
            source, target = (message.target, message.source) if self.phase else (message.source, message.target)
            if message.right == right and target == self.shards.rank:
                rows = self.nothing.new_empty((*self.nothing.shape[:2], message.rows, *self.nothing.shape[3:]))
                self.shards._wait(self.shards._begin(self.what, source, dist.irecv, rows, self.shards._global(source), self.shards.group, self.tag + 2 * right), self.what, source)
                return rows
        return self.nothing

    def send(self, right: bool, rows: torch.Tensor) -> None:
        for message in self.plan:
            source, target = (message.target, message.source) if self.phase else (message.source, message.target)
            if message.right == right and source == self.shards.rank:
                rows = rows.contiguous()
                self.sent.append((self.shards._begin(self.what, target, dist.isend, rows, self.shards._global(target), self.shards.group, self.tag + 2 * right), target, rows))
                self.shards.bytes_sent += rows.numel() * rows.element_size()

    def finish(self) -> None:
        for work, peer, _ in self.sent:
            self.shards._wait(work, self.what, peer)


class _Exchange:
    """Halos on their way. They are sent and received when it is made, and waited for by receive()."""

    def __init__(self, shards: Shards, plan: List[_Message], k: torch.Tensor, v: torch.Tensor):
        self.shards, self.plan, self.k, self.v = shards, plan, k, v
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
                works.append((self.shards._begin(what, source, dist.irecv, received[message.tail], self.shards._global(source), self.shards.group, tag), source, what))
            if source == self.shards.rank:
                buffer = sent[message.tail]
                works.append((self.shards._begin(what, target, dist.isend, buffer, self.shards._global(target), self.shards.group, tag), target, what))
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
    if settings.prefix > total:
        raise ValueError(f"prefix={settings.prefix}: must be at most N, {total} tokens of all ranks")
    for rank in shards._filled[:-1]:
        if shards.lengths[rank] % size:
            raise ValueError(f"rank {rank} holds {shards.lengths[rank]} tokens: must be a multiple of group_size={size}, as every shard but the last")
    return size, size // 2 if settings.shift is None else settings.shift


def _kv_of(head: int, heads: int, kv_heads: int) -> int:
    return head // (heads // kv_heads)


def _take(tensor: torch.Tensor, heads: List[int]) -> torch.Tensor:
    return tensor[:, :, heads[0]:heads[-1] + 1] if heads == list(range(heads[0], heads[-1] + 1)) else tensor[:, :, heads]


def _joined(pieces: List[torch.Tensor]) -> torch.Tensor:
    filled = [piece for piece in pieces if piece.shape[1] > 0]
    return filled[0] if len(filled) == 1 else torch.cat(filled, 1)
