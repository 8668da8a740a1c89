/**
 * Tokenized texts on the disk, so that a large one is tokenized once and never held in memory.
 *
 *     stamps/<stamp>                      the content hash of files that have this stamp
 *     texts/<content>/<name>/             a vocabulary learned from the content, or its ids by one tokenizer
 *     texts/<content>/used                written when any of them was last used
 *
 * An entry is a folder that is renamed into place when it is whole. A content's entries go together, those of the
 * content that was not used for the longest time first.
 */

import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { makeFolder, storageError, writeFileWhole } from "../weights";
import { flushFolder, isTemporary, temporaryName } from "../weights/files";
import type { Corpus, ReadProgress } from "./corpus";

/** What is kept at most, unless DECODER_LAB_CACHE_GB says otherwise: ids of some ten gigabytes of text. */
const LIMIT_GB = 20;
/** What somebody is writing is younger. */
const ABANDONED_MS = 24 * 3600 * 1000;

const USED = "used";

type Environment = Readonly<Record<string, string | undefined>>;

/** The user's cache folder: DECODER_LAB_CACHE, or the platform's. */
export function cacheFolder(env: Environment = process.env, platform: NodeJS.Platform = process.platform): string {
  if (env.DECODER_LAB_CACHE) return env.DECODER_LAB_CACHE;
  if (env.XDG_CACHE_HOME) return join(env.XDG_CACHE_HOME, "decoder-lab");
  if (platform === "darwin") return join(homedir(), "Library", "Caches", "decoder-lab");
  if (platform === "win32")
    return join(env.LOCALAPPDATA ?? join(homedir(), "AppData", "Local"), "decoder-lab", "Cache");
  return join(homedir(), ".cache", "decoder-lab");
}

/** Bytes that the cache keeps at most. */
export function cacheLimit(env: Environment = process.env): number {
  const gigabytes = Number(env.DECODER_LAB_CACHE_GB);
  return (gigabytes > 0 ? gigabytes : LIMIT_GB) * 1e9;
}

export class DataCache {
  readonly #data: string;

  constructor(
    readonly folder: string = cacheFolder(),
    readonly limit: number = cacheLimit(),
  ) {
    this.#data = join(folder, "data");
  }

  /** The content hash of a corpus of files: remembered where they have not changed since. */
  async contentOf(corpus: Corpus, stamp: string, progress: ReadProgress): Promise<string> {
    const path = join(this.#data, "stamps", stamp);
    const known = await readFile(path, "utf8").catch(() => "");
    if (/^[\da-f]{64}$/.test(known)) return known;
    const content = await corpus.contentHash(progress);
    await makeFolder(dirname(path));
    await writeFileWhole(path, content);
    return content;
  }

  /** The folder of an entry that `isWhole`; made by `write` where there is none. */
  async entry(
    content: string,
    name: string,
    isWhole: (dir: string) => Promise<boolean>,
    write: (dir: string) => Promise<void>,
  ): Promise<string> {
    const text = join(this.#data, "texts", content);
    const dir = join(text, name);
    if (!(await isWhole(dir))) {
      await rm(dir, { recursive: true, force: true });
      await makeFolder(text);
      await makeWhole(dir, write);
      await this.#prune(content);
    }
    // A cache that may only be read serves as well.
    await writeFile(join(text, USED), new Date().toISOString()).catch(() => {});
    return dir;
  }

  /** Bytes in the cache. */
  async size(): Promise<number> {
    return (await this.#texts()).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async clear(): Promise<void> {
    await rm(this.#data, { recursive: true, force: true }).catch((error) => {
      throw storageError(error, this.#data);
    });
  }

  /** Deletes the oldest until the limit is kept; never `used`. */
  async #prune(used: string): Promise<void> {
    const texts = (await this.#texts()).sort((a, b) => a.usedAt - b.usedAt);
    let total = texts.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { name, bytes } of texts) {
      if (total <= this.limit) break;
      if (name === used) continue;
      // Windows keeps what is being read; it will be the oldest again.
      await rm(join(this.#data, "texts", name), { recursive: true, force: true }).catch(() => {});
      total -= bytes;
    }
  }

  async #texts(): Promise<{ name: string; usedAt: number; bytes: number }[]> {
    const root = join(this.#data, "texts");
    const names = await readdir(root).catch(() => []);
    return Promise.all(
      names.map(async (name) => {
        const text = join(root, name);
        await removeAbandoned(text);
        return {
          name,
          usedAt: (await stat(join(text, USED)).catch(() => null))?.mtimeMs ?? 0,
          bytes: await bytesBelow(text),
        };
      }),
    );
  }
}

/** A name for what a text's description says. */
export const hashOf = (...texts: readonly string[]): string =>
  createHash("sha256").update(JSON.stringify(texts)).digest("hex").slice(0, 32);

async function makeWhole(dir: string, write: (dir: string) => Promise<void>): Promise<void> {
  const temporary = temporaryName(dir);
  try {
    await mkdir(temporary);
    await write(temporary);
    await flushFolder(temporary);
    await rename(temporary, dir).catch(async (error) => {
      // Another run was faster, with the same.
      if (!(await stat(dir).catch(() => null))) throw error;
    });
  } catch (error) {
    throw storageError(error, dir);
  } finally {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
  }
}

/** What was being written when a process was killed. */
async function removeAbandoned(text: string): Promise<void> {
  for (const name of (await readdir(text).catch(() => [])).filter(isTemporary)) {
    const path = join(text, name);
    const age = Date.now() - ((await stat(path).catch(() => null))?.mtimeMs ?? Date.now());
    if (age > ABANDONED_MS) await rm(path, { recursive: true, force: true }).catch(() => {});
  }
}

async function bytesBelow(dir: string): Promise<number> {
  const names = await readdir(dir, { recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    names.map(async (name) => {
      const there = await stat(join(dir, name)).catch(() => null);
      return there?.isFile() ? there.size : 0;
    }),
  );
  return sizes.reduce((a, b) => a + b, 0);
}
