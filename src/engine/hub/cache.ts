/**
 * The cache that Hugging Face's tools share. Models that Python has downloaded are found here, and vice versa.
 *
 *     models--org--name/refs/main                       the latest known commit of a branch or tag
 *     models--org--name/blobs/<git sha1 or sha256>      file contents
 *     models--org--name/snapshots/<commit>/config.json  link to ../../blobs/<hash>, or the file itself without links
 *
 * https://huggingface.co/docs/hub/local-cache
 */

import { readdir, realpath, rename, stat, symlink } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { getHFHubCachePath, getRepoFolderName } from "@huggingface/hub";
import { readRegularText } from "../../files/regular";
import { codeOf, makeFolder, storageError, writeFileWhole } from "../weights";
import { removeStale, temporaryName } from "../weights/temporary";

const COMMIT = /^[\da-f]{40}$/;

export const isCommit = (text: string): boolean => COMMIT.test(text);

/** Returns true for a content hash of the Hub: git's SHA-1 for small files, SHA-256 for large ones. */
export const isContentHash = (text: string): boolean => /^([\da-f]{40}|[\da-f]{64})$/.test(text);

/** A commit and perhaps a line break. */
const MAX_REF_BYTES = 100;

export class CachedRepo {
  readonly #root: string;

  constructor(id: string, cache: string = getHFHubCachePath()) {
    this.#root = join(cache, getRepoFolderName({ type: "model", name: id }));
  }

  /** Path for the content with a given hash. */
  blob(hash: string): string {
    return join(this.blobs, hash);
  }

  get blobs(): string {
    return join(this.#root, "blobs");
  }

  /** Returns the latest known commit of a revision, or null. */
  async commitOf(revision: string): Promise<string | null> {
    if (isCommit(revision)) return revision;
    const text = await readRegularText(join(this.#root, "refs", revision), MAX_REF_BYTES).catch(() => "");
    return isCommit(text.trim()) ? text.trim() : null;
  }

  async saveCommit(revision: string, commit: string): Promise<void> {
    if (isCommit(revision)) return;
    const ref = join(this.#root, "refs", revision);
    await makeFolder(dirname(ref));
    await removeStale(dirname(ref));
    await writeFileWhole(ref, commit);
  }

  /** Returns the names and sizes of the cached files of a commit. */
  async filesOf(commit: string): Promise<ReadonlyMap<string, number>> {
    const dir = this.#snapshot(commit);
    const names = await readdir(dir, { recursive: true }).catch(() => []);
    const files = await Promise.all(
      names.map(async (name) => [name, await stat(join(dir, name)).catch(() => null)] as const),
    );
    return new Map(
      files.flatMap(([name, info]) => (info?.isFile() ? [[name.replaceAll("\\", "/"), info.size] as const] : [])),
    );
  }

  /** Returns the path of a cached file, or null if it is missing or has the wrong size. */
  async find(
    commit: string,
    name: string,
    file?: { readonly size: number; readonly hash: string },
  ): Promise<string | null> {
    const candidates = [join(this.#snapshot(commit), name), ...(file ? [this.blob(file.hash)] : [])];
    for (const candidate of candidates) {
      const path = await realpath(candidate).catch(() => null);
      const info = path === null ? null : await stat(path);
      if (info?.isFile() && (file === undefined || info.size === file.size)) return path;
    }
    return null;
  }

  /** Adds a blob to a commit's snapshot under a file name. Returns the real path of the content. */
  async link(commit: string, name: string, blob: string, makeLink: typeof symlink = symlink): Promise<string> {
    const pointer = join(this.#snapshot(commit), name);
    try {
      await makeFolder(dirname(pointer));
      await removeStale(dirname(pointer));
      if ((await realpath(pointer).catch(() => null)) === (await realpath(blob))) return blob;
      // Renaming replaces an existing link atomically, so that concurrent imports always find one.
      const temporary = temporaryName(pointer);
      const isLink = await makeLink(relative(dirname(pointer), blob), temporary).then(
        () => true,
        (error: unknown) => {
          if (["EPERM", "EACCES", "ENOTSUP", "ENOSYS"].includes(codeOf(error))) return false;
          throw error;
        },
      );
      // On Windows without permission to create links, the file itself goes there, as in Python.
      await rename(isLink ? temporary : blob, pointer);
    } catch (error) {
      throw storageError(error, pointer);
    }
    return realpath(pointer);
  }

  #snapshot(commit: string): string {
    return join(this.#root, "snapshots", commit);
  }
}

/** The hash in the name of a cached file. Null if the cache was written without links. */
export function hashInName(path: string): string | null {
  return isContentHash(basename(path)) ? basename(path) : null;
}
