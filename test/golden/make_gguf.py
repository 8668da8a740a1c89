"""Writes small GGUF files and their tensors in Hugging Face's layout, and blocks of every type with their values, to
checkpoints/. Run with llama.cpp's package:

    pip install gguf && python3 make_gguf.py

Weights are named, permuted and transposed as by llama.cpp's converter; that package computes the values of the blocks.
"""

import json
import struct
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFWriter, TokenType, quants

OUT = Path(__file__).parent / "checkpoints"
WIDTH, HEADS, KV_HEADS, HEAD, MLP, CONTEXT = 32, 2, 1, 16, 64, 16

rng = np.random.default_rng(5)


def permute(weights, heads):
    """Permutes a head's rows from Hugging Face's order to llama.cpp's (docs/gguf.md)."""
    parts = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return parts.swapaxes(1, 2).reshape(weights.shape)


class Model:
    def __init__(self, name, architecture):
        self.writer = GGUFWriter(OUT / f"{name}.gguf", architecture)
        self.name, self.expected = name, {}

    def add(self, name, hub_name, shape, kind, heads=None, transpose=False):
        """Adds a tensor with the file's `shape`, and records it in Hugging Face's layout."""
        weights = rng.standard_normal(shape).astype(np.float32) / 4
        data = quants.quantize(weights, kind) if kind != T.F32 else weights
        self.writer.add_tensor(name, data, raw_dtype=kind)
        values = quants.dequantize(data, kind)
        if heads:
            # Inverts the permutation of rows.
            order = permute(np.arange(shape[0]), heads)
            hub = np.empty_like(values)
            hub[order] = values
            values = hub
        self.expected[hub_name] = values.T if transpose else values

    def finish(self):
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
        save(OUT / f"{self.name}-expected.safetensors", self.expected)


def save(path, tensors):
    header, data = {}, b""
    for name, values in tensors.items():
        kind = "U8" if values.dtype == np.uint8 else "F32"
        raw = np.ascontiguousarray(values, dtype="u1" if kind == "U8" else "<f4").tobytes()
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def llama():
    m = Model("llama", "llama")
    w = m.writer
    w.add_context_length(CONTEXT)
    w.add_embedding_length(WIDTH)
    w.add_block_count(1)
    w.add_feed_forward_length(MLP)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV_HEADS)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(HEAD)
    w.add_rope_freq_base(10000.0)

    pieces = "▁ t h e o n a ▁t he ▁the ▁a on ▁on the".split()
    tokens = ["<unk>", "<s>", "</s>", "<0x0A>", "<0xC3>", "<0xBC>", *pieces]
    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL] + [TokenType.BYTE] * 3
    w.add_tokenizer_model("llama")
    w.add_token_list(tokens)
    # Single characters come last, as in SentencePiece's scores.
    w.add_token_scores([0.0] * 6 + [-100.0 - i if len(p) == 1 else -float(i) for i, p in enumerate(pieces)])
    w.add_token_types(kinds + [TokenType.NORMAL] * len(pieces))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)

    vocab, layer = len(tokens), "model.layers.0"
    m.add("token_embd.weight", "model.embed_tokens.weight", (vocab, WIDTH), T.Q8_0)
    m.add("output_norm.weight", "model.norm.weight", (WIDTH,), T.F32)
    m.add("output.weight", "lm_head.weight", (vocab, WIDTH), T.F16)
    m.add("blk.0.attn_norm.weight", f"{layer}.input_layernorm.weight", (WIDTH,), T.F32)
    m.add("blk.0.ffn_norm.weight", f"{layer}.post_attention_layernorm.weight", (WIDTH,), T.F32)
    m.add("blk.0.attn_q.weight", f"{layer}.self_attn.q_proj.weight", (HEADS * HEAD, WIDTH), T.Q4_0, heads=HEADS)
    m.add("blk.0.attn_k.weight", f"{layer}.self_attn.k_proj.weight", (KV_HEADS * HEAD, WIDTH), T.F16, heads=KV_HEADS)
    m.add("blk.0.attn_v.weight", f"{layer}.self_attn.v_proj.weight", (KV_HEADS * HEAD, WIDTH), T.Q8_0)
    m.add("blk.0.attn_output.weight", f"{layer}.self_attn.o_proj.weight", (WIDTH, HEADS * HEAD), T.Q4_0)
    m.add("blk.0.ffn_gate.weight", f"{layer}.mlp.gate_proj.weight", (MLP, WIDTH), T.Q4_0)
    m.add("blk.0.ffn_up.weight", f"{layer}.mlp.up_proj.weight", (MLP, WIDTH), T.BF16)
    m.add("blk.0.ffn_down.weight", f"{layer}.mlp.down_proj.weight", (WIDTH, MLP), T.Q8_0)
    m.finish()


