# What does the way through PyTorch cost, and what does it save? Ratios of calls that take turns in one run.
"""    python3 -m s2attn.bench [--threads 1] [--tokens 256 1024 8192]

For each N: s2_attn_func with autograd, the same kernels called by their plan without PyTorch, and LongLoRA's eager composition in the same PyTorch."""
import argparse
import random
import statistics
import sys
import time
from typing import Any, Callable, List, Sequence

import torch

import s2attn
from s2attn import _kernel, _torch
from s2attn._arguments import Settings


def eager(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, group: int) -> torch.Tensor:
    """LocalCausal as LongLoRA composes it: roll the second half of the heads, regroup, attend, undo both."""
    batch, tokens, heads, dim = q.shape
    half, shift = heads // 2, group // 2

    def regroup(x: torch.Tensor) -> torch.Tensor:
        rolled = torch.cat((x[:, :, :half], x[:, :, half:].roll(-shift, 1)), 2)
        return rolled.reshape(batch * tokens // group, group, heads, dim).transpose(1, 2)

    a, b, c = map(regroup, (q, k, v))
    later = torch.ones(group, group, dtype=torch.bool).triu(1)
    weights = (a @ b.transpose(-1, -2) * dim ** -0.5).masked_fill(later, float("-inf")).softmax(-1)
    o = (weights @ c).transpose(1, 2).reshape(batch, tokens, heads, dim)
    return torch.cat((o[:, :, :half], o[:, :, half:].roll(shift, 1)), 2)


def backward_too(attend: Callable[..., torch.Tensor], tensors: Sequence[torch.Tensor], do: torch.Tensor) -> Callable[[], None]:
    def run() -> None:
        leaves = [x.detach().requires_grad_() for x in tensors]
        attend(*leaves).backward(do)
    return run


def kernels_alone(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, do: torch.Tensor, group: int) -> "tuple[Callable[[], None], Callable[[], None]]":
    """Forward, and forward with backward, on memory that is there already."""
    settings = Settings.of(group, "local_causal", None, "second_half", None)
    _, (qv, kv, vv, dov) = _torch._views(False, q, k, v, do)
    key = _torch._key(settings, q, k, False, [qv, kv, vv], None)
    o, lse = _torch.empty_outputs(q, False)
    dq, dk, dv = (torch.empty_like(x) for x in (q, k, v))

    def forward() -> None:
        _kernel.forward(key, qv, kv, vv, None, o.data_ptr(), lse.data_ptr())

    def both() -> None:
        forward()
        _kernel.backward(key, qv, kv, vv, None, o.data_ptr(), lse.data_ptr(), dov, None, dq.data_ptr(), dk.data_ptr(), dv.data_ptr())

    return forward, both


def medians(functions: Sequence[Callable[[], None]], seconds: float) -> List[float]:
    """The median time of each, in rounds of random order, because each finds the caches as the one before left them; the first round is not counted."""
    for function in functions:
        function()
    times: List[List[float]] = [[] for _ in functions]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 3:
        for function, taken in random.sample(list(zip(functions, times)), len(functions)):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def row(tokens: int, group: int, heads: int, dim: int, seconds: float, with_backward: bool) -> str:
    q, k, v, do = (torch.randn(1, tokens, heads, dim) for _ in range(4))
    ours: Callable[..., Any] = lambda q, k, v: s2attn.s2_attn_func(q, k, v, group, mask="local_causal")
    theirs: Callable[..., Any] = lambda q, k, v: eager(q, k, v, group)
    alone = kernels_alone(q, k, v, do, group)[int(with_backward)]
    functions = [backward_too(ours, (q, k, v), do), alone, backward_too(theirs, (q, k, v), do)] if with_backward else [lambda: ours(q, k, v), alone, lambda: theirs(q, k, v)]
    through, kernel, composed = medians(functions, seconds)
    return f"| {tokens} | {group} | {'forward + backward' if with_backward else 'forward'} | {1e6 * through:.0f} | {kernel / through:.3f} | {composed / through:.2f} |"


def take_turns(tokens: int, group: int, heads: int, dim: int, with_backward: bool) -> None:
    """For `s2attn bench --through python`, which measures the kernels themselves in between: each line of standard input is a number of calls, each answer the mean seconds of one."""
    q, k, v, do = (torch.rand(1, tokens, heads, dim) * 2 - 1 for _ in range(4))
    ours: Callable[..., Any] = lambda q, k, v: s2attn.s2_attn_func(q, k, v, group, mask="local_causal")
    call = backward_too(ours, (q, k, v), do) if with_backward else lambda: ours(q, k, v)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            call()
        print((time.perf_counter() - start) / int(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m s2attn.bench", description="Compares s2_attn_func with its own kernels alone and with the eager composition, in one run.")
    parser.add_argument("--tokens", type=int, nargs="+", default=[64, 1024, 8192])
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row")
    parser.add_argument("--turns", nargs=5, metavar=("N", "G", "H", "D", "PASS"), help="serve s2attn bench --through python: PASS is forward or backward")
    options = parser.parse_args()
    if min(options.tokens) < 4 or any(tokens % 4 for tokens in options.tokens):
        parser.error("--tokens: each must be a multiple of 4, because G = N / 4")
    torch.set_num_threads(options.threads)
    s2attn.set_threads(options.threads)
    if options.turns:
        take_turns(*map(int, options.turns[:4]), options.turns[4] == "backward")
        return
    print(f"f32, B = 1, H = K = {options.heads}, D = {options.dim}, local_causal, {options.threads} thread(s), {s2attn.instruction_set()}, torch {torch.__version__}")
    print("| N | G | pass | through PyTorch, us | its share of the kernels' own speed | times faster than eager PyTorch |\n| --- | --- | --- | --- | --- | --- |")
    for tokens in options.tokens:
        for with_backward in (False, True):
            print(row(tokens, tokens // 4, options.heads, options.dim, options.seconds, with_backward), flush=True)


if __name__ == "__main__":
    main()
