"""GPT-2 with a cache of keys and values in idiomatic PyTorch, for comparison in G1 and A1 of `decoder-lab bench`.

Reads a job as JSON and prints a line of JSON, as measure.ts does with other libraries.
"""

import json
import math
import os
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F


class GPT2:
    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as file:
            self.config = json.load(file)
        path = os.path.join(folder, "model.safetensors")
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        # Copy-on-write avoids PyTorch's warning about read-only memory.
        data = np.memmap(path, dtype=np.uint8, mode="c", offset=8 + length)
        self.weights = {}
        for name, tensor in header.items():
            start, end = tensor["data_offsets"]
            self.weights[name[len("transformer."):]] = torch.from_numpy(
                data[start:end].view(np.float32).reshape(tensor["shape"]))

    def forward(self, ids, cache=None, record=None):
        w, heads, eps = self.weights, self.config["n_head"], self.config["layer_norm_epsilon"]
        past = 0 if cache is None or not cache else cache[0][0].size(2)
        B, T = ids.shape
        x = w["wte.weight"][ids] + w["wpe.weight"][past:past + T]
        D = x.size(-1)
        norm = lambda x, name: F.layer_norm(x, (D,), w[name + ".weight"], w[name + ".bias"], eps)
        linear = lambda x, name: torch.addmm(w[name + ".bias"], x.view(-1, x.size(-1)), w[name + ".weight"]).view(B, T, -1)
        mask = torch.ones(T, past + T, dtype=torch.bool).triu(past + 1) if T > 1 else None
        if record is not None:
            record.append(x)
        for layer in range(self.config["n_layer"]):
            block = f"h.{layer}."
            q, k, v = (y.view(B, T, heads, -1).transpose(1, 2)
                       for y in linear(norm(x, block + "ln_1"), block + "attn.c_attn").split(D, dim=2))
            if cache is not None:
                if past:
                    k, v = torch.cat((cache[layer][0], k), 2), torch.cat((cache[layer][1], v), 2)
                    cache[layer] = (k, v)
                else:
                    cache.append((k, v))
            scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            if mask is not None:
                scores = scores.masked_fill(mask, float("-inf"))
            pattern = F.softmax(scores, dim=-1)
            z = (pattern @ v).transpose(1, 2).reshape(B, T, D)
            x = x + linear(z, block + "attn.c_proj")
            # GPT-2's GELU is the tanh approximation.
            x = x + linear(F.gelu(linear(norm(x, block + "ln_2"), block + "mlp.c_fc"), approximate="tanh"), block + "mlp.c_proj")
            if record is not None:
                record += [x, pattern]
        return norm(x, "ln_f")

    def logits(self, x):
        return x @ self.weights["wte.weight"].t()


def continue_prompt(model, prompt, new_tokens, on_token):
    cache, ids = [], torch.tensor([prompt])
    for _ in range(new_tokens):
        ids = model.logits(model.forward(ids, cache)[:, -1]).argmax(-1, keepdim=True)
        on_token(ids.item())


def memory():
    fields = {}
    try:
        with open("/proc/self/status") as status:
            for line in status:
                name, _, value = line.partition(":")
                if name in ("RssFile", "RssAnon"):
                    fields[name] = int(value.split()[0]) * 1024 / 1e6
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"peak": peak, "mapped": fields.get("RssFile"), "own": fields.get("RssAnon")}


def decode(job):
    opened = time.perf_counter()
    model = GPT2(job["path"])
    continue_prompt(model, job["prompt"][:1], 1, lambda _: None)
    load, ttft, speeds, ids = time.perf_counter() - opened, [], [], []
    for _ in range(job["repeats"]):
        times, ids = [], []

        def on_token(token):
            times.append(time.perf_counter())
            ids.append(token)
        started = time.perf_counter()
        continue_prompt(model, job["prompt"], job["newTokens"] + 1, on_token)
        ttft.append((times[0] - started) * 1000)
        speeds.append(job["newTokens"] / (times[-1] - times[0]))
    return {"loadSeconds": load, "ttftMs": ttft, "tokensPerSecond": speeds, "ids": ids, "memory": memory()}


def trace(job):
    model, ms, megabytes = GPT2(job["path"]), [], 0
    for repeat in range(job["repeats"] + 1):
        started = time.perf_counter()
        record = []
        x = model.forward(torch.tensor([job["prompt"]]), record=record)
        record += [x, model.logits(x[:, -1:])]
        if repeat > 0:
            ms.append((time.perf_counter() - started) * 1000)
        megabytes = sum(value.numel() * 4 for value in record) / 1e6
    return {"ms": ms, "megabytes": megabytes}


# On some virtual machines, PyTorch does not use all cores by default.
torch.set_num_threads(len(os.sched_getaffinity(0)))
with torch.inference_mode():
    request = json.loads(sys.argv[1])
    print(json.dumps(decode(request) if request["kind"] == "decode" else trace(request)))
