/**
 * Makes a model folder out of a model of the hub, a folder, or the cache.
 *
 *     DIR/config.json  tokenizer.json …  model.safetensors  source.json
 *
 * The folder is made under a temporary name and renamed: a failure or a cancel leaves nothing but the
 * cache, from which the next import goes on. Weights are hard links where the disk allows it: they take no space
 * twice, and stay when the cache is emptied.
 */

import { createReadStream, createWriteStream } from "node:fs";
import { copyFile, link, readdir, rename, rm, rmdir, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { EngineError } from "../errors";
import { codeOf, makeFolder, readJson, storageError, writeFileWhole } from "../weights";
import { flushFolder, temporaryName } from "../weights/files";
import type { HubAccess } from "./connection";
import { CONFIG, isIndex, neededFiles, shardsOf } from "./files";
import { knownModelTypes } from "./modelTypes";
import { cachePlace, folderPlace, hubPlace, type Place, type TakenFile } from "./places";
import { Meter, type OnProgress } from "./progress";
import { parseSource, type Source } from "./source";

export interface ImportOptions extends HubAccess {
  /** The folder to make; it must not be there, or be empty. */
  readonly out: string;
  /** Goes before the revision in the source. */
  readonly revision?: string | undefined;
  /** Only what the cache has; HF_HUB_OFFLINE=1 says the same. */
  readonly offline?: boolean | undefined;
  readonly onProgress?: OnProgress | undefined;
}

export const SOURCE_FILE = "source.json";

export async function importModel(text: string, options: ImportOptions): Promise<{ readonly dir: string }> {
  const { signal = new AbortController().signal, onProgress = () => {} } = options;
  const dir = resolve(options.out);
  const work = temporaryName(dir);
  try {
    signal.throwIfAborted();
    await requireFree(dir);
    onProgress({ phase: "connect", file: "", bytes: 0, totalBytes: 0, bytesPerSecond: 0, secondsLeft: null });
    const place = await placeOf(await parseSource(text), options, signal);
    const files = await takeNeeded(place, dir, signal, onProgress);
    await makeFolder(work);
    await fill(work, files, signal, onProgress);
    await writeFileWhole(join(work, SOURCE_FILE), `${JSON.stringify(record(place, files), null, 2)}\n`);
    signal.throwIfAborted();
    await moveIntoPlace(work, dir);
    return { dir };
  } catch (error) {
    await rm(work, { recursive: true, force: true }).catch(() => {});
    signal.throwIfAborted();
    throw storageError(error, dir);
  }
}

async function placeOf(source: Source, options: ImportOptions, signal: AbortSignal): Promise<Place> {
  switch (source.kind) {
    case "folder":
      return folderPlace(source.dir, signal);
    case "gguf":
      throw new EngineError("config", "GGUF files cannot be imported yet; import the model's own folder.");
    case "hub": {
      const wanted = { id: source.id, revision: options.revision ?? source.revision };
      return options.offline || isSet(process.env.HF_HUB_OFFLINE)
        ? cachePlace(wanted, signal)
        : hubPlace(wanted, { ...options, signal });
    }
  }
}

const isSet = (value = ""): boolean => /^(1|on|yes|true)$/i.test(value);

type Taken = ReadonlyMap<string, TakenFile & { readonly size: number }>;

/** Takes what a model needs: what decides whether it can be used first, and weights only after that. */
async function takeNeeded(place: Place, dir: string, signal: AbortSignal, onProgress: OnProgress): Promise<Taken> {
  const names = new Set(place.files.keys());
  const { beside, weights } = neededFiles(names, place.label);
  const sizeOf = (name: string) => place.files.get(name) as number;
  const total = (of: readonly string[]) => of.reduce((sum, name) => sum + sizeOf(name), 0);
  const taken = new Map<string, TakenFile & { readonly size: number }>();
  const take = async (wanted: readonly string[]) => {
    const meter = new Meter(place.phase, total(wanted), onProgress);
    for (const name of wanted) {
      signal.throwIfAborted();
      const { onBytes, end } = meter.file(name, sizeOf(name));
      const file = taken.get(name) ?? { ...(await place.take(name, onBytes)), size: sizeOf(name) };
      taken.set(name, file);
      end();
    }
  };

  const decisive = [CONFIG, ...(isIndex(weights) ? [weights] : [])];
  await take(decisive);
  const read = (name: string) => readJson((taken.get(name) as TakenFile).path);
  requireKnown(await read(CONFIG), place.label);
  const shards = isIndex(weights) ? shardsOf(await read(weights), names, `${weights} of ${place.label}`) : [];
  const all = [...beside, weights, ...shards];
  const missing = await place.missing(all);
  await requireSpace(missing.dir, missing.bytes);
  if ((await deviceOf(missing.dir)) !== (await deviceOf(dir))) await requireSpace(dir, total(all));
  await take(all);
  return taken;
}

function requireKnown(config: unknown, label: string): void {
  const type = typeof config === "object" && config !== null && "model_type" in config ? config.model_type : undefined;
  if (typeof type === "string" && knownModelTypes.includes(type)) return;
  throw new EngineError(
    "config",
    `${label} is of the model_type ${JSON.stringify(type)}, which is not supported; choose a model of one of ${knownModelTypes.join(", ")}.`,
  );
}

/** Refused before anything is fetched. */
async function requireFree(dir: string): Promise<void> {
  const names = await readdir(dir).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return [];
    throw storageError(error, dir);
  });
  if (names.length > 0)
    throw new EngineError("storage", `${dir} is there already and not empty; choose another folder.`);
}

