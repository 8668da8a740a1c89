/** Mistral 7B (Jiang et al., 2023) and later: Llama with a sliding window. */

import { windowsOf } from "./config";
import { defineFamily } from "./family";
import { llamaConfig, llamaParts } from "./llama";

export const mistral = defineFamily({
  ...llamaParts,
  modelType: "mistral",
  className: "Mistral",
  config(hf) {
    const cfg = llamaConfig(hf, {
      vocabSize: 32000,
      nCtx: 4096 * 32,
      nLayers: 32,
      nHeads: 32,
      nKvHeads: 8,
      dModel: 4096,
      dHead: null,
      dMlp: 14336,
      normEps: 1e-6,
      tiedHead: false,
    });
    return { ...cfg, windows: windowsOf(hf, cfg, hf.countOrNull("sliding_window", 4096), () => true) };
  },
});
