"""
Building blocks of the families: plain functions on float32 tensors.

B batch   T position   D width   H heads   G key/value heads   K width of a head   V vocabulary

Everything is computed in float32, including the tables of the rotation, as in transformers, from weights rounded to the
type they are stored in.
"""

import math

import torch
import torch.nn.functional as F


class Weights:
    """
    The tensors of a checkpoint, each drawn when it is first requested, so that a family's function is also the list of
    its tensors.
    """

    def __init__(self, seed, dtype, embedding):
        self.tensors = {}
        self.dtype = dtype
        self.embedding = embedding
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, name, *shape, mean=0.0, deviation=None):
        """Draws matrices with enough variance for distinct attention, and vectors so that a missing one is noticed."""
        deviation = deviation or (0.2 if len(shape) == 1 else 0.3)
        if name not in self.tensors:
            drawn = torch.randn(shape, generator=self.generator) * deviation + mean
            self.tensors[name] = drawn.to(self.dtype).float()
        assert self.tensors[name].shape == shape, name
        return self.tensors[name]


def embedding(w, name, rows, width):
    """A table of learned vectors, [rows, width]; the variant sets its standard deviation."""
    return w(f"{name}.weight", rows, width, deviation=w.embedding)


def linear(w, name, x, width, bias=True):
    """y = x Wᵀ + b, with W stored [out, in] as in nn.Linear."""
    y = x @ w(f"{name}.weight", width, x.shape[-1]).T
    return y + w(f"{name}.bias", width) if bias else y


def conv1d(w, name, x, width):
    """y = x W + b, with W stored [in, out] as in GPT-2's "Conv1D"."""
    return x @ w(f"{name}.weight", x.shape[-1], width) + w(f"{name}.bias", width)


def layer_norm(w, name, x, eps, affine=True):
    y = F.layer_norm(x, x.shape[-1:], eps=eps)
    return y * w(f"{name}.weight", x.shape[-1], mean=1) + w(f"{name}.bias", x.shape[-1]) if affine else y


def rms_norm(w, name, x, eps, plus_one=False, around=1):
    """RMSNorm. Gemma stores the weight minus one (`plus_one`). `around` is the mean of the drawn weights."""
    y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    if plus_one:
        return y * (1 + w(f"{name}.weight", x.shape[-1], mean=around - 1))
    return y * w(f"{name}.weight", x.shape[-1], mean=around)


def gelu_tanh(x):
    return F.gelu(x, approximate="tanh")


# Names as in transformers: "gelu" is the exact one.
ACTIVATIONS = {
    "relu": F.relu,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
}


def heads(x, n):
    """[B, T, n * K] -> [B, n, T, K]"""
    return x.unflatten(-1, (n, -1)).transpose(1, 2)


def visible(mask, window=None):
    """
    The keys j visible to a query i: those at or before it that are not padding, and with a window of w only the w keys
    with j > i - w. The position alone decides what a padded query sees.

    [B, T] -> [B, 1, T (query), T (key)]
    """
    T = mask.shape[1]
    distance = torch.arange(T)[:, None] - torch.arange(T)[None, :]
    near = (distance >= 0) & (distance < (window or T))
    return near & mask.bool()[:, None, None, :]


def attention(q, k, v, sees, scale, at, softcap=None):
    """q [B, H, T, K], k and v [B, G, T, K] -> [B, T, H * K]; query head h reads the keys of head h // (H / G)."""
    at("attn.q", q), at("attn.k", k), at("attn.v", v)
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    scores = q @ k.mT * scale  # [B, H, T, T]
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    at("attn.scores", scores)
    pattern = at("attn.pattern", scores.masked_fill(~sees, -math.inf).softmax(-1))
    z = at("attn.z", pattern @ v)  # [B, H, T, K]
    return z.transpose(1, 2).flatten(2)


def rotate(x, turn):
    """
    Rotary position embedding, "half-split": dimensions i and i + n / 2 of the first n rotate as a pair, by the angle of
    the pair and the position. Dimensions from n on do not change.
    """
    cos, sin = turn  # [T, n / 2]
    half = cos.shape[-1]
    a, b, rest = x.split([half, half, x.shape[-1] - 2 * half], dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], dim=-1)


