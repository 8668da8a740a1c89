"""The training workloads of `decoder-lab bench` in PyTorch, for comparison.

Prints one JSON line per workload: {"work", "variant", "samples": [seconds per step, ...]}.
Modes: eager has attention as plain operators, sdpa as F.scaled_dot_product_attention, compile is sdpa with torch.compile.
A step draws a batch and runs forward, loss, backward, clipping and the optimizer in idiomatic PyTorch.
"""

import json
import math
import os
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, d, heads, mlp, ctx, pre_norm, attention_bias, mlp_bias, norm_bias, activation, dropout):
        super().__init__()
        self.heads, self.pre_norm, self.activation, self.rate = heads, pre_norm, activation, dropout
        self.qkv = nn.Linear(d, 3 * d, bias=attention_bias)
        self.o = nn.Linear(d, d, bias=attention_bias)
        self.fc = nn.Linear(d, mlp, bias=mlp_bias)
        self.proj = nn.Linear(mlp, d, bias=mlp_bias)
        self.ln1, self.ln2 = Norm(d, norm_bias), Norm(d, norm_bias)
        self.register_buffer("mask", torch.tril(torch.ones(ctx, ctx)).view(1, 1, ctx, ctx) == 0)

    def attention(self, x):
        B, T, D = x.shape
        q, k, v = (y.view(B, T, self.heads, -1).transpose(1, 2) for y in self.qkv(x).split(D, dim=2))
        scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        pattern = F.softmax(scores.masked_fill(self.mask[:, :, :T, :T], float("-inf")), dim=-1)
        z = pattern @ v
        return self.o(z.transpose(1, 2).contiguous().view(B, T, D))

    def fused_attention(self, x):
        B, T, D = x.shape
        q, k, v = (y.view(B, T, self.heads, -1).transpose(1, 2) for y in self.qkv(x).split(D, dim=2))
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(z.transpose(1, 2).contiguous().view(B, T, D))

    def mlp(self, x):
        return self.proj(self.activation(self.fc(x)))

    def forward(self, x):
        drop = lambda y: F.dropout(y, self.rate, self.training)
        if self.pre_norm:
            x = x + drop(self.attention(self.ln1(x)))
            return x + drop(self.mlp(self.ln2(x)))
        x = self.ln1(x + drop(self.attention(x)))
        return self.ln2(x + drop(self.mlp(x)))


class Norm(nn.Module):
    def __init__(self, d, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))
        self.bias = nn.Parameter(torch.zeros(d)) if bias else None

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


class Decoder(nn.Module):
    def __init__(self, vocab, ctx, layers, heads, d, mlp, pre_norm, attention_bias, mlp_bias, norm_bias, activation,
                 tied, head_bias, dropout):
        super().__init__()
        self.rate = dropout
        self.tokens, self.positions = nn.Embedding(vocab, d), nn.Embedding(ctx, d)
        self.blocks = nn.ModuleList(
            Block(d, heads, mlp, ctx, pre_norm, attention_bias, mlp_bias, norm_bias, activation, dropout)
            for _ in range(layers))
        self.norm = Norm(d, norm_bias)
        self.head = nn.Linear(d, vocab, bias=head_bias)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(ids.size(1)))
        x = F.dropout(x, self.rate, self.training)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def adder(dropout):
    model = Decoder(18, 11, 2, 4, 128, 256, False, False, True, True, F.relu, False, True, dropout)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-9)
    data = torch.randint(0, 18, (7000, 11))

    def batch():
        rows = data[torch.randint(0, 7000, (256,))]
        labels = rows[:, 1:].clone()
        labels[:, :5] = -1
        return rows[:, :-1], labels
    return model, optimizer, batch


def text(layers, heads, d, T, B):
    model = Decoder(65, T, layers, heads, d, 4 * d, True, False, False, False, F.gelu, True, False, 0.0)
    groups = [{"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
              {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))
    data = torch.randint(0, 65, (1_000_000,))

    def batch():
        starts = torch.randint(0, len(data) - T, (B,))
        return (torch.stack([data[i:i + T] for i in starts]), torch.stack([data[i + 1:i + T + 1] for i in starts]))
    return model, optimizer, batch


WORKS = {
    ("T1", "dropout 0"): lambda: adder(0.0),
    ("T1", "dropout 0.1"): lambda: adder(0.1),
    ("T2", ""): lambda: text(4, 4, 128, 64, 12),
    ("T3", ""): lambda: text(6, 6, 384, 256, 12),
}


def main():
    work, variant, seconds, mode = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
    if mode != "eager":
        F.scaled_dot_product_attention  # Fails early where PyTorch is older than 2.
        Block.attention = Block.fused_attention
    torch.manual_seed(0)
    # On some virtual machines, PyTorch does not use all cores by default.
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model, optimizer, batch = WORKS[(work, variant)]()
    model.train()
    forward = torch.compile(model) if mode == "compile" else model

    def step():
        ids, labels = batch()
        logits = forward(ids)
        loss = F.cross_entropy(logits.view(-1, logits.size(-1)), labels.reshape(-1), ignore_index=-1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    for _ in range(3):
        step()
    samples, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(samples) < 3:
        start = time.perf_counter()
        step()
        samples.append(time.perf_counter() - start)
    print(json.dumps({"work": work, "variant": variant, "samples": samples}))


main()
