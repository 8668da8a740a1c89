/**
 * A model's parameters where its graphs read them. Those of a file stay in it: onnxruntime maps it. Those in memory, and
 * all that is not quantized on a GPU, are inputs of the graphs, so that one copy serves them all.
 */

import type { Device } from "../api/model";
import { input, type Node, type QuantizedTensor, quantized, stored } from "../graph/node";
import type { ModelConfig } from "../nn/config";
import { type ParamNodes, type ParamSpec, type Params, paramNodes, paramSpecs } from "../nn/params";
import { readStored, type StoredTensor } from "../weights/stored";
import { DeviceMemory, type DeviceTensor, type HostArray } from "./session";

/** By parameter: where its values lie. */
export type StoredWeights = ReadonlyMap<string, StoredTensor | QuantizedTensor>;

export interface DeviceWeights {
  readonly device: Device;
  /** The parameters as nodes, for any number of graphs. */
  readonly param: ParamNodes;
  /** What the graphs' inputs among them are given. */
  readonly feeds: Readonly<Record<string, HostArray | DeviceTensor>>;
  readonly memory: DeviceMemory;
  release(): Promise<void>;
}

/** Parameters in memory, placed on a device. */
export const placeWeights = (cfg: ModelConfig, params: Params, device: Device): Promise<DeviceWeights> =>
  placeParams(paramSpecs(cfg), params, device);

export async function placeParams(specs: readonly ParamSpec[], params: Params, device: Device): Promise<DeviceWeights> {
  const placed = new Placed(device);
  for (const { name, shape } of specs) {
    await placed.give(name, params.get(name) as Float32Array, shape);
  }
  return placed.weights();
}

/** Parameters of files, in place where the device can map them. */
export async function mapWeights(cfg: ModelConfig, source: StoredWeights, device: Device): Promise<DeviceWeights> {
  const placed = new Placed(device);
  for (const { name, shape } of paramSpecs(cfg)) {
    const tensor = source.get(name);
    if (!tensor) throw new Error(`mapWeights: ${name} is missing`);
    if ("bits" in tensor) placed.nodes.set(name, quantized(tensor));
    else if (device === "cpu" && isMappable(tensor)) placed.nodes.set(name, stored(tensor));
    else await placed.give(name, await readStored(tensor), shape);
  }
  return placed.weights();
}

const isMappable = ({ dtype, strides }: StoredTensor) => !strides && ["F32", "F16", "BF16"].includes(dtype);

class Placed {
  readonly nodes = new Map<string, Node>();
  readonly #feeds: Record<string, HostArray | DeviceTensor> = {};
  readonly #memory = new DeviceMemory();

  constructor(readonly device: Device) {}

  async give(name: string, values: Float32Array, shape: readonly number[]): Promise<void> {
    this.nodes.set(name, input(name, shape));
    this.#feeds[name] = this.device === "cpu" ? values : await this.#memory.upload(values, shape);
  }

  weights(): DeviceWeights {
    const release = async () => {
      for (const value of Object.values(this.#feeds)) if (!ArrayBuffer.isView(value)) value.dispose();
      await this.#memory.release();
    };
    return { device: this.device, param: paramNodes(this.nodes), feeds: this.#feeds, memory: this.#memory, release };
  }
}
