"""
Writes PyTorch's results for interventions, the logit lens and attributions of a logit to components.

    python3 test/golden/architectures/make_interventions.py             # interventions.safetensors, in seconds
    python3 test/golden/architectures/make_interventions.py --check     # computes again and compares

The families' functions replace a value by the result of `probe`, so each intervention is a probe, independent of the
engine. For each variant `v` of `NAMES`, with the first prompt of make_reference.py:

v.{change}      [4, V]         logits current the last positions, with an intervention of `changes`
v.lens          [points, V]    logits current the last position with each point of the residual stream as the last block's output
v.heads         [L, H]         contribution of each head to the logit of the most likely last token; likewise:
v.mlps          [L]
v.embeddings    [1 or 2]       of the token and, where there is one, of the position
"""

import json
import sys

import torch

import families
from make_reference import FOLDER, PROMPTS, assert_same
from pieces import Weights
from safetensors_file import decode, encode
from variants import VARIANTS

NAMES = ["gpt2", "opt", "opt-post-norm", "llama", "gemma2", "olmo2", "phi", "gpt_neox-sequential"]
PROMPT, OTHER = PROMPTS
LAST = 4


def run(variant, w, prompt, probe):
    ids = torch.tensor([prompt])
    return variant.family(variant.config, w, ids, torch.ones_like(ids), probe)[0]


def trace_of(variant, w, prompt):
    trace = {}
    run(variant, w, prompt, lambda name, value: trace.setdefault(name, value))
    return trace


def scaled(name, factor, head=None):
    def probe(current, value):
        if current != name:
            return value
        value = value.clone()
        value[:, slice(None) if head is None else head] *= factor
        return value

    return probe


def patched(name, position, values, head=None):
    def probe(current, value):
        if current != name:
            return value
        value = value.clone()
        if head is None:
            value[0, position] = values
        else:
            value[0, head, position] = values
        return value

    return probe


def both(first, second):
    return lambda name, value: second(name, first(name, value))


def changes(other):
    """`other` is the trace of the other prompt."""
    return {
        "head": scaled("blocks.1.attn.z", 0, head=2),
        "attention": scaled("blocks.0.attnOut", 0.5),
        "mlp": scaled("blocks.0.mlpOut", 0),
        "layer": both(scaled("blocks.1.attnOut", 0), scaled("blocks.1.mlpOut", 0)),
        "patchedHead": patched("blocks.0.attn.z", 5, other["blocks.0.attn.z"][0, 1, 3], head=1),
        "patchedStream": patched("blocks.0.residPost", 9, other["blocks.0.residPost"][0, 6]),
    }


def lens(variant, w, trace):
    layers = 1 + max(int(name.split(".")[1]) for name in trace if name.startswith("blocks."))
    points = [f"blocks.{layer}.{name}" for layer in range(layers) for name in ("residMid", "residPost")]
    read = []
    for point in ["blocks.0.residPre", *(point for point in points if point in trace)]:
        probe = patched(f"blocks.{layers - 1}.residPost", -1, trace[point][0, -1])
        read.append(run(variant, w, PROMPT, probe)[-1])
    return torch.stack(read)


def with_norms_held(family):
    """Norms with a constant scale, so that derivatives sum to the logit."""

    def layer_norm(w, name, x, eps, affine=True):
        centered = x - x.mean(-1, keepdim=True)
        y = centered * torch.rsqrt(x.var(-1, unbiased=False, keepdim=True) + eps).detach()
        return y * w(f"{name}.weight", x.shape[-1]) + w(f"{name}.bias", x.shape[-1]) if affine else y

    def rms_norm(w, name, x, eps, plus_one=False, around=1):
        weight = w(f"{name}.weight", x.shape[-1])
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps).detach()
        return x * scale * (1 + weight if plus_one else weight)

    kept = families.layer_norm, families.rms_norm
    families.layer_norm, families.rms_norm = layer_norm, rms_norm
    try:
        return family()
    finally:
        families.layer_norm, families.rms_norm = kept


def attributions(variant, w, trace):
    """Returns each component times the logit's derivative, with all other components held constant."""
    leaves = {}

    def probe(name, value):
        if not name.endswith(("embed", "posEmbed", ".attn.z", ".mlpOut")):
            return value
        leaves[name] = value.detach().requires_grad_()
        return leaves[name]

    # The attributed logit is the one before the final cap, which is not linear.
    config = {**variant.config, "final_logit_softcapping": None}

    def logit():
        ids = torch.tensor([PROMPT])
        logits = variant.family(config, w, ids, torch.ones_like(ids), probe)[0, -1]
        return logits[logits.argmax()]

    with torch.enable_grad():
        with_norms_held(logit).backward()
    share = {name: (leaf * leaf.grad).detach()[0] for name, leaf in leaves.items()}
    layers = [name[: -len(".mlpOut")] for name in share if name.endswith(".mlpOut")]
    return {
        "heads": torch.stack([share[f"{layer}.attn.z"][:, -1].sum(-1) for layer in layers]),
        "mlps": torch.stack([share[f"{layer}.mlpOut"][-1].sum() for layer in layers]),
        "embeddings": torch.stack([share[name][-1].sum() for name in ("embed", "posEmbed") if name in share]),
    }


def compute():
    tensors = {}
    for variant in VARIANTS:
        if variant.name not in NAMES:
            continue
        seed = json.loads((FOLDER / variant.name / "greedy.json").read_text())["seed"]
        w = Weights(seed, variant.dtype, variant.embedding)
        trace, other = trace_of(variant, w, PROMPT), trace_of(variant, w, OTHER)
        found = {name: run(variant, w, PROMPT, probe)[-LAST:] for name, probe in changes(other).items()}
        found |= {"lens": lens(variant, w, trace), **attributions(variant, w, trace)}
        tensors |= {f"{variant.name}.{name}": value.clone() for name, value in found.items()}
    return tensors


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    path = FOLDER / "interventions.safetensors"
    if sys.argv[1:] == ["--check"]:
        assert_same(compute(), decode(path.read_bytes()))
        print("interventions.safetensors: as committed")
    else:
        path.write_bytes(encode(compute()))
