/** The files of a run: the model folder, its checkpoints and its reports. */

import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { readRegularText } from "../../files/regular";
import type { Device } from "../api/model";
import type {
  CheckpointInfo,
  EvalReport,
  RunWarning,
  Settings,
  StepReport,
  TextSource,
  UpdateReport,
} from "../api/run";
import { EngineError } from "../errors";
import { toConfigJson, trainedFamily } from "../models/decoderLab";
import { exportNames, type FamilyNames } from "../models/family";
import {
  completeConfig,
  isCheckpoint,
  type Model,
  type ModelWeights,
  openWeights,
  readParamsOf,
  readTrainedConfig,
  TARGET,
} from "../models/folder";
import { adapterSpecs, type Lora } from "../nn/adapters";
import { decoderOf, isEncoderDecoder, type ModelConfig } from "../nn/config";
import { type ParamSpec, type Params, paramSpecs } from "../nn/params";
import type { Versions } from "../runtime/versions";
import { loadPrefixedTokenizer, loadTokenizer, saveTokenizer, type Tokenizer } from "../tokenizers";
import {
  appendJsonLines,
  codeOf,
  latestCheckpoint,
  listCheckpoints,
  OPTIMIZER_FILE,
  pruneCheckpoints,
  publish,
  REPORTS_FILE,
  readJson,
  readJsonLines,
  writeCheckpoint,
  writeFileWhole,
  writeSafetensors,
} from "../weights";
import { startFolder } from "../weights/newFolder";
import { isTemporary, removeStale } from "../weights/temporary";
import { readAdapters, writeAdapters, writeMerged } from "./adapterFiles";
import { fingerprintOf } from "./fingerprint";
import { LOCK_FILE, lockRun, requireUnplanned, requireUntrained } from "./lock";
import type { TrainState } from "./stepper";
import type { Trained } from "./trained";

/** training.json: everything besides weights and data that resuming a run needs. */
export interface RunRecord {
  readonly name: string;
  readonly preset: string;
  readonly settings: Settings;
  readonly data: { readonly kind: "text" | "task" } | { readonly kind: "paths"; readonly paths: readonly string[] };
  readonly fingerprint: string;
  /** The base model of a fine-tuning, with the fingerprint of its weights. */
  readonly from?: { readonly dir: string; readonly fingerprint: string };
  /** The folder and step of the run that this branch started from. */
  readonly branchedFrom?: { readonly dir: string; readonly step: number };
  readonly device: Device;
  readonly deviceReason: string;
  readonly parameters: number;
  readonly step: number;
  readonly steps: number;
  readonly loss: number | null;
  readonly valLoss: number | null;
  readonly accuracy: number | null;
  /** The lowest validation loss so far. */
  readonly bestLoss: number | null;
  readonly createdAt: string;
  /** Time of all steps so far, in seconds, without evaluations and pauses. Records of earlier versions lack it. */
  readonly seconds?: number;
  /** Software versions when the run was last started or resumed. */
  readonly versions?: Versions;
  /** How the run ended; absent while it is training and after a kill. Only in the record of the model folder. */
  readonly ended?: RunEnd;
}

export interface RunEnd {
  readonly at: string;
  readonly step: number;
  readonly reason: "done" | "stopped" | "diverged";
}

export interface RunFolder {
  readonly dir: string;
  /**
   * Saves a checkpoint, and makes it the folder's model if `published`. A kill at any time leaves this checkpoint or the
   * previous one intact.
   */
  checkpoint(record: RunRecord, state: TrainState, trained: Trained, published: boolean): Promise<void>;
  /** Records how the run ended; undefined when it continues. */
  end(ended: RunEnd | undefined): Promise<void>;
  /** Appends to reports.jsonl. */
  append(reports: readonly Report[]): Promise<void>;
}

/** A model in training, without its weights. */
export interface RunModel {
  readonly family: FamilyNames;
  readonly cfg: ModelConfig;
  /** config.json and generation_config.json. */
  readonly config: object;
  readonly generation: unknown;
  readonly tokenizer: Tokenizer;
  /** The target tokenizer of a translator. */
  readonly target: Tokenizer | null;
  /** The base model and its folder if only adapters are trained. */
  readonly adapters: { readonly lora: Lora; readonly base: ModelWeights; readonly dir: string } | null;
}

/** A line of reports.jsonl. */
export type Report =
  | StepReport
  | { readonly eval: EvalReport }
  | { readonly updates: UpdateReport }
  | { readonly warning: RunWarning }
  | { readonly sample: { readonly step: number; readonly text: string } };

