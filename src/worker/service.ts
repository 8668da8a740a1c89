/** Answers the requests of the extension host. */

import { statSync } from "node:fs";
import { basename, join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  type AnyLoaded,
  branch,
  checkGguf,
  checkpointsOf,
  type DeviceChoice,
  DocumentTokens,
  describeModel,
  EngineError,
  estimate,
  exportModel,
  findLearningRate,
  fineTuningInfo,
  importModel,
  isCheckpoint,
  LoadedModel,
  listDevices,
  loadModel,
  loadTokenizer,
  openModel,
  PRESETS,
  presetInfo,
  printModules,
  promptWindow,
  type RunControl,
  resourceError,
  resume,
  searchHub,
  type Tokenizer,
  type TrainEvent,
  type TrainResult,
  train,
  trainingExcerpt,
} from "../engine";
import type { EngineApi } from "../protocol/engineApi";
import type { Handlers } from "../protocol/rpc";
import { type OpenModels, traceService } from "./traceService";

/**
 * `device` is the one in the settings; training runs can choose another. Models that were not used for `unloadAfter`
 * minutes are unloaded, and loaded again at their next use; 0 keeps them.
 */
export function engineService(
  device: DeviceChoice = deviceFromEnvironment(),
  unloadAfter = unloadAfterFromEnvironment(),
): Handlers<EngineApi> {
  const models = new Models(device, unloadAfter * 60_000);
  const documents = new Documents();
  const runs = new Runs();

  return guarded(models, {
    devices: () => listDevices(),
    presets: () => PRESETS.map(presetInfo),

    model: async ({ dir }) => (await openModel(dir)).info,
    describe: ({ dir }) => describeModel(dir),
    closeModel: ({ dir }) => models.close(dir),
    printModules: async ({ dir }) => printModules(await describeModel(dir)),

    searchHub: ({ query, access }, { signal }) => searchHub(query, { ...access, signal }),
    checkGguf: ({ path }) => checkGguf(path),
    importModel: async ({ source, out, quantize, access }, { signal, report }) => {
      const { dir } = await importModel(source, { ...access, out, quantize, signal, onProgress: report });
      return (await openModel(dir)).info;
    },

    tokenize: async ({ dir, text }) => [...(await models.tokenizer(dir)).promptSpans(text)],
    tokenAt: async ({ dir, ...question }, { signal }) =>
      documents.tokenAt(await models.tokenizer(dir), question, signal),
    closeDocument: ({ uri }) => documents.close(uri),

    generate: async ({ dir, prompt, maxNewTokens, contextTokens, stop = [], ...sampling }, { signal, report }) => {
      const loaded = await models.open(dir);
      const { ids, dropped } = promptWindow(prompt, loaded.model.tokenizer, contextTokens);
      const options = { ...sampling, maxNewTokens, stop, signal };
      const result = await loaded.generate(ids, options, report);
      return { ...result, droppedTokens: result.droppedTokens + dropped };
    },

    ...traceService(models),

    train: (params, context) => runs.run(params.out, context, (control) => train(params, control)),
    resume: ({ dir, steps, device }, context) =>
      runs.run(dir, context, (control) => resume(dir, { steps, device }, control)),
    branch: (params, context) => runs.run(params.out, context, (control) => branch(params, control)),
    estimate: (params, { signal }) => estimate({ name: "", ...params }, { signal }),
    findLearningRate: (params, context) => findLearningRate({ name: "", ...params }, context),
    fineTuning: ({ dir, set }) => fineTuningInfo(dir, set),
    checkpoints: ({ dir }) => checkpointsOf(dir),
    trainingExcerpt: ({ dir, page }) => trainingExcerpt(dir, page),
    exportModel: ({ dir, ...options }, { signal, report }) =>
      exportModel(dir, { ...options, signal, onProgress: report }),
    pauseRun: ({ dir, paused }) => runs.pause(dir, paused),
    stopRun: ({ dir }) => runs.stop(dir),
  });
}

/** Requests that use none of the loaded models and may take hours. */
const WITHOUT_MODELS: ReadonlySet<string> = new Set<keyof EngineApi>([
  "train",
  "resume",
  "branch",
  "estimate",
  "findLearningRate",
  "checkGguf",
  "importModel",
  "exportModel",
  "searchHub",
]);

