/** Llama (Touvron et al., 2023), and what the many families that follow it share. */

import { type DecoderConfig, PLAIN, type Rotary } from "../nn/config";
import { activationOf, type Fields, type RotaryDefaults, rotaryOf } from "./config";
import { defineFamily, type FamilySpec } from "./family";

export interface LlamaDefaults extends RotaryDefaults {
  readonly vocabSize: number;
  readonly nLayers: number;
  readonly nHeads: number;
  /** Null: as many as heads of queries. */
  readonly nKvHeads: number | null;
  readonly dModel: number;
  /** Null: heads share dModel. */
  readonly dHead: number | null;
  readonly dMlp: number;
  readonly normEps: number;
  readonly tiedHead: boolean;
}

/** A decoder as Llama's, with what its file leaves out. */
export function llamaConfig(hf: Fields, defaults: LlamaDefaults): DecoderConfig & { readonly positions: Rotary } {
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

/** Biases as `attention_bias` says: of q, k, v and o. */
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

/** Norms of q and k, where a family has them. */
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

/** What surrounds the blocks. */
export const llamaEnds = {
  first: { "embed.tokens": "embed_tokens" },
  last: { lnFinal: "norm", rotary: "rotary_emb", head: "lm_head" },
} as const;

export const llamaParts = {
  prefix: "model.",
  otherPrefixes: [""],
  names: { ...llamaEnds.first, ...llamaAttentionNames, ...llamaMlpNames, ...llamaNormNames, ...llamaEnds.last },
  buffers: { "layers.{l}.self_attn.rotary_emb.inv_freq": "the rotary frequencies, which config.json gives" },
  classes: { model: "Model", layers: "ModuleList", "{l}": "DecoderLayer", self_attn: "Attention", mlp: "MLP" },
  paddingId: null,
} satisfies Partial<FamilySpec>;

export const llama = defineFamily({
  ...llamaParts,
  modelType: "llama",
  className: "Llama",
  config: (hf) => ({
    ...llamaConfig(hf, {
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
    }),
    ...attentionBiases(hf),
    mlpBias: hf.flag("mlp_bias", false),
  }),
});
