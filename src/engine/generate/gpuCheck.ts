/**
 * Which ways of attention a GPU computes correctly: a tiny model's logits on the GPU are compared with the CPU's.
 *
 * onnxruntime's fused operator has been wrong on GPUs whose subgroups its kernels did not expect (SwiftShader; NVIDIA's in
 * https://github.com/microsoft/onnxruntime/pull/28520), without an error, from some prompt length on.
 */

import { readFile } from "node:fs/promises";
import { release } from "node:os";
import { join } from "node:path";
import { cacheFolder, hashOf } from "../data/cache";
import { EngineError } from "../errors";
import { input } from "../graph/node";
import { Tracer } from "../inspect/tracer";
import { classicDecoder, type DecoderConfig } from "../nn/config";
import { initParams, paramNodes, paramSpecs } from "../nn/params";
import {
  type GpuResult,
  type GpuStep,
  type GpuTensor,
  gpuError,
  gpuTensor,
  message,
  runOnGpu,
} from "../runtime/gpuProcess";
import { lower } from "../runtime/lower";
import { versions } from "../runtime/versions";
import { placeWeights } from "../runtime/weights";
import { makeFolder, writeFileWhole } from "../weights";
import { decodeGraph, positionFeeds } from "./decodeGraph";
import { attentionFeeds, type GpuAttention } from "./gpuCache";

/** The way of attention for prompts, and for single tokens after them. */
export interface AttentionPaths {
  readonly prompts: GpuAttention;
  readonly tokens: GpuAttention;
}

export interface GpuCheck extends AttentionPaths {
  /** For people: the result in half a sentence. */
  readonly summary: string;
}

/** The GPU computes wrong values, or cannot run the model. */
export class WrongGpu extends EngineError {}

let checked: Promise<GpuCheck> | undefined;

/** Returns the result of the check, which runs once per process; throws why WebGPU cannot be used. */
export function checkGpu(): Promise<GpuCheck> {
  checked ??= remembered(async () => summarized(await checkPaths()));
  // A GPU that was busy may answer the next time.
  checked.catch(() => (checked = undefined));
  return checked;
}

const tiny: DecoderConfig = {
  ...classicDecoder({
    ...{ vocabSize: 32, nCtx: 128, nLayers: 2, nHeads: 4, dModel: 32, dMlp: 64, norm: "pre", finalNorm: true },
    ...{ normEps: 1e-5, normBias: true, activation: "gelu", attentionBias: true, mlpBias: true, tiedHead: true },
    headBias: false,
  }),
  nKvHeads: 2,
  dHead: 32,
  attentionScale: 0.3,
  positions: { kind: "rotary", dims: 32, theta: 1000, scaling: null, unrotatedLayers: [] },
  windows: [20, null],
};

/** Prompts of these lengths are read, followed by single tokens. Kernels change at multiples of 8 to 64 positions. */
const LENGTHS = [1, 24, 33, 100];
const TOKENS_AFTER = 2;
/** Logits are about 1; correct ones differ by less than 1e-5 from the CPU's, wrong ones by more than 0.01. */
const MOST_DIFFERENCE = 1e-3;

interface Comparison {
  /** The largest difference of logits; Infinity if a step failed. */
  readonly difference: number;
  readonly milliseconds: number;
}

