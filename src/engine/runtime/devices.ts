/** The available devices, and the choice of one for a model. */

import { cpus } from "node:os";
import type { Device, DeviceChoice, DeviceInfo } from "../api/model";
import { EngineError } from "../errors";
import { checkGpu, WrongGpu } from "../generate/gpuCheck";
import { input } from "../graph/node";
import { gpuError, gpuTensor, runOnGpu } from "./gpuProcess";
import { lower } from "./lower";
import { Session } from "./session";

/** Returns every device, after a test of the GPU. */
export async function listDevices(): Promise<DeviceInfo[]> {
  const cores = cpus();
  const cpu = {
    device: "cpu" as const,
    available: true,
    detail: `${cores.length} × ${cores[0]?.model.trim() ?? "CPU"}`,
  };
  try {
    const milliseconds = await timeGpu();
    const ratio = (await timeCpu()) / milliseconds;
    const check = await checkGpu();
    const detail = `GPU through WebGPU, ${ratio.toFixed(1)} times the CPU's speed in a benchmark; ${check.summary}`;
    return [cpu, { device: "webgpu", available: true, detail }];
  } catch (error) {
    const detail = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
    return [cpu, { device: "webgpu", available: false, detail: detail ?? "not available" }];
  }
}

/** Returns the device for a choice, and the reason. "auto" benchmarks the CPU and the GPU, once per process. */
export async function chooseDevice(choice: DeviceChoice): Promise<ChosenDevice> {
  if (choice === "cpu") return { device: "cpu", reason: "chosen in the settings" };
  if (choice === "webgpu") {
    const { summary } = await checkGpu(); // Throws the reason when there is no usable GPU.
    return { device: "webgpu", reason: `chosen in the settings; ${summary}` };
  }
  if (choice !== "auto") throw new EngineError("device", `"${choice}" is not a device. Choose auto, cpu or webgpu.`);
  fastest ??= benchmarkDevices();
  return fastest;
}

export interface ChosenDevice {
  readonly device: Device;
  readonly reason: string;
}

let fastest: Promise<ChosenDevice> | undefined;

async function benchmarkDevices(): Promise<ChosenDevice> {
  const ratio = (slow: number, fast: number) => `${(slow / fast).toFixed(1)} times as fast`;
  try {
    const [gpu, cpu] = [await timeGpu(), await timeCpu()];
    if (gpu >= cpu) return { device: "cpu", reason: `in a benchmark the CPU was ${ratio(gpu, cpu)} as the GPU` };
    const { summary } = await checkGpu();
    return { device: "webgpu", reason: `in a benchmark the GPU was ${ratio(cpu, gpu)} as the CPU; ${summary}` };
  } catch (error) {
    return { device: "cpu", reason: error instanceof WrongGpu ? error.message : "no compatible GPU" };
  }
}

/** The benchmark: the product of two 512 x 512 matrices, the best time of three after a warm-up. */
const SIZE = 512;
const ROUNDS = 4;

function benchmarkGraph(device: Device) {
  const matrix = (name: string) => input(name, [SIZE, SIZE]);
  return lower({ y: matrix("a").matmul(matrix("b")) }, device);
}

/** Milliseconds of the benchmark on the CPU. */
async function timeCpu(): Promise<number> {
  const session = await Session.create(benchmarkGraph("cpu"), "cpu");
  const data = new Float32Array(SIZE * SIZE).fill(1);
  let best = Infinity;
  for (let i = 0; i < ROUNDS; i++) {
    const start = performance.now();
    await session.run({ a: data, b: data });
    if (i > 0) best = Math.min(best, performance.now() - start);
  }
  await session.release();
  return best;
}

/** Milliseconds of the benchmark on the GPU. */
async function timeGpu(): Promise<number> {
  const ones = gpuTensor(new Float32Array(SIZE * SIZE).fill(1), [SIZE, SIZE]);
  const steps = Array.from({ length: ROUNDS }, () => ({ graph: "product", feeds: { a: ones, b: ones } }));
  const results = await runOnGpu({ graphs: { product: benchmarkGraph("webgpu") }, shared: {}, steps });
  const times = results.map((result) => {
    if (result.error !== undefined) throw gpuError(result.error);
    return result.milliseconds;
  });
  return Math.min(...times.slice(1));
}
