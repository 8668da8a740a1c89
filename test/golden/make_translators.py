"""
Writes translators.safetensors: PyTorch's results for small encoder-decoders, as a reference for the engine.

    python3 test/golden/make_translators.py

The model is an independent implementation in plain PyTorch, in float64; the file holds float32. Written with PyTorch 1.13.
The metadata key "variants" describes each variant, including its "layout": the names and shapes of its parameters in
the order in which the flat tensors `{variant}.params` and `.grads` hold them. Linear weights are transposed to [in, out].
Sources and targets are padded with 0 to one length.

Interventions and attributions, for the first pair alone and without padding:

{variant}.{change}      [T, V]    logits with an intervention of `changes`; patched values come from the second pair
{variant}.heads         [L, H]    contribution of each head to the logit of the most likely last token; likewise:
{variant}.crossHeads    [L, H]
{variant}.mlps          [L]
{variant}.embeddings    [1]       of token and position together
"""

import contextlib
import json
import math
import pathlib
import struct

import torch
import torch.nn.functional as F
from torch import nn

PAD, BOS, EOS = 0, 1, 2
SOURCE_VOCAB, VOCAB, CTX, HEADS, WIDTH, MLP = 9, 11, 8, 2, 8, 12
SOURCE_LENGTHS, TARGET_LENGTHS, LENGTH = [6, 4, 5], [3, 6, 5], 6


def sinusoids(length, width):
    angles = torch.arange(length).double()[:, None] * torch.exp(
        torch.arange(0, width, 2).double() * -(math.log(10000.0) / width)
    )
    return torch.stack([angles.sin(), angles.cos()], -1).reshape(length, width)


class Attention(nn.Module):
    """Attention of one sequence over another, or over itself."""

    def __init__(self, width, heads, bias):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=bias) for _ in range(4))

    def forward(self, x, memory, seen):
        def split(y):
            return y.view(*y.shape[:2], self.heads, -1).transpose(1, 2)

        q, k, v = split(self.q(x)), split(self.k(memory)), split(self.v(memory))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(q.shape[-1])
        pattern = scores.masked_fill(~seen, float("-inf")).softmax(-1)
        return self.o((pattern @ v).transpose(1, 2).flatten(2))


class Sublayer(nn.Module):
    """A residual connection with a norm before or after the sublayer."""

    def __init__(self, width, before):
        super().__init__()
        self.norm, self.before = nn.LayerNorm(width, eps=1e-5), before

    def forward(self, x, f):
        return x + f(self.norm(x)) if self.before else self.norm(x + f(x))


class Layer(nn.Module):
    def __init__(self, c, crosses):
        super().__init__()
        width, before = c["dModel"], c["norm"] == "pre"
        self.attention = Attention(width, c["nHeads"], c["attentionBias"])
        self.cross = Attention(width, c["nHeads"], c["attentionBias"]) if crosses else None
        self.ln1, self.ln2 = Sublayer(width, before), Sublayer(width, before)
        self.lnCross = Sublayer(width, before) if crosses else None
        self.mlp = nn.Sequential(nn.Linear(width, c["dMlp"]), nn.ReLU(), nn.Linear(c["dMlp"], width))

    def forward(self, x, seen, memory=None, memory_seen=None):
        x = self.ln1(x, lambda y: self.attention(y, y, seen))
        if self.cross is not None:
            x = self.lnCross(x, lambda y: self.cross(y, memory, memory_seen))
        return self.ln2(x, self.mlp)


class Stack(nn.Module):
    def __init__(self, c, vocabulary, layers, crosses):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, c["dModel"])
        self.layers = nn.ModuleList(Layer(c, crosses) for _ in range(layers))
        self.lnFinal = nn.LayerNorm(c["dModel"], eps=1e-5) if c["finalNorm"] else nn.Identity()

    def forward(self, ids, *masks):
        width = self.tokens.embedding_dim
        x = self.tokens(ids) * math.sqrt(width) + sinusoids(ids.shape[1], width)
        for layer in self.layers:
            x = layer(x, *masks)
        return self.lnFinal(x)


