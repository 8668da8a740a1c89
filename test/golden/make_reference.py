"""
Writes decoders.safetensors: PyTorch's results for small decoders of every variant, as a reference for the engine.

    python3 test/golden/make_reference.py

The model is an independent implementation in plain PyTorch, in float64; the file holds float32. Written with PyTorch 1.13.
The metadata key "variants" describes each variant, including its "layout": the names and shapes of its parameters in
the order in which the flat tensors `{variant}.params`, `.grads`, `.after1`, `.after3` hold them. Linear weights are
transposed to [in, out].
"""

import itertools
import json
import pathlib
import struct

import torch
import torch.nn.functional as F
from torch import nn

VOCAB, CTX, LAYERS, HEADS, WIDTH, MLP = 11, 8, 2, 2, 8, 12
BATCH, LENGTH, STEPS = 3, 6, 3
IGNORED = -100
LEARNING_RATES = [1e-3, 2e-3, 1.5e-3]


def layer_norm(c):
    norm = nn.LayerNorm(c["dModel"], eps=c["normEps"])
    if not c["normBias"]:
        del norm.bias
        norm.register_parameter("bias", None)
    return norm


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.pre, self.heads = c["norm"] == "pre", c["nHeads"]
        width, hidden = c["dModel"], c["dMlp"]
        self.ln1, self.ln2 = layer_norm(c), layer_norm(c)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=c["attentionBias"]) for _ in range(4))
        self.fc = nn.Linear(width, hidden, bias=c["mlpBias"])
        self.proj = nn.Linear(hidden, width, bias=c["mlpBias"])
        self.activation = {"relu": nn.ReLU(), "gelu": nn.GELU(), "geluTanh": nn.GELU(approximate="tanh")}[c["activation"]]

    def attention(self, x):
        batch, length, width = x.shape
        q, k, v = (f(x).view(batch, length, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        z = scores.masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.o(z.transpose(1, 2).reshape(batch, length, width))

    def mlp(self, x):
        return self.proj(self.activation(self.fc(x)))

    def forward(self, x):
        if self.pre:
            x = x + self.attention(self.ln1(x))
            return x + self.mlp(self.ln2(x))
        x = self.ln1(x + self.attention(x))
        return self.ln2(x + self.mlp(x))


class Decoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        width = c["dModel"]
        self.embed = nn.ModuleDict(
            {"tokens": nn.Embedding(c["vocabSize"], width), "positions": nn.Embedding(c["nCtx"], width)}
        )
        self.blocks = nn.ModuleList(Block(c) for _ in range(c["nLayers"]))
        self.lnFinal = layer_norm(c) if c["finalNorm"] else nn.Identity()
        self.head = nn.Linear(width, c["vocabSize"], bias=c["headBias"])
        if c["tiedHead"]:
            self.head.weight = self.embed["tokens"].weight

    def forward(self, ids):
        x = self.embed["tokens"](ids) + self.embed["positions"](torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.lnFinal(x))


def is_linear(name):
    return name.endswith(".weight") and name.split(".")[-2] in ("q", "k", "v", "o", "fc", "proj", "head")


def flat(named):
    return torch.cat([(t.T if is_linear(name) else t).reshape(-1) for name, t in named]).detach().clone()


def variants():
    combinations = itertools.product(("pre", "post"), ("relu", "gelu", "geluTanh"), (False, True))
    for i, (norm, activation, tied) in enumerate(combinations):
        # A pattern that combines every bias with every other option, without all combinations.
        bits = i * 7 // 2 + 3
        config = dict(
            vocabSize=VOCAB, nCtx=CTX, nLayers=LAYERS, nHeads=HEADS, dModel=WIDTH, dMlp=MLP,
            norm=norm, finalNorm=i % 4 != 3, normEps=1e-5, normBias=bool(bits & 4), activation=activation,
            attentionBias=bool(bits & 1), mlpBias=bool(bits & 2), tiedHead=tied, headBias=bool(bits & 8),
        )  # fmt: skip
        decay = dict(kind="adamw", beta1=0.9, beta2=0.95, eps=1e-8, weightDecay=0.1)
        plain = dict(kind="adam", beta1=0.9, beta2=0.98, eps=1e-9, weightDecay=0)
        # Effective clipping, except in one variant where it is off and one where the limit is not reached.
        limit = {5: 0, 7: 1000}.get(i, 0.25)
        name = f"{norm}-{activation}-{'tied' if tied else 'untied'}"
        yield i, name, config, decay if (i // 2) % 2 else plain, limit


def reference(seed, config, optimizer, limit):
    torch.manual_seed(seed)
    model = Decoder(config).double()
    for name, p in model.named_parameters():
        values = torch.randn(p.shape) * 0.3 + (1 if "ln" in name and name.endswith("weight") else 0)
        p.data = values.float().double()
    named = list(model.named_parameters())
    tensors = {"params": flat(named)}

    ids = torch.randint(VOCAB, (STEPS, BATCH, LENGTH))
    labels = torch.randint(VOCAB, (STEPS, BATCH, LENGTH)).masked_fill(torch.rand(STEPS, BATCH, LENGTH) < 0.25, IGNORED)

    options = dict(betas=(optimizer["beta1"], optimizer["beta2"]), eps=optimizer["eps"])
    if optimizer["kind"] == "adam":
        stepper = torch.optim.Adam(model.parameters(), **options)
    else:
        groups = [
            dict(params=[p for n, p in named if is_linear(n)], weight_decay=optimizer["weightDecay"]),
            dict(params=[p for n, p in named if not is_linear(n)], weight_decay=0),
        ]
        stepper = torch.optim.AdamW(groups, **options)

    losses, norms = [], []
    for step in range(STEPS):
        logits = model(ids[step])
        loss = F.cross_entropy(logits.reshape(-1, VOCAB), labels[step].reshape(-1), ignore_index=IGNORED)
        stepper.zero_grad(set_to_none=False)
        loss.backward()
        if step == 0:
            tensors["logits"] = logits.detach()
            tensors["grads"] = flat([(name, p.grad) for name, p in named])
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), limit if limit else float("inf"))))
        for group in stepper.param_groups:
            group["lr"] = LEARNING_RATES[step]
        stepper.step()
        losses.append(loss.item())
        if step in (0, STEPS - 1):
            tensors[f"after{step + 1}"] = flat(named)

    layout = [[name, list((p.T if is_linear(name) else p).shape)] for name, p in named]
    described = dict(
        config=config, optimizer=optimizer, maxGradNorm=limit, learningRates=LEARNING_RATES, layout=layout,
        ids=ids.tolist(), labels=labels.tolist(), losses=losses, gradNorms=norms,
    )  # fmt: skip
    return described, tensors


def save(path, metadata, tensors):
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in tensors.items():
        values = tensor.reshape(-1).tolist()
        start = len(data)
        data += struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, len(data)]}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + data)


described, tensors = {}, {}
for i, name, config, optimizer, limit in variants():
    described[name], own = reference(i, config, optimizer, limit)
    tensors.update({f"{name}.{key}": value for key, value in own.items()})
metadata = {"variants": json.dumps(described, separators=(",", ":")), "torch": torch.__version__}
save(pathlib.Path(__file__).with_name("decoders.safetensors"), metadata, tensors)
