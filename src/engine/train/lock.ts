/**
 * The lock of a run folder, so that only one process trains in it.
 *
 *     DIR/training.lock    { "owner": { "pid": 4242, … }, "hostname": "ada", "started": "2026-12-01T12:00:00.000Z", … }
 *
 * A lock whose process no longer runs is replaced. A lock of another machine, on a shared disk, is always believed.
 */

import { createHash, randomUUID } from "node:crypto";
import { link, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readRegularText } from "../../files/regular";
import { excerpt } from "../../text/untrusted";
import { EngineError } from "../errors";
import { codeOf, storageError } from "../weights";
import { isGone, isLocal, type Owner, self } from "../weights/owner";
import { temporaryName, writersOf } from "../weights/temporary";

export const LOCK_FILE = "training.lock";

interface Lock {
  readonly owner: Owner;
  readonly hostname: string;
  /** The start of the training, in ISO format. */
  readonly started: string;
}

/** Releases the lock of a folder, which may have another name now. */
export type Unlock = (dir: string) => Promise<void>;

/** Takes the lock of a folder. Throws if another process trains there. */
export async function lockRun(dir: string): Promise<Unlock> {
  const path = join(dir, LOCK_FILE);
  const lock = { owner: self(), hostname: hostname(), started: new Date().toISOString(), id: randomUUID() };
  const text = `${JSON.stringify(lock)}\n`;
  const temporary = temporaryName(path);
  try {
    await writeFile(temporary, text);
    for (let attempt = 0; !(await create(temporary, path, text)); attempt++) {
      const found = await identityOf(path);
      await requireUntrained(dir);
      if (attempt === MAX_ATTEMPTS) throw new EngineError("storage", `Could not lock ${dir}. Try again.`);
      if (found !== null) await removeStale(path, found, temporary);
    }
  } catch (error) {
    throw storageError(error, path);
  } finally {
    await rm(temporary, { force: true }).catch(() => {});
  }
  return async (final) => {
    const locked = join(final, LOCK_FILE);
    if ((await textOf(locked)) === text) await rm(locked, { force: true }).catch(() => {});
  };
}

/** Other processes may take a released lock first, or be about to remove a stale one. */
const MAX_ATTEMPTS = 20;
const RETRY_MS = 25;
/** The age of a claim whose process was killed. */
const KILLED_MS = 10_000;

/** Creates the lock with its content in one step; returns false if there is one. */
async function create(temporary: string, path: string, text: string): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
  }
  // Not every file system supports hard links.
  return writeFile(path, text, { flag: "wx" }).then(
    () => true,
    (error: unknown) => {
      if (codeOf(error) === "EEXIST") return false;
      throw error;
    },
  );
}

/** Tells one lock from every other one at its path; null if there is none. */
async function identityOf(path: string): Promise<string | null> {
  const [text, stats] = await Promise.all([textOf(path), stat(path).catch(() => null)]);
  return stats && createHash("sha256").update(`${stats.ino} ${stats.mtimeMs} ${text}`).digest("hex").slice(0, 16);
}

/**
 * Removes the lock that was found stale, and no other one. Only the process that creates the claim named after a lock may
 * remove it, so that the lock cannot have been replaced between the last look and the removal.
 */
async function removeStale(path: string, identity: string, claimant: string): Promise<void> {
  const claim = `${path}.${identity}`;
  if (!(await create(claimant, claim, await textOf(claimant)))) {
    // A claim is held for milliseconds, unless its process was killed.
    const since = (await stat(claim).catch(() => null))?.mtimeMs ?? Date.now();
    if (Date.now() - since > KILLED_MS) await rm(claim, { force: true });
    else await sleep(RETRY_MS);
    return;
  }
  try {
    if ((await identityOf(path)) === identity) await rm(path, { force: true });
  } finally {
    await rm(claim, { force: true });
  }
}

/** Throws if a process trains in a folder, or is about to create it. */
export async function requireUntrained(dir: string): Promise<void> {
  const lock = await heldLock(join(dir, LOCK_FILE));
  if (lock) throw beingTrained(dir, lock);
}

/** Throws if a process is preparing a run that will create the folder. */
export async function requireUnplanned(dir: string): Promise<void> {
  const [writer] = await writersOf(resolve(dir));
  if (!writer) return;
  throw new EngineError(
    "storage",
    `${dir} is being created by process ${writer.pid} on ${hostname()}. Stop it first, or choose another folder.`,
  );
}

function beingTrained(dir: string, { owner, hostname, started }: Lock): EngineError {
  const since = excerpt(started.slice(0, 19).replace("T", " "));
  const advice = isLocal(owner)
    ? "Wait for that run to end, or stop it first."
    : `Stop that run first. If it no longer exists, delete ${LOCK_FILE} in this folder.`;
  return new EngineError(
    "storage",
    `${dir} is being trained by process ${owner.pid} on ${excerpt(hostname, 60)} since ${since} UTC. ${advice}`,
  );
}

/** The lock of a process that may be running; null for a missing, stale or damaged one. */
async function heldLock(path: string): Promise<Lock | null> {
  let lock = parsed(await textOf(path));
  const changed = (await stat(path).catch(() => null))?.mtimeMs;
  if (changed === undefined) return null;
  if (!lock && Date.now() - changed < WRITING_MS) {
    // Without hard links, a lock is created before its content is written.
    await sleep(WRITING_MS / 5);
    lock = parsed(await textOf(path));
  }
  return lock && !(isLocal(lock.owner) && isGone(lock.owner, changed)) ? lock : null;
}

const WRITING_MS = 500;
const MAX_LOCK_BYTES = 10_000;

const textOf = (path: string): Promise<string> => readRegularText(path, MAX_LOCK_BYTES).catch(() => "");

function parsed(text: string): Lock | null {
  try {
    const { owner, hostname, started } = JSON.parse(text) as Partial<Lock>;
    const isValid =
      Number.isSafeInteger(owner?.pid) &&
      typeof owner?.start === "string" &&
      typeof owner.host === "string" &&
      typeof hostname === "string" &&
      typeof started === "string";
    return isValid ? ({ owner, hostname, started } as Lock) : null;
  } catch {
    return null;
  }
}
