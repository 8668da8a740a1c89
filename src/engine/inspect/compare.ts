/** Differences between two traces, by position, and between the weights of two models. */

import { setImmediate } from "node:timers/promises";
import { alignedPositions } from "../../text/align";
import type { AlignedPositions, TraceDifference, WeightDifference } from "../api/trace";
import { EngineError } from "../errors";
import { sameShape } from "../graph/shape";
import { type DecoderConfig, decoderOf } from "../nn/config";
import { ENCODER, type ParamSpec, paramSpecs } from "../nn/params";
import { headInputs, type Trace, type TraceValue } from "./trace";
import {
  checkpointName,
  matrixShape,
  openAnyWeights,
  readRows,
  type StoredWeight,
  shapeOf,
  weightRows,
} from "./weightRows";

/** A trace with what its comparison needs of the model. */
export interface ComparedTrace {
  readonly trace: Trace;
  /** The decoder's configuration. */
  readonly cfg: DecoderConfig;
  /** Each token's text, [V]. */
  readonly vocabulary: readonly string[];
  readonly logProbabilities: (rows: Float32Array) => Promise<Float32Array>;
}

export async function compareTraces(
  a: ComparedTrace,
  b: ComparedTrace,
  signal?: AbortSignal,
): Promise<TraceDifference> {
  const isSame = (texts: readonly string[], others: readonly string[]) =>
    texts === others || (texts.length === others.length && texts.every((text, id) => text === others[id]));
  if (!isSame(a.vocabulary, b.vocabulary)) {
    throw new EngineError(
      "config",
      "The models have different vocabularies, so their predictions cannot be compared. Choose models with the same tokenizer.",
    );
  }
  const aligned = (name: string) => {
    const [ids, others] = [a, b].map(({ trace }) => trace.get(name)?.data);
    return ids && others && alignedPositions([...ids], [...others]);
  };
  const positions = aligned("ids") as AlignedPositions;
  const sourcePositions = aligned(`${ENCODER}ids`);
  const at = (name: string) => (isOverSource(name) ? sourcePositions : positions);
  return {
    positions,
    ...(sourcePositions && { sourcePositions }),
    divergence: await divergence(a, b, positions, signal),
    values: [...a.trace].flatMap(([name, value]) => {
      const [other, pairs] = [b.trace.get(name), at(name)];
      const relative = other && pairs && !WITHOUT_POSITIONS.has(name) ? relativeDifference(value, other, pairs) : null;
      return relative ? [{ name, relative }] : [];
    }),
  };
}

/** Returns whether a value of a translator has a vector for each token of the source. */
const isOverSource = (name: string): boolean => name.startsWith(ENCODER) || /\.cross\.[kv]$/.test(name);

/** Values that are not vectors, or not one per position. */
const WITHOUT_POSITIONS: ReadonlySet<string> = new Set(["ids", "mask", "enc.ids", "enc.mask", "logits"]);

/** KL divergence at each position, by tiles: every position has two distributions over the whole vocabulary. */
async function divergence(a: ComparedTrace, b: ComparedTrace, positions: AlignedPositions, signal?: AbortSignal) {
  const V = a.vocabulary.length;
  const tile = Math.max(1, Math.floor(MAX_LOGITS / V));
  const { length } = positions.a;
  const bits = new Float32Array(length);
  for (let from = 0; from < length; from += tile) {
    signal?.throwIfAborted();
    const to = Math.min(length, from + tile);
    const [p, q] = await Promise.all([
      a.logProbabilities(headInputsAt(a, positions.a.subarray(from, to))),
      b.logProbabilities(headInputsAt(b, positions.b.subarray(from, to))),
    ]);
    for (let t = from; t < to; t++) {
      // The log probabilities are float32: the error of their sums is larger than a small divergence, so both are normalized.
      let [product, sumA, sumB] = [0, 0, 0];
      for (let at = (t - from) * V; at < (t - from + 1) * V; at++) {
        const own = p[at] as number;
        const other = q[at] as number;
        product += Math.exp(own) * (own - other);
        sumA += Math.exp(own);
        sumB += Math.exp(other);
      }
      bits[t] = Math.max(0, (product / sumA + Math.log(sumB / sumA)) / Math.LN2);
    }
    await setImmediate();
  }
  return bits;
}

