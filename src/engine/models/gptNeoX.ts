/** GPT-NeoX (Black et al., 2022) and Pythia: attention and MLP read the same residual stream in parallel. */

import { PLAIN } from "../nn/config";
import { activationOf, rotaryOf } from "./config";
import { defineFamily } from "./family";

export const gptNeoX = defineFamily({
  modelType: "gpt_neox",
  className: "GPTNeoX",

  config(hf) {
    const [dModel, nHeads] = [hf.count("hidden_size", 6144), hf.count("num_attention_heads", 64)];
    const dHead = dModel / nHeads;
    const bias = hf.flag("attention_bias", true);
    return {
      ...PLAIN,
      vocabSize: hf.count("vocab_size", 50432),
      nLayers: hf.layerCount("num_hidden_layers", 44),
      nHeads,
      nKvHeads: nHeads,
      dModel,
      dHead,
      dMlp: hf.count("intermediate_size", 24576),
      dEmbed: dModel,
      weightLayout: "outIn",
      qkv: "fusedByHead",
      ...rotaryOf(hf, dHead, { nCtx: 2048, share: 0.25, shareName: "rotary_pct", thetaName: "rotary_emb_base" }),
      norm: hf.flag("use_parallel_residual", true) ? "parallel" : "pre",
      normKind: "layer",
      normEps: hf.number("layer_norm_eps", 1e-5, [0, 1]),
      normScale: true,
      normBias: true,
      finalNorm: true,
      activation: activationOf(hf, "hidden_act", "gelu"),
      gatedMlp: false,
      attentionBias: bias,
      outBias: bias,
      mlpBias: true,
      attentionScale: 1 / Math.sqrt(dHead),
      tiedHead: hf.flag("tie_word_embeddings", false),
      headBias: false,
    };
  },

  prefix: "gpt_neox.",
  otherPrefixes: [""],
  names: {
    "embed.tokens": "embed_in",
    "blocks.{l}.ln1": "layers.{l}.input_layernorm",
    "blocks.{l}.ln2": "layers.{l}.post_attention_layernorm",
    "blocks.{l}.qkv": "layers.{l}.attention.query_key_value",
    "blocks.{l}.o": "layers.{l}.attention.dense",
    "blocks.{l}.fc": "layers.{l}.mlp.dense_h_to_4h",
    "blocks.{l}.proj": "layers.{l}.mlp.dense_4h_to_h",
    "blocks.{l}.activation": "layers.{l}.mlp.act",
    lnFinal: "final_layer_norm",
    rotary: "rotary_emb",
    head: "embed_out",
  },
  buffers: {
    "layers.{l}.attention.bias": "the causal mask",
    "layers.{l}.attention.masked_bias": "the score of masked positions",
    "layers.{l}.attention.rotary_emb.inv_freq": "the rotary frequencies, which follow from config.json",
  },
  classes: { gpt_neox: "Model", layers: "ModuleList", "{l}": "Layer", attention: "Attention", mlp: "MLP" },
});
