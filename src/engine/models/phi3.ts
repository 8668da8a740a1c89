/** Phi-3, 3.5, 4, and 4-mini (Abdin et al., 2024): Llama with one matrix for q, k, and v, and one for the gate and its input. */

import { windowsOf } from "./config";
import { defineFamily } from "./family";
import { llamaConfig, llamaEnds, llamaNormNames, llamaParts } from "./llama";

export const phi3 = defineFamily({
  ...llamaParts,
  modelType: "phi3",
  className: "Phi3",
  paddingId: 32000,
  config(hf) {
    const cfg = llamaConfig(hf, { vocabSize: 32064, nCtx: 4096, dModel: 3072, dMlp: 8192, normEps: 1e-5 });
    return {
      ...cfg,
      qkv: "fused",
      fusedGate: true,
      windows: windowsOf(hf, cfg, hf.countOrNull("sliding_window", null), () => true),
    };
  },
  names: {
    ...llamaEnds.first,
    "blocks.{l}.o": "layers.{l}.self_attn.o_proj",
    "blocks.{l}.qkv": "layers.{l}.self_attn.qkv_proj",
    "blocks.{l}.gateFc": "layers.{l}.mlp.gate_up_proj",
    "blocks.{l}.proj": "layers.{l}.mlp.down_proj",
    "blocks.{l}.activation": "layers.{l}.mlp.activation_fn",
    ...llamaNormNames,
    ...llamaEnds.last,
  },
});
