/** StarCoder 2 (Lozhkov et al., 2024): Llama's attention with biases, LayerNorm, and an MLP without a gate. */

import { activationOf, windowsOf } from "./config";
import { defineFamily } from "./family";
import { llamaAttentionNames, llamaConfig, llamaEnds, llamaNormNames, llamaParts } from "./llama";

export const starcoder2 = defineFamily({
  ...llamaParts,
  modelType: "starcoder2",
  className: "Starcoder2",
  config(hf) {
    const cfg = llamaConfig(hf, {
      vocabSize: 49152,
      nCtx: 4096,
      nLayers: 30,
      nHeads: 24,
      nKvHeads: 2,
      dModel: 3072,
      dMlp: 12288,
      tiedHead: true,
    });
    const bias = hf.flag("use_bias", true);
    return {
      ...cfg,
      normKind: "layer",
      normEps: hf.number("norm_epsilon", 1e-5, [0, 1]),
      normBias: true,
      activation: activationOf(hf, "hidden_act", "gelu_pytorch_tanh"),
      gatedMlp: false,
      attentionBias: bias,
      outBias: bias,
      mlpBias: bias,
      windows: windowsOf(hf, cfg, hf.countOrNull("sliding_window", null), () => true),
    };
  },
  names: {
    ...llamaEnds.first,
    ...llamaAttentionNames,
    "blocks.{l}.fc": "layers.{l}.mlp.c_fc",
    "blocks.{l}.proj": "layers.{l}.mlp.c_proj",
    "blocks.{l}.activation": "layers.{l}.mlp.act",
    ...llamaNormNames,
    ...llamaEnds.last,
  },
});
