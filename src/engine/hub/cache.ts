/**
 * The cache that Hugging Face's tools share: what Python has downloaded is found here, and the other way round.
 *
 *     models--org--name/refs/main                       the commit that a branch or tag was when it was last asked for
 *     models--org--name/blobs/<git sha1 or sha256>      contents
 *     models--org--name/snapshots/<commit>/config.json  link to ../../blobs/<hash>; where there are no links, the file
 *
 * https://huggingface.co/docs/hub/local-cache
 */

import { mkdir, readdir, readFile, realpath, rename, stat, symlink } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { getHFHubCachePath, getRepoFolderName } from "@huggingface/hub";
import { codeOf, makeFolder, storageError, writeFileWhole } from "../weights";
import { temporaryName } from "../weights/files";

const COMMIT = /^[\da-f]{40}$/;

export const isCommit = (text: string): boolean => COMMIT.test(text);

/** A hash as the hub names contents by: git's (SHA-1) of small files, SHA-256 of large ones. */
export const isContentHash = (text: string): boolean => /^([\da-f]{40}|[\da-f]{64})$/.test(text);

export class CachedRepo {
  readonly #root: string;

  constructor(id: string, cache: string = getHFHubCachePath()) {
    this.#root = join(cache, getRepoFolderName({ type: "model", name: id }));
  }

  /** Where a content belongs. */
  blob(hash: string): string {
    return join(this.blobs, hash);
  }

  get blobs(): string {
    return join(this.#root, "blobs");
  }

  /** The commit that a revision was when it was last asked for. */
  async commitOf(revision: string): Promise<string | null> {
    if (isCommit(revision)) return revision;
    const text = await readFile(join(this.#root, "refs", revision), "utf8").catch(() => "");
    return isCommit(text.trim()) ? text.trim() : null;
  }

  async remember(revision: string, commit: string): Promise<void> {
    if (isCommit(revision)) return;
    const ref = join(this.#root, "refs", revision);
    await makeFolder(dirname(ref));
    await writeFileWhole(ref, commit);
  }

  /** Names and sizes of what is there of a commit. */
  async filesOf(commit: string): Promise<ReadonlyMap<string, number>> {
    const dir = this.#snapshot(commit);
    const names = await readdir(dir, { recursive: true }).catch(() => []);
    const files = await Promise.all(
      names.map(async (name) => [name, await stat(join(dir, name)).catch(() => null)] as const),
    );
    return new Map(
      files.flatMap(([name, there]) => (there?.isFile() ? [[name.replaceAll("\\", "/"), there.size] as const] : [])),
    );
  }

  /** Where the contents of a file of a commit are; null where they are not, or have not the size they should have. */
  async find(
    commit: string,
    name: string,
    file?: { readonly size: number; readonly hash: string },
  ): Promise<string | null> {
    const places = [join(this.#snapshot(commit), name), ...(file ? [this.blob(file.hash)] : [])];
    for (const place of places) {
      const path = await realpath(place).catch(() => null);
      const there = path === null ? null : await stat(path);
      if (there?.isFile() && (file === undefined || there.size === file.size)) return path;
    }
    return null;
  }

  /** Gives contents their name in a commit, and answers where they are then. */
  async link(commit: string, name: string, blob: string, makeLink: typeof symlink = symlink): Promise<string> {
    const pointer = join(this.#snapshot(commit), name);
    try {
      await mkdir(dirname(pointer), { recursive: true });
      if ((await realpath(pointer).catch(() => null)) === (await realpath(blob))) return blob;
      // Renamed over what is there: other imports of the model find the one link or the other.
      const temporary = temporaryName(pointer);
      const isLink = await makeLink(relative(dirname(pointer), blob), temporary).then(
        () => true,
        (error: unknown) => {
          if (["EPERM", "EACCES", "ENOTSUP", "ENOSYS"].includes(codeOf(error))) return false;
          throw error;
        },
      );
      // Windows without the right to make links: the file itself lies there, as Python has it.
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

/** The hash that a file of the cache is named by; null where links were not to be had. */
export function hashInName(path: string): string | null {
  return isContentHash(basename(path)) ? basename(path) : null;
}
