/**
 * Reads the model folders from their small JSON files, without the engine.
 *
 * Any field of a record may be missing. A folder that cannot be used is listed with the reason.
 */

import { access, readdir, rename, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, normalize } from "node:path";
import { parseJson } from "../../files/json";
import { readRegularText } from "../../files/regular";
import type { ModelInfo } from "../../protocol/engineApi";
import { excerpt } from "../../text/untrusted";
import { l10n } from "../l10n";

export interface Model {
  readonly dir: string;
  readonly name: string;
  /** True for the model that comes with the extension, which cannot be renamed or deleted. */
  readonly bundled: boolean;
  /** The reason why the model cannot be used, or null. */
  readonly problem: string | null;
  /** The Hugging Face model or the folder that it was imported from; null for a trained model. */
  readonly source: string | null;
  /** The commit on Hugging Face. */
  readonly revision: string | null;
  /** config.json's model_type. */
  readonly family: string | null;
  readonly precision: string | null;
  /** Size of the stored weights. */
  readonly bytes: number | null;
  readonly preset: string | null;
  readonly parameters: number | null;
  readonly step: number | null;
  readonly steps: number | null;
  readonly loss: number | null;
  readonly valLoss: number | null;
  readonly device: string | null;
  /** True for models that were trained on code, as far as one can tell: see `readsCode`. */
  readonly readsCode: boolean;
  /** Milliseconds since 1970. For a folder without a record, the time of its last change. */
  readonly createdAt: number;
}

/** The files that a model needs, with their alternatives. Only the engine checks the contents. */
const REQUIRED_FILES: Readonly<Record<string, readonly (readonly string[])[]>> = {
  "config.json": [],
  "model.safetensors": [["model.safetensors.index.json"], ["pytorch_model.bin"], ["pytorch_model.bin.index.json"]],
  "tokenizer.json": [["vocab.json", "merges.txt"]],
};

/** The record of a training run or of an import. A folder has at most one of them. */
export const RUN_RECORD = "training.json";
const IMPORT_RECORD = "source.json";

/** The models in a folder of model folders, newest first; empty if the folder does not exist. */
export async function listModels(modelsDir: string): Promise<Model[]> {
  const entries = await readdir(modelsDir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  // A leading dot or ".tmp" marks a folder that is still being written.
  const folders = entries.filter((entry) => entry.isDirectory() && !/^\.|\.tmp/.test(entry.name));
  const models = await Promise.all(folders.map((entry) => readModel(join(modelsDir, entry.name))));
  return models.sort((a, b) => b.createdAt - a.createdAt || a.dir.localeCompare(b.dir));
}

/** Reads one model folder. Never throws: an error becomes the `problem` of the model. */
export async function readModel(dir: string, bundled = false): Promise<Model> {
  const { record, problem } = await readRecord(dir);
  const files = new Set(await readdir(dir).catch(() => []));
  const missing = Object.entries(REQUIRED_FILES)
    .filter(([name, others]) => ![[name], ...others].some((names) => names.every((each) => files.has(each))))
    .map(([name]) => name);
  const changeTime = await stat(dir).then(
    (stats) => stats.mtimeMs,
    () => 0,
  );
  return {
    dir,
    name: string(record.name) ?? string(record.id) ?? basename(dir),
    bundled,
    problem: missing.length > 0 ? l10n.t("Missing files: {0}.", missing.join(", ")) : problem,
    source: string(record.id) ?? string(record.folder),
    revision: string(record.revision),
    family: string(record.family),
    precision: string(record.precision),
    bytes: number(record.bytes),
    preset: string(record.preset),
    parameters: number(record.parameters),
    step: number(record.step),
    steps: number(record.steps),
    loss: number(record.loss),
    valLoss: number(record.valLoss),
    device: string(record.device),
    readsCode: readsCode(record),
    createdAt: date(record.createdAt) ?? date(record.date) ?? changeTime,
  };
}

/** Imported models of this size have read some code; smaller ones are demonstrations. */
const FEWEST_PARAMETERS = 20e6;
const TEXT_FILE = /\.(txt|text|md|markdown|tsv|csv|jsonl?)$/i;

/** A model of the usual size, or one that was trained here on files with the ending of a programming language. */
function readsCode({ parameters, data }: JsonObject): boolean {
  if ((number(parameters) ?? 0) >= FEWEST_PARAMETERS) return true;
  const paths: unknown = Object(data).paths;
  return Array.isArray(paths) && paths.some((path) => /\.\w+$/.test(String(path)) && !TEXT_FILE.test(String(path)));
}

/** Renames a model but not its folder. Its checkpoints are renamed too, because resuming starts from one of them. */
export async function renameModel(dir: string, name: string): Promise<void> {
  await changeRecord(dir, { name });
  const checkpoints = join(dir, "checkpoints");
  for (const step of await readdir(checkpoints).catch(() => [])) {
    if (await exists(join(checkpoints, step, RUN_RECORD))) await changeRecord(join(checkpoints, step), { name });
  }
}

/** Facts about an imported model, reported by the engine, that lists show. */
export type ImportedFacts = Pick<ModelInfo, "parameters" | "family" | "precision" | "bytes">;

export async function noteImport(dir: string, name: string, facts: ImportedFacts): Promise<void> {
  const { parameters, family, precision, bytes } = facts;
  await changeRecord(dir, { name, parameters, family, precision, bytes });
}

async function changeRecord(dir: string, changes: JsonObject): Promise<void> {
  const { file, record, problem } = await readRecord(dir);
  if (problem) throw new Error(l10n.t("Cannot change the record of the model. {0}", problem));
  const path = join(dir, file);
  // Replaces the file in one step, so that a crash leaves either the old record or the new one.
  await writeFile(`${path}.new`, `${JSON.stringify({ ...record, ...changes }, null, 2)}\n`);
  await rename(`${path}.new`, path);
}

/** The folder of a new model: its name in characters that every file system accepts, numbered if necessary. */
export function folderFor(name: string, taken: readonly string[]): string {
  const slug =
    name
      .normalize("NFKD")
      .replace(/\p{Mark}/gu, "")
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 48) || "model";
  return unused(slug, taken, (n) => `${slug}-${n}`);
}

