/**
 * Training sequences. B batch, T position (blockSize).
 *
 * A label is the token that follows the input at the same position, or `IGNORE` if the position is not learned.
 */

import { random } from "../random";
import type { Ids, Tokens } from "./tokens";

/** The label of positions that do not count toward the loss. */
export const IGNORE = -1;

export interface Batch {
  readonly ids: Int32Array; // [B, T]
  readonly labels: Int32Array; // [B, T]
}

export interface BatchShape {
  readonly batchSize: number;
  readonly blockSize: number;
}

/** Sequences at random positions, which depend on seed and step only. */
export function randomBatch(
  tokens: Tokens,
  options: BatchShape & { readonly seed: number; readonly step: number },
): Batch {
  const { batchSize: B, blockSize: T, seed, step } = options;
  const { below } = random(seed, "batch", step);
  const batch = emptyBatch(B, T);
  for (let b = 0; b < B; b++) {
    const start = below(tokens.length - T);
    setRow(batch, b, tokens.subarray(start, start + T + 1));
  }
  return batch;
}

/** Consecutive sequences that cover the text once per epoch; later epochs start at a random offset. */
export function sequentialBatch(
  tokens: Tokens,
  options: BatchShape & { readonly seed: number; readonly step: number },
): Batch {
  const { batchSize: B, blockSize: T, seed, step } = options;
  const batch = emptyBatch(B, T);
  const perEpoch = Math.floor((tokens.length - 1) / T);
  const spare = tokens.length - 1 - perEpoch * T;
  for (let b = 0; b < B; b++) {
    const row = (step - 1) * B + b;
    const epoch = Math.floor(row / perEpoch);
    const offset = epoch === 0 ? 0 : random(seed, "offset", epoch).below(spare + 1);
    setRow(batch, b, tokens.subarray(offset + (row % perEpoch) * T, offset + ((row % perEpoch) + 1) * T + 1));
  }
  return batch;
}

/** A sequence and the token after it, as inputs and labels. */
function setRow({ ids, labels }: Batch, b: number, tokens: Ids): void {
  const T = tokens.length - 1;
  ids.set(tokens.subarray(0, T), b * T);
  labels.set(tokens.subarray(1), b * T);
}

/** Number of batches that `evaluationBatches` yields. */
export function countEvaluationBatches(tokens: Tokens, { batchSize, blockSize }: BatchShape): number {
  return Math.ceil(Math.max(tokens.length - 1, 0) / (batchSize * blockSize));
}

/** Consecutive sequences in which every token but the first is a label exactly once; padding is `IGNORE`. */
export function evaluationBatch(tokens: Tokens, { batchSize: B, blockSize: T }: BatchShape, index: number): Batch {
  const batch = emptyBatch(B, T);
  const start = index * B * T;
  const end = Math.min(start + B * T, tokens.length - 1);
  const row = tokens.subarray(start, end + 1);
  batch.ids.set(row.subarray(0, end - start));
  batch.labels.set(row.subarray(1));
  return batch;
}

export function* evaluationBatches(tokens: Tokens, shape: BatchShape): Generator<Batch> {
  for (let i = 0; i < countEvaluationBatches(tokens, shape); i++) yield evaluationBatch(tokens, shape, i);
}

/** Rows with only `IGNORE` labels. Their ids are 0, which every vocabulary has. */
export function emptyBatch(B: number, T: number): Batch {
  return { ids: new Int32Array(B * T), labels: new Int32Array(B * T).fill(IGNORE) };
}
