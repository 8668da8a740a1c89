/** Accuracy of a model's greedy answers to a task. */

import type { TaskReport } from "../api/run";
import { Decoding } from "../generate/decoding";
import { Translator } from "../generate/translate";
import { isEncoderDecoder, type ModelConfig } from "../nn/config";
import type { DeviceWeights } from "../runtime/weights";
import type { Task, TaskExample } from "./data";

/** Prompts per batch. */
const BATCH = 250;

export interface TaskScore {
  /** Share of examples whose answer is decoded correctly in every token, EOS included. */
  readonly accuracy: number;
  /** Only for tasks that can locate errors in an answer. */
  readonly task?: TaskReport;
}

export async function taskScore(
  cfg: ModelConfig,
  weights: DeviceWeights,
  { report }: Pick<Task, "report">,
  examples: readonly TaskExample[],
  signal?: AbortSignal,
): Promise<TaskScore> {
  const written = await answersTo(cfg, weights, examples, signal);
  const isCorrect = ({ answer }: TaskExample, i: number) =>
    answer.length === written[i]?.length && answer.every((id, t) => id === written[i]?.[t]);
  const accuracy = examples.filter(isCorrect).length / examples.length;
  return { accuracy, ...(report && { task: report(examples, written) }) };
}

async function answersTo(
  cfg: ModelConfig,
  weights: DeviceWeights,
  examples: readonly TaskExample[],
  signal?: AbortSignal,
): Promise<(readonly number[])[]> {
  const size = Math.min(BATCH, examples.length);
  const decoding = isEncoderDecoder(cfg) ? new Translator(cfg, weights, size) : new Decoding(cfg, weights, size);
  const written: (readonly number[])[] = [];
  try {
    for (let start = 0; start < examples.length; start += size) {
      // The last batch is padded with its first example, which is not counted again.
      const real = examples.slice(start, start + size);
      const batch = Array.from({ length: size }, (_, i) => (real[i] ?? real[0]) as TaskExample);
      const answers =
        decoding instanceof Translator ? translations(decoding, batch, signal) : answersOf(decoding, batch, signal);
      written.push(...(await answers).slice(0, real.length));
    }
  } finally {
    await decoding.release();
  }
  return written;
}

async function translations(translator: Translator, batch: readonly TaskExample[], signal?: AbortSignal) {
  // A translation longer than every answer is wrong.
  const maxNewTokens = Math.max(...batch.map(({ answer }) => answer.length));
  return translator.translate(
    batch.map(({ prompt }) => prompt),
    { maxNewTokens, signal },
  );
}

/** Generates as many tokens as the answer has. */
async function answersOf(
  decoding: Decoding,
  batch: readonly TaskExample[],
  signal?: AbortSignal,
): Promise<readonly number[][]> {
  const written = batch.map((): number[] => []);
  const column = (t: number) => batch.map(({ prompt }) => prompt[t] as number);
  const promptLength = batch[0]?.prompt.length ?? 0;
  const answerLength = batch[0]?.answer.length ?? 0;

  decoding.rewind(0);
  let next: Int32Array = Int32Array.from(Array.from({ length: promptLength }, (_, t) => column(t)).flat()); // [T, B]
  for (let t = 0; t < answerLength; t++) {
    signal?.throwIfAborted();
    next = (await decoding.append(next, { signal })).best;
    for (const [b, ids] of written.entries()) ids.push(next[b] as number);
  }
  return written;
}
