/**
 * Measurements in a process of their own: the time to load a model, read a prompt and generate, and the memory used; or
 * the time of a trace. One process measures one model with one library.
 */

import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, dirname } from "node:path";
import { Decoding } from "../../engine/generate/decoding";
import { generate, TokenCache } from "../../engine/generate/generate";
import { GREEDY } from "../../engine/generate/sampling";
import { Tracer } from "../../engine/inspect/tracer";
import { openWeights } from "../../engine/models/folder";
import { mapWeights } from "../../engine/runtime/weights";

type Library = "ours" | "llama.cpp" | "transformers.js";

/** Passed to the process as JSON. */
export type Job = DecodeJob | TraceJob;

export interface DecodeJob {
  readonly kind: "decode";
  readonly library: Library;
  /** The address to import the library from; absent for Decoder Lab. */
  readonly from?: string;
  /** The model's folder or file. */
  readonly path: string;
  /** The precision's name in transformers.js. */
  readonly dtype?: string;
  readonly prompt: readonly number[];
  readonly newTokens: number;
  readonly repeats: number;
}

export interface TraceJob {
  readonly kind: "trace";
  readonly path: string;
  readonly prompt: readonly number[];
  readonly repeats: number;
}

export interface Decoded {
  /** From opening the model until it has continued a prompt of one token. */
  readonly loadSeconds: number;
  /** Time to the first token after the prompt, per repetition. */
  readonly ttftMs: readonly number[];
  /** Speed after the first token. */
  readonly tokensPerSecond: readonly number[];
  /** The ids of the last repetition. */
  readonly ids: readonly number[];
  readonly memory: Memory;
}

export interface Traced {
  readonly ms: readonly number[];
  /** Data copied to the host. */
  readonly megabytes: number;
}

/** Memory of the whole process, in MB. */
export interface Memory {
  readonly peak: number;
  /** Resident mapped files and private memory at the end; null if the system does not report them. */
  readonly mapped: number | null;
  readonly own: number | null;
}

export const measure = (job: Job): Promise<Decoded | Traced> =>
  job.kind === "decode" ? measureDecoding(job) : measureTrace(job);

/** Continues a prompt greedily and reports each token. */
type Continue = (prompt: readonly number[], newTokens: number, onToken: (id: number) => void) => Promise<void>;

const OPEN: { readonly [L in Library]: (job: DecodeJob) => Promise<Continue> } = {
  ours: openOurs,
  "llama.cpp": openLlama,
  "transformers.js": openTransformers,
};

async function measureDecoding(job: DecodeJob): Promise<Decoded> {
  const { prompt, newTokens, repeats } = job;
  // Decoder Lab is already imported.
  if (job.from !== undefined) await import(job.from);
  const opened = performance.now();
  const continuePrompt = await OPEN[job.library](job);
  await continuePrompt(prompt.slice(0, 1), 1, () => {});
  const loadSeconds = (performance.now() - opened) / 1000;
  const ttftMs: number[] = [];
  const tokensPerSecond: number[] = [];
  let ids: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const times: number[] = [];
    ids = [];
    const start = performance.now();
    await continuePrompt(prompt, newTokens + 1, (id) => {
      times.push(performance.now());
      ids.push(id);
    });
    if (ids.length !== newTokens + 1)
      throw new Error(`${job.library} generated ${ids.length} tokens, not ${newTokens + 1}`);
    const [first, last] = [times[0] as number, times.at(-1) as number];
    ttftMs.push(first - start);
    tokensPerSecond.push(newTokens / ((last - first) / 1000));
  }
  return { loadSeconds, ttftMs, tokensPerSecond, ids, memory: await memoryUsed() };
}

async function openOurs({ path }: DecodeJob): Promise<Continue> {
  const { cfg, weights } = await openWeights(path);
  const decoding = new Decoding(cfg, await mapWeights(cfg, weights, "cpu"));
  return async (prompt, maxNewTokens, onToken) => {
    // A new cache, or the prompt would be cached from the last repetition.
    const cache = new TokenCache(decoding);
    const options = { ...GREEDY, maxNewTokens, eosIds: [] };
    for await (const { id } of generate(cache, prompt, options)) onToken(id);
  };
}