def gpt2():
    m = Model("gpt2", "gpt2")
    w = m.writer
    w.add_context_length(CONTEXT)
    w.add_embedding_length(WIDTH)
    w.add_block_count(1)
    w.add_feed_forward_length(MLP)
    w.add_head_count(HEADS)
    w.add_layer_norm_eps(1e-5)

    tokens = [*"!hetoan", "Ġ", "he", "Ġt", "Ġthe", "Ġa", "on", "Ċ", "<|endoftext|>"]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([TokenType.NORMAL] * (len(tokens) - 1) + [TokenType.CONTROL])
    w.add_token_merges(["h e", "Ġ t", "Ġt he", "Ġ a", "o n"])
    w.add_bos_token_id(len(tokens) - 1)
    w.add_eos_token_id(len(tokens) - 1)

    vocab, layer = len(tokens), "transformer.h.0"
    m.add("token_embd.weight", "transformer.wte.weight", (vocab, WIDTH), T.Q4_0)
    m.add("position_embd.weight", "transformer.wpe.weight", (CONTEXT, WIDTH), T.F32)
    m.add("output_norm.weight", "transformer.ln_f.weight", (WIDTH,), T.F32)
    m.add("output_norm.bias", "transformer.ln_f.bias", (WIDTH,), T.F32)
    # Norms, biases, and the matrices that Hugging Face stores [in, out].
    for ours, hub in (("attn_norm", "ln_1"), ("ffn_norm", "ln_2")):
        m.add(f"blk.0.{ours}.weight", f"{layer}.{hub}.weight", (WIDTH,), T.F32)
        m.add(f"blk.0.{ours}.bias", f"{layer}.{hub}.bias", (WIDTH,), T.F32)
    matrices = [
        ("attn_qkv", "attn.c_attn", (3 * WIDTH, WIDTH), T.Q8_0),
        ("attn_output", "attn.c_proj", (WIDTH, WIDTH), T.F16),
        ("ffn_up", "mlp.c_fc", (MLP, WIDTH), T.Q4_0),
        ("ffn_down", "mlp.c_proj", (WIDTH, MLP), T.F32),
    ]
    for ours, hub, shape, kind in matrices:
        m.add(f"blk.0.{ours}.weight", f"{layer}.{hub}.weight", shape, kind, transpose=True)
        m.add(f"blk.0.{ours}.bias", f"{layer}.{hub}.bias", shape[:1], T.F32)
    m.finish()


# Where the float16 factors of a block are.
FACTORS = {
    T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q2_K: [80, 82], T.Q3_K: [108],
    T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0], T.MXFP4: [],
}  # fmt: skip


def types():
    """Blocks of random bytes, so that every bit matters, with their values."""
    random = np.random.default_rng(7)
    tensors = {}
    for kind, factors in FACTORS.items():
        block, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (2 if block == 256 else 6, size), dtype=np.uint8)
        for at in factors:
            numbers = random.standard_normal(len(blocks)) * 10.0 ** random.integers(-6, 2, len(blocks))
            blocks[:, at : at + 2] = numbers.astype("<f2").view(np.uint8).reshape(-1, 2)
        if kind == T.MXFP4:
            # No denormal floats: onnxruntime lets the thread count them as 0.
            blocks[:, 0] = [2, 3, 100, 127, 130, 250]
        tensors[f"{kind.name}.bytes"] = blocks
        tensors[f"{kind.name}.values"] = quants.dequantize(blocks, kind)
    save(OUT / "gguf-types.safetensors", tensors)


llama()
gpt2()
types()