/** Checkpoints to resume from: the newest, and the one before in case that is damaged. */
const TO_RESUME = 2;
/** Checkpoints to inspect and branch from: as many as the slider shows, or fewer if they are large. */
const MAX_CHECKPOINTS = 24;
const CHECKPOINT_BYTES = 1e9;
const TEXT = "data.txt";
/** Larger texts are trained on from their files. */
const MAX_TEXT_BYTES = 400_000_000;
const RECORD = "training.json";

/** A model with fresh parameters. */
export const freshModel = (cfg: ModelConfig, tokenizer: Tokenizer, target: Tokenizer | null): RunModel => ({
  family: trainedFamily(cfg),
  cfg,
  config: toConfigJson(cfg),
  generation: null,
  tokenizer,
  target,
  adapters: null,
});

/** A model with the configuration and tokenizer of another. */
export async function modelLike(model: Model, lora: Lora | null): Promise<RunModel> {
  const { dir } = model.info;
  const { family, cfg, tokenizer } = model;
  return {
    ...(await readSettings(dir, model)),
    family,
    cfg,
    tokenizer,
    target: null,
    adapters: lora && { lora, base: model, dir },
  };
}

/** config.json for weights in float32, and generation_config.json. */
async function readSettings(
  dir: string,
  model: Pick<RunModel, "family" | "cfg">,
): Promise<Pick<RunModel, "config" | "generation">> {
  const { quantization_config: _, dtype: __, ...config } = (await readJson(join(dir, "config.json"))) as Json;
  const generation = await readJson(join(dir, GENERATION)).catch((error: EngineError) => {
    if (codeOf(error.cause) === "ENOENT") return null;
    throw error;
  });
  return { config: { ...completeConfig(config, model), torch_dtype: "float32" }, generation };
}

type Json = Readonly<Record<string, unknown>>;
const GENERATION = "generation_config.json";

/** The folder of a run that is being prepared, locked by it. */
export interface NewRunFolder {
  /**
   * Gives the folder its name, with what `write` puts into it: at least a checkpoint. `text` is saved in it, for training
   * data without a file.
   */
  create(model: RunModel, text: string | null, write: (folder: RunFolder) => Promise<void>): Promise<RunFolder>;
  /** Deletes what was written before `create`, and unlocks the folder. */
  end(): Promise<void>;
}

/** Starts a run folder. `text` is the training data if it has no file. */
export async function startRunFolder(dir: string, text: string | null): Promise<NewRunFolder> {
  await requireUntrained(dir);
  await requireUnplanned(dir);
  const folder = await startFolder(dir, { clear: (leftover) => clearLeftover(leftover, text) });
  const unlock = await lockRun(folder.work).catch(async (error) => {
    await folder.discard();
    throw error;
  });
  let isCreated = false;
  return {
    async create(model, text, write) {
      if (text !== null) await writeFileWhole(join(folder.work, TEXT), text);
      await write(runFolder(folder.work, model));
      await folder.finish().catch(async (error) => {
        await requireUntrained(dir);
        throw error;
      });
      isCreated = true;
      return runFolder(dir, model);
    },
    async end() {
      if (isCreated) await unlock(dir);
      else await folder.discard();
    },
  };
}

/**
 * Deletes what a run of an earlier version left when it was killed before its first checkpoint. Returns true if the folder
 * is empty now. Keeps a text that may be the user's.
 */
async function clearLeftover(dir: string, text: string | null): Promise<boolean> {
  const names = await readdir(dir);
  const checkpoints: readonly string[] | null = await readdir(join(dir, "checkpoints")).catch(() => null);
  const isOwnText = async () =>
    (checkpoints ?? []).length > 0 ||
    (await readRegularText(join(dir, TEXT), MAX_TEXT_BYTES).catch(() => null)) === text;
  const isLeftover =
    checkpoints?.every(isTemporary) &&
    names.every((name) => ["checkpoints", TEXT, REPORTS_FILE, LOCK_FILE].includes(name)) &&
    (!names.includes(TEXT) || (await isOwnText()));
  if (!isLeftover && names.some((name) => name !== LOCK_FILE)) return false;
  for (const name of names) await rm(join(dir, name), { recursive: true, force: true });
  return true;
}

/** A run at a checkpoint. */
export interface SavedRun {
  readonly record: RunRecord;
  readonly state: TrainState;
  readonly model: RunModel;
}

