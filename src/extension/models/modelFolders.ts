/**
 * The model folders: what a list shows of them, read from their small JSON files without the engine.
 *
 * Every field of a record may be missing; a folder that cannot be used is listed with the reason, not dropped.
 */

import { access, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, normalize } from "node:path";
import type { ModelInfo } from "../../protocol/engineApi";
import { l10n } from "../l10n";

export interface Model {
  readonly dir: string;
  readonly name: string;
  /** Comes with the extension: cannot be renamed or deleted. */
  readonly bundled: boolean;
  /** Why it cannot be used; null for a model that can. */
  readonly problem: string | null;
  /** The model of the hub, or the folder, that it was imported from; null of one that was not. */
  readonly source: string | null;
  /** The hub's commit. */
  readonly revision: string | null;
  /** config.json's model_type. */
  readonly family: string | null;
  readonly precision: string | null;
  /** Of the weights as they are stored. */
  readonly bytes: number | null;
  readonly preset: string | null;
  readonly parameters: number | null;
  readonly step: number | null;
  readonly steps: number | null;
  readonly loss: number | null;
  readonly valLoss: number | null;
  readonly device: string | null;
  /** Milliseconds since 1970; of a folder without a record, when it was last changed. */
  readonly createdAt: number;
}

/** What a model needs, each with what may be there instead. The engine sees whether they are whole. */
const NEEDED: Readonly<Record<string, readonly (readonly string[])[]>> = {
  "config.json": [],
  "model.safetensors": [["model.safetensors.index.json"], ["pytorch_model.bin"], ["pytorch_model.bin.index.json"]],
  "tokenizer.json": [["vocab.json", "merges.txt"]],
};

/** What is known of a model's run, or of its import; a folder has one of them, or none. */
const RUN_RECORD = "training.json";
const IMPORT_RECORD = "source.json";

/** The models in a folder of model folders, newest first; none if there is no such folder. */
export async function listModels(modelsDir: string): Promise<Model[]> {
  const entries = await readdir(modelsDir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  // A name with a dot in front, or with .tmp, is a checkpoint that is being written.
  const folders = entries.filter((entry) => entry.isDirectory() && !/^\.|\.tmp/.test(entry.name));
  const models = await Promise.all(folders.map((entry) => readModel(join(modelsDir, entry.name))));
  return models.sort((a, b) => b.createdAt - a.createdAt || a.dir.localeCompare(b.dir));
}

/** What the files of one folder say. Never throws: what is wrong becomes the model's `problem`. */
export async function readModel(dir: string, bundled = false): Promise<Model> {
  const { record, problem } = await readRecord(dir);
  const files = new Set(await readdir(dir).catch(() => []));
  const missing = Object.entries(NEEDED)
    .filter(([name, others]) => ![[name], ...others].some((names) => names.every((each) => files.has(each))))
    .map(([name]) => name);
  const changed = await stat(dir).then(
    (stats) => stats.mtimeMs,
    () => 0,
  );
  return {
    dir,
    name: string(record.name) ?? string(record.id) ?? basename(dir),
    bundled,
    problem: missing.length > 0 ? l10n.t("Missing in its folder: {0}.", missing.join(", ")) : problem,
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
    createdAt: date(record.createdAt) ?? date(record.date) ?? changed,
  };
}

/** Gives a model another name; its folder stays. Its checkpoints get the name too: resuming starts from one of them. */
export async function renameModel(dir: string, name: string): Promise<void> {
  await changeRecord(dir, { name });
  const checkpoints = join(dir, "checkpoints");
  for (const step of await readdir(checkpoints).catch(() => [])) {
    if (await exists(join(checkpoints, step, RUN_RECORD))) await changeRecord(join(checkpoints, step), { name });
  }
}

/** What the engine says of a model that was imported, for lists that are made without it. */
export type ImportedFacts = Pick<ModelInfo, "parameters" | "family" | "precision" | "bytes">;

export async function noteImport(dir: string, name: string, facts: ImportedFacts): Promise<void> {
  const { parameters, family, precision, bytes } = facts;
  await changeRecord(dir, { name, parameters, family, precision, bytes });
}

async function changeRecord(dir: string, changes: JsonObject): Promise<void> {
  const { file, record, problem } = await readRecord(dir);
  if (problem) throw new Error(l10n.t("The model cannot be renamed: {0}", problem));
  const path = join(dir, file);
  // Written beside and renamed, so that a crash leaves the old record or the new one.
  await writeFile(`${path}.new`, `${JSON.stringify({ ...record, ...changes }, null, 2)}\n`);
  await rename(`${path}.new`, path);
}

/** A folder for a new model: its name in letters that every file system takes, with a number if that is taken. */
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

/** A name for a new model that no other has. */
export const nameFor = (name: string, taken: readonly string[]): string => unused(name, taken, (n) => `${name} ${n}`);

function unused(first: string, taken: readonly string[], numbered: (n: number) => string): string {
  let candidate = first;
  for (let n = 2; taken.includes(candidate); n++) candidate = numbered(n);
  return candidate;
}

/** The model that is used: the one that was chosen if it can be, else the one that came with the extension, else the newest. */
export function chooseActive(models: readonly Model[], chosenDir: string | undefined): Model | undefined {
  const usable = models.filter((model) => model.problem === null);
  return usable.find((model) => model.dir === chosenDir) ?? usable.find((model) => model.bundled) ?? usable[0];
}

/** True for a model's folder and for its checkpoints, `MODEL/checkpoints/step-…`. */
export function isModelOrCheckpoint(dir: string, models: readonly string[]): boolean {
  if (models.includes(dir)) return true;
  const folder = dirname(dir);
  return dir === normalize(dir) && basename(folder) === "checkpoints" && models.includes(dirname(folder));
}

type JsonObject = Readonly<Record<string, unknown>>;

/** The record that a folder has. */
async function readRecord(
  dir: string,
): Promise<{ readonly file: string; readonly record: JsonObject; readonly problem: string | null }> {
  const isImport = !(await exists(join(dir, RUN_RECORD))) && (await exists(join(dir, IMPORT_RECORD)));
  const file = isImport ? IMPORT_RECORD : RUN_RECORD;
  const text = await readFile(join(dir, file), "utf8").catch((error: NodeJS.ErrnoException) => error);
  if (text instanceof Error) {
    // A folder that was put here by hand has none.
    const problem = text.code === "ENOENT" ? null : l10n.t("{0} cannot be read: {1}", file, text.message);
    return { file, record: {}, problem };
  }
  try {
    const record: unknown = JSON.parse(text);
    // A parsed JSON value that is neither null nor an array nor a primitive is an object with string keys.
    if (typeof record === "object" && record && !Array.isArray(record))
      return { file, record: record as JsonObject, problem: null };
  } catch {
    // Reported below, as for any other value that is not an object.
  }
  return { file, record: {}, problem: l10n.t("{0} is damaged.", file) };
}

const exists = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  );
const string = (value: unknown) => (typeof value === "string" && value.trim() !== "" ? value : null);
const number = (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const date = (value: unknown) => {
  const time = typeof value === "string" || typeof value === "number" ? new Date(value).getTime() : Number.NaN;
  return Number.isNaN(time) ? null : time;
};
