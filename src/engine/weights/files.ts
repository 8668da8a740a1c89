/** Atomic file writes, and messages for file system errors. */

import { access, constants, type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { FileProblem } from "../../files/regular";
import { EngineError } from "../errors";
import { finalPath, temporaryName } from "./temporary";

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

/** Checks before any work that a file can be written: its folder exists, and it does not replace a folder or a device. */
export async function requireWritableFile(path: string): Promise<void> {
  const existing = await stat(path).catch(() => null);
  if (existing && !existing.isFile()) {
    throw new EngineError("storage", `${path} exists and is not a regular file. Choose another name.`);
  }
  try {
    await access(dirname(path), constants.W_OK | constants.X_OK);
    if (!(await stat(dirname(path))).isDirectory()) throw Object.assign(new Error("not a folder"), { code: "ENOTDIR" });
  } catch (error) {
    throw storageError(error, path);
  }
}

/**
 * Creates a folder and its parents, and returns the created ones, outermost first. Node's own `recursive` option reports a
 * read-only disk as ENOENT, and never returns for a folder in which none can be created, as in /proc.
 */
export async function makeFolder(dir: string): Promise<string[]> {
  try {
    await mkdir(dir);
    return [dir];
  } catch (error) {
    if (codeOf(error) === "EEXIST" && (await stat(dir).catch(() => null))?.isDirectory()) return [];
    if (codeOf(error) !== "ENOENT" || dirname(dir) === dir) throw storageError(error, dir);
  }
  const made = await makeFolder(dirname(dir));
  try {
    await mkdir(dir);
    return [...made, dir];
  } catch (error) {
    // Another process may have created it in the meantime.
    if (codeOf(error) === "EEXIST") return made;
    throw creationError(error, dir);
  }
}

/** The error of a folder that could not be created in an existing one. In /proc, that is reported as ENOENT. */
export function creationError(error: unknown, dir: string): unknown {
  if (codeOf(error) !== "ENOENT") return storageError(error, dir);
  const message = `Could not create ${dir}: no folders can be created in ${dirname(dir)}. Choose another folder.`;
  return new EngineError("storage", message, { cause: error });
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
  EEXIST: "a file with that name exists. Choose another name",
  EISDIR: "a folder with that name exists. Choose another name",
  ENAMETOOLONG: "the name is too long. Choose a shorter one",
  ELOOP: "it is a symbolic link in a loop. Choose another folder",
  EXDEV: "it is the root of a disk. Choose a folder in it",
  EBUSY: "it is in use by another program. Close that program or choose another folder",
  EMFILE: "too many files are open. Close other programs and try again",
  ENFILE: "too many files are open. Close other programs and try again",
  EIO: "the disk reported an error. Choose another folder",
  ENOENT: "its folder does not exist. Choose an existing folder",
};

/** Turns an error of the file system into one for the user. Returns other errors unchanged. */
export function storageError(error: unknown, path: string): unknown {
  const problem = STORAGE_PROBLEMS[codeOf(error)];
  if (problem === undefined || error instanceof EngineError) return error;
  // Users don't know the temporary name.
  const target = finalPath(path);
  // If the folder is gone, so may be the files in it.
  const kept = codeOf(error) === "ENOENT" ? "" : " Files saved earlier are unchanged.";
  return new EngineError("storage", `Could not write ${target}: ${problem}.${kept}`, { cause: error });
}

const READ_PROBLEMS: Readonly<Record<string, string>> = {
  EMFILE: "too many files are open. Close other programs and try again",
  ENFILE: "too many files are open. Close other programs and try again",
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
  if (error instanceof FileProblem)
    return new EngineError("storage", `${path} ${error.problem}. Choose another, or remove it.`, { cause: error });
  const problem = READ_PROBLEMS[codeOf(error)];
  if (problem === undefined || error instanceof EngineError) return error;
  return new EngineError("storage", `Could not read ${path}: ${problem}.`, { cause: error });
}

export function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException | null)?.code ?? "");
}
