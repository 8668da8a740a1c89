/**
 * Supported GGUF architectures: their metadata as fields of config.json, and the names of their modules.
 *
 * Names and keys: https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py
 */

import { EMBEDDING, type Metadata, OUTPUT } from "./ggufMetadata";
import { ropeScaling } from "./ggufRope";

export interface Architecture {
  /** Fields of config.json beside those of all models. */
  readonly config: (metadata: Metadata) => Readonly<Record<string, unknown>>;
  /** Names of the modules, from those in the file. `{}` stands for the layer. */
  readonly names: Readonly<Record<string, string>>;
  /** The rows of q and k are interleaved. */
  readonly interleaved?: true;
  /** The Hub stores q, k and v head by head instead of one after the other. */
  readonly qkvByHead?: true;
  /** Norms are stored as the factor itself, which the Hub stores less 1. */
  readonly shiftedNorms?: true;
  /** Matrices that the Hub stores [in, out]. */
  readonly transposed?: RegExp;
}

export const headSize = (metadata: Metadata): number =>
  metadata.count("attention.key_length", metadata.count("embedding_length") / metadata.count("attention.head_count"));

/** The fields of config.json that Llama and its descendants share. */
const llamaFields = (metadata: Metadata, className: string, modelType: string) => ({
  ...rotaryFields(metadata, className, modelType),
  rms_norm_eps: metadata.number("attention.layer_norm_rms_epsilon"),
});

/** The same without the epsilon of the norms. */
function rotaryFields(metadata: Metadata, className: string, modelType: string) {
  const headDim = headSize(metadata);
  if (metadata.count("attention.value_length", headDim) !== headDim)
    throw metadata.wrong("attention.value_length", `the head size ${headDim}`);
  const heads = metadata.count("attention.head_count");
  return {
    architectures: [`${className}ForCausalLM`],
    model_type: modelType,
    hidden_size: metadata.count("embedding_length"),
    intermediate_size: metadata.count("feed_forward_length"),
    num_hidden_layers: metadata.layers,
    num_attention_heads: heads,
    num_key_value_heads: metadata.count("attention.head_count_kv", heads),
    head_dim: headDim,
    max_position_embeddings: metadata.count("context_length"),
    rope_theta: metadata.number("rope.freq_base", 10000),
    rope_scaling: ropeScaling(metadata, metadata.count("rope.dimension_count", headDim)),
  };
}

const gpt2Fields = (metadata: Metadata) => ({
  n_embd: metadata.count("embedding_length"),
  n_inner: metadata.count("feed_forward_length"),
  n_layer: metadata.layers,
  n_head: metadata.count("attention.head_count"),
  n_positions: metadata.count("context_length"),
  layer_norm_epsilon: metadata.number("attention.layer_norm_epsilon"),
  activation_function: "gelu_new",
});

/** Rejects a file that rotates only a part of each head. */
function requireWholeHeads(metadata: Metadata): void {
  const headDim = headSize(metadata);
  if (metadata.count("rope.dimension_count", headDim) !== headDim)
    throw metadata.wrong("rope.dimension_count", `the head size ${headDim}`);
}

/** The fraction of each head's dimensions that is rotated. */
const rotatedPart = (metadata: Metadata): number =>
  metadata.count("rope.dimension_count", headSize(metadata)) / headSize(metadata);

/** Biases by the field that enables them. */
const biases = (metadata: Metadata) => ({
  attention_bias: metadata.hasTensor("blk.0.attn_q.bias"),
  mlp_bias: metadata.hasTensor("blk.0.ffn_up.bias"),
});

const LLAMA_NAMES = {
  [moduleOf(EMBEDDING)]: "model.embed_tokens",
  output_norm: "model.norm",
  [moduleOf(OUTPUT)]: "lm_head",
  "blk.{}.attn_norm": "model.layers.{}.input_layernorm",
  "blk.{}.ffn_norm": "model.layers.{}.post_attention_layernorm",
  "blk.{}.attn_q": "model.layers.{}.self_attn.q_proj",
  "blk.{}.attn_k": "model.layers.{}.self_attn.k_proj",
  "blk.{}.attn_v": "model.layers.{}.self_attn.v_proj",
  "blk.{}.attn_output": "model.layers.{}.self_attn.o_proj",
  "blk.{}.ffn_gate": "model.layers.{}.mlp.gate_proj",
  "blk.{}.ffn_up": "model.layers.{}.mlp.up_proj",
  "blk.{}.ffn_down": "model.layers.{}.mlp.down_proj",
};

