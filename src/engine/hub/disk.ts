/** Disk operations of an import. */

import { createWriteStream } from "node:fs";
import { link, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { chunksOf } from "../../files/regular";
import { byteSize } from "../../text/untrusted";
import { EngineError } from "../errors";
import type { OnBytes } from "./download";

export async function requireSpace(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(await existing(dir));
  if (bavail * bsize >= bytes) return;
  throw new EngineError(
    "storage",
    `Not enough disk space in ${dir}: ${byteSize(bytes)} needed, ${byteSize(bavail * bsize)} free. Free some space or choose another folder.`,
  );
}

/** Returns true if hard links between two folders are possible. */
export const onSameDisk = async (a: string, b: string): Promise<boolean> => (await deviceOf(a)) === (await deviceOf(b));

const deviceOf = async (dir: string): Promise<number> => (await stat(await existing(dir))).dev;

/** The folder itself or its nearest existing ancestor. */
async function existing(dir: string): Promise<string> {
  const info = await stat(dir).catch(() => null);
  return info || dirname(dir) === dir ? dir : existing(dirname(dir));
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
  await pipeline(chunksOf(from, 1 << 20), count, createWriteStream(to, { flush: true }), { signal });
}
