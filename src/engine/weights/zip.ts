/**
 * Locates the entries of an uncompressed zip archive, as written by torch.save. Nothing is ever decompressed.
 * https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */

import type { FileHandle } from "node:fs/promises";
import { damaged, quoted, readBytes, shown } from "./reading";

export interface ZipEntry {
  readonly name: string;
  readonly length: number;
  /** Offset of the local header, which precedes the bytes. */
  readonly header: number;
  /** Offset of the next entry or of the directory. */
  readonly limit: number;
}

const END = 0x06054b50;
const END_BYTES = 22;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_HEADER = 0x04034b50;
/** Means that the number is in the zip64 fields. */
const ELSEWHERE = 0xffffffff;
const MAX_DIRECTORY_BYTES = 2 ** 23;

/** Reads the entries by name from the directory at the end of the archive. */
export async function readZip(file: FileHandle, path: string): Promise<ReadonlyMap<string, ZipEntry>> {
  const { start, length } = await findDirectory(file, path);
  const directory = viewOf(await readBytes(file, path, start, new Uint8Array(length)));
  const found: Omit<ZipEntry, "limit">[] = [];
  for (let at = 0; at < length; ) {
    if (at + 46 > length || directory.getUint32(at, true) !== DIRECTORY_ENTRY) throw damaged(path, INVALID_DIRECTORY);
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) =>
      directory.getUint16(at + field, true),
    ) as [number, number, number];
    const end = at + 46 + nameBytes + extraBytes + commentBytes;
    if (end > length) throw damaged(path, "its zip directory is truncated");
    found.push(entryAt(path, directory, at, nameBytes, extraBytes));
    at = end;
  }
  return withLimits(path, found, start);
}

/** Returns the offset of the bytes of an entry. */
export async function startOf(file: FileHandle, path: string, entry: ZipEntry): Promise<number> {
  if (entry.header + 30 > entry.limit) throw overlap(path, entry);
  const header = viewOf(await readBytes(file, path, entry.header, new Uint8Array(30)));
  if (header.getUint32(0, true) !== LOCAL_HEADER)
    throw damaged(path, `the zip entry ${quoted(entry.name)} is not at the offset given in the directory`);
  const start = entry.header + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  if (start + entry.length > entry.limit) throw overlap(path, entry);
  return start;
}

const INVALID_DIRECTORY = "its zip directory is invalid";

const overlap = (path: string, { name }: ZipEntry) => damaged(path, `the zip entry ${quoted(name)} overlaps another`);

function entryAt(
  path: string,
  directory: DataView,
  at: number,
  nameBytes: number,
  extraBytes: number,
): Omit<ZipEntry, "limit"> {
  const name = new TextDecoder().decode(new Uint8Array(directory.buffer, directory.byteOffset + at + 46, nameBytes));
  if (directory.getUint16(at + 8, true) & 1) throw damaged(path, `the zip entry ${quoted(name)} is encrypted`);
  if (directory.getUint16(at + 10, true) !== 0)
    throw damaged(path, `the zip entry ${quoted(name)} is compressed, which torch.save never does`);

  const large = largeFields(directory, at + 46 + nameBytes, extraBytes);
  // The extra field has these in this order, each only if the plain field refers to it.
  const [length, stored, header] = [24, 20, 42].map((field) => {
    const value = directory.getUint32(at + field, true);
    return value === ELSEWHERE ? (large.shift() ?? Number.NaN) : value;
  }) as [number, number, number];
  if (!Number.isSafeInteger(length) || !Number.isSafeInteger(header) || stored !== length)
    throw damaged(path, `the zip entry ${quoted(name)} has an invalid size or offset`);
  return { name, length, header };
}

/** The 8-byte numbers in the zip64 extra field of an entry. */
function largeFields(directory: DataView, start: number, length: number): number[] {
  for (let at = start; at + 4 <= start + length; ) {
    const [id, size] = [directory.getUint16(at, true), directory.getUint16(at + 2, true)];
    at += 4;
    if (at + size > start + length) return [];
    if (id === 1)
      return Array.from({ length: Math.floor(size / 8) }, (_, i) => Number(directory.getBigUint64(at + 8 * i, true)));
    at += size;
  }
  return [];
}

function withLimits(
  path: string,
  found: readonly Omit<ZipEntry, "limit">[],
  directoryStart: number,
): ReadonlyMap<string, ZipEntry> {
  const inOrder = [...found].sort((a, b) => a.header - b.header);
  const entries = new Map<string, ZipEntry>();
  inOrder.forEach((entry, i) => {
    if (entries.has(entry.name)) throw damaged(path, `it contains the zip entry ${quoted(entry.name)} twice`);
    const limit = inOrder[i + 1]?.header ?? directoryStart;
    // Two entries must not start at the same offset.
    if (entry.header >= limit) throw overlap(path, { ...entry, limit });
    entries.set(entry.name, { ...entry, limit });
  });
  return entries;
}

async function findDirectory(file: FileHandle, path: string): Promise<{ start: number; length: number }> {
  const { size } = await file.stat();
  // A comment of at most 65,535 bytes may follow.
  const tailStart = Math.max(0, size - END_BYTES - 0xffff);
  const tail = viewOf(await readBytes(file, path, tailStart, new Uint8Array(size - tailStart)));
  let at = tail.byteLength - END_BYTES;
  while (
    at >= 0 &&
    !(tail.getUint32(at, true) === END && at + END_BYTES + tail.getUint16(at + 20, true) === tail.byteLength)
  )
    at--;
  if (at < 0) throw damaged(path, "it starts like a zip archive but has no zip directory at its end");

  const large = await findLarge(file, path, tailStart + at);
  const length = large?.length ?? tail.getUint32(at + 12, true);
  const start = large?.start ?? tail.getUint32(at + 16, true);
  if (!(start + length <= tailStart + at)) throw damaged(path, "its zip directory has an invalid offset");
  if (length > MAX_DIRECTORY_BYTES) throw damaged(path, `its zip directory has ${shown(length)} bytes`);
  return { start, length };
}

/** Location of the directory in a zip64 archive, or null in a plain one. */
async function findLarge(
  file: FileHandle,
  path: string,
  endAt: number,
): Promise<{ start: number; length: number } | null> {
  if (endAt < 20) return null;
  const locator = viewOf(await readBytes(file, path, endAt - 20, new Uint8Array(20)));
  if (locator.getUint32(0, true) !== LOCATOR_64) return null;
  const at = Number(locator.getBigUint64(8, true));
  if (at + 56 > endAt - 20) throw damaged(path, "its zip directory has an invalid offset");
  const end = viewOf(await readBytes(file, path, at, new Uint8Array(56)));
  if (end.getUint32(0, true) !== END_64) throw damaged(path, INVALID_DIRECTORY);
  return { length: Number(end.getBigUint64(40, true)), start: Number(end.getBigUint64(48, true)) };
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
