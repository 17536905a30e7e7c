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

    name, dtypes = "s2attn-numpy", ["f32", "f16"]

    def __init__(self) -> None:
        import numpy
        self.np = numpy

    def read(self, data: bytes, code: str, shape: "list[int]") -> Any:
        return self.np.frombuffer(data, _CODES[code]).reshape(shape)

    def write(self, array: Any) -> "tuple[str, bytes]":
        return {"float32": "F32", "float16": "F16"}[array.dtype.name], array.tobytes()

    def forward(self, inputs: Any, settings: Any) -> Any:
        o, lse = s2attn.s2_attn_func(inputs["q"], inputs["k"], inputs["v"], return_lse=True, **settings)
        return {"o": o, "lse": lse.swapaxes(1, 2)}

    def backward(self, inputs: Any, settings: Any) -> Any:
        q, k, v = (inputs[name] for name in "qkv")
        o, lse = s2attn.s2_attn_func(q, k, v, return_lse=True, **settings)
        return dict(zip(("dq", "dk", "dv"), s2attn.s2_attn_backward(inputs["do"], q, k, v, o, lse, **settings)))


class TorchTensors:
    """Tensors in, tensors out; gradients from autograd."""

    name, dtypes = "s2attn-pytorch", ["f32", "f16", "bf16"]

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

    def forward(self, inputs: Any, settings: Any) -> Any:
        o, lse = s2attn.s2_attn_func(inputs["q"], inputs["k"], inputs["v"], return_lse=True, **settings)
        return {"o": o, "lse": lse.transpose(1, 2)}

    def backward(self, inputs: Any, settings: Any) -> Any:
        q, k, v = (inputs[name].requires_grad_() for name in "qkv")
        s2attn.s2_attn_func(q, k, v, **settings).backward(inputs["do"])
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


def settings_of(config: Any, inputs: Any) -> Any:
    heads = config["shiftedHeads"]
    names = {"None": "none", "SecondHalf": "second_half", "All": "all"}
    return {"group_size": config["groupSize"], "mask": config["mask"], "shift": config["shift"], "softmax_scale": config["scale"],
            "shifted_heads": names[heads] if isinstance(heads, str) else heads, "key_padding_mask": inputs.get("valid")}


def answer(tensors: Any, request: Any) -> Any:
    """What is printed for a request."""
    op, head = request.get("op"), {"id": request.get("id")}
    if op == "describe":
        return {**head, "ok": True, "name": tensors.name, "version": s2attn.__version__, "language": "python", "capabilities": {
            "ops": ["forward", "backward"], "dtypes": tensors.dtypes, "masks": ["LocalCausal", "Split", "PositionCausal", "Bidirectional", "BidirectionalSplit"],
            "gqa": True, "padding": True, "oddGroup": True, "ragged": True}}
    if op not in ("forward", "backward"):
        return {**head, "ok": False, "unsupported": f"op {op}"}
    try:
        inputs = read(tensors, request["inputs"])
        write(tensors, request["outputs"], getattr(tensors, op)(inputs, settings_of(request["config"], inputs)))
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
