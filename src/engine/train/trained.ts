/** The trained part of a model: all of its parameters, or adapters on top of frozen weights in files. */

import type { Device } from "../api/model";
import type { ModelWeights } from "../models/folder";
import { adapterSpecs, type Lora, withAdapters } from "../nn/adapters";
import type { ModelConfig } from "../nn/config";
import { type Params, paramSpecs } from "../nn/params";
import { type DeviceWeights, mapWeights, placeParams, placeWeights } from "../runtime/weights";
import type { TrainedNodes } from "./step";

export interface Trained extends TrainedNodes {
  /** Inputs for the frozen weights. */
  readonly feeds: DeviceWeights["feeds"];
  /** The whole model on the CPU, for given trained parameters. */
  readonly weights: (params: Params) => Promise<DeviceWeights>;
  release(): Promise<void>;
}

export const wholeModel = (cfg: ModelConfig): Trained => ({
  specs: paramSpecs(cfg),
  nodes: (trained) => trained,
  feeds: {},
  weights: (params) => placeWeights(cfg, params, "cpu"),
  release: async () => {},
});

export async function adaptersOf(
  { cfg, weights }: Pick<ModelWeights, "cfg" | "weights">,
  lora: Lora,
  device: Device,
): Promise<Trained> {
  const specs = adapterSpecs(cfg, lora);
  const base = await mapWeights(cfg, weights, device);
  const onCpu = device === "cpu" ? base : await mapWeights(cfg, weights, "cpu");
  return {
    specs,
    nodes: (adapters) => withAdapters(base.param, adapters, lora),
    feeds: base.feeds,
    weights: async (params) => {
      const adapters = await placeParams(specs, params, "cpu");
      const param = withAdapters(onCpu.param, adapters.param, lora);
      return { ...adapters, param, feeds: { ...onCpu.feeds, ...adapters.feeds } };
    },
    release: () => base.release(),
  };
}
