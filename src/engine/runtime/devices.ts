/** Which devices can compute here, and which one a run should take. */

import { cpus } from "node:os";
import { EngineError } from "../errors";
import { input } from "../graph/node";
import { lower } from "./lower";
import { type Device, Session } from "./session";

export interface DeviceInfo {
  readonly device: Device;
  readonly available: boolean;
  /** The processor, or why the device is not available. */
  readonly detail: string;
}

export type DeviceChoice = Device | "auto";

/** Tries every device with a product of two matrices. */
export async function listDevices(): Promise<DeviceInfo[]> {
  const processors = cpus();
  const cpu = {
    device: "cpu" as const,
    available: true,
    detail: `${processors.length} × ${processors[0]?.model.trim() ?? "processor"}`,
  };
  try {
    const milliseconds = await probe("webgpu");
    const ratio = (await probe("cpu")) / milliseconds;
    const detail = `GPU through WebGPU, ${ratio.toFixed(1)} times the processor's speed in a probe`;
    return [cpu, { device: "webgpu", available: true, detail }];
  } catch (error) {
    const detail = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
    return [cpu, { device: "webgpu", available: false, detail: detail ?? "not available" }];
  }
}

/** The device for a choice, and why. "auto" measures both where there is a GPU, once in the life of the process. */
export async function chooseDevice(choice: DeviceChoice): Promise<ChosenDevice> {
  if (choice === "cpu") return { device: "cpu", reason: "chosen in the settings" };
  if (choice === "webgpu") {
    await probe("webgpu"); // Fails with what is missing.
    return { device: "webgpu", reason: "chosen in the settings" };
  }
  if (choice !== "auto") throw new EngineError("device", `There is no device "${choice}"; choose auto, cpu or webgpu.`);
  fastest ??= measureDevices();
  return fastest;
}

export interface ChosenDevice {
  readonly device: Device;
  readonly reason: string;
}

let fastest: Promise<ChosenDevice> | undefined;

async function measureDevices(): Promise<ChosenDevice> {
  const times = (slow: number, fast: number) => `${(slow / fast).toFixed(1)} times as fast`;
  try {
    const [gpu, cpu] = [await probe("webgpu"), await probe("cpu")];
    return gpu < cpu
      ? { device: "webgpu", reason: `in a probe the GPU was ${times(cpu, gpu)} as the processor` }
      : { device: "cpu", reason: `in a probe the processor was ${times(gpu, cpu)} as the GPU` };
  } catch {
    return { device: "cpu", reason: "there is no GPU that WebGPU can use" };
  }
}

const PROBE_SIZE = 512;

/** Milliseconds for a product of two 512 x 512 matrices, the best of a few. */
async function probe(device: Device): Promise<number> {
  const matrix = (name: string) => input(name, [PROBE_SIZE, PROBE_SIZE]);
  const session = await Session.create(lower({ y: matrix("a").matmul(matrix("b")) }, device), device);
  const data = new Float32Array(PROBE_SIZE * PROBE_SIZE).fill(1);
  let best = Infinity;
  for (let i = 0; i < 4; i++) {
    const start = performance.now();
    await session.run({ a: data, b: data });
    if (i > 0) best = Math.min(best, performance.now() - start);
  }
  await session.release();
  return best;
}
