/**
 * Makes a model folder out of a model of the hub, a folder, or the cache.
 *
 *     DIR/config.json  tokenizer.json …  model.safetensors  source.json  (quantization.json)
 *
 * The folder is made under a temporary name and renamed: a failure or a cancel leaves nothing but the
 * cache, from which the next import goes on. Weights are hard links where the disk allows it: they take no space
 * twice, and stay when the cache is emptied.
 */

import { readFile, rm } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import { EngineError } from "../errors";
import { familyOf } from "../models/families";
import { openModel, openWeights } from "../models/folder";
import { loadTokenizer } from "../tokenizers";
import { makeFolder, readJson, storageError, writeFileWhole } from "../weights";
import { temporaryName, writeFlushed } from "../weights/files";
import { convertGguf } from "../weights/ggufConvert";
import type { HubOptions } from "./connection";
import { linkOrCopy, moveIntoPlace, onOneDisk, requireFree, requireSpace } from "./disk";
import { CONFIG, hasTokenizer, isIndex, neededFiles, shardsOf } from "./files";
import { cachePlace, folderPlace, hubPlace, type Place, type TakenFile } from "./places";
import { Meter, type OnProgress } from "./progress";
import { quantizeInto, requireWhole } from "./quantizing";
import { parseSource, requireRevision, type Source } from "./source";

export interface ImportOptions extends HubOptions {
  /** The folder to make; it must not be there, or be empty. */
  readonly out: string;
  /** Goes before the revision in the source. */
  readonly revision?: string | undefined;
  /** Keeps the matrices in 8 or 4 bits. */
  readonly quantize?: "int8" | "int4" | undefined;
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
    const [place, gguf] = await placeOf(await parseSource(text), options, signal);
    const original = quantize ? join(work, "original") : work;
    const job = { place, dir, work: original, quantize, signal, onProgress };
    const files = gguf === undefined ? await bring(job) : await convert(job, gguf);
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

/** A place, and the one file of it that is the model, where it is GGUF. */
async function placeOf(
  source: Source,
  options: ImportOptions,
  signal: AbortSignal,
): Promise<readonly [Place, string?]> {
  switch (source.kind) {
    case "folder":
      return [await folderPlace(source.dir, signal)];
    case "gguf":
      return [await folderPlace(dirname(source.file), signal), basename(source.file)];
    case "hub": {
      const wanted = { id: source.id, revision: requireRevision(options.revision ?? source.revision) };
      const isOffline = options.offline || /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? "");
      const place = isOffline ? cachePlace(wanted, signal) : hubPlace(wanted, { ...options, signal }, source.file);
      return [await place, source.file];
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
  for (const name of [...beside, ...(isIndex(weights) ? [weights] : [])]) requireSmall(place, name);
  const read = (name: string) => {
    const { path } = taken.get(name) as TakenFile;
    return naming(path, `${name} of ${place.label}`, readJson(path));
  };

  await take(job, [CONFIG, ...(isIndex(weights) ? [weights] : [])], taken);
  const config = await read(CONFIG);
  const configFile = `${CONFIG} of ${place.label}`;
  familyOf(config, configFile).config(config, configFile);
  if (quantize) requireWhole(config, place.label);
  const shards = isIndex(weights) ? shardsOf(await read(weights), names, `${weights} of ${place.label}`) : [];

  await take(job, beside, taken);
  await makeFolder(work);
  for (const name of beside) {
    await writeFlushed(join(work, name), await readFile((taken.get(name) as TakenFile).path));
  }
  if (hasTokenizer(names)) await naming(work, place.label, loadTokenizer(work));

  const all = [...beside, weights, ...shards];
  await requireRoom(place, all, dir);
  await take(job, all, taken);
  await linkInto(job, [weights, ...shards], taken);
  await naming(work, place.label, openWeights(work));
  return taken;
}

/** Takes a GGUF file, and writes it as a folder. */
async function convert(job: Job, name: string): Promise<Taken> {
  const { place, dir, work, quantize, signal, onProgress } = job;
  if (!place.files.has(name)) {
    const others = [...place.files.keys()].filter((other) => other.endsWith(".gguf")).slice(0, 5);
    const instead = others.length > 0 ? `choose one of ${others.join(", ")}` : "choose another model";
    throw new EngineError("notFound", `${place.label} has no file ${name}; ${instead}.`);
  }
  const taken: Taken = new Map();
  await requireRoom(place, [name], dir);
  await take(job, [name], taken);
  const { path, size } = taken.get(name) as TakenFile & { size: number };
  const { onBytes, end } = new Meter("convert", size, onProgress).file(name, size);
  await naming(
    path,
    `${name} of ${place.label}`,
    convertGguf(path, work, { signal, onProgress: (fraction) => onBytes(fraction * size) }),
  );
  end();
  if (quantize) requireWhole(await readJson(join(work, CONFIG)), place.label);
  await naming(work, place.label, openModel(work));
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

/** What is said of a path that means nothing to anybody, of what it stands for. */
async function naming<T>(path: string, label: string, check: Promise<T>): Promise<T> {
  return check.catch((error: unknown) => {
    if (!(error instanceof EngineError)) throw error;
    const message = error.message.replaceAll(path + sep, `${label}: `).replaceAll(path, label);
    throw new EngineError(error.code, message, { cause: error });
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
    await linkOrCopy(path, join(work, name), signal, onBytes);
    end();
  }
}

/** Larger than any tokenizer, and little enough to be read at once. */
const MOST_BYTES_BESIDE = 300_000_000;

function requireSmall(place: Place, name: string): void {
  const size = sizeOf(place, [name]);
  if (size <= MOST_BYTES_BESIDE) return;
  throw new EngineError(
    "config",
    `${name} of ${place.label} has ${Math.round(size / 1e6)} MB, which no such file needs; choose another model.`,
  );
}

/** On the disk of the cache, and on that of the folder if it is another. */
async function requireRoom(place: Place, names: readonly string[], dir: string): Promise<void> {
  const missing = await place.missing(names);
  await requireSpace(missing.dir, missing.bytes);
  if (!(await onOneDisk(missing.dir, dir))) await requireSpace(dir, sizeOf(place, names));
}

const listed = (files: Taken) => [...files].map(([name, { size, sha256 }]) => ({ name, size, sha256 }));
