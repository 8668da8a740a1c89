/** A run on disk: the model folder, its checkpoints, and the log of its reports. */

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TextSource } from "../data";
import { EngineError } from "../errors";
import { toConfigJson } from "../models/decoderLab";
import { readConfig, readParamsOf } from "../models/folder";
import type { DecoderConfig } from "../nn/config";
import { type Params, paramSpecs } from "../nn/params";
import type { Settings } from "../presets/settings";
import type { Device } from "../runtime/session";
import { loadTokenizer, saveTokenizer, type Tokenizer } from "../tokenizers";
import {
  appendJsonLines,
  codeOf,
  latestCheckpoint,
  makeFolder,
  OPTIMIZER_FILE,
  pruneCheckpoints,
  publish,
  REPORTS_FILE,
  readJson,
  readJsonLines,
  storageError,
  writeCheckpoint,
  writeFileWhole,
  writeSafetensors,
} from "../weights";
import type { EvalReport, StepReport } from "./config";
import type { TrainState } from "./stepper";

/** training.json: small, complete enough to go on from. */
export interface RunRecord {
  readonly name: string;
  readonly preset: string;
  readonly settings: Settings;
  readonly data: { readonly kind: "text" | "task" } | { readonly kind: "paths"; readonly paths: readonly string[] };
  readonly fingerprint: string;
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
}

export interface RunFolder {
  readonly dir: string;
  /**
   * Saves the state to go on from, and makes it the folder's model if it is to be `published`. A kill at any moment leaves
   * this or the last one whole.
   */
  checkpoint(record: RunRecord, state: TrainState, published: boolean): Promise<void>;
  /** Deletes the folder and all in it. */
  discard(): Promise<void>;
  /** Adds lines to reports.jsonl. */
  append(reports: readonly Report[]): Promise<void>;
}

type Report = StepReport | { readonly eval: EvalReport };

const KEEP_CHECKPOINTS = 2;
const TEXT = "data.txt";

/** `text` is kept in the folder where it has no file of its own. */
export async function createRunFolder(
  dir: string,
  cfg: DecoderConfig,
  tokenizer: Tokenizer,
  text: string | null,
): Promise<RunFolder> {
  try {
    await makeFolder(dir);
    // Made by one run only: another that found the folder empty at the same moment ends here.
    await mkdir(join(dir, "checkpoints")).catch((error) => {
      if (codeOf(error) !== "EEXIST") throw error;
      throw new EngineError("storage", `${dir} is not empty; choose a new folder for the model.`, { cause: error });
    });
  } catch (error) {
    throw storageError(error, dir);
  }
  const folder = runFolder(dir, cfg, tokenizer);
  if (text !== null) {
    await writeFile(join(dir, TEXT), text).catch(async (error) => {
      await folder.discard();
      throw storageError(error, dir);
    });
  }
  return folder;
}

/** The folder of a run with the state of its last whole checkpoint. */
export async function openRunFolder(
  dir: string,
): Promise<{ folder: RunFolder; record: RunRecord; state: TrainState; cfg: DecoderConfig }> {
  const { checkpoint, skipped } = await latestCheckpoint(dir);
  if (!checkpoint) {
    const why = skipped[0] ? `: ${skipped[0].problem}` : "";
    throw new EngineError("checkpoint", `${dir} has no checkpoint to resume from${why}; train the model again.`);
  }
  const { cfg } = await readConfig(checkpoint.path);
  const record = await readRunRecord(checkpoint.path);
  const optimizer = join(checkpoint.path, OPTIMIZER_FILE);
  const state = {
    params: await readParamsOf(join(checkpoint.path, "model.safetensors"), cfg, (name) => name),
    m: await readParamsOf(optimizer, cfg, (name) => `m.${name}`),
    v: await readParamsOf(optimizer, cfg, (name) => `v.${name}`),
  };
  await dropReportsAfter(dir, record.step);
  return { folder: runFolder(dir, cfg, await loadTokenizer(checkpoint.path)), record, state, cfg };
}

/** What a run learns from; the text of a run without files is kept in its folder. */
export async function runSource(dir: string, { data }: RunRecord): Promise<TextSource | undefined> {
  if (data.kind === "task") return undefined;
  if (data.kind === "paths") return { kind: "paths", paths: data.paths };
  const text = await readFile(join(dir, TEXT), "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new EngineError("data", `The text of this run is gone from ${dir} (${error.code}); train a new model.`, {
      cause: error,
    });
  });
  return { kind: "text", name: TEXT, text };
}

function runFolder(dir: string, cfg: DecoderConfig, tokenizer: Tokenizer): RunFolder {
  return {
    dir,
    async checkpoint(record, state, published) {
      const path = await writeCheckpoint(dir, record.step, async (folder) => {
        await writeFile(join(folder, "config.json"), configText(cfg));
        await saveTokenizer(tokenizer, folder);
        await writeFile(join(folder, "training.json"), `${JSON.stringify(record, null, 2)}\n`);
        await writeSafetensors(join(folder, "model.safetensors"), tensors(cfg, state.params), { format: "pt" });
        const moments = new Map([...tensors(cfg, state.m, "m."), ...tensors(cfg, state.v, "v.")]);
        await writeSafetensors(join(folder, OPTIMIZER_FILE), moments);
      });
      if (published) await publish(dir, { path });
      await pruneCheckpoints(dir, KEEP_CHECKPOINTS);
    },
    discard: () => rm(dir, { recursive: true, force: true }).catch(() => {}),
    append: (reports) => appendJsonLines(join(dir, REPORTS_FILE), reports),
  };
}

const configText = (cfg: DecoderConfig) => `${JSON.stringify(toConfigJson(cfg), null, 2)}\n`;

const tensors = (cfg: DecoderConfig, values: Params, prefix = "") =>
  new Map(
    paramSpecs(cfg).map(({ name, shape }) => [
      prefix + name,
      { shape: [...shape], dtype: "F32" as const, data: values.get(name) as Float32Array },
    ]),
  );

/** A run that died may have reported steps that its last checkpoint does not have; they will be reported again. */
async function dropReportsAfter(dir: string, step: number): Promise<void> {
  const file = join(dir, REPORTS_FILE);
  const stepOf = (report: Partial<StepReport> & { readonly eval?: EvalReport }) =>
    report.step ?? report.eval?.step ?? Infinity;
  const kept = ((await readJsonLines(file)) as Report[]).filter((report) => stepOf(report) <= step);
  await writeFileWhole(file, kept.map((report) => `${JSON.stringify(report)}\n`).join(""));
}

const isData = (data: RunRecord["data"] | undefined): boolean =>
  data?.kind === "text" ||
  data?.kind === "task" ||
  (data?.kind === "paths" && Array.isArray(data.paths) && data.paths.every((path) => typeof path === "string"));

/** training.json of a checkpoint or a model folder. */
export async function readRunRecord(dir: string): Promise<RunRecord> {
  const file = join(dir, "training.json");
  const record = (await readJson(file, "checkpoint")) as Partial<RunRecord> | null;
  const whole =
    typeof record?.name === "string" &&
    typeof record.preset === "string" &&
    typeof record.settings === "object" &&
    record.settings !== null &&
    typeof record.fingerprint === "string" &&
    Number.isInteger(record.step) &&
    Number(record.step) >= 0 &&
    isData(record.data) &&
    (record.device === "cpu" || record.device === "webgpu");
  if (!whole) {
    throw new EngineError("checkpoint", `${file} is not the record of a run; choose a model that was trained here.`);
  }
  return record as RunRecord;
}
