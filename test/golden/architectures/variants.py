"""The checkpoints: the family, config.json and storage of each."""

from dataclasses import dataclass
from functools import partial
from typing import Callable

import torch

import families

CONTEXT = 128
VOCABULARY = 99


@dataclass
class Variant:
    name: str
    family: Callable
    config: dict
    dtype: torch.dtype = torch.float32
    # Standard deviation of the token embedding; smaller with a tied head, so that a token does not predict itself.
    embedding: float = 0.4
    # Tensors in such files that are not parameters.
    buffers: Callable = lambda c: {}

    def __post_init__(self):
        self.config = {**self.config, dtype_key(self.config): str(self.dtype).split(".")[1]}


def dtype_key(c):
    return "dtype" if "rope_parameters" in c else "torch_dtype"


def causal(c):
    return torch.ones(CONTEXT, CONTEXT).tril()[None, None]


def gpt2_buffers(c):
    each = {"attn.bias": causal(c), "attn.masked_bias": torch.tensor(-1e4)}
    return {f"h.{layer}.{name}": value for layer in range(c["n_layer"]) for name, value in each.items()}


def gpt_neo_buffers(c):
    each = {"bias": causal(c).byte(), "masked_bias": torch.tensor(-1e9)}
    layers = range(c["num_layers"])
    return {f"transformer.h.{layer}.attn.attention.{name}": value for layer in layers for name, value in each.items()}


def gpt_neox_buffers(c):
    each = {
        "bias": causal(c).bool(),
        "masked_bias": torch.tensor(-1e9).half(),  # which is -inf
        "rotary_emb.inv_freq": torch.tensor([1.0, 0.01]),
    }
    layers = range(c["num_hidden_layers"])
    return {f"gpt_neox.layers.{layer}.attention.{name}": value for layer in layers for name, value in each.items()}


def image_reader(c):
    """Some tensors of the part that reads images. The decoder does not use them."""
    width = c["vision_config"]["hidden_size"]
    return {
        "multi_modal_projector.mm_input_projection_weight": torch.zeros(width, c["text_config"]["hidden_size"]),
        "vision_tower.vision_model.post_layernorm.weight": torch.ones(width),
    }


GPT2 = dict(
    architectures=["GPT2LMHeadModel"], model_type="gpt2", vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=32,
    n_layer=2, n_head=4, n_inner=None, activation_function="gelu_new", layer_norm_epsilon=1e-5,
    bos_token_id=98, eos_token_id=98,
)  # fmt: skip

GPT_BIGCODE = dict(
    architectures=["GPTBigCodeForCausalLM"], model_type="gpt_bigcode", vocab_size=VOCABULARY, n_positions=CONTEXT,
    n_embd=32, n_layer=2, n_head=4, n_inner=None, activation_function="gelu_pytorch_tanh", layer_norm_epsilon=1e-5,
    multi_query=True, bos_token_id=98, eos_token_id=98,
)  # fmt: skip

OPT = dict(
    architectures=["OPTForCausalLM"], model_type="opt", vocab_size=VOCABULARY, max_position_embeddings=CONTEXT,
    hidden_size=32, word_embed_proj_dim=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4,
    activation_function="relu", do_layer_norm_before=True, _remove_final_layer_norm=False,
    bos_token_id=2, eos_token_id=2, pad_token_id=1, prefix="</s>",
)  # fmt: skip

GPT_NEO = dict(
    architectures=["GPTNeoForCausalLM"], model_type="gpt_neo", vocab_size=VOCABULARY, max_position_embeddings=CONTEXT,
    hidden_size=32, num_layers=3, num_heads=4, intermediate_size=64, window_size=8,
    attention_types=[[["global", "local"], 1], [["local"], 1]], activation_function="gelu_new",
    layer_norm_epsilon=1e-5, bos_token_id=98, eos_token_id=98,
)  # fmt: skip

GPT_NEOX = dict(
    architectures=["GPTNeoXForCausalLM"], model_type="gpt_neox", vocab_size=VOCABULARY, max_position_embeddings=CONTEXT,
    hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, hidden_act="gelu",
    rotary_pct=0.25, rotary_emb_base=10000, layer_norm_eps=1e-5, use_parallel_residual=True, tie_word_embeddings=False,
    bos_token_id=0, eos_token_id=0,
)  # fmt: skip

