/**
 * Imports a model from the Hub, a folder, or the cache into a model folder.
 *
 *     DIR/config.json  tokenizer.json …  model.safetensors  source.json  (quantization.json)
 *
 * The folder is built under a temporary name and then renamed. A failed or canceled import leaves only files in the cache,
 * from which the next import continues. Weights are hard links if possible: they need no extra space, and survive clearing
 * the cache.
 */

import { basename, dirname, join, resolve, sep } from "node:path";
import { readRegular } from "../../files/regular";
import { byteSize } from "../../text/untrusted";
import { EngineError } from "../errors";
import { familyOf } from "../models/families";
import { openModel, openWeights } from "../models/folder";
import { loadTokenizer } from "../tokenizers";
import { checkHeader, makeFolder, readJson, storageError, writeFileWhole } from "../weights";
import { writeFlushed } from "../weights/files";
import { partNames } from "../weights/gguf";
import { convertGguf } from "../weights/ggufConvert";
import { type NewFolder, startFolder } from "../weights/newFolder";
import type { HubOptions } from "./connection";
import { linkOrCopy, onSameDisk, requireSpace } from "./disk";
import { cacheSource, type FetchedFile, type FileSource, folderSource, hubSource } from "./fileSources";
import { CONFIG, hasTokenizer, isIndex, neededFiles, shardsOf } from "./files";
import { generationNote } from "./generationCost";
import { Meter, type OnProgress } from "./progress";
import { quantizeInto, requireUnquantizedConfig } from "./quantizing";
import { parseSource, requireRevision, type Source } from "./source";

export interface ImportOptions extends HubOptions {
  /** The folder to create. It must not exist or be empty. */
  readonly out: string;
  /** Overrides the revision in the source. */
  readonly revision?: string | undefined;
  /** Quantizes the matrices to 8 or 4 bits. */
  readonly quantize?: "int8" | "int4" | undefined;
  readonly onProgress?: OnProgress | undefined;
}

export const SOURCE_FILE = "source.json";

export async function importModel(text: string, options: ImportOptions): Promise<{ readonly dir: string }> {
  const { quantize, signal = new AbortController().signal, onProgress = () => {} } = options;
  const dir = resolve(options.out);
  let folder: NewFolder | null = null;
  try {
    signal.throwIfAborted();
    folder = await startFolder(options.out);
    const { work } = folder;
    onProgress({ phase: "connect", file: "", bytes: 0, totalBytes: 0, bytesPerSecond: 0, secondsLeft: null });
    const [source, gguf] = await openSource(await parseSource(text), options, signal);
    const original = quantize ? join(work, "original") : work;
    const task = { source, dir, work: original, quantize, signal, onProgress };
    const [files, notes] = gguf === undefined ? [await fetchModel(task), []] : await convert(task, gguf);
    if (quantize) await quantizeInto(work, original, quantize === "int8" ? 8 : 4, signal, onProgress);
    const record = {
      ...source.origin,
      ...(quantize && { quantize }),
      date: new Date().toISOString(),
      ...(notes.length > 0 && { notes }),
      files: listed(files),
    };
    await writeFileWhole(join(work, SOURCE_FILE), `${JSON.stringify(record, null, 2)}\n`);
    signal.throwIfAborted();
    await folder.finish();
    return { dir };
  } catch (error) {
    await folder?.discard();
    signal.throwIfAborted();
    throw storageError(error, dir);
  }
}

/** Opens the source of the files. For a GGUF model, also returns the name of its file. */
async function openSource(
  source: Source,
  options: ImportOptions,
  signal: AbortSignal,
): Promise<readonly [FileSource, string?]> {
  switch (source.kind) {
    case "folder":
      return [await folderSource(source.dir, signal)];
    case "gguf":
      return [await folderSource(dirname(source.file), signal), basename(source.file)];
    case "hub": {
      const model = { id: source.id, revision: requireRevision(options.revision ?? source.revision) };
      const isOffline = options.offline || /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? "");
      const opened = isOffline ? cacheSource(model, signal) : hubSource(model, { ...options, signal }, source.file);
      return [await opened, source.file];
    }
  }
}

