/**
 * Model folders and the checkpoints of training runs.
 *
 *     DIR/config.json  tokenizer.json  tokenizer_config.json  model.safetensors  training.json  reports.jsonl
 *     DIR/checkpoints/step-00000500/   the same files at that step, plus optimizer.safetensors
 *
 * A checkpoint is written to a temporary folder, flushed, and renamed. A folder with its final name is therefore complete,
 * and killing the process at any moment leaves the previous checkpoint intact.
 */

import { copyFile, link, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { JSON_LIMITS, parseJson } from "../../files/json";
import { readRegularText } from "../../files/regular";
import { quoted } from "../../text/untrusted";
import { EngineError } from "../errors";
import { codeOf, flushFolder, makeFolder, readError, storageError } from "./files";
import { isObject, parsedJson } from "./reading";
import { readHeader } from "./safetensors";
import { isTemporary, temporaryName } from "./temporary";

export const MODEL_FILES = [
  "config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "model.safetensors",
  "training.json",
] as const;
/** Model files that only some models have. */
const OPTIONAL_FILES = ["generation_config.json", "target_tokenizer.json", "target_tokenizer_config.json"];
/** Files that replace the model's weights in a checkpoint of adapter training. */
export const ADAPTER_FILES = { weights: "adapter_model.safetensors", config: "adapter_config.json" } as const;
export const OPTIMIZER_FILE = "optimizer.safetensors";
export const REPORTS_FILE = "reports.jsonl";

export interface Checkpoint {
  readonly path: string;
  readonly step: number;
}

export interface LatestCheckpoint {
  /** The newest complete checkpoint, or null. */
  readonly checkpoint: Checkpoint | null;
  /** Newer checkpoints that cannot be used, with the reason. */
  readonly skipped: readonly { readonly path: string; readonly problem: string }[];
}

const checkpointsFolder = (dir: string) => join(dir, "checkpoints");
const nameOf = (step: number) => `step-${String(step).padStart(8, "0")}`;
/** Prefix of a checkpoint that is being replaced. */
const OLD = ".old-";

/** Makes a checkpoint from the files that `write` puts into a folder. Returns its path. */
export async function writeCheckpoint(
  dir: string,
  step: number,
  write: (folder: string) => Promise<void>,
): Promise<string> {
  const path = join(checkpointsFolder(dir), nameOf(step));
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
 * Returns the newest complete checkpoint that passes `furtherProblem`. Ignores checkpoints that are being written or whose
 * write was interrupted.
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

export interface Retention {
  /** Number of newest checkpoints to keep. They must be complete, since a run may resume from any of them. */
  readonly newest: number;
  /** Maximum in total. Older checkpoints are thinned so that their steps stay spread over the run. */
  readonly most: number;
  /** A step that is also kept if `most` exceeds `newest`. */
  readonly best?: number | null;
}

/** Deletes the checkpoints that `retention` does not keep, and the remains of interrupted writes. */
export async function pruneCheckpoints(dir: string, retention: Retention): Promise<void> {
  const parent = checkpointsFolder(dir);
  const usable: Checkpoint[] = [];
  for (const checkpoint of await listCheckpoints(dir)) {
    const name = basename(checkpoint.path);
    // A damaged checkpoint must not displace a complete one.
    const isUsable =
      usable.length < retention.newest ? (await problemOf(checkpoint.path)) === null : !name.startsWith(OLD);
    if (isUsable) usable.push(checkpoint);
  }
  const kept = new Set(thinned(usable.reverse(), retention).map(({ path }) => basename(path)));
  for (const name of await entriesOf(parent)) {
    if (kept.has(name) || !(isTemporary(name) || stepOf(name) !== null)) continue;
    await discard(join(parent, name));
  }
}

/** Repeatedly drops the checkpoint whose neighbors are closest to each other. `checkpoints` are sorted by step. */
function thinned(checkpoints: readonly Checkpoint[], { newest, most, best }: Retention): readonly Checkpoint[] {
  const kept = [...checkpoints];
  const isBest = ({ step }: Checkpoint) => most > newest && step === best;
  while (kept.length > most) {
    const gap = (i: number) => (kept[i + 1]?.step ?? Infinity) - (kept[i - 1]?.step ?? -Infinity);
    const removable = kept.flatMap((checkpoint, i) => (i < kept.length - newest && !isBest(checkpoint) ? [i] : []));
    if (removable.length === 0) break;
    kept.splice(
      removable.reduce((a, b) => (gap(b) < gap(a) ? b : a)),
      1,
    );
  }
  return kept;
}

async function discard(path: string): Promise<void> {
  // Renamed first, because a half-deleted checkpoint must not look like a checkpoint.
  const trash = isTemporary(basename(path)) ? path : temporaryName(path);
  try {
    if (trash !== path) await rename(path, trash);
    await rm(trash, { recursive: true, force: true });
  } catch (error) {
    // Windows cannot delete files that are open elsewhere; the next pruning tries again.
    if (!["EBUSY", "EPERM", "EACCES"].includes(codeOf(error))) throw error;
  }
}

/**
 * Copies a checkpoint's model files into the model folder, replacing each file atomically. An adapter checkpoint has no
 * weights; the caller writes those.
 */
export async function publish(dir: string, checkpoint: Pick<Checkpoint, "path">): Promise<void> {
  const files = await entriesOf(checkpoint.path);
  const isAbsent = (name: string) =>
    !files.includes(name) &&
    (OPTIONAL_FILES.includes(name) || (name === "model.safetensors" && files.includes(ADAPTER_FILES.weights)));
  for (const name of [...OPTIONAL_FILES, ...MODEL_FILES].filter((name) => !isAbsent(name))) {
    const path = join(dir, name);
    const temporary = temporaryName(path);
    try {
      await linkOrCopy(join(checkpoint.path, name), temporary);
      await rename(temporary, path);
    } catch (error) {
      throw storageError(error, path);
    } finally {
      // If both names are links to the same file, rename does nothing and leaves the temporary name.
      await rm(temporary, { force: true });
    }
  }
  await flushFolder(dir);
}

/** Checkpoints, newest first. One that was about to be replaced comes after its replacement. */
export async function listCheckpoints(dir: string): Promise<Checkpoint[]> {
  const parent = checkpointsFolder(dir);
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

/** The reason a checkpoint cannot be used, as a sentence, or null. */
async function problemOf(path: string): Promise<string | null> {
  try {
    const files = await readdir(path);
    const weights = files.includes(ADAPTER_FILES.config) ? ADAPTER_FILES.weights : "model.safetensors";
    for (const name of [weights, OPTIMIZER_FILE]) await readHeader(join(path, name));
    const optional = [...OPTIONAL_FILES, ADAPTER_FILES.config].filter((name) => files.includes(name));
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
    // The step already exists if the run was resumed from an earlier one.
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
    // Not every file system supports hard links.
    await copyFile(from, to);
    await flushFile(to);
  }
}

/** Larger than any JSON file of a model, except for those of tokenizers, which have a limit of their own. */
const MAX_JSON_BYTES = 100_000_000;
/** A line of a report has less than a kilobyte, samples of text aside. */
const MAX_LINES_BYTES = 400_000_000;

/** Reads a JSON file of a model folder. */
export async function readJson(path: string, code: "checkpoint" | "config" = "config"): Promise<unknown> {
  let text: string;
  try {
    text = await readRegularText(path, MAX_JSON_BYTES);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw readError(error, path);
    throw new EngineError(code, `${path} does not exist. Choose a folder that contains it, or train the model again.`, {
      cause: error,
    });
  }
  const advice = "Copy it from the model's last checkpoint, or train the model again.";
  return parsedJson(
    text,
    JSON_LIMITS,
    (problem, cause) => new EngineError(code, `${path} is damaged: it ${problem}. ${advice}`, { cause }),
    path,
  );
}

/** Appends values to a JSON Lines file. */
export async function appendJsonLines(path: string, values: readonly unknown[]): Promise<void> {
  try {
    const file = await open(path, "a+");
    try {
      const { size } = await file.stat();
      const last = new Uint8Array(1);
      if (size > 0) await file.read(last, 0, 1, size - 1);
      // If the process was killed while writing a line, start a new one.
      const start = size > 0 && last[0] !== 0x0a ? "\n" : "";
      await file.writeFile(start + values.map((value) => `${JSON.stringify(value)}\n`).join(""));
    } finally {
      await file.close();
    }
  } catch (error) {
    throw storageError(error, path);
  }
}

/** The objects of a JSON Lines file, without truncated and other lines. Empty if the file does not exist. */
export async function readJsonLines(path: string): Promise<object[]> {
  const text = await readRegularText(path, MAX_LINES_BYTES).catch((error) => {
    if (codeOf(error) === "ENOENT") return "";
    throw readError(error, path);
  });
  return text.split("\n").flatMap((line) => {
    try {
      const value = parseJson(line);
      return isObject(value) ? [value] : [];
    } catch {
      return [];
    }
  });
}

/** Returns a file name that was read from a file, unless it could lead out of the folder. */
export function plainFileName(name: string, where: string): string {
  // Excludes what some system reserves: separators, drives and streams, control characters.
  const isPlain = /^[^/\\:*?"<>|\p{Cc}]+$/u.test(name) && name !== "." && name !== "..";
  if (isPlain) return name;
  throw new EngineError(
    "weights",
    `${where} refers to the file ${quoted(name)}, which is not a plain file name. Download the model again.`,
  );
}
