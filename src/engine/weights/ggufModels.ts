/** Supported GGUF architectures: config.json from the metadata, and the Hugging Face name of each tensor. */

import { EngineError } from "../errors";
import type { Gguf } from "./gguf";
import { readVocabulary, type Vocabulary } from "./ggufVocabulary";
import { damaged, quoted, shown } from "./reading";

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
  /** Maps a tensor's name in the file; null if the tensor is not needed. */
  readonly hubTensor: (name: string) => HubTensor | null;
  /** Says why the model does not use a tensor; null if it does. */
  readonly ignoredTensor: (name: string) => string | null;
  readonly vocabulary: Vocabulary;
}

/** Facts that follow from the values of tensors. */
export interface TensorFacts {
  /** The head is missing or equals the embedding. */
  readonly isTied: boolean;
  /** Factors on the wavelengths of the rotary positions, by tensor. */
  readonly ropeFactors: ReadonlyMap<string, Float32Array>;
}

export const OUTPUT = "output.weight";
export const EMBEDDING = "token_embd.weight";
const ROPE_FACTORS = "rope_freqs.weight";
const ROPE_FACTORS_LONG = "rope_factors_long.weight";
const ROPE_FACTORS_SHORT = "rope_factors_short.weight";
/** Tensors that become part of the configuration. */
export const ALL_ROPE_FACTORS: readonly string[] = [ROPE_FACTORS, ROPE_FACTORS_LONG, ROPE_FACTORS_SHORT];

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
  const layers = metadata.count(`${architecture}.block_count`);
  return {
    ...make(metadata),
    vocabulary: metadata.vocabulary,
    ignoredTensor: (name) => {
      const [, layer, rest = name] = /^blk\.(\d{1,4})\.(.+)$/.exec(name) ?? [];
      if (layer && Number(layer) >= layers) return `the model has ${layers} layers`;
      return ROTARY.includes(rest) ? "rotary frequencies follow from the metadata" : null;
    },
  };
}

/** Tensors that llama.cpp does not use either. */
const ROTARY = ["attn_rot_embd.weight", "attn_rot_embd"];

type Mapping = Pick<GgufModel, "config" | "hubTensor">;
const MODELS: Readonly<Record<string, (metadata: Metadata) => Mapping>> = { llama, gpt2 };

/** Larger than any dimension of a model, and small enough that products are exact. */
const LARGEST = 2 ** 24;

/** Typed access to the metadata of a file. */
class Metadata {
  #vocabulary: Vocabulary | undefined;

  constructor(
    readonly path: string,
    readonly gguf: Gguf,
    readonly facts: TensorFacts,
  ) {}

  get vocabulary(): Vocabulary {
    this.#vocabulary ??= readVocabulary(this.path, this.gguf);
    return this.#vocabulary;
  }

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

  /** A factor from 0. */
  factor(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (value < 0 || value > 1e6) throw this.wrong(key, "a number from 0 to 1000000");
    return value;
  }

  /** The factors of a tensor, one for each of `count` frequencies; null if there is none. */
  ropeFactors(tensor: string, count: number): readonly number[] | null {
    const factors = this.facts.ropeFactors.get(tensor);
    if (!factors) return null;
    if (factors.length === count && factors.every((factor) => factor > 0 && factor <= 1e6)) return [...factors];
    throw this.unsupportedScaling(`${tensor} must have ${count} factors above 0`);
  }

  unsupportedScaling(why: string): EngineError {
    return new EngineError(
      "config",
      `${this.path}: its scaling of rotary positions is not supported: ${why}. Import the original model instead.`,
    );
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
    const { bos, eos } = this.vocabulary.ids;
    return { bos_token_id: bos ?? null, eos_token_id: eos ?? null };
  }

