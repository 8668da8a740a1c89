/** Batches for training and evaluation, from a text or a task. */

import type { TaskReport } from "../api/run";
import {
  ADDITION,
  type Arithmetic,
  adderBatch,
  adderData,
  adderEvaluationBatches,
  type Batch,
  type BatchShape,
  carriesOf,
  countEvaluationBatches,
  emptyBatch,
  equationBlockSize,
  evaluationBatch,
  IGNORE,
  randomBatch,
  type Splits,
  sequentialBatch,
} from "../data";
import { shuffled } from "../data/pairs";
import type { StepBatch } from "./stepper";

export interface TrainingData {
  /** Learned tokens per batch, for tokens per second. */
  readonly tokensPerStep: number;
  /** The batch of a step (from 1): determined by seed and step, so that a resumed run repeats it. */
  batch(step: number): StepBatch;
  /** Batches of a split that is not trained on, with their numbers of labels. */
  heldOut(split: "validation" | "test", most?: number): Iterable<HeldOutBatch>;
  /** Questions with correct answers; null for text. */
  readonly task: Task | null;
  /** The token ids behind the batches, for exports that build their own; null if that is not possible. */
  readonly ids: IdParts | null;
  /** Closes the files of the text. */
  release(): void;
}

export type IdParts =
  | ({ readonly kind: "text" } & Pick<Splits, "train" | "validation">)
  /** Rows of `rowLength` ids; in each, the ids after the first `promptLength` are learned. */
  | ({ readonly kind: "rows"; readonly rowLength: number; readonly promptLength: number } & {
      readonly [part in "train" | "validation"]: Int32Array;
    });

export interface HeldOutBatch {
  readonly batch: StepBatch;
  readonly labels: number;
}

export interface Task {
  /** Questions (of equal length, except for translators) with their answers, EOS included. */
  examples(split: "validation" | "test", most?: number): readonly TaskExample[];
  /** Locates errors in the given answers; absent for tasks without digits. */
  readonly report?: (examples: readonly TaskExample[], written: readonly (readonly number[])[]) => TaskReport;
}

export interface TaskExample {
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
}

/** A text in sequences of `blockSize` tokens, at random positions of the training part or in order. */
export function textData(
  splits: Splits,
  shape: BatchShape & { readonly seed: number },
  { order = "random", release = () => {} }: { order?: "random" | "sequential"; release?: () => void } = {},
): TrainingData {
  const { batchSize: B, blockSize: T } = shape;
  const draw = order === "random" ? randomBatch : sequentialBatch;
  return {
    tokensPerStep: B * T,
    batch: (step) => toStepBatch(draw(splits.train, { ...shape, step }), B).batch,
    *heldOut(split, most = Infinity) {
      const tokens = splits[split].length > 0 ? splits[split] : splits.validation;
      const count = countEvaluationBatches(tokens, shape);
      // Fewer batches are spread evenly over the split, so that each evaluation uses the same sample.
      const batches = Math.min(count, most);
      for (let i = 0; i < batches; i++)
        yield toStepBatch(evaluationBatch(tokens, shape, Math.floor((i * count) / batches)), B);
    },
    task: null,
    ids: { kind: "text", train: splits.train, validation: splits.validation },
    release,
  };
}

/**
 * Sentences from BOS to EOS, padded to one length; padding is not learned. Each epoch has its own order. Nothing is held
 * out: so few sentences are memorized, and the loss over all of them measures how well.
 */
export function sentenceData(
  sentences: readonly (readonly number[])[],
  { batchSize: B, blockSize: T, seed }: BatchShape & { readonly seed: number },
): TrainingData {
  const perEpoch = Math.ceil(sentences.length / B);
  const labels = sentences.reduce((n, ids) => n + ids.length - 1, 0);
  const batchOf = (all: readonly (readonly number[])[], index: number): HeldOutBatch => {
    const batch = emptyBatch(B, T);
    all.slice(index * B, (index + 1) * B).forEach((ids, b) => {
      batch.ids.set(ids.slice(0, -1), b * T);
      batch.labels.set(ids.slice(1), b * T);
    });
    return toStepBatch(batch, B);
  };
  return {
    tokensPerStep: Math.round(labels / perEpoch),
    batch(step) {
      const epoch = Math.floor((step - 1) / perEpoch);
      return batchOf(shuffled(sentences, seed, "sentences", epoch), (step - 1) % perEpoch).batch;
    },
    *heldOut(_split, most = Infinity) {
      for (let i = 0; i < Math.min(perEpoch, most); i++) yield batchOf(sentences, i);
    },
    task: null,
    ids: null,
    release: () => {},
  };
}

