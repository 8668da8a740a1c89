/** Granite 3 (IBM, 2024): Llama with four factors, of embeddings, scores, sublayers, and logits. */

import type { Fields } from "./config";
import { defineFamily } from "./family";
import { attentionBiases, llamaConfig, llamaParts } from "./llama";

export const granite = defineFamily({
  ...llamaParts,
  modelType: "granite",
  className: "Granite",
  config: (hf) => ({ ...graniteConfig(hf), mlpBias: hf.flag("mlp_bias", false) }),
});

/** Reads the fields that Granite 3 and 4 share. */
export function graniteConfig(hf: Fields): ReturnType<typeof llamaConfig> {
  const factor = (name: string) => hf.number(name, 1, FACTOR);
  return {
    ...llamaConfig(hf),
    ...attentionBiases(hf),
    embedScale: factor("embedding_multiplier"),
    // In place of 1 / sqrt(dHead).
    attentionScale: factor("attention_multiplier"),
    residualScale: factor("residual_multiplier"),
    logitScale: 1 / factor("logits_scaling"),
  };
}

const FACTOR = [1e-6, 1e6] as const;
