/**
 * The PyTorch module that is exported with models that match no family of transformers. It needs only PyTorch.
 */

export const MODELING_FILE = "modeling_decoder_lab.py";

export const modelingSource = `"""
A decoder-only transformer that was trained with Decoder Lab, in PyTorch.

    from modeling_decoder_lab import load
    model = load("path/to/this/folder")
    logits = model(torch.tensor([[1, 2, 3]]))  # [batch, position, vocabulary]
"""

import json
import pathlib
import struct

import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "geluTanh": lambda x: 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
}


class Linear(nn.Module):
    """y = x W + b, with W [in, out]."""

    def __init__(self, width, out, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, out))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None

    def forward(self, x):
        y = x @ self.weight
        return y if self.bias is None else y + self.bias


class LayerNorm(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(c["dModel"]))
        self.bias = nn.Parameter(torch.zeros(c["dModel"])) if c["normBias"] else None
        self.eps = c["normEps"]

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, hidden = c["dModel"], c["dMlp"]
        self.ln1 = LayerNorm(c)
        self.q = Linear(width, width, c["attentionBias"])
        self.k = Linear(width, width, c["attentionBias"])
        self.v = Linear(width, width, c["attentionBias"])
        self.o = Linear(width, width, c["attentionBias"])
        self.ln2 = LayerNorm(c)
        self.fc = Linear(width, hidden, c["mlpBias"])
        self.proj = Linear(hidden, width, c["mlpBias"])
        self.heads = c["nHeads"]
        self.activation = ACTIVATIONS[c["activation"]]
        self.norm_first = c["norm"] == "pre"
        self.causal = c.get("causal", True)

    def attention(self, x):
        batch, length, width = x.shape
        q, k, v = (f(x).view(batch, length, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        if self.causal:
            scores = scores.masked_fill(later, float("-inf"))
        z = scores.softmax(-1) @ v
        return self.o(z.transpose(1, 2).reshape(batch, length, width))

    def mlp(self, x):
        return self.proj(self.activation(self.fc(x)))

    def forward(self, x):
        if self.norm_first:
            x = x + self.attention(self.ln1(x))
            return x + self.mlp(self.ln2(x))
        x = self.ln1(x + self.attention(x))
        return self.ln2(x + self.mlp(x))


def sinusoids(length, width):
    """Row t has the sine and the cosine of t / 10000^(2i / width) in columns 2i and 2i + 1."""
    even = torch.arange(width, dtype=torch.float64) // 2 * 2
    angles = torch.outer(torch.arange(length, dtype=torch.float64), 10000 ** (-even / width))
    return torch.where(torch.arange(width) % 2 == 0, angles.sin(), angles.cos())


class DecoderLab(nn.Module):
    def __init__(self, config):
        super().__init__()
        c = self.config = config
        self.embed = nn.ModuleDict({"tokens": nn.Embedding(c["vocabSize"], c["dModel"])})
        if c.get("positions", "learned") == "learned":
            self.embed["positions"] = nn.Embedding(c["nCtx"], c["dModel"])
        self.blocks = nn.ModuleList(Block(c) for _ in range(c["nLayers"]))
        self.lnFinal = LayerNorm(c) if c["finalNorm"] else nn.Identity()
        self.head = nn.Module()
        if not c["tiedHead"]:
            self.head.weight = nn.Parameter(torch.zeros(c["dModel"], c["vocabSize"]))
        if c["headBias"]:
            self.head.bias = nn.Parameter(torch.zeros(c["vocabSize"]))

    def forward(self, ids):
        """Returns logits [batch, position, vocabulary] for ids [batch, position]."""
        x = self.embed["tokens"](ids)
        if "positions" in self.embed:
            x = x + self.embed["positions"].weight[: ids.shape[1]]
        if self.config.get("positions") == "sinusoidal":
            x = x + sinusoids(ids.shape[1], x.shape[-1]).to(x)
        for block in self.blocks:
            x = block(x)
        x = self.lnFinal(x)
        logits = x @ (self.embed["tokens"].weight.T if self.config["tiedHead"] else self.head.weight)
        return logits + self.head.bias if self.config["headBias"] else logits


def load(folder):
    folder = pathlib.Path(folder)
    model = DecoderLab(json.loads((folder / "config.json").read_text()))
    model.load_state_dict(read_safetensors(folder / "model.safetensors"))
    return model.eval()


def read_safetensors(path):
    """Reads float32 tensors. A file has the header's length in 8 bytes, the header as JSON, and the tensors' bytes."""
    file = path.read_bytes()
    (length,) = struct.unpack("<Q", file[:8])
    header, data = json.loads(file[8 : 8 + length]), file[8 + length :]
    header.pop("__metadata__", None)
    return {
        name: torch.frombuffer(bytearray(data[slice(*entry["data_offsets"])]), dtype=torch.float32).reshape(entry["shape"])
        for name, entry in header.items()
    }
`;
