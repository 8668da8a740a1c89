/** What an import asks of the disk. */

import { createReadStream, createWriteStream } from "node:fs";
import { link, readdir, rename, rmdir, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { EngineError } from "../errors";
import { codeOf, storageError } from "../weights";
import { flushFolder } from "../weights/files";
import type { OnBytes } from "./download";

/** A folder that is there is not written over. */
export async function requireFree(dir: string): Promise<void> {
  const names = await readdir(dir).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return [];
    throw storageError(error, dir);
  });
  if (names.length > 0) throw taken(dir);
}

const taken = (dir: string): EngineError =>
  new EngineError("storage", `${dir} is there already and not empty; choose another folder.`);

export async function requireSpace(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(await existing(dir));
  if (bavail * bsize >= bytes) return;
  throw new EngineError(
    "storage",
    `The disk of ${dir} has ${gigabytes(bavail * bsize)} GB free and ${gigabytes(bytes)} GB are needed; free some space, or choose another folder.`,
  );
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);

/** Whether files of one folder can have a link in the other. */
export const onOneDisk = async (a: string, b: string): Promise<boolean> => (await deviceOf(a)) === (await deviceOf(b));

const deviceOf = async (dir: string): Promise<number> => (await stat(await existing(dir))).dev;

/** The folder, or the nearest above it that is there. */
async function existing(dir: string): Promise<string> {
  const there = await stat(dir).catch(() => null);
  return there || dirname(dir) === dir ? dir : existing(dirname(dir));
}

export async function moveIntoPlace(work: string, dir: string): Promise<void> {
  await flushFolder(work);
  try {
    // An empty folder of that name is in the way on Windows.
    await rmdir(dir).catch((error: unknown) => {
      if (codeOf(error) !== "ENOENT") throw error;
    });
    await rename(work, dir);
  } catch (error) {
    // Another import was faster.
    throw ["ENOTEMPTY", "EEXIST"].includes(codeOf(error)) ? taken(dir) : error;
  }
  await flushFolder(dirname(dir));
}

/** A hard link; on another disk, or of a file of somebody else's, a copy. */
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
