/** How good a trained model is on text, or at its task, that it has not learned from. */

import { openCorpus, type TextSource, tokenizeCorpus } from "../data";
import { EngineError } from "../errors";
import { Scorer } from "../inspect/scoring";
import { type Model, openModel } from "../models/folder";
import type { DecoderConfig } from "../nn/config";
import { recordedRecipe } from "../presets/settings";
import { chooseDevice, type DeviceChoice } from "../runtime/devices";
import { mapWeights } from "../runtime/weights";
import { taskAccuracy } from "./accuracy";
import { type TrainingData, textData } from "./data";
import { heldOutLoss, prepare } from "./run";
import { readRunRecord, runSource } from "./runFolder";

export interface Evaluation {
  /** Mean cross-entropy in nats per token. */
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
  /** Share of task answers that are right in every token; tasks only. */
  readonly accuracy?: number;
}

/** Sequences evaluated side by side, at most. */
const MOST_ROWS = 12;
const LONGEST = 1024;
/** Numbers in a batch's logits, at most. */
const MOST_LOGITS = 1 << 27;

/** Sequences as long as the model and the text allow, and as many of them as memory does. */
function batchShape({ nCtx, vocabSize }: DecoderConfig, tokens: number) {
  const fitting = Math.max(1, Math.floor(MOST_LOGITS / vocabSize));
  const blockSize = Math.min(nCtx, LONGEST, tokens - 1, fitting);
  return { batchSize: Math.min(MOST_ROWS, Math.max(1, Math.floor(fitting / blockSize))), blockSize };
}

/** Evaluates on a text, or without one on what the run itself has held out: validation text, or a task's test set. */
export async function evaluateModel(
  dir: string,
  source: TextSource | undefined,
  choice: DeviceChoice,
  signal: AbortSignal = new AbortController().signal,
): Promise<Evaluation> {
  const model = await openModel(dir);
  const { device } = await chooseDevice(choice);
  const { data, batchSize } = source ? await dataOf(model, source, signal) : await heldOutData(dir, model, signal);

  const weights = await mapWeights(model.cfg, model.weights, device);
  const scorer = new Scorer(model.cfg, weights, batchSize);
  try {
    const split = data.task ? "test" : "validation";
    const report = await heldOutLoss({ evaluate: (batch) => scorer.loss(batch) }, data.heldOut(split));
    if (!data.task) return report;
    return { ...report, accuracy: await taskAccuracy(model.cfg, weights, data.task.examples(split), signal) };
  } finally {
    await scorer.release();
    await weights.release();
    data.release();
  }
}

interface EvaluationData {
  readonly data: TrainingData;
  readonly batchSize: number;
  readonly blockSize: number;
}

async function dataOf({ tokenizer, cfg }: Model, source: TextSource, signal: AbortSignal): Promise<EvaluationData> {
  const corpus = await openCorpus(source);
  const { tokens, release } = await tokenizeCorpus(corpus, tokenizer, { signal });
  if (tokens.length < 2)
    throw new EngineError("data", `${corpus.name} has too few tokens to evaluate; choose a longer text.`);
  const none = tokens.subarray(0, 0);
  const splits = { train: none, validation: tokens, test: none };
  const shape = batchShape(cfg, tokens.length);
  return { data: textData(splits, { ...shape, seed: 0 }, { release }), ...shape };
}

async function heldOutData(dir: string, model: Model, signal: AbortSignal): Promise<EvaluationData> {
  const record = await readRunRecord(dir);
  const preset = recordedRecipe(record);
  const { data } = await prepare(preset, await runSource(dir, record), { signal, report: () => {} }, model);
  return { data, batchSize: preset.train.batchSize, blockSize: preset.train.blockSize };
}
