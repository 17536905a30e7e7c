# Which cases are exported, and why does each exist?
from dataclasses import dataclass
from typing import Optional, Tuple

BOTH = ("f64", "f32")


@dataclass(frozen=True)
class Case:
    """One configuration of one upstream function; it becomes one file for each dtype."""

    function: str
    slug: str
    tokens: int
    heads: int
    head_dim: int
    why: str
    kv_heads: Optional[int] = None
    batch: int = 1
    ratio: float = 0.25
    pads: Optional[Tuple[Tuple[int, int], ...]] = None  # (left, right) for each batch entry
    inputs: str = "normal"
    dtypes: Tuple[str, ...] = BOTH
    layer: bool = False
    rotary_dim: Optional[int] = None
    upstream_softmax: bool = False  # float64 through LongLoRA's own float32 softmax

    @property
    def name(self):
        return f"{self.function}{'-layer' if self.layer else ''}-{self.slug}"


EAGER, FLASH, SFT, NEOX, NEOX_FLASH = "llama-eager", "llama-flash", "sft-flash", "neox-eager", "neox-flash"
STORED = ("f64", "f32", "bf16", "f16")

# forward_noflashattn without padding, even G: the definition's LocalCausal.
EAGER_DEFINITION = (
    Case(EAGER, "n8-g2", 8, 2, 4, "The smallest group with a shift: S = 1.", dtypes=("f64", "f32", "bf16")),
    Case(EAGER, "n16-g4-b2", 16, 4, 4, "The default shape, two batches.", batch=2, dtypes=("f64", "f32", "bf16")),
    Case(EAGER, "n24-g6-h3-b3", 24, 3, 3, "Even G with odd S = 3; odd H: the extra head is shifted; odd D; three batches.", batch=3),
    Case(EAGER, "n16-g4-h1", 16, 1, 4, "One head: H / 2 = 0, so it is shifted."),
    Case(EAGER, "n32-g8-h8-k2", 32, 8, 2, "GQA: repeat_kv comes before the shift, so query head h reads kv head h / 4.", kv_heads=2, batch=2),
    Case(EAGER, "n16-g4-h6-k3", 16, 6, 2, "GQA with odd K: kv head 1 is read by head 2 unshifted and by head 3 shifted.", kv_heads=3),
    Case(EAGER, "n16-g4-h7", 16, 7, 2, "Seven heads: 3, 4, 5 and 6 are shifted."),
    Case(EAGER, "n32-g8-mqa", 32, 4, 4, "MQA: the one kv head is read both ways.", kv_heads=1),
    Case(EAGER, "n10-g2-five", 10, 2, 4, "int(10 / 4) = 2 divides 10: five groups, where the ratio promises four."),
    Case(EAGER, "n12-g12", 12, 2, 4, "G = N: unshifted heads are full, shifted ones are not.", ratio=1.0),
    Case(EAGER, "n16-g8", 16, 2, 4, "Ratio 1/2: two groups.", ratio=0.5),
    Case(EAGER, "n64-g8", 64, 2, 4, "Ratio 1/8: eight groups.", ratio=0.125),
    Case(EAGER, "n256-g64", 256, 2, 4, "Long rows at the default ratio."),
    Case(EAGER, "n8192-g2048", 8192, 2, 2, "LongLoRA's own size, in its eager path.", kv_heads=1, dtypes=("f32",)),
    Case(EAGER, "large", 16, 2, 4, "Scores of some hundreds: every softmax is close to one-hot.", inputs="large", dtypes=("f64", "f32", "bf16")),
    Case(EAGER, "overflow", 16, 2, 4, "Scores near +800: exp without subtracting the maximum is infinite.", inputs="overflow"),
    Case(EAGER, "underflow", 16, 2, 4, "Scores near -800: exp without subtracting the maximum is 0, and the row 0 / 0.", inputs="underflow"),
    Case(EAGER, "tiny", 16, 2, 4, "q and k of 1e-20: scores are 0 or denormal in f32, all weights equal.", inputs="tiny"),
    Case(EAGER, "ties", 16, 4, 4, "q and k in {-1, 0, 1}: exact scores, many of them equal.", inputs="ties", batch=2),
    Case(EAGER, "equal", 16, 2, 4, "All keys of a head are equal: o is the mean of the visible values.", inputs="equal"),
    Case(EAGER, "own-softmax", 16, 2, 4, "float64 through LongLoRA's own float32 softmax, unpatched: what the f64 claim would lose.",
         dtypes=("f64",), upstream_softmax=True),
)

