/** Mistral 7B (Jiang et al., 2023) and successors: Llama with a sliding window. */

import { windowsOf } from "./config";
import { defineFamily } from "./family";
import { llamaConfig, llamaParts } from "./llama";

export const mistral = defineFamily({
  ...llamaParts,
  modelType: "mistral",
  className: "Mistral",
  config(hf) {
    const cfg = llamaConfig(hf, { nCtx: 4096 * 32, nKvHeads: 8, dMlp: 14336 });
    return { ...cfg, windows: windowsOf(hf, cfg, hf.countOrNull("sliding_window", 4096), () => true) };
  },
});
