/** The architectures that GGUF files are read of: config.json from the metadata, and the tensors' names on the hub. */

import { EngineError } from "../errors";
import type { Gguf } from "./gguf";
import { damaged, quoted } from "./reading";

/** How a tensor differs from the hub's. */
export interface HubTensor {
  readonly name: string;
  /** The hub has its halves of each head one after the other, the file has them interleaved: so many rows are a head. */
  readonly headRows?: number | undefined;
  /** The hub has inputs first. */
  readonly transpose?: boolean | undefined;
}

export interface GgufModel {
  readonly config: Readonly<Record<string, unknown>>;
  /** By the name in the file; null where the tensor is not taken over. */
  readonly hubTensor: (name: string) => HubTensor | null;
}

/** What is told by tensors' values. */
export interface Found {
  /** The head is the embedding, or there is none. */
  readonly isTied: boolean;
  /** What the rotation's wavelengths are multiplied by, where the file says so. */
  readonly ropeFactors: Float32Array | null;
}

export const OUTPUT = "output.weight";
export const EMBEDDING = "token_embd.weight";
export const ROPE_FACTORS = "rope_freqs.weight";

/** The model of a file. */
export function ggufModel(path: string, gguf: Gguf, found: Found): GgufModel {
  const metadata = new Metadata(path, gguf, found);
  const architecture = metadata.text("general.architecture");
  const make = Object.hasOwn(MODELS, architecture) ? MODELS[architecture] : undefined;
  if (!make) {
    throw new EngineError(
      "config",
      `${path}: GGUF files of the architecture ${quoted(architecture)} are not supported, only of ${Object.keys(MODELS).join(" and ")}; import the model's original folder.`,
    );
  }
  return make(metadata);
}

const MODELS: Readonly<Record<string, (metadata: Metadata) => GgufModel>> = { llama, gpt2 };

/** Larger than anything in a model, and small enough that products are exact. */
const LARGEST = 2 ** 24;

/** Typed access to a file's values. */
class Metadata {
  constructor(
    readonly path: string,
    readonly gguf: Gguf,
    readonly found: Found,
  ) {}

  text(key: string): string {
    const value = this.gguf.values.get(key);
    if (typeof value !== "string") throw this.wrong(key, "a text");
    return value;
  }

  number(key: string, otherwise?: number): number {
    const value = this.gguf.values.get(key) ?? otherwise;
    if (typeof value !== "number" || !Number.isFinite(value)) throw this.wrong(key, "a number");
    return value;
  }

  count(key: string, otherwise?: number): number {
    const value = this.number(key, otherwise);
    if (!Number.isInteger(value) || value < 1 || value > LARGEST)
      throw this.wrong(key, `a number from 1 to ${LARGEST}`);
    return value;
  }

  /** As many as the embedding has rows. */
  vocabSize(): number {
    const shape = this.gguf.tensors.get(EMBEDDING)?.shape;
    if (shape?.length !== 2) throw damaged(this.path, 'it has no matrix "token_embd.weight"');
    return shape[0] as number;
  }

  has(tensor: string): boolean {
    return this.gguf.tensors.has(tensor);
  }

  /** The ids that generation starts and ends with. */
  ends(): object {
    const { values } = this.gguf;
    const id = (key: string) => (typeof values.get(key) === "number" ? values.get(key) : null);
    return { bos_token_id: id("tokenizer.ggml.bos_token_id"), eos_token_id: id("tokenizer.ggml.eos_token_id") };
  }

  wrong(key: string, expected: string): EngineError {
    const value = this.gguf.values.get(key);
    const got = typeof value === "object" ? "a list" : typeof value === "string" ? quoted(value) : String(value);
    return damaged(this.path, `its ${quoted(key)} should be ${expected} and is ${got}`);
  }

  /** Hub names by the patterns of a table, where `{}` stands for the layer. */
  hubName(names: Readonly<Record<string, string>>, name: string): string {
    const [, layer = "", rest = name] = /^blk\.(\d{1,4})\.(.+)$/.exec(name) ?? [];
    const pattern = layer ? `blk.{}.${rest}` : name;
    if (!Object.hasOwn(names, pattern)) {
      const architecture = this.text("general.architecture");
      throw new EngineError(
        "weights",
        `${this.path} has the tensor ${quoted(name)}, which is not part of the ${architecture} models that are supported; import the model's original folder.`,
      );
    }
    return (names[pattern] as string).replace("{}", layer);
  }
}

/** Norms have only weights; each matrix may have a bias. */
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
    if (metadata.count(key, headDim) !== headDim) throw metadata.wrong(key, `the ${headDim} numbers of a head`);
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
      tie_word_embeddings: metadata.found.isTied,
      ...metadata.ends(),
    },
    hubTensor: (name) => {
      // What scales the rotation has gone into the configuration.
      if (name === ROPE_FACTORS || (name === OUTPUT && metadata.found.isTied)) return null;
      const isRotated = /^blk\.\d+\.attn_[qk]\./.test(name);
      return { name: metadata.hubName(LLAMA_NAMES, name), headRows: isRotated ? headDim : undefined };
    },
  };
}

function ropeScaling(metadata: Metadata, headDim: number): object | null {
  const { ropeFactors } = metadata.found;
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

/** The values that every Llama 3 has; the factor is the file's. */
const LLAMA3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/** What Llama 3's scaling is in a file: one factor for each frequency, here told by what made them. */
function llama3Scaling(metadata: Metadata, headDim: number, factors: Float32Array): object {
  const factor = factors.reduce((a, b) => Math.max(a, b), 0);
  const base = metadata.number("llama.rope.freq_base", 10000);
  const isLlama3 = factors.length === headDim / 2 && factors.every((f, i) => Math.abs(f - expected(i)) < 1e-3 * factor);
  if (isLlama3) return { rope_type: "llama3", factor, ...LLAMA3 };
  throw new EngineError(
    "config",
    `${metadata.path} scales its positions in a way that is not Llama 3's and not supported; import the model's original folder.`,
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
      tie_word_embeddings: metadata.found.isTied,
      ...metadata.ends(),
    },
    hubTensor: (name) =>
      name === OUTPUT && metadata.found.isTied
        ? null
        : {
            name: metadata.hubName(GPT2_NAMES, name),
            transpose: /\.(attn_qkv|attn_output|ffn_up|ffn_down)\.weight$/.test(name),
          },
  };
}