/** Runs the check. Tests pass a `run` that returns wrong values. */
export async function checkPaths(run: typeof runOnGpu = runOnGpu): Promise<AttentionPaths> {
  const params = initParams(tiny, "xavier", 1);
  const ids = Array.from({ length: Math.max(...LENGTHS) + TOKENS_AFTER }, (_, i) => (i * i * 7 + i * 3 + 5) % 32);
  const expected = await logitsOnCpu(params, ids);

  const steps: GpuStep[] = [];
  const compared: {
    readonly use: "plainPrompt" | "fusedPrompt" | "plainToken" | "fusedToken";
    at: number;
    last: number;
  }[] = [];
  const step = (way: GpuAttention, past: number, count: number) => {
    compared.push({
      use: `${way}${count > 1 || past === 0 ? "Prompt" : "Token"}`,
      at: steps.length,
      last: past + count - 1,
    });
    steps.push({ graph: way, feeds: feedsOf(ids.slice(past, past + count), past), updates: cacheNames });
  };
  steps.push({ graph: "cache", feeds: { x: gpuTensor(new Float32Array(sizeOfCache), cacheShape) }, keeps: true });
  // Plain attention first: a fused kernel may end the process.
  for (const length of LENGTHS) {
    step("plain", 0, length);
    step("plain", length, 1);
  }
  for (const length of LENGTHS) {
    step("plain", 0, length);
    step("fused", length, 1);
    step("fused", length + 1, 1);
  }
  for (const length of LENGTHS) step("fused", 0, length);

  const results = await run({ graphs: graphs(), shared: sharedFeeds(params), steps });
  const failed = results.slice(0, 2).find(({ error }) => error !== undefined);
  if (failed?.error !== undefined) throw gpuError(failed.error);
  const V = tiny.vocabSize;
  const outcome = (use: (typeof compared)[number]["use"]): Comparison => {
    const found = compared.filter((step) => step.use === use);
    const difference = Math.max(
      ...found.map(({ at, last }) => differenceOf(results[at], expected.subarray(last * V, (last + 1) * V))),
    );
    const longest = results[found.at(-1)?.at as number];
    return { difference, milliseconds: longest?.error === undefined ? (longest?.milliseconds ?? Infinity) : Infinity };
  };
  const right = ({ difference }: Comparison) => difference <= MOST_DIFFERENCE;
  const [plain, fused] = [outcome("plainPrompt"), outcome("fusedPrompt")];
  const [plainToken, fusedToken] = [outcome("plainToken"), outcome("fusedToken")];
  if (!right(plain) || !right(plainToken)) {
    const worst = Math.max(plain.difference, plainToken.difference);
    const problem = Number.isFinite(worst)
      ? `its results differ by ${worst.toPrecision(2)} from the CPU's in a test`
      : "it could not run a test model";
    throw new WrongGpu(
      "device",
      `WebGPU is not used on this GPU: ${problem}. Choose the device cpu, or update the GPU's driver.`,
    );
  }
  return {
    prompts: right(fused) && fused.milliseconds < plain.milliseconds ? "fused" : "plain",
    tokens: right(fusedToken) ? "fused" : "plain",
  };
}

const summarized = (paths: AttentionPaths): GpuCheck => ({
  ...paths,
  summary: `checked: ${paths.prompts} attention for prompts, ${paths.tokens} for single tokens`,
});

/** Logits after each position, [T, V], from a forward pass without a cache. */
async function logitsOnCpu(params: ReadonlyMap<string, Float32Array>, ids: readonly number[]): Promise<Float32Array> {
  const tracer = new Tracer(tiny, await placeWeights(tiny, params, "cpu"));
  const trace = await tracer.trace([ids], "whole", (name) => name === "logits");
  await tracer.release();
  return trace.get("logits")?.data as Float32Array;
}

function differenceOf(result: GpuResult | undefined, expected: Float32Array): number {
  const logits = result?.error === undefined ? result?.outputs.logits : undefined;
  if (logits?.length !== expected.length) return Infinity;
  // NaN counts as wrong.
  return expected.reduce((most, x, i) => {
    const difference = Math.abs(x - (logits[i] as number));
    return difference <= most ? most : Number.isFinite(difference) ? difference : Infinity;
  }, 0);
}

const cacheNames = Array.from({ length: tiny.nLayers }, (_, l) => [`cache.${l}.k`, `cache.${l}.v`]).flat();
const cacheShape = [1, tiny.nKvHeads, tiny.nCtx, tiny.dHead];
const sizeOfCache = cacheShape.reduce((n, d) => n * d, 1);