/** Handlers that keep models loaded while they run, and explain a lack of memory or handles. */
function guarded(models: Models, handlers: Handlers<EngineApi>): Handlers<EngineApi> {
  const wrapped = Object.entries(handlers).map(([name, handler]) => {
    const answer = async (...args: Parameters<typeof handler>) => {
      try {
        const call = () => (handler as (...args: unknown[]) => unknown)(...args);
        return await (WITHOUT_MODELS.has(name) ? call() : models.during(call));
      } catch (error) {
        throw resourceError(error);
      }
    };
    return [name, answer];
  });
  return Object.fromEntries(wrapped) as Handlers<EngineApi>;
}

const DEFAULT_UNLOAD_AFTER = 10;

function unloadAfterFromEnvironment(): number {
  const minutes = Number(process.env.DECODER_LAB_UNLOAD_AFTER ?? DEFAULT_UNLOAD_AFTER);
  return minutes >= 0 && minutes <= 1440 ? minutes : DEFAULT_UNLOAD_AFTER;
}

function deviceFromEnvironment(): DeviceChoice {
  const choice = process.env.DECODER_LAB_DEVICE ?? "auto";
  if (choice === "auto" || choice === "cpu" || choice === "webgpu") return choice;
  throw new EngineError("device", `"${choice}" is not a device. Choose auto, cpu or webgpu.`);
}

/** Models in memory: the latest used ones, loaded again when their files change. */
class Models implements OpenModels {
  readonly #loaded = new Map<string, Entry>();
  readonly #tokenizers = new Map<string, { readonly version: string; readonly tokenizer: Promise<Tokenizer> }>();