/** The folder of a run that this process has locked, with the state of its last usable checkpoint. */
export async function openRunFolder(dir: string): Promise<SavedRun & { readonly folder: RunFolder }> {
  await removeStale(dir, join(dir, "checkpoints"), dirname(resolve(dir)));
  const read = new Map<string, SavedRun>();
  // Skips a checkpoint with weights that are not finite: the one before it is still good.
  const { checkpoint, skipped } = await latestCheckpoint(dir, async (path) => {
    try {
      read.set(path, await readCheckpoint(path));
      return null;
    } catch (error) {
      if (error instanceof EngineError && error.code === "weights") return error.message;
      throw error;
    }
  });
  const saved = checkpoint && read.get(checkpoint.path);
  if (!saved) {
    const why = skipped[0] ? `: ${skipped[0].problem}` : "";
    throw new EngineError("checkpoint", `${dir} has no checkpoint to resume from${why}. Train the model again.`);
  }
  // A kill may have interrupted the first publication.
  if (!(await readRunRecord(dir).catch(() => null))) await publish(dir, checkpoint);
  await dropReportsAfter(dir, saved.record.step);
  return { ...saved, folder: runFolder(dir, saved.model) };
}

/** Reads a run at one of its checkpoints. */
export async function readCheckpoint(path: string): Promise<SavedRun> {
  const { family, cfg } = await readTrainedConfig(path);
  const record = await readRunRecord(path);
  const lora = loraOf(record.settings);
  const model: RunModel = {
    ...(await readSettings(path, { family, cfg })),
    family,
    cfg,
    tokenizer: await loadTokenizer(path),
    target: isEncoderDecoder(cfg) ? await loadPrefixedTokenizer(path, TARGET) : null,
    adapters: lora && { lora, ...(await openBase(record)) },
  };
  const names = exportNames(family, cfg);
  const specs = trainedSpecs(model);
  const optimizer = join(path, OPTIMIZER_FILE);
  const state = {
    params: lora
      ? await readAdapters(path, family, decoderOf(cfg), lora)
      : await readParamsOf(join(path, "model.safetensors"), specs, (name) => names.get(name) as string),
    m: await readParamsOf(optimizer, specs, (name) => `m.${name}`),
    v: await readParamsOf(optimizer, specs, (name) => `v.${name}`),
  };
  return { record, state, model };
}

/** The adapters of a run's settings; null to train all parameters. */
export function loraOf(settings: Settings): Lora | null {
  const [rank, alpha] = [settings["lora.rank"], settings["lora.alpha"]];
  return typeof rank === "number" && typeof alpha === "number" && rank > 0 ? { rank, alpha } : null;
}

const trainedSpecs = ({ cfg, adapters }: RunModel): readonly ParamSpec[] =>
  adapters ? adapterSpecs(decoderOf(cfg), adapters.lora) : paramSpecs(cfg);

/** Opens the base model of adapters; throws if it has changed. */
async function openBase({ name, from }: RunRecord): Promise<{ base: ModelWeights; dir: string }> {
  if (!from) throw new EngineError("checkpoint", `The record of ${name} does not name its base model. Train it again.`);
  const base = await openWeights(from.dir);
  if ((await fingerprintOf(base)) !== from.fingerprint) {
    throw new EngineError(
      "checkpoint",
      `${from.dir} is no longer the base model of ${name}. Restore that model to resume this run.`,
    );
  }
  return { base, dir: from.dir };
}

/** The training data of a run; undefined for a task. */
export async function runSource(dir: string, { data }: RunRecord): Promise<TextSource | undefined> {
  if (data.kind === "task") return undefined;
  if (data.kind === "paths") return { kind: "paths", paths: data.paths };
  const folder = isCheckpoint(dir) ? dirname(dirname(dir)) : dir;
  const text = await readRegularText(join(folder, TEXT), MAX_TEXT_BYTES).catch((error) => {
    throw new EngineError("data", `The training text in ${folder} is missing or cannot be read. Train a new model.`, {
      cause: error,
    });
  });
  return { kind: "text", name: TEXT, text };
}

function runFolder(dir: string, model: RunModel): RunFolder {
  const { family, cfg, config, generation, tokenizer, target, adapters } = model;
  const specs = trainedSpecs(model);
  const names = exportNames(family, cfg);
  return {
    dir,
    async checkpoint(record, state, trained, published) {
      const path = await writeCheckpoint(dir, record.step, async (folder) => {
        await writeJson(join(folder, "config.json"), config);
        if (generation !== null) await writeJson(join(folder, GENERATION), generation);
        await saveTokenizer(tokenizer, folder);
        if (target) await saveTokenizer(target, folder, TARGET);
        await writeJson(join(folder, RECORD), record);
        if (adapters) await writeAdapters(folder, family, decoderOf(cfg), adapters.lora, state.params, adapters.dir);
        else {
          const weights = tensors(specs, state.params, (name) => names.get(name) as string);
          await writeSafetensors(join(folder, "model.safetensors"), weights, { format: "pt" });
        }
        const [m, v] = (["m", "v"] as const).map((key) => tensors(specs, state[key], (name) => `${key}.${name}`));
        await writeSafetensors(join(folder, OPTIMIZER_FILE), new Map([...(m ?? []), ...(v ?? [])]));
      });
      if (published) {
        if (adapters) {
          const weights = await trained.weights(state.params);
          await writeMerged(join(dir, "model.safetensors"), adapters.base, weights);
        }
        await publish(dir, { path });
      }
      const fitting = Math.floor(CHECKPOINT_BYTES / (await sizeOfFolder(path)));
      const most = adapters ? TO_RESUME : Math.max(TO_RESUME, Math.min(MAX_CHECKPOINTS, fitting));
      await pruneCheckpoints(dir, { newest: TO_RESUME, most, best: bestStep(await checkpointsOf(dir)) });
    },
    async end(ended) {
      const { ended: _, ...record } = await readRunRecord(dir);
      await writeFileWhole(join(dir, RECORD), jsonOf(ended ? { ...record, ended } : record));
    },
    append: (reports) => appendJsonLines(join(dir, REPORTS_FILE), reports),
  };
}

