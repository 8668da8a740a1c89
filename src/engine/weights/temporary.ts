/**
 * Names of files and folders that are being written, and the removal of those whose process was killed.
 *
 *     .writing-NAME-PID-START-HOST-RANDOM
 *
 * Everything that the engine writes has such a name, next to its final one, until it is complete: files, checkpoints,
 * model folders that are imported, exported or trained, and entries of the caches.
 */

import { randomBytes } from "node:crypto";
import { lstat, readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isGone, isLocal, type Owner, self } from "./owner";

const PREFIX = ".writing-";
const PATTERN = /\.writing-(?<name>[^/\\]+)-(?<pid>\d+)-(?<start>[\da-f]+)-(?<host>[\da-f]{8})-[\da-f]{8}(?=$|[/\\])/;
/** File systems limit names to 255 bytes. */
const MAX_NAME_BYTES = 180;
/** Temporary files of another machine, or without an owner, count as abandoned when they are older than this. */
const ABANDONED_MS = 24 * 3600 * 1000;

export function temporaryName(path: string): string {
  const { pid, start, host } = self();
  const random = randomBytes(4).toString("hex");
  return join(dirname(path), [`${PREFIX}${shortened(basename(path))}`, pid, start, host, random].join("-"));
}

function shortened(name: string): string {
  let short = name;
  while (Buffer.byteLength(short) > MAX_NAME_BYTES) short = [...short].slice(0, -1).join("");
  return short;
}

export function isTemporary(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** Replaces temporary names in a path by the final ones, for messages. */
export const finalPath = (path: string): string => path.replace(PATTERN, "$<name>");

/** The owner in a temporary name; null for the names of earlier versions. */
export function ownerOf(name: string): Owner | null {
  const { pid, start, host } = PATTERN.exec(name)?.groups ?? {};
  return pid && start && host ? { pid: Number(pid), start, host } : null;
}

/** The running processes of this machine that are writing `path`. */
export async function writersOf(path: string): Promise<Owner[]> {
  const names: readonly string[] = await readdir(dirname(path)).catch(() => []);
  return names.flatMap((name) => {
    const owner = ownerOf(name);
    const isWriter = owner && finalPath(name) === shortened(basename(path)) && isLocal(owner);
    return isWriter && !isGone(owner, Date.now()) ? [owner] : [];
  });
}

/** Deletes what killed processes have left in folders. Skips folders that cannot be read. */
export async function removeStale(...folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    const names: readonly string[] = await readdir(folder).catch(() => []);
    for (const name of names.filter(isTemporary)) {
      const path = join(folder, name);
      if (await isStale(path)) await rm(path, { recursive: true, force: true }).catch(() => {});
    }
  }
}

async function isStale(path: string): Promise<boolean> {
  const owner = ownerOf(basename(path));
  const changed = (await lstat(path).catch(() => null))?.mtimeMs ?? Date.now();
  if (owner && isLocal(owner)) return isGone(owner, changed);
  return Date.now() - changed > ABANDONED_MS;
}
