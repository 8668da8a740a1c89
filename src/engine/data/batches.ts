/**
 * Sequences to learn from. B batch, T position (blockSize).
 *
 * A label is the token that comes after the input at the same place; `IGNORE` where there is nothing to be learned.
 */

import { random } from "../random";
import type { Ids, Tokens } from "./tokens";

/** The label that the loss leaves out. */
export const IGNORE = -1;

export interface Batch {
  readonly ids: Int32Array; // [B, T]
  readonly labels: Int32Array; // [B, T]
}

export interface BatchShape {
  readonly batchSize: number;
  readonly blockSize: number;
}

/** Sequences from anywhere in the tokens; the same for the same seed and step, whatever came before. */
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

/** Sequences one after the other, all of the text in an epoch; each epoch after the first begins a little further on. */
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

/** How many batches `evaluationBatches` gives. */
export function countEvaluationBatches(tokens: Tokens, { batchSize, blockSize }: BatchShape): number {
  return Math.ceil(Math.max(tokens.length - 1, 0) / (batchSize * blockSize));
}

/** Sequences one after the other, so that every token but the first is a label exactly once; the rest is `IGNORE`. */
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

/** Rows that are `IGNORE` throughout. Their ids are 0, which every vocabulary has. */
export function emptyBatch(B: number, T: number): Batch {
  return { ids: new Int32Array(B * T), labels: new Int32Array(B * T).fill(IGNORE) };
}
