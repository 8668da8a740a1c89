"""
Compares the files with Hugging Face transformers, if installed. No other script needs it.

    python3 test/golden/architectures/compare_transformers.py [VARIANT...]

Checked with transformers 5.18 and PyTorch 2.13: logits, patterns, the residual stream, and greedy continuations with
its cache.
"""

import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM

from safetensors_file import decode

FOLDER = pathlib.Path(__file__).parent
TOLERANCE = 1e-4


def compare(folder):
    reference = decode((folder / "reference.safetensors").read_bytes())
    greedy = json.loads((folder / "greedy.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids, mask = reference["ids"].long(), reference["mask"].long()
    output = model(ids, attention_mask=mask, output_hidden_states=True, output_attentions=True)

    theirs = {"logits": output.logits}
    for layer, pattern in enumerate(output.attentions):
        theirs[f"blocks.{layer}.residPre"] = output.hidden_states[layer]
        theirs[f"blocks.{layer}.attn.pattern"] = pattern.transpose(1, 2)
    if "lnFinal" in reference:
        theirs["lnFinal"] = output.hidden_states[-1]

    worst = 0.0
    for name, value in theirs.items():
        ours = reference[name].transpose(1, 2) if name.endswith("pattern") else reference[name]
        # Only at tokens, because the values at padded positions are unspecified.
        away = (value - ours)[mask.bool()].abs().max().item()
        assert away < TOLERANCE, f"{folder.name}: {name} is {away} away"
        worst = max(worst, away)

    for prompt, expected in zip(greedy["prompts"], greedy["ids"]):
        options = dict(do_sample=False, max_new_tokens=len(expected), eos_token_id=None, pad_token_id=0)
        given = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)).long(), **options)
        assert given[0, len(prompt) :].tolist() == expected, f"{folder.name}: generates other tokens"
    print(f"{folder.name}: agrees, at most {worst:.1e} away")


with torch.no_grad():
    for folder in sorted(FOLDER.iterdir()):
        if folder.is_dir() and folder.name in (sys.argv[1:] or [folder.name]):
            compare(folder)
