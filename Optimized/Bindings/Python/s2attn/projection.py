# How long would one layer over a very long sequence take on many machines? From compute that is measured here, and a network speed that is stated.
"""python3 -m s2attn.projection [--tokens 1048576] [--machines 64] [--group-size 8192] [--heads 32] [--kv-heads 8] [--dim 128] [--gbit 10] [--threads 1]

Measures the share of one machine, forward and backward, for the heads of one kv head, once where they shift (with the halo of the left neighbour) and once where they do not, and scales
with the kv heads. Bytes are those of docs/distributed.md, in bfloat16; gradients travel as what they are the gradients of."""
import argparse
import time

import torch

import s2attn

BYTES = 2


def seconds(own: int, halo: int, heads: int, dim: int, group_size: int, shifts: bool) -> "tuple[float, float]":
    """Forward and backward of the last `own` tokens of `halo + own`, for the heads of one kv head."""
    torch.manual_seed(1)
    q, k, v, do = (torch.randn(1, tokens, count, dim).to(torch.bfloat16) for tokens, count in ((own, heads), (halo + own, 1), (halo + own, 1), (own, heads)))
    q, k, v = (x.requires_grad_() for x in (q, k, v))
    start = time.perf_counter()
    o = s2attn.s2_attn_slice_func(q, k, v, group_size, mask="split", first_query=group_size, first_key=group_size - halo, shifted_heads="all" if shifts else "none")
    middle = time.perf_counter()
    o.backward(do)
    return middle - start, time.perf_counter() - middle


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m s2attn.projection", description="Projects one layer over a long sequence on many machines.")
    for name, default in (("tokens", 1 << 20), ("machines", 64), ("group-size", 8192), ("heads", 32), ("kv-heads", 8), ("dim", 128), ("gbit", 10), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    own, halo, share = given.tokens // given.machines, given.group_size - given.group_size // 2, given.heads // given.kv_heads
    if given.tokens % (given.machines * given.group_size) or given.heads % given.kv_heads or given.kv_heads % 2:
        parser.error("tokens must be a multiple of machines * group-size, heads of kv-heads, and kv-heads of 2")
    s2attn.set_threads(given.threads)
    seconds(given.group_size, 0, share, given.dim, given.group_size, False)     # the first call loads the library
    still, shifted = seconds(own, 0, share, given.dim, given.group_size, False), seconds(own, halo, share, given.dim, given.group_size, True)
    compute = [given.kv_heads / 2 * (a + b) for a, b in zip(still, shifted)]
    vector = 2 * given.dim * BYTES                                              # a key and a value
    ours = [halo * given.kv_heads // 2 * vector] * 2
    ring = [(given.machines - 1) * own * given.kv_heads * vector * times for times in (1, 2)]
    print(f"{given.tokens} tokens on {given.machines} machines, G = {given.group_size}, H = {given.heads}, K = {given.kv_heads}, D = {given.dim}, bfloat16, {given.threads} thread(s) a machine, {given.gbit} Gbit/s; one layer:\n")
    print("| pass | compute of a machine, s | a machine sends, MB | on the wire, s | ring attention sends, MB | on the wire, s |\n| --- | --- | --- | --- | --- | --- |")
    for name, time_, sent, round_ in zip(("forward", "backward"), compute, ours, ring):
        wire = [8 * size / (given.gbit * 1e9) for size in (sent, round_)]
        print(f"| {name} | {time_:.2f} | {sent / 1e6:.1f} | {wire[0]:.4f} | {round_ / 1e6:.0f} | {wire[1]:.2f} |")


if __name__ == "__main__":
    main()