/** A unique name for a new model. */
export const nameFor = (name: string, taken: readonly string[]): string => unused(name, taken, (n) => `${name} ${n}`);

function unused(first: string, taken: readonly string[], numbered: (n: number) => string): string {
  let candidate = first;
  for (let n = 2; taken.includes(candidate); n++) candidate = numbered(n);
  return candidate;
}

export const isUsable = ({ problem }: Model): boolean => problem === null;

/** The active model: the chosen one if it is usable, else the bundled one, else the newest. */
export function chooseActive(models: readonly Model[], chosenDir: string | undefined): Model | undefined {
  const usable = models.filter(isUsable);
  return usable.find((model) => model.dir === chosenDir) ?? usable.find((model) => model.bundled) ?? usable[0];
}

/** True for a model's folder and for its checkpoints, `MODEL/checkpoints/step-…`. */
export function isModelOrCheckpoint(dir: string, models: readonly string[]): boolean {
  if (models.includes(dir)) return true;
  const folder = dirname(dir);
  return dir === normalize(dir) && basename(folder) === "checkpoints" && models.includes(dirname(folder));
}

type JsonObject = Readonly<Record<string, unknown>>;

const MAX_RECORD_BYTES = 10_000_000;

/** Reads a record file. */
export const readRecordText = (file: string): Promise<string> => readRegularText(file, MAX_RECORD_BYTES);

/** The JSON object in the text of a record or report; null if the text is damaged or another JSON value. */
export function parseRecord(text: string): JsonObject | null {
  try {
    const value = parseJson(text, { depth: 20, values: 100_000 });
    // Any other JSON value is an object with string keys.
    return typeof value === "object" && value && !Array.isArray(value) ? (value as JsonObject) : null;
  } catch {
    return null;
  }
}

/** The record of a folder. */
async function readRecord(
  dir: string,
): Promise<{ readonly file: string; readonly record: JsonObject; readonly problem: string | null }> {
  const isImport = !(await exists(join(dir, RUN_RECORD))) && (await exists(join(dir, IMPORT_RECORD)));
  const file = isImport ? IMPORT_RECORD : RUN_RECORD;
  const text = await readRecordText(join(dir, file)).catch((error: NodeJS.ErrnoException) => error);
  if (text instanceof Error) {
    // A folder that was copied here by hand has no record.
    const problem = text.code === "ENOENT" ? null : l10n.t("Cannot read {0}: {1}", file, text.message);
    return { file, record: {}, problem };
  }
  const record = parseRecord(text);
  if (record) return { file, record, problem: null };
  return { file, record: {}, problem: l10n.t("{0} is damaged. It should contain a JSON object.", file) };
}

const exists = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  );
/** Texts of a record are only shown. */
const string = (value: unknown) => (typeof value === "string" && value.trim() !== "" ? excerpt(value) : null);
const number = (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const date = (value: unknown) => {
  const time = typeof value === "string" || typeof value === "number" ? new Date(value).getTime() : Number.NaN;
  return Number.isNaN(time) ? null : time;
};