async function requireSpace(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(await existing(dir));
  if (bavail * bsize >= bytes) return;
  throw new EngineError(
    "storage",
    `The disk of ${dir} has ${gigabytes(bavail * bsize)} GB free and ${gigabytes(bytes)} GB are needed; free some space, or choose another folder.`,
  );
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);

const deviceOf = async (dir: string): Promise<number> => (await stat(await existing(dir))).dev;

/** The folder, or the nearest above it that is there. */
async function existing(dir: string): Promise<string> {
  const there = await stat(dir).catch(() => null);
  return there || dirname(dir) === dir ? dir : existing(dirname(dir));
}

async function fill(work: string, files: Taken, signal: AbortSignal, onProgress: OnProgress): Promise<void> {
  const isWeights = (name: string) => /\.(safetensors|bin)$/.test(name);
  const meter = new Meter(
    "copy",
    [...files.values()].reduce((sum, { size }) => sum + size, 0),
    onProgress,
  );
  for (const [name, { path, size }] of files) {
    const { onBytes, end } = meter.file(name, size);
    const to = join(work, name);
    if (!isWeights(name)) await copyFile(path, to);
    // Another disk, or a file of somebody else's: then it is copied.
    else if (
      !(await link(path, to).then(
        () => true,
        () => false,
      ))
    ) {
      let copied = 0;
      const count = async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          copied += chunk.length;
          onBytes(copied);
          yield chunk;
        }
      };
      await pipeline(
        createReadStream(path, { highWaterMark: 1 << 20 }),
        count,
        createWriteStream(to, { flush: true }),
        { signal },
      );
    }
    end();
  }
}

function record(place: Place, files: Taken): object {
  return {
    ...place.origin,
    importedAt: new Date().toISOString(),
    files: [...files].map(([name, { size, sha256 }]) => ({ name, size, sha256 })),
  };
}

async function moveIntoPlace(work: string, dir: string): Promise<void> {
  await flushFolder(work);
  // An empty folder of that name is in the way on Windows.
  await rmdir(dir).catch((error: unknown) => {
    if (codeOf(error) !== "ENOENT") throw error;
  });
  await rename(work, dir);
  await flushFolder(dirname(dir));
}