# Shared by the configs of llama's descendants.
SHARED = dict(
    vocab_size=VOCABULARY, max_position_embeddings=CONTEXT, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, hidden_act="silu", rms_norm_eps=1e-6, bos_token_id=1, eos_token_id=2,
)  # fmt: skip

LLAMA = dict(
    SHARED, architectures=["LlamaForCausalLM"], model_type="llama", rms_norm_eps=1e-5, rope_theta=10000.0,
    rope_scaling=None, attention_bias=False, tie_word_embeddings=False,
)  # fmt: skip

# For the scalings: heads of 16 and a small theta, so that each of 8 pairs turns within a hundred tokens, and lengths
# with which yarn and llama3 keep some pairs, slow others, and interpolate the rest.
SCALED = dict(LLAMA, head_dim=16, rope_theta=500.0)
SHORT_FACTOR = [1.0, 1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0]
LONG_FACTOR = [1.0, 1.3, 1.9, 2.7, 4.0, 6.5, 9.0, 16.0]

MISTRAL = dict(
    SHARED, architectures=["MistralForCausalLM"], model_type="mistral", num_hidden_layers=3, sliding_window=8,
    rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False,
)  # fmt: skip

QWEN2 = dict(
    SHARED, architectures=["Qwen2ForCausalLM"], model_type="qwen2", num_hidden_layers=3, use_sliding_window=True,
    sliding_window=8, max_window_layers=1, rope_theta=1000000.0, tie_word_embeddings=False,
)  # fmt: skip

QWEN3 = dict(
    SHARED, architectures=["Qwen3ForCausalLM"], model_type="qwen3", hidden_size=48, head_dim=16, attention_bias=False,
    use_sliding_window=False, sliding_window=None, max_window_layers=2, rope_theta=1000000, rope_scaling=None,
    tie_word_embeddings=True,
)  # fmt: skip

GEMMA = dict(
    SHARED, architectures=["GemmaForCausalLM"], model_type="gemma", hidden_size=48, head_dim=16, num_key_value_heads=1,
    hidden_act="gelu", attention_bias=False, rope_theta=10000.0, bos_token_id=2, eos_token_id=1, pad_token_id=0,
)  # fmt: skip

# The scalar differs from the head width, and the caps are low enough to matter in such a small model.
GEMMA2 = dict(
    SHARED, architectures=["Gemma2ForCausalLM"], model_type="gemma2", hidden_size=48, head_dim=16,
    hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh", attention_bias=False, rope_theta=10000.0,
    query_pre_attn_scalar=24, sliding_window=8, attn_logit_softcapping=3.0, final_logit_softcapping=10.0,
    cache_implementation="hybrid", bos_token_id=2, eos_token_id=1, pad_token_id=0,
)  # fmt: skip

# Every third layer without a window.
GEMMA3 = dict(
    SHARED, architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", hidden_size=48, head_dim=16,
    num_hidden_layers=3, hidden_activation="gelu_pytorch_tanh", attention_bias=False, query_pre_attn_scalar=24,
    sliding_window=8, sliding_window_pattern=3, rope_theta=500.0, rope_local_base_freq=50.0,
    rope_scaling={"rope_type": "linear", "factor": 4.0}, final_logit_softcapping=None, attn_logit_softcapping=None,
    bos_token_id=2, eos_token_id=1, pad_token_id=0,
)  # fmt: skip
del GEMMA3["hidden_act"]

PHI = dict(
    SHARED, architectures=["PhiForCausalLM"], model_type="phi", hidden_size=64, num_key_value_heads=None,
    hidden_act="gelu_new", layer_norm_eps=1e-5, partial_rotary_factor=0.5, qk_layernorm=False, rope_theta=10000.0,
    rope_scaling=None, tie_word_embeddings=False,
)  # fmt: skip
del PHI["rms_norm_eps"]

OLMO2 = dict(
    SHARED, architectures=["Olmo2ForCausalLM"], model_type="olmo2", num_hidden_layers=3, attention_bias=False,
    rope_theta=500000, rope_scaling=None, tie_word_embeddings=False,
)  # fmt: skip

# Head size 16 and a small theta, as in SCALED.
OLMO3 = dict(
    OLMO2, architectures=["Olmo3ForCausalLM"], model_type="olmo3", num_hidden_layers=4, hidden_size=32, head_dim=16,
    sliding_window=8,
)  # fmt: skip

