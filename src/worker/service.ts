/** The engine behind the protocol: what each request of the extension does. */

import { statSync } from "node:fs";
import { basename } from "node:path";
import {
  attentionOf,
  type DeviceChoice,
  DocumentTokens,
  describeModel,
  EngineError,
  findTokens,
  importModel,
  LoadedModel,
  listDevices,
  loadTokenizer,
  nextToken,
  openModel,
  PRESETS,
  printModules,
  type RunControl,
  resume,
  searchHub,
  settingsOf,
  type Tokenizer,
  type Trace,
  type TrainEvent,
  type TrainResult,
  train,
  windowStart,
} from "../engine";
import type { EngineApi, TraceTensor } from "../protocol/engineApi";
import type { Handlers } from "../protocol/rpc";

/** `device` is the choice of the settings; a run may ask for another. */
export function engineService(device: DeviceChoice = deviceFromEnvironment()): Handlers<EngineApi> {
  const models = new Models(device);
  const documents = new Documents();
  const traces = new Traces();
  const runs = new Runs();

  return {
    devices: () => listDevices(),
    presets: () =>
      PRESETS.map((preset) => ({
        name: preset.name,
        title: preset.title,
        description: preset.description,
        needsText: preset.data.kind !== "adder",
        settings: settingsOf(preset),
      })),

    model: async ({ dir }) => (await openModel(dir)).info,
    describe: ({ dir }) => describeModel(dir),
    closeModel: ({ dir }) => models.close(dir),
    printModules: async ({ dir }) => printModules(await describeModel(dir)),

    searchHub: ({ query, access }, { signal }) => searchHub(query, { ...access, signal }),
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
      const { ids, dropped } = readable(prompt, loaded.model.tokenizer, contextTokens);
      const options = { temperature: 0, topK: 0, topP: 1, seed: 0, ...sampling, maxNewTokens, stop, signal };
      const result = await loaded.generate(ids, options, report);
      return { ...result, droppedTokens: result.droppedTokens + dropped };
    },

    inspect: async ({ dir, text, maxTokens }) => {
      const loaded = await models.open(dir);
      const began = performance.now();
      const { tokens, trace, nextToken: probabilities, residualNorms } = await loaded.inspect(text, maxTokens);
      return {
        trace: traces.keep({ loaded, trace, probabilities }),
        model: loaded.model.info,
        tokens,
        values: traceValues(trace, loaded.model.cfg.nHeads),
        residualNorms,
        nextToken: nextToken(probabilities, loaded.model.tokenizer, TOKENS_TOLD),
        device: loaded.weights.device,
        milliseconds: performance.now() - began,
      };
    },
    traceTensor: ({ trace, name, head }) => traceTensor(traces.get(trace), name, head),
    findTokens: ({ trace, query, count }) => {
      const { loaded, probabilities } = traces.get(trace);
      return findTokens(query, probabilities, loaded.vocabulary, loaded.model.tokenizer, count);
    },
    releaseTrace: ({ trace }) => traces.release(trace),

    train: (params, context) => runs.run(params.out, context, (control) => train(params, control)),
    resume: ({ dir, steps, device }, context) =>
      runs.run(dir, context, (control) => resume(dir, { steps, device }, control)),
    pauseRun: ({ dir, paused }) => runs.pause(dir, paused),
    stopRun: ({ dir }) => runs.stop(dir),
  };
}

function deviceFromEnvironment(): DeviceChoice {
  const choice = process.env.DECODER_LAB_DEVICE ?? "auto";
  if (choice === "auto" || choice === "cpu" || choice === "webgpu") return choice;
  throw new EngineError("device", `There is no device "${choice}"; choose auto, cpu or webgpu.`);
}

/** A prompt's last tokens. Where they begin moves in big steps, so that most prompts begin as the one before; BOS stays. */
function readable(prompt: string, { encodePrompt, addBos }: Tokenizer, contextTokens = Infinity) {
  const all = encodePrompt(prompt);
  const bos = addBos ? 1 : 0;
  const dropped = windowStart(all.length - bos, Math.max(1, contextTokens - bos));
  return { ids: [...all.slice(0, bos), ...all.slice(bos + dropped)], dropped };
}

/** Models in memory: the last few used, read again when their files have changed. */
class Models {
  readonly #loaded = new Map<string, { readonly version: string; readonly model: Promise<LoadedModel> }>();
  readonly #tokenizers = new Map<string, { readonly version: string; readonly tokenizer: Promise<Tokenizer> }>();

  constructor(readonly device: DeviceChoice) {}

