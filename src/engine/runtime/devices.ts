/** The available devices, and the choice of one for a model. */

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import type { Device, DeviceChoice, DeviceInfo } from "../api/model";
import { EngineError } from "../errors";
import { input } from "../graph/node";
import { lower } from "./lower";
import { encodeModel } from "./onnx";
import { deviceError, Session } from "./session";

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
    const detail = `GPU through WebGPU, ${ratio.toFixed(1)} times the CPU's speed in a benchmark`;
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
    await timeGpu(); // Throws the reason when there is no usable GPU.
    return { device: "webgpu", reason: "chosen in the settings" };
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
    return gpu < cpu
      ? { device: "webgpu", reason: `in a benchmark the GPU was ${ratio(cpu, gpu)} as the CPU` }
      : { device: "cpu", reason: `in a benchmark the CPU was ${ratio(gpu, cpu)} as the GPU` };
  } catch {
    return { device: "cpu", reason: "no compatible GPU" };
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

/**
 * Milliseconds of the benchmark on the GPU, in a process of its own: drivers print to standard error, and some abort.
 */
async function timeGpu(): Promise<number> {
  const runtime = createRequire(import.meta.url).resolve("onnxruntime-node");
  const model = Buffer.from(encodeModel(benchmarkGraph("webgpu"))).toString("base64");
  const result = await new Promise<{ readonly best?: number; readonly error?: string }>((resolve, reject) => {
    const child = spawn(process.execPath, ["-e", TIME_GPU, runtime, model], {
      env: { ...process.env, ELECTRON_RUN_AS_NODE: "1" }, // The editor's Node is Electron.
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      timeout: GPU_TIMEOUT,
      windowsHide: true,
    });
    child.on("message", resolve);
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve({ error: `The GPU test ended unexpectedly (${signal ?? code}).` }));
  });
  if (result.best !== undefined) return result.best;
  throw deviceError(new EngineError("device", result.error ?? "The GPU test failed."));
}

const GPU_TIMEOUT = 60_000;

const TIME_GPU = `
const { InferenceSession, Tensor } = require(process.argv[1]);
async function time() {
  const options = { executionProviders: ["webgpu"], logSeverityLevel: 3 };
  const session = await InferenceSession.create(Buffer.from(process.argv[2], "base64"), options);
  const ones = new Tensor("float32", new Float32Array(${SIZE * SIZE}).fill(1), [${SIZE}, ${SIZE}]);
  let best = Infinity;
  for (let i = 0; i < ${ROUNDS}; i++) {
    const start = performance.now();
    await session.run({ a: ones, b: ones });
    if (i > 0) best = Math.min(best, performance.now() - start);
  }
  return { best };
}
time()
  .catch(({ message }) => ({ error: message }))
  .then((result) => process.send(result, () => process.exit()));
`;
