/**
 * Resumable downloads.
 *
 * A partial download is stored in `<blob>.decoder-lab.incomplete` and renamed once it is complete and its hash matches.
 * Blobs are named by their hash and each byte is written at its own offset, so that two concurrent downloads of a file write
 * the same bytes and need no lock. (Python's tools append to `<blob>.incomplete`, which does not allow that; this code
 * ignores those files.)
 */

import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, lstat, open, rename, rm, stat } from "node:fs/promises";
import { chunksOf } from "../../files/regular";
import { quoted } from "../../text/untrusted";
import { EngineError } from "../errors";
import { codeOf, storageError } from "../weights";
import { type Connection, pause, Unreachable, withinTime } from "./connection";

export interface RemoteFile {
  readonly name: string;
  readonly url: URL;
  readonly size: number;
  /** Git's SHA-1 for small files, SHA-256 for large ones. */
  readonly hash: string;
}

/** Receives the number of bytes of a file that are done. */
export type OnBytes = (bytes: number) => void;

/** After this many bytes without an interruption, the count of failed attempts restarts. */
const GOOD_PIECE = 1 << 20;

/** Path of a partial download. */
export const incomplete = (blob: string): string => `${blob}.decoder-lab.incomplete`;

/** Downloads a file to the path `blob`, whose folder must exist. */
export async function download(
  file: RemoteFile,
  blob: string,
  connection: Connection,
  onBytes: OnBytes,
): Promise<void> {
  const part = incomplete(blob);
  for (const last of [false, true]) {
    try {
      await complete(file, part, connection, onBytes);
      if ((await hashOf(part, file.hash, connection.signal)) === file.hash) {
        await rename(part, blob);
        return;
      }
      await rm(part, { force: true });
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw storageError(error, blob);
      // A concurrent download of the file has finished, or found a wrong hash and deleted it.
      if ((await stat(blob).catch(() => null))?.size === file.size) return;
      if (last) throw storageError(error, blob);
    }
    if (last) break;
    onBytes(0);
  }
  throw new EngineError(
    "hub",
    `The checksum of ${quoted(file.name, 60)} from ${file.url.host} was wrong twice. Try again later or use a mirror.`,
  );
}

async function complete(file: RemoteFile, part: string, connection: Connection, onBytes: OnBytes): Promise<void> {
  const { signal, retry } = connection;
  const handle = await openPart(part);
  try {
    let have = (await handle.stat()).size;
    if (have > file.size) {
      await handle.truncate(0);
      have = 0;
    }
    onBytes(have);
    for (let misses = 0; have < file.size; ) {
      const before = have;
      try {
        for await (const [chunk, position] of pieces(file, have, connection)) {
          await handle.write(chunk, 0, chunk.length, position);
          have = position + chunk.length;
          onBytes(have);
        }
      } catch (error) {
        signal.throwIfAborted();
        // A retry does not help if the Hub rejected the request or the disk failed.
        if (error instanceof EngineError || isStorageProblem(error)) throw error;
        misses = have - before >= GOOD_PIECE ? 1 : misses + 1;
        if (misses >= retry.attempts) throw new Unreachable(file.url, error);
        await pause(retry.firstWaitMs * 2 ** (misses - 1), signal);
      }
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Opens or creates a partial download in one call. Creating it in a second one ("w+") would empty what a concurrent
 * download has written since, even after it was checked. A link in its place is not followed; Windows has no such flag.
 */
async function openPart(part: string): Promise<FileHandle> {
  // Whatever else is there was not written by a download.
  if ((await lstat(part).catch(() => null))?.isFile() === false) await rm(part, { recursive: true, force: true });
  const flags = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  return open(part, constants.O_RDWR | constants.O_CREAT | flags, 0o666);
}

const isStorageProblem = (error: unknown): boolean => (error as NodeJS.ErrnoException).syscall === "write";

/** Yields the bytes of a file from an offset on, as chunks with their offsets. Throws if the response is too short. */
async function* pieces(
  file: RemoteFile,
  from: number,
  connection: Connection,
): AsyncGenerator<readonly [Uint8Array, number]> {
  const headers = { "accept-encoding": "identity", ...(from > 0 && { range: `bytes=${from}-` }) };
  const response = await connection.fetch(file.url, { headers });
  // If a mirror does not support ranges, the response starts at the beginning.
  let at = response.status === 206 ? from : 0;
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  if (response.status === 206 && (Number(range?.[1]) !== from || Number(range?.[2]) !== file.size)) {
    await response.body?.cancel();
    throw wrongLength(file);
  }
  for await (const chunk of withinTime(response, connection.retry.stallMs)) {
    if (at + chunk.length > file.size) throw wrongLength(file);
    yield [chunk, at];
    at += chunk.length;
  }
  if (at < file.size) throw new Error("the connection was lost");
}

const wrongLength = ({ name, url }: RemoteFile): EngineError =>
  new EngineError("hub", `${url.host} sent ${quoted(name, 60)} with a wrong length. Try again later or use a mirror.`);

/** Hashes a file with the algorithm of the hash `like`: SHA-256, or git's SHA-1. */
export async function hashOf(path: string, like: string, signal: AbortSignal, onBytes?: OnBytes): Promise<string> {
  if (like.length === 64) return sha256Of(path, signal, onBytes);
  // Git hashes "blob ", the size, a zero byte, and the content.
  return digest(path, createHash("sha1").update(`blob ${(await stat(path)).size}\0`), signal, onBytes);
}

export const sha256Of = (path: string, signal: AbortSignal, onBytes?: OnBytes): Promise<string> =>
  digest(path, createHash("sha256"), signal, onBytes);

async function digest(path: string, hash: Hash, signal: AbortSignal, onBytes: OnBytes = () => {}): Promise<string> {
  let done = 0;
  for await (const chunk of chunksOf(path, 1 << 20, signal)) {
    hash.update(chunk);
    done += chunk.length;
    onBytes(done);
  }
  return hash.digest("hex");
}
