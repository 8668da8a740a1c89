/** Phi-1, 1.5 and 2 (Gunasekar et al., 2023): attention and MLP in parallel, with a shared norm. */

import { PLAIN } from "../nn/config";
import { activationOf, rotaryOf } from "./config";
import { defineFamily } from "./family";

export const phi = defineFamily({
  modelType: "phi",
  className: "Phi",
  paddingId: null,

  config(hf) {
    const [dModel, nHeads] = [hf.count("hidden_size", 2048), hf.count("num_attention_heads", 32)];
    const dHead = dModel / nHeads;
    return {
      ...PLAIN,
      vocabSize: hf.count("vocab_size", 51200),
      nLayers: hf.layerCount("num_hidden_layers", 24),
      nHeads,
      nKvHeads: hf.countOrNull("num_key_value_heads", null) ?? nHeads,
      dModel,
      dHead,
      dMlp: hf.count("intermediate_size", 8192),
      dEmbed: dModel,
      weightLayout: "outIn",
      qkv: "separate",
      ...rotaryOf(hf, dHead, { nCtx: 2048, share: 0.5 }),
      norm: "shared",
      normKind: "layer",
      normEps: hf.number("layer_norm_eps", 1e-5, [0, 1]),
      normScale: true,
      normBias: true,
      finalNorm: true,
      qkNorm: hf.flag("qk_layernorm", false) ? "head" : "none",
      activation: activationOf(hf, "hidden_act", "gelu_new"),
      gatedMlp: false,
      attentionBias: true,
      outBias: true,
      mlpBias: true,
      attentionScale: 1 / Math.sqrt(dHead),
      tiedHead: hf.flag("tie_word_embeddings", false),
      headBias: true,
    };
  },

  prefix: "model.",
  otherPrefixes: [""],
  names: {
    "embed.tokens": "embed_tokens",
    "blocks.{l}.q": "layers.{l}.self_attn.q_proj",
    "blocks.{l}.k": "layers.{l}.self_attn.k_proj",
    "blocks.{l}.v": "layers.{l}.self_attn.v_proj",
    "blocks.{l}.o": "layers.{l}.self_attn.dense",
    "blocks.{l}.lnQ": "layers.{l}.self_attn.q_layernorm",
    "blocks.{l}.lnK": "layers.{l}.self_attn.k_layernorm",
    "blocks.{l}.activation": "layers.{l}.mlp.activation_fn",
    "blocks.{l}.fc": "layers.{l}.mlp.fc1",
    "blocks.{l}.proj": "layers.{l}.mlp.fc2",
    "blocks.{l}.ln1": "layers.{l}.input_layernorm",
    rotary: "rotary_emb",
    lnFinal: "final_layernorm",
    head: "lm_head",
  },
  buffers: { "layers.{l}.self_attn.rotary_emb.inv_freq": "the rotary frequencies, which follow from config.json" },
  classes: { model: "Model", layers: "ModuleList", "{l}": "DecoderLayer", self_attn: "Attention", mlp: "MLP" },
});
