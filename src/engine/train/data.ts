/** What a run trains on, as the trainer sees it. */

import {
  ADDER_BLOCK_SIZE,
  ADDER_LENGTH,
  ADDER_PROMPT_LENGTH,
  adderBatch,
  adderData,
  adderEvaluationBatches,
  type Batch,
  type BatchShape,
  countEvaluationBatches,
  evaluationBatch,
  IGNORE,
  randomBatch,
  type Splits,
  sequentialBatch,
} from "../data";
import type { StepBatch } from "./stepper";

export interface TrainingData {
  /** Tokens of a batch that are learned from, for tokens per second. */
  readonly tokensPerStep: number;
  /** The batch of a step (from 1): a pure function of the run's seed and the step, so that a resumed run repeats it. */
  batch(step: number): StepBatch;
  /** Batches of a split that no step trains on, and how many labels each has. */
  heldOut(split: "validation" | "test", most?: number): Iterable<HeldOutBatch>;
  /** A task's questions and the answers they should get; null for text. */
  readonly task: Task | null;
  /** What batches are made of, for those who make them elsewhere; null where they cannot. */
  readonly ids: IdParts | null;
  /** Closes the files that the text lies in. */
  release(): void;
}

export type IdParts =
  | ({ readonly kind: "text" } & Pick<Splits, "train" | "validation">)
  /** Rows of `rowLength` ids, one after the other; what follows the first `promptLength` of a row is learned. */
  | ({ readonly kind: "rows"; readonly rowLength: number; readonly promptLength: number } & {
      readonly [part in "train" | "validation"]: Int32Array;
    });

export interface HeldOutBatch {
  readonly batch: StepBatch;
  readonly labels: number;
}

export interface Task {
  /** Questions (of equal length, but for translators) with their answers, EOS included. */
  examples(split: "validation" | "test", most?: number): readonly TaskExample[];
}

export interface TaskExample {
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
}

/** A text in sequences of `blockSize` tokens, drawn anywhere from its training part or one after the other. */
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
      // Where not all are wanted they are spread over the split, so that each evaluation sees the same sample of it.
      const taken = Math.min(count, most);
      for (let i = 0; i < taken; i++)
        yield toStepBatch(evaluationBatch(tokens, shape, Math.floor((i * count) / taken)), B);
    },
    task: null,
    ids: { kind: "text", train: splits.train, validation: splits.validation },
    release,
  };
}

/** The addition task. */
export function adderTrainingData({
  batchSize: B,
  seed,
}: {
  readonly batchSize: number;
  readonly seed: number;
}): TrainingData {
  const data = adderData(seed);
  return {
    tokensPerStep: B * ADDER_BLOCK_SIZE,
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
          const row = [...ids.subarray(i * ADDER_LENGTH, (i + 1) * ADDER_LENGTH)];
          return { prompt: row.slice(0, ADDER_PROMPT_LENGTH), answer: row.slice(ADDER_PROMPT_LENGTH) };
        });
      },
    },
    ids: {
      kind: "rows",
      rowLength: ADDER_LENGTH,
      promptLength: ADDER_PROMPT_LENGTH,
      train: data.train.ids,
      validation: data.validation.ids,
    },
    release: () => {},
  };
}

/**
 * Sequences [B, T] as a step takes them: positions first, labels that do not count at weight 0, all others weighted so
 * that the loss is their mean.
 */
export function toStepBatch({ ids, labels }: Batch, B: number): HeldOutBatch {
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