/** The part of node-llama-cpp that is used. */
interface LlamaModule {
  readonly LlamaLogLevel: { readonly error: string };
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<LlamaModel> }>;
}
interface LlamaModel {
  createContext(options: object): Promise<{ getSequence(): LlamaSequence }>;
}
interface LlamaSequence {
  clearHistory(): Promise<void>;
  evaluate(ids: readonly number[], options: object): AsyncIterable<number>;
}

async function openLlama({ path, from }: DecodeJob): Promise<Continue> {
  const { getLlama, LlamaLogLevel } = (await import(from as string)) as LlamaModule;
  const threads = availableParallelism();
  const logLevel = LlamaLogLevel.error;
  const llama = await getLlama({ gpu: false, build: "never", logLevel, maxThreads: threads });
  const model = await llama.loadModel({ modelPath: path });
  const sequence = (await model.createContext({ contextSize: 512, batchSize: 512, threads })).getSequence();
  return async (prompt, newTokens, onToken) => {
    await sequence.clearHistory();
    let count = 0;
    for await (const id of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      onToken(id);
      if (++count === newTokens) return;
    }
  };
}

/** The part of transformers.js that is used. */
interface TransformersModule {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  readonly AutoModelForCausalLM: { from_pretrained(name: string, options: object): Promise<TransformersModel> };
  readonly Tensor: new (type: "int64", data: BigInt64Array, dims: readonly number[]) => object;
}
interface TransformersModel {
  generate(options: object): Promise<unknown>;
}

async function openTransformers({ path, from, dtype }: DecodeJob): Promise<Continue> {
  const { env, AutoModelForCausalLM, Tensor } = (await import(from as string)) as TransformersModule;
  env.allowRemoteModels = false;
  env.localModelPath = dirname(path);
  const model = await AutoModelForCausalLM.from_pretrained(basename(path), { dtype, device: "cpu" });
  return async (prompt, newTokens, onToken) => {
    const tensor = (values: readonly number[]) =>
      new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
    let isPrompt = true;
    const streamer = {
      put([ids]: readonly (readonly bigint[])[]) {
        // The prompt comes first.
        if (!isPrompt) onToken(Number(ids?.at(-1)));
        isPrompt = false;
      },
      end() {},
    };
    await model.generate({
      inputs: tensor(prompt),
      attention_mask: tensor(prompt.map(() => 1)),
      max_new_tokens: newTokens,
      do_sample: false,
      streamer,
    });
  };
}

/** The residual stream before and after every block, every head's attention pattern, the last norm's output and the logits. */
const isCopied = (name: string) => /^blocks\.0\.residPre$|\.residPost$|\.attn\.pattern$|^lnFinal$|^logits$/.test(name);

async function measureTrace({ path, prompt, repeats }: TraceJob): Promise<Traced> {
  const { cfg, weights } = await openWeights(path);
  const tracer = new Tracer(cfg, await mapWeights(cfg, weights, "cpu"));
  const ms: number[] = [];
  let megabytes = 0;
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const start = performance.now();
    const trace = await tracer.trace([prompt], "light", isCopied);
    // The first compiles the graph.
    if (repeat > 0) ms.push(performance.now() - start);
    const count = (pattern: RegExp) => [...trace.keys()].filter((name) => pattern.test(name)).length;
    if (count(/resid/) !== cfg.nLayers + 1 || count(/pattern/) !== cfg.nLayers)
      throw new Error("the trace is incomplete");
    megabytes = [...trace.values()].reduce((sum, { data }) => sum + data.byteLength, 0) / 1e6;
  }
  return { ms, megabytes };
}

async function memoryUsed(): Promise<Memory> {
  const peak = (process.resourceUsage().maxRSS * 1024) / 1e6;
  return { peak, ...(await memoryOf(process.pid)) };
}

/** A process's memory now. */
export async function memoryOf(pid: number): Promise<Pick<Memory, "mapped" | "own">> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const field = (name: string) => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
    return kilobytes === undefined ? null : (Number(kilobytes) * 1024) / 1e6;
  };
  return { mapped: field("RssFile"), own: field("RssAnon") };
}
