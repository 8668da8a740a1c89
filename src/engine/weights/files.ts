/** Files that are there whole or not at all. */

import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { EngineError } from "../errors";

/** Marks what is being written; whoever finds such a name later may delete it. */
const TEMPORARY = ".writing-";

export function temporaryName(path: string): string {
  return join(dirname(path), `${TEMPORARY}${basename(path)}-${randomUUID()}`);
}

export function isTemporary(name: string): boolean {
  return name.startsWith(TEMPORARY);
}

/** Replaces a file: the new content is written beside it, flushed, and renamed over it. */
export async function writeFileWhole(
  path: string,
  content: string | Uint8Array | ((file: FileHandle) => Promise<void>),
): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await writeFlushed(temporary, content);
    await rename(temporary, path);
    await flushFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw storageError(error, path);
  }
}

/** Writes a file and waits until it is on the disk. */
export async function writeFlushed(
  path: string,
  content: string | Uint8Array | ((file: FileHandle) => Promise<void>),
): Promise<void> {
  const file = await open(path, "w");
  try {
    if (typeof content === "function") await content(file);
    else await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes a folder and those above it. Node's own `recursive` reports read-only storage as a path that does not exist. */
export async function makeFolder(dir: string): Promise<void> {
  try {
    await mkdir(dir);
  } catch (error) {
    if (codeOf(error) === "EEXIST") return;
    if (codeOf(error) !== "ENOENT" || dirname(dir) === dir) throw storageError(error, dir);
    await makeFolder(dirname(dir));
    // Somebody else may have made it in between.
    await mkdir(dir, { recursive: true });
  }
}

/** Makes renames in a folder last. Windows has no such thing and needs none. */
export async function flushFolder(dir: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(dir, "r");
  try {
    await folder.sync();
  } catch (error) {
    // Some network and overlay file systems cannot flush a folder.
    if (!["EINVAL", "ENOTSUP", "EPERM", "EBADF"].includes(codeOf(error))) throw error;
  } finally {
    await folder.close();
  }
}

const STORAGE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOSPC: "there is no space left on the disk; free some and try again",
  EDQUOT: "the disk quota is used up; free some space and try again",
  EFBIG: "the file would be larger than allowed here; choose another folder",
  EROFS: "the storage is read-only; choose a folder that can be written to",
  EACCES: "the folder may not be written to; choose another, or change its permissions",
  EPERM: "the folder may not be written to; choose another, or change its permissions",
  ENOTDIR: "a part of the path is a file; choose another folder",
  EISDIR: "there is a folder of that name; choose another name",
  EIO: "the disk reports an error; choose another folder",
  ENOENT: "its folder does not exist; choose one that does",
};

/** The error as the user is told it; what is not the storage's fault stays as it is. */
export function storageError(error: unknown, path: string): unknown {
  const problem = STORAGE_PROBLEMS[codeOf(error)];
  if (problem === undefined || error instanceof EngineError) return error;
  // The temporary name that was being written to says nothing to anybody.
  const target = path.replace(/\.writing-(.+?)-[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/, "$1");
  // Where the folder is gone, nobody knows what became of the rest.
  const kept = codeOf(error) === "ENOENT" ? "" : " What was saved before is untouched.";
  return new EngineError("storage", `${target} could not be written: ${problem}.${kept}`, { cause: error });
}

const READ_PROBLEMS: Readonly<Record<string, string>> = {
  EISDIR: "is a folder and should be a file; choose another",
  ENOTDIR: "lies below a file, not a folder; choose a model's folder",
  EACCES: "may not be read; change its permissions or choose another",
  EPERM: "may not be read; change its permissions or choose another",
  ELOOP: "is a link that leads in a circle; choose another",
  ENAMETOOLONG: "has too long a name; choose another",
  EIO: "cannot be read from the disk; take it from its source again",
};

/** An error of reading a model's file as the user is told it; what is not the storage's fault stays as it is. */
export function readError(error: unknown, path: string): unknown {
  const problem = READ_PROBLEMS[codeOf(error)];
  if (problem === undefined || error instanceof EngineError) return error;
  return new EngineError("storage", `${path} ${problem}.`, { cause: error });
}

export function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException | null)?.code ?? "");
}
