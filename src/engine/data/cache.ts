/**
 * Tokenized texts on disk, so that a large text is tokenized once and never held in memory.
 *
 *     stamps/<stamp>                      the content hash of files with this stamp
 *     texts/<content>/<name>/             a vocabulary learned from the content, or its token ids
 *     texts/<content>/used                written at each use of the content
 *
 * An entry is a folder that is renamed into place when it is complete. All entries of a content are deleted together,
 * the least recently used content first.
 */

import { createHash } from "node:crypto";
import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { readRegularText } from "../../files/regular";
import { makeFolder, storageError, writeFileWhole } from "../weights";
import { flushFolder } from "../weights/files";
import { removeStale, temporaryName } from "../weights/temporary";
import type { Corpus, ReadProgress } from "./corpus";

/** Default size limit, which DECODER_LAB_CACHE_GB overrides: token ids of about 10 GB of text. */
const LIMIT_GB = 20;
const USED = "used";

type Environment = Readonly<Record<string, string | undefined>>;

/** The cache folder: DECODER_LAB_CACHE, or the platform's default. */
export function cacheFolder(env: Environment = process.env, platform: NodeJS.Platform = process.platform): string {
  if (env.DECODER_LAB_CACHE) return env.DECODER_LAB_CACHE;
  if (env.XDG_CACHE_HOME) return join(env.XDG_CACHE_HOME, "decoder-lab");
  if (platform === "darwin") return join(homedir(), "Library", "Caches", "decoder-lab");
  if (platform === "win32")
    return join(env.LOCALAPPDATA ?? join(homedir(), "AppData", "Local"), "decoder-lab", "Cache");
  return join(homedir(), ".cache", "decoder-lab");
}

/** Size limit of the cache in bytes. */
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

  /** The content hash of a corpus of files, from the cache if the files have not changed. */
  async contentOf(corpus: Corpus, stamp: string, progress: ReadProgress): Promise<string> {
    const path = join(this.#data, "stamps", stamp);
    await this.removeStale();
    const known = await readRegularText(path, 100).catch(() => "");
    if (/^[\da-f]{64}$/.test(known)) return known;
    const content = await corpus.contentHash(progress);
    await makeFolder(dirname(path));
    await writeFileWhole(path, content);
    return content;
  }

  /** The folder of an entry. `write` creates it unless there is one that `isComplete`. */
  async entry(
    content: string,
    name: string,
    isComplete: (dir: string) => Promise<boolean>,
    write: (dir: string) => Promise<void>,
  ): Promise<string> {
    const text = join(this.#data, "texts", content);
    const dir = join(text, name);
    if (!(await isComplete(dir))) {
      await rm(dir, { recursive: true, force: true });
      await makeFolder(text);
      await writeEntry(dir, write);
      await this.#prune(content);
    }
    // A read-only cache works too.
    await writeFile(join(text, USED), new Date().toISOString()).catch(() => {});
    return dir;
  }

  /** Deletes what killed processes have left. */
  async removeStale(): Promise<void> {
    const texts = join(this.#data, "texts");
    const names = await readdir(texts).catch(() => []);
    await removeStale(join(this.#data, "stamps"), ...names.map((name) => join(texts, name)));
  }

  /** Size of the cache in bytes. */
  async size(): Promise<number> {
    return (await this.#texts()).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async clear(): Promise<void> {
    await rm(this.#data, { recursive: true, force: true }).catch((error) => {
      throw storageError(error, this.#data);
    });
  }

  /** Deletes the least recently used contents, but never `used`, until the cache fits its limit. */
  async #prune(used: string): Promise<void> {
    const texts = (await this.#texts()).sort((a, b) => a.usedAt - b.usedAt);
    let total = texts.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { name, bytes } of texts) {
      if (total <= this.limit) break;
      if (name === used) continue;
      // Windows does not delete open files; the next pruning tries again.
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
        return {
          name,
          usedAt: (await stat(join(text, USED)).catch(() => null))?.mtimeMs ?? 0,
          bytes: await bytesBelow(text),
        };
      }),
    );
  }
}

/** A file name derived from texts. */
export const hashOf = (...texts: readonly string[]): string =>
  createHash("sha256").update(JSON.stringify(texts)).digest("hex").slice(0, 32);

async function writeEntry(dir: string, write: (dir: string) => Promise<void>): Promise<void> {
  const temporary = temporaryName(dir);
  try {
    await mkdir(temporary);
    await write(temporary);
    await flushFolder(temporary);
    await rename(temporary, dir).catch(async (error) => {
      // Another run has written the same entry first.
      if (!(await stat(dir).catch(() => null))) throw error;
    });
  } catch (error) {
    throw storageError(error, dir);
  } finally {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
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