# forward_noflashattn with odd G, with padding, and with both.
EAGER_DEFECTS = (
    Case(EAGER, "n4-g1", 4, 2, 4, "G = 1: a token sees only itself, yet row t of a shifted head is row t + 1's."),
    Case(EAGER, "n12-g3", 12, 2, 4, "Odd G: Python's -G//2 floors, so the un-shift misses by one row.", dtypes=("f64", "f32", "bf16")),
    Case(EAGER, "n20-g5-h1", 20, 1, 4, "One shifted head at N = 20, G = 5: 23 leaking pairs, 4 tokens that do not see themselves."),
    Case(EAGER, "n20-g5-h5-b2", 20, 5, 2, "Odd G and odd H, two batches.", batch=2),
    Case(EAGER, "n15-g3-five", 15, 4, 2, "int(15 / 4) = 3: odd G, five groups."),
    Case(EAGER, "n28-g7-k2", 28, 4, 2, "Odd G with GQA.", kv_heads=2),
    Case(EAGER, "n9-g9", 9, 2, 4, "Odd G = N: one group, rows off by one.", ratio=1.0),
    Case(EAGER, "n100-g25", 100, 2, 4, "Odd G, longer rows."),
    Case(EAGER, "right-b1", 16, 2, 4, "Right padding past the first group: it is ignored.", pads=((0, 5),)),
    Case(EAGER, "right-b2", 16, 2, 4, "Right padding, unequal: the mask's first block is tiled to every group.", batch=2, pads=((0, 3), (0, 14)),
         dtypes=("f64", "f32", "bf16")),
    Case(EAGER, "left-b2", 16, 4, 4, "Left padding, unequal: rows without a visible key are uniform averages that include the future.",
         batch=2, pads=((1, 0), (6, 0)), kv_heads=2),
    Case(EAGER, "mixed-b3", 24, 2, 4, "Three batches, four groups: group g of batch b takes the mask of batch (4b + g) mod 3.",
         batch=3, pads=((4, 0), (0, 21), (2, 20))),
    Case(EAGER, "empty-b2", 16, 2, 4, "One batch entry is all padding: its mask reaches every second group of both.", batch=2, pads=((0, 2), (0, 16))),
    Case(EAGER, "odd-left-b2", 20, 2, 4, "Odd G and left padding together.", batch=2, pads=((3, 0), (0, 4))),
)

