/** Safetensors in Python, so that a project needs only PyTorch and NumPy. */

export const weightsSource = `"""The safetensors format: the header's length in 8 bytes, the header as JSON, the tensors' bytes."""

import json
import os

import numpy as np
import torch


def read_tensors(paths):
    """Reads the float32 tensors of files, by name."""
    tensors = {}
    for path in paths:
        file = np.memmap(path, mode="r")
        start = 8 + int(file[:8].view("<u8")[0])
        header = json.loads(bytes(file[8:start]))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            values = np.array(file[start + begin : start + end]).view("<f4").reshape(entry["shape"])
            tensors[name] = torch.from_numpy(values)
    return tensors


def write_tensors(path, tensors):
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in tensors.items():
        begin, end = end, end + 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(tensor.detach().cpu().contiguous().numpy().astype("<f4").tobytes())
        file.flush()
        os.fsync(file.fileno())
`;