const MAX_LOGITS = 1 << 22;

/** Inputs of the head at each of the positions, [positions, D]. */
function headInputsAt({ trace, cfg }: ComparedTrace, positions: Uint32Array): Float32Array {
  const rows = new Float32Array(positions.length * cfg.dModel);
  for (const [i, t] of positions.entries()) rows.set(headInputs(trace, cfg, t, t + 1), i * cfg.dModel);
  return rows;
}

/** Relative difference of values [1, T, D] or [1, H, T, K] by position; null if their widths differ. */
function relativeDifference(a: TraceValue, b: TraceValue, positions: AlignedPositions): Float32Array | null {
  const isByHead = a.shape.length === 4;
  const widthOf = ({ shape }: TraceValue) => (isByHead ? [shape[1], shape[3]] : [1, shape[2]]);
  if (a.shape.length !== b.shape.length || widthOf(a).join() !== widthOf(b).join()) return null;
  const [H, K] = widthOf(a) as [number, number];
  const [Ta, Tb] = [a, b].map(({ shape }) => shape.at(-2)) as [number, number];
  return Float32Array.from(positions.a, (ta, pair) => {
    const tb = positions.b[pair] as number;
    let [difference, size] = [0, 0];
    for (let h = 0; h < H; h++) {
      for (let i = 0; i < K; i++) {
        const x = a.data[(h * Ta + ta) * K + i] as number;
        difference += (x - (b.data[(h * Tb + tb) * K + i] as number)) ** 2;
        size += x * x;
      }
    }
    return shareOf(difference, size);
  });
}

/** Root of the ratio of two sums of squares; 0 if there is no difference. */
const shareOf = (difference: number, size: number) => (difference === 0 ? 0 : Math.sqrt(difference / size));

/** Compares tensor by tensor, with the names of a's checkpoint; precisions can differ. */
export async function compareWeights(dirA: string, dirB: string, signal?: AbortSignal): Promise<WeightDifference[]> {
  const [a, b] = [await openAnyWeights(dirA), await openAnyWeights(dirB)];
  const [specs, others] = [paramSpecs(a.cfg), paramSpecs(b.cfg)];
  const isAlike = ({ name, shape }: ParamSpec, i: number) =>
    others[i]?.name === name && sameShape(others[i].shape, shape);
  if (specs.length !== others.length || !specs.every(isAlike)) {
    throw new EngineError(
      "config",
      "The models have different architectures, so their weights cannot be compared. Choose two with the same architecture and size.",
    );
  }
  const differences: WeightDifference[] = [];
  for (const spec of specs) {
    const [own, other] = [a, b].map(({ weights }) => weights.get(spec.name)) as [StoredWeight, StoredWeight];
    const isTransposed = (weight: StoredWeight) =>
      "bits" in weight && decoderOf(a.cfg).weightLayout === "inOut" && spec.role !== "embedding";
    const measured = await differenceOf(own, other, isTransposed(own) !== isTransposed(other), signal);
    differences.push({ name: checkpointName(own), shape: shapeOf(own), ...measured });
  }
  return differences;
}

/** With `isTransposed`, the rows of b are the columns of a. */
async function differenceOf(a: StoredWeight, b: StoredWeight, isTransposed: boolean, signal?: AbortSignal) {
  const whole = isTransposed ? transposed(await readRows(b, 0, matrixShape(b)[0]), matrixShape(b)) : null;
  const [, width] = matrixShape(a);
  let [difference, product, sizeA, sizeB] = [0, 0, 0, 0];
  for await (const { from, count, values } of weightRows(a, signal)) {
    const other = whole?.subarray(from * width, (from + count) * width) ?? (await readRows(b, from, from + count));
    for (let i = 0; i < values.length; i++) {
      const x = values[i] as number;
      const y = other[i] as number;
      difference += (y - x) * (y - x);
      product += x * y;
      sizeA += x * x;
      sizeB += y * y;
    }
  }
  const isEqual = difference === 0;
  return { relative: shareOf(difference, sizeA), cosine: isEqual ? 1 : product / Math.sqrt(sizeA * sizeB) };
}

function transposed(values: Float32Array, [rows, cols]: readonly [number, number]): Float32Array {
  const result = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) result[c * rows + r] = values[r * cols + c] as number;
  return result;
}
