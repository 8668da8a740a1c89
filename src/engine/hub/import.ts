/**
 * Makes a model folder out of a model of the hub, a folder, or the cache.
 *
 *     DIR/config.json  tokenizer.json …  model.safetensors  source.json  (quantization.json)
 *
 * The folder is made under a temporary name and renamed: a failure or a cancel leaves nothing but the
 * cache, from which the next import goes on. Weights are hard links where the disk allows it: they take no space
 * twice, and stay when the cache is emptied.
 */

import { createReadStream, createWriteStream } from "node:fs";
import { copyFile, link, readdir, rename, rm, rmdir, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { EngineError } from "../errors";
import { familyOf } from "../models/families";
import { checkpointNames } from "../models/family";
import { openWeights, readConfig } from "../models/folder";
import { paramSpecs } from "../nn/params";
import { loadTokenizer } from "../tokenizers";
import {
  type Bits,
  type Choose,
  codeOf,
  makeFolder,
  openStored,
  quantizeFolder,
  readJson,
  type StoredTensors,
  storageError,
  writeFileWhole,
} from "../weights";
import { flushFolder, temporaryName } from "../weights/files";
import type { HubAccess } from "./connection";
import type { OnBytes } from "./download";
import { CONFIG, hasTokenizer, isIndex, isWeights, neededFiles, shardsOf } from "./files";
import { cachePlace, folderPlace, hubPlace, type Place, type TakenFile } from "./places";
import { Meter, type OnProgress } from "./progress";
import { parseSource, type Source } from "./source";

export interface ImportOptions extends HubAccess {
  /** The folder to make; it must not be there, or be empty. */
  readonly out: string;
  /** Goes before the revision in the source. */
  readonly revision?: string | undefined;
  /** Keeps the matrices in 8 or 4 bits. */
  readonly quantize?: "int8" | "int4" | undefined;
  /** Only what the cache has; HF_HUB_OFFLINE=1 says the same. */
  readonly offline?: boolean | undefined;
  readonly onProgress?: OnProgress | undefined;
}

export const SOURCE_FILE = "source.json";

export async function importModel(text: string, options: ImportOptions): Promise<{ readonly dir: string }> {
  const { quantize, signal = new AbortController().signal, onProgress = () => {} } = options;
  const dir = resolve(options.out);
  const work = temporaryName(dir);
  try {
    signal.throwIfAborted();
    await requireFree(dir);
    onProgress({ phase: "connect", file: "", bytes: 0, totalBytes: 0, bytesPerSecond: 0, secondsLeft: null });
    const place = await placeOf(await parseSource(text), options, signal);
    const original = quantize ? join(work, "original") : work;
    const files = await bring({ place, dir, work: original, quantize, signal, onProgress });
    if (quantize) await quantizeInto(work, original, quantize === "int8" ? 8 : 4, signal, onProgress);
    const record = {
      ...place.origin,
      ...(quantize && { quantize }),
      date: new Date().toISOString(),
      files: listed(files),
    };
    await writeFileWhole(join(work, SOURCE_FILE), `${JSON.stringify(record, null, 2)}\n`);
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
      const isOffline = options.offline || /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? "");
      return isOffline ? cachePlace(wanted, signal) : hubPlace(wanted, { ...options, signal });
    }
  }
}

