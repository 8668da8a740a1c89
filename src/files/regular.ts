/**
 * Opening files that others made. A path may lead to a pipe, which blocks until something writes to it, to a device, which
 * never ends, or to a sparse file of terabytes. So only regular files are opened, and files are read whole only up to a
 * limit that is checked first.
 */

import { constants, type FileHandle, open, stat } from "node:fs/promises";
import { byteSize } from "../text/untrusted";

/** A file that is not read. The other errors of this module are those of the file system. */
export class FileProblem extends Error {
  constructor(
    readonly code: "NOT_A_FILE" | "TOO_LARGE",
    /** Continues a sentence that begins with the file. */
    readonly problem: string,
  ) {
    super(`The file ${problem}.`);
  }
}

/** Opens a regular file for reading. */
export async function openRegular(path: string): Promise<FileHandle> {
  // Opening some devices has effects, so that the check comes first. It is repeated, because the file may be replaced.
  requireFile(await stat(path));
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    requireFile(await file.stat());
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

type Info = Awaited<ReturnType<typeof stat>>;

function requireFile(info: Info): void {
  if (info.isFile()) return;
  if (info.isDirectory()) throw Object.assign(new Error("a folder"), { code: "EISDIR" });
  throw new FileProblem("NOT_A_FILE", "is a pipe or a device, not a file");
}

/** Reads a regular file of at most `maxBytes`. */
export async function readRegular(path: string, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const file = await openRegular(path);
  try {
    const { size } = await file.stat();
    if (size > maxBytes) throw new FileProblem("TOO_LARGE", `is too large (${byteSize(size)})`);
    const bytes = new Uint8Array(size);
    let length = 0;
    while (length < size) {
      const { bytesRead } = await file.read(bytes, length, size - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return length === size ? bytes : bytes.slice(0, length);
  } finally {
    await file.close();
  }
}

/** Reads a regular text file of at most `maxBytes`. Bytes that are not UTF-8 become U+FFFD, and a byte order mark is dropped. */
export const readRegularText = async (path: string, maxBytes: number): Promise<string> =>
  new TextDecoder().decode(await readRegular(path, maxBytes));

/** Chunks of a regular file. */
export async function* chunksOf(path: string, chunkBytes: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const file = await openRegular(path);
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { buffer, bytesRead } = await file.read(new Uint8Array(chunkBytes), 0, chunkBytes, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
