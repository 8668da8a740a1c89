/** OLMo 2 (OLMo Team, 2024): norms after attention and MLP instead of before, and across all heads of q and k. */

import type { DecoderConfig } from "../nn/config";
import type { Fields } from "./config";
import { defineFamily } from "./family";
import {
  attentionBiases,
  type LlamaDefaults,
  llamaAttentionNames,
  llamaConfig,
  llamaEnds,
  llamaMlpNames,
  llamaParts,
  qkNormNames,
} from "./llama";

export const olmo2Names = {
  ...llamaEnds.first,
  ...llamaAttentionNames,
  ...qkNormNames,
  ...llamaMlpNames,
  "blocks.{l}.ln1Out": "layers.{l}.post_attention_layernorm",
  "blocks.{l}.ln2Out": "layers.{l}.post_feedforward_layernorm",
  ...llamaEnds.last,
} as const;

export const olmo2 = defineFamily({
  ...llamaParts,
  modelType: "olmo2",
  className: "Olmo2",
  config: (hf) => olmo2Config(hf),
  names: olmo2Names,
});

/** Reads the fields that OLMo 2 and OLMo 3 share. */
export const olmo2Config = (hf: Fields, overrides: Partial<LlamaDefaults> = {}): DecoderConfig => ({
  ...llamaConfig(hf, { vocabSize: 50304, normEps: 1e-5, ...overrides }),
  ...attentionBiases(hf),
  norm: "output",
  qkNorm: "all",
});
