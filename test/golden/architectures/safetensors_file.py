"""The safetensors format: the header's length in 8 bytes, the header as JSON, the tensors' bytes."""

import json
import struct

import torch

DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def encode(tensors):
    header, data = {"__metadata__": {"format": "pt"}}, bytearray()
    # Wide types first, so that each tensor is aligned to its element size.
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
        start = len(data)
        data += bytes(tensor.contiguous().reshape(-1).view(torch.uint8).tolist())
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, len(data)]}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded + bytes(data)


def decode(file):
    (length,) = struct.unpack("<Q", file[:8])
    header, data = json.loads(file[8 : 8 + length]), file[8 + length :]
    del header["__metadata__"]
    return {name: tensor(entry, data) for name, entry in header.items()}


def tensor(entry, data):
    bytes_of = bytearray(data[slice(*entry["data_offsets"])])
    return torch.frombuffer(bytes_of, dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"])
