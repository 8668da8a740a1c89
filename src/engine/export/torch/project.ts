/**
 * Exports a training run as a PyTorch project, to continue it on other machines.
 *
 *     DIR/train.py  model.py  data.py  weights.py  README.md      the same in every project
 *     DIR/architecture.json  train.json                           the decoder, and the training settings
 *     DIR/data/train.bin  validation.bin  meta.json               token ids
 *     DIR/first_batch.json                                        the next step's batch, and its loss
 *     DIR/config.json  model.safetensors  tokenizer.json …        the model, as in every model folder
 *     DIR/training.json  optimizer.safetensors                    the state of the run
 *
 * The project saves model folders like `train/runFolder.ts`, so the run can be resumed in either program.
 */

import { createHash } from "node:crypto";
import { copyFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { TextSource } from "../../api/run";
import { IGNORE, type Tokens } from "../../data";
import { EngineError } from "../../errors";
import { Scorer } from "../../inspect/scoring";
import { exportNames } from "../../models/family";
import { type Model, openModel, requireUnquantized } from "../../models/folder";
import type { Rotary } from "../../nn/config";
import { countParameters, paramSpecs } from "../../nn/params";
import { anglesOf } from "../../nn/rotary";
import { FINE_TUNING, type Recipe } from "../../presets/presets";
import { recordedRecipe, settingsOf, withSettings } from "../../presets/settings";
import { mapWeights } from "../../runtime/weights";
import { saveTokenizer } from "../../tokenizers";
import type { IdParts, TrainingData } from "../../train/data";
import { fingerprintOf } from "../../train/fingerprint";
import { prepare } from "../../train/prepare";
import { loraOf, modelLike, type RunRecord, readRunRecord, runSource } from "../../train/runFolder";
import { segmentsOf } from "../../train/segments";
import { latestCheckpoint, makeFolder, OPTIMIZER_FILE, writeFileWhole } from "../../weights";
import { dataSource } from "./dataFile";
import { modelSource } from "./modelFile";
import { readmeOf } from "./readmeFile";
import { trainSource } from "./trainFile";
import { weightsSource } from "./weightsFile";

/** A run to resume, or a new one. */
export interface Project {
  readonly model: Model;
  readonly record: RunRecord;
  readonly recipe: Recipe;
  readonly data: TrainingData;
  readonly ids: IdParts;
  /** Adam's moments; null before the first step. */
  readonly optimizer: string | null;
  /** The text of a run that was trained on a text without a file. */
  readonly text: string | null;
}

/** Plans to resume a model folder's run from its last checkpoint or, with a `source`, to fine-tune the model on it. */
export async function planProject(
  dir: string,
  source: TextSource | undefined,
  signal: AbortSignal = new AbortController().signal,
): Promise<Project> {
  const run = source ? await newRun(dir, source) : await lastRun(dir);
  const { model, recipe } = run;
  requireUnquantized(model);
  const { data, fingerprint } = await prepare(recipe, run.source, { signal, report: () => {} }, model);
  if (data.ids === null) {
    throw new EngineError(
      "config",
      `${model.info.name} was trained on data that PyTorch projects do not support. Choose a model trained on a text, or the adder.`,
    );
  }
  if (run.record && run.record.fingerprint !== fingerprint) {
    throw new EngineError(
      "data",
      `The text that ${model.info.name} was trained on has changed. Restore it, or choose a text to fine-tune the model on.`,
    );
  }
  const record = run.record ?? (await newRecord(run, fingerprint));
  const text = run.source?.kind === "text" ? run.source.text : null;
  return { model, record, recipe, data, ids: data.ids, optimizer: run.optimizer, text };
}

async function lastRun(dir: string) {
  const refuse = (problem: string) =>
    new EngineError("checkpoint", `${dir} ${problem}. Choose a text to train all parameters of its model on.`);
  const { checkpoint } = await latestCheckpoint(dir);
  if (!checkpoint) throw refuse("has no training run to resume");
  const { path } = checkpoint;
  const record = await readRunRecord(path);
  if (loraOf(record.settings)) throw refuse("has a training run of adapters, which PyTorch projects do not support");
  return {
    record,
    model: await openModel(path),
    recipe: recordedRecipe(record),
    source: await runSource(dir, record),
    optimizer: join(path, OPTIMIZER_FILE),
  };
}

async function newRun(dir: string, source: TextSource) {
  const model = await openModel(dir);
  const blockSize = Math.min(FINE_TUNING.train.blockSize, model.cfg.nCtx);
  return {
    record: null,
    model,
    recipe: withSettings(FINE_TUNING, { "train.blockSize": blockSize }),
    source,
    optimizer: null,
  };
}

async function newRecord(
  { model, recipe, source }: Awaited<ReturnType<typeof newRun>>,
  fingerprint: string,
): Promise<RunRecord> {
  return {
    name: model.info.name,
    preset: recipe.name,
    settings: settingsOf(recipe),
    data: source.kind === "paths" ? { kind: "paths", paths: source.paths } : { kind: "text" },
    fingerprint,
    from: { dir: resolve(model.info.dir), fingerprint: await fingerprintOf(model) },
    device: "cpu",
    deviceReason: "trained with PyTorch",
    parameters: countParameters(model.cfg),
    step: 0,
    steps: recipe.train.steps,
    loss: null,
    valLoss: null,
    accuracy: null,
    bestLoss: null,
    createdAt: new Date().toISOString(),
  };
}

/** Writes everything of a project except the model's weights. */
export async function writeProject(folder: string, project: Project, signal?: AbortSignal): Promise<void> {
  const { model, record, recipe, optimizer, text } = project;
  const { config, generation } = await modelLike(model, null);
  await writeJson(join(folder, "config.json"), config);
  if (generation !== null) await writeJson(join(folder, "generation_config.json"), generation);
  await saveTokenizer(model.tokenizer, folder);
  await writeJson(join(folder, "training.json"), record);
  if (optimizer !== null) await copyFile(optimizer, join(folder, OPTIMIZER_FILE));
  if (text !== null) await writeFileWhole(join(folder, "data.txt"), text);
  await writeData(join(folder, "data"), project, signal);
  await writeJson(join(folder, "first_batch.json"), await firstBatch(project));

  await writeJson(join(folder, "architecture.json"), architectureOf(model, recipe.train.blockSize));
  const { init: _, sampleEvery: __, ...used } = recipe.train;
  await writeJson(join(folder, "train.json"), used);
  const files = {
    "train.py": trainSource,
    "model.py": modelSource,
    "data.py": dataSource,
    "weights.py": weightsSource,
    "README.md": readmeOf(record),
  };
  for (const [name, content] of Object.entries(files)) await writeFileWhole(join(folder, name), content);
}

const writeJson = (path: string, json: unknown) => writeFileWhole(path, `${JSON.stringify(json, null, 2)}\n`);

/** The decoder's configuration, the names of its parameters in the file, which of them decay, and its rotary angles. */
function architectureOf({ family, cfg }: Model, blockSize: number): object {
  const decaying = segmentsOf(paramSpecs(cfg)).flatMap(({ decays, params }) => (decays ? params : []));
  return {
    config: cfg,
    names: Object.fromEntries(exportNames(family, cfg)),
    decaying: decaying.map(({ name }) => name),
    ...(cfg.positions.kind === "rotary" && { rotary: rotaryOf(cfg.positions, blockSize) }),
  };
}

const rotaryOf = (rotary: Rotary, length: number) => ({
  ...anglesOf(rotary, length),
  ...(rotary.local && { local: anglesOf({ ...rotary, ...rotary.local }, length) }),
});

async function writeData(folder: string, { ids, recipe }: Project, signal: AbortSignal | undefined): Promise<void> {
  await makeFolder(folder);
  const { kind, train, validation } = ids;
  await writeJson(join(folder, "meta.json"), {
    kind,
    ...(recipe.data.kind === "text" && { order: recipe.data.order }),
    ...(kind === "rows" && { rowLength: ids.rowLength, promptLength: ids.promptLength }),
    dtype: train.subarray(0, 0) instanceof Uint16Array ? "<u2" : "<i4",
    train: await writeIds(folder, "train.bin", train, signal),
    validation: await writeIds(folder, "validation.bin", validation, signal),
  });
}

const IDS_AT_ONCE = 2 ** 20;

async function writeIds(folder: string, file: string, tokens: Tokens, signal: AbortSignal | undefined) {
  const hash = createHash("sha256");
  await writeFileWhole(join(folder, file), async (handle) => {
    for (let start = 0; start < tokens.length; start += IDS_AT_ONCE) {
      signal?.throwIfAborted();
      const ids = tokens.subarray(start, Math.min(tokens.length, start + IDS_AT_ONCE));
      const bytes = new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength);
      hash.update(bytes);
      await handle.writeFile(bytes);
    }
  });
  return { file, tokens: tokens.length, sha256: hash.digest("hex") };
}

/** Returns the batch of the run's next step, row by row, and its loss without dropout. */
async function firstBatch({ model, record, recipe, data }: Project): Promise<object> {
  const { batchSize, gradientAccumulation, blockSize, seed } = recipe.train;
  const B = batchSize * gradientAccumulation;
  const step = record.step + 1;
  const batch = data.batch(step);
  const weights = await mapWeights(model.cfg, model.weights, "cpu");
  const scorer = new Scorer(model.cfg, weights, B);
  try {
    const rows = (value: (index: number) => number) =>
      Array.from({ length: B }, (_, b) => Array.from({ length: batch.ids.length / B }, (_, t) => value(t * B + b)));
    return {
      step,
      batchSize: B,
      blockSize,
      seed,
      loss: await scorer.loss(batch),
      ids: rows((i) => batch.ids[i] as number),
      labels: rows((i) => (batch.labelWeights[i] === 0 ? IGNORE : (batch.labels[i] as number))),
    };
  } finally {
    await scorer.release();
    await weights.release();
  }
}
