/**
 * The addition task: `<BOS>15+57=072<EOS>`, for all numbers of two digits.
 *
 *     ids      <BOS> 1 5 + 5 7 = 0 7 2
 *     labels       . . . . . . 0 7 2 <EOS>      . is IGNORE: the question is not to be learned
 */

import { random } from "../random";
import { adderTokenizer } from "../tokenizers";
import { type Batch, emptyBatch } from "./batches";

/** `<BOS>dd+dd=`, then the answer `ddd<EOS>`. */
export const ADDER_PROMPT_LENGTH = 7;
export const ADDER_ANSWER_LENGTH = 4;
export const ADDER_LENGTH = ADDER_PROMPT_LENGTH + ADDER_ANSWER_LENGTH;
/** Positions of a training sequence: all but the last token. */
export const ADDER_BLOCK_SIZE = ADDER_LENGTH - 1;

/** Equations as ids, `ADDER_LENGTH` each. */
export interface Equations {
  readonly count: number;
  readonly ids: Int32Array; // [count, ADDER_LENGTH]
}

export interface AdderData {
  readonly train: Equations;
  readonly validation: Equations;
  readonly test: Equations;
}

/** All 10,000 equations, shuffled by the seed, 7000 to train on, 2000 to validate, 1000 to test. */
export function adderData(seed: number): AdderData {
  const tokenizer = adderTokenizer();
  const order = shuffled(10_000, seed, "adder");
  const rows = (start: number, end: number): Equations => {
    const ids = Array.from(order.subarray(start, end), (i) => tokenizer.encode(equation(Math.floor(i / 100), i % 100)));
    return { count: end - start, ids: Int32Array.from(ids.flat()) };
  };
  return { train: rows(0, 7000), validation: rows(7000, 9000), test: rows(9000, 10_000) };
}

/** `equation(5, 7)` is `<BOS>05+07=012<EOS>`. */
function equation(a: number, b: number): string {
  const digits = (n: number, length: number) => String(n).padStart(length, "0");
  return `<BOS>${digits(a, 2)}+${digits(b, 2)}=${digits(a + b, 3)}<EOS>`;
}

/** Steps of an epoch: every equation is seen once, the last batch is filled with rows that are ignored. */
export function adderBatchesPerEpoch({ count }: Equations, batchSize: number): number {
  return Math.ceil(count / batchSize);
}

/** The batch of a step, counted from 0 over all epochs; each epoch has an order of its own. */
export function adderBatch(equations: Equations, options: { batchSize: number; seed: number; step: number }): Batch {
  const { batchSize, seed, step } = options;
  const perEpoch = adderBatchesPerEpoch(equations, batchSize);
  const order = shuffled(equations.count, seed, "epoch", Math.floor(step / perEpoch));
  return batchOf(equations, order, step % perEpoch, batchSize);
}

/** The batches of the equations in their own order, to evaluate. */
export function* adderEvaluationBatches(equations: Equations, batchSize: number): Generator<Batch> {
  const order = Int32Array.from({ length: equations.count }, (_, i) => i);
  for (let i = 0; i < adderBatchesPerEpoch(equations, batchSize); i++) yield batchOf(equations, order, i, batchSize);
}

function batchOf({ ids }: Equations, order: Int32Array, index: number, B: number): Batch {
  const T = ADDER_BLOCK_SIZE;
  const batch = emptyBatch(B, T);
  order.subarray(index * B, (index + 1) * B).forEach((row, b) => {
    const start = row * ADDER_LENGTH;
    batch.ids.set(ids.subarray(start, start + T), b * T);
    const answer = ids.subarray(start + ADDER_PROMPT_LENGTH, start + ADDER_LENGTH);
    batch.labels.set(answer, b * T + ADDER_PROMPT_LENGTH - 1);
  });
  return batch;
}

/** The numbers below n in random order (Fisher and Yates). */
function shuffled(n: number, seed: number, ...label: (string | number)[]): Int32Array {
  const { below } = random(seed, "shuffle", ...label);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = below(i + 1);
    const other = order[j] as number;
    order[j] = order[i] as number;
    order[i] = other;
  }
  return order;
}
