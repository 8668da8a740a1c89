/**
 * Arithmetic as a task: `<BOS>15+57=072<EOS>` for all pairs of two-digit numbers. Options: up to six digits, another
 * operator, and answers with their last digit first.
 *
 *     ids      <BOS> 1 5 + 5 7 = 0 7 2
 *     labels       . . . . . . 0 7 2 <EOS>      . is IGNORE: the question is not learned
 */

import { random } from "../random";
import { adderTokenizer } from "../tokenizers";
import { type Batch, emptyBatch } from "./batches";

export type Operator = "+" | "-" | "*";

/** The kind of arithmetic. */
export interface Arithmetic {
  /** Digits of each operand. */
  readonly digits: number;
  readonly operator: Operator;
  /** Writes answers from their last digit, in the order of calculation on paper. */
  readonly reversed: boolean;
}

/** The default task of the preset. */
export const ADDITION: Arithmetic = { digits: 2, operator: "+", reversed: false };

/** Token ids of equations; the first `promptLength` of each `length` ids are the question. */
export interface Equations {
  readonly count: number;
  readonly length: number;
  readonly promptLength: number;
  readonly ids: Int32Array; // [count, length]
}

export interface AdderData {
  readonly train: Equations;
  readonly validation: Equations;
  readonly test: Equations;
}

/** Characters of an answer: enough for the largest sum or product, or for a minus sign and a difference. */
const answerLength = ({ digits, operator }: Arithmetic) => (operator === "*" ? 2 * digits : digits + 1);

/** `<BOS>dd+dd=`, then the answer `ddd<EOS>`. */
export function equationShape(task: Arithmetic): Pick<Equations, "length" | "promptLength"> {
  const promptLength = 2 * task.digits + 3;
  return { promptLength, length: promptLength + answerLength(task) + 1 };
}

/** Token positions of a training sequence: all but the last token. */
export const equationBlockSize = (task: Arithmetic): number => equationShape(task).length - 1;

/** Maximum number of equations: all of two digits, and a sample for more digits. */
const MAX_EQUATIONS = 100_000;

/** Equations shuffled by the seed: 70 % for training, 20 % for validation, 10 % for testing. */
export function adderData(seed: number, task: Arithmetic = ADDITION): AdderData {
  const tokenizer = adderTokenizer();
  const questions = questionsOf(seed, task);
  const shape = equationShape(task);
  const rows = (start: number, end: number): Equations => {
    const ids = questions.slice(start, end).map(([a, b]) => tokenizer.encode(equation(a, b, task)));
    return { ...shape, count: end - start, ids: Int32Array.from(ids.flat()) };
  };
  const n = questions.length;
  const [validation, test] = [Math.round(0.7 * n), Math.round(0.9 * n)];
  return { train: rows(0, validation), validation: rows(validation, test), test: rows(test, n) };
}

/** Distinct pairs of operands in random order. */
function questionsOf(seed: number, { digits }: Arithmetic): readonly (readonly [number, number])[] {
  const numbers = 10 ** digits;
  if (numbers * numbers <= MAX_EQUATIONS) {
    const all = shuffled(numbers * numbers, seed, "adder");
    return Array.from(all, (i) => [Math.floor(i / numbers), i % numbers] as const);
  }
  const { below } = random(seed, "adder", digits);
  const drawn = new Set<number>();
  while (drawn.size < MAX_EQUATIONS) drawn.add(below(numbers) * numbers + below(numbers));
  return Array.from(drawn, (i) => [Math.floor(i / numbers), i % numbers] as const);
}

/** `equation(5, 7)` is `<BOS>05+07=012<EOS>`; the answer to 5 - 7 is `-02`. */
function equation(a: number, b: number, task: Arithmetic): string {
  const { digits, operator, reversed } = task;
  const digitsOf = (n: number, length: number) => String(n).padStart(length, "0");
  const value = operator === "+" ? a + b : operator === "-" ? a - b : a * b;
  const sign = value < 0 ? "-" : "";
  const answer = sign + digitsOf(Math.abs(value), answerLength(task) - sign.length);
  const shown = reversed ? [...answer].reverse().join("") : answer;
  return `<BOS>${digitsOf(a, digits)}${operator}${digitsOf(b, digits)}=${shown}<EOS>`;
}

/** Number of carries or borrows in a calculation; null for products, which carry in several rows. */
export function carriesOf(a: number, b: number, operator: Operator): number | null {
  if (operator === "*") return null;
  const [larger, smaller] = a >= b || operator === "+" ? [a, b] : [b, a];
  let carries = 0;
  let carry = 0;
  for (let [x, y] = [larger, smaller]; x > 0 || y > 0; [x, y] = [Math.floor(x / 10), Math.floor(y / 10)]) {
    const column = operator === "+" ? (x % 10) + (y % 10) + carry : 9 + (y % 10) + carry - (x % 10);
    carry = column > 9 ? 1 : 0;
    carries += carry;
  }
  return carries;
}

/** Steps per epoch: each equation occurs once, and ignored rows fill up the last batch. */
export function adderBatchesPerEpoch({ count }: Equations, batchSize: number): number {
  return Math.ceil(count / batchSize);
}

/** The batch of a step, counted from 0 over all epochs; each epoch has its own order. */
export function adderBatch(equations: Equations, options: { batchSize: number; seed: number; step: number }): Batch {
  const { batchSize, seed, step } = options;
  const perEpoch = adderBatchesPerEpoch(equations, batchSize);
  const order = shuffled(equations.count, seed, "epoch", Math.floor(step / perEpoch));
  return batchOf(equations, order, step % perEpoch, batchSize);
}

/** Batches of all equations in order, for evaluation. */
export function* adderEvaluationBatches(equations: Equations, batchSize: number): Generator<Batch> {
  const order = Int32Array.from({ length: equations.count }, (_, i) => i);
  for (let i = 0; i < adderBatchesPerEpoch(equations, batchSize); i++) yield batchOf(equations, order, i, batchSize);
}

function batchOf({ ids, length, promptLength }: Equations, order: Int32Array, index: number, B: number): Batch {
  const T = length - 1;
  const batch = emptyBatch(B, T);
  order.subarray(index * B, (index + 1) * B).forEach((row, b) => {
    const start = row * length;
    batch.ids.set(ids.subarray(start, start + T), b * T);
    const answer = ids.subarray(start + promptLength, start + length);
    batch.labels.set(answer, b * T + promptLength - 1);
  });
  return batch;
}

/** The integers below n in random order (Fisher-Yates). */
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
