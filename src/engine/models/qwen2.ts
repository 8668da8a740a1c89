/** Qwen 2 and 2.5 (Yang et al., 2024): Llama with biases on queries, keys and values. */

import type { DecoderConfig } from "../nn/config";
import { type Fields, windowsOf } from "./config";
import { defineFamily } from "./family";
import { type LlamaDefaults, llamaConfig, llamaParts } from "./llama";

/** Defaults that Qwen 2 and Qwen 3 share. */
export const qwenDefaults: Partial<LlamaDefaults> = { vocabSize: 151936, nCtx: 32768, nKvHeads: 32, dMlp: 22016 };

export const qwen2 = defineFamily({
  ...llamaParts,
  modelType: "qwen2",
  className: "Qwen2",
  config(hf) {
    const cfg = llamaConfig(hf, qwenDefaults);
    return { ...cfg, attentionBias: true, windows: qwenWindows(hf, cfg) };
  },
});

/** If `use_sliding_window` is set, layers from `max_window_layers` on have a window. */
export function qwenWindows(hf: Fields, cfg: DecoderConfig): DecoderConfig["windows"] {
  const first = hf.number("max_window_layers", 28, [0, Number.MAX_SAFE_INTEGER]);
  if (!hf.flag("use_sliding_window", false)) return [];
  return windowsOf(hf, cfg, hf.countOrNull("sliding_window", 4096), (l) => l >= first);
}
