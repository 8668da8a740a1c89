/** Gemma (Gemma Team, 2024): Llama with norms around 1, scaled embeddings and a GELU gate. */

import type { DecoderConfig } from "../nn/config";
import { activationOf, type Fields } from "./config";
import { defineFamily } from "./family";
import { attentionBiases, type LlamaDefaults, llamaConfig, llamaParts } from "./llama";

export const gemma = defineFamily({
  ...llamaParts,
  modelType: "gemma",
  className: "Gemma",
  paddingId: 0,
  config: (hf) =>
    gemmaConfig(hf, {
      vocabSize: 256000,
      nCtx: 8192,
      nLayers: 28,
      nHeads: 16,
      nKvHeads: 16,
      dModel: 3072,
      dHead: 256,
      dMlp: 24576,
      normEps: 1e-6,
      tiedHead: true,
    }),
});

/** What Gemma and Gemma 2 share. */
export function gemmaConfig(hf: Fields, defaults: LlamaDefaults): DecoderConfig {
  // The first files said "gelu" in hidden_act and meant the approximation with tanh, with which the models were trained.
  const named = hf.has("hidden_activation") ? "hidden_activation" : "hidden_act";
  const meant = hf.raw(named) === "gelu" && named === "hidden_act" ? "geluTanh" : null;
  const cfg = llamaConfig(hf, defaults);
  return {
    ...cfg,
    ...attentionBiases(hf),
    activation: meant ?? activationOf(hf, named, "gelu_pytorch_tanh"),
    normKind: "rmsPlusOne",
    embedScale: Math.sqrt(cfg.dModel),
  };
}
