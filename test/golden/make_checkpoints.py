"""Writes small torch.save files and their contents to checkpoints/. Run with PyTorch 1.13:

    python3 make_checkpoints.py
"""

import json
import os
from collections import OrderedDict
from pathlib import Path

import torch

OUT = Path(__file__).parent / "checkpoints"


def tensors():
    """Every kind of tensor in state dicts: shared, strided, offset, single, empty and integer ones, and parameters."""
    torch.manual_seed(3)
    base = torch.randn(6, 4)
    module = torch.nn.Linear(3, 2)
    found = OrderedDict(module.state_dict())
    found["base"] = base
    found["shared"] = base
    found["row"] = base[2]
    found["transposed"] = base.t()
    found["rows"] = base[1:5:2]
    found["cube"] = torch.randn(2, 3, 4).permute(2, 0, 1)[1:]
    found["parameter"] = torch.nn.Parameter(torch.randn(5))
    found["single"] = torch.tensor(1.5)
    found["empty"] = torch.zeros(0, 3)
    found["half"] = torch.randn(3, 3).half()
    found["bfloat16"] = torch.randn(2, 5).bfloat16().t()
    found["double"] = torch.randn(4).double()
    found["ids"] = torch.arange(5)
    found["mask"] = torch.ones(3, 3).tril().bool().view(1, 1, 3, 3)
    found["names: ü, \n and ."] = torch.randn(2)
    found._metadata = module.state_dict()._metadata
    return found


class Hostile:
    """An object that runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch hostile-was-run",)


def expected(x):
    return {
        "shape": list(x.shape),
        "dtype": str(x.dtype).removeprefix("torch."),
        "values": x.detach().double().flatten().tolist(),
    }


def main():
    OUT.mkdir(exist_ok=True)
    state = tensors()
    torch.save(state, OUT / "zip.bin")
    torch.save(state, OUT / "zip-protocol4.bin", pickle_protocol=4)
    torch.save(state, OUT / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save(state, OUT / "legacy-protocol4.bin", _use_new_zipfile_serialization=False, pickle_protocol=4)
    hostile = OrderedDict(weight=torch.ones(2), other=Hostile())
    torch.save(hostile, OUT / "hostile-zip.bin", pickle_protocol=4)
    torch.save(hostile, OUT / "hostile-legacy.bin", _use_new_zipfile_serialization=False)
    values = {name: expected(x) for name, x in state.items()}
    (OUT / "expected.json").write_text(json.dumps(values, indent=1) + "\n")


main()
