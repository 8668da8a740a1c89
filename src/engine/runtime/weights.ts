/** A model's parameters where its graphs read them: host arrays on the CPU, GPU buffers on WebGPU. */

import { input } from "../graph/node";
import type { DecoderConfig } from "../nn/config";
import { type ParamNodes, type Params, paramNodes, paramSpecs } from "../nn/params";
import { type Device, DeviceMemory, type DeviceTensor, type HostArray } from "./session";

export interface DeviceWeights {
  readonly device: Device;
  readonly feeds: Readonly<Record<string, HostArray | DeviceTensor>>;
  readonly memory: DeviceMemory;
  release(): Promise<void>;
}

/** Parameters as inputs of a graph, under their own names. */
export const paramInputs = (cfg: DecoderConfig): ParamNodes =>
  paramNodes(new Map(paramSpecs(cfg).map(({ name, shape }) => [name, input(name, shape)])));

export async function placeWeights(cfg: DecoderConfig, params: Params, device: Device): Promise<DeviceWeights> {
  const memory = new DeviceMemory();
  const feeds: Record<string, HostArray | DeviceTensor> = {};
  const uploaded: DeviceTensor[] = [];
  for (const { name, shape } of paramSpecs(cfg)) {
    const values = params.get(name) as Float32Array;
    if (device === "cpu") {
      feeds[name] = values;
      continue;
    }
    const tensor = await memory.upload(values, shape);
    feeds[name] = tensor;
    uploaded.push(tensor);
  }
  const release = async () => {
    for (const tensor of uploaded) tensor.dispose();
    await memory.release();
  };
  return { device, feeds, memory, release };
}
