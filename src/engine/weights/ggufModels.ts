/** Supported GGUF architectures: config.json from the metadata, and the Hugging Face name of each tensor. */

import { EngineError } from "../errors";
import type { Gguf } from "./gguf";
import { damaged, quoted } from "./reading";

/** How a tensor is stored on the Hub. */
export interface HubTensor {
  readonly name: string;
  /** Rows per head, if the file interleaves the two halves of each head (the Hub stores one half after the other). */
  readonly headRows?: number | undefined;
  /** True if the Hub stores the matrix [in, out]. */
  readonly transpose?: boolean | undefined;
}

export interface GgufModel {
  readonly config: Readonly<Record<string, unknown>>;
  /** Maps a tensor's name in the file; null if the tensor is dropped. */
  readonly hubTensor: (name: string) => HubTensor | null;
}

/** Facts that follow from the values of tensors. */
export interface TensorFacts {
  /** The head is missing or equals the embedding. */
  readonly isTied: boolean;
  /** Factors on the wavelengths of the rotary positions, if the file has them. */
  readonly ropeFactors: Float32Array | null;
}

export const OUTPUT = "output.weight";
export const EMBEDDING = "token_embd.weight";
export const ROPE_FACTORS = "rope_freqs.weight";

export function ggufModel(path: string, gguf: Gguf, facts: TensorFacts): GgufModel {
  const metadata = new Metadata(path, gguf, facts);
  const architecture = metadata.text("general.architecture");
  const make = Object.hasOwn(MODELS, architecture) ? MODELS[architecture] : undefined;
  if (!make) {
    throw new EngineError(
      "config",
      `${path}: the GGUF architecture ${quoted(architecture)} is not supported (only ${Object.keys(MODELS).join(" and ")}). Import the original model instead.`,
    );
  }
  return make(metadata);
}

const MODELS: Readonly<Record<string, (metadata: Metadata) => GgufModel>> = { llama, gpt2 };

/** Larger than any dimension of a model, and small enough that products are exact. */
const LARGEST = 2 ** 24;

/** Typed access to the metadata of a file. */
class Metadata {
  constructor(
    readonly path: string,
    readonly gguf: Gguf,
    readonly facts: TensorFacts,
  ) {}

  text(key: string): string {
    const value = this.gguf.values.get(key);
    if (typeof value !== "string") throw this.wrong(key, "a string");
    return value;
  }

  number(key: string, fallback?: number): number {
    const value = this.gguf.values.get(key) ?? fallback;
    if (typeof value !== "number" || !Number.isFinite(value)) throw this.wrong(key, "a number");
    return value;
  }

  count(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (!Number.isInteger(value) || value < 1 || value > LARGEST)
      throw this.wrong(key, `a number from 1 to ${LARGEST}`);
    return value;
  }

  /** Number of rows of the embedding. */
  vocabSize(): number {
    const shape = this.gguf.tensors.get(EMBEDDING)?.shape;
    if (shape?.length !== 2) throw damaged(this.path, 'the matrix "token_embd.weight" is missing');
    return shape[0] as number;
  }

  has(tensor: string): boolean {
    return this.gguf.tensors.has(tensor);
  }

  specialTokens(): object {
    const { values } = this.gguf;
    const id = (key: string) => (typeof values.get(key) === "number" ? values.get(key) : null);
    return { bos_token_id: id("tokenizer.ggml.bos_token_id"), eos_token_id: id("tokenizer.ggml.eos_token_id") };
  }

  wrong(key: string, expected: string): EngineError {
    const value = this.gguf.values.get(key);
    const got = typeof value === "object" ? "a list" : typeof value === "string" ? quoted(value) : String(value);
    return damaged(this.path, `${quoted(key)} must be ${expected}, got ${got}`);
  }

  /** Looks a name up in a table of patterns in which `{}` stands for the layer. */
  hubName(names: Readonly<Record<string, string>>, name: string): string {
    const [, layer = "", rest = name] = /^blk\.(\d{1,4})\.(.+)$/.exec(name) ?? [];
    const pattern = layer ? `blk.{}.${rest}` : name;
    if (!Object.hasOwn(names, pattern)) {
      const architecture = this.text("general.architecture");
      throw new EngineError(
        "weights",
        `${this.path}: the tensor ${quoted(name)} is not part of a supported ${architecture} model. Import the original model instead.`,
      );
    }
    return (names[pattern] as string).replace("{}", layer);
  }
}

/** Norms have no bias; each matrix may have one. */
const LLAMA_NAMES: Readonly<Record<string, string>> = {
  [EMBEDDING]: "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  [OUTPUT]: "lm_head.weight",
  "blk.{}.attn_norm.weight": "model.layers.{}.input_layernorm.weight",
  "blk.{}.ffn_norm.weight": "model.layers.{}.post_attention_layernorm.weight",
  ...Object.fromEntries(
    ["weight", "bias"].flatMap((part) => [
      [`blk.{}.attn_q.${part}`, `model.layers.{}.self_attn.q_proj.${part}`],
      [`blk.{}.attn_k.${part}`, `model.layers.{}.self_attn.k_proj.${part}`],
      [`blk.{}.attn_v.${part}`, `model.layers.{}.self_attn.v_proj.${part}`],
      [`blk.{}.attn_output.${part}`, `model.layers.{}.self_attn.o_proj.${part}`],
      [`blk.{}.ffn_gate.${part}`, `model.layers.{}.mlp.gate_proj.${part}`],
      [`blk.{}.ffn_up.${part}`, `model.layers.{}.mlp.up_proj.${part}`],
      [`blk.{}.ffn_down.${part}`, `model.layers.{}.mlp.down_proj.${part}`],
    ]),
  ),
};