function moduleOf(tensor: string): string {
  return tensor.replace(/\.weight$/, "");
}

const QK_NORMS = {
  "blk.{}.attn_q_norm": "model.layers.{}.self_attn.q_norm",
  "blk.{}.attn_k_norm": "model.layers.{}.self_attn.k_norm",
};

/** Norms behind both sublayers. */
const OUTPUT_NORMS = {
  "blk.{}.post_attention_norm": "model.layers.{}.post_attention_layernorm",
  "blk.{}.post_ffw_norm": "model.layers.{}.post_feedforward_layernorm",
};

const { "blk.{}.attn_norm": _, "blk.{}.ffn_norm": __, ...WITHOUT_INPUT_NORMS } = LLAMA_NAMES;

const GEMMA2_NAMES = {
  ...LLAMA_NAMES,
  ...OUTPUT_NORMS,
  "blk.{}.ffn_norm": "model.layers.{}.pre_feedforward_layernorm",
};

/** Scores of Gemma's largest model have a scale of their own, which files do not contain. */
const gemmaScalar = (metadata: Metadata, largest: number) =>
  metadata.layers === largest
    ? metadata.count("embedding_length") / metadata.count("attention.head_count")
    : headSize(metadata);

/** `sliding_attention` for the layers with a window: those that the file lists, or all but each `period`-th. */
function layerTypes(metadata: Metadata, period: number): readonly string[] {
  const { layers } = metadata;
  const listed = metadata.flags("attention.sliding_window_pattern", layers);
  const hasWindow = (l: number) => listed?.[l] ?? (l + 1) % period !== 0;
  return Array.from({ length: layers }, (_, l) => (hasWindow(l) ? "sliding_attention" : "full_attention"));
}

const GPT2_NAMES = {
  [moduleOf(EMBEDDING)]: "transformer.wte",
  position_embd: "transformer.wpe",
  [moduleOf(OUTPUT)]: "lm_head",
  output_norm: "transformer.ln_f",
  "blk.{}.attn_norm": "transformer.h.{}.ln_1",
  "blk.{}.ffn_norm": "transformer.h.{}.ln_2",
  "blk.{}.attn_qkv": "transformer.h.{}.attn.c_attn",
  "blk.{}.attn_output": "transformer.h.{}.attn.c_proj",
  "blk.{}.ffn_up": "transformer.h.{}.mlp.c_fc",
  "blk.{}.ffn_down": "transformer.h.{}.mlp.c_proj",
};