# forward_flashattn without padding: the definition's Split, odd G included.
FLASH_DEFINITION = (
    Case(FLASH, "n4-g1", 4, 2, 4, "G = 1: S = 0, nothing shifts."),
    Case(FLASH, "n8-g2", 8, 2, 4, "The smallest group with a shift: S = 1."),
    Case(FLASH, "n16-g4-b2", 16, 4, 4, "The default shape, two batches.", batch=2, dtypes=STORED),
    Case(FLASH, "n12-g3", 12, 2, 4, "Odd G is right here: cu_seqlens start at G // 2 = 1.", dtypes=STORED),
    Case(FLASH, "n20-g5-h6-b3", 20, 6, 2, "Odd G, three batches, six heads.", batch=3),
    Case(FLASH, "n10-g2-five", 10, 2, 4, "int(10 / 4) = 2 divides 10: five groups."),
    Case(FLASH, "n32-g8-h8-k2", 32, 8, 2, "GQA.", kv_heads=2, batch=2, dtypes=("f64", "f32", "f16")),
    Case(FLASH, "n32-g8-mqa", 32, 4, 4, "MQA: the one kv head is read both ways.", kv_heads=1),
    Case(FLASH, "n12-g12", 12, 2, 4, "G = N: shifted heads are cut at S.", ratio=1.0),
    Case(FLASH, "n16-g8", 16, 2, 4, "Ratio 1/2: two groups.", ratio=0.5),
    Case(FLASH, "n256-g64", 256, 2, 4, "Long rows at the default ratio.", dtypes=("f64", "f32", "bf16")),
    Case(FLASH, "n8192-g2048", 8192, 2, 2, "LongLoRA's own size.", kv_heads=1),
    Case(FLASH, "large", 16, 2, 4, "Scores of some hundreds: every softmax is close to one-hot.", inputs="large", dtypes=STORED),
    Case(FLASH, "overflow", 16, 2, 4, "Scores near +800.", inputs="overflow"),
    Case(FLASH, "underflow", 16, 2, 4, "Scores near -800.", inputs="underflow"),
    Case(FLASH, "ties", 16, 4, 4, "q and k in {-1, 0, 1}: exact scores, many of them equal.", inputs="ties", batch=2),
)

# forward_flashattn with padding.
FLASH_DEFECTS = (
    Case(FLASH, "right-b1-aligned", 16, 2, 4, "One batch entry, padding ends at a segment: real rows are right, padded rows are 0.", pads=((0, 4),)),
    Case(FLASH, "right-b1-past-end", 16, 2, 4, "One batch entry of 13 tokens: the start 14 of the shifted half lies past the packed tokens.", pads=((0, 3),)),
    Case(FLASH, "left-b1", 16, 2, 4, "Left padding: groups are counted in packed tokens, so they are other groups.", pads=((3, 0),)),
    Case(FLASH, "right-b2", 16, 4, 4, "Right padding, unequal: half 0 takes the mask of entry 0 and half 1 that of entry 1.", batch=2, pads=((0, 3), (0, 9)),
         dtypes=("f64", "f32", "bf16"), kv_heads=2),
    Case(FLASH, "left-b2", 16, 2, 4, "Left padding, unequal.", batch=2, pads=((1, 0), (6, 0))),
    Case(FLASH, "mixed-b3", 24, 2, 4, "Three batches: row (b, half) takes the mask of entry (2b + half) mod 3.", batch=3, pads=((4, 0), (0, 21), (2, 3))),
    Case(FLASH, "empty-b2", 16, 2, 4, "One batch entry is all padding: half 1 of both entries is 0.", batch=2, pads=((0, 2), (0, 16))),
    Case(FLASH, "odd-right-b2", 20, 2, 4, "Odd G and right padding.", batch=2, pads=((0, 2), (0, 11))),
)

# forward_flashattn of the SFT file: N / 4 where 4096 divides N, else 8192.
SFT_CASES = (
    Case(SFT, "n4096-g1024", 4096, 2, 2, "N mod 4096 = 0: the ratio rule.", kv_heads=1),
    Case(SFT, "n8192-g2048", 8192, 2, 2, "N mod 4096 = 0 at 8192.", kv_heads=1, dtypes=("f32",)),
    Case(SFT, "n24-full-b2", 24, 4, 4, "N <= 4096: the start 4096 is dropped, every head is fully causal.", batch=2, dtypes=STORED),
    Case(SFT, "n5000-split", 5000, 2, 2, "4096 < N < 8192: shifted heads are cut once, at 4096.", kv_heads=1, dtypes=("f32",)),
    Case(SFT, "n9000-ragged", 9000, 2, 1, "N > 8192 and not a multiple: short last groups.", kv_heads=1, dtypes=("f32",)),
    Case(SFT, "right-b2", 24, 2, 4, "Padding, unequal: a half's rows take another entry's mask, but no start lies past a row's end.", batch=2, pads=((0, 3), (0, 9))),
    Case(SFT, "left-b3", 20, 2, 4, "Left padding, three batches.", batch=3, pads=((2, 0), (0, 7), (5, 1))),
)