async function sizeOfFolder(dir: string): Promise<number> {
  const files = await Promise.all((await readdir(dir)).map((name) => stat(join(dir, name))));
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** The checkpoints of a run, newest last. Adapter checkpoints are not complete models and are left out. */
export async function checkpointsOf(dir: string): Promise<CheckpointInfo[]> {
  const found = await Promise.all(
    (await listCheckpoints(dir)).map(async ({ path, step }): Promise<CheckpointInfo | null> => {
      // Skips checkpoints that are being deleted or replaced.
      const names: readonly string[] = await readdir(path).catch(() => []);
      const record = await readRunRecord(path).catch(() => null);
      if (!record || record.step !== step || !names.includes("model.safetensors")) return null;
      const { loss, valLoss, accuracy } = record;
      return { step, dir: path, loss: loss ?? null, valLoss: valLoss ?? null, accuracy: accuracy ?? null };
    }),
  );
  return found
    .filter((info) => info !== null)
    .filter(({ step }, i, all) => all[i - 1]?.step !== step)
    .reverse();
}

/** The step of the lowest validation loss. */
const bestStep = (checkpoints: readonly CheckpointInfo[]): number | null =>
  checkpoints.reduce<CheckpointInfo | null>(
    (best, info) => (info.valLoss !== null && info.valLoss < (best?.valLoss ?? Infinity) ? info : best),
    null,
  )?.step ?? null;

const writeJson = (path: string, json: unknown) => writeFile(path, jsonOf(json));
const jsonOf = (json: unknown) => `${JSON.stringify(json, null, 2)}\n`;

const tensors = (specs: readonly ParamSpec[], values: Params, nameOf: (name: string) => string) =>
  new Map(
    specs.map(({ name, shape }) => [
      nameOf(name),
      { shape: [...shape], dtype: "F32" as const, data: values.get(name) as Float32Array },
    ]),
  );

/** A killed run may have reported steps after its last checkpoint; the resumed run reports them again. */
async function dropReportsAfter(dir: string, step: number): Promise<void> {
  await writeReports(dir, await reportsUntil(dir, step));
}

const writeReports = (dir: string, reports: readonly Report[]) =>
  writeFileWhole(join(dir, REPORTS_FILE), reports.map((report) => `${JSON.stringify(report)}\n`).join(""));

/** The reports of a run up to a step. */
export async function reportsUntil(dir: string, step: number): Promise<Report[]> {
  const stepOf = (report: Report) => ("step" in report ? report : Object.values(report)[0])?.step ?? Infinity;
  return ((await readJsonLines(join(dir, REPORTS_FILE))) as Report[]).filter((report) => stepOf(report) <= step);
}

const isValidData = (data: RunRecord["data"] | undefined): boolean =>
  data?.kind === "text" ||
  data?.kind === "task" ||
  (data?.kind === "paths" && Array.isArray(data.paths) && data.paths.every((path) => typeof path === "string"));

/** training.json of a checkpoint or a model folder. */
export async function readRunRecord(dir: string): Promise<RunRecord> {
  const file = join(dir, RECORD);
  const record = (await readJson(file, "checkpoint")) as Partial<RunRecord> | null;
  const isValid =
    typeof record?.name === "string" &&
    typeof record.preset === "string" &&
    typeof record.settings === "object" &&
    record.settings !== null &&
    typeof record.fingerprint === "string" &&
    Number.isInteger(record.step) &&
    Number(record.step) >= 0 &&
    isValidData(record.data) &&
    (record.device === "cpu" || record.device === "webgpu");
  if (!isValid) {
    throw new EngineError("checkpoint", `${file} is not a valid run record. Choose a model that was trained here.`);
  }
  return record as RunRecord;
}
