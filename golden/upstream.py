# How are LongLoRA's own functions loaded, and run on given q, k, v or on a whole layer?
import contextlib
import hashlib
import importlib.util
import pathlib
import subprocess
import sys
import types
import warnings

import torch

import standins

REPOSITORY = "https://github.com/dvlab-research/LongLoRA"
FILES = ("llama_attn_replace.py", "llama_attn_replace_sft.py", "gptneox_attn_replace.py")
FUNCTIONS = {
    "llama-eager": ("llama_attn_replace.py", "forward_noflashattn"),
    "llama-flash": ("llama_attn_replace.py", "forward_flashattn"),
    "sft-flash": ("llama_attn_replace_sft.py", "forward_flashattn"),
    "neox-eager": ("gptneox_attn_replace.py", "get_forward_function(use_flash_attn=False, use_full=False)"),
    "neox-flash": ("gptneox_attn_replace.py", "get_forward_function(use_flash_attn=True, use_full=False)"),
}
NEOX = ("neox-eager", "neox-flash")


class CheckoutError(Exception):
    """The given folder is not a clean LongLoRA checkout."""


def _git(folder, *arguments):
    run = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
    if run.returncode != 0:
        raise CheckoutError(f"--longlora {folder}: git {arguments[0]} failed: {run.stderr.strip()}")
    return run.stdout.strip()


class Upstream:
    """The three modules of one unmodified checkout."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise CheckoutError(f"--longlora {folder}: not a LongLoRA checkout, it lacks {', '.join(missing)}")
        changed = _git(folder, "status", "--porcelain", "--", *FILES)
        if changed:
            raise CheckoutError(f"--longlora {folder}: files differ from the commit: {changed}")
        self.commit = _git(folder, "rev-parse", "HEAD")
        self.sha256 = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
        sys.dont_write_bytecode = True
        standins.install()
        self._modules = {name: self._load(folder / name) for name in FILES}

    @staticmethod
    def _load(path):
        spec = importlib.util.spec_from_file_location("longlora_" + path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @contextlib.contextmanager
    def patched(self, function, patches):
        """The module's globals replaced while the block runs; the files stay as they are."""
        module = self._modules[FUNCTIONS[function][0]]
        before = {name: getattr(module, name) for name in patches}
        module.__dict__.update(patches)
        try:
            yield module
        finally:
            module.__dict__.update(before)

    def forward(self, function, layer, hidden, valid, patches):
        """The layer's output [B,N,E]. Builds the mask as transformers 4.34 does for that path."""
        batch, tokens, _ = hidden.shape
        positions = torch.arange(tokens)[None, :].expand(batch, tokens)
        with self.patched(function, patches) as module, warnings.catch_warnings():
            warnings.simplefilter("error")
            if function in NEOX:
                mask = standins.neox_additive_mask(valid, hidden.dtype)
                forward = module.get_forward_function(use_flash_attn=function == "neox-flash", use_full=False)
                return forward(layer, hidden, mask, positions)[0]
            if function == "llama-eager":
                mask = standins.llama_additive_mask(valid, hidden.dtype)
                return module.forward_noflashattn(layer, hidden, attention_mask=mask, position_ids=positions)[0]
            return module.forward_flashattn(layer, hidden, attention_mask=valid.long(), position_ids=positions)[0]


def llama_layer(config, q_proj, k_proj, v_proj, o_proj, cos, sin):
    """The attributes of transformers' LlamaAttention that LongLoRA reads."""
    heads, kv_heads, dim = config["heads"], config["kvHeads"], config["headDim"]
    return types.SimpleNamespace(
        training=True, config=types.SimpleNamespace(pretraining_tp=1),
        num_heads=heads, num_key_value_heads=kv_heads, num_key_value_groups=heads // kv_heads,
        head_dim=dim, hidden_size=heads * dim,
        q_proj=q_proj, k_proj=k_proj, v_proj=v_proj, o_proj=o_proj,
        rotary_emb=lambda value, seq_len: (cos, sin))


def neox_layer(config, query_key_value, dense, cos, sin):
    """The attributes of transformers' GPTNeoXAttention that LongLoRA reads."""
    return types.SimpleNamespace(
        training=True, num_attention_heads=config["heads"], head_size=config["headDim"], rotary_ndims=cos.shape[-1],
        query_key_value=query_key_value, dense=dense,
        rotary_emb=lambda value, seq_len: (cos, sin),
        _attn=standins.neox_attn, _merge_heads=standins.neox_merge_heads)


def run_core(upstream, function, config, valid, patches, q, k, v, do):
    """o, dq, dk, dv with identity projections and the null rotation: hidden is q, k, v side by side, each projection picks its part."""
    batch, tokens, heads, dim = q.shape
    q, k, v = (x.clone().requires_grad_() for x in (q, k, v))
    cos, sin = standins.null_tables(tokens, dim, q.dtype)
    if function in NEOX:
        hidden = torch.cat([q, k, v], dim=-1).flatten(2)
        layer = neox_layer(config, torch.clone, torch.clone, cos, sin)
    else:
        widths = [heads * dim, k.shape[2] * dim, v.shape[2] * dim]
        hidden = torch.cat([x.flatten(2) for x in (q, k, v)], dim=-1)
        pick = [lambda x, part=part: x.split(widths, dim=-1)[part].clone() for part in range(3)]
        layer = llama_layer(config, *pick, torch.clone, cos, sin)
    o = upstream.forward(function, layer, hidden, valid, patches).unflatten(-1, (heads, dim))
    o.backward(do)
    return {"o": o.detach(), "dq": q.grad, "dk": k.grad, "dv": v.grad}


def _kept(tensor):
    tensor.retain_grad()
    return tensor


def run_layer(upstream, function, config, valid, patches, inputs):
    """y and gradients of a layer with real projections and rotation; for llama also what went into and came out of the core."""
    batch, tokens, heads, dim = (config[name] for name in ("batch", "tokens", "heads", "headDim"))
    leaves = {name: value.clone().requires_grad_() for name, value in inputs.items() if name not in ("cos", "sin", "dy")}
    cos, sin = (inputs[name][None, None] for name in ("cos", "sin"))
    linear = lambda x, name: torch.nn.functional.linear(x, leaves["w" + name], leaves.get("b" + name))
    seen = {}
    if function in NEOX:
        packed = [torch.cat([leaves[kind + part].unflatten(0, (heads, dim)) for part in "qkv"], dim=1).flatten(0, 1) for kind in "wb"]
        layer = neox_layer(config, lambda x: torch.nn.functional.linear(x, *packed), lambda x: linear(x, "o"), cos, sin)
    else:
        def v_proj(x):
            seen["v"] = _kept(linear(x, "v"))
            return seen["v"].clone()

        def o_proj(x):
            seen["o"] = _kept(x)
            return linear(x, "o")

        layer = llama_layer(config, lambda x: linear(x, "q"), lambda x: linear(x, "k"), v_proj, o_proj, cos, sin)
    y = upstream.forward(function, layer, leaves["x"], valid, patches)
    y.backward(inputs["dy"])
    result = {"y": y.detach(), **{"d" + name: leaf.grad for name, leaf in leaves.items()}}
    if seen:
        by_head = lambda x: x.detach().unflatten(-1, (-1, dim)).contiguous()
        rotated = {"q": standins.RotatedStates.query, "k": standins.RotatedStates.key}
        for name, tensor in rotated.items():
            result[name], result["d" + name] = (x.detach().transpose(1, 2).contiguous() for x in (tensor, tensor.grad))
        for name, tensor in seen.items():
            result[name], result["d" + name] = by_head(tensor), by_head(tensor.grad)
    return result
