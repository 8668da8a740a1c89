/** Qwen 3 (Yang et al., 2025): an independent head size, with norms on the queries and keys of each head. */

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
import { qwenDefaults, qwenWindows } from "./qwen2";

export const qwen3 = defineFamily({
  ...llamaParts,
  modelType: "qwen3",
  className: "Qwen3",
  config(hf) {
    const cfg = llamaConfig(hf, { ...qwenDefaults, dHead: 128 });
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
