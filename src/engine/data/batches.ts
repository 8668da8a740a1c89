/**
 * Sequences to learn from. B batch, T position (blockSize).
 *
 * A label is the token that comes after the input at the same place; `IGNORE` where there is nothing to be learned.
 */

import { random } from "../random";
import type { Tokens } from "./tokens";

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
    batch.ids.set(tokens.subarray(start, start + T), b * T);
    batch.labels.set(tokens.subarray(start + 1, start + T + 1), b * T);
  }
  return batch;
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
  batch.ids.set(tokens.subarray(start, end));
  batch.labels.set(tokens.subarray(start + 1, end + 1));
  return batch;
}

export function* evaluationBatches(tokens: Tokens, shape: BatchShape): Generator<Batch> {
  for (let i = 0; i < countEvaluationBatches(tokens, shape); i++) yield evaluationBatch(tokens, shape, i);
}

/** Rows that are `IGNORE` throughout. Their ids are 0, which every vocabulary has. */
export function emptyBatch(B: number, T: number): Batch {
  return { ids: new Int32Array(B * T), labels: new Int32Array(B * T).fill(IGNORE) };
}
