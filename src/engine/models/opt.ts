/** OPT (Zhang et al., 2022) and Galactica. */

import { PLAIN } from "../nn/config";
import { activationOf } from "./config";
import { defineFamily } from "./family";

export const opt = defineFamily({
  modelType: "opt",
  className: "OPT",
  paddingId: 1,
  positionsClass: "OPTLearnedPositionalEmbedding",

  config(hf) {
    const [dModel, nHeads] = [hf.count("hidden_size", 768), hf.count("num_attention_heads", 12)];
    const pre = hf.flag("do_layer_norm_before", true);
    const bias = hf.flag("enable_bias", true);
    const affine = hf.flag("layer_norm_elementwise_affine", true);
    return {
      ...PLAIN,
      vocabSize: hf.count("vocab_size", 50272),
      nCtx: hf.count("max_position_embeddings", 2048),
      nLayers: hf.layerCount("num_hidden_layers", 12),
      nHeads,
      nKvHeads: nHeads,
      dModel,
      dHead: dModel / nHeads,
      dMlp: hf.count("ffn_dim", 3072),
      dEmbed: hf.countOrNull("word_embed_proj_dim", null) ?? dModel,
      weightLayout: "outIn",
      qkv: "separate",
      // In the original training code, the first two rows of the table were reserved for padding.
      positions: { kind: "learned", offset: 2 },
      norm: pre ? "pre" : "post",
      normKind: "layer",
      normEps: 1e-5,
      normScale: affine,
      normBias: affine,
      finalNorm: pre && !hf.flag("_remove_final_layer_norm", false),
      activation: activationOf(hf, "activation_function", "relu"),
      gatedMlp: false,
      attentionBias: bias,
      outBias: bias,
      mlpBias: bias,
      attentionScale: 1 / Math.sqrt(dModel / nHeads),
      tiedHead: hf.flag("tie_word_embeddings", true),
      headBias: false,
    };
  },

  prefix: "model.decoder.",
  otherPrefixes: ["decoder.", ""],
  names: {
    "embed.tokens": "embed_tokens",
    "embed.positions": "embed_positions",
    "head.in": "project_out",
    "embed.in": "project_in",
    lnFinal: "final_layer_norm",
    "blocks.{l}.k": "layers.{l}.self_attn.k_proj",
    "blocks.{l}.v": "layers.{l}.self_attn.v_proj",
    "blocks.{l}.q": "layers.{l}.self_attn.q_proj",
    "blocks.{l}.o": "layers.{l}.self_attn.out_proj",
    "blocks.{l}.activation": "layers.{l}.activation_fn",
    "blocks.{l}.ln1": "layers.{l}.self_attn_layer_norm",
    "blocks.{l}.fc": "layers.{l}.fc1",
    "blocks.{l}.proj": "layers.{l}.fc2",
    "blocks.{l}.ln2": "layers.{l}.final_layer_norm",
    head: "lm_head",
  },
  buffers: { version: "the version of the code that trained the model" },
  classes: { model: "Model", decoder: "Decoder", layers: "ModuleList", "{l}": "DecoderLayer", self_attn: "Attention" },
});
