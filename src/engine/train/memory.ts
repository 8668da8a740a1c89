/** Estimates the memory of a run before it starts. */

import { freemem, totalmem } from "node:os";
import { byteSize } from "../../text/untrusted";
import type { MemoryEstimate, TrainConfig } from "../api/run";
import { EngineError } from "../errors";
import { input, type Node, topoSort } from "../graph/node";
import { sizeOf } from "../graph/shape";
import { adapterSpecs, type Lora, withAdapters } from "../nn/adapters";
import { decoderOf, isEncoderDecoder, type ModelConfig } from "../nn/config";
import { countParameters, type ParamSpec, paramNodes, paramSpecs } from "../nn/params";
import { evalGraph, stepGraph, type TrainedNodes } from "./step";

/** Model and settings of a run. */
interface Training {
  readonly cfg: ModelConfig;
  readonly train: TrainConfig;
  /** Null to train all parameters. */
  readonly lora: Lora | null;
}

const FLOAT = 4;

/** Memory that is available without swapping. macOS counts caches as used, so half of its memory is assumed free. */
export const freeMemory = (): number =>
  process.platform === "darwin" ? totalmem() / 2 : (process.availableMemory?.() ?? freemem());

/** Estimates whether a run fits in memory, with advice if it does not. */
export function estimateMemory(training: Training, freeBytes: number): MemoryEstimate {
  const { cfg, train, lora } = training;
  const parameters = countParameters(cfg);
  const neededBytes = neededBy(training, freeBytes);
  const fits = neededBytes <= freeBytes;
  const sizes = { parameters, neededBytes, freeBytes, fits };
  if (fits) return { ...sizes, advice: null };
  const task = lora ? "Training adapters" : `Training ${(parameters / 1e6).toFixed(1)} million parameters`;
  const problem = `${task} with batches of ${train.batchSize} sequences of ${train.blockSize} tokens needs about ${byteSize(neededBytes)} of memory, but only ${byteSize(freeBytes)} are free`;
  return { ...sizes, advice: `${problem}. ${remedy(training, freeBytes)}.` };
}

/** Throws if a run does not fit in memory. */
export function requireMemory(training: Training, freeBytes: number): void {
  const { advice } = estimateMemory(training, freeBytes);
  if (advice !== null) throw new EngineError("config", advice);
}

function remedy({ cfg, train, lora }: Training, freeBytes: number): string {
  const { nLayers, dModel } = decoderOf(cfg);
  if (weightBytes(cfg, lora) > freeBytes) {
    if (lora) return "Choose a smaller model";
    return `Choose a smaller model.dModel (${dModel}) or fewer layers (model.nLayers=${nLayers}), or, for a pretrained model, train adapters with lora.rank=8`;
  }
  const { batchSize, gradientAccumulation: passes } = train;
  for (let parts = 2; parts <= batchSize; parts++) {
    if (batchSize % parts !== 0) continue;
    const smaller = { ...train, batchSize: batchSize / parts };
    if (neededBy({ cfg, train: smaller, lora }, freeBytes) > freeBytes) continue;
    return `Choose a smaller train.batchSize: ${smaller.batchSize} with train.gradientAccumulation=${passes * parts} is equivalent`;
  }
  return `Choose a smaller train.batchSize and a smaller train.blockSize (${train.blockSize}), or fewer layers (${nLayers})`;
}

/** Memory of a run in bytes, or a lower bound if that already exceeds the free memory. */
function neededBy({ cfg, train, lora }: Training, freeBytes: number): number {
  const least = weightBytes(cfg, lora) + keptBytes(cfg, train);
  if (least > freeBytes) return least;
  const trained = lora && !isEncoderDecoder(cfg) ? adapterNodes(cfg, lora) : undefined;
  const { outputs, segments } = stepGraph(cfg, train, trained);
  const evaluation = evalGraph(cfg, train, segments, trained);
  const values = peakBytes(Object.values(outputs)) + peakBytes(Object.values(evaluation));
  return RUNTIME_BYTES + weightBytes(cfg, lora) + ARENA * values;
}

// Measured on four models of 0.3 to 43 million parameters: the estimate is 0.96 to 1.09 of the actual memory.
/** The runtime itself and compilation. */
const RUNTIME_BYTES = 85 * 2 ** 20;
/** Overhead of the runtime's arena, which grows by doubling and has gaps. */
const ARENA = 2;

/** Copies per trained value: the value and its two moments before a call, after it, and before the current step. */
const TRAINED_COPIES = 9;
/** Copies per frozen value: one for training, one for evaluation. */
const FROZEN_COPIES = 2;

function weightBytes(cfg: ModelConfig, lora: Lora | null): number {
  const count = (specs: readonly ParamSpec[]) => specs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const trained = count(lora ? adapterSpecs(decoderOf(cfg), lora) : paramSpecs(cfg));
  const frozen = lora ? countParameters(cfg) : 0;
  return FLOAT * (TRAINED_COPIES * trained + FROZEN_COPIES * frozen);
}

/** Lower bound of the activations kept for the backward pass: q, k, v, z, the MLP's hidden layer, the attention patterns and the logits. */
function keptBytes(cfg: ModelConfig, { batchSize: B, blockSize: T }: TrainConfig): number {
  const { nLayers, dModel, dMlp, nHeads, vocabSize } = decoderOf(cfg);
  return FLOAT * B * T * (nLayers * (4 * dModel + dMlp + nHeads * T) + vocabSize);
}

/** Adapters with placeholders for the frozen weights. */
function adapterNodes(cfg: Parameters<typeof adapterSpecs>[0], lora: Lora): TrainedNodes {
  const base = paramNodes(new Map(paramSpecs(cfg).map(({ name, shape }) => [name, input(name, shape)])));
  return { specs: adapterSpecs(cfg, lora), nodes: (adapters) => withAdapters(base, adapters, lora) };
}

/** Peak bytes of the values of a graph, if they are computed in order and freed after their last use. */
function peakBytes(outputs: readonly Node[]): number {
  const order = topoSort(outputs);
  // A reshape shares the memory of its input.
  const held = (node: Node): Node => (node.op === "reshape" ? held(node.inputs[0] as Node) : node);
  const lastUse = new Map<Node, number>();
  order.forEach((node, i) => {
    for (const x of node.inputs as readonly Node[]) lastUse.set(held(x), i);
  });
  for (const node of outputs) lastUse.set(held(node), Infinity);
  const bytesOf = (node: Node) =>
    ["input", "constant", "reshape", "stored", "quantized"].includes(node.op) ? 0 : FLOAT * sizeOf(node.shape);
  let [live, peak] = [0, 0];
  order.forEach((node, i) => {
    live += bytesOf(node);
    peak = Math.max(peak, live);
    for (const x of new Set((node.inputs as readonly Node[]).map(held))) if (lastUse.get(x) === i) live -= bytesOf(x);
  });
  return peak;
}
