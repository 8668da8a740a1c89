/** Rows of a stored matrix as numbers, whatever its format, in pieces: a matrix can be larger than memory. */

import { setImmediate } from "node:timers/promises";
import { blockOf, type QuantizedTensor } from "../graph/node";
import { type Shape, sizeOf } from "../graph/shape";
import { isTranslation, openTranslation, openWeights, type Translation } from "../models/folder";
import type { ModelConfig } from "../nn/config";
import { readQuantized } from "../weights/quantize";
import { readStored, rowsOf, type StoredTensor } from "../weights/stored";

export type StoredWeight = StoredTensor | QuantizedTensor;

/** The weights of a decoder or translator, by our names. */
export type AnyWeights = Pick<Translation, "weights"> & { readonly cfg: ModelConfig };

/** Opens the weights of a model folder without reading them. */
export const openAnyWeights = async (dir: string): Promise<AnyWeights> =>
  (await isTranslation(dir)) ? openTranslation(dir) : openWeights(dir);

/** A weight's name in its checkpoint. */
export const checkpointName = (weight: StoredWeight): string => ("bits" in weight ? weight.weight.name : weight.name);

export interface Rows {
  /** Index of the first row. */
  readonly from: number;
  /** [count, width] */
  readonly values: Float32Array;
  readonly count: number;
}

/** Rows and columns of a weight; a vector is one row. */
export function matrixShape(weight: StoredWeight): readonly [number, number] {
  const shape = shapeOf(weight);
  return shape.length < 2 ? [1, sizeOf(shape)] : [shape[0] as number, sizeOf(shape.slice(1))];
}

/** A weight's shape; for a quantized matrix, the shape before quantization, [out, in]. */
export function shapeOf(weight: StoredWeight): Shape {
  if (!("bits" in weight)) return weight.shape;
  const [out, blocks] = weight.scales.shape as [number, number];
  return [out, blocks * blockOf(weight)];
}

/** All rows in order. Yields to the event loop after each piece. */
export async function* weightRows(weight: StoredWeight, signal?: AbortSignal): AsyncGenerator<Rows> {
  const [rows, width] = matrixShape(weight);
  const isWhole = rows === 1 || (!("bits" in weight) && weight.strides !== undefined);
  const step = isWhole ? rows : Math.max(1, Math.floor(NUMBERS_PER_PIECE / width));
  for (let from = 0; from < rows; from += step) {
    signal?.throwIfAborted();
    const to = Math.min(rows, from + step);
    yield { from, count: to - from, values: await readRows(weight, from, to) };
    await setImmediate();
  }
}

const NUMBERS_PER_PIECE = 1 << 20;

/** Rows `from` to `to - 1`. */
export async function readRows(weight: StoredWeight, from: number, to: number): Promise<Float32Array> {
  const [rows, width] = matrixShape(weight);
  if (!("bits" in weight)) {
    if (!weight.strides) return readStored(rows === 1 ? weight : rowsOf(weight, from, to));
    return (await readStored(weight)).subarray(from * width, to * width);
  }
  return readQuantized(weight, from, to);
}
