/** SmolLM 3 (Hugging Face, 2025): Llama with no positions in every fourth layer. */

import { layers, windowsOf } from "./config";
import { defineFamily } from "./family";
import { attentionBiases, llamaConfig, llamaParts } from "./llama";

export const smollm3 = defineFamily({
  ...llamaParts,
  modelType: "smollm3",
  className: "SmolLM3",
  paddingId: 128004,
  config(hf) {
    const cfg = llamaConfig(hf, {
      vocabSize: 128256,
      nCtx: 32768,
      nLayers: 36,
      nHeads: 16,
      nKvHeads: 4,
      dModel: 2048,
      tiedHead: true,
      theta: 2e6,
    });
    const interval = hf.count("no_rope_layer_interval", 4);
    // 1: with rotary positions, 0: without.
    const rotated = hf.list("no_rope_layers", cfg.nLayers, "0 or 1", isBit);
    const unrotated = (l: number) => (rotated ? rotated[l] === 0 : (l + 1) % interval === 0);
    const window = hf.flag("use_sliding_window", false) ? hf.countOrNull("sliding_window", null) : null;
    return {
      ...cfg,
      ...attentionBiases(hf),
      mlpBias: hf.flag("mlp_bias", false),
      positions: { ...cfg.positions, unrotatedLayers: layers(cfg.nLayers).filter(unrotated) },
      windows: windowsOf(hf, cfg, window, unrotated),
    };
  },
});

const isBit = (value: unknown): value is 0 | 1 => value === 0 || value === 1;