  wrong(key: string, expected: string): EngineError {
    const value = this.gguf.values.get(key);
    const got = value === undefined ? "is missing" : typeof value === "object" ? "is a list" : `is ${shown(value)}`;
    return damaged(this.path, `${quoted(key)} must be ${expected}, but ${got}`);
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

function llama(metadata: Metadata): Mapping {
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
      if (ALL_ROPE_FACTORS.includes(name) || (name === OUTPUT && metadata.facts.isTied)) return null;
      const isRotated = /^blk\.\d+\.attn_[qk]\./.test(name);
      return { name: metadata.hubName(LLAMA_NAMES, name), headRows: isRotated ? headDim : undefined };
    },
  };
}

/** Scaling of the rotary positions, with the defaults of llama.cpp. */
function ropeScaling(metadata: Metadata, headDim: number): object | null {
  const key = (name: string) => `llama.rope.scaling.${name}`;
  const has = (name: string) => metadata.gguf.values.has(name);
  const type = has(key("type")) ? metadata.text(key("type")) : "linear";
  // Files of 2023 have the older key.
  const oldKey = !has(key("factor")) && has("llama.rope.scale_linear");
  const isNamed = has(key("type")) && (type === "linear" || type === "yarn");
  // 0 stands for no scaling.
  const scale = metadata.factor(oldKey ? "llama.rope.scale_linear" : key("factor"), isNamed ? undefined : 0) || 1;
  const attention = metadata.factor(key("attn_factor"), 1) || 1;
  const context = metadata.count("llama.context_length");
  const original = metadata.count(key("original_context_length"), context);
  const factors = (name: string) => metadata.ropeFactors(name, headDim / 2);
  /** Any factor for each frequency, as longrope with the same factors for every length. */
  const each = (short: readonly number[], long = short) => ({
    rope_type: "longrope",
    short_factor: short,
    long_factor: long,
    original_max_position_embeddings: original,
    attention_factor: attention,
  });

  switch (type) {
    case "none":
    case "linear": {
      const linear = type === "linear" ? scale : 1;
      const ofFrequencies = factors(ROPE_FACTORS);
      if (ofFrequencies) {
        const llama3 = linear === 1 && attention === 1 ? llama3Scaling(metadata, headDim, ofFrequencies) : null;
        return llama3 ?? each(ofFrequencies.map((factor) => factor * linear));
      }
      if (attention !== 1) return each(Array.from({ length: headDim / 2 }, () => linear));
      return linear === 1 ? null : { rope_type: "linear", factor: linear };
    }
    case "yarn": {
      if (factors(ROPE_FACTORS)) throw metadata.unsupportedScaling(`${ROPE_FACTORS} and yarn exclude each other`);
      const optional = (name: string, from: string) => has(key(from)) && { [name]: metadata.factor(key(from)) };
      return {
        rope_type: "yarn",
        factor: scale,
        original_max_position_embeddings: original,
        ...optional("beta_fast", "yarn_beta_fast"),
        ...optional("beta_slow", "yarn_beta_slow"),
        ...(attention !== 1 && { attention_factor: attention * (1 + 0.1 * Math.log(Math.max(1, scale))) }),
      };
    }
    case "longrope": {
      const [short, long] = [factors(ROPE_FACTORS_SHORT), factors(ROPE_FACTORS_LONG)];
      if (short && long) return each(short, long);
      throw metadata.unsupportedScaling(`longrope needs ${ROPE_FACTORS_SHORT} and ${ROPE_FACTORS_LONG}`);
    }
    default:
      throw metadata.wrong(key("type"), "none, linear, yarn or longrope");
  }
}

/** Values that all Llama 3 models share; the factor comes from the file. */
const LLAMA3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/**
 * Llama 3's scaling is stored as one factor per frequency. Recovers the parameters that the factors were made from; null
 * if they are others.
 */
function llama3Scaling(metadata: Metadata, headDim: number, factors: readonly number[]): object | null {
  const factor = factors.reduce((a, b) => Math.max(a, b), 0);
  const base = metadata.number("llama.rope.freq_base", 10000);
  const isLlama3 = factors.every((f, i) => Math.abs(f - expected(i)) < 1e-3 * factor);
  return isLlama3 ? { rope_type: "llama3", factor, ...LLAMA3 } : null;

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

function gpt2(metadata: Metadata): Mapping {
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
