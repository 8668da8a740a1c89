/** The places that a model can be taken from: the hub, the cache alone, a folder. */

import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { listFiles, modelInfo } from "@huggingface/hub";
import { EngineError } from "../errors";
import { codeOf, makeFolder, readError } from "../weights";
import { CachedRepo, hashInName, isCommit, isContentHash } from "./cache";
import { ask, type Connection, connect, type HubOptions, noHub, Unreachable, type Wanted } from "./connection";
import { download, hashOf, incomplete, type OnBytes, type RemoteFile, sha256Of } from "./download";
import { isWeights } from "./files";
import { namesLike } from "./search";

export interface Place {
  /** As sentences name it. */
  readonly label: string;
  /** Every file's size. */
  readonly files: ReadonlyMap<string, number>;
  /** What taking a file is. */
  readonly phase: "download" | "check";
  /** What source.json says of it. */
  readonly origin: Readonly<Record<string, string>>;
  /** How many bytes taking these files will write to the cache, and where that is. */
  readonly missing: (names: readonly string[]) => Promise<{ readonly bytes: number; readonly dir: string }>;
  /** Brings one of its files here, and checks it where it is known what it should be. */
  readonly take: (name: string, onBytes: OnBytes) => Promise<TakenFile>;
}

export interface TakenFile {
  readonly path: string;
  readonly sha256: string;
}

/** A model of the hub; what is in the cache already is not fetched again. `file` is one that may be in a folder of it. */
export async function hubPlace(wanted: Wanted, access: HubOptions, file = ""): Promise<Place> {
  const connection = await connect(access, wanted);
  const { signal } = connection;
  const cache = new CachedRepo(wanted.id);
  const commit = await commitOf(wanted, connection).catch((error: unknown) =>
    suggest(error, wanted, cache, connection),
  );
  const files = await ask(connection, remoteFiles(wanted.id, commit, connection, file.includes("/")));
  await cache.remember(wanted.revision, commit);
  const fileOf = (name: string) => files.get(name) as RemoteFile;

  return {
    label: wanted.id,
    files: new Map([...files].map(([name, { size }]) => [name, size])),
    phase: "download",
    origin: { id: wanted.id, requested: wanted.revision, revision: commit, endpoint: connection.endpoint },
    missing: async (names) => {
      const bytes = await Promise.all(
        names.map(async (name) => {
          const file = fileOf(name);
          if (await cache.find(commit, name, file)) return 0;
          const begun = await stat(incomplete(cache.blob(file.hash))).catch(() => null);
          return Math.max(0, file.size - (begun?.size ?? 0));
        }),
      );
      return { bytes: bytes.reduce((sum, n) => sum + n, 0), dir: cache.blobs };
    },
    take: async (name, onBytes) => {
      const file = fileOf(name);
      const found = await cache.find(commit, name, file);
      const isRight = found !== null && (await hashOf(found, file.hash, signal, onBytes)) === file.hash;
      const blob = isRight ? found : cache.blob(file.hash);
      if (!isRight) {
        await makeFolder(cache.blobs);
        await download(file, blob, connection, onBytes);
      }
      const path = await cache.link(commit, name, blob);
      return { path, sha256: file.hash.length === 64 ? file.hash : await sha256Of(path, signal) };
    },
  };
}

/** A model of the hub as far as the cache has it. */
export async function cachePlace({ id, revision }: Wanted, signal: AbortSignal): Promise<Place> {
  const cache = new CachedRepo(id);
  const commit = await cache.commitOf(revision);
  const files = commit === null ? new Map<string, number>() : await cache.filesOf(commit);
  if (commit === null || files.size === 0) {
    throw new EngineError("hub", `The cache does not have ${id} at ${revision}; import it once with a network.`);
  }
  return {
    label: `The cache's copy of ${id}`,
    files,
    phase: "check",
    origin: { id, requested: revision, revision: commit },
    missing: async () => ({ bytes: 0, dir: cache.blobs }),
    take: async (name, onBytes) => {
      // The file was there a moment ago.
      const path = (await cache.find(commit, name)) as string;
      const sha256 = await sha256Of(path, signal, onBytes);
      const hash = hashInName(path);
      if (hash !== null && hash !== (hash.length === 64 ? sha256 : await hashOf(path, hash, signal))) {
        throw new EngineError("weights", `${path} is damaged; import ${id} once with a network.`);
      }
      return { path, sha256 };
    },
  };
}

