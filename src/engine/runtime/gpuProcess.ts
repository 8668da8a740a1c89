/** Runs graphs on the GPU in a process of their own, for tests of the GPU: drivers print to standard error, and some abort. */

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { EngineError } from "../errors";
import type { Shape } from "../graph/shape";
import { encodeModel, type OnnxGraph } from "./onnx";
import { type DeviceTensor, deviceError, type HostArray, hostTensor } from "./session";

/** A tensor as a message between processes. */
export type GpuTensor = Pick<DeviceTensor, "type" | "data" | "dims">;

export const gpuTensor = (data: HostArray, shape: Shape): GpuTensor => message(hostTensor(data, shape));

/** Without methods, which messages cannot contain. */
export const message = ({ type, data, dims }: DeviceTensor): GpuTensor => ({ type, data, dims });

export interface GpuStep {
  readonly graph: string;
  readonly feeds: Readonly<Record<string, GpuTensor>>;
  /** Outputs that stay on the GPU as the inputs of later steps, by name. */
  readonly keeps?: boolean;
  /** Inputs on the GPU that the step updates in place, as outputs with "'" added. */
  readonly updates?: readonly string[];
}

export interface GpuJob {
  readonly graphs: Readonly<Record<string, OnnxGraph>>;
  /** Inputs of all steps. */
  readonly shared: Readonly<Record<string, GpuTensor>>;
  readonly steps: readonly GpuStep[];
}

/** The outputs of a step on the host, and how long it ran; or why it failed. */
export type GpuResult =
  | { readonly outputs: Readonly<Record<string, Float32Array>>; readonly milliseconds: number; readonly error?: never }
  | { readonly error: string };

/** Longest step, including the driver's compiler, on a busy machine with a software driver. */
const STEP_TIMEOUT = 120_000;

/**
 * Returns the result of each step. If the process ends early, the remaining steps have failed. A step that needs a failed
 * one fails too.
 */
export async function runOnGpu({ graphs, shared, steps }: GpuJob): Promise<readonly GpuResult[]> {
  const runtime = createRequire(import.meta.url).resolve("onnxruntime-node");
  const models = Object.fromEntries(Object.entries(graphs).map(([name, graph]) => [name, encodeModel(graph)]));
  const results: GpuResult[] = [];
  const failure = await new Promise<string>((resolve, reject) => {
    const child = spawn(process.execPath, ["-e", PROGRAM, runtime], {
      env: { ...process.env, ELECTRON_RUN_AS_NODE: "1" }, // The editor's Node is Electron.
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      serialization: "advanced",
      windowsHide: true,
    });
    let isStuck = false;
    const stop = () => {
      isStuck = true;
      child.kill("SIGKILL");
    };
    let timer = setTimeout(stop, STEP_TIMEOUT);
    child.on("message", (result: GpuResult) => {
      results.push(result);
      clearTimeout(timer);
      timer = setTimeout(stop, STEP_TIMEOUT);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve(
        isStuck
          ? `The GPU did not answer within ${STEP_TIMEOUT / 1000} seconds. Choose the device cpu.`
          : `The GPU test ended unexpectedly (${signal ?? code}). Choose the device cpu, or update the GPU's driver.`,
      );
    });
    child.send({ models, shared, steps }, (error) => error && reject(error));
  });
  return steps.map((_, i) => results[i] ?? { error: failure });
}

/** Returns an error for a failed step: the missing GPU in plain words, or the message. */
export const gpuError = (problem: string): unknown =>
  deviceError(new EngineError("device", problem.split("\n", 1)[0] as string));

const PROGRAM = `
const { InferenceSession, Tensor } = require(process.argv[1]);
process.once("message", async ({ models, shared, steps }) => {
  const [sessions, kept] = [{}, {}];
  const toTensor = ({ type, data, dims }) => new Tensor(type, data, dims);
  const given = Object.fromEntries(Object.entries(shared).map(([name, value]) => [name, toTensor(value)]));
  const run = async ({ graph, feeds, keeps, updates = [] }) => {
    const options = { executionProviders: ["webgpu"], logSeverityLevel: 4 };
    if (keeps) options.preferredOutputLocation = "gpu-buffer";
    sessions[graph] ??= InferenceSession.create(models[graph], options);
    const session = await sessions[graph];
    const fed = Object.fromEntries(session.inputNames.map((name) => {
      return [name, feeds[name] ? toTensor(feeds[name]) : (kept[name] ?? given[name])];
    }));
    const fetches = Object.fromEntries(session.outputNames.map((name) => [name, null]));
    for (const name of updates) fetches[name + "'"] = kept[name];
    const start = performance.now();
    const found = await session.run(fed, fetches);
    const milliseconds = performance.now() - start;
    if (keeps) Object.assign(kept, found);
    const outputs = {};
    if (!keeps) for (const name of session.outputNames) if (!updates.includes(name.slice(0, -1))) outputs[name] = found[name].data;
    return { outputs, milliseconds };
  };
  for (const step of steps) {
    const result = await run(step).catch(({ message }) => ({ error: message }));
    await new Promise((resolve) => process.send(result, resolve));
  }
  process.exit();
});
`;
