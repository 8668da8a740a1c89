/** OLMo 3 (OLMo Team, 2025): OLMo 2 with windows, and scaled angles in the layers without one only. */

import { windowedLayers, windowsOf } from "./config";
import { defineFamily } from "./family";
import { llamaParts } from "./llama";
import { olmo2Config, olmo2Names } from "./olmo2";

export const olmo3 = defineFamily({
  ...llamaParts,
  modelType: "olmo3",
  className: "Olmo3",
  config(hf) {
    const nLayers = hf.layerCount("num_hidden_layers", 32);
    const hasWindow = (l: number) => (l + 1) % 4 !== 0;
    const cfg = olmo2Config(hf, { theta: 5e5, local: { layers: windowedLayers(hf, nLayers, hasWindow), theta: 5e5 } });
    return { ...cfg, windows: windowsOf(hf, cfg, hf.countOrNull("sliding_window", 4096), hasWindow) };
  },
  names: olmo2Names,
});