/** A folder on the disk. */
export async function folderPlace(dir: string, signal: AbortSignal): Promise<Place> {
  const names = await readdir(dir).catch((error: unknown) => {
    throw readError(error, dir);
  });
  const files = new Map<string, number>();
  for (const name of names) {
    const there = await stat(join(dir, name)).catch((error: unknown) => {
      // A link into nothing is no file; whoever needs it will miss it.
      if (codeOf(error) !== "ENOENT") throw readError(error, join(dir, name));
    });
    if (there?.isFile()) files.set(name, there.size);
  }
  return {
    label: dir,
    files,
    phase: "check",
    origin: { folder: dir },
    missing: async () => ({ bytes: 0, dir }),
    take: async (name, onBytes) => {
      const path = await realpath(join(dir, name));
      if (isWeights(name)) await requireNoPointer(path);
      return { path, sha256: await sha256Of(path, signal, onBytes) };
    },
  };
}

/** What `git clone` leaves in the place of a large file where Git LFS is not installed. */
async function requireNoPointer(path: string): Promise<void> {
  const isSmall = (await stat(path)).size < 1024;
  if (!isSmall || !(await readFile(path, "utf8")).startsWith("version https://git-lfs.github.com/spec/")) return;
  throw new EngineError(
    "weights",
    `${path} is only Git LFS's pointer to the weights; run \`git lfs pull\` there, or import the model by its name.`,
  );
}

/** The commit that a branch or tag is now: everything after is asked of this commit. */
async function commitOf({ id, revision }: Wanted, connection: Connection): Promise<string> {
  const { sha } = await ask(
    connection,
    modelInfo({
      name: id,
      revision,
      additionalFields: ["sha"],
      hubUrl: connection.endpoint,
      fetch: connection.fetch,
    }),
  );
  if (typeof sha === "string" && isCommit(sha)) return sha;
  throw noHub(connection, `the commit of ${id} is ${JSON.stringify(sha)}`);
}

async function remoteFiles(
  id: string,
  commit: string,
  connection: Connection,
  recursive: boolean,
): Promise<Map<string, RemoteFile>> {
  const files = new Map<string, RemoteFile>();
  const entries = listFiles({
    repo: id,
    revision: commit,
    recursive,
    hubUrl: connection.endpoint,
    fetch: connection.fetch,
  });
  for await (const { type, path, size, oid, lfs } of entries) {
    if (!isSafePath(path)) {
      throw new EngineError(
        "hub",
        `${id} lists the file ${JSON.stringify(path)}, which would lie outside of its folder; choose another model.`,
      );
    }
    if (type !== "file") continue;
    const [hash, bytes] = [lfs?.oid ?? oid, lfs?.size ?? size];
    if (hash === undefined || !isContentHash(hash) || !Number.isSafeInteger(bytes) || bytes < 0) {
      throw noHub(connection, `${path} of ${id} has no checksum or size`);
    }
    const url = new URL(
      `${connection.endpoint}/${id}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`,
    );
    files.set(path, { name: path, url, size: bytes, hash });
  }
  return files;
}

/** Nothing in it leads out of a folder, on any system. */
const isSafePath = (path: unknown): path is string =>
  typeof path === "string" &&
  path !== "" &&
  !/^[/\\]|^[A-Za-z]:/.test(path) &&
  !path.split(/[/\\]/).some((part) => part === "..");

/** The same refusal, with what may have been meant, or what the cache has. */
async function suggest(
  error: unknown,
  { id, revision }: Wanted,
  cache: CachedRepo,
  connection: Connection,
): Promise<never> {
  if (!(error instanceof EngineError)) throw error;
  const { code, message } = error;
  if (code === "notFound") {
    const near = await namesLike(id, connection).catch((): string[] => []);
    if (near.length > 0 && !near.includes(id)) {
      throw new EngineError(code, `${message} Did you mean ${near.join(" or ")}?`, { cause: error });
    }
  } else if (error instanceof Unreachable && (await cache.commitOf(revision)) !== null) {
    throw new EngineError(code, `${message} The cache has ${id}: import it offline.`, { cause: error });
  }
  throw error;
}
