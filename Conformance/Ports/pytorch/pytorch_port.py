#!/usr/bin/env python3
"""S2-Attn in eager PyTorch behind the port protocol, with gradients from autograd: copy this file, put your module's call into `attention`, and run

    s2attn check --port "python3 pytorch_port.py"

f16 and bf16 tensors are computed in float32 and rounded once at the end. Needs PyTorch 1.13 or newer and nothing else.
"""
import json
import struct
import sys

import torch


# ---- The attention: replace this by yours. ----------------------------------------------------------------------------------------------

def group_tokens(config, shift):
    """The tokens of each group in the order of their shifted positions: the roll by -shift and the split into groups, as index lists."""
    n, g = config["tokens"], config["groupSize"]
    ring = -(-n // g) * g                                   # N, rounded up to whole groups
    tokens = (torch.arange(ring) + shift) % ring            # token(p) = (p + S) mod N
    return [group[group < n] for group in tokens.split(g)]


def group_mask(mask, tokens, shift):
    """May the i-th token of a group see the j-th? The tokens stand in the order of their positions."""
    later, run = torch.arange(len(tokens)), tokens >= shift     # run is False for the tokens that were wrapped from the front
    same_run = run[:, None] == run[None, :]
    not_after = tokens[None, :] <= tokens[:, None]
    return {
        "LocalCausal": later[None, :] <= later[:, None],
        "Split": same_run & not_after,
        "PositionCausal": not_after,
        "Bidirectional": torch.ones_like(same_run),
        "BidirectionalSplit": same_run,
    }[mask]


def attention(config, q, k, v, valid):
    """o [B,N,H,D] and lse [B,N,H] from q [B,N,H,D], k and v [B,N,K,D], valid [B,N]."""
    heads = config["heads"]
    shifted, repeat = shifted_heads(config["shiftedHeads"], heads), heads // config["kvHeads"]
    out, lses = [], []
    for h in range(heads):
        shift = config["shift"] if shifted[h] else 0
        groups = group_tokens(config, shift)
        parts = [attend(config, q[:, i, h], k[:, i, h // repeat], v[:, i, h // repeat], group_mask(config["mask"], i, shift), valid[:, i]) for i in groups]
        back = torch.argsort(torch.cat(groups))             # the inverse of the forward map, whatever that was
        out.append(torch.cat([part[0] for part in parts], 1)[:, back])
        lses.append(torch.cat([part[1] for part in parts], 1)[:, back])
    return torch.stack(out, 2), torch.stack(lses, 2)


def attend(config, q, k, v, mask, valid):
    """Softmax attention inside one group: q, k, v [B,G,D]."""
    mask = mask[None] & valid[:, None, :]                   # [B,G,G]

    # 0 * NaN is NaN, so a product with a zero weight does not hide a masked key or value. Selecting it away does, in the gradients too.
    keys = torch.where(mask[..., None], k[:, None], torch.zeros((), dtype=k.dtype))
    values = torch.where(mask[..., None], v[:, None], torch.zeros((), dtype=v.dtype))
    scores = config["scale"] * (q[:, :, None] * keys).sum(-1)
    scores = scores.masked_fill(~mask, float("-inf"))
    top = scores.detach().amax(-1, keepdim=True)
    top = torch.where(torch.isfinite(top), top, torch.zeros_like(top))      # a row that sees no key has no maximum
    weights = torch.exp(scores - top)
    total = weights.sum(-1, keepdim=True)
    o = ((weights / torch.where(total == 0, torch.ones_like(total), total))[..., None] * values).sum(2)
    return o, (top + torch.log(total))[..., 0]


def shifted_heads(which, heads):
    """One flag for each QUERY head. For an odd number of heads the second half is the larger one."""
    if which == "None":
        return [False] * heads
    if which == "SecondHalf":
        return [h >= heads // 2 for h in range(heads)]
    return [True] * heads if which == "All" else which


def forward(config, tensors, valid):
    with torch.no_grad():
        o, lse = attention(config, *(wide(tensors[name]) for name in "qkv"), valid)
    return {"o": o.to(tensors["q"].dtype), "lse": lse}


def backward(config, tensors, valid):
    q, k, v = (wide(tensors[name]).requires_grad_() for name in "qkv")
    o, _ = attention(config, q, k, v, valid)
    gradients = torch.autograd.grad(o, (q, k, v), wide(tensors["do"]))
    return {name: gradient.to(tensors["q"].dtype) for name, gradient in zip(("dq", "dk", "dv"), gradients)}


def wide(tensor):
    return tensor if tensor.dtype == torch.float64 else tensor.float().clone()


CAPABILITIES = {                                # claim what you have: what is left out here is not tested
    "ops": ["forward", "backward"],
    "dtypes": ["f32", "f64", "f16", "bf16"],
    "masks": ["LocalCausal", "Split", "PositionCausal", "Bidirectional", "BidirectionalSplit"],
    "gqa": True, "padding": True, "oddGroup": True, "ragged": True, "maxTokens": 1024,
}


# ---- .safetensors: 8 bytes of header length, a JSON header, the tensors. ----------------------------------------------------------------

TORCH_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "U8": torch.uint8}
NAMES = {dtype: name for name, dtype in TORCH_TYPES.items()}


def read_tensors(path):
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack_from("<Q", content)
    tensors = {}
    for name, entry in json.loads(content[8:8 + length]).items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = torch.frombuffer(bytearray(content[begin:end]), dtype=TORCH_TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def write_tensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        payload = bytes(tensor.contiguous().flatten().view(torch.uint8).tolist())
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(payload)]}
        data += payload
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


# ---- The protocol: one JSON object a line, in and out. Print nothing else on stdout; stderr is yours. -----------------------------------

def answer(request):
    if request["op"] == "describe":
        return {"ok": True, "name": "pytorch-eager", "version": torch.__version__, "language": "python", "capabilities": CAPABILITIES}
    if request["op"] not in CAPABILITIES["ops"]:
        return {"ok": False, "unsupported": "op " + request["op"]}
    config, tensors = request["config"], read_tensors(request["inputs"])
    valid = tensors["valid"].bool() if "valid" in tensors else torch.ones(config["batch"], config["tokens"], dtype=torch.bool)
    write_tensors(request["outputs"], (forward if request["op"] == "forward" else backward)(config, tensors, valid))
    return {"ok": True}


def main():
    torch.set_num_threads(1)
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "shutdown":
            break
        try:
            reply = answer(request)
        except Exception as error:              # report it: the suite shows the message beside the case
            reply = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"id": request["id"], **reply}), flush=True)


if __name__ == "__main__":
    main()
