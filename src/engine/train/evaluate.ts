/** How good a trained model is on text, or at its task, that it has not learned from. */

import { openCorpus, readTokens, type TextSource } from "../data";
import { EngineError } from "../errors";
import { type Model, openModel, readParams } from "../models/folder";
import { paramSpecs } from "../nn/params";
import { presetNamed, withSettings } from "../presets/settings";
import { chooseDevice, type DeviceChoice } from "../runtime/devices";
import { lower } from "../runtime/lower";
import { Session } from "../runtime/session";
import { placeWeights } from "../runtime/weights";
import { taskAccuracy } from "./accuracy";
import { type TrainingData, textData } from "./data";
import { heldOutLoss, prepare } from "./run";
import { readRunRecord, runSource } from "./runFolder";
import { pack, segmentsOf } from "./segments";
import { evalGraph } from "./step";

export interface Evaluation {
  /** Mean cross-entropy in nats per token. */
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
  /** Share of task answers that are right in every token; tasks only. */
  readonly accuracy?: number;
}

/** Sequences evaluated side by side. */
const BATCH = 12;

/** Evaluates on a text, or without one on what the run itself has held out: validation text, or a task's test set. */
export async function evaluateModel(
  dir: string,
  source: TextSource | undefined,
  choice: DeviceChoice,
  signal: AbortSignal = new AbortController().signal,
): Promise<Evaluation> {
  const model = await openModel(dir);
  const { device } = await chooseDevice(choice);
  const { data, batchSize, blockSize } = source ? await dataOf(model, source, signal) : await heldOutData(dir, signal);

  const segments = segmentsOf(paramSpecs(model.cfg));
  const graph = lower(evalGraph(model.cfg, { batchSize, blockSize }, segments), device);
  const session = await Session.create(graph, device);
  const params = await readParams(model);
  const flat = pack(segments, params);
  const feeds = Object.fromEntries(segments.map(({ name }, i) => [`${name}.p`, flat[i] as Float32Array]));
  try {
    const split = data.task ? "test" : "validation";
    const report = await heldOutLoss(
      { evaluate: async (batch) => (await session.compute({ ...feeds, ...batch })).loss?.[0] as number },
      data.heldOut(split),
    );
    if (!data.task) return report;
    const weights = await placeWeights(model.cfg, params, device);
    const accuracy = await taskAccuracy(model.cfg, weights, data.task.examples(split), signal);
    await weights.release();
    return { ...report, accuracy };
  } finally {
    await session.release();
  }
}

interface EvaluationData {
  readonly data: TrainingData;
  readonly batchSize: number;
  readonly blockSize: number;
}

async function dataOf({ tokenizer, cfg }: Model, source: TextSource, signal: AbortSignal): Promise<EvaluationData> {
  const corpus = await openCorpus(source);
  const tokens = await readTokens(corpus, tokenizer, { signal });
  if (tokens.length < 2)
    throw new EngineError("data", `${corpus.name} has too few tokens to evaluate; choose a longer text.`);
  const none = tokens.subarray(0, 0);
  const shape = { batchSize: BATCH, blockSize: cfg.nCtx };
  return { data: textData({ train: none, validation: tokens, test: none }, { ...shape, seed: 0 }), ...shape };
}

async function heldOutData(dir: string, signal: AbortSignal): Promise<EvaluationData> {
  const record = await readRunRecord(dir);
  const preset = withSettings(presetNamed(record.preset), record.settings);
  const { data } = await prepare(preset, await runSource(dir, record), { signal, report: () => {} });
  return { data, batchSize: preset.train.batchSize, blockSize: preset.train.blockSize };
}