SMOLLM3 = dict(
    SHARED, architectures=["SmolLM3ForCausalLM"], model_type="smollm3", num_hidden_layers=3, no_rope_layer_interval=2,
    attention_bias=False, mlp_bias=False, use_sliding_window=False, sliding_window=None, rope_theta=2000000.0,
    rope_scaling=None, pad_token_id=2,
)  # fmt: skip

PHI3 = dict(
    SHARED, architectures=["Phi3ForCausalLM"], model_type="phi3", num_hidden_layers=3, sliding_window=8,
    rms_norm_eps=1e-5, rope_theta=10000.0, rope_scaling=None, tie_word_embeddings=False, pad_token_id=0,
)  # fmt: skip

GRANITE = dict(
    SHARED, architectures=["GraniteForCausalLM"], model_type="granite", attention_bias=False, mlp_bias=False,
    embedding_multiplier=3.0, attention_multiplier=0.25, residual_multiplier=0.6, logits_scaling=2.0,
    rope_theta=10000.0, rope_scaling=None, tie_word_embeddings=True,
)  # fmt: skip

GRANITE4 = dict(
    GRANITE, architectures=["GraniteMoeHybridForCausalLM"], model_type="granitemoehybrid",
    layer_types=["attention", "attention"], num_local_experts=0, num_experts_per_tok=0, shared_intermediate_size=40,
    position_embedding_type="rope", mamba_n_heads=4, mamba_d_head=16, mamba_expand=2,
)  # fmt: skip
del GRANITE4["mlp_bias"]

STARCODER2 = dict(
    SHARED, architectures=["Starcoder2ForCausalLM"], model_type="starcoder2", num_hidden_layers=3, sliding_window=8,
    hidden_act="gelu_pytorch_tanh", norm_epsilon=1e-5, use_bias=True, rope_theta=10000.0, tie_word_embeddings=True,
)  # fmt: skip
del STARCODER2["rms_norm_eps"]


def new_style(c, **rope):
    """The config in the style of transformers 5, with all rotation settings in one entry."""
    moved = ("rope_theta", "rope_scaling", "rope_local_base_freq", "partial_rotary_factor", "rotary_pct", "rotary_emb_base")
    return {**{key: value for key, value in c.items() if key not in moved}, "rope_parameters": rope}


