/**
 * A model's parameters on a device. Parameters in a file stay there, and onnxruntime maps the file. Parameters in memory,
 * and all unquantized ones on a GPU, are inputs of the graphs, so that all graphs share one copy.
 */

import type { Device } from "../api/model";
import { input, type Node, type QuantizedTensor, quantized, stored } from "../graph/node";
import type { ModelConfig } from "../nn/config";
import { type ParamNodes, type ParamSpec, type Params, paramNodes, paramSpecs } from "../nn/params";
import { readStored, type StoredTensor } from "../weights/stored";
import { DeviceMemory, type DeviceTensor, type HostArray } from "./session";

/** The file location of each parameter. */
export type StoredWeights = ReadonlyMap<string, StoredTensor | QuantizedTensor>;

export interface DeviceWeights {
  readonly device: Device;
  /** The parameters as nodes, for any number of graphs. */
  readonly param: ParamNodes;
  /** The values of parameters that are inputs of the graphs. */
  readonly feeds: Readonly<Record<string, HostArray | DeviceTensor>>;
  readonly memory: DeviceMemory;
  release(): Promise<void>;
}

/** Places parameters from memory on a device. */
export const placeWeights = (cfg: ModelConfig, params: Params, device: Device): Promise<DeviceWeights> =>
  placeParams(paramSpecs(cfg), params, device);

export async function placeParams(specs: readonly ParamSpec[], params: Params, device: Device): Promise<DeviceWeights> {
  const placed = new Placed(device);
  for (const { name, shape } of specs) {
    await placed.add(name, params.get(name) as Float32Array, shape);
  }
  return placed.weights();
}

/** Opens parameters in files, mapped if the device supports it. */
export async function mapWeights(cfg: ModelConfig, source: StoredWeights, device: Device): Promise<DeviceWeights> {
  const placed = new Placed(device);
  for (const { name, shape } of paramSpecs(cfg)) {
    const tensor = source.get(name);
    if (!tensor) throw new Error(`mapWeights: ${name} is missing`);
    if ("bits" in tensor) placed.nodes.set(name, quantized(tensor));
    else if (device === "cpu" && isMappable(tensor)) placed.nodes.set(name, stored(tensor));
    else await placed.add(name, await readStored(tensor), shape);
  }
  return placed.weights();
}

const isMappable = ({ dtype, strides }: StoredTensor) => !strides && ["F32", "F16", "BF16"].includes(dtype);

class Placed {
  readonly nodes = new Map<string, Node>();
  readonly #feeds: Record<string, HostArray | DeviceTensor> = {};
  readonly #memory = new DeviceMemory();

  constructor(readonly device: Device) {}

  async add(name: string, values: Float32Array, shape: readonly number[]): Promise<void> {
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
