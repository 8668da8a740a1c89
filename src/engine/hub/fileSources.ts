/** Sources of a model's files: the Hub, the cache alone, or a folder. */

import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { listFiles, modelInfo } from "@huggingface/hub";
import { readRegularText } from "../../files/regular";
import { quoted, shown } from "../../text/untrusted";
import { EngineError } from "../errors";
import { codeOf, makeFolder, readError } from "../weights";
import { answersOf } from "./answers";
import { CachedRepo, hashInName, isCommit, isContentHash } from "./cache";
import {
  type Connection,
  checkResponse,
  connect,
  type HubModel,
  type HubOptions,
  invalidResponse,
  Unreachable,
} from "./connection";
import { download, hashOf, incomplete, type OnBytes, type RemoteFile, sha256Of } from "./download";
import { isWeights } from "./files";
import { similarNames } from "./search";

export interface FileSource {
  /** Name in messages. */
  readonly label: string;
  /** Sizes by file name. */
  readonly files: ReadonlyMap<string, number>;
  /** The phase in which files are fetched, for progress reports. */
  readonly phase: "download" | "check";
  /** Fields for source.json. */
  readonly origin: Readonly<Record<string, string>>;
  /** Number of bytes that fetching these files will write to the cache, and the folder of the cache. */
  readonly missing: (names: readonly string[]) => Promise<{ readonly bytes: number; readonly dir: string }>;
  /** Path of a file that was not downloaded now, so that its header can be checked before its content is read. */
  readonly local?: (name: string) => Promise<string>;
  /** Makes a file available locally, and verifies it if its hash is known. */
  readonly fetch: (name: string, onBytes: OnBytes) => Promise<FetchedFile>;
}

export interface FetchedFile {
  readonly path: string;
  readonly sha256: string;
}

/** A model on the Hub. Cached files are not downloaded again. `file` is the requested file if it may be in a subfolder. */
export async function hubSource(model: HubModel, access: HubOptions, file = ""): Promise<FileSource> {
  const connection = await connect(access, model);
  const { signal } = connection;
  const cache = new CachedRepo(model.id);
  const commit = await commitOf(model, connection).catch((error: unknown) => suggest(error, model, cache, connection));
  const files = await checkResponse(connection, remoteFiles(model.id, commit, connection, file.includes("/")));
  await cache.saveCommit(model.revision, commit);
  const fileOf = (name: string) => files.get(name) as RemoteFile;

  return {
    label: model.id,
    files: new Map([...files].map(([name, { size }]) => [name, size])),
    phase: "download",
    origin: { id: model.id, requested: model.revision, revision: commit, endpoint: connection.endpoint },
    missing: async (names) => {
      const bytes = await Promise.all(
        names.map(async (name) => {
          const file = fileOf(name);
          if (await cache.find(commit, name, file)) return 0;
          const partial = await stat(incomplete(cache.blob(file.hash))).catch(() => null);
          return Math.max(0, file.size - (partial?.size ?? 0));
        }),
      );
      return { bytes: bytes.reduce((sum, n) => sum + n, 0), dir: cache.blobs };
    },
    fetch: async (name, onBytes) => {
      const file = fileOf(name);
      const found = await cache.find(commit, name, file);
      const isIntact = found !== null && (await hashOf(found, file.hash, signal, onBytes)) === file.hash;
      const blob = isIntact ? found : cache.blob(file.hash);
      if (!isIntact) {
        await makeFolder(cache.blobs);
        await download(file, blob, connection, onBytes);
      }
      const path = await cache.link(commit, name, blob);
      return { path, sha256: file.hash.length === 64 ? file.hash : await sha256Of(path, signal) };
    },
  };
}

/** The cached files of a model on the Hub. */
export async function cacheSource({ id, revision }: HubModel, signal: AbortSignal): Promise<FileSource> {
  const cache = new CachedRepo(id);
  const commit = await cache.commitOf(revision);
  const files = commit === null ? new Map<string, number>() : await cache.filesOf(commit);
  if (commit === null || files.size === 0) {
    throw new EngineError("hub", `${id} at ${revision} is not in the cache. Import it once while online.`);
  }
  return {
    label: `The cached copy of ${id}`,
    files,
    phase: "check",
    origin: { id, requested: revision, revision: commit },
    missing: async () => ({ bytes: 0, dir: cache.blobs }),
    // `filesOf` found this file above.
    local: async (name) => (await cache.find(commit, name)) as string,
    fetch: async (name, onBytes) => {
      // `filesOf` found this file above.
      const path = (await cache.find(commit, name)) as string;
      const sha256 = await sha256Of(path, signal, onBytes);
      const hash = hashInName(path);
      if (hash !== null && hash !== (hash.length === 64 ? sha256 : await hashOf(path, hash, signal))) {
        throw new EngineError("weights", `${path} is damaged. Import ${id} once while online.`);
      }
      return { path, sha256 };
    },
  };
}

