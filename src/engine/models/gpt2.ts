/** GPT-2 (Radford et al., 2019) and models trained with its code. */

import { type Activation, type DecoderConfig, PLAIN } from "../nn/config";
import { activationOf, type Fields } from "./config";
import { defineFamily, type FamilySpec } from "./family";

/** Reads a config.json in GPT-2's format, of a model with matrices stored [out, in]. */
export function gpt2Decoder(hf: Fields, activation: string): DecoderConfig {
  const [dModel, nHeads] = [hf.count("n_embd", 768), hf.count("n_head", 12)];
  const dHead = dModel / nHeads;
  return {
    ...PLAIN,
    vocabSize: hf.count("vocab_size", 50257),
    nCtx: hf.count("n_positions", 1024),
    nLayers: hf.layerCount("n_layer", 12),
    nHeads,
    nKvHeads: nHeads,
    dModel,
    dHead,
    dMlp: hf.countOrNull("n_inner", null) ?? 4 * dModel,
    dEmbed: dModel,
    weightLayout: "outIn",
    qkv: "fused",
    positions: { kind: "learned", offset: 0 },
    norm: "pre",
    normKind: "layer",
    normEps: hf.number("layer_norm_epsilon", 1e-5, [0, 1]),
    normScale: true,
    normBias: true,
    finalNorm: true,
    activation: activationOf(hf, "activation_function", activation),
    gatedMlp: false,
    attentionBias: true,
    outBias: true,
    mlpBias: true,
    attentionScale: hf.flag("scale_attn_weights", true) ? 1 / Math.sqrt(dHead) : 1,
    tiedHead: hf.flag("tie_word_embeddings", true),
    headBias: false,
  };
}

export const gpt2Parts = {
  prefix: "transformer.",
  otherPrefixes: [""],
  names: {
    "embed.tokens": "wte",
    "embed.positions": "wpe",
    "blocks.{l}.ln1": "h.{l}.ln_1",
    "blocks.{l}.qkv": "h.{l}.attn.c_attn",
    "blocks.{l}.o": "h.{l}.attn.c_proj",
    "blocks.{l}.ln2": "h.{l}.ln_2",
    "blocks.{l}.fc": "h.{l}.mlp.c_fc",
    "blocks.{l}.proj": "h.{l}.mlp.c_proj",
    "blocks.{l}.activation": "h.{l}.mlp.act",
    lnFinal: "ln_f",
    head: "lm_head",
  },
  buffers: {
    "h.{l}.attn.bias": "the causal mask",
    "h.{l}.attn.masked_bias": "the score of masked positions",
  },
  classes: { transformer: "Model", h: "ModuleList", "{l}": "Block", attn: "Attention", mlp: "MLP" },
} satisfies Partial<FamilySpec>;

// Matrices are stored [in, out] ("Conv1D"), with queries, keys and values in one matrix.
export const gpt2 = defineFamily({
  ...gpt2Parts,
  modelType: "gpt2",
  className: "GPT2",
  architecture: "GPT2LMHeadModel",
  matrixClass: "Conv1D",
  config(hf) {
    const cfg = gpt2Decoder(hf, "gelu_new");
    return {
      ...cfg,
      weightLayout: "inOut",
      scaleByLayer: hf.flag("scale_attn_by_inverse_layer_idx", false),
      ...(!cfg.tiedHead && { headLayout: "outIn" }),
    };
  },
});

/** Names of the activations in transformers, whose "gelu" is the exact one. */
export const ACTIVATIONS: Readonly<Record<Activation, string>> = {
  relu: "relu",
  gelu: "gelu",
  geluTanh: "gelu_new",
  silu: "silu",
};

/** config.json of a GPT-2 that is equivalent to a decoder. */
export const gpt2Config = (cfg: DecoderConfig) => ({
  model_type: gpt2.modelType,
  architectures: [gpt2.architecture],
  vocab_size: cfg.vocabSize,
  n_positions: cfg.nCtx,
  n_embd: cfg.dModel,
  n_layer: cfg.nLayers,
  n_head: cfg.nHeads,
  n_inner: cfg.dMlp,
  activation_function: ACTIVATIONS[cfg.activation],
  layer_norm_epsilon: cfg.normEps,
});

/** Returns the decoder in GPT-2's layout (fused q, k and v) if GPT-2 can express it, otherwise unchanged. */
export function asGpt2(cfg: DecoderConfig): DecoderConfig {
  const isGpt2 =
    cfg.norm === "pre" &&
    cfg.positions.kind === "learned" &&
    cfg.causal &&
    cfg.finalNorm &&
    cfg.normBias &&
    cfg.attentionBias &&
    cfg.mlpBias &&
    cfg.tiedHead &&
    !cfg.headBias;
  return isGpt2 ? gpt2.config(gpt2Config(cfg), "config.json") : cfg;
}
