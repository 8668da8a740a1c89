/** Gemma (Gemma Team, 2024): Llama with norm weights stored as offsets from 1, scaled embeddings and a GELU gate. */

import type { DecoderConfig } from "../nn/config";
import { activationOf, type Fields } from "./config";
import { defineFamily } from "./family";
import { attentionBiases, type LlamaDefaults, llamaConfig, llamaParts } from "./llama";

export const gemma = defineFamily({
  ...llamaParts,
  modelType: "gemma",
  className: "Gemma",
  paddingId: 0,
  config: (hf) => gemmaConfig(hf, { nLayers: 28, nHeads: 16, nKvHeads: 16, dModel: 3072, dMlp: 24576 }),
});

/** Reads the fields that Gemma and Gemma 2 share. */
export function gemmaConfig(hf: Fields, defaults: Partial<LlamaDefaults>): DecoderConfig {
  // The first files have "gelu" in hidden_act, but the models were trained with the tanh approximation.
  const field = hf.has("hidden_activation") ? "hidden_activation" : "hidden_act";
  const isMislabeled = hf.raw(field) === "gelu" && field === "hidden_act";
  const cfg = llamaConfig(hf, { vocabSize: 256000, nCtx: 8192, dHead: 256, tiedHead: true, ...defaults });
  return {
    ...cfg,
    ...attentionBiases(hf),
    activation: isMislabeled ? "geluTanh" : activationOf(hf, field, "gelu_pytorch_tanh"),
    normKind: "rmsPlusOne",
    embedScale: Math.sqrt(cfg.dModel),
  };
}