function graphs() {
  const param = paramNodes(new Map(paramSpecs(tiny).map(({ name, shape }) => [name, input(name, shape)])));
  const x = input("x", cacheShape);
  const graph = (way: GpuAttention) => lower(decodeGraph(tiny, { param }, 1, way), "webgpu");
  return {
    cache: lower(Object.fromEntries(cacheNames.map((name) => [name, x.mul(1)])), "webgpu"),
    plain: graph("plain"),
    fused: graph("fused"),
  };
}

const sharedFeeds = (params: ReadonlyMap<string, Float32Array>): Record<string, GpuTensor> =>
  Object.fromEntries(
    paramSpecs(tiny).map(({ name, shape }) => [name, gpuTensor(params.get(name) as Float32Array, shape)]),
  );

/** The inputs of a step that reads tokens after `past` others. */
function feedsOf(ids: readonly number[], past: number): Record<string, GpuTensor> {
  const T = ids.length;
  const positions = Int32Array.from(ids, (_, t) => past + t);
  const half = tiny.dHead / 2;
  const tables = positionFeeds(tiny, positions, past + T) as Record<string, Float32Array>;
  const attention = attentionFeeds(tiny, T, Int32Array.of(past), [T]);
  return {
    ...Object.fromEntries(Object.entries(tables).map(([name, data]) => [name, gpuTensor(data, [T, half])])),
    ids: gpuTensor(Int32Array.from(ids), [T, 1]),
    lastRow: gpuTensor(Int32Array.of(T - 1), [1]),
    ...Object.fromEntries(Object.entries(attention).map(([name, tensor]) => [name, message(tensor)])),
  };
}

/**
 * The result of a check of the same software on the same machine within a day, if the check is slow. onnxruntime does not
 * report the name of the GPU, so the machine stands for it.
 */
async function remembered(check: () => Promise<GpuCheck>): Promise<GpuCheck> {
  const { decoderLab, onnxruntime } = versions();
  const { VK_ICD_FILENAMES = "", VK_DRIVER_FILES = "" } = process.env;
  const machine = [process.platform, process.arch, release(), await systemGpus(), VK_ICD_FILENAMES, VK_DRIVER_FILES];
  const name = hashOf(decoderLab, onnxruntime, ...machine);
  const path = join(cacheFolder(), "gpu", `${name}.json`);
  const known = await readFile(path, "utf8").then(parsed, () => null);
  if (known) return known;
  const start = performance.now();
  const result = await check();
  if (performance.now() - start > FAST_MS) {
    const { prompts, tokens } = result;
    // A read-only cache works too.
    await makeFolder(join(cacheFolder(), "gpu"))
      .then(() => writeFileWhole(path, JSON.stringify({ prompts, tokens, at: Date.now() })))
      .catch(() => {});
  }
  return result;
}

const FAST_MS = 500;
const DAY_MS = 24 * 3600 * 1000;

function parsed(text: string): GpuCheck | null {
  try {
    const { prompts, tokens, at } = JSON.parse(text);
    const isWay = (way: unknown): way is GpuAttention => way === "plain" || way === "fused";
    const age = Date.now() - at;
    return isWay(prompts) && isWay(tokens) && age >= 0 && age < DAY_MS ? summarized({ prompts, tokens }) : null;
  } catch {
    return null;
  }
}

/** The ids of the graphics devices on Linux; empty elsewhere. */
async function systemGpus(): Promise<string> {
  const cards = Array.from({ length: 8 }, (_, i) => `/sys/class/drm/card${i}/device`);
  const ids = cards.map(async (card) => {
    const read = (name: string) => readFile(`${card}/${name}`, "utf8").catch(() => "");
    return (await Promise.all(["vendor", "device", "revision"].map(read))).join(":");
  });
  return (await Promise.all(ids)).join();
}
