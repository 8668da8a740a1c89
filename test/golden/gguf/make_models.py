"""
Writes a tiny GGUF file of every supported architecture, and what transformers computes with the same weights.

    pip install gguf transformers torch && python3 make_models.py [NAME...]

Names of tensors come from llama.cpp's package; metadata, order of rows and norms are those of its converter
(`conversion/*.py`). Weights and prompts are drawn as in ../architectures. Each file NAME.gguf has NAME.json beside it:
all logits of the first prompt, and the 64 ids that follow each prompt greedily. Written with gguf 0.19, transformers
5.18 and PyTorch 2.13.
"""

import dataclasses
import json
import pathlib
import sys
import tempfile

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from transformers import AutoModelForCausalLM

FOLDER = pathlib.Path(__file__).parent
sys.path.append(str(FOLDER.parent / "architectures"))

import families  # noqa: E402
import variants as v  # noqa: E402
from make_reference import NEW_TOKENS, PROMPTS, draw, forward  # noqa: E402
from pieces import Weights  # noqa: E402
from safetensors_file import encode  # noqa: E402
from variants import Variant  # noqa: E402

BF16 = torch.bfloat16
KNOWN = {variant.name: variant for variant in v.VARIANTS}

# llama.cpp has constants where configurations have fields: the scale of scores, the layers with a window or without
# positions, and their theta.
OWN = [
    Variant(
        "qwen2",
        families.qwen2,
        dict(v.QWEN2, num_hidden_layers=2, use_sliding_window=False, sliding_window=None),
        BF16,
    ),
    Variant("gemma2", families.gemma2, dict(v.GEMMA2, query_pre_attn_scalar=16), BF16, embedding=0.1),
    Variant(
        "gemma3",
        families.gemma3_text,
        dict(
            v.GEMMA3,
            num_hidden_layers=6,
            query_pre_attn_scalar=16,
            sliding_window_pattern=6,
            rope_local_base_freq=10000.0,
            rope_scaling={"rope_type": "linear", "factor": 8.0},
        ),
        BF16,
        embedding=0.1,
    ),
    Variant("smollm3", families.smollm3, dict(v.SMOLLM3, num_hidden_layers=4, no_rope_layer_interval=4), BF16),
    Variant("starcoder2", families.starcoder2, dict(v.STARCODER2, sliding_window=None), BF16, embedding=0.15),
]
# Files are half as large in bfloat16, which llama.cpp reads too.
MODELS = {variant.name: variant for variant in OWN} | {
    name: dataclasses.replace(KNOWN[name], dtype=KNOWN[name].dtype if name == "llama" else BF16)
    for name in (
        "gpt2 gpt_bigcode gpt_neox gpt_neox-sequential llama llama-biased llama-linear llama-yarn llama-llama3 qwen3 gemma phi phi3 phi3-longrope granite "
        "granite-biased granitemoehybrid olmo2 olmo3"
    ).split()
}

# The architecture of a family whose name differs.
ARCHITECTURES = {"mistral": "llama", "gemma3_text": "gemma3", "granitemoehybrid": "granite", "olmo3": "olmo2", "phi": "phi2", "gpt_neox": "gptneox", "gpt_bigcode": "starcoder"}


def permuted(weights, heads):
    """A head's rows from half by half to alternating, as LlamaModel.permute of the converter."""
    parts = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return parts.swapaxes(1, 2).reshape(weights.shape)


