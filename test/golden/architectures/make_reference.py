"""
Writes a tiny checkpoint and PyTorch's results for every variant of every architecture.

    python3 test/golden/architectures/make_reference.py [VARIANT...]
    python3 test/golden/architectures/make_reference.py --check

The first command draws weights until a variant's greedy continuations make a good comparison, and writes the files. The
second draws them again from the recorded seed and compares everything with the files. Needs only PyTorch (written with
1.13).
"""

import argparse
import itertools
import json
import math
import pathlib

import torch

from pieces import Weights
from safetensors_file import decode, encode
from variants import VARIANTS

FOLDER = pathlib.Path(__file__).parent
PROMPTS = [[31, 41, 59, 26, 53, 58, 97, 93, 23, 84, 62, 64], [27, 18, 28, 18, 28, 45, 90]]
NEW_TOKENS = 64

# Each step of a greedy continuation has a larger margin than rounding and the order of sums can change, and a
# continuation must not be a short loop, which would show little.
SMALLEST_MARGIN = 5e-3
FEWEST_TOKENS = 12


def forward(variant, w, ids, mask=None, trace=None):
    """Returns the logits of ids [B, T] and stores intermediate values in `trace`."""

    def probe(name, value):
        if trace is not None:
            trace[name] = value
        return value

    mask = torch.ones_like(ids) if mask is None else mask
    return probe("logits", variant.family(variant.config, w, ids, mask, probe))


def padded_batch():
    longest = max(map(len, PROMPTS))
    ids = torch.tensor([prompt + [0] * (longest - len(prompt)) for prompt in PROMPTS])
    mask = torch.tensor([[1] * len(prompt) + [0] * (longest - len(prompt)) for prompt in PROMPTS])
    return ids, mask


def trace_of(variant, w):
    ids, mask = padded_batch()
    trace = {"ids": ids.int(), "mask": mask.int()}
    forward(variant, w, ids, mask, trace)
    return {name: value.clone() for name, value in trace.items()}


def continue_greedily(variant, w, prompt):
    """Returns the new ids and the smallest margin of a chosen logit, from a whole forward pass at every step."""
    ids, margin = list(prompt), math.inf
    for _ in range(NEW_TOKENS):
        values, chosen = forward(variant, w, torch.tensor([ids]))[0, -1].topk(2)
        margin = min(margin, (values[0] - values[1]).item())
        if margin < SMALLEST_MARGIN:
            return None, margin
        ids.append(chosen[0].item())
    return ids[len(prompt) :], margin


def greedy_of(variant, w):
    """Returns greedy.json, or None if these weights make a poor comparison."""
    continuations = []
    for prompt in PROMPTS:
        ids, margin = continue_greedily(variant, w, prompt)
        if ids is None or len(set(ids)) < FEWEST_TOKENS:
            return None
        continuations.append((ids, margin))
    return {
        "prompts": PROMPTS,
        "ids": [ids for ids, _ in continuations],
        "minMargin": min(margin for _, margin in continuations),
    }


def draw(variant):
    for seed in itertools.count():
        w = Weights(seed, variant.dtype, variant.embedding)
        greedy = greedy_of(variant, w)
        if greedy:
            return w, {"seed": seed, **greedy}


def examine(variant, w, trace):
    """Checks properties that hold for every decoder."""
    ids, mask = padded_batch()

    for row, prompt in enumerate(PROMPTS):
        alone = forward(variant, w, torch.tensor([prompt]))[0]
        assert torch.allclose(alone, trace["logits"][row, : len(prompt)], atol=1e-4), "padding changes a row"

    for position in range(1, ids.shape[1]):
        changed = ids.clone()
        changed[0, position:] += 1
        before = forward(variant, w, changed, mask)[0, :position]
        assert torch.allclose(before, trace["logits"][0, :position], atol=1e-4), "a position sees a later one"

    for name, value in trace.items():
        assert value.isfinite().all(), f"{name} is not finite"
        if name.endswith("pattern"):
            assert torch.allclose(value.sum(-1), torch.ones(value.shape[:-1])), "a pattern does not sum to 1"
            assert (value[1, :, :, len(PROMPTS[1]) :] == 0).all(), "a query sees padding"


def stored(variant, w):
    """Returns the tensors of model.safetensors."""
    return {**{name: value.to(variant.dtype) for name, value in w.tensors.items()}, **variant.buffers(variant.config)}


def write(variant, folder):
    w, greedy = draw(variant)
    trace = trace_of(variant, w)
    examine(variant, w, trace)

    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(variant.config, indent=2) + "\n")
    (folder / "model.safetensors").write_bytes(encode(stored(variant, w)))
    (folder / "reference.safetensors").write_bytes(encode(trace))
    (folder / "greedy.json").write_text(json.dumps(greedy) + "\n")
    distinct = [len(set(ids)) for ids in greedy["ids"]]
    print(f"{variant.name}: seed {greedy['seed']}, margin {greedy['minMargin']:.4f}, distinct tokens {distinct}")


def check(variant, folder):
    greedy = json.loads((folder / "greedy.json").read_text())
    w = Weights(greedy["seed"], variant.dtype, variant.embedding)
    trace = trace_of(variant, w)
    examine(variant, w, trace)

    assert json.loads((folder / "config.json").read_text()) == variant.config, "config.json differs"
    assert_same(stored(variant, w), decode((folder / "model.safetensors").read_bytes()))
    assert_same(trace, decode((folder / "reference.safetensors").read_bytes()))
    again = greedy_of(variant, w)
    assert again and again["prompts"] == greedy["prompts"] and again["ids"] == greedy["ids"], "greedy.json differs"
    print(f"{variant.name}: as committed")


def assert_same(computed, committed):
    """Compares up to float32 rounding, because CPUs and libraries sum in different orders."""
    assert computed.keys() == committed.keys(), computed.keys() ^ committed.keys()
    for name, value in computed.items():
        assert value.dtype == committed[name].dtype and value.shape == committed[name].shape, name
        assert torch.allclose(value.float(), committed[name].float(), rtol=1e-4, atol=2e-5), f"{name} differs"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="all, if none is named")
    parser.add_argument("--check", action="store_true", help="compare with the files that are there")
    arguments = parser.parse_args()

    known = [variant.name for variant in VARIANTS]
    if unknown := set(arguments.variants) - set(known):
        parser.error(f"unknown: {', '.join(unknown)}. Known: {', '.join(known)}")
    for variant in VARIANTS:
        if variant.name in (arguments.variants or known):
            (check if arguments.check else write)(variant, FOLDER / variant.name)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