export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  gpt2: {
    config: (metadata) => ({ architectures: ["GPT2LMHeadModel"], model_type: "gpt2", ...gpt2Fields(metadata) }),
    names: GPT2_NAMES,
    transposed: /^(attn_qkv|attn_output|ffn_up|ffn_down)$/,
  },
  starcoder: {
    config(metadata) {
      if (metadata.count("attention.head_count_kv", 1) !== 1) throw metadata.wrong("attention.head_count_kv", "1");
      const names = { architectures: ["GPTBigCodeForCausalLM"], model_type: "gpt_bigcode", multi_query: true };
      return { ...names, ...gpt2Fields(metadata) };
    },
    names: GPT2_NAMES,
  },
  gptneox: {
    config: (metadata) => ({
      architectures: ["GPTNeoXForCausalLM"],
      model_type: "gpt_neox",
      hidden_size: metadata.count("embedding_length"),
      intermediate_size: metadata.count("feed_forward_length"),
      num_hidden_layers: metadata.layers,
      num_attention_heads: metadata.count("attention.head_count"),
      max_position_embeddings: metadata.count("context_length"),
      layer_norm_eps: metadata.number("attention.layer_norm_epsilon"),
      rotary_emb_base: metadata.number("rope.freq_base", 10000),
      rotary_pct: rotatedPart(metadata),
      use_parallel_residual: metadata.flag("use_parallel_residual", true),
      hidden_act: "gelu",
    }),
    names: {
      [moduleOf(EMBEDDING)]: "gpt_neox.embed_in",
      [moduleOf(OUTPUT)]: "embed_out",
      output_norm: "gpt_neox.final_layer_norm",
      "blk.{}.attn_norm": "gpt_neox.layers.{}.input_layernorm",
      "blk.{}.ffn_norm": "gpt_neox.layers.{}.post_attention_layernorm",
      "blk.{}.attn_qkv": "gpt_neox.layers.{}.attention.query_key_value",
      "blk.{}.attn_output": "gpt_neox.layers.{}.attention.dense",
      "blk.{}.ffn_up": "gpt_neox.layers.{}.mlp.dense_h_to_4h",
      "blk.{}.ffn_down": "gpt_neox.layers.{}.mlp.dense_4h_to_h",
    },
    qkvByHead: true,
  },
  llama: {
    config(metadata) {
      requireWholeHeads(metadata);
      return { ...llamaFields(metadata, "Llama", "llama"), hidden_act: "silu", ...biases(metadata) };
    },
    names: LLAMA_NAMES,
    interleaved: true,
  },
  qwen2: {
    config(metadata) {
      requireWholeHeads(metadata);
      return { ...llamaFields(metadata, "Qwen2", "qwen2"), use_sliding_window: false };
    },
    names: LLAMA_NAMES,
  },
  qwen3: {
    config(metadata) {
      requireWholeHeads(metadata);
      const { attention_bias } = biases(metadata);
      return { ...llamaFields(metadata, "Qwen3", "qwen3"), attention_bias, use_sliding_window: false };
    },
    names: { ...LLAMA_NAMES, ...QK_NORMS },
  },
  gemma: {
    config(metadata) {
      requireWholeHeads(metadata);
      return { ...llamaFields(metadata, "Gemma", "gemma"), hidden_activation: "gelu_pytorch_tanh" };
    },
    names: LLAMA_NAMES,
    shiftedNorms: true,
  },
  gemma2: {
    config(metadata) {
      requireWholeHeads(metadata);
      return {
        ...llamaFields(metadata, "Gemma2", "gemma2"),
        hidden_activation: "gelu_pytorch_tanh",
        query_pre_attn_scalar: gemmaScalar(metadata, 46),
        attn_logit_softcapping: metadata.factor("attn_logit_softcapping", 50),
        final_logit_softcapping: metadata.factor("final_logit_softcapping", 30),
        sliding_window: metadata.count("attention.sliding_window", 4096),
        layer_types: layerTypes(metadata, 2),
      };
    },
    names: GEMMA2_NAMES,
    shiftedNorms: true,
  },
  gemma3: {
    config(metadata) {
      requireWholeHeads(metadata);
      return {
        ...llamaFields(metadata, "Gemma3", "gemma3_text"),
        // Layers without a window have the base and the scaling of the file.
        rope_theta: metadata.number("rope.freq_base", 1e6),
        rope_local_base_freq: metadata.number("rope.freq_base_swa", 10000),
        hidden_activation: "gelu_pytorch_tanh",
        query_pre_attn_scalar: gemmaScalar(metadata, 62),
        final_logit_softcapping: metadata.factor("final_logit_softcapping", 0) || null,
        sliding_window: metadata.count("attention.sliding_window", 4096),
        layer_types: layerTypes(metadata, 6),
      };
    },
    names: { ...GEMMA2_NAMES, ...QK_NORMS },
    shiftedNorms: true,
  },
  phi3: {
    config(metadata) {
      const window = metadata.has("attention.sliding_window") && metadata.number("attention.sliding_window");
      const original = "rope.scaling.original_context_length";
      return {
        ...llamaFields(metadata, "Phi3", "phi3"),
        hidden_act: "silu",
        partial_rotary_factor: rotatedPart(metadata),
        ...(metadata.has(original) && { original_max_position_embeddings: metadata.count(original) }),
        sliding_window: window ? metadata.count("attention.sliding_window") : null,
      };
    },
    names: {
      ...LLAMA_NAMES,
      "blk.{}.attn_qkv": "model.layers.{}.self_attn.qkv_proj",
      "blk.{}.ffn_up": "model.layers.{}.mlp.gate_up_proj",
    },
  },
  phi2: {
    config: (metadata) => ({
      ...rotaryFields(metadata, "Phi", "phi"),
      hidden_act: "gelu_new",
      layer_norm_eps: metadata.number("attention.layer_norm_epsilon"),
      partial_rotary_factor: rotatedPart(metadata),
    }),
    names: {
      ...LLAMA_NAMES,
      output_norm: "model.final_layernorm",
      "blk.{}.attn_output": "model.layers.{}.self_attn.dense",
      "blk.{}.ffn_up": "model.layers.{}.mlp.fc1",
      "blk.{}.ffn_down": "model.layers.{}.mlp.fc2",
    },
  },
  starcoder2: {
    config(metadata) {
      requireWholeHeads(metadata);
      return {
        ...rotaryFields(metadata, "Starcoder2", "starcoder2"),
        hidden_act: "gelu_pytorch_tanh",
        norm_epsilon: metadata.number("attention.layer_norm_epsilon"),
        use_bias: metadata.hasTensor("blk.0.attn_q.bias"),
        sliding_window: null,
      };
    },
    names: {
      ...LLAMA_NAMES,
      "blk.{}.ffn_up": "model.layers.{}.mlp.c_fc",
      "blk.{}.ffn_down": "model.layers.{}.mlp.c_proj",
    },
  },
  granite: {
    config(metadata) {
      requireWholeHeads(metadata);
      if (!metadata.flag("rope.scaling.finetuned", true))
        throw metadata.unsupported("Granite without rotary positions", "rope.scaling.finetuned is false");
      return {
        ...llamaFields(metadata, "Granite", "granite"),
        hidden_act: "silu",
        ...biases(metadata),
        embedding_multiplier: metadata.factor("embedding_scale", 1) || 1,
        attention_multiplier: metadata.factor("attention.scale", 0) || headSize(metadata) ** -0.5,
        residual_multiplier: metadata.factor("residual_scale", 1) || 1,
        logits_scaling: metadata.factor("logit_scale", 1) || 1,
      };
    },
    names: LLAMA_NAMES,
    interleaved: true,
  },
  olmo2: {
    config(metadata) {
      requireWholeHeads(metadata);
      return metadata.has("attention.sliding_window") ? olmo3Fields(metadata) : llamaFields(metadata, "Olmo2", "olmo2");
    },
    names: { ...WITHOUT_INPUT_NORMS, ...OUTPUT_NORMS, ...QK_NORMS },
  },
  smollm3: {
    config(metadata) {
      requireWholeHeads(metadata);
      return {
        ...llamaFields(metadata, "SmolLM3", "smollm3"),
        hidden_act: "silu",
        ...biases(metadata),
        no_rope_layer_interval: 4,
        use_sliding_window: false,
      };
    },
    names: LLAMA_NAMES,
    interleaved: true,
  },
};

/** OLMo 3 has OLMo 2's architecture in these files. */
function olmo3Fields(metadata: Metadata) {
  const { rope_theta, rope_scaling, ...fields } = llamaFields(metadata, "Olmo3", "olmo3");
  const attention = metadata.factor("rope.scaling.attn_factor", 0);
  return {
    ...fields,
    sliding_window: metadata.count("attention.sliding_window"),
    layer_types: layerTypes(metadata, 4),
    rope_parameters: {
      sliding_attention: { rope_type: "default", rope_theta },
      full_attention: {
        rope_type: "default",
        ...rope_scaling,
        rope_theta,
        // The converter writes the whole factor here, which is a second factor for other architectures.
        ...(rope_scaling && attention > 0 && { attention_factor: attention }),
      },
    },
  };
}
