/** Disk operations of an import. */

import { createReadStream, createWriteStream } from "node:fs";
import { link, readdir, rename, rmdir, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { EngineError } from "../errors";
import { codeOf, storageError } from "../weights";
import { flushFolder } from "../weights/files";
import type { OnBytes } from "./download";

/** Requires that a folder does not exist or is empty. */
export async function requireEmpty(dir: string): Promise<void> {
  const names = await readdir(dir).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return [];
    throw storageError(error, dir);
  });
  if (names.length > 0) throw notEmpty(dir);
}

const notEmpty = (dir: string): EngineError =>
  new EngineError("storage", `${dir} already exists and is not empty. Choose another folder.`);

export async function requireSpace(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(await existing(dir));
  if (bavail * bsize >= bytes) return;
  throw new EngineError(
    "storage",
    `Not enough disk space in ${dir}: ${gigabytes(bytes)} GB needed, ${gigabytes(bavail * bsize)} GB free. Free some space or choose another folder.`,
  );
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);

/** Returns true if hard links between two folders are possible. */
export const onSameDisk = async (a: string, b: string): Promise<boolean> => (await deviceOf(a)) === (await deviceOf(b));

const deviceOf = async (dir: string): Promise<number> => (await stat(await existing(dir))).dev;

/** The folder itself or its nearest existing ancestor. */
async function existing(dir: string): Promise<string> {
  const info = await stat(dir).catch(() => null);
  return info || dirname(dir) === dir ? dir : existing(dirname(dir));
}

export async function moveIntoPlace(work: string, dir: string): Promise<void> {
  await flushFolder(work);
  try {
    // On Windows, rename fails if an empty folder with that name exists.
    await rmdir(dir).catch((error: unknown) => {
      if (codeOf(error) !== "ENOENT") throw error;
    });
    await rename(work, dir);
  } catch (error) {
    // A concurrent import finished first.
    throw ["ENOTEMPTY", "EEXIST"].includes(codeOf(error)) ? notEmpty(dir) : error;
  }
  await flushFolder(dirname(dir));
}

/** Makes a hard link, or a copy if that fails (another disk, or a file of another user). */
export async function linkOrCopy(from: string, to: string, signal: AbortSignal, onBytes: OnBytes): Promise<void> {
  const isLinked = await link(from, to).then(
    () => true,
    () => false,
  );
  if (!isLinked) await copyLarge(from, to, signal, onBytes);
}

async function copyLarge(from: string, to: string, signal: AbortSignal, onBytes: OnBytes): Promise<void> {
  let copied = 0;
  async function* count(chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      copied += chunk.length;
      onBytes(copied);
      yield chunk;
    }
  }
  const source = createReadStream(from, { highWaterMark: 1 << 20 });
  await pipeline(source, count, createWriteStream(to, { flush: true }), { signal });
}
