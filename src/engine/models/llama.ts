/** Llama (Touvron et al., 2023), and the parts that families based on it share. */

import { type DecoderConfig, PLAIN, type Rotary } from "../nn/config";
import { activationOf, type Fields, type RotaryDefaults, rotaryOf } from "./config";
import { defineFamily, type FamilySpec } from "./family";

export interface LlamaDefaults extends RotaryDefaults {
  readonly vocabSize: number;
  readonly nLayers: number;
  readonly nHeads: number;
  /** Null: nHeads. */
  readonly nKvHeads: number | null;
  readonly dModel: number;
  /** Null: dModel / nHeads. */
  readonly dHead: number | null;
  readonly dMlp: number;
  readonly normEps: number;
  readonly tiedHead: boolean;
}

const LLAMA: LlamaDefaults = {
  vocabSize: 32000,
  nCtx: 2048,
  nLayers: 32,
  nHeads: 32,
  nKvHeads: null,
  dModel: 4096,
  dHead: null,
  dMlp: 11008,
  normEps: 1e-6,
  tiedHead: false,
};

/** Reads a config.json in Llama's format. `overrides` are a family's defaults that differ from Llama's. */
export function llamaConfig(
  hf: Fields,
  overrides: Partial<LlamaDefaults> = {},
): DecoderConfig & { readonly positions: Rotary } {
  const defaults = { ...LLAMA, ...overrides };
  const [dModel, nHeads] = [hf.count("hidden_size", defaults.dModel), hf.count("num_attention_heads", defaults.nHeads)];
  const dHead = hf.countOrNull("head_dim", defaults.dHead) ?? dModel / nHeads;
  return {
    ...PLAIN,
    vocabSize: hf.count("vocab_size", defaults.vocabSize),
    nLayers: hf.layerCount("num_hidden_layers", defaults.nLayers),
    nHeads,
    nKvHeads: hf.countOrNull("num_key_value_heads", defaults.nKvHeads) ?? nHeads,
    dModel,
    dHead,
    dMlp: hf.count("intermediate_size", defaults.dMlp),
    dEmbed: dModel,
    weightLayout: "outIn",
    qkv: "separate",
    ...rotaryOf(hf, dHead, defaults),
    norm: "pre",
    normKind: "rms",
    normEps: hf.number("rms_norm_eps", defaults.normEps, [0, 1]),
    normScale: true,
    normBias: false,
    finalNorm: true,
    activation: activationOf(hf, "hidden_act", "silu"),
    gatedMlp: true,
    attentionBias: false,
    outBias: false,
    mlpBias: false,
    attentionScale: 1 / Math.sqrt(dHead),
    tiedHead: hf.flag("tie_word_embeddings", defaults.tiedHead),
    headBias: false,
  };
}

/** Biases of q, k, v and o according to `attention_bias`. */
export function attentionBiases(hf: Fields): Pick<DecoderConfig, "attentionBias" | "outBias"> {
  const bias = hf.flag("attention_bias", false);
  return { attentionBias: bias, outBias: bias };
}

export const llamaAttentionNames = {
  "blocks.{l}.q": "layers.{l}.self_attn.q_proj",
  "blocks.{l}.k": "layers.{l}.self_attn.k_proj",
  "blocks.{l}.v": "layers.{l}.self_attn.v_proj",
  "blocks.{l}.o": "layers.{l}.self_attn.o_proj",
} as const;

/** Norms on q and k, in the families that have them. */
export const qkNormNames = {
  "blocks.{l}.lnQ": "layers.{l}.self_attn.q_norm",
  "blocks.{l}.lnK": "layers.{l}.self_attn.k_norm",
} as const;

export const llamaMlpNames = {
  "blocks.{l}.gate": "layers.{l}.mlp.gate_proj",
  "blocks.{l}.fc": "layers.{l}.mlp.up_proj",
  "blocks.{l}.proj": "layers.{l}.mlp.down_proj",
  "blocks.{l}.activation": "layers.{l}.mlp.act_fn",
} as const;

export const llamaNormNames = {
  "blocks.{l}.ln1": "layers.{l}.input_layernorm",
  "blocks.{l}.ln2": "layers.{l}.post_attention_layernorm",
} as const;

/** Modules before and after the blocks. */
export const llamaEnds = {
  first: { "embed.tokens": "embed_tokens" },
  last: { lnFinal: "norm", rotary: "rotary_emb", head: "lm_head" },
} as const;

export const llamaParts = {
  prefix: "model.",
  otherPrefixes: [""],
  names: { ...llamaEnds.first, ...llamaAttentionNames, ...llamaMlpNames, ...llamaNormNames, ...llamaEnds.last },
  buffers: { "layers.{l}.self_attn.rotary_emb.inv_freq": "the rotary frequencies, which follow from config.json" },
  classes: { model: "Model", layers: "ModuleList", "{l}": "DecoderLayer", self_attn: "Attention", mlp: "MLP" },
  paddingId: null,
} satisfies Partial<FamilySpec>;

export const llama = defineFamily({
  ...llamaParts,
  modelType: "llama",
  className: "Llama",
  config: (hf) => ({
    ...llamaConfig(hf),
    ...attentionBiases(hf),
    mlpBias: hf.flag("mlp_bias", false),
  }),
});
