/** Qwen 3 (Yang et al., 2025): heads of a width of their own, with queries and keys normalized. */

import { defineFamily } from "./family";
import {
  attentionBiases,
  llamaAttentionNames,
  llamaConfig,
  llamaEnds,
  llamaMlpNames,
  llamaNormNames,
  llamaParts,
  qkNormNames,
} from "./llama";
import { qwenWindows } from "./qwen2";

export const qwen3 = defineFamily({
  ...llamaParts,
  modelType: "qwen3",
  className: "Qwen3",
  config(hf) {
    const cfg = llamaConfig(hf, {
      vocabSize: 151936,
      nCtx: 32768,
      nLayers: 32,
      nHeads: 32,
      nKvHeads: 32,
      dModel: 4096,
      dHead: 128,
      dMlp: 22016,
      normEps: 1e-6,
      tiedHead: false,
    });
    return { ...cfg, ...attentionBiases(hf), qkNorm: "head", windows: qwenWindows(hf, cfg) };
  },
  names: {
    ...llamaEnds.first,
    ...llamaAttentionNames,
    ...qkNormNames,
    ...llamaMlpNames,
    ...llamaNormNames,
    ...llamaEnds.last,
  },
});
