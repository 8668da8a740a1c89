/** Gemma 3 (Gemma Team, 2025): Gemma 2 with norms on q and k, and angles of their own in layers with a window. */

import type { DecoderConfig } from "../nn/config";
import { type Fields, requireSupported, windowedLayers, windowsOf } from "./config";
import { defineFamily, type FamilySpec } from "./family";
import { gemmaConfig } from "./gemma";
import { gemma2Names } from "./gemma2";
import { llamaParts, qkNormNames } from "./llama";

const parts = {
  ...llamaParts,
  className: "Gemma3",
  paddingId: 0,
  names: { ...gemma2Names, ...qkNormNames },
} satisfies Partial<FamilySpec>;

export const gemma3Text = defineFamily({ ...parts, modelType: "gemma3_text", config: gemma3Config });

/** Gemma 3 that also reads images: its decoder. */
export const gemma3 = defineFamily({
  ...parts,
  modelType: "gemma3",
  architecture: "Gemma3ForConditionalGeneration",
  config(hf) {
    const text =
      hf.object("text_config") ??
      hf.reject("text_config", "but the decoder is described there. Download the file again or choose another model");
    requireSupported(text);
    return gemma3Config(text);
  },
  prefix: "language_model.model.",
  otherPrefixes: ["model.language_model.", "model.", ""],
});

function gemma3Config(hf: Fields): DecoderConfig {
  const nLayers = hf.layerCount("num_hidden_layers", 26);
  const pattern = hf.count("sliding_window_pattern", 6);
  const hasWindow = (l: number) => (l + 1) % pattern !== 0;
  const cfg = gemmaConfig(hf, {
    ...{ vocabSize: 262208, nCtx: 131072, nLayers, nHeads: 8, nKvHeads: 4, dModel: 2304, dMlp: 9216 },
    theta: 1e6,
    local: { layers: windowedLayers(hf, nLayers, hasWindow), theta: 10000 },
  });
  return {
    ...cfg,
    norm: "sandwich",
    qkNorm: "head",
    attentionScale: 1 / Math.sqrt(hf.number("query_pre_attn_scalar", 256, [1e-3, 1e6])),
    // attn_logit_softcapping is in the files, but never used.
    logitSoftcap: hf.numberOrNull("final_logit_softcapping", [1e-3, 1e6]),
    windows: windowsOf(hf, cfg, hf.countOrNull("sliding_window", 4096), hasWindow),
  };
}
