/**
 * Starts, resumes and branches runs, and trains until they are done or stopped.
 *
 * All randomness of a run is determined by its seed and the step, so a resumed run has the same losses as an uninterrupted
 * one, bit for bit on the CPU.
 */

import { readdir, stat } from "node:fs/promises";
import { dirname, join, resolve as resolvePath } from "node:path";
import type { Device, DeviceChoice } from "../api/model";
import type {
  BranchParams,
  EvalReport,
  MemoryEstimate,
  RunWarning,
  Settings,
  TextSource,
  TrainConfig,
  TrainParams,
  TrainResult,
} from "../api/run";
import { readSample } from "../data/samples";
import { EngineError } from "../errors";
import { Decoding } from "../generate/decoding";
import { generate, TokenCache } from "../generate/generate";
import { checkGpu } from "../generate/gpuCheck";
import { Translator } from "../generate/translate";
import { modelInfo, readParams, trainedStorage } from "../models/folder";
import { initAdapters } from "../nn/adapters";
import { decoderOf, type EncoderDecoderConfig, isEncoderDecoder } from "../nn/config";
import { countParameters, initParams } from "../nn/params";
import { FINE_TUNING, type FineTuning, type Preset, type Recipe } from "../presets/presets";
import { presetNamed, recordedRecipe, settingsOf, withSettings } from "../presets/settings";
import { chooseDevice } from "../runtime/devices";
import { versions } from "../runtime/versions";
import type { DeviceWeights } from "../runtime/weights";
import { OPTIMIZER_FILE } from "../weights";
import { taskScore } from "./accuracy";
import type { RunControl } from "./control";
import type { TrainingData } from "./data";
import { divergenceWatch, requireNumbers } from "./divergence";
import { fineTuningOf } from "./fineTune";
import { fingerprintOf } from "./fingerprint";
import { lockRun } from "./lock";
import { estimateMemory, freeMemory, requireMemory } from "./memory";
import { prepare } from "./prepare";
import {
  freshModel,
  modelLike,
  type NewRunFolder,
  openRunFolder,
  type RunEnd,
  type RunFolder,
  type RunModel,
  type RunRecord,
  readCheckpoint,
  readRunRecord,
  reportsUntil,
  runSource,
  startRunFolder,
} from "./runFolder";
import { learningRate } from "./schedules";
import { createStepper, freshState, type Stepper, type TrainState } from "./stepper";
import { adaptersOf, type Trained, wholeModel } from "./trained";
import { updateRatios } from "./updates";

/** Trains a new model into a new folder. */
export async function train(run: TrainParams, control: RunControl): Promise<TrainResult> {
  let created: NewRunFolder | undefined;
  try {
    const setup = await setUp(run, control, async (source) => {
      created = await startRunFolder(run.out, textOf(source));
    });
    const { preset, base, source, material, device, reason } = setup;
    const { cfg, data, fingerprint } = material;
    const record: RunRecord = {
      name: run.name,
      preset: preset.name,
      settings: settingsOf(preset),
      data: source?.kind === "paths" ? { kind: "paths", paths: source.paths } : { kind: source ? "text" : "task" },
      fingerprint,
      ...(base && { from: { dir: resolvePath(base.info.dir), fingerprint: await fingerprintOf(base) } }),
      device,
      deviceReason: reason,
      parameters: countParameters(cfg),
      step: 0,
      steps: preset.train.steps,
      loss: null,
      valLoss: null,
      accuracy: null,
      bestLoss: null,
      createdAt: new Date().toISOString(),
      seconds: 0,
      versions: versions(),
    };
    const { model, state, trained } = await startOf(setup);
    const folder = await (created as NewRunFolder).create(model, textOf(source), (first) =>
      first.checkpoint(record, state, trained, true),
    );
    return await loop({ folder, record, preset, model, trained, data, start: state }, control);
  } finally {
    await created?.end();
  }
}

const textOf = (source: TextSource | undefined): string | null => (source?.kind === "text" ? source.text : null);

/** Estimates the memory of a run without starting it. */
export async function estimate(
  run: Omit<TrainParams, "out">,
  { signal }: Pick<RunControl, "signal">,
): Promise<MemoryEstimate> {
  const { preset, base, lora, source } = await planOf(run);
  const { cfg, data } = await prepare(preset, source, { signal, report: () => {} }, base);
  data.release();
  return estimateMemory({ cfg, train: preset.train, lora }, freeMemory());
}