interface Job {
  readonly place: Place;
  /** Where the model will be in the end, and where it is made. */
  readonly dir: string;
  readonly work: string;
  readonly quantize: ImportOptions["quantize"];
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

type Taken = Map<string, TakenFile & { readonly size: number }>;

/** Takes what a model needs: what decides whether it can be used first, and weights only after that. */
async function bring(job: Job): Promise<Taken> {
  const { place, dir, work, quantize } = job;
  const names = new Set(place.files.keys());
  const { beside, weights } = neededFiles(names, place.label);
  const taken: Taken = new Map();
  const read = (name: string) => readJson((taken.get(name) as TakenFile).path);

  await take(job, [CONFIG, ...(isIndex(weights) ? [weights] : [])], taken);
  const config = await read(CONFIG);
  const configFile = `${CONFIG} of ${place.label}`;
  familyOf(config, configFile).config(config, configFile);
  // The family has taken it as an object.
  if (quantize && (config as object & { quantization_config?: unknown }).quantization_config) {
    throw new EngineError(
      "weights",
      `${place.label} is quantised already; import it as it is, or the model it was made from.`,
    );
  }
  const shards = isIndex(weights) ? shardsOf(await read(weights), names, `${weights} of ${place.label}`) : [];

  await take(job, beside, taken);
  await makeFolder(work);
  for (const name of beside) await copyFile((taken.get(name) as TakenFile).path, join(work, name));
  if (hasTokenizer(names)) await naming(job, loadTokenizer(work));

  const all = [...beside, weights, ...shards];
  const missing = await place.missing(all);
  await requireSpace(missing.dir, missing.bytes);
  if ((await deviceOf(missing.dir)) !== (await deviceOf(dir))) await requireSpace(dir, sizeOf(place, all));
  await take(job, all, taken);
  await linkInto(job, [weights, ...shards], taken);
  await naming(job, openWeights(work));
  return taken;
}

const sizeOf = (place: Place, names: readonly string[]): number =>
  names.reduce((sum, name) => sum + (place.files.get(name) ?? 0), 0);

async function take({ place, signal, onProgress }: Job, names: readonly string[], taken: Taken): Promise<void> {
  const meter = new Meter(place.phase, sizeOf(place, names), onProgress);
  for (const name of names) {
    signal.throwIfAborted();
    const size = sizeOf(place, [name]);
    const { onBytes, end } = meter.file(name, size);
    if (!taken.has(name)) taken.set(name, { ...(await place.take(name, onBytes)), size });
    end();
  }
}

/** What is said of the folder that a model is made in is meant of the place it comes from. */
async function naming<T>({ place, work }: Job, check: Promise<T>): Promise<T> {
  return check.catch((error: unknown) => {
    if (!(error instanceof EngineError)) throw error;
    const { code, message, cause } = error;
    throw new EngineError(code, message.replaceAll(work + sep, `${place.label}: `).replaceAll(work, place.label), {
      cause,
    });
  });
}

async function linkInto(
  { place, work, signal, onProgress }: Job,
  names: readonly string[],
  taken: Taken,
): Promise<void> {
  const meter = new Meter("copy", sizeOf(place, names), onProgress);
  for (const name of names) {
    const { path, size } = taken.get(name) as TakenFile & { size: number };
    const { onBytes, end } = meter.file(name, size);
    const to = join(work, name);
    // Another disk, or a file of somebody else's: then it is copied.
    if (
      !(await link(path, to).then(
        () => true,
        () => false,
      ))
    )
      await copyLarge(path, to, signal, onBytes);
    end();
  }
}

async function copyLarge(from: string, to: string, signal: AbortSignal, onBytes: OnBytes): Promise<void> {
  let copied = 0;
  async function* count(chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      copied += chunk.length;
      onBytes(copied);
      yield chunk;
    }
  }
  const source = createReadStream(from, { highWaterMark: 1 << 20 });
  await pipeline(source, count, createWriteStream(to, { flush: true }), { signal });
}

/** Makes the quantised model out of the original, which is inside of its folder until then. */
async function quantizeInto(
  work: string,
  original: string,
  bits: Bits,
  signal: AbortSignal,
  onProgress: OnProgress,
): Promise<void> {
  const tensors = await openStored(original);
  const total = [...tensors.values()].reduce((sum, { length }) => sum + length, 0);
  const { onBytes, end } = new Meter("quantize", total, onProgress).file("model.safetensors", total);
  const choose = await matricesOf(original, tensors);
  await quantizeFolder(original, work, bits, choose, { signal, onProgress: (fraction) => onBytes(fraction * total) });
  end();
  const rest = (await readdir(original)).filter((name) => name !== CONFIG && !isWeights(name));
  for (const name of rest) await rename(join(original, name), join(work, name));
  await rm(original, { recursive: true });
}

/** Matrices and the token table are quantised; positions, norms and biases are small and stay. */
async function matricesOf(dir: string, tensors: StoredTensors): Promise<Choose> {
  const { family, cfg } = await readConfig(dir);
  const names = checkpointNames(family, cfg, tensors.keys(), dir);
  const specs = new Map(paramSpecs(cfg).map((spec) => [names.get(spec.name), spec]));
  return (stored) => {
    const spec = specs.get(stored);
    if (spec?.role === "embedding") return spec.name === "embed.tokens.weight";
    const isMatrix = spec?.role === "matrix" || spec?.role === "residualMatrix";
    return isMatrix && { transpose: cfg.weightLayout === "inOut" };
  };
}

const listed = (files: Taken) => [...files].map(([name, { size, sha256 }]) => ({ name, size, sha256 }));

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

async function moveIntoPlace(work: string, dir: string): Promise<void> {
  await flushFolder(work);
  // An empty folder of that name is in the way on Windows.
  await rmdir(dir).catch((error: unknown) => {
    if (codeOf(error) !== "ENOENT") throw error;
  });
  await rename(work, dir);
  await flushFolder(dirname(dir));
}
