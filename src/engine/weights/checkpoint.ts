/**
 * A model's folder, and the checkpoints of its run.
 *
 *     DIR/config.json  tokenizer.json  tokenizer_config.json  model.safetensors  training.json  reports.jsonl
 *     DIR/checkpoints/step-00000500/   the same files of that step, and optimizer.safetensors
 *
 * A checkpoint is written to a folder with a name of its own, flushed, and renamed: what has the right name is whole, and
 * killing the process at any moment leaves the last one that was.
 */

import { copyFile, link, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { EngineError } from "../errors";
import { codeOf, flushFolder, isTemporary, makeFolder, readError, storageError, temporaryName } from "./files";
import { readHeader } from "./safetensors";

export const MODEL_FILES = [
  "config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "model.safetensors",
  "training.json",
] as const;
/** Model files that only some models have. */
const OPTIONAL_FILES = ["generation_config.json", "target_tokenizer.json", "target_tokenizer_config.json"];
/** What stands in a checkpoint for the weights of a model that is trained by adapters. */
export const ADAPTER_FILES = { weights: "adapter_model.safetensors", config: "adapter_config.json" } as const;
export const OPTIMIZER_FILE = "optimizer.safetensors";
export const REPORTS_FILE = "reports.jsonl";

export interface Checkpoint {
  readonly path: string;
  readonly step: number;
}

export interface LatestCheckpoint {
  /** The newest that is whole; null where there is none. */
  readonly checkpoint: Checkpoint | null;
  /** Newer ones that are not, each with the sentence that says why. */
  readonly skipped: readonly { readonly path: string; readonly problem: string }[];
}

const checkpointsOf = (dir: string) => join(dir, "checkpoints");
const nameOf = (step: number) => `step-${String(step).padStart(8, "0")}`;
/** What was there under a checkpoint's name while another takes its place. */
const OLD = ".old-";

/** Makes a checkpoint of what `write` puts into the folder it is given, and answers its path. */
export async function writeCheckpoint(
  dir: string,
  step: number,
  write: (folder: string) => Promise<void>,
): Promise<string> {
  const path = join(checkpointsOf(dir), nameOf(step));
  const folder = temporaryName(path);
  try {
    await makeFolder(folder);
    await write(folder);
    for (const name of await readdir(folder)) await flushFile(join(folder, name));
    await flushFolder(folder);
    await moveIntoPlace(folder, path);
    await flushFolder(dirname(path));
  } catch (error) {
    await rm(folder, { recursive: true, force: true }).catch(() => {});
    throw storageError(error, path);
  }
  return path;
}

/**
 * The newest checkpoint that is whole, and that `furtherProblem` has nothing against. Those that are being written, or
 * were when a process ended, do not count.
 */
export async function latestCheckpoint(
  dir: string,
  furtherProblem: (path: string) => Promise<string | null> = async () => null,
): Promise<LatestCheckpoint> {
  const skipped: { path: string; problem: string }[] = [];
  for (const checkpoint of await listCheckpoints(dir)) {
    const problem = (await problemOf(checkpoint.path)) ?? (await furtherProblem(checkpoint.path));
    if (problem === null) return { checkpoint, skipped };
    skipped.push({ path: checkpoint.path, problem });
  }
  return { checkpoint: null, skipped };
}

/** Which checkpoints stay. */
export interface Keeping {
  /** So many of the newest, which must be whole: one of them is gone on from. */
  readonly newest: number;
  /** In all; those before the newest are thinned so that their steps stay spread over the run. */
  readonly most: number;
  /** A step that stays as well where more than the newest do. */
  readonly best?: number | null;
}

/** Deletes checkpoints until those are left that `keeping` says, and what interrupted writes have left. */
export async function pruneCheckpoints(dir: string, keeping: Keeping): Promise<void> {
  const parent = checkpointsOf(dir);
  const usable: Checkpoint[] = [];
  for (const checkpoint of await listCheckpoints(dir)) {
    const name = basename(checkpoint.path);
    // A broken one must not push out a whole one.
    const isUsable =
      usable.length < keeping.newest ? (await problemOf(checkpoint.path)) === null : !name.startsWith(OLD);
    if (isUsable) usable.push(checkpoint);
  }
  const kept = new Set(thinned(usable.reverse(), keeping).map(({ path }) => basename(path)));
  for (const name of await entriesOf(parent)) {
    if (kept.has(name) || !(isTemporary(name) || stepOf(name) !== null)) continue;
    await discard(join(parent, name));
  }
}

/** Checkpoints by step, without those whose neighbors are closest to each other. */
function thinned(checkpoints: readonly Checkpoint[], { newest, most, best }: Keeping): readonly Checkpoint[] {
  const kept = [...checkpoints];
  const isBest = ({ step }: Checkpoint) => most > newest && step === best;
  while (kept.length > most) {
    const gap = (i: number) => (kept[i + 1]?.step ?? Infinity) - (kept[i - 1]?.step ?? -Infinity);
    const free = kept.flatMap((checkpoint, i) => (i < kept.length - newest && !isBest(checkpoint) ? [i] : []));
    if (free.length === 0) break;
    const least = free.reduce((a, b) => (gap(b) < gap(a) ? b : a));
    kept.splice(least, 1);
  }
  return kept;
}

async function discard(path: string): Promise<void> {
  // First out of the way: half of a deleted checkpoint must not look like one.
  const rubbish = isTemporary(basename(path)) ? path : temporaryName(path);
  try {
    if (rubbish !== path) await rename(path, rubbish);
    await rm(rubbish, { recursive: true, force: true });
  } catch (error) {
    // Windows deletes nothing that somebody looks at; the next pruning will.
    if (!["EBUSY", "EPERM", "EACCES"].includes(codeOf(error))) throw error;
  }
}

/**
 * Makes a checkpoint's model the folder's own: each file is replaced at once. A checkpoint of adapters has no weights;
 * those of the folder are then whoever's who made them.
 */
export async function publish(dir: string, checkpoint: Pick<Checkpoint, "path">): Promise<void> {
  const there = await entriesOf(checkpoint.path);
  const isAbsent = (name: string) =>
    !there.includes(name) &&
    (OPTIONAL_FILES.includes(name) || (name === "model.safetensors" && there.includes(ADAPTER_FILES.weights)));
  for (const name of [...OPTIONAL_FILES, ...MODEL_FILES].filter((name) => !isAbsent(name))) {
    const path = join(dir, name);
    const temporary = temporaryName(path);
    try {
      await linkOrCopy(join(checkpoint.path, name), temporary);
      await rename(temporary, path);
    } catch (error) {
      throw storageError(error, path);
    } finally {
      // Renaming one name of a file to another name of it does nothing and leaves both.
      await rm(temporary, { force: true });
    }
  }
  await flushFolder(dir);
}

/** The newest first; what another was about to replace comes after it. */
export async function listCheckpoints(dir: string): Promise<Checkpoint[]> {
  const parent = checkpointsOf(dir);
  const found = (await entriesOf(parent)).flatMap((name) => {
    const step = stepOf(name);
    return step === null ? [] : [{ path: join(parent, name), step }];
  });
  return found.sort((a, b) => b.step - a.step || (a.path < b.path ? 1 : -1));
}

function stepOf(name: string): number | null {
  const match = /^(?:\.old-)?step-(\d{8,})/.exec(name);
  return match ? Number(match[1]) : null;
}

async function entriesOf(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw readError(error, dir);
  }
}

