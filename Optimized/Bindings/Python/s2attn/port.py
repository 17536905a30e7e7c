# How does the conformance suite ask this package? As a port of docs/port-protocol.md, through PyTorch or through NumPy.
"""    s2attn check --port "python3 -m s2attn.port"                    through PyTorch and its autograd
    s2attn check --port "python3 -m s2attn.port --through numpy"    through NumPy alone"""
import argparse
import json
import struct
import sys
from typing import Any

import s2attn

_CODES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "U8": "uint8"}


class NumpyTensors:
    """Arrays in, arrays out."""

    name, dtypes, strides = "s2attn-numpy", ["f32", "f16"], ["gapped", "negative", "broadcast"]

    def __init__(self) -> None:
        import numpy
        self.np = numpy

    def read(self, data: bytes, code: str, shape: "list[int]") -> Any:
        return self.np.frombuffer(data, _CODES[code]).reshape(shape)

    def write(self, array: Any) -> "tuple[str, bytes]":
        return {"float32": "F32", "float16": "F16"}[array.dtype.name], array.tobytes()

    def view(self, storage: Any, offset: int, shape: Any, strides: Any) -> Any:
        size = storage.itemsize
        return self.np.lib.stride_tricks.as_strided(storage[offset:], shape, [stride * size for stride in strides])

    def forward(self, inputs: Any, settings: Any) -> Any:
        o, lse = function(settings)(inputs["q"], inputs["k"], inputs["v"], return_lse=True, **settings)
        return {"o": o, "lse": lse.swapaxes(-1, -2)}

    def backward(self, inputs: Any, settings: Any) -> Any:
        q, k, v = (inputs[name] for name in "qkv")
        o, lse = function(settings)(q, k, v, return_lse=True, **settings)
        backward = s2attn.s2_attn_slice_backward if "first_key" in settings else s2attn.s2_attn_grid_backward if "axes" in settings else s2attn.s2_attn_backward
        dlse = inputs["dlse"].swapaxes(-1, -2) if "dlse" in inputs else None
        return dict(zip(("dq", "dk", "dv"), backward(inputs["do"], q, k, v, o, lse, dlse=dlse, **settings)))


class TorchTensors:
    """Tensors in, tensors out; gradients from autograd."""

    name, dtypes, strides = "s2attn-pytorch", ["f32", "f16", "bf16"], ["gapped", "broadcast"]

    def __init__(self) -> None:
        import torch
        self.torch = torch

    def read(self, data: bytes, code: str, shape: "list[int]") -> Any:
        dtype = getattr(self.torch, _CODES[code])
        return self.torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape) if data else self.torch.empty(shape, dtype=dtype)

    def write(self, tensor: Any) -> "tuple[str, bytes]":
        code = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[str(tensor.dtype)[6:]]
        tensor = tensor.detach().contiguous()
        return code, (tensor.view(self.torch.int16) if code != "F32" else tensor).numpy().tobytes()

    def view(self, storage: Any, offset: int, shape: Any, strides: Any) -> Any:
        return self.torch.as_strided(storage, shape, strides, offset)

    def forward(self, inputs: Any, settings: Any) -> Any:
        o, lse = function(settings)(inputs["q"], inputs["k"], inputs["v"], return_lse=True, **settings)
        return {"o": o, "lse": lse.transpose(-1, -2)}

    def backward(self, inputs: Any, settings: Any) -> Any:
        q, k, v = (inputs[name].requires_grad_() for name in "qkv")
        o, lse = function(settings)(q, k, v, return_lse=True, **settings)
        self.torch.autograd.backward([o, lse] if "dlse" in inputs else [o], [inputs["do"], inputs["dlse"].transpose(-1, -2)] if "dlse" in inputs else [inputs["do"]])
        return {"dq": q.grad, "dk": k.grad, "dv": v.grad}


def read(tensors: Any, path: str) -> Any:
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8:8 + length]), data[8 + length:]
    return {name: tensors.read(body[entry["data_offsets"][0]:entry["data_offsets"][1]], entry["dtype"], entry["shape"]) for name, entry in header.items() if name != "__metadata__"}


