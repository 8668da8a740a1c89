"""
The decoders, one function for each `model_type`, from token ids to logits.

Arguments are the model's config.json `c`, its weights `w`, `ids` and `mask`, both [B, T] and padded on the right, and
`probe`, which is called with every value of a trace and its name, and returns the value. Dimensions as in pieces.py.
"""

import math

import torch

from pieces import (
    ACTIVATIONS,
    attention,
    conv1d,
    embedding,
    gelu_tanh,
    heads,
    layer_norm,
    linear,
    rms_norm,
    rotate,
    turns,
    turns_by_kind,
    visible,
)


def gpt2(c, w, ids, mask, probe, prefix=""):
    D, H, hidden = c["n_embd"], c["n_head"], c["n_inner"] or 4 * c["n_embd"]
    act = ACTIVATIONS[c["activation_function"]]

    def norm(name, x):
        return layer_norm(w, prefix + name, x, c["layer_norm_epsilon"])

    tokens = embedding(w, f"{prefix}wte", c["vocab_size"], D)
    positions = embedding(w, f"{prefix}wpe", c["n_positions"], D)
    x = probe("embed", tokens[ids]) + probe("posEmbed", positions[torch.arange(ids.shape[1]).expand_as(ids)])

    for layer in range(c["n_layer"]):
        name, at = f"h.{layer}", within_block(probe, layer)
        scale = (D // H) ** -0.5
        if c.get("scale_attn_by_inverse_layer_idx"):
            scale /= layer + 1

        at("residPre", x)
        fused = conv1d(w, f"{prefix}{name}.attn.c_attn", norm(f"{name}.ln_1", x), 3 * D)  # q, then k, then v
        q, k, v = (heads(y, H) for y in fused.chunk(3, dim=-1))
        z = attention(q, k, v, visible(mask), scale, at)
        x = at("residMid", x + at("attnOut", conv1d(w, f"{prefix}{name}.attn.c_proj", z, D)))

        h = act(conv1d(w, f"{prefix}{name}.mlp.c_fc", norm(f"{name}.ln_2", x), hidden))
        x = at("residPost", x + at("mlpOut", conv1d(w, f"{prefix}{name}.mlp.c_proj", h, D)))

    return probe("lnFinal", norm("ln_f", x)) @ tokens.T


def gpt_bigcode(c, w, ids, mask, probe):
    D, H, K, hidden = c["n_embd"], c["n_head"], c["n_embd"] // c["n_head"], c["n_inner"] or 4 * c["n_embd"]
    act = ACTIVATIONS[c["activation_function"]]

    def norm(name, x):
        return layer_norm(w, f"transformer.{name}", x, c["layer_norm_epsilon"])

    tokens = embedding(w, "transformer.wte", c["vocab_size"], D)
    positions = embedding(w, "transformer.wpe", c["n_positions"], D)
    x = probe("embed", tokens[ids]) + probe("posEmbed", positions[torch.arange(ids.shape[1]).expand_as(ids)])

    for layer in range(c["n_layer"]):
        name, at = f"transformer.h.{layer}", within_block(probe, layer)

        at("residPre", x)
        y = norm(f"h.{layer}.ln_1", x)
        if c["multi_query"]:  # all queries, then one key and one value
            fused = linear(w, f"{name}.attn.c_attn", y, D + 2 * K)
            q, k, v = heads(fused[..., :D], H), heads(fused[..., D : D + K], 1), heads(fused[..., D + K :], 1)
        else:  # within each head: q, then k, then v
            q, k, v = heads(linear(w, f"{name}.attn.c_attn", y, 3 * D), H).chunk(3, dim=-1)
        z = attention(q, k, v, visible(mask), K**-0.5, at)
        x = at("residMid", x + at("attnOut", linear(w, f"{name}.attn.c_proj", z, D)))

        h = act(linear(w, f"{name}.mlp.c_fc", norm(f"h.{layer}.ln_2", x), hidden))
        x = at("residPost", x + at("mlpOut", linear(w, f"{name}.mlp.c_proj", h, D)))

    return probe("lnFinal", norm("ln_f", x)) @ tokens.T


def opt(c, w, ids, mask, probe, prefix="model.decoder"):
    D, H, E = c["hidden_size"], c["num_attention_heads"], c["word_embed_proj_dim"]
    act = ACTIVATIONS[c["activation_function"]]
    bias, affine = c.get("enable_bias", True), c.get("layer_norm_elementwise_affine", True)
    before = c["do_layer_norm_before"]

    def norm(name, x):
        return layer_norm(w, name, x, 1e-5, affine)

    # Positions count the tokens that are not padding, and the table has two rows before the first of them.
    place = mask.cumsum(1) * mask - 1 + 2
    tokens = embedding(w, f"{prefix}.embed_tokens", c["vocab_size"], E)
    positions = embedding(w, f"{prefix}.embed_positions", c["max_position_embeddings"] + 2, D)
    embedded = tokens[ids] if E == D else linear(w, f"{prefix}.project_in", tokens[ids], D, bias=False)
    x = probe("embed", embedded) + probe("posEmbed", positions[place])

    for layer in range(c["num_hidden_layers"]):
        name, at = f"{prefix}.layers.{layer}", within_block(probe, layer)

        at("residPre", x)
        h = norm(f"{name}.self_attn_layer_norm", x) if before else x
        q, k, v = (heads(linear(w, f"{name}.self_attn.{part}_proj", h, D, bias), H) for part in "qkv")
        z = attention(q, k, v, visible(mask), (D // H) ** -0.5, at)
        x = x + at("attnOut", linear(w, f"{name}.self_attn.out_proj", z, D, bias))
        x = at("residMid", x if before else norm(f"{name}.self_attn_layer_norm", x))

        h = norm(f"{name}.final_layer_norm", x) if before else x
        h = act(linear(w, f"{name}.fc1", h, c["ffn_dim"], bias))
        x = x + at("mlpOut", linear(w, f"{name}.fc2", h, D, bias))
        x = at("residPost", x if before else norm(f"{name}.final_layer_norm", x))

    if before and not c.get("_remove_final_layer_norm"):
        x = probe("lnFinal", norm(f"{prefix}.final_layer_norm", x))
    if E != D:
        x = linear(w, f"{prefix}.project_out", x, E, bias=False)
    return x @ tokens.T


def gpt_neo(c, w, ids, mask, probe):
    D, H, hidden = c["hidden_size"], c["num_heads"], c["intermediate_size"] or 4 * c["hidden_size"]
    act = ACTIVATIONS[c["activation_function"]]
    kinds = [kind for pattern, times in c["attention_types"] for kind in pattern * times]

    def norm(name, x):
        return layer_norm(w, name, x, c["layer_norm_epsilon"])

    tokens = embedding(w, "transformer.wte", c["vocab_size"], D)
    positions = embedding(w, "transformer.wpe", c["max_position_embeddings"], D)
    x = probe("embed", tokens[ids]) + probe("posEmbed", positions[torch.arange(ids.shape[1]).expand_as(ids)])

    for layer, kind in enumerate(kinds):
        name, at = f"transformer.h.{layer}", within_block(probe, layer)
        sees = visible(mask, c["window_size"] if kind == "local" else None)

        at("residPre", x)
        h = norm(f"{name}.ln_1", x)
        q, k, v = (heads(linear(w, f"{name}.attn.attention.{part}_proj", h, D, bias=False), H) for part in "qkv")
        z = attention(q, k, v, sees, 1.0, at)  # not scaled
        x = at("residMid", x + at("attnOut", linear(w, f"{name}.attn.attention.out_proj", z, D)))

        h = act(linear(w, f"{name}.mlp.c_fc", norm(f"{name}.ln_2", x), hidden))
        x = at("residPost", x + at("mlpOut", linear(w, f"{name}.mlp.c_proj", h, D)))

    return probe("lnFinal", norm("transformer.ln_f", x)) @ tokens.T


def gpt_neox(c, w, ids, mask, probe):
    D, H, K = c["hidden_size"], c["num_attention_heads"], c["hidden_size"] // c["num_attention_heads"]
    act = ACTIVATIONS[c["hidden_act"]]
    turn = turns(c, K, ids.shape[1])

    def norm(name, x):
        return layer_norm(w, name, x, c["layer_norm_eps"])

    x = probe("embed", embedding(w, "gpt_neox.embed_in", c["vocab_size"], D)[ids])

    for layer in range(c["num_hidden_layers"]):
        name, at = f"gpt_neox.layers.{layer}", within_block(probe, layer)

        at("residPre", x)
        fused = linear(w, f"{name}.attention.query_key_value", norm(f"{name}.input_layernorm", x), 3 * D)
        q, k, v = heads(fused, H).chunk(3, dim=-1)  # within each head: q, then k, then v
        z = attention(rotate(q, turn), rotate(k, turn), v, visible(mask), K**-0.5, at)
        attn_out = at("attnOut", linear(w, f"{name}.attention.dense", z, D))

        # If parallel, the MLP reads the attention's input; otherwise the sum with its output.
        parallel = c["use_parallel_residual"]
        mlp_in = x if parallel else at("residMid", x + attn_out)
        h = norm(f"{name}.post_attention_layernorm", mlp_in)
        h = act(linear(w, f"{name}.mlp.dense_h_to_4h", h, c["intermediate_size"]))
        x = at("residPost", x + attn_out + at("mlpOut", linear(w, f"{name}.mlp.dense_4h_to_h", h, D)))

    x = probe("lnFinal", norm("gpt_neox.final_layer_norm", x))
    return linear(w, "embed_out", x, c["vocab_size"], bias=False)


def llama(c, w, ids, mask, probe, window=None):
    D, H, G, K = widths(c)
    eps, bias, mlp_bias = c["rms_norm_eps"], c.get("attention_bias", False), c.get("mlp_bias", False)
    turn = turns(c, K, ids.shape[1])
    x = probe("embed", tokens_of(c, w)[ids])

    for layer in range(c["num_hidden_layers"]):
        name, at = f"model.layers.{layer}", within_block(probe, layer)

        at("residPre", x)
        q, k, v = qkv(c, w, name, rms_norm(w, f"{name}.input_layernorm", x, eps), bias)
        q, k, v = rotate(heads(q, H), turn), rotate(heads(k, G), turn), heads(v, G)
        z = attention(q, k, v, visible(mask, window), K**-0.5, at)
        x = at("residMid", x + at("attnOut", linear(w, f"{name}.self_attn.o_proj", z, D, bias)))

        h = rms_norm(w, f"{name}.post_attention_layernorm", x, eps)
        x = at("residPost", x + at("mlpOut", gated_mlp(c, w, name, h, mlp_bias)))

    x = probe("lnFinal", rms_norm(w, "model.norm", x, eps))
    return unembed(c, w, x, tied=c.get("tie_word_embeddings", False))


def mistral(c, w, ids, mask, probe):
    """Llama with an optional window in every layer."""
    return llama(c, w, ids, mask, probe, window=c["sliding_window"])


def qwen2(c, w, ids, mask, probe):
    D, H, G, K = widths(c)
    eps = c["rms_norm_eps"]
    turn = turns(c, K, ids.shape[1])
    x = probe("embed", tokens_of(c, w)[ids])

    for layer in range(c["num_hidden_layers"]):
        name, at = f"model.layers.{layer}", within_block(probe, layer)
        window = c["sliding_window"] if c["use_sliding_window"] and layer >= c["max_window_layers"] else None

        at("residPre", x)
        q, k, v = qkv(c, w, name, rms_norm(w, f"{name}.input_layernorm", x, eps), bias=True)
        q, k, v = rotate(heads(q, H), turn), rotate(heads(k, G), turn), heads(v, G)
        z = attention(q, k, v, visible(mask, window), K**-0.5, at)
        x = at("residMid", x + at("attnOut", linear(w, f"{name}.self_attn.o_proj", z, D, bias=False)))

        h = rms_norm(w, f"{name}.post_attention_layernorm", x, eps)
        x = at("residPost", x + at("mlpOut", gated_mlp(c, w, name, h)))

    x = probe("lnFinal", rms_norm(w, "model.norm", x, eps))
    return unembed(c, w, x, tied=c.get("tie_word_embeddings", False))


def qwen3(c, w, ids, mask, probe):
    D, H, G, K = widths(c)
    eps, bias = c["rms_norm_eps"], c["attention_bias"]
    turn = turns(c, K, ids.shape[1])
    x = probe("embed", tokens_of(c, w)[ids])

    for layer in range(c["num_hidden_layers"]):
        name, at = f"model.layers.{layer}", within_block(probe, layer)
        window = c["sliding_window"] if c["use_sliding_window"] and layer >= c["max_window_layers"] else None

        at("residPre", x)
        q, k, v = qkv(c, w, name, rms_norm(w, f"{name}.input_layernorm", x, eps), bias)
        q = rms_norm(w, f"{name}.self_attn.q_norm", heads(q, H), eps)  # over each head, with one weight for all heads
        k = rms_norm(w, f"{name}.self_attn.k_norm", heads(k, G), eps)
        z = attention(rotate(q, turn), rotate(k, turn), heads(v, G), visible(mask, window), K**-0.5, at)
        x = at("residMid", x + at("attnOut", linear(w, f"{name}.self_attn.o_proj", z, D, bias)))

        h = rms_norm(w, f"{name}.post_attention_layernorm", x, eps)
        x = at("residPost", x + at("mlpOut", gated_mlp(c, w, name, h)))

    x = probe("lnFinal", rms_norm(w, "model.norm", x, eps))
    return unembed(c, w, x, tied=c.get("tie_word_embeddings", False))


def gemma(c, w, ids, mask, probe):
    D, H, G, K = widths(c)
    turn = turns(c, K, ids.shape[1])

    def norm(name, x):
        return rms_norm(w, name, x, c["rms_norm_eps"], plus_one=True)

    x = probe("embed", tokens_of(c, w)[ids] * math.sqrt(D))

    for layer in range(c["num_hidden_layers"]):
        name, at = f"model.layers.{layer}", within_block(probe, layer)

        at("residPre", x)
        q, k, v = qkv(c, w, name, norm(f"{name}.input_layernorm", x), c["attention_bias"])
        q, k, v = rotate(heads(q, H), turn), rotate(heads(k, G), turn), heads(v, G)
        z = attention(q, k, v, visible(mask), K**-0.5, at)
        x = at("residMid", x + at("attnOut", linear(w, f"{name}.self_attn.o_proj", z, D, c["attention_bias"])))

        # Gemma was trained with the tanh form, although its first configs have `hidden_act: "gelu"`.
        h = norm(f"{name}.post_attention_layernorm", x)
        x = at("residPost", x + at("mlpOut", gated_mlp(c, w, name, h, act=gelu_tanh)))

    return unembed(c, w, probe("lnFinal", norm("model.norm", x)), tied=c.get("tie_word_embeddings", True))


def gemma2(c, w, ids, mask, probe):
    D, H, G, K = widths(c)
    turn = turns(c, K, ids.shape[1])
    act = ACTIVATIONS[c["hidden_activation"]]
    alternating = ["full_attention" if layer % 2 else "sliding_attention" for layer in range(c["num_hidden_layers"])]
    kinds = c.get("layer_types") or alternating

    # The norms around the residual stream have large weights. Otherwise the token's embedding would dominate the input of
    # the tied head, and every token would predict itself.
    def norm(name, x, around=1):
        return rms_norm(w, name, x, c["rms_norm_eps"], plus_one=True, around=around)

    x = probe("embed", tokens_of(c, w)[ids] * math.sqrt(D))

    for layer, kind in enumerate(kinds):
        name, at = f"model.layers.{layer}", within_block(probe, layer)
        sees = visible(mask, c["sliding_window"] if kind == "sliding_attention" else None)
        scale = c["query_pre_attn_scalar"] ** -0.5

        at("residPre", x)
        q, k, v = qkv(c, w, name, norm(f"{name}.input_layernorm", x), c["attention_bias"])
        q, k, v = rotate(heads(q, H), turn), rotate(heads(k, G), turn), heads(v, G)
        z = attention(q, k, v, sees, scale, at, softcap=c["attn_logit_softcapping"])
        attn_out = linear(w, f"{name}.self_attn.o_proj", z, D, c["attention_bias"])
        x = at("residMid", x + at("attnOut", norm(f"{name}.post_attention_layernorm", attn_out, around=3)))

        mlp_out = gated_mlp(c, w, name, norm(f"{name}.pre_feedforward_layernorm", x), act=act)
        x = at("residPost", x + at("mlpOut", norm(f"{name}.post_feedforward_layernorm", mlp_out, around=3)))

    logits = unembed(c, w, probe("lnFinal", norm("model.norm", x, around=3)), tied=c.get("tie_word_embeddings", True))
    cap = c["final_logit_softcapping"]
    return cap * torch.tanh(logits / cap) if cap else logits


def gemma3_text(c, w, ids, mask, probe, prefix="model"):
    D, H, G, K = widths(c)
    eps, scale, bias = c["rms_norm_eps"], c["query_pre_attn_scalar"] ** -0.5, c["attention_bias"]
    act = ACTIVATIONS[c["hidden_activation"]]
    pattern = c.get("sliding_window_pattern", 6)
    by_rule = ["sliding_attention" if (layer + 1) % pattern else "full_attention" for layer in range(c["num_hidden_layers"])]
    kinds = c.get("layer_types") or by_rule
    turn = turns_by_kind(c, K, ids.shape[1], c.get("rope_local_base_freq", 10000.0))
    tokens = embedding(w, f"{prefix}.embed_tokens", c["vocab_size"], D)

    # As in gemma2, with large weights around the residual stream.
    def norm(name, x, around=1):
        return rms_norm(w, name, x, eps, plus_one=True, around=around)

    x = probe("embed", tokens[ids] * math.sqrt(D))

    for layer, kind in enumerate(kinds):
        name, at = f"{prefix}.layers.{layer}", within_block(probe, layer)
        sees = visible(mask, c["sliding_window"] if kind == "sliding_attention" else None)

        at("residPre", x)
        q, k, v = qkv(c, w, name, norm(f"{name}.input_layernorm", x), bias)
        q, k = norm(f"{name}.self_attn.q_norm", heads(q, H)), norm(f"{name}.self_attn.k_norm", heads(k, G))
        z = attention(rotate(q, turn[kind]), rotate(k, turn[kind]), heads(v, G), sees, scale, at)
        attn_out = linear(w, f"{name}.self_attn.o_proj", z, D, bias)
        x = at("residMid", x + at("attnOut", norm(f"{name}.post_attention_layernorm", attn_out, around=3)))

        mlp_out = gated_mlp(c, w, name, norm(f"{name}.pre_feedforward_layernorm", x), act=act)
        x = at("residPost", x + at("mlpOut", norm(f"{name}.post_feedforward_layernorm", mlp_out, around=3)))

    logits = probe("lnFinal", norm(f"{prefix}.norm", x, around=3)) @ tokens.T
    cap = c.get("final_logit_softcapping")
    return cap * torch.tanh(logits / cap) if cap else logits


def gemma3(c, w, ids, mask, probe):
    """The decoder of a model that also reads images."""
    return gemma3_text(c["text_config"], w, ids, mask, probe, prefix="language_model.model")


def phi(c, w, ids, mask, probe):
    D, H, G, K = widths(c)
    eps = c["layer_norm_eps"]
    act = ACTIVATIONS[c["hidden_act"]]
    turn = turns(c, K, ids.shape[1])
    x = probe("embed", tokens_of(c, w)[ids])

    for layer in range(c["num_hidden_layers"]):
        name, at = f"model.layers.{layer}", within_block(probe, layer)

        at("residPre", x)
        shared = layer_norm(w, f"{name}.input_layernorm", x, eps)  # one norm for attention and MLP
        q, k, v = qkv(c, w, name, shared, bias=True)
        q, k, v = heads(q, H), heads(k, G), heads(v, G)
        if c["qk_layernorm"]:
            q = layer_norm(w, f"{name}.self_attn.q_layernorm", q, eps)
            k = layer_norm(w, f"{name}.self_attn.k_layernorm", k, eps)
        z = attention(rotate(q, turn), rotate(k, turn), v, visible(mask), K**-0.5, at)
        attn_out = at("attnOut", linear(w, f"{name}.self_attn.dense", z, D))

        h = act(linear(w, f"{name}.mlp.fc1", shared, c["intermediate_size"]))
        x = at("residPost", x + attn_out + at("mlpOut", linear(w, f"{name}.mlp.fc2", h, D)))

    x = probe("lnFinal", layer_norm(w, "model.final_layernorm", x, eps))
    return linear(w, "lm_head", x, c["vocab_size"])


def olmo2(c, w, ids, mask, probe, kinds=None):
    D, H, G, K = widths(c)
    eps, bias = c["rms_norm_eps"], c["attention_bias"]
    kinds = kinds or ["full_attention"] * c["num_hidden_layers"]
    turning = turns_by_kind(c, K, ids.shape[1], 500000.0)
    x = probe("embed", tokens_of(c, w)[ids])

    for layer, kind in enumerate(kinds):
        name, at, turn = f"model.layers.{layer}", within_block(probe, layer), turning[kind]
        sees = visible(mask, c["sliding_window"] if kind == "sliding_attention" else None)

        at("residPre", x)
        q, k, v = qkv(c, w, name, x, bias)
        q = heads(rms_norm(w, f"{name}.self_attn.q_norm", q, eps), H)  # over all heads at once
        k = heads(rms_norm(w, f"{name}.self_attn.k_norm", k, eps), G)
        z = attention(rotate(q, turn), rotate(k, turn), heads(v, G), sees, K**-0.5, at)
        attn_out = linear(w, f"{name}.self_attn.o_proj", z, D, bias)
        x = at("residMid", x + at("attnOut", rms_norm(w, f"{name}.post_attention_layernorm", attn_out, eps)))

        mlp_out = gated_mlp(c, w, name, x)
        x = at("residPost", x + at("mlpOut", rms_norm(w, f"{name}.post_feedforward_layernorm", mlp_out, eps)))

    x = probe("lnFinal", rms_norm(w, "model.norm", x, eps))
    return unembed(c, w, x, tied=c.get("tie_word_embeddings", False))


def olmo3(c, w, ids, mask, probe):
    """OLMo 2 with windows, and scaled angles in the layers without one."""
    by_rule = ["sliding_attention" if (layer + 1) % 4 else "full_attention" for layer in range(c["num_hidden_layers"])]
    return olmo2(c, w, ids, mask, probe, c.get("layer_types") or by_rule)


def smollm3(c, w, ids, mask, probe):
    D, H, G, K = widths(c)
    eps, bias, mlp_bias = c["rms_norm_eps"], c["attention_bias"], c["mlp_bias"]
    turn = turns(c, K, ids.shape[1])
    by_interval = [(layer + 1) % c["no_rope_layer_interval"] for layer in range(c["num_hidden_layers"])]
    turning = c.get("no_rope_layers") or by_interval  # despite the name, 0 is a layer without positions
    x = probe("embed", tokens_of(c, w)[ids])

    for layer in range(c["num_hidden_layers"]):
        name, at = f"model.layers.{layer}", within_block(probe, layer)

        at("residPre", x)
        q, k, v = qkv(c, w, name, rms_norm(w, f"{name}.input_layernorm", x, eps), bias)
        q, k, v = heads(q, H), heads(k, G), heads(v, G)
        if turning[layer]:
            q, k = rotate(q, turn), rotate(k, turn)
        z = attention(q, k, v, visible(mask), K**-0.5, at)
        x = at("residMid", x + at("attnOut", linear(w, f"{name}.self_attn.o_proj", z, D, bias)))

        h = rms_norm(w, f"{name}.post_attention_layernorm", x, eps)
        x = at("residPost", x + at("mlpOut", gated_mlp(c, w, name, h, mlp_bias)))

    x = probe("lnFinal", rms_norm(w, "model.norm", x, eps))
    return unembed(c, w, x, tied=c.get("tie_word_embeddings", True))


def phi3(c, w, ids, mask, probe):
    D, H, G, K = widths(c)
    F, eps = c["intermediate_size"], c["rms_norm_eps"]
    turn = turns(c, K, ids.shape[1])
    x = probe("embed", tokens_of(c, w)[ids])

    for layer in range(c["num_hidden_layers"]):
        name, at = f"model.layers.{layer}", within_block(probe, layer)

        at("residPre", x)
        h = rms_norm(w, f"{name}.input_layernorm", x, eps)
        fused = linear(w, f"{name}.self_attn.qkv_proj", h, (H + 2 * G) * K, bias=False)  # q, then k, then v
        q, k, v = fused.split([H * K, G * K, G * K], dim=-1)
        q, k, v = rotate(heads(q, H), turn), rotate(heads(k, G), turn), heads(v, G)
        z = attention(q, k, v, visible(mask, c["sliding_window"]), K**-0.5, at)
        x = at("residMid", x + at("attnOut", linear(w, f"{name}.self_attn.o_proj", z, D, bias=False)))

        h = rms_norm(w, f"{name}.post_attention_layernorm", x, eps)
        gate, up = linear(w, f"{name}.mlp.gate_up_proj", h, 2 * F, bias=False).chunk(2, dim=-1)
        h = ACTIVATIONS[c["hidden_act"]](gate) * up
        x = at("residPost", x + at("mlpOut", linear(w, f"{name}.mlp.down_proj", h, D, bias=False)))

    x = probe("lnFinal", rms_norm(w, "model.norm", x, eps))
    return unembed(c, w, x, tied=c.get("tie_word_embeddings", False))


def granite(c, w, ids, mask, probe):
    D, H, G, K = widths(c)
    eps, bias, factor = c["rms_norm_eps"], c["attention_bias"], c["residual_multiplier"]
    turn = turns(c, K, ids.shape[1])
    x = probe("embed", tokens_of(c, w)[ids] * c["embedding_multiplier"])

    for layer in range(c["num_hidden_layers"]):
        name, at = f"model.layers.{layer}", within_block(probe, layer)

        at("residPre", x)
        q, k, v = qkv(c, w, name, rms_norm(w, f"{name}.input_layernorm", x, eps), bias)
        q, k, v = heads(q, H), heads(k, G), heads(v, G)
        if c.get("position_embedding_type", "rope") == "rope":
            q, k = rotate(q, turn), rotate(k, turn)
        z = attention(q, k, v, visible(mask), c["attention_multiplier"], at)
        x = at("residMid", x + at("attnOut", linear(w, f"{name}.self_attn.o_proj", z, D, bias) * factor))

        h = rms_norm(w, f"{name}.post_attention_layernorm", x, eps)
        if c["model_type"] == "granite":
            h = gated_mlp(c, w, name, h, c["mlp_bias"])
        else:
            S = c["shared_intermediate_size"]
            gate, up = linear(w, f"{name}.shared_mlp.input_linear", h, 2 * S, bias=False).chunk(2, dim=-1)
            h = linear(w, f"{name}.shared_mlp.output_linear", ACTIVATIONS[c["hidden_act"]](gate) * up, D, bias=False)
        x = at("residPost", x + at("mlpOut", h * factor))

    x = probe("lnFinal", rms_norm(w, "model.norm", x, eps))
    return unembed(c, w, x, tied=c.get("tie_word_embeddings", False)) / c["logits_scaling"]


def granitemoehybrid(c, w, ids, mask, probe):
    """Granite 4 without Mamba layers and experts."""
    return granite(c, w, ids, mask, probe)


def starcoder2(c, w, ids, mask, probe):
    D, H, G, K = widths(c)
    eps, bias = c["norm_epsilon"], c["use_bias"]
    act = ACTIVATIONS[c["hidden_act"]]
    turn = turns(c, K, ids.shape[1])
    x = probe("embed", tokens_of(c, w)[ids])

    for layer in range(c["num_hidden_layers"]):
        name, at = f"model.layers.{layer}", within_block(probe, layer)

        at("residPre", x)
        q, k, v = qkv(c, w, name, layer_norm(w, f"{name}.input_layernorm", x, eps), bias)
        q, k, v = rotate(heads(q, H), turn), rotate(heads(k, G), turn), heads(v, G)
        z = attention(q, k, v, visible(mask, c["sliding_window"]), K**-0.5, at)
        x = at("residMid", x + at("attnOut", linear(w, f"{name}.self_attn.o_proj", z, D, bias)))

        h = layer_norm(w, f"{name}.post_attention_layernorm", x, eps)
        h = act(linear(w, f"{name}.mlp.c_fc", h, c["intermediate_size"], bias))
        x = at("residPost", x + at("mlpOut", linear(w, f"{name}.mlp.c_proj", h, D, bias)))

    x = probe("lnFinal", layer_norm(w, "model.norm", x, eps))
    return unembed(c, w, x, tied=c.get("tie_word_embeddings", True))


def within_block(probe, layer):
    return lambda name, x: probe(f"blocks.{layer}.{name}", x)


# Shared by the families derived from llama: names of tensors and config entries.


def widths(c):
    """D, H, G, K"""
    D, H = c["hidden_size"], c["num_attention_heads"]
    return D, H, c.get("num_key_value_heads") or H, c.get("head_dim") or D // H


def tokens_of(c, w):
    return embedding(w, "model.embed_tokens", c["vocab_size"], c["hidden_size"])


def unembed(c, w, x, tied):
    return x @ tokens_of(c, w).T if tied else linear(w, "lm_head", x, c["vocab_size"], bias=False)


def qkv(c, w, name, x, bias=False):
    """Projections before the split into heads: [B, T, H * K], [B, T, G * K], [B, T, G * K]."""
    _, H, G, K = widths(c)
    return [linear(w, f"{name}.self_attn.{part}_proj", x, n * K, bias) for part, n in (("q", H), ("k", G), ("v", G))]


def gated_mlp(c, w, name, x, bias=False, act=None):
    act = act or ACTIVATIONS[c["hidden_act"]]
    gate = linear(w, f"{name}.mlp.gate_proj", x, c["intermediate_size"], bias)
    up = linear(w, f"{name}.mlp.up_proj", x, c["intermediate_size"], bias)
    return linear(w, f"{name}.mlp.down_proj", act(gate) * up, c["hidden_size"], bias)