class Translator(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.encoder = Stack(c, c["sourceVocabSize"], c["nEncoderLayers"], False)
        self.decoder = Stack(c, c["vocabSize"], c["nLayers"], True)
        self.head = nn.Linear(c["dModel"], c["vocabSize"], bias=c["headBias"])
        if c["tiedHead"]:
            self.head.weight = self.decoder.tokens.weight

    def forward(self, source, target):
        source_seen = (source != PAD)[:, None, None, :]
        past = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).tril()
        target_seen = past & (target != PAD)[:, None, None, :]
        memory = self.encoder(source, source_seen)
        return self.head(self.decoder(target, target_seen, memory, source_seen))


def our_name(name):
    """decoder.layers.0.attention.q.weight -> blocks.0.q.weight"""
    for theirs, ours in [
        ("encoder.", "enc."), ("decoder.", ""), ("layers.", "blocks."), ("attention.", ""), (".norm.", "."),
        ("mlp.0", "fc"), ("mlp.2", "proj"), ("tokens", "embed.tokens"),
    ]:  # fmt: skip
        name = name.replace(theirs, ours)
    return name


def is_linear(name):
    return name.endswith(".weight") and name.split(".")[-2] in ("q", "k", "v", "o", "fc", "proj", "head")


def flat(named):
    return torch.cat([(t.T if is_linear(name) else t).reshape(-1) for name, t in named]).detach().clone()


def variants():
    shared = dict(sourceVocabSize=SOURCE_VOCAB, vocabSize=VOCAB, nCtx=CTX, nHeads=HEADS, dModel=WIDTH, dMlp=MLP)
    shared.update(normEps=1e-5, normBias=True, activation="relu", mlpBias=True)
    yield "post", 0.1, dict(
        shared, nEncoderLayers=2, nLayers=2, norm="post", finalNorm=False, attentionBias=True, tiedHead=False,
        headBias=True,
    )  # fmt: skip
    yield "pre", 0.1, dict(
        shared, nEncoderLayers=1, nLayers=2, norm="pre", finalNorm=True, attentionBias=False, tiedHead=True,
        headBias=False,
    )  # fmt: skip
    yield "unsmoothed", 0.0, dict(
        shared, nEncoderLayers=2, nLayers=1, norm="post", finalNorm=True, attentionBias=True, tiedHead=True,
        headBias=True,
    )  # fmt: skip


def padded(vocabulary, lengths):
    rows = [torch.randint(3, vocabulary, (n,)).tolist() + [PAD] * (LENGTH - n) for n in lengths]
    return torch.tensor(rows)


def reference(seed, config, smoothing):
    torch.manual_seed(seed)
    model = Translator(config).double()
    for name, p in model.named_parameters():
        values = torch.randn(p.shape) * 0.3 + (1 if "ln" in name and name.endswith("weight") else 0)
        p.data = values.float().double()
    named = [(our_name(name), p) for name, p in model.named_parameters()]

    source = padded(SOURCE_VOCAB, SOURCE_LENGTHS)
    target = padded(VOCAB, TARGET_LENGTHS)
    target[:, 0] = BOS
    labels = torch.full_like(target, PAD)
    labels[:, :-1] = target[:, 1:]
    for row, length in enumerate(TARGET_LENGTHS):
        labels[row, length - 1] = EOS

    logits = model(source, target)
    loss = F.cross_entropy(
        logits.reshape(-1, VOCAB), labels.reshape(-1), ignore_index=PAD, label_smoothing=smoothing
    )
    loss.backward()
    tensors = {
        "params": flat(named), "grads": flat([(name, p.grad) for name, p in named]), "logits": logits.detach()
    }  # fmt: skip
    pairs = [
        (source[row : row + 1, : SOURCE_LENGTHS[row]], target[row : row + 1, : TARGET_LENGTHS[row]]) for row in (0, 1)
    ]
    tensors |= interventions(model, pairs)
    layout = [[name, list((p.T if is_linear(name) else p).shape)] for name, p in named]
    described = dict(
        config=config, labelSmoothing=smoothing, layout=layout, source=source.tolist(), target=target.tolist(),
        labels=labels.tolist(), loss=loss.item(),
    )  # fmt: skip
    return described, tensors


