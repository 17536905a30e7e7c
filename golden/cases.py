# Which cases are exported, and why does each exist?
from dataclasses import dataclass, field
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


EAGER, FLASH, SFT, NEOX = "llama-eager", "llama-flash", "sft-flash", "neox-eager"

CASES = (
    # forward_noflashattn, no padding, even G: the definition's LocalCausal.
    Case(EAGER, "n8-g2", 8, 2, 4, "The smallest group with a shift: S = 1."),
    Case(EAGER, "n16-g4-b2", 16, 4, 4, "The default shape, two batches.", batch=2),
    Case(EAGER, "n12-g3", 12, 2, 4, "Odd G: Python's -G//2 floors, so the un-shift misses by one row."),
    Case(EAGER, "n16-g4-right", 16, 2, 4, "Right padding, unequal: the mask's first block is tiled to every group.", batch=2, pads=((0, 3), (0, 14))),
    # forward_flashattn, no padding: the definition's Split, odd G included.
    Case(FLASH, "n8-g2", 8, 2, 4, "The smallest group with a shift: S = 1."),
    Case(FLASH, "n12-g3", 12, 2, 4, "Odd G is right here: cu_seqlens start at G // 2 = 1."),
    Case(FLASH, "n16-g4-right", 16, 2, 4, "Right padding, unequal: rows take another row's mask.", batch=2, pads=((0, 3), (0, 9))),
    Case(SFT, "n24-full", 24, 2, 4, "N mod 4096 != 0: G = 8192, all heads are fully causal."),
    Case(NEOX, "n16-g4-b2", 16, 4, 4, "The default shape, two batches.", batch=2),
    # Whole layers.
    Case(EAGER, "n16-g4-gqa", 16, 4, 4, "A whole layer, GQA.", kv_heads=2, layer=True),
    Case(NEOX, "n16-g4-rot2", 16, 2, 4, "A whole layer with biases and a rotation of half the coordinates.", layer=True, rotary_dim=2),
)