/** Why a checkpoint cannot be used, in a sentence; null where it can. */
async function problemOf(path: string): Promise<string | null> {
  try {
    const there = await readdir(path);
    const weights = there.includes(ADAPTER_FILES.config) ? ADAPTER_FILES.weights : "model.safetensors";
    for (const name of [weights, OPTIMIZER_FILE]) await readHeader(join(path, name));
    const optional = [...OPTIONAL_FILES, ADAPTER_FILES.config].filter((name) => there.includes(name));
    for (const name of [...MODEL_FILES.filter((file) => file.endsWith(".json")), ...optional])
      await readJson(join(path, name), "checkpoint");
    return null;
  } catch (error) {
    if (error instanceof EngineError) return error.message;
    return `${path} could not be read (${codeOf(error) || String(error)}).`;
  }
}

async function moveIntoPlace(folder: string, path: string): Promise<void> {
  try {
    await rename(folder, path);
  } catch (error) {
    // The step is there already, from a run that was resumed at an earlier one.
    if (!(await exists(path))) throw error;
    const old = join(dirname(path), `${OLD}${basename(path)}`);
    await rm(old, { recursive: true, force: true });
    await rename(path, old);
    await rename(folder, path);
    await flushFolder(dirname(path));
    await rm(old, { recursive: true, force: true });
  }
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

async function flushFile(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (codeOf(error) === "ENOENT") throw error;
    // Not every file system has links.
    await copyFile(from, to);
    await flushFile(to);
  }
}

/** Reads a JSON file of a model folder; says which file is damaged and what to do. */
export async function readJson(path: string, code: "checkpoint" | "config" = "config"): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw readError(error, path);
    throw new EngineError(
      code,
      `${path} does not exist; choose a model folder that has it, or train the model again.`,
      { cause: error },
    );
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new EngineError(
      code,
      `${path} is damaged (it is not JSON); copy it from the model's last checkpoint, or train the model again.`,
      { cause: error },
    );
  }
}

/** Appends values to a file of one JSON value a line. */
export async function appendJsonLines(path: string, values: readonly unknown[]): Promise<void> {
  try {
    const file = await open(path, "a+");
    try {
      const { size } = await file.stat();
      const last = new Uint8Array(1);
      if (size > 0) await file.read(last, 0, 1, size - 1);
      // A line that was cut off by the end of a process stays a line of its own.
      const start = size > 0 && last[0] !== 0x0a ? "\n" : "";
      await file.writeFile(start + values.map((value) => `${JSON.stringify(value)}\n`).join(""));
    } finally {
      await file.close();
    }
  } catch (error) {
    throw storageError(error, path);
  }
}

/** The values of such a file; lines that were cut off are left out. None where there is no file. */
export async function readJsonLines(path: string): Promise<unknown[]> {
  const text = await readFile(path, "utf8").catch((error) => {
    if (codeOf(error) === "ENOENT") return "";
    throw error;
  });
  return text.split("\n").flatMap((line) => {
    try {
      return line ? [JSON.parse(line)] : [];
    } catch {
      return [];
    }
  });
}

/** A file name that a file names: refused unless it stays in its folder. */
export function plainFileName(name: string, where: string): string {
  // Reserved on some system: separators, drives and streams, control characters.
  const isPlain = /^[^/\\:*?"<>|\p{Cc}]+$/u.test(name) && name !== "." && name !== "..";
  if (isPlain) return name;
  throw new EngineError(
    "weights",
    `${where} names the file ${JSON.stringify(name)}, which is not a plain file name; take the folder from its source again.`,
  );
}