  open(dir: string): Promise<LoadedModel> {
    const version = versionOf(dir, ["config.json", "model.safetensors"]);
    const known = this.#loaded.get(dir);
    if (known?.version === version) {
      this.#loaded.delete(dir);
      this.#loaded.set(dir, known);
      return known.model;
    }
    if (known) void this.#forget(dir);
    const model = LoadedModel.open(dir, this.device);
    model.catch(() => this.#loaded.delete(dir));
    this.#loaded.set(dir, { version, model });
    for (const oldest of [...this.#loaded.keys()].slice(0, -MODELS_KEPT)) void this.#forget(oldest);
    return model;
  }

  /** Needs no weights, and nothing native. */
  tokenizer(dir: string): Promise<Tokenizer> {
    const version = versionOf(dir, ["tokenizer.json", "vocab.json"]);
    const known = this.#tokenizers.get(dir);
    if (known?.version === version) return known.tokenizer;
    const tokenizer = loadTokenizer(dir);
    tokenizer.catch(() => this.#tokenizers.delete(dir));
    this.#tokenizers.set(dir, { version, tokenizer });
    return tokenizer;
  }

  /** Done once nothing of it is in memory. */
  async close(dir: string): Promise<null> {
    this.#tokenizers.delete(dir);
    await this.#forget(dir);
    return null;
  }

  async #forget(dir: string): Promise<void> {
    const known = this.#loaded.get(dir);
    this.#loaded.delete(dir);
    await known?.model.then((model) => model.release()).catch(() => undefined);
  }
}

const MODELS_KEPT = 2;

/** Changes with the files; one that is not there has a version too, so that opening it says what is wrong. */
const versionOf = (dir: string, files: readonly string[]): string =>
  files.map((file) => statSync(`${dir}/${file}`, { throwIfNoEntry: false })?.mtimeMs ?? 0).join();

/** Documents that are hovered over, by URI: the tokens of their last version. */
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
    // Not by the folder's name: another model may have taken the place of a deleted one.
    const isSame = known?.tokenizer === tokenizer && known.version === version;
    if (!isSame && text === undefined) return { kind: "needText" as const };
    const previous = known?.tokenizer === tokenizer ? known.tokens : undefined;
    const tokens = isSame ? known.tokens : new DocumentTokens(tokenizer, text as string, previous);
    if (!isSame) {
      this.#known.delete(uri);
      this.#known.set(uri, { tokenizer, version, tokens });
      for (const oldest of [...this.#known.keys()].slice(0, -DOCUMENTS_KEPT)) this.#known.delete(oldest);
    }
    const found = await tokens.tokenAt(offset, signal);
    return found ? { kind: "token" as const, ...found } : { kind: "none" as const };
  }

  close(uri: string): null {
    this.#known.delete(uri);
    return null;
  }
}

const DOCUMENTS_KEPT = 8;

interface KeptTrace {
  /** May have been released: its tokenizer and configuration are still good. */
  readonly loaded: LoadedModel;
  readonly trace: Trace;
  /** Of the token after the last, [V]. */
  readonly probabilities: Float32Array;
}

/** Traces that a view may still ask about. */
class Traces {
  readonly #kept = new Map<number, KeptTrace>();
  #count = 0;

  keep(trace: KeptTrace): number {
    const id = ++this.#count;
    this.#kept.set(id, trace);
    for (const oldest of [...this.#kept.keys()].slice(0, -TRACES_KEPT)) this.#kept.delete(oldest);
    return id;
  }

  get(id: number): KeptTrace {
    const trace = this.#kept.get(id);
    if (!trace) throw new EngineError("notFound", "These values are no longer kept; inspect the text again.");
    return trace;
  }

  release(id: number): null {
    this.#kept.delete(id);
    return null;
  }
}

const TRACES_KEPT = 4;
/** Of the most likely next tokens; any other is found by `findTokens`. */
const TOKENS_TOLD = 100;

/** The values of a trace with those that are computed when they are asked for. */
function traceValues(trace: Trace, nHeads: number): { name: string; shape: readonly number[] }[] {
  return [...trace].flatMap(([name, { shape }]) => {
    const value = { name, shape };
    if (!name.endsWith(".attn.v")) return [value];
    const T = shape[2] as number;
    const attention = (kind: string) => ({ name: name.replace(/v$/, kind), shape: [1, nHeads, T, T] });
    return [value, attention("scores"), attention("pattern")];
  });
}

/** One value of a trace; of those by head, the head asked for. */
function traceTensor({ loaded, trace }: KeptTrace, name: string, head = 0): TraceTensor {
  const { cfg } = loaded.model;
  const attention = /^blocks\.(\d+)\.attn\.(scores|pattern)$/.exec(name);
  if (attention) {
    const { [attention[2] as "scores" | "pattern"]: value } = attentionOf(cfg, trace, Number(attention[1]), head);
    return { name, ...value };
  }
  const value = trace.get(name);
  if (!value) throw new EngineError("notFound", `This run has no value "${name}"; inspect the text again.`);
  const { shape, data } = value;
  if (!/\.attn\.[qkvz]$/.test(name)) return { name, ...value };
  const [, heads, T, K] = shape as [number, number, number, number];
  if (head >= cfg.nHeads) throw new EngineError("notFound", `${name} has ${cfg.nHeads} heads, not ${head + 1}.`);
  // Of keys and values, those that the head of queries reads.
  const at = Math.floor((head * heads) / cfg.nHeads) * T * K;
  return { name, shape: [1, T, K], data: data.slice(at, at + T * K) };
}

/** Runs that are going on, by model folder. */
class Runs {
  readonly #running = new Map<string, { readonly stop: AbortController; paused: boolean; wake: () => void }>();

  async run(
    dir: string,
    { signal, report }: { readonly signal: AbortSignal; readonly report: (event: TrainEvent | PausedEvent) => void },
    work: (control: RunControl) => Promise<TrainResult>,
  ): Promise<TrainResult> {
    if (this.#running.has(dir)) {
      throw new EngineError("config", `${basename(dir)} is being trained already; stop that run first.`);
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