class File:
    def __init__(self, path, variant, blocks=None):
        self.c = variant.config
        # Types and blocks of quantized tensors.
        self.blocks = blocks or {}
        self.family = self.c["model_type"]
        self.architecture = ARCHITECTURES.get(self.family, self.family)
        self.w = gguf.GGUFWriter(path, self.architecture)
        arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == self.architecture)
        self.names = gguf.get_tensor_name_map(arch, 8)
        self.stored = T.BF16 if variant.dtype == BF16 else T.F32

    def write(self, tensors):
        self.metadata()
        self.vocabulary()
        for name, values in tensors.items():
            for each, data in self.converted(name, values.float().numpy()):
                self.add(each, data)
        self.w.write_header_to_file()
        self.w.write_kv_data_to_file()
        self.w.write_tensors_to_file()
        self.w.close()

    def add(self, name, data):
        if name in self.blocks:
            kind, data = self.blocks[name]
            self.w.add_tensor(name, data, raw_dtype=kind)
            return
        data = np.ascontiguousarray(data, np.float32)
        kind = self.stored if data.ndim > 1 and name != "position_embd.weight" else T.F32
        self.w.add_tensor(name, gguf.quants.quantize(data, kind) if kind != T.F32 else data, raw_dtype=kind)

    def converted(self, name, data):
        c = self.c
        buffers = (".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".inv_freq")
        if self.family in ("gpt2", "gpt_neox") and name.endswith(buffers):
            return
        if name == "lm_head.weight" and c.get("tie_word_embeddings"):
            return
        if self.family == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            data = data.T
        if "query_key_value" in name:
            H = c["num_attention_heads"]
            parts = data.reshape(H, 3, -1, *data.shape[1:])
            data = np.concatenate([parts[:, i].reshape(-1, *data.shape[1:]) for i in range(3)])
        if self.architecture in ("llama", "granite", "smollm3"):
            if ".q_proj." in name:
                data = permuted(data, c["num_attention_heads"])
            if ".k_proj." in name:
                data = permuted(data, c["num_key_value_heads"])
        if self.architecture.startswith("gemma") and name.endswith("norm.weight"):
            data = data + 1
        if "shared_mlp.input_linear" in name:
            gate, up = np.split(data, 2)
            yield self.mapped(name.replace("shared_mlp.input_linear", "mlp.gate_proj")), gate
            yield self.mapped(name.replace("shared_mlp.input_linear", "mlp.up_proj")), up
            return
        yield self.mapped(name.replace("shared_mlp.output_linear", "mlp.down_proj")), data

    def mapped(self, name):
        return self.names.get_name(name, try_suffixes=(".weight", ".bias")) or sys.exit(f"{name} has no name")

    def metadata(self):
        w, c = self.w, self.c
        if self.family in ("gpt2", "gpt_bigcode"):
            w.add_block_count(c["n_layer"])
            w.add_context_length(c["n_positions"])
            w.add_embedding_length(c["n_embd"])
            w.add_feed_forward_length(4 * c["n_embd"])
            w.add_head_count(c["n_head"])
            w.add_layer_norm_eps(c["layer_norm_epsilon"])
            if self.family == "gpt_bigcode":
                w.add_head_count_kv(1)
            return
        heads = c["num_attention_heads"]
        if self.family == "gpt_neox":
            w.add_parallel_residual(c["use_parallel_residual"])
        head = c.get("head_dim") or c["hidden_size"] // heads
        w.add_block_count(c["num_hidden_layers"])
        w.add_context_length(c["max_position_embeddings"])
        w.add_embedding_length(c["hidden_size"])
        w.add_feed_forward_length(c.get("shared_intermediate_size") or c["intermediate_size"])
        w.add_head_count(heads)
        w.add_head_count_kv(c.get("num_key_value_heads") or heads)
        if "rms_norm_eps" in c:
            w.add_layer_norm_rms_eps(c["rms_norm_eps"])
        else:
            w.add_layer_norm_eps(c.get("norm_epsilon") or c["layer_norm_eps"])
        if "head_dim" in c:
            w.add_key_length(head)
            w.add_value_length(head)
        rotated = c.get("partial_rotary_factor") or c.get("rotary_pct") or c.get("rope_parameters", {}).get("partial_rotary_factor")
        self.rope(int(head * (rotated or 1)))
        if self.architecture in ("gemma2", "gemma3", "phi3", "olmo2") and "sliding_window" in c:
            w.add_sliding_window(c["sliding_window"] or 0)
        if self.architecture == "gemma2":
            w.add_attn_logit_softcapping(c["attn_logit_softcapping"])
            w.add_final_logit_softcapping(c["final_logit_softcapping"])
        if self.family == "olmo3":
            w.add_sliding_window_pattern([(layer + 1) % 4 != 0 for layer in range(c["num_hidden_layers"])])
        if self.architecture == "granite":
            w.add_attention_scale(c["attention_multiplier"])
            w.add_embedding_scale(c["embedding_multiplier"])
            w.add_residual_scale(c["residual_multiplier"])
            w.add_logit_scale(c["logits_scaling"])

    def rope(self, dims):
        w, c = self.w, self.c
        given = c.get("rope_parameters", {})
        scaling = given.get("full_attention") or c.get("rope_scaling") or {}
        w.add_rope_dimension_count(dims)
        w.add_rope_freq_base(given.get("rope_theta") or scaling.get("rope_theta") or c.get("rope_theta") or c["rotary_emb_base"])
        kind = scaling.get("rope_type") or scaling.get("type")
        original = scaling.get("original_max_position_embeddings") or c.get("original_max_position_embeddings")
        if kind in ("linear", "yarn"):
            w.add_rope_scaling_type(gguf.RopeScalingType(kind))
            w.add_rope_scaling_factor(scaling["factor"])
        if original and kind != "llama3":
            w.add_rope_scaling_orig_ctx_len(original)
        if kind == "yarn" and "attention_factor" in scaling:
            w.add_rope_scaling_attn_factors(scaling["attention_factor"])
        if kind == "longrope":
            stretch = c["max_position_embeddings"] / original
            w.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(stretch) / np.log(original))))
            self.add("rope_factors_long.weight", scaling["long_factor"])
            self.add("rope_factors_short.weight", scaling["short_factor"])
        if kind == "llama3":
            self.add("rope_freqs.weight", llama3_factors(dims, c["rope_theta"], scaling))

    def vocabulary(self):
        """Printable characters, a line break, and the special tokens that llama.cpp requires of Phi-3."""
        tokens = [chr(33 + i) for i in range(93)] + ["he", "Ċ", "</s>", "<unk>", "<s>", "<|endoftext|>"]
        special = gguf.TokenType.CONTROL
        self.w.add_tokenizer_model("gpt2")
        self.w.add_tokenizer_pre("gpt-2")
        self.w.add_token_list(tokens)
        self.w.add_token_types([gguf.TokenType.NORMAL] * 95 + [special] * 4)
        self.w.add_token_merges(["h e"])
        self.w.add_bos_token_id(97)
        self.w.add_eos_token_id(98)