/** Prepares a run that fits in memory. `first` runs before the data is read. */
export async function setUp(
  run: Omit<TrainParams, "out">,
  control: Pick<RunControl, "signal" | "report">,
  first = async (_: TextSource | undefined) => {},
) {
  const { preset, base, lora, source } = await planOf(run);
  await first(source);
  const material = await prepare(preset, source, control, base);
  const { device, reason } = await chooseDevice(run.device);
  requireMemory({ cfg: material.cfg, train: preset.train, lora }, freeMemory());
  return { preset, base, lora, source, material, device, reason };
}

/** The model and training state before the first step. */
export async function startOf({ preset, base, lora, material, device }: Awaited<ReturnType<typeof setUp>>) {
  const { cfg, tokenizer, target } = material;
  const { init, seed } = preset.train;
  const model = base ? await modelLike(base, lora) : freshModel(cfg, tokenizer, target);
  const state = freshState(
    lora ? initAdapters(decoderOf(cfg), lora, seed) : base ? await readParams(base) : initParams(cfg, init, seed),
  );
  return { model, state, trained: await trainedOf(model, device) };
}

/** The recipe of a run, its text, and the base model and adapters of a fine-tuning. */
async function planOf({ preset, from, data, set = {} }: Omit<TrainParams, "out">) {
  if (from === undefined && preset === FINE_TUNING.name) {
    throw new EngineError("config", "Fine-tuning needs a base model; specify its model folder.");
  }
  if (from === undefined) {
    const chosen = presetNamed(preset);
    const source = data ?? (chosen.sample && (await readSample(chosen.sample)));
    return { preset: withSettings(chosen, set), base: null, lora: null, source };
  }
  if (preset !== FINE_TUNING.name) {
    throw new EngineError(
      "config",
      `The preset "${preset}" trains a new model and cannot start from an existing one. Leave out the preset to train the existing model further, or leave out the model.`,
    );
  }
  const { recipe, base, lora } = await fineTuningOf(from, set);
  return { preset: recipe, base, lora, source: data };
}

const trainedOf = ({ cfg, adapters }: RunModel, device: Device): Promise<Trained> | Trained =>
  adapters ? adaptersOf(adapters.base, adapters.lora, device) : wholeModel(cfg);

/** Resumes a run from its last checkpoint, up to step `steps` if given. */
export async function resume(
  dir: string,
  { steps, device }: { readonly steps?: number | undefined; readonly device?: DeviceChoice | undefined },
  control: RunControl,
): Promise<TrainResult> {
  await requireRun(dir);
  const unlock = await lockRun(dir);
  try {
    const { folder, record: saved, state, model } = await openRunFolder(dir);
    const preset = withSettings(recordedRecipe(saved), { ...(steps !== undefined && { "train.steps": steps }) });
    if (!device && saved.device === "webgpu") await checkGpu();
    const chosen = device ? await chooseDevice(device) : { device: saved.device, reason: saved.deviceReason };
    const { material } = await materialOf(dir, saved, preset, model, control);
    const record = recordOf(saved, preset, chosen);
    // A kill after the last checkpoint leaves only the end of the run to be done.
    const lacksEnd = saved.step === record.steps && (await readRunRecord(dir)).ended === undefined;
    if (!lacksEnd) requireStepsLeft(record);
    const trained = await trainedOf(model, record.device);
    const isPublished = !material.data.task || saved.valLoss === saved.bestLoss;
    if (lacksEnd) await folder.checkpoint(record, state, trained, isPublished);
    await folder.end(undefined);
    return await loop({ folder, record, preset, model, trained, data: material.data, start: state }, control);
  } finally {
    await unlock(dir);
  }
}

async function requireRun(dir: string): Promise<void> {
  const found = await stat(join(dir, "checkpoints")).catch(() => null);
  if (found?.isDirectory()) return;
  throw new EngineError("checkpoint", `${dir} has no checkpoint to resume from; train the model again.`);
}

