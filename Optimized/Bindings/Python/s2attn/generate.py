# Does a model generate the same text with a cache of keys and values as when it computes everything again, and how much faster?
"""A tiny decoder with random weights, in NumPy: python3 -m s2attn.generate [--prompt 512] [--new 128] [--group-size 256]"""
import argparse
import time
from typing import Callable, List, Tuple

import numpy as np

import s2attn

SYMBOLS, HEADS, KV_HEADS, DIM, LAYERS = 97, 4, 2, 16, 2
WIDTH = HEADS * DIM
Attend = Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Model:
    """Embedding, layers of S2-Attn with a residual each, a read-out; the likeliest token is next. Under "split" no token sees a later one."""

    def __init__(self, group_size: int, seed: int = 1):
        random = np.random.default_rng(seed)
        self.group_size = group_size

        def noise(rows: int) -> np.ndarray:
            return ((2 * random.random((rows, WIDTH)) - 1) * (3 / WIDTH) ** 0.5).astype(np.float32)

        self.embedding, self.read_out = noise(SYMBOLS), noise(SYMBOLS)
        self.layers = [(noise(WIDTH), noise(KV_HEADS * DIM), noise(KV_HEADS * DIM), noise(WIDTH)) for _ in range(LAYERS)]

    def with_cache(self, prompt: List[int], count: int, chunk: int = 64) -> Tuple[List[int], float]:
        """The prompt and `count` tokens more, and the seconds of the new ones; each layer keeps the keys and values of the past."""
        caches = [s2attn.KeyValueCache(self.group_size, HEADS, KV_HEADS, DIM, max_chunk=chunk, threads=1) for _ in self.layers]
        text, token = list(prompt), 0
        for start in range(0, len(prompt), chunk):
            token = self._next(prompt[start:start + chunk], lambda layer, q, k, v: caches[layer](q, k, v))
        begin = time.perf_counter()
        while len(text) < len(prompt) + count:
            text.append(token)
            token = self._next([token], lambda layer, q, k, v: caches[layer](q, k, v))
        return text, time.perf_counter() - begin

    def computing_again(self, prompt: List[int], count: int) -> Tuple[List[int], float]:
        """The same by computing the whole text again for each token."""
        text, begin = list(prompt), time.perf_counter()
        while len(text) < len(prompt) + count:
            text.append(self._next(text, lambda _, q, k, v: s2attn.s2_attn_slice_func(q[None], k[None], v[None], self.group_size, mask="split")[0]))
        return text, time.perf_counter() - begin

    def _next(self, tokens: List[int], attend: Attend) -> int:
        x = self.embedding[tokens]
        for layer, (query, key, value, output) in enumerate(self.layers):
            heads = [(x @ matrix.T).reshape(len(tokens), -1, DIM) for matrix in (query, key, value)]
            x = x + attend(layer, *heads).reshape(len(tokens), WIDTH) @ output.T
        return int(np.argmax(self.read_out @ x[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m s2attn.generate", description="Generates text with a cache of keys and values, and by computing everything again.")
    for name, default in (("prompt", 512), ("new", 128), ("group-size", 256)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    model, prompt = Model(given.group_size), np.random.default_rng(2).integers(SYMBOLS, size=given.prompt).tolist()
    (cached, quick), (again, slow) = model.with_cache(prompt, given.new), model.computing_again(prompt, given.new)
    print(f"{given.new} tokens behind a prompt of {given.prompt}, G = {given.group_size}: {given.new / quick:.0f} tokens a second with the cache, {given.new / slow:.0f} by computing everything again; "
          + ("the same tokens" if cached == again else "OTHER tokens"))


if __name__ == "__main__":
    main()
