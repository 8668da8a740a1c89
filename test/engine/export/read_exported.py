"""
Computes the logits of exported folders with the implementations in test/golden/architectures, which are independent of
this project, or with the modeling file of a folder.

    echo '{"folders": [FOLDER, …], "ids": [[1, 2], [3, 0]], "mask": [[1, 1], [1, 0]]}' | python3 read_exported.py
"""

import importlib.util
import json
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "golden" / "architectures"))

import families
from safetensors_file import decode


class Weights:
    """The tensors of a folder; each must be read, with its own shape."""

    embedding = None

    def __init__(self, folder):
        index = folder / "model.safetensors.index.json"
        files = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else {"model.safetensors"}
        self.tensors = {name: x for file in files for name, x in decode((folder / file).read_bytes()).items()}
        self.read_names = set()

    def __call__(self, name, *shape, **_):
        tensor = self.tensors[name]
        assert tensor.shape == shape and tensor.dtype == torch.float32, f"{name} is {tensor.dtype} {tuple(tensor.shape)}"
        self.read_names.add(name)
        return tensor


def logits_of(folder, ids, mask):
    config = json.loads((folder / "config.json").read_text())
    kind = config["model_type"]
    if kind == "decoder_lab":
        spec = importlib.util.spec_from_file_location("modeling_decoder_lab", folder / "modeling_decoder_lab.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.load(folder)(ids)

    weights = Weights(folder)
    prefix = {"prefix": "transformer."} if kind == "gpt2" else {}
    logits = getattr(families, kind)(config, weights, ids, mask, lambda name, value: value, **prefix)
    assert weights.read_names == weights.tensors.keys(), f"never read: {weights.tensors.keys() - weights.read_names}"
    return logits


torch.set_grad_enabled(False)
torch.set_num_threads(1)
request = json.load(sys.stdin)
ids, mask = torch.tensor(request["ids"]), torch.tensor(request["mask"])
print(json.dumps([logits_of(pathlib.Path(folder), ids, mask).tolist() for folder in request["folders"]]))