def turns(c, K, T):
    """Returns cosines and sines, each [T, n / 2], that rotate the first n of K dimensions at positions 0 to T - 1."""
    share = rope_settings(c).get("partial_rotary_factor", c.get("partial_rotary_factor", c.get("rotary_pct", 1)))
    frequencies, factor = rope_frequencies(c, int(K * share), T)
    angles = torch.outer(torch.arange(T).float(), frequencies)
    return angles.cos() * factor, angles.sin() * factor


def turns_by_kind(c, K, T, local_theta):
    """
    Returns the turns of layers without and with a window. In the older form, scaling is only for the former, and the
    latter have a theta of their own.
    """
    full = rope_settings(c).get("full_attention", c)
    local = rope_settings(c).get("sliding_attention", {"rope_theta": local_theta})
    sets = {"full_attention": full, "sliding_attention": local}
    sizes = {key: c[key] for key in ("max_position_embeddings",)}
    return {kind: turns(own if own is c else {**sizes, "rope_parameters": own}, K, T) for kind, own in sets.items()}


def rope_settings(c):
    """Returns the rotation settings. Older configs have only the scaling in `rope_scaling`, and the rest at the top."""
    return c.get("rope_parameters") or c.get("rope_scaling") or {}


def rope_frequencies(c, dim, T):
    """Returns the angle per position of each pair, [dim / 2], and the factor of cosines and sines, for T tokens."""
    scaling = rope_settings(c)
    theta = scaling.get("rope_theta", c.get("rope_theta", c.get("rotary_emb_base", 10000.0)))
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    pair = torch.arange(0, dim, 2).float() / dim
    plain = 1 / theta**pair

    if kind == "default":
        return plain, 1.0

    factor = scaling.get("factor")
    context = c["max_position_embeddings"]
    trained = scaling.get("original_max_position_embeddings", c.get("original_max_position_embeddings", context))

    if kind == "linear":
        return plain / factor, 1.0

    if kind == "dynamic":
        # Nothing changes up to the context. Beyond it, theta grows with the length, and transformers rotates the whole
        # sequence again at each step, but not the keys in a cache: results differ with and without a cache. The variants
        # stay within the context.
        grown = factor * max(T, context) / context - (factor - 1)
        return 1 / (theta * grown ** (dim / (dim - 2))) ** pair, 1.0

    if kind == "longrope":
        # One table for sequences within the trained length, one for longer ones. A generation that crosses it has the
        # same problem as above; each variant stays on one side.
        stretch = torch.tensor(scaling["long_factor"] if T > trained else scaling["short_factor"])
        factor = factor or context / trained
        natural = math.sqrt(1 + math.log(factor) / math.log(trained)) if factor > 1 else 1.0
        return 1 / (stretch * theta**pair), scaling.get("attention_factor", natural)

    if kind == "yarn":
        # Pairs with more than beta_fast turns within the trained length keep their frequency, those with fewer than
        # beta_slow are slowed by the factor, with a linear ramp over the pairs in between.
        def pair_that_makes(count):
            return dim * math.log(trained / (count * 2 * math.pi)) / (2 * math.log(theta))

        low = max(math.floor(pair_that_makes(scaling.get("beta_fast", 32))), 0)
        high = min(math.ceil(pair_that_makes(scaling.get("beta_slow", 1))), dim - 1)
        slowed = ((torch.arange(dim // 2).float() - low) / max(high - low, 0.001)).clamp(0, 1)
        frequencies = plain / factor * slowed + plain * (1 - slowed)
        return frequencies, scaling.get("attention_factor", 0.1 * math.log(factor) + 1)

    if kind == "llama3":
        # Like yarn, but with a ramp that is linear in the number of turns within the trained length.
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        kept = ((trained * plain / (2 * math.pi) - low) / (high - low)).clamp(0, 1)
        return plain / factor * (1 - kept) + plain * kept, 1.0

    raise ValueError(f"unknown rope scaling {kind}")
