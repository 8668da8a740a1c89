/** OLMo 2 (OLMo Team, 2024): norms after attention and MLP instead of before, and across all heads of q and k. */

import { defineFamily } from "./family";
import {
  attentionBiases,
  llamaAttentionNames,
  llamaConfig,
  llamaEnds,
  llamaMlpNames,
  llamaParts,
  qkNormNames,
} from "./llama";

export const olmo2 = defineFamily({
  ...llamaParts,
  modelType: "olmo2",
  className: "Olmo2",
  config: (hf) => ({
    ...llamaConfig(hf, { vocabSize: 50304, normEps: 1e-5 }),
    ...attentionBiases(hf),
    norm: "output",
    qkNorm: "all",
  }),
  names: {
    ...llamaEnds.first,
    ...llamaAttentionNames,
    ...qkNormNames,
    ...llamaMlpNames,
    "blocks.{l}.ln1Out": "layers.{l}.post_attention_layernorm",
    "blocks.{l}.ln2Out": "layers.{l}.post_feedforward_layernorm",
    ...llamaEnds.last,
  },
});