@contextlib.contextmanager
def hooked(probes):
    """Replaces values by the results of probes, by (module, whether it is the module's input)."""
    handles = [
        module.register_forward_pre_hook(lambda _, given, probe=probe: (probe(given[0]), *given[1:]))
        if is_input
        else module.register_forward_hook(lambda *call, probe=probe: probe(call[2]))
        for (module, is_input), probe in probes.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def by_head(z):
    """[1, T, H * K] as [1, T, H, K]"""
    return z.view(*z.shape[:2], HEADS, -1)


def scaled(factor, head=None):
    def probe(value):
        value = value.clone()
        (value if head is None else by_head(value)[:, :, head]).mul_(factor)
        return value

    return probe


def patched(position, values, head=None):
    def probe(value):
        value = value.clone()
        if head is None:
            value[0, position] = values
        else:
            by_head(value)[0, position, head] = values
        return value

    return probe


def changes(model, other):
    read, written = model.encoder.layers[0], model.decoder.layers[0]
    kept = {}
    places = [(written.cross.o, True), (read, False)]
    with hooked({target: lambda x, target=target: kept.setdefault(target, x) for target in places}):
        model(*other)
    return {
        "crossHead": {(written.cross.o, True): scaled(0, head=1)},
        "cross": {(written.cross, False): scaled(0.5)},
        "encoderHead": {(read.attention.o, True): scaled(0, head=0)},
        "encoderMlp": {(read.mlp, False): scaled(0)},
        "layer": {(module, False): scaled(0) for module in (written.attention, written.cross, written.mlp)},
        "patchedCrossHead": {
            (written.cross.o, True): patched(1, by_head(kept[written.cross.o, True])[0, 4, 0], head=0)
        },
        "patchedEncoder": {(read, False): patched(2, kept[read, False][0, 1])},
    }  # fmt: skip


def held(norm, x):
    """LayerNorm with a constant scale, so that derivatives sum to the logit."""
    centered = x - x.mean(-1, keepdim=True)
    return centered * torch.rsqrt(x.var(-1, unbiased=False, keepdim=True) + norm.eps).detach() * norm.weight + norm.bias


def attributions(model, pair):
    """Returns each component times the logit's derivative, with all other components held constant."""
    leaves = {}

    def leaf(name):
        def probe(value):
            leaves[name] = value.detach().requires_grad_()
            return leaves[name]

        return probe

    layers = model.decoder.layers
    probes = {(layers[0], True): leaf("embeddings")}
    for i, layer in enumerate(layers):
        probes |= {(layer.attention.o, True): leaf(f"heads{i}"), (layer.cross.o, True): leaf(f"crossHeads{i}")}
        probes[layer.mlp, False] = leaf(f"mlps{i}")
    kept = nn.LayerNorm.forward
    nn.LayerNorm.forward = held
    try:
        with hooked(probes):
            logits = model(*pair)[0, -1]
        logits[logits.argmax()].backward()
    finally:
        nn.LayerNorm.forward = kept
    share = {name: (value * value.grad).detach()[:, -1:] for name, value in leaves.items()}

    def of(name):
        return [share[f"{name}{i}"] for i in range(len(layers))]

    heads = {name: torch.stack([by_head(z)[0, 0].sum(-1) for z in of(name)]) for name in ("heads", "crossHeads")}
    return heads | {"mlps": torch.stack([x.sum() for x in of("mlps")]), "embeddings": share["embeddings"].sum()[None]}


def interventions(model, pairs):
    pair, other = pairs
    with torch.no_grad():
        found = {}
        for name, probes in changes(model, other).items():
            with hooked(probes):
                found[name] = model(*pair)[0]
    return found | attributions(model, pair)


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
for seed, (name, smoothing, config) in enumerate(variants()):
    described[name], own = reference(seed, config, smoothing)
    tensors.update({f"{name}.{key}": value for key, value in own.items()})
metadata = {"variants": json.dumps(described, separators=(",", ":")), "torch": torch.__version__}
save(pathlib.Path(__file__).with_name("translators.safetensors"), metadata, tensors)