# The non-flash path of gptneox_attn_replace.py: as eager llama, but for the gradient of rows without a visible key.
NEOX_CASES = (
    Case(NEOX, "n16-g4-b2", 16, 4, 4, "The default shape, two batches.", batch=2, dtypes=("f64", "f32", "bf16")),
    Case(NEOX, "n24-g6-h3", 24, 3, 4, "Odd H.", batch=2),
    Case(NEOX, "n16-g8", 16, 2, 4, "Ratio 1/2: two groups.", ratio=0.5),
    Case(NEOX, "large", 16, 2, 4, "Scores of some hundreds.", inputs="large"),
    Case(NEOX, "ties", 16, 2, 4, "Exact scores, many of them equal.", inputs="ties"),
    Case(NEOX, "n12-g3", 12, 2, 4, "Odd G: the un-shift misses by one row."),
    Case(NEOX, "right-b2", 16, 2, 4, "Right padding, unequal.", batch=2, pads=((0, 3), (0, 14))),
    Case(NEOX, "left-b2", 16, 2, 4, "Left padding: uniform rows as in llama, but q and k get no gradient through their future keys.",
         batch=2, pads=((1, 0), (6, 0))),
)

# The flash path of gptneox_attn_replace.py: o comes back as [B N/G, G, H, D] and is transposed once more before it is joined. Padding is never looked at.
NEOX_FLASH_CASES = (
    Case(NEOX_FLASH, "n16-g4-b2", 16, 4, 4, "The default shape, two batches: 96 of 128 rows are another head's and token's.", batch=2, dtypes=STORED),
    Case(NEOX_FLASH, "n16-g4-h2", 16, 2, 4, "H < G: half of the heads, no two rows of a group stay but the first and the last."),
    Case(NEOX_FLASH, "n8-g2-h3", 8, 3, 4, "H > G, odd H."),
    Case(NEOX_FLASH, "n12-g3", 12, 2, 4, "Odd G: the un-shift misses by one row as well."),
    Case(NEOX_FLASH, "n16-g4-h1", 16, 1, 4, "One head: there is nothing to change places with, and the definition comes out.", dtypes=("f64",)),
    Case(NEOX_FLASH, "n4-g1", 4, 2, 4, "G = 1: nothing to change places with, but the un-shift of odd G.", dtypes=("f64",)),
    Case(NEOX_FLASH, "large", 16, 2, 4, "Scores of some hundreds.", inputs="large"),
)

# Whole layers: real projections and RoPE.
LAYERS = (
    Case(EAGER, "n16-g4-gqa", 16, 4, 4, "A whole layer with GQA.", kv_heads=2, batch=2, layer=True),
    Case(EAGER, "n12-g3", 12, 2, 4, "A whole layer with odd G.", layer=True),
    Case(FLASH, "n16-g4-gqa", 16, 4, 4, "A whole layer with GQA.", kv_heads=2, batch=2, layer=True, dtypes=("f64", "f32", "bf16")),
    Case(SFT, "n24-full", 24, 2, 4, "A whole layer under the SFT rule.", layer=True),
    Case(NEOX, "n16-g4-rot2", 16, 2, 4, "A whole layer with biases and a rotation of half the coordinates.", batch=2, layer=True, rotary_dim=2),
    Case(NEOX_FLASH, "n16-g4-rot2", 16, 2, 4, "A whole layer with biases, through the flash path.", batch=2, layer=True, rotary_dim=2),
)

CASES = EAGER_DEFINITION + EAGER_DEFECTS + FLASH_DEFINITION + FLASH_DEFECTS + SFT_CASES + NEOX_CASES + NEOX_FLASH_CASES + LAYERS
