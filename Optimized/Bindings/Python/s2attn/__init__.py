# What does the package offer? Shifted Sparse Attention (S2-Attn of LongLoRA, arXiv 2309.12307) for NumPy and PyTorch on the CPU.
"""s2_attn_func(q, k, v, group_size, mask="split"), s2_attn_varlen_func for packed sequences, s2_attn_slice_func for a part of one, s2_attn_grid_func for images and video, and KeyValueCache; help() of each says the rest.

s2attn.S2Attention is a torch.nn.Module, s2attn.huggingface registers the kernels with transformers, s2attn.longlora patches Llama attention as LongLoRA does,
`python3 -m s2attn.port` serves the conformance suite, `python3 -m s2attn.bench` compares with eager PyTorch.
"""
from typing import TYPE_CHECKING, Any

from ._arguments import phase_shifts
from ._kernel import set_plan_cache, set_threads
from ._library import instruction_set, version
from .cache import KeyValueCache
from .functional import s2_attn_backward, s2_attn_func, s2_attn_grid_backward, s2_attn_grid_func, s2_attn_slice_backward, s2_attn_slice_func, s2_attn_varlen_func

if TYPE_CHECKING:
    from .module import S2Attention

__version__ = version()
__all__ = ["KeyValueCache", "S2Attention", "__version__", "instruction_set", "phase_shifts", "s2_attn_backward", "s2_attn_func", "s2_attn_grid_backward", "s2_attn_grid_func", "s2_attn_slice_backward", "s2_attn_slice_func", "s2_attn_varlen_func", "set_plan_cache", "set_threads"]


def __getattr__(name: str) -> Any:
    """S2Attention needs PyTorch, which is not imported before it is asked for."""
    if name == "S2Attention":
        from .module import S2Attention
        return S2Attention
    raise AttributeError(f"module 's2attn' has no attribute {name!r}")