/** Continues from a checkpoint in a new folder. */
export async function branch(
  { dir: checkpoint, out, name, device: choice, set = {} }: BranchParams,
  control: RunControl,
): Promise<TrainResult> {
  await requireCheckpoint(checkpoint);
  const { record: saved, state, model } = await readCheckpoint(checkpoint);
  const preset = branchRecipe(saved, set);
  const from = dirname(dirname(checkpoint));
  const created = await startRunFolder(out, null);
  try {
    const { material, source } = await materialOf(from, saved, preset, model, control);
    const record: RunRecord = {
      ...recordOf(saved, preset, await chooseDevice(choice)),
      name,
      branchedFrom: { dir: resolvePath(from), step: saved.step },
      createdAt: new Date().toISOString(),
    };
    requireStepsLeft(record);
    const trained = await trainedOf(model, record.device);
    const folder = await created.create(model, textOf(source), async (first) => {
      await first.append(await reportsUntil(from, saved.step));
      await first.checkpoint(record, state, trained, true);
    });
    return await loop({ folder, record, preset, model, trained, data: material.data, start: state }, control);
  } finally {
    await created.end();
  }
}

async function requireCheckpoint(path: string): Promise<void> {
  const there: readonly string[] = await readdir(path).catch(() => []);
  if (there.includes(OPTIMIZER_FILE)) return;
  throw new EngineError(
    "checkpoint",
    `${path} is not a checkpoint of a run. Choose one of the folders in a model's checkpoints, such as step-00000500.`,
  );
}

/** The recipe of a branch; throws for settings that a branch cannot change. */
function branchRecipe(saved: RunRecord, set: Settings): Preset | FineTuning {
  const recipe = recordedRecipe(saved);
  const fixed = Object.keys(set).find((name) => !/^train\.|^data\.order$/.test(name) || name === "train.init");
  if (fixed !== undefined) {
    throw new EngineError("config", `${fixed} cannot change during a run. Leave it out, or train a new model with it.`);
  }
  const { data } = recipe;
  const splitsBySeed =
    data.kind === "adder" || data.kind === "pairs" || (data.kind === "text" && data.split === "document");
  if ("train.seed" in set && splitsBySeed && Number(set["train.seed"]) !== recipe.train.seed) {
    throw new EngineError(
      "config",
      `train.seed determines the held-out data of ${saved.name}, which a branch must not train on. Leave it out, or train a new model with it.`,
    );
  }
  return withSettings(recipe, set);
}

/** Prepares the data of an existing run; throws if it has changed. */
async function materialOf(
  dir: string,
  saved: RunRecord,
  preset: Preset | FineTuning,
  { cfg, tokenizer }: RunModel,
  control: RunControl,
) {
  const { nCtx } = decoderOf(cfg);
  if (preset.train.blockSize > nCtx) {
    throw new EngineError(
      "checkpoint",
      `${saved.name} has a context of ${nCtx}, but its record has a train.blockSize of ${preset.train.blockSize}. The folder is inconsistent. Train the model again.`,
    );
  }
  const source = await runSource(dir, saved);
  const material = await prepare(preset, source, control, isEncoderDecoder(cfg) ? null : { cfg, tokenizer });
  if (material.fingerprint !== saved.fingerprint) {
    throw new EngineError(
      "data",
      `The training data of ${saved.name} has changed. Restore it to resume this run, or train a new model on the new data.`,
    );
  }
  return { material, source };
}

const recordOf = (
  saved: RunRecord,
  preset: Preset | FineTuning,
  { device, reason }: { readonly device: Device; readonly reason: string },
): RunRecord => ({
  ...saved,
  settings: settingsOf(preset),
  steps: preset.train.steps,
  device,
  deviceReason: reason,
  versions: versions(),
});

function requireStepsLeft({ name, step, steps }: RunRecord): void {
  if (step < steps) return;
  throw new EngineError("config", `${name} already finished at step ${step}. Set more steps to train it further.`);
}

interface Loop {
  readonly folder: RunFolder;
  readonly record: RunRecord;
  readonly preset: Recipe;
  readonly model: RunModel;
  readonly trained: Trained;
  readonly data: TrainingData;
  readonly start: TrainState;
}

/** Target duration of one call: other requests of this process wait as long. */
const TURN_SECONDS = 0.15;
const MAX_TURNS = 32;
/** Maximum time between checkpoints, which a killed run loses at most. */
const CHECKPOINT_SECONDS = 60;