/** A folder on disk. */
export async function folderSource(dir: string, signal: AbortSignal): Promise<FileSource> {
  const names = await readdir(dir).catch((error: unknown) => {
    throw readError(error, dir);
  });
  const files = new Map<string, number>();
  for (const name of names) {
    const info = await stat(join(dir, name)).catch((error: unknown) => {
      // A broken link counts as missing.
      if (codeOf(error) !== "ENOENT") throw readError(error, join(dir, name));
    });
    if (info?.isFile()) files.set(name, info.size);
  }
  return {
    label: dir,
    files,
    phase: "check",
    origin: { folder: dir },
    missing: async () => ({ bytes: 0, dir }),
    local: async (name) => {
      const path = await realpath(join(dir, name));
      if (isWeights(name)) await requireNoPointer(path);
      return path;
    },
    fetch: async (name, onBytes) => {
      const path = await realpath(join(dir, name));
      return { path, sha256: await sha256Of(path, signal, onBytes) };
    },
  };
}

/** Rejects the pointer file that `git clone` writes for a large file if Git LFS is not installed. */
async function requireNoPointer(path: string): Promise<void> {
  const start = await readRegularText(path, 1024).catch(() => "");
  if (!start.startsWith("version https://git-lfs.github.com/spec/")) return;
  throw new EngineError(
    "weights",
    `${path} is a Git LFS pointer, not the weights. Run \`git lfs pull\` there, or import the model by name.`,
  );
}

/** Resolves a branch or tag to its commit, which all further requests use. */
async function commitOf({ id, revision }: HubModel, connection: Connection): Promise<string> {
  const { sha } = await checkResponse(
    connection,
    modelInfo({
      name: id,
      revision,
      additionalFields: ["sha"],
      hubUrl: connection.endpoint,
      fetch: answersOf(connection),
    }),
  );
  if (typeof sha === "string" && isCommit(sha)) return sha;
  throw invalidResponse(connection, `the commit of ${id} is ${shown(sha, 60)}`);
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
    fetch: answersOf(connection),
  });
  for await (const { type, path, size, oid, lfs } of entries) {
    if (!isSafePath(path)) {
      throw new EngineError(
        "hub",
        `${id} lists the file ${shown(path, 60)}, which is outside its folder. Choose another model.`,
      );
    }
    if (type !== "file") continue;
    const [hash, bytes] = [lfs?.oid ?? oid, lfs?.size ?? size];
    if (typeof hash !== "string" || !isContentHash(hash) || !Number.isSafeInteger(bytes) || bytes < 0) {
      throw invalidResponse(connection, `${quoted(path, 60)} of ${id} has no checksum or size`);
    }
    const url = new URL(
      `${connection.endpoint}/${id}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`,
    );
    files.set(path, { name: path, url, size: bytes, hash });
  }
  return files;
}

/** Returns true if a path stays inside its folder on every system. */
const isSafePath = (path: unknown): path is string =>
  typeof path === "string" &&
  path !== "" &&
  !/^[/\\]|^[A-Za-z]:/.test(path) &&
  !path.split(/[/\\]/).some((part) => part === "..");

/** Rethrows an error with a suggestion: similar names, or the cached copy. */
async function suggest(
  error: unknown,
  { id, revision }: HubModel,
  cache: CachedRepo,
  connection: Connection,
): Promise<never> {
  if (!(error instanceof EngineError)) throw error;
  const { code, message } = error;
  if (code === "notFound") {
    const names = await similarNames(id, connection).catch((): string[] => []);
    if (names.length > 0 && !names.includes(id)) {
      throw new EngineError(code, `${message} Did you mean ${names.join(" or ")}?`, { cause: error });
    }
  } else if (error instanceof Unreachable && (await cache.commitOf(revision)) !== null) {
    throw new EngineError(code, `${message} ${id} is in the cache and can be imported offline.`, { cause: error });
  }
  throw error;
}