  #active = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly device: DeviceChoice,
    /** Milliseconds; 0 keeps models. */
    private readonly unloadAfter: number,
  ) {}

  /** Answers a request. The models that it opens stay loaded meanwhile. */
  async during<T>(work: () => T | Promise<T>): Promise<T> {
    const start = performance.now();
    clearTimeout(this.#timer);
    this.#active++;
    try {
      return await work();
    } finally {
      this.#active--;
      const now = performance.now();
      for (const entry of this.#loaded.values()) if (entry.usedAt >= start) entry.usedAt = now;
      this.#waitForUnloading();
    }
  }

  #waitForUnloading(): void {
    clearTimeout(this.#timer);
    if (this.unloadAfter === 0 || this.#active > 0 || this.#loaded.size === 0) return;
    const oldest = Math.min(...[...this.#loaded.values()].map(({ usedAt }) => usedAt));
    const wait = Math.max(0, oldest + this.unloadAfter - performance.now());
    this.#timer = setTimeout(() => void this.#unloadUnused(), wait).unref();
  }

  async #unloadUnused(): Promise<void> {
    const since = performance.now() - this.unloadAfter;
    const unused = [...this.#loaded].filter(([, { usedAt }]) => usedAt <= since);
    await Promise.all(unused.map(([dir]) => this.#unload(dir)));
    if (this.#loaded.size === 0) this.#tokenizers.clear();
    collectGarbage();
    this.#waitForUnloading();
  }

  async open(dir: string): Promise<LoadedModel> {
    const loaded = await this.#open(dir, LoadedModel.open);
    // Opening a translator as a decoder fails with the reason.
    return loaded instanceof LoadedModel ? loaded : LoadedModel.open(dir, this.device);
  }

  openAny(dir: string): Promise<AnyLoaded> {
    return this.#open(dir, loadModel);
  }

  #open(dir: string, load: (dir: string, choice: DeviceChoice) => Promise<AnyLoaded>): Promise<AnyLoaded> {
    const version = versionOf(dir, ["config.json", "model.safetensors"]);
    const known = this.#loaded.get(dir);
    if (known?.version === version) {
      known.usedAt = performance.now();
      this.#loaded.delete(dir);
      this.#loaded.set(dir, known);
      return known.model;
    }
    if (known) void this.#unload(dir);
    const model = load(dir, this.device);
    model.catch(() => this.#loaded.delete(dir));
    this.#loaded.set(dir, { version, model, bytes: weightBytes(dir), usedAt: performance.now() });
    // Models and checkpoints are counted apart: scrubbing through checkpoints does not unload the model for completions.
    const alike = [...this.#loaded].filter(([other]) => isCheckpoint(other) === isCheckpoint(dir)).reverse();
    let bytes = 0;
    alike.forEach(([each, kept], i) => {
      bytes += kept.bytes;
      const isSmall = isCheckpoint(each) && i < MAX_CHECKPOINTS && bytes <= CHECKPOINT_BYTES;
      if (i >= MAX_MODELS && !isSmall) void this.#unload(each);
    });
    return model;
  }

  /** Loads no weights and no native code. */
  tokenizer(dir: string): Promise<Tokenizer> {
    const version = versionOf(dir, ["tokenizer.json", "vocab.json"]);
    const known = this.#tokenizers.get(dir);
    if (known?.version === version) return known.tokenizer;
    const tokenizer = loadTokenizer(dir);
    tokenizer.catch(() => this.#tokenizers.delete(dir));
    this.#tokenizers.set(dir, { version, tokenizer });
    return tokenizer;
  }

  /** Resolves when the model is unloaded. */
  async close(dir: string): Promise<null> {
    this.#tokenizers.delete(dir);
    await this.#unload(dir);
    return null;
  }

  async #unload(dir: string): Promise<void> {
    const known = this.#loaded.get(dir);
    this.#loaded.delete(dir);
    await known?.model.then((model) => model.release()).catch(() => undefined);
  }
}

interface Entry {
  readonly version: string;
  readonly model: Promise<AnyLoaded>;
  /** Size of the weights file. */
  readonly bytes: number;
  /** Time of the last use, in milliseconds on a monotonic clock. */
  usedAt: number;
}

/** Returns the memory of unloaded models to the system. A process that is idle does not collect garbage on its own. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

/** Number of models, or checkpoints, that stay loaded: more small checkpoints, because a scrubber also runs the neighbors. */
const MAX_MODELS = 2;
const MAX_CHECKPOINTS = 6;
const CHECKPOINT_BYTES = 128 * 2 ** 20;

const weightBytes = (dir: string): number =>
  statSync(join(dir, "model.safetensors"), { throwIfNoEntry: false })?.size ?? 0;

/** Changes with the files. A missing file has a version too: opening the model then reports it. */
const versionOf = (dir: string, files: readonly string[]): string =>
  files.map((file) => statSync(`${dir}/${file}`, { throwIfNoEntry: false })?.mtimeMs ?? 0).join();

/** Tokens of hovered documents, by URI: of the latest version. */
class Documents {
  readonly #known = new Map<
    string,
    { readonly tokenizer: Tokenizer; readonly version: number; readonly tokens: DocumentTokens }
  >();

  async tokenAt(
    tokenizer: Tokenizer,
    { uri, version, text, offset }: { uri: string; version: number; text?: string; offset: number },
    signal: AbortSignal,
  ) {
    const known = this.#known.get(uri);
    // Compares the tokenizer, not the folder: another model may have replaced a deleted one.
    const isSame = known?.tokenizer === tokenizer && known.version === version;
    if (!isSame && text === undefined) return { kind: "needText" as const };
    const previous = known?.tokenizer === tokenizer ? known.tokens : undefined;
    const tokens = isSame ? known.tokens : new DocumentTokens(tokenizer, text as string, previous);
    if (!isSame) {
      this.#known.delete(uri);
      this.#known.set(uri, { tokenizer, version, tokens });
      for (const oldest of [...this.#known.keys()].slice(0, -MAX_DOCUMENTS)) this.#known.delete(oldest);
    }
    const found = await tokens.tokenAt(offset, signal);
    return found ? { kind: "token" as const, ...found } : { kind: "none" as const };
  }

  close(uri: string): null {
    this.#known.delete(uri);
    return null;
  }
}

const MAX_DOCUMENTS = 8;

/** Active training runs, by model folder. */
class Runs {
  readonly #running = new Map<string, { readonly stop: AbortController; paused: boolean; wake: () => void }>();

  async run(
    dir: string,
    { signal, report }: { readonly signal: AbortSignal; readonly report: (event: TrainEvent | PausedEvent) => void },
    work: (control: RunControl) => Promise<TrainResult>,
  ): Promise<TrainResult> {
    if (this.#running.has(dir)) {
      throw new EngineError("config", `${basename(dir)} is already being trained. Stop that run first.`);
    }
    const stop = new AbortController();
    const run = { stop, paused: false, wake: () => {} };
    this.#running.set(dir, run);
    const onAbort = () => this.stop(dir);
    signal.addEventListener("abort", onAbort);
    const whilePaused = async () => {
      if (!run.paused) return;
      report({ kind: "paused", paused: true });
      while (run.paused && !stop.signal.aborted) await new Promise<void>((resolve) => (run.wake = resolve));
      report({ kind: "paused", paused: false });
    };
    try {
      return await work({ signal: stop.signal, whilePaused, report });
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#running.delete(dir);
    }
  }

  pause(dir: string, paused: boolean): null {
    const run = this.#running.get(dir);
    if (run) {
      run.paused = paused;
      run.wake();
    }
    return null;
  }

  stop(dir: string): null {
    const run = this.#running.get(dir);
    run?.stop.abort();
    run?.wake();
    return null;
  }
}

type PausedEvent = { readonly kind: "paused"; readonly paused: boolean };