interface ImportTask {
  readonly source: FileSource;
  /** The final folder. */
  readonly dir: string;
  /** The temporary folder in which the model is built. */
  readonly work: string;
  readonly quantize: ImportOptions["quantize"];
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

type Fetched = Map<string, FetchedFile & { readonly size: number }>;

/** Fetches the files of a model. Checks the configuration and the tokenizer before it fetches weights. */
async function fetchModel(task: ImportTask): Promise<Fetched> {
  const { source, dir, work, quantize } = task;
  const names = new Set(source.files.keys());
  const { beside, weights } = neededFiles(names, source.label);
  const fetched: Fetched = new Map();
  for (const name of [...beside, ...(isIndex(weights) ? [weights] : [])]) requireSmall(source, name);
  const read = (name: string) => {
    const { path } = fetched.get(name) as FetchedFile;
    return relabel(path, `${name} of ${source.label}`, readJson(path));
  };

  await fetchFiles(task, [CONFIG, ...(isIndex(weights) ? [weights] : [])], fetched);
  const config = await read(CONFIG);
  const configFile = `${CONFIG} of ${source.label}`;
  familyOf(config, configFile).config(config, configFile);
  if (quantize) requireUnquantizedConfig(config, source.label);
  const shards = isIndex(weights) ? shardsOf(await read(weights), names, `${weights} of ${source.label}`) : [];

  await fetchFiles(task, beside, fetched);
  await makeFolder(work);
  for (const name of beside) {
    await writeFlushed(join(work, name), await readRegular((fetched.get(name) as FetchedFile).path, MAX_SMALL_BYTES));
  }
  if (hasTokenizer(names)) await relabel(work, source.label, loadTokenizer(work));

  const all = [...beside, weights, ...shards];
  await requireSpaceFor(source, all, dir);
  await fetchFiles(task, all, fetched);
  await linkInto(task, [weights, ...shards], fetched);
  await relabel(work, source.label, openWeights(work));
  return fetched;
}

/** Fetches a GGUF file and converts it. */
async function convert(task: ImportTask, name: string): Promise<readonly [Fetched, notes: readonly string[]]> {
  const { source, dir, work, quantize, signal, onProgress } = task;
  if (!source.files.has(name)) {
    const others = [...source.files.keys()].filter((other) => other.endsWith(".gguf")).slice(0, 5);
    const advice = others.length > 0 ? `Choose one of ${others.join(", ")}` : "Choose another model";
    throw new EngineError("notFound", `${source.label} has no file ${name}. ${advice}.`);
  }
  const fetched: Fetched = new Map();
  const parts = partNames(name);
  // If a part is missing, only the header of this one is needed, for the message.
  const names = parts.every((part) => source.files.has(part)) ? parts : [name];
  await requireSpaceFor(source, names, dir);
  await fetchFiles(task, names, fetched);
  const size = sizeOf(source, names);
  const { onBytes, end } = new Meter("convert", size, onProgress).file(name, size);
  const converted = convertGguf((fetched.get(name) as FetchedFile).path, work, {
    name,
    findPart: async (part) => fetched.get(part)?.path ?? null,
    signal,
    onProgress: (fraction) => onBytes(fraction * size),
  });
  const { notes } = await [...fetched].reduce(
    (checked, [part, { path }]) => relabel(path, `${part} of ${source.label}`, checked),
    converted,
  );
  end();
  if (quantize) requireUnquantizedConfig(await readJson(join(work, CONFIG)), source.label);
  await relabel(work, source.label, openModel(work));
  const measured = quantize ? null : await generationNote(work, signal, onProgress);
  return [fetched, measured === null ? notes : [...notes, measured]];
}

const sizeOf = (source: FileSource, names: readonly string[]): number =>
  names.reduce((sum, name) => sum + (source.files.get(name) ?? 0), 0);

async function fetchFiles(
  { source, signal, onProgress }: ImportTask,
  names: readonly string[],
  fetched: Fetched,
): Promise<void> {
  const meter = new Meter(source.phase, sizeOf(source, names), onProgress);
  for (const name of names) {
    signal.throwIfAborted();
    const size = sizeOf(source, [name]);
    const { onBytes, end } = meter.file(name, size);
    const local = fetched.has(name) ? undefined : await source.local?.(name);
    if (local !== undefined) await relabel(local, `${name} of ${source.label}`, checkHeader(local, name));
    if (!fetched.has(name)) fetched.set(name, { ...(await source.fetch(name, onBytes)), size });
    end();
  }
}

/** Replaces a temporary path in error messages with a label that the user knows. */
async function relabel<T>(path: string, label: string, check: Promise<T>): Promise<T> {
  return check.catch((error: unknown) => {
    if (!(error instanceof EngineError)) throw error;
    const message = error.message.replaceAll(path + sep, `${label}: `).replaceAll(path, label);
    throw new EngineError(error.code, message, { cause: error });
  });
}

async function linkInto(
  { source, work, signal, onProgress }: ImportTask,
  names: readonly string[],
  fetched: Fetched,
): Promise<void> {
  const meter = new Meter("copy", sizeOf(source, names), onProgress);
  for (const name of names) {
    const { path, size } = fetched.get(name) as FetchedFile & { size: number };
    const { onBytes, end } = meter.file(name, size);
    await linkOrCopy(path, join(work, name), signal, onBytes);
    end();
  }
}

/** Larger than any tokenizer, and small enough to read at once. */
const MAX_SMALL_BYTES = 300_000_000;

function requireSmall(source: FileSource, name: string): void {
  const size = sizeOf(source, [name]);
  if (size <= MAX_SMALL_BYTES) return;
  throw new EngineError("config", `${name} of ${source.label} is too large (${byteSize(size)}). Choose another model.`);
}

/** Checks the disk of the cache, and that of the model folder if it is a different one. */
async function requireSpaceFor(source: FileSource, names: readonly string[], dir: string): Promise<void> {
  const missing = await source.missing(names);
  await requireSpace(missing.dir, missing.bytes);
  if (!(await onSameDisk(missing.dir, dir))) await requireSpace(dir, sizeOf(source, names));
}

const listed = (files: Fetched) => [...files].map(([name, { size, sha256 }]) => ({ name, size, sha256 }));
