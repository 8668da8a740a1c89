/** How many of a task's answers a model gets right, greedily. */

import { Decoding } from "../generate/decoding";
import { Translator } from "../generate/translate";
import { isEncoderDecoder, type ModelConfig } from "../nn/config";
import type { DeviceWeights } from "../runtime/weights";
import type { TaskExample } from "./data";

/** Prompts answered side by side. */
const BATCH = 250;

/** The share of examples of which every token of the answer, EOS included, is what greedy decoding gives. */
export async function taskAccuracy(
  cfg: ModelConfig,
  weights: DeviceWeights,
  examples: readonly TaskExample[],
  signal?: AbortSignal,
): Promise<number> {
  const size = Math.min(BATCH, examples.length);
  const decoding = isEncoderDecoder(cfg) ? new Translator(cfg, weights, size) : new Decoding(cfg, weights, size);
  let right = 0;
  try {
    for (let start = 0; start < examples.length; start += size) {
      // The last batch is filled up with its own first example, which is not counted again.
      const real = examples.slice(start, start + size);
      const batch = Array.from({ length: size }, (_, i) => (real[i] ?? real[0]) as TaskExample);
      const answers =
        decoding instanceof Translator
          ? translationsRight(decoding, batch, signal)
          : answersRight(decoding, batch, signal);
      right += (await answers).slice(0, real.length).filter(Boolean).length;
    }
  } finally {
    await decoding.release();
  }
  return right / examples.length;
}

async function translationsRight(
  translator: Translator,
  batch: readonly TaskExample[],
  signal?: AbortSignal,
): Promise<boolean[]> {
  // What is longer than every answer is wrong.
  const maxNewTokens = Math.max(...batch.map(({ answer }) => answer.length));
  const written = await translator.translate(
    batch.map(({ prompt }) => prompt),
    { maxNewTokens, signal },
  );
  return batch.map(
    ({ answer }, b) => answer.length === written[b]?.length && answer.every((id, t) => id === written[b]?.[t]),
  );
}

async function answersRight(
  decoding: Decoding,
  batch: readonly TaskExample[],
  signal?: AbortSignal,
): Promise<boolean[]> {
  const B = batch.length;
  const right = batch.map(() => true);
  const column = (t: number) => batch.map(({ prompt }) => prompt[t] as number);
  const promptLength = batch[0]?.prompt.length ?? 0;
  const answerLength = batch[0]?.answer.length ?? 0;

  decoding.rewind(0);
  let next: Int32Array = Int32Array.from(Array.from({ length: promptLength }, (_, t) => column(t)).flat()); // [T, B]
  for (let t = 0; t < answerLength; t++) {
    signal?.throwIfAborted();
    next = (await decoding.append(next, { signal })).best;
    for (let b = 0; b < B; b++) right[b] &&= next[b] === batch[b]?.answer[t];
  }
  return right;
}