async function loop(
  { folder, record, preset, model, trained, data, start }: Loop,
  control: RunControl,
): Promise<TrainResult> {
  const { cfg, tokenizer } = model;
  const { train: config } = preset;
  const { signal, report } = control;
  report({
    kind: "start",
    model: modelInfo(folder.dir, record, cfg, trainedStorage(model.family, cfg), tokenizer),
    train: config,
    device: record.device,
    deviceReason: record.deviceReason,
  });
  // The first checkpoint exists, so the run can be resumed from here on.
  report({ kind: "checkpoint", step: record.step });
  const stepper = await createStepper(cfg, config, start, { device: record.device, seed: config.seed, trained });
  const lr = learningRate(config.schedule, { steps: config.steps, dModel: decoderOf(cfg).dModel });
  const watch = divergenceWatch(decoderOf(cfg).vocabSize, config);
  const clock = runClock();
  let now = record;
  let turns = 1;
  let lastEval: EvalReport | null = null;
  let saved = { step: record.step, at: performance.now() };

  // The accuracy of a task varies between epochs, so its published model is the best so far; that of a text is the last.
  const save = async (published = !data.task || now.bestLoss === null) => {
    const state = await stepper.state();
    requireNumbers(now.step, state);
    await folder.checkpoint(now, state, trained, published);
    saved = { step: now.step, at: performance.now() };
    report({ kind: "checkpoint", step: now.step });
  };
  const isDue = (every: number, step = now.step) => step % every === 0 || step === config.steps;
  const end = (reason: RunEnd["reason"]) => folder.end({ at: new Date().toISOString(), step: now.step, reason });
  const warn = async (warning: RunWarning) => {
    await folder.append([{ warning }]);
    report({ kind: "warning", ...warning });
  };

  try {
    while (now.step < config.steps && !signal.aborted) {
      await clock.exclude(control.whilePaused());
      if (signal.aborted) break;
      const first = now.step + 1;
      const most = Math.min(turns, stepsToNextEvent(now.step, config));
      // The step before an evaluation runs alone, to measure its update of the weights.
      const count = most > 1 && isDue(config.evalEvery, now.step + most) ? most - 1 : most;
      const weights = isDue(config.evalEvery, now.step + count) ? await stepper.params() : null;
      const started = performance.now();
      const batches = Array.from({ length: count }, (_, i) => data.batch(first + i));
      const results = await stepper.run(first, batches, lr);
      const seconds = (performance.now() - started) / 1000;
      turns = Math.max(1, Math.min(MAX_TURNS, Math.round((TURN_SECONDS * count) / seconds)));

      const tokensPerSecond = (count * data.tokensPerStep) / seconds;
      const reports = results.map((result, i) => ({ step: first + i, ...result, lr: lr(first + i), tokensPerSecond }));
      const problems = reports.map((each) => watch(each, saved.step));
      const bad = problems.findIndex((problem) => problem?.ends);
      const good = bad < 0 ? reports : reports.slice(0, bad);
      now = {
        ...now,
        step: now.step + good.length,
        loss: good.at(-1)?.loss ?? now.loss,
        ...(now.seconds !== undefined && { seconds: now.seconds + seconds }),
      };
      clock.count(count);
      await folder.append(good);
      report({ kind: "steps", reports: good, secondsLeft: clock.secondsFor(config.steps - now.step) });
      for (const [i, problem] of problems.slice(0, good.length + 1).entries())
        if (problem) await warn({ step: first + i, ...problem });
      if (bad >= 0) throw new EngineError("diverged", problems[bad]?.message as string);

      let isBest = false;
      if (isDue(config.evalEvery)) {
        lastEval = await evaluateRun(stepper, data, model, trained, now.step, config, signal);
        const isLower = lastEval.loss < (now.bestLoss ?? Infinity);
        isBest = isLower && data.task !== null;
        const bestLoss = isLower ? lastEval.loss : now.bestLoss;
        now = { ...now, valLoss: lastEval.loss, accuracy: lastEval.accuracy ?? null, bestLoss };
        await folder.append([{ eval: lastEval }]);
        report({ kind: "eval", report: lastEval });
        if (weights) {
          const updates = { step: now.step, layers: updateRatios(trained.specs, weights, await stepper.params()) };
          await folder.append([{ updates }]);
          report({ kind: "updates", ...updates });
        }
      }
      if (isDue(config.sampleEvery)) {
        const text = await sampleText(stepper, data, model, trained, config.seed);
        await folder.append([{ sample: { step: now.step, text } }]);
        report({ kind: "sample", step: now.step, text });
      }
      // Checkpoints are last: a resumed run repeats only what came after one.
      if (isBest) await save(true);
      const isLate = performance.now() - saved.at > CHECKPOINT_SECONDS * 1000;
      if ((isDue(config.checkpointEvery) && saved.step < now.step) || isLate) await save();
      // Lets other requests of this process run.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    if (signal.aborted && saved.step < now.step) await save();
    await end(now.step < config.steps ? "stopped" : "done");
  } catch (error) {
    if (error instanceof EngineError && error.code === "diverged") await end("diverged");
    throw error;
  } finally {
    await stepper.release();
    await trained.release();
    data.release();
  }
  return { dir: folder.dir, step: now.step, reason: now.step < config.steps ? "stopped" : "done", eval: lastEval };
}

const stepsToNextEvent = (step: number, { steps, evalEvery, checkpointEvery, sampleEvery }: TrainConfig): number =>
  Math.min(steps - step, ...[evalEvery, checkpointEvery, sampleEvery].map((every) => every - (step % every)));

/** Measures the time per step, excluding pauses. */
function runClock() {
  let since = performance.now();
  let steps = 0;
  return {
    count: (n: number) => {
      steps += n;
    },
    exclude: async (pause: Promise<void>) => {
      const started = performance.now();
      await pause;
      since += performance.now() - started;
    },
    secondsFor: (n: number) => ((performance.now() - since) / 1000 / steps) * n,
  };
}

async function evaluateRun(
  stepper: Stepper,
  data: TrainingData,
  { cfg }: RunModel,
  trained: Trained,
  step: number,
  config: TrainConfig,
  signal: AbortSignal,
): Promise<EvalReport> {
  const report = await heldOutLoss(stepper, data.heldOut("validation", config.evalBatches));
  if (!data.task || signal.aborted) return { step, ...report };
  const weights = await trained.weights((await stepper.state()).params);
  return { step, ...report, ...(await taskScore(cfg, weights, data.task, data.task.examples("validation", 500))) };
}

/** Mean loss per label over batches; lets other requests of this process run in between. */
export async function heldOutLoss(
  model: Pick<Stepper, "evaluate">,
  batches: ReturnType<TrainingData["heldOut"]>,
): Promise<{ loss: number; perplexity: number; tokens: number }> {
  let sum = 0;
  let tokens = 0;
  for (const { batch, labels } of batches) {
    sum += (await model.evaluate(batch)) * labels;
    tokens += labels;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const loss = sum / tokens;
  return { loss, perplexity: Math.exp(loss), tokens };
}

const SAMPLE_TOKENS = 160;

/** A sample of the model's text, or some of its answers to a task. */
async function sampleText(
  stepper: Stepper,
  data: TrainingData,
  model: RunModel,
  trained: Trained,
  seed: number,
): Promise<string> {
  const { cfg, tokenizer } = model;
  const weights = await trained.weights((await stepper.state()).params);
  if (isEncoderDecoder(cfg)) return sampleTranslations(cfg, weights, data, model);
  const decoding = new Decoding(cfg, weights);
  const cache = new TokenCache(decoding);
  const write = async (prompt: readonly number[], temperature: number, maxNewTokens: number) => {
    const ids: number[] = [];
    const eosIds = tokenizer.eosId === null ? [] : [tokenizer.eosId];
    const options = { temperature, seed, maxNewTokens, eosIds };
    for await (const { id } of generate(cache, prompt, options)) ids.push(id);
    return tokenizer.decode(ids);
  };
  try {
    if (!data.task) return await write(tokenizer.encodePrompt(""), 0.8, SAMPLE_TOKENS);
    const lines: string[] = [];
    for (const { prompt, answer } of data.task.examples("validation", 5)) {
      lines.push(tokenizer.decode(prompt) + (await write(prompt, 0, answer.length)));
    }
    return lines.join("\n");
  } finally {
    await decoding.release();
  }
}

/** Translations of some held-out sentences. */
async function sampleTranslations(
  cfg: EncoderDecoderConfig,
  weights: DeviceWeights,
  data: TrainingData,
  { tokenizer, target }: RunModel,
): Promise<string> {
  const sources = data.task?.examples("validation", 5).map(({ prompt }) => prompt) ?? [];
  const translator = new Translator(cfg, weights, sources.length);
  try {
    const targets = await translator.translate(sources);
    return sources.map((source, i) => `${tokenizer.decode(source)} → ${target?.decode(targets[i] ?? [])}`).join("\n");
  } finally {
    await translator.release();
  }
}