/** Arithmetic tasks. */
export function adderTrainingData(
  { batchSize: B, seed }: { readonly batchSize: number; readonly seed: number },
  task: Arithmetic = ADDITION,
): TrainingData {
  const data = adderData(seed, task);
  const { length, promptLength } = data.train;
  return {
    tokensPerStep: B * equationBlockSize(task),
    batch: (step) => toStepBatch(adderBatch(data.train, { batchSize: B, seed, step: step - 1 }), B).batch,
    *heldOut(split, most = Infinity) {
      let given = 0;
      for (const batch of adderEvaluationBatches(data[split], B)) {
        if (given++ >= most) return;
        yield toStepBatch(batch, B);
      }
    },
    task: {
      examples: (split, most = Infinity) => {
        const { ids, count } = data[split];
        return Array.from({ length: Math.min(count, most) }, (_, i) => {
          const row = [...ids.subarray(i * length, (i + 1) * length)];
          return { prompt: row.slice(0, promptLength), answer: row.slice(promptLength) };
        });
      },
      report: (examples, written) => arithmeticReport(task, examples, written),
    },
    ids: {
      kind: "rows",
      rowLength: length,
      promptLength,
      train: data.train.ids,
      validation: data.validation.ids,
    },
    release: () => {},
  };
}

/** Digits are their own ids. */
const isDigit = (id: number | undefined): id is number => id !== undefined && id < 10;

/** Accuracy and confusion by digit position, and accuracy by number of carries. */
function arithmeticReport(
  { digits, operator }: Arithmetic,
  examples: readonly TaskExample[],
  written: readonly (readonly number[])[],
): TaskReport {
  // Without EOS.
  const positions = (examples[0]?.answer.length ?? 1) - 1;
  const rightAt = Array<number>(positions).fill(0);
  const confusion = rightAt.map(() => Array.from({ length: 10 }, () => Array<number>(10).fill(0)));
  const byCarry = new Map<number, { right: number; of: number }>();
  examples.forEach(({ prompt, answer }, i) => {
    const given = written[i] ?? [];
    for (let at = 0; at < positions; at++) {
      const [expected, predicted] = [answer[at], given[at]];
      if (expected === predicted) rightAt[at] = (rightAt[at] as number) + 1;
      const row = isDigit(expected) ? confusion[at]?.[expected] : undefined;
      if (row && isDigit(predicted)) row[predicted] = (row[predicted] as number) + 1;
    }
    const numberAt = (start: number) => Number(prompt.slice(start, start + digits).join(""));
    const carries = carriesOf(numberAt(1), numberAt(2 + digits), operator);
    if (carries === null) return;
    const counted = byCarry.get(carries) ?? { right: 0, of: 0 };
    counted.of++;
    if (answer.every((id, t) => id === given[t])) counted.right++;
    byCarry.set(carries, counted);
  });
  return {
    byDigit: rightAt.map((right) => right / Math.max(1, examples.length)),
    byCarry: [...byCarry].sort(([a], [b]) => a - b).map(([carries, counted]) => ({ carries, ...counted })),
    confusion,
  };
}

/**
 * Transposes sequences [B, T] to a step's layout [T, B]. Ignored labels have weight 0; the weights of the others make the
 * loss their mean.
 */
function toStepBatch({ ids, labels }: Batch, B: number): HeldOutBatch {
  const T = ids.length / B;
  let count = 0;
  for (const label of labels) if (label !== IGNORE) count++;
  const batch = { ids: new Int32Array(T * B), labels: new Int32Array(T * B), labelWeights: new Float32Array(T * B) };
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) {
      const label = labels[b * T + t] as number;
      const to = t * B + b;
      batch.ids[to] = ids[b * T + t] as number;
      if (label === IGNORE) continue;
      batch.labels[to] = label;
      batch.labelWeights[to] = 1 / count;
    }
  }
  return { batch, labels: count };
}
