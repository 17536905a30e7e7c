# How is a .safetensors file written, and read back?
"""u64 little-endian header length, JSON header (padded with spaces to 8 bytes), then the tensors' bytes in header order, without gaps."""

import json
import struct

import numpy as np
import torch

CODES = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.uint8: "U8"}
TYPES = {code: dtype for dtype, code in CODES.items()}


def _bytes(tensor):
    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().astype("<i2").tobytes()
    array = tensor.numpy()
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def encode(tensors, metadata):
    """tensors: name -> torch tensor, in the order they are to be stored; metadata: str -> str."""
    header, body = {"__metadata__": metadata}, []
    offset = 0
    for name, tensor in tensors.items():
        data = _bytes(tensor)
        header[name] = {"dtype": CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        body.append(data)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(body)


def decode(data):
    """(tensors, metadata) of what encode wrote."""
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8:8 + length]), data[8 + length:]
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        part, dtype = body[slice(*entry["data_offsets"])], TYPES[entry["dtype"]]
        if dtype == torch.bfloat16:
            tensors[name] = torch.from_numpy(np.frombuffer(part, "<i2").copy()).view(dtype).reshape(entry["shape"])
        else:
            tensors[name] = torch.frombuffer(bytearray(part), dtype=dtype).reshape(entry["shape"])
    return tensors, metadata
