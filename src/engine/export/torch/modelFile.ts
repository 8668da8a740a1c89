/** The decoder of nn/decoder.ts in PyTorch, with every option of DecoderConfig. */

export const modelSource = `"""
The decoder-only transformer that architecture.json describes.

B batch   T position   D dModel   E dEmbed   H nHeads   G nKvHeads   K dHead   F dMlp   V vocabSize
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from weights import read_tensors

ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "geluTanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}


class Linear(nn.Module):
    """y = x W + b. The weight has the layout of its file: [in, out], or [out, in] as in torch.nn.Linear."""

    def __init__(self, c, width, out, bias):
        super().__init__()
        self.is_transposed = c["weightLayout"] == "outIn"
        self.weight = nn.Parameter(torch.zeros(out, width) if self.is_transposed else torch.zeros(width, out))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None

    def forward(self, x):
        return F.linear(x, self.weight if self.is_transposed else self.weight.T, self.bias)


class Norm(nn.Module):
    """LayerNorm; RMSNorm; RMSNorm that multiplies by 1 + weight."""

    def __init__(self, c, width):
        super().__init__()
        self.kind, self.eps, self.width = c["normKind"], c["normEps"], width
        self.weight = nn.Parameter(torch.ones(width)) if c["normScale"] else None
        self.bias = nn.Parameter(torch.zeros(width)) if c["normBias"] else None

    def forward(self, x):
        if self.kind == "layer":
            return F.layer_norm(x, (self.width,), self.weight, self.bias, self.eps)
        y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        if self.weight is None:
            return y
        return y * (1 + self.weight if self.kind == "rmsPlusOne" else self.weight)


def softcapped(x, cap):
    return x if cap is None else cap * torch.tanh(x / cap)


def rotated(x, cos, sin):
    """Applies rotary positions to the first dimensions of each head, whose two halves are paired."""
    half = cos.shape[-1]
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


def sinusoids(T, D):
    """Row t has the sine and the cosine of t / 10000^(2i / D) in columns 2i and 2i + 1."""
    even = torch.arange(D, dtype=torch.float64) // 2 * 2
    angles = torch.outer(torch.arange(T, dtype=torch.float64), 10000 ** (-even / D))
    return torch.where(torch.arange(D) % 2 == 0, angles.sin(), angles.cos())


class Block(nn.Module):
    def __init__(self, c, layer, dropout, attention_dropout):
        super().__init__()
        self.c, self.layer = c, layer
        D, K, H, G = c["dModel"], c["dHead"], c["nHeads"], c["nKvHeads"]
        placement = c["norm"]
        if placement != "output":
            self.ln1 = Norm(c, D)
        if c["qkv"] == "separate":
            self.q = Linear(c, D, H * K, c["attentionBias"])
            self.k = Linear(c, D, G * K, c["attentionBias"])
            self.v = Linear(c, D, G * K, c["attentionBias"])
        else:
            self.qkv = Linear(c, D, (H + 2 * G) * K, c["attentionBias"])
        if c["qkNorm"] != "none":
            self.lnQ = Norm(c, K if c["qkNorm"] == "head" else H * K)
            self.lnK = Norm(c, K if c["qkNorm"] == "head" else G * K)
        self.o = Linear(c, H * K, D, c["outBias"])
        if placement in ("output", "sandwich"):
            self.ln1Out, self.ln2Out = Norm(c, D), Norm(c, D)
        if placement not in ("output", "shared"):
            self.ln2 = Norm(c, D)
        if c["fusedGate"]:
            self.gateFc = Linear(c, D, 2 * c["dMlp"], c["mlpBias"])
        else:
            if c["gatedMlp"]:
                self.gate = Linear(c, D, c["dMlp"], c["mlpBias"])
            self.fc = Linear(c, D, c["dMlp"], c["mlpBias"])
        self.proj = Linear(c, c["dMlp"], D, c["mlpBias"])
        self.dropout = nn.Dropout(dropout)
        self.pattern_dropout = nn.Dropout(dropout if attention_dropout else 0)

    def forward(self, x, rotation):
        drop, scale = self.dropout, self.c["residualScale"]

        def attention(y):
            return self.attention(y, rotation) * scale

        def mlp(y):
            return self.mlp(y) * scale

        placement = self.c["norm"]
        if placement == "post":
            x = self.ln1(x + drop(attention(x)))
            return self.ln2(x + drop(mlp(x)))
        if placement == "output":
            x = x + drop(self.ln1Out(attention(x)))
            return x + drop(self.ln2Out(mlp(x)))
        if placement == "sandwich":
            x = x + drop(self.ln1Out(attention(self.ln1(x))))
            return x + drop(self.ln2Out(mlp(self.ln2(x))))
        if placement == "parallel":
            return x + drop(attention(self.ln1(x))) + drop(mlp(self.ln2(x)))
        if placement == "shared":
            y = self.ln1(x)
            return x + drop(attention(y)) + drop(mlp(y))
        x = x + drop(attention(self.ln1(x)))
        return x + drop(mlp(self.ln2(x)))

    def attention(self, x, rotation):
        c = self.c
        B, T, _ = x.shape
        H, G, K = c["nHeads"], c["nKvHeads"], c["dHead"]

        def by_head(y, heads):
            return y.reshape(B, T, heads, K).transpose(1, 2)  # [B, heads, T, K]

        q, k, v = self.queries_keys_values(x)  # [B, T, H*K], [B, T, G*K], [B, T, G*K]
        if c["qkNorm"] == "all":
            q, k = self.lnQ(q), self.lnK(k)
        q, k, v = by_head(q, H), by_head(k, G), by_head(v, G)
        if c["qkNorm"] == "head":
            q, k = self.lnQ(q), self.lnK(k)
        if rotation is not None and self.layer not in c["positions"]["unrotatedLayers"]:
            q, k = rotated(q, *rotation), rotated(k, *rotation)
        k, v = k.repeat_interleave(H // G, 1), v.repeat_interleave(H // G, 1)

        scale = c["attentionScale"] / (self.layer + 1 if c["scaleByLayer"] else 1)
        scores = softcapped(q @ k.transpose(2, 3) * scale, c["attentionSoftcap"])  # [B, H, T, T]
        pattern = scores.masked_fill(self.hidden(T, x.device), float("-inf")).softmax(-1)
        z = self.pattern_dropout(pattern) @ v  # [B, H, T, K]
        return self.o(z.transpose(1, 2).reshape(B, T, H * K))

    def queries_keys_values(self, x):
        c = self.c
        if c["qkv"] == "separate":
            return self.q(x), self.k(x), self.v(x)
        H, G, K = c["nHeads"], c["nKvHeads"], c["dHead"]
        y = self.qkv(x)
        if c["qkv"] == "fused":
            return y.split([H * K, G * K, G * K], -1)
        # The q, k and v of each head are adjacent.
        return (part.flatten(2) for part in y.unflatten(-1, (H, 3, K)).unbind(3))

    def hidden(self, T, device):
        """Returns a mask of positions hidden from each position (row): later ones if causal, and those before its window."""
        ones = torch.ones(T, T, dtype=torch.bool, device=device)
        if not self.c["causal"]:
            return ~ones
        windows = self.c["windows"]
        window = windows[self.layer] if windows else None
        return ones.triu(1) if window is None else ones.triu(1) | ones.tril(-window)

    def mlp(self, x):
        activation = ACTIVATIONS[self.c["activation"]]
        if self.c["gatedMlp"]:
            gate, up = self.gateFc(x).chunk(2, -1) if self.c["fusedGate"] else (self.gate(x), self.fc(x))
            return self.proj(activation(gate) * up)
        return self.proj(activation(self.fc(x)))


class Head(nn.Module):
    """Logits, from the token embedding's weights if the head is tied."""

    def __init__(self, c):
        super().__init__()
        D, E, V = c["dModel"], c["dEmbed"], c["vocabSize"]
        self.is_transposed = c["tiedHead"] or "outIn" in (c["weightLayout"], c.get("headLayout"))
        if E != D:
            self.add_module("in", Linear(c, D, E, False))
        if not c["tiedHead"]:
            self.weight = nn.Parameter(torch.zeros(V, E) if self.is_transposed else torch.zeros(E, V))
        self.bias = nn.Parameter(torch.zeros(V)) if c["headBias"] else None
        self.scale, self.cap = c["logitScale"], c["logitSoftcap"]

    def forward(self, x, tokens):
        if "in" in self._modules:
            x = self._modules["in"](x)
        weight = getattr(self, "weight", tokens)
        logits = F.linear(x, weight if self.is_transposed else weight.T, self.bias)
        return softcapped(logits * self.scale, self.cap)


class Rotary(nn.Module):
    def __init__(self, angles):
        super().__init__()
        self.register_buffer("frequencies", torch.tensor(angles["frequencies"], dtype=torch.float64), persistent=False)
        self.scale = angles["scale"]

    def forward(self, T):
        """Returns cosines and sines of the positions' angles, [T, dims / 2] each."""
        positions = torch.arange(T, dtype=torch.float64, device=self.frequencies.device)
        angles = torch.outer(positions, self.frequencies)
        return (angles.cos() * self.scale).float(), (angles.sin() * self.scale).float()


class Decoder(nn.Module):
    def __init__(self, architecture, dropout=0.0, attention_dropout=False):
        super().__init__()
        c = self.c = architecture["config"]
        D, E, V = c["dModel"], c["dEmbed"], c["vocabSize"]
        self.embed = nn.ModuleDict({"tokens": nn.Embedding(V, E)})
        if E != D:
            self.embed["in"] = Linear(c, E, D, False)
        kind = c["positions"]["kind"]
        if kind == "learned":
            self.embed["positions"] = nn.Embedding(c["nCtx"] + c["positions"]["offset"], D)
        if kind == "rotary":
            self.rotary = Rotary(architecture["rotary"])
            self.local = Rotary(architecture["rotary"].get("local", architecture["rotary"]))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(c, layer, dropout, attention_dropout) for layer in range(c["nLayers"]))
        self.lnFinal = Norm(c, D) if c["finalNorm"] else nn.Identity()
        self.head = Head(c)

    def forward(self, ids):
        """Returns logits [B, T, V] for ids [B, T]."""
        x = self.embed["tokens"](ids) * self.c["embedScale"]
        if "in" in self.embed:
            x = self.embed["in"](x)
        if "positions" in self.embed:
            offset = self.c["positions"]["offset"]
            x = x + self.embed["positions"].weight[offset : offset + ids.shape[1]]
        if self.c["positions"]["kind"] == "sinusoidal":
            x = x + sinusoids(ids.shape[1], self.c["dModel"]).to(x)
        x = self.dropout(x)
        local_layers = self.c["positions"].get("local", {}).get("layers", [])
        rotations = self.rotations(ids.shape[1])
        for layer, block in enumerate(self.blocks):
            x = block(x, rotations[1 if layer in local_layers else 0])
        return self.head(self.lnFinal(x), self.embed["tokens"].weight)

    def rotations(self, T):
        """Returns the rotations of most layers and of local layers."""
        return (self.rotary(T), self.local(T)) if self.c["positions"]["kind"] == "rotary" else (None, None)


def load(folder, dropout=0.0, attention_dropout=False):
    """Loads the weights of a folder; architecture.json maps parameter names to the names in the files."""
    architecture = json.loads((Path(__file__).parent / "architecture.json").read_text())
    model = Decoder(architecture, dropout, attention_dropout)
    tensors = read_tensors(Path(folder).glob("model*.safetensors"))
    model.load_state_dict({ours: tensors[theirs] for ours, theirs in architecture["names"].items()})
    return model
`;