function llama(metadata: Metadata): GgufModel {
  const hidden = metadata.count("llama.embedding_length");
  const heads = metadata.count("llama.attention.head_count");
  const headDim = metadata.count("llama.attention.key_length", hidden / heads);
  for (const key of ["llama.rope.dimension_count", "llama.attention.value_length"])
    if (metadata.count(key, headDim) !== headDim) throw metadata.wrong(key, `the head size ${headDim}`);
  return {
    config: {
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      hidden_size: hidden,
      intermediate_size: metadata.count("llama.feed_forward_length"),
      num_hidden_layers: metadata.count("llama.block_count"),
      num_attention_heads: heads,
      num_key_value_heads: metadata.count("llama.attention.head_count_kv", heads),
      head_dim: headDim,
      vocab_size: metadata.vocabSize(),
      max_position_embeddings: metadata.count("llama.context_length"),
      rms_norm_eps: metadata.number("llama.attention.layer_norm_rms_epsilon"),
      rope_theta: metadata.number("llama.rope.freq_base", 10000),
      rope_scaling: ropeScaling(metadata, headDim),
      hidden_act: "silu",
      attention_bias: metadata.has("blk.0.attn_q.bias"),
      mlp_bias: metadata.has("blk.0.ffn_up.bias"),
      tie_word_embeddings: metadata.facts.isTied,
      ...metadata.specialTokens(),
    },
    hubTensor: (name) => {
      // The rotary factors are part of the configuration already.
      if (name === ROPE_FACTORS || (name === OUTPUT && metadata.facts.isTied)) return null;
      const isRotated = /^blk\.\d+\.attn_[qk]\./.test(name);
      return { name: metadata.hubName(LLAMA_NAMES, name), headRows: isRotated ? headDim : undefined };
    },
  };
}

function ropeScaling(metadata: Metadata, headDim: number): object | null {
  const { ropeFactors } = metadata.facts;
  if (ropeFactors) return llama3Scaling(metadata, headDim, ropeFactors);
  const { values } = metadata.gguf;
  const type = values.get("llama.rope.scaling.type") ?? "none";
  if (type === "none") return null;
  const factor = metadata.number("llama.rope.scaling.factor");
  if (type === "linear") return { rope_type: "linear", factor };
  if (type === "yarn") {
    const original = metadata.count("llama.rope.scaling.original_context_length");
    return { rope_type: "yarn", factor, original_max_position_embeddings: original };
  }
  throw metadata.wrong("llama.rope.scaling.type", "none, linear or yarn");
}

/** Values that all Llama 3 models share; the factor comes from the file. */
const LLAMA3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/** Llama 3's scaling is stored as one factor per frequency. Recovers the parameters that the factors were made from. */
function llama3Scaling(metadata: Metadata, headDim: number, factors: Float32Array): object {
  const factor = factors.reduce((a, b) => Math.max(a, b), 0);
  const base = metadata.number("llama.rope.freq_base", 10000);
  const isLlama3 = factors.length === headDim / 2 && factors.every((f, i) => Math.abs(f - expected(i)) < 1e-3 * factor);
  if (isLlama3) return { rope_type: "llama3", factor, ...LLAMA3 };
  throw new EngineError(
    "config",
    `${metadata.path}: its scaling of rotary positions is not supported (only Llama 3's is). Import the original model instead.`,
  );

  function expected(i: number): number {
    const { low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = LLAMA3;
    const wavelength = 2 * Math.PI * base ** ((2 * i) / headDim);
    const smooth = Math.min(1, Math.max(0, (original / wavelength - low) / (high - low)));
    return 1 / ((1 - smooth) / factor + smooth);
  }
}

const GPT2_NAMES: Readonly<Record<string, string>> = {
  [EMBEDDING]: "transformer.wte.weight",
  "position_embd.weight": "transformer.wpe.weight",
  [OUTPUT]: "lm_head.weight",
  ...Object.fromEntries(
    ["weight", "bias"].flatMap((part) => [
      [`output_norm.${part}`, `transformer.ln_f.${part}`],
      [`blk.{}.attn_norm.${part}`, `transformer.h.{}.ln_1.${part}`],
      [`blk.{}.ffn_norm.${part}`, `transformer.h.{}.ln_2.${part}`],
      [`blk.{}.attn_qkv.${part}`, `transformer.h.{}.attn.c_attn.${part}`],
      [`blk.{}.attn_output.${part}`, `transformer.h.{}.attn.c_proj.${part}`],
      [`blk.{}.ffn_up.${part}`, `transformer.h.{}.mlp.c_fc.${part}`],
      [`blk.{}.ffn_down.${part}`, `transformer.h.{}.mlp.c_proj.${part}`],
    ]),
  ),
};

function gpt2(metadata: Metadata): GgufModel {
  return {
    config: {
      architectures: ["GPT2LMHeadModel"],
      model_type: "gpt2",
      n_embd: metadata.count("gpt2.embedding_length"),
      n_inner: metadata.count("gpt2.feed_forward_length"),
      n_layer: metadata.count("gpt2.block_count"),
      n_head: metadata.count("gpt2.attention.head_count"),
      n_positions: metadata.count("gpt2.context_length"),
      vocab_size: metadata.vocabSize(),
      layer_norm_epsilon: metadata.number("gpt2.attention.layer_norm_epsilon"),
      activation_function: "gelu_new",
      tie_word_embeddings: metadata.facts.isTied,
      ...metadata.specialTokens(),
    },
    hubTensor: (name) =>
      name === OUTPUT && metadata.facts.isTied
        ? null
        : {
            name: metadata.hubName(GPT2_NAMES, name),
            transpose: /\.(attn_qkv|attn_output|ffn_up|ffn_down)\.weight$/.test(name),
          },
  };
}