VARIANTS = [
    Variant("gpt2", families.gpt2, GPT2, buffers=gpt2_buffers),
    Variant(
        "gpt2-prefixed",
        partial(families.gpt2, prefix="transformer."),
        dict(GPT2, n_inner=64, scale_attn_by_inverse_layer_idx=True, n_layer=3),
        torch.float16,
    ),
    Variant("gpt_bigcode", families.gpt_bigcode, GPT_BIGCODE),
    Variant("gpt_bigcode-multi-head", families.gpt_bigcode, dict(GPT_BIGCODE, multi_query=False), torch.float16),
    Variant("opt", families.opt, OPT),
    Variant(
        "opt-post-norm",
        partial(families.opt, prefix="decoder"),
        dict(OPT, do_layer_norm_before=False, word_embed_proj_dim=24),
        torch.float16,
    ),
    Variant(
        "opt-galactica",
        families.opt,
        dict(OPT, activation_function="gelu", enable_bias=False, layer_norm_elementwise_affine=False),
        torch.float16,
    ),
    Variant("gpt_neo", families.gpt_neo, GPT_NEO, buffers=gpt_neo_buffers),
    Variant("gpt_neox", families.gpt_neox, GPT_NEOX, torch.float16, buffers=gpt_neox_buffers),
    Variant(
        "gpt_neox-sequential",
        families.gpt_neox,
        new_style(
            dict(GPT_NEOX, hidden_size=32, use_parallel_residual=False),
            rope_theta=10000.0,
            rope_type="default",
            partial_rotary_factor=0.5,
        ),
    ),
    Variant("llama", families.llama, LLAMA),
    Variant(
        "llama-biased",
        families.llama,
        dict(LLAMA, head_dim=16, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
        torch.bfloat16,
    ),
    Variant("llama-linear", families.llama, dict(SCALED, rope_scaling={"type": "linear", "factor": 4.0})),
    Variant(
        "llama-dynamic",
        families.llama,
        dict(SCALED, rope_scaling={"type": "dynamic", "factor": 4.0}),
        torch.bfloat16,
    ),
    Variant(
        "llama-yarn",
        families.llama,
        dict(SCALED, rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}),
        torch.float16,
    ),
    Variant(
        "llama-longrope-short",
        families.llama,
        dict(
            SCALED,
            max_position_embeddings=512,
            original_max_position_embeddings=128,
            rope_scaling={"type": "longrope", "short_factor": SHORT_FACTOR, "long_factor": LONG_FACTOR},
        ),
        torch.float16,
    ),
    Variant(
        "llama-longrope-long",
        families.llama,
        new_style(
            SCALED,
            rope_theta=500.0,
            rope_type="longrope",
            factor=32.0,
            attention_factor=1.25,
            original_max_position_embeddings=4,
            short_factor=SHORT_FACTOR,
            long_factor=LONG_FACTOR,
        ),
        torch.bfloat16,
    ),
    Variant(
        "llama-llama3",
        families.llama,
        dict(
            SCALED,
            rope_scaling={
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
                "rope_type": "llama3",
            },
        ),
        torch.bfloat16,
    ),
    Variant("mistral", families.mistral, MISTRAL, torch.bfloat16),
    Variant("qwen2", families.qwen2, QWEN2, torch.bfloat16),
    Variant("qwen3", families.qwen3, QWEN3),
    Variant("gemma", families.gemma, GEMMA, torch.bfloat16, embedding=0.15),
    Variant("gemma2", families.gemma2, GEMMA2, embedding=0.1),
    Variant(
        "gemma2-uncapped",
        families.gemma2,
        dict(
            GEMMA2,
            attn_logit_softcapping=None,
            final_logit_softcapping=None,
            layer_types=["full_attention", "sliding_attention"],
        ),
        torch.bfloat16,
        embedding=0.1,
    ),
    Variant("gemma3_text", families.gemma3_text, GEMMA3, embedding=0.1),
    Variant(
        "gemma3",
        families.gemma3,
        dict(
            architectures=["Gemma3ForConditionalGeneration"],
            model_type="gemma3",
            text_config=new_style(
                dict(GEMMA3, layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
                full_attention=dict(rope_type="linear", rope_theta=500.0, factor=4.0),
                sliding_attention=dict(rope_type="default", rope_theta=50.0),
            ),
            vision_config=dict(
                model_type="siglip_vision_model",
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                image_size=28,
                patch_size=14,
            ),
            mm_tokens_per_image=4,
            boi_token_index=95,
            eoi_token_index=96,
            image_token_index=94,
        ),
        torch.bfloat16,
        embedding=0.1,
        buffers=image_reader,
    ),
    Variant("phi", families.phi, PHI, torch.float16),
    Variant(
        "phi-qk-layernorm",
        families.phi,
        new_style(
            dict(PHI, hidden_size=32, num_key_value_heads=2, qk_layernorm=True),
            rope_theta=10000.0,
            rope_type="default",
            partial_rotary_factor=0.5,
        ),
    ),
    Variant("olmo2", families.olmo2, OLMO2),
    Variant(
        "olmo3",
        families.olmo3,
        new_style(
            OLMO3,
            full_attention=dict(
                rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=32, attention_factor=1.1
            ),
            sliding_attention=dict(rope_type="default", rope_theta=500.0),
        ),
    ),
    Variant("olmo3-unscaled", families.olmo3, OLMO3, torch.bfloat16),
    Variant("smollm3", families.smollm3, SMOLLM3, torch.bfloat16),
    Variant("phi3", families.phi3, PHI3, torch.bfloat16),
    # Phi-4-mini: a part of each head turns, by factors of longrope.
    Variant(
        "phi3-longrope",
        families.phi3,
        dict(
            PHI3,
            sliding_window=None,
            partial_rotary_factor=0.75,
            original_max_position_embeddings=4,
            rope_scaling={"type": "longrope", "short_factor": SHORT_FACTOR[:3], "long_factor": LONG_FACTOR[:3]},
            tie_word_embeddings=True,
        ),
        embedding=0.2,
    ),
    Variant("granite", families.granite, GRANITE, torch.bfloat16, embedding=0.1),
    Variant(
        "granite-biased",
        families.granite,
        dict(GRANITE, attention_bias=True, mlp_bias=True, tie_word_embeddings=False),
    ),
    Variant("granitemoehybrid", families.granitemoehybrid, GRANITE4, torch.bfloat16, embedding=0.1),
    Variant(
        "granitemoehybrid-nope",
        families.granitemoehybrid,
        dict(GRANITE4, position_embedding_type=None),
        embedding=0.1,
    ),
    Variant("starcoder2", families.starcoder2, STARCODER2, torch.bfloat16, embedding=0.15),
]