def write(tensors: Any, path: str, answer: Any) -> None:
    header, body = {}, b""
    for name, tensor in answer.items():
        code, data = tensors.write(tensor)
        header[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def function(settings: Any) -> Any:
    return s2attn.s2_attn_slice_func if "first_key" in settings else s2attn.s2_attn_grid_func if "axes" in settings else s2attn.s2_attn_varlen_func if "cu_seqlens" in settings else s2attn.s2_attn_func


def arranged(tensors: Any, request: Any, inputs: Any) -> Any:
    """The inputs as the functions take them: views of storages, [B,H,N,D] with its axes swapped and not moved, packed sequences without a batch axis."""
    config, views = request["config"], request.get("views", {})
    for name in [name for name in ("q", "k", "v", "do") if name in inputs]:
        shape = [config["batch"], config["tokens"], config["kvHeads" if name in ("k", "v") else "heads"], config["headDim"]]
        if name in views:
            inputs[name] = tensors.view(inputs[name], views[name]["offset"], shape, [*views[name]["strides"], 1])
        elif request.get("layout") == "BHND":
            inputs[name] = inputs[name].swapaxes(1, 2)
    if "cuSeqlens" in request:
        inputs = {name: tensor[0] for name, tensor in inputs.items()}
    return inputs


def restored(request: Any, answer: Any) -> Any:
    """The answer as the request wants it."""
    if "cuSeqlens" in request:
        answer = {name: tensor[None] for name, tensor in answer.items()}
    return {name: tensor.swapaxes(1, 2) if request.get("layout") == "BHND" and name != "lse" else tensor for name, tensor in answer.items()}


def settings_of(request: Any, inputs: Any) -> Any:
    config = request["config"]
    heads = config["shiftedHeads"]
    packed = {"cu_seqlens": request["cuSeqlens"]} if "cuSeqlens" in request else {}
    names = {"None": "none", "SecondHalf": "second_half", "All": "all"}
    own = {"shift": config["shifts"]} if "shifts" in config else {"shift": config["shift"], "shifted_heads": names[heads] if isinstance(heads, str) else heads}
    if "axes" in config:
        axes = [(axis["tokens"], axis["groupSize"], axis["shift"]) for axis in config["axes"]]
        return {"axes": axes, "mask": config["mask"], "softmax_scale": config["scale"], "shifted_heads": own["shifted_heads"], "key_padding_mask": inputs.get("valid")}
    return {"group_size": config["groupSize"], "mask": config["mask"], "softmax_scale": config["scale"], **own,
            "prefix": config.get("prefix", 0), "whole_prefix": config.get("prefixWhole", False), "key_padding_mask": inputs.get("valid"), **packed, **part_of(request)}


def part_of(request: Any) -> Any:
    """Where q and k begin, and the tokens of the whole where it is known."""
    if "slice" not in request:
        return {}
    part = request["slice"]
    return {"first_query": part["queries"][0], "first_key": part["keys"][0], "tokens": None if part.get("unbounded") else request["config"]["tokens"]}


def answer(tensors: Any, request: Any) -> Any:
    """What is printed for a request."""
    op, head = request.get("op"), {"id": request.get("id")}
    if op == "describe":
        return {**head, "ok": True, "name": tensors.name, "version": s2attn.__version__, "language": "python", "capabilities": {
            "ops": ["forward", "backward"], "dtypes": tensors.dtypes, "masks": ["LocalCausal", "Split", "PositionCausal", "Bidirectional", "BidirectionalSplit"],
            "gqa": True, "padding": True, "oddGroup": True, "ragged": True, "layouts": ["BNHD", "BHND"], "packed": True, "phases": True, "grids": True, "prefixes": True, "slice": True, "lseGradient": True, "strides": tensors.strides}}
    if op not in ("forward", "backward"):
        return {**head, "ok": False, "unsupported": f"op {op}"}
    try:
        inputs = arranged(tensors, request, read(tensors, request["inputs"]))
        write(tensors, request["outputs"], restored(request, getattr(tensors, op)(inputs, settings_of(request, inputs))))
        return {**head, "ok": True}
    except Exception as error:              # whatever fails is this case's answer; the port goes on
        return {**head, "ok": False, "error": f"{type(error).__name__}: {error}"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m s2attn.port", description="Serves the S2-Attn port protocol on stdin and stdout.")
    parser.add_argument("--through", choices=("pytorch", "numpy"), default="pytorch")
    tensors = {"pytorch": TorchTensors, "numpy": NumpyTensors}[parser.parse_args().through]()
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("op") == "shutdown":
            break
        print(json.dumps(answer(tensors, request)), flush=True)


if __name__ == "__main__":
    main()
