/** Atomic file writes, and messages for file system errors. */

import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { EngineError } from "../errors";

/** Prefix of files that are being written. Leftovers with this prefix may be deleted. */
const TEMPORARY = ".writing-";

export function temporaryName(path: string): string {
  return join(dirname(path), `${TEMPORARY}${basename(path)}-${randomUUID()}`);
}

export function isTemporary(name: string): boolean {
  return name.startsWith(TEMPORARY);
}

/** Replaces a file atomically: writes a temporary file next to it, flushes it, and renames it. */
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

/** Writes a file and flushes it to disk. */
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

/** Creates a folder and its parents. Node's own `recursive` option reports a read-only disk as ENOENT. */
export async function makeFolder(dir: string): Promise<void> {
  try {
    await mkdir(dir);
  } catch (error) {
    if (codeOf(error) === "EEXIST") return;
    if (codeOf(error) !== "ENOENT" || dirname(dir) === dir) throw storageError(error, dir);
    await makeFolder(dirname(dir));
    // Another process may have created it in the meantime.
    await mkdir(dir, { recursive: true });
  }
}

/** Flushes the renames in a folder to disk. Windows cannot flush a folder and does not need to. */
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
  ENOSPC: "the disk is full. Free some space and try again",
  EDQUOT: "the disk quota is used up. Free some space and try again",
  EFBIG: "the file would exceed the maximum file size. Choose another folder",
  EROFS: "the disk is read-only. Choose another folder",
  EACCES: "permission denied. Choose another folder or change its permissions",
  EPERM: "permission denied. Choose another folder or change its permissions",
  ENOTDIR: "part of the path is a file. Choose another folder",
  EISDIR: "a folder with that name exists. Choose another name",
  EIO: "the disk reported an error. Choose another folder",
  ENOENT: "its folder does not exist. Choose an existing folder",
};

/** Turns an error of the file system into one for the user. Returns other errors unchanged. */
export function storageError(error: unknown, path: string): unknown {
  const problem = STORAGE_PROBLEMS[codeOf(error)];
  if (problem === undefined || error instanceof EngineError) return error;
  // Users don't know the temporary name.
  const target = path.replace(/\.writing-(.+?)-[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/, "$1");
  // If the folder is gone, so may be the files in it.
  const kept = codeOf(error) === "ENOENT" ? "" : " Files saved earlier are unchanged.";
  return new EngineError("storage", `Could not write ${target}: ${problem}.${kept}`, { cause: error });
}

const READ_PROBLEMS: Readonly<Record<string, string>> = {
  EISDIR: "it is a folder, not a file. Choose another",
  ENOTDIR: "part of the path is a file. Choose a model folder",
  EACCES: "permission denied. Change its permissions or choose another",
  EPERM: "permission denied. Change its permissions or choose another",
  ELOOP: "it is a symbolic link in a loop. Choose another",
  ENAMETOOLONG: "the name is too long. Choose another",
  EIO: "the disk reported an error. Download it again or restore an earlier copy",
};

/** Turns an error while reading into one for the user. Returns other errors unchanged. */
export function readError(error: unknown, path: string): unknown {
  const problem = READ_PROBLEMS[codeOf(error)];
  if (problem === undefined || error instanceof EngineError) return error;
  return new EngineError("storage", `Could not read ${path}: ${problem}.`, { cause: error });
}

export function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException | null)?.code ?? "");
}
