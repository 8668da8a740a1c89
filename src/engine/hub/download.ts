/**
 * Downloads that go on where they were cut.
 *
 * What has come is kept in `<blob>.decoder-lab.incomplete`; it gets its name when it is whole and its hash is right. A file
 * is named by the hash of its content, and each byte is written at its own place: two downloads of one file
 * at once write the same bytes, and neither needs to wait for the other. (Python's tools append to `<blob>.incomplete`,
 * which does not allow that; theirs are left alone.)
 */

import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { EngineError } from "../errors";
import { codeOf, storageError } from "../weights";
import { type Connection, pause, Unreachable } from "./connection";

export interface RemoteFile {
  readonly name: string;
  readonly url: URL;
  readonly size: number;
  /** Git's SHA-1 of a small file, SHA-256 of a large one. */
  readonly hash: string;
}

/** Is told how many bytes of a file are there, or done with. */
export type OnBytes = (bytes: number) => void;

/** This much in one piece, and the connection counts as good again. */
const GOOD_PIECE = 1 << 20;

/** What a download that was cut has left. */
export const incomplete = (blob: string): string => `${blob}.decoder-lab.incomplete`;

/** Brings a file to `blob`, whose folder is there. */
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
      // Another download of the same file was faster, or has found it wrong and deleted it.
      if ((await stat(blob).catch(() => null))?.size === file.size) return;
      if (last) throw storageError(error, blob);
    }
    if (last) break;
    onBytes(0);
  }
  throw new EngineError(
    "hub",
    `${file.name} does not have the content that ${file.url.host} says (its checksum is wrong, twice); try again later, or use a mirror.`,
  );
}

async function complete(file: RemoteFile, part: string, connection: Connection, onBytes: OnBytes): Promise<void> {
  const { signal, patience } = connection;
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
        // What the hub refuses, and what the disk cannot hold, is not better the next time.
        if (error instanceof EngineError || isStorageProblem(error)) throw error;
        misses = have - before >= GOOD_PIECE ? 1 : misses + 1;
        if (misses >= patience.attempts) throw new Unreachable(file.url, error);
        await pause(patience.firstWaitMs * 2 ** (misses - 1), signal);
      }
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Opened without emptying it. */
async function openPart(part: string): Promise<FileHandle> {
  return open(part, "r+").catch((error: unknown) => {
    if (codeOf(error) !== "ENOENT") throw error;
    return open(part, "w+");
  });
}

const isStorageProblem = (error: unknown): boolean => (error as NodeJS.ErrnoException).syscall === "write";

/** The bytes of a file from a position on, each piece with its place. Throws where they end too early. */
async function* pieces(
  file: RemoteFile,
  from: number,
  connection: Connection,
): AsyncGenerator<readonly [Uint8Array, number]> {
  const headers = { "accept-encoding": "identity", ...(from > 0 && { range: `bytes=${from}-` }) };
  const response = await connection.fetch(file.url, { headers });
  // Not every mirror knows ranges: then it begins at the beginning again.
  let at = response.status === 206 ? from : 0;
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  if (response.status === 206 && (Number(range?.[1]) !== from || Number(range?.[2]) !== file.size)) {
    await response.body?.cancel();
    throw wrongLength(file);
  }
  for await (const chunk of withinTime(response, connection.patience.stallMs)) {
    if (at + chunk.length > file.size) throw wrongLength(file);
    yield [chunk, at];
    at += chunk.length;
  }
  if (at < file.size) throw new Error("the connection was cut");
}

/** A response's body; it fails where nothing comes for a while. */
async function* withinTime(response: Response, stallMs: number): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error("no data in time")), stallMs);
      });
      const { done, value } = await Promise.race([reader.read(), late]).finally(() => clearTimeout(timer));
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

const wrongLength = ({ name, url }: RemoteFile): EngineError =>
  new EngineError("hub", `${url.host} sends another length of ${name} than it says; try again later, or use a mirror.`);

/** The hash of a file's content, in the way that `like` was made: SHA-256, or as git names contents. */
export async function hashOf(path: string, like: string, signal: AbortSignal, onBytes?: OnBytes): Promise<string> {
  if (like.length === 64) return sha256Of(path, signal, onBytes);
  // Git hashes `blob`, the size, a zero byte, and the content.
  return digest(path, createHash("sha1").update(`blob ${(await stat(path)).size}\0`), signal, onBytes);
}

export const sha256Of = (path: string, signal: AbortSignal, onBytes?: OnBytes): Promise<string> =>
  digest(path, createHash("sha256"), signal, onBytes);

async function digest(path: string, hash: Hash, signal: AbortSignal, onBytes: OnBytes = () => {}): Promise<string> {
  let done = 0;
  for await (const chunk of createReadStream(path, { signal, highWaterMark: 1 << 20 })) {
    hash.update(chunk);
    done += chunk.length;
    onBytes(done);
  }
  return hash.digest("hex");
}