def llama3_factors(dims, base, scaling):
    """As LlamaModel.generate_extra_tensors of the converter."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    original, factor = scaling["original_max_position_embeddings"], scaling["factor"]
    factors = []
    for i in range(0, dims, 2):
        length = 2 * np.pi * base ** (i / dims)
        if length < original / high:
            factors.append(1)
        elif length > original / low:
            factors.append(factor)
        else:
            smooth = (original / length - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return factors


# A model with rows of 256 values, which the larger blocks need, and a type for each of its matrices.
TYPES = Variant(
    "types",
    families.llama,
    dict(v.LLAMA, hidden_size=256, intermediate_size=256, num_attention_heads=4, num_key_value_heads=1, head_dim=64),
    embedding=0.4,
)
BY_TENSOR = {
    "token_embd": T.Q4_K, "output": T.Q6_K, "blk.0.attn_q": T.Q5_K, "blk.0.attn_k": T.Q8_0, "blk.0.attn_v": T.Q6_K,
    "blk.0.attn_output": T.Q4_K, "blk.0.ffn_gate": T.Q3_K, "blk.0.ffn_up": T.IQ4_XS, "blk.0.ffn_down": T.Q2_K,
    "blk.1.attn_q": T.IQ4_NL, "blk.1.attn_k": T.Q5_0, "blk.1.attn_v": T.Q5_1, "blk.1.attn_output": T.Q4_1,
    "blk.1.ffn_gate": T.MXFP4, "blk.1.ffn_up": T.Q4_0, "blk.1.ffn_down": T.Q5_K,
}  # fmt: skip
# Where the float16 factors of a block are: those of the scale, then those of the minimum.
FACTORS = {
    T.Q4_K: (0, 2), T.Q5_K: (0, 2), T.Q2_K: (80, 82), T.Q4_1: (0, 2), T.Q5_1: (0, 2), T.Q6_K: (208,), T.Q3_K: (108,),
    T.IQ4_XS: (0,), T.IQ4_NL: (0,), T.Q8_0: (0,), T.Q5_0: (0,), T.Q4_0: (0,), T.MXFP4: (),
}  # fmt: skip


def random_blocks(random, kind, shape, deviation):
    """Blocks of random codes whose values have a standard deviation."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (shape[0], shape[1] // block, size), dtype=np.uint8)
    if kind == T.MXFP4:
        data[..., 0] = 124
    for at in FACTORS[kind]:
        # The minimum of the two types with 32 values has no factor of its own.
        factor = -7.5 if at and kind in (T.Q4_1, T.Q5_1) else 1
        data[..., at : at + 2] = np.frombuffer(np.float16(factor).tobytes(), np.uint8)
    data = data.reshape(shape[0], -1)
    scale = np.float16(deviation / gguf.quants.dequantize(data, kind).std())
    blocks = data.reshape(shape[0], -1, size)
    for at in FACTORS[kind]:
        factor = -7.5 if at and kind in (T.Q4_1, T.Q5_1) else 1
        blocks[..., at : at + 2] = np.frombuffer(np.float16(factor * scale).tobytes(), np.uint8)
    return data


