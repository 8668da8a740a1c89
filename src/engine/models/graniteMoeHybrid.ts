/** Granite 4 (IBM, 2025) without Mamba layers and experts: Granite 3 with one matrix for the gate of the MLP and its input. */

import { defineFamily } from "./family";
import { graniteConfig } from "./granite";
import { llamaAttentionNames, llamaEnds, llamaNormNames, llamaParts } from "./llama";

export const graniteMoeHybrid = defineFamily({
  ...llamaParts,
  modelType: "granitemoehybrid",
  className: "GraniteMoeHybrid",
  config(hf) {
    const cfg = graniteConfig(hf);
    // Without these fields, every layer is a Mamba layer, and there are 8 experts.
    const types = hf.list("layer_types", cfg.nLayers, '"attention" or "mamba"', isLayerType);
    if (!types?.every((type) => type === "attention")) {
      hf.reject("layer_types", "but Mamba layers are not supported. Choose a Granite 4 model without h in its name");
    }
    if (hf.number("num_local_experts", 8, [0, 1e4]) > 0) {
      hf.reject(
        "num_local_experts",
        "but mixtures of experts are not supported. Choose a Granite 4 model without h in its name",
      );
    }
    const isRotated = hf.choice("position_embedding_type", { rope: true, nope: false }, "nope");
    return {
      ...cfg,
      dMlp: hf.count("shared_intermediate_size", 1024),
      fusedGate: true,
      positions: isRotated ? cfg.positions : { kind: "none" },
    };
  },
  names: {
    ...llamaEnds.first,
    ...llamaAttentionNames,
    "blocks.{l}.activation": "layers.{l}.shared_mlp.activation",
    "blocks.{l}.gateFc": "layers.{l}.shared_mlp.input_linear",
    "blocks.{l}.proj": "layers.{l}.shared_mlp.output_linear",
    ...llamaNormNames,
    ...llamaEnds.last,
  },
});

const isLayerType = (value: unknown): value is string => value === "attention" || value === "mamba";
