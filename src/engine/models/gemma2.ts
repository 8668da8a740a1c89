/** Gemma 2 (Gemma Team, 2024): Gemma with norms before and after each sublayer, soft caps, and alternating windows. */

import { windowsOf } from "./config";
import { defineFamily } from "./family";
import { gemmaConfig } from "./gemma";
import { llamaAttentionNames, llamaEnds, llamaMlpNames, llamaParts } from "./llama";

export const gemma2Names = {
  ...llamaEnds.first,
  ...llamaAttentionNames,
  ...llamaMlpNames,
  "blocks.{l}.ln1": "layers.{l}.input_layernorm",
  "blocks.{l}.ln1Out": "layers.{l}.post_attention_layernorm",
  "blocks.{l}.ln2": "layers.{l}.pre_feedforward_layernorm",
  "blocks.{l}.ln2Out": "layers.{l}.post_feedforward_layernorm",
  ...llamaEnds.last,
} as const;

export const gemma2 = defineFamily({
  ...llamaParts,
  modelType: "gemma2",
  className: "Gemma2",
  paddingId: 0,
  config(hf) {
    const cfg = gemmaConfig(hf, { nLayers: 26, nHeads: 8, nKvHeads: 4, dModel: 2304, dMlp: 9216 });
    const softcap = (name: string, missing: number) =>
      hf.raw(name) === null ? null : hf.number(name, missing, [1e-3, 1e6]);
    return {
      ...cfg,
      norm: "sandwich",
      attentionScale: 1 / Math.sqrt(hf.number("query_pre_attn_scalar", 256, [1e-3, 1e6])),
      attentionSoftcap: softcap("attn_logit_softcapping", 50),
      logitSoftcap: softcap("final_logit_softcapping", 30),
      windows: windowsOf(hf, cfg, hf.countOrNull("sliding_window", 4096), (l) => l % 2 === 0),
    };
  },
  names: gemma2Names,
});