def draw_types(variant):
    """Weights as values, and as blocks by name."""
    random = np.random.default_rng(1)
    weights = Weights(1, torch.float32, variant.embedding)
    forward(variant, weights, torch.tensor(PROMPTS[:1]))
    file = File(FOLDER / "unused", variant)
    blocks = {}
    for name, values in weights.tensors.items():
        short = file.mapped(name)
        kind = BY_TENSOR.get(short.removesuffix(".weight"))
        if kind is None:
            continue
        blocks[short] = (kind, random_blocks(random, kind, values.shape, 0.4 if "token" in short else 0.08))
        stored = gguf.quants.dequantize(blocks[short][1], kind)
        heads = {"attn_q": 4, "attn_k": 1}.get(short.split(".")[-2], 0)
        weights.tensors[name] = torch.tensor(unpermuted(stored, heads) if heads else stored)
    return weights, blocks


def unpermuted(weights, heads):
    order = permuted(np.arange(weights.shape[0]), heads)
    result = np.empty_like(weights)
    result[order] = weights
    return result


def make(name, variant):
    # Generation rounds the operands of quantized products, so its ids are compared for other models only.
    greedy = None
    if variant is TYPES:
        weights, blocks = draw_types(variant)
    else:
        (weights, greedy), blocks = draw(variant), None
    tensors = {key: value.to(variant.dtype) for key, value in weights.tensors.items()}
    tensors |= variant.buffers(variant.config)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "config.json").write_text(json.dumps(variant.config))
        (folder / "model.safetensors").write_bytes(encode(tensors))
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

    logits = [[round(x, 5) for x in row] for row in model(torch.tensor(PROMPTS[:1])).logits[0].tolist()]
    expected = {"prompts": PROMPTS, "logits": logits}
    if greedy:
        expected["ids"] = [continued(model, prompt) for prompt in PROMPTS]
        assert expected["ids"] == greedy["ids"], "transformers generates other tokens"
    File(FOLDER / f"{name}.gguf", variant, blocks).write(tensors)
    (FOLDER / f"{name}.json").write_text(json.dumps(expected) + "\n")
    print(name)


def continued(model, prompt):
    given = torch.tensor([prompt])
    options = dict(do_sample=False, max_new_tokens=NEW_TOKENS, eos_token_id=None, pad_token_id=0)
    return model.generate(given, attention_mask=torch.ones_like(given), **options)[0, len(prompt) :].tolist()


MODELS["types"] = TYPES


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    for name, variant in MODELS.items():
        if name in (sys.argv[1:] or MODELS):
            make(name, variant)
