/**
 * A folder that a training, an import or an export creates.
 *
 * It is built under a temporary name next to its final one and renamed when it is complete. A process that is killed
 * leaves only the temporary folder, which the next start deletes.
 */

import { lstat, mkdir, readdir, realpath, rename, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { EngineError } from "../errors";
import { codeOf, creationError, flushFolder, makeFolder, storageError } from "./files";
import { removeStale, temporaryName } from "./temporary";

export interface NewFolder {
  /** The temporary folder to write into. */
  readonly work: string;
  /** Gives the folder its final name. */
  finish(): Promise<void>;
  /** Deletes the temporary folder and the parents that were created for it. */
  discard(): Promise<void>;
}

interface Options {
  /** Deletes leftovers that may be replaced from a folder that is not empty; returns true if it is empty now. */
  readonly clear?: (dir: string) => Promise<boolean>;
}

/** Starts a folder at `out`, which must not exist or be empty. Fails before any work if it cannot be written there. */
export async function startFolder(out: string, { clear = async () => false }: Options = {}): Promise<NewFolder> {
  requirePath(out);
  const dir = await finalFolder(resolve(out));
  await removeStale(dirname(dir), dir);
  const exists = await requireEmpty(dir, clear);
  const made = exists ? [] : await makeFolder(dirname(dir));
  const work = await makeWork(dir, exists);
  const discard = async () => {
    await rm(work, { recursive: true, force: true }).catch(() => {});
    for (const parent of [...made].reverse()) await rmdir(parent).catch(() => {});
  };
  return { work, finish: () => moveIntoPlace(work, dir), discard };
}

function requirePath(out: string): void {
  if (out.trim() !== "" && !out.includes("\0")) return;
  throw new EngineError("storage", "The path of the new folder is empty or not valid. Choose a folder.");
}

/** The folder behind a symbolic link, or the path itself. */
async function finalFolder(path: string): Promise<string> {
  const link = await lstat(path).catch(() => null);
  if (!link?.isSymbolicLink()) return path;
  return realpath(path).catch((error: unknown) => {
    if (codeOf(error) !== "ENOENT") throw storageError(error, path);
    const message = `${path} is a symbolic link to a folder that does not exist. Create that folder or choose another one.`;
    throw new EngineError("storage", message, { cause: error });
  });
}

/** Returns true if the folder exists and is empty, false if it does not exist. */
async function requireEmpty(dir: string, clear: (dir: string) => Promise<boolean>): Promise<boolean> {
  try {
    if ((await readdir(dir)).length > 0 && !(await clear(dir))) throw notEmpty(dir);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    const isFile = codeOf(error) === "ENOTDIR" && (await stat(dir).catch(() => null)) !== null;
    if (isFile) throw new EngineError("storage", `${dir} is a file. Choose a folder.`, { cause: error });
    throw storageError(error, dir);
  }
}

const notEmpty = (dir: string): EngineError =>
  new EngineError("storage", `${dir} already exists and is not empty. Choose another folder.`);

/**
 * Creates the temporary folder next to `dir`. An existing `dir` holds the temporary folder itself if it is the root of a
 * disk, or if its parent cannot be written.
 */
async function makeWork(dir: string, exists: boolean): Promise<string> {
  const [beside, inside] = [temporaryName(dir), temporaryName(join(dir, basename(dir)))];
  const isRoot = exists && (await deviceOf(dir)) !== (await deviceOf(dirname(dir)));
  try {
    const work = isRoot ? inside : beside;
    await mkdir(work);
    return work;
  } catch (error) {
    if (!exists || isRoot) throw creationError(error, dir);
    return mkdir(inside).then(
      () => inside,
      (inner: unknown) => {
        throw creationError(inner, dir);
      },
    );
  }
}

const deviceOf = async (dir: string): Promise<number> => (await stat(dir)).dev;

async function moveIntoPlace(work: string, dir: string): Promise<void> {
  await flushFolder(work);
  try {
    if (dirname(work) === dir) await moveEntries(work, dir);
    else {
      // Elsewhere, a rename replaces an empty folder.
      if (process.platform === "win32") await rmdir(dir).catch(ignoreMissing);
      await rename(work, dir);
    }
  } catch (error) {
    // Another process has created the folder meanwhile.
    throw ["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(codeOf(error)) ? notEmpty(dir) : storageError(error, dir);
  }
  await flushFolder(dirname(dir));
}

async function moveEntries(work: string, dir: string): Promise<void> {
  const isAlone = (await readdir(dir)).every((name) => join(dir, name) === work);
  if (!isAlone) throw notEmpty(dir);
  for (const name of await readdir(work)) await rename(join(work, name), join(dir, name));
  await rmdir(work);
}

function ignoreMissing(error: unknown): void {
  if (codeOf(error) !== "ENOENT") throw error;
}
