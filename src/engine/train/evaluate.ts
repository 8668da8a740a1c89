/** Evaluates a trained model on held-out text, on its task, or on a given text. */

import type { DeviceChoice } from "../api/model";
import type { TextSource } from "../api/run";
import { openCorpus, tokenizeCorpus } from "../data";
import { readPairs } from "../data/pairs";
import { tokensWithin } from "../data/tokens";
import { EngineError } from "../errors";
import { Scorer } from "../inspect/scoring";
import { isTranslation, type Model, openModel, openTranslation, type Translation } from "../models/folder";
import type { DecoderConfig } from "../nn/config";
import { recordedRecipe, withSettings } from "../presets/settings";
import { chooseDevice } from "../runtime/devices";
import { lower } from "../runtime/lower";
import { Session } from "../runtime/session";
import { mapWeights } from "../runtime/weights";
import { taskScore } from "./accuracy";
import { type TrainingData, textData } from "./data";
import { prepare } from "./prepare";
import { heldOutLoss } from "./run";
import { readRunRecord, runSource } from "./runFolder";
import { lossOf } from "./step";
import type { StepBatch } from "./stepper";
import { translationData } from "./translation";

export interface Evaluation {
  /** Mean cross-entropy in nats per token. */
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
  /** Share of task answers with every token correct; tasks only. */
  readonly accuracy?: number;
}

/** Maximum number of sequences per batch. */
const MAX_ROWS = 12;
const MAX_LENGTH = 1024;
/** Maximum number of logits per batch. */
const MAX_LOGITS = 1 << 27;

/** Sequences as long as the model and the text allow, and as many as fit in memory. */
function batchShape({ nCtx, vocabSize }: DecoderConfig, tokens: number) {
  const fitting = Math.max(1, Math.floor(MAX_LOGITS / vocabSize));
  const blockSize = Math.min(nCtx, MAX_LENGTH, tokens - 1, fitting);
  return { batchSize: Math.min(MAX_ROWS, Math.max(1, Math.floor(fitting / blockSize))), blockSize };
}

/** Evaluates on a text, or by default on the run's held-out data: validation text, or the test set of a task. */
export async function evaluateModel(
  dir: string,
  source: TextSource | undefined,
  choice: DeviceChoice,
  signal: AbortSignal = new AbortController().signal,
): Promise<Evaluation> {
  if (await isTranslation(dir)) return evaluateTranslation(dir, source, choice, signal);
  const model = await openModel(dir);
  const { device } = await chooseDevice(choice);
  const { data, batchSize } =
    source && !(await learnsSentences(dir))
      ? await dataOf(model, source, signal)
      : await heldOutData(dir, model, source, signal);

  const weights = await mapWeights(model.cfg, model.weights, device);
  const scorer = new Scorer(model.cfg, weights, batchSize);
  try {
    const split = data.task ? "test" : "validation";
    const report = await heldOutLoss({ evaluate: (batch) => scorer.loss(batch) }, data.heldOut(split));
    if (!data.task) return report;
    const { accuracy } = await taskScore(model.cfg, weights, data.task, data.task.examples(split), signal);
    return { ...report, accuracy };
  } finally {
    await scorer.release();
    await weights.release();
    data.release();
  }
}

/** Evaluates a translator on the sentence pairs of a file, or by default on the run's test pairs. */
async function evaluateTranslation(
  dir: string,
  source: TextSource | undefined,
  choice: DeviceChoice,
  signal: AbortSignal,
): Promise<Evaluation> {
  const model = await openTranslation(dir);
  const { cfg } = model;
  const { device } = await chooseDevice(choice);
  const data = source ? await translationsOf(model, source, signal) : await heldOutTranslations(dir, signal);
  const weights = await mapWeights(cfg, model.weights, device);
  const sessions = new Map<number, Promise<Session>>();
  /** Each batch has pairs of one length, and each length has its own graph. */
  const evaluate = async (batch: StepBatch): Promise<number> => {
    const blockSize = batch.labels.length / SENTENCES;
    const shape = { batchSize: SENTENCES, blockSize };
    const session =
      sessions.get(blockSize) ?? Session.create(lower({ loss: lossOf(cfg, shape, weights.param) }, device), device);
    sessions.set(blockSize, session);
    return (await (await session).compute({ ...weights.feeds, ...batch })).loss?.[0] as number;
  };
  try {
    const report = await heldOutLoss({ evaluate }, data.heldOut("test"));
    const examples = data.task?.examples("test") ?? [];
    return { ...report, accuracy: (await taskScore(cfg, weights, {}, examples, signal)).accuracy };
  } finally {
    for (const session of sessions.values()) await (await session).release();
    await weights.release();
  }
}

/** Sentence pairs per batch. */
const SENTENCES = 32;

async function translationsOf(model: Translation, source: TextSource, signal: AbortSignal): Promise<TrainingData> {
  const pairs = await readPairs(source, signal);
  const shape = { batchSize: SENTENCES, blockSize: model.cfg.decoder.nCtx, seed: 0 };
  return translationData({ train: [], validation: [], test: pairs }, model, shape);
}

async function heldOutTranslations(dir: string, signal: AbortSignal): Promise<TrainingData> {
  const record = await readRunRecord(dir);
  const recipe = withSettings(recordedRecipe(record), {
    "train.batchSize": SENTENCES,
    "train.gradientAccumulation": 1,
  });
  const { data, fingerprint } = await prepare(recipe, await runSource(dir, record), { signal, report: () => {} });
  if (fingerprint === record.fingerprint) return data;
  throw new EngineError(
    "data",
    `The sentence pairs that ${record.name} was trained on have changed, so its held-out pairs are unknown. Restore them, or choose pairs to evaluate on.`,
  );
}

interface EvaluationData {
  readonly data: TrainingData;
  readonly batchSize: number;
  readonly blockSize: number;
}

async function dataOf({ tokenizer, cfg }: Model, source: TextSource, signal: AbortSignal): Promise<EvaluationData> {
  const corpus = await openCorpus(source);
  const { tokens: all, release } = await tokenizeCorpus(corpus, tokenizer, { signal });
  const tokens = tokensWithin(all, tokenizer, cfg);
  if (tokens.length < 2)
    throw new EngineError("data", `${corpus.name} has too few tokens to evaluate. Choose a longer text.`);
  const none = tokens.subarray(0, 0);
  const splits = { train: none, validation: tokens, test: none };
  const shape = batchShape(cfg, tokens.length);
  return { data: textData(splits, { ...shape, seed: 0 }, { release }), ...shape };
}

async function heldOutData(
  dir: string,
  model: Model,
  source: TextSource | undefined,
  signal: AbortSignal,
): Promise<EvaluationData> {
  const record = await readRunRecord(dir);
  const preset = withSettings(recordedRecipe(record), { "train.gradientAccumulation": 1 });
  const text = source ?? (await runSource(dir, record));
  const { data } = await prepare(preset, text, { signal, report: () => {} }, model);
  return { data, batchSize: preset.train.batchSize, blockSize: preset.train.blockSize };
}

/** True if a text is read by sentences, as in training; false for imported models, which have no record. */
const learnsSentences = (dir: string): Promise<boolean> =>
  readRunRecord(dir).then(
    (record) => recordedRecipe(record).data.kind === "sentences",
    () => false,
  );
