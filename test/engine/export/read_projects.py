"""
Computes the logits of exported PyTorch projects, all in one process.

    echo '[{"project": DIR, "weights": DIR, "ids": [[1, 2]]}, …]' | python3 read_projects.py

Prints the logits [batch, position, vocabulary] of each project's model.py for the ids, with the weights of a folder.
"""

import importlib
import json
import sys

import torch

torch.set_num_threads(1)
torch.set_grad_enabled(False)


def logits_of(project, weights, ids):
    for name in ("model", "weights"):
        sys.modules.pop(name, None)
    sys.path.insert(0, project)
    model = importlib.import_module("model").load(weights).eval()
    sys.path.pop(0)
    return model(torch.tensor(ids)).tolist()


print(json.dumps([logits_of(**each) for each in json.load(sys.stdin)]))
