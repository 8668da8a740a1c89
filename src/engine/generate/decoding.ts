/**
 * Forward passes of a decoder with a cache of keys and values, which each pass extends in place.
 *
 * On the CPU the cache is ordered by position, so that a pass writes its new keys and values directly after those it
 * reads: onnxruntime copies outputs to JavaScript, and copying whole caches would cost more than the model. On WebGPU, one
 * operator updates buffers that stay on the GPU.
 *
 * B batch   T new positions   N = T*B rows   P past positions   R = H / G   H nHeads   G nKvHeads   K dHead   V vocabSize
 */

import type { Device } from "../api/model";
import { EngineError } from "../errors";
import { after, cachedAttention, input, type Node, rows } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import { maskName } from "../inspect/masks";
import type { DecoderConfig } from "../nn/config";
import { type Context, decoder, scoreScale, softcapped, windowOfLayer } from "../nn/decoder";
import { countParameters } from "../nn/params";
import { rotaryTables } from "../nn/rotary";
import { lower } from "../runtime/lower";
import { type DeviceTensor, hostTensor, Session, type SessionOptions } from "../runtime/session";
import type { DeviceWeights } from "../runtime/weights";

/** The prediction of the token after each sequence. */
export interface NextToken {
  /** Logits of the whole vocabulary, [B, V], if requested. */
  readonly logits: Float32Array | null;
  /** The most likely token, [B]. */
  readonly best: Int32Array;
  /** Natural logarithm of its probability, [B]. */
  readonly bestLogProbability: Float32Array;
  /** Entropy of the distribution, in nats, [B]. */
  readonly entropy: Float32Array;
}

export interface AppendOptions {
  readonly logits?: boolean;
  /** Checked between the pieces of a long prompt. */
  readonly signal?: AbortSignal | undefined;
  /** Number of tokens of each sequence, if they differ: the rest of its column is padding. */
  readonly lengths?: readonly number[];
}

export class Decoding {
  #session: Promise<Session> | undefined;
  readonly #cache: Cache;
  /** Number of each sequence's tokens in the cache. */
  #lengths: Int32Array;
  /** Those tokens, for models without a causal mask: see `#readAgain`. */
  #read: readonly (readonly number[])[];

  constructor(
    readonly cfg: DecoderConfig,
    readonly weights: DeviceWeights,
    readonly batch = 1,
  ) {
    if (weights.device === "webgpu") requireGpuAttention(cfg);
    this.#cache = weights.device === "cpu" ? new HostCache(cfg, batch) : new GpuCache(cfg, batch, weights);
    this.#lengths = new Int32Array(batch);
    this.#read = Array.from({ length: batch }, () => []);
  }

  /** Number of tokens of the longest sequence in the cache. */
  get length(): number {
    return Math.max(...this.#lengths);
  }

  /** Forgets everything after the first `length` tokens of every sequence; nothing is computed. */
  rewind(length: number): void {
    if (length > 0 && this.#lengths.some((n) => n !== this.length)) {
      throw new Error("rewind: sequences of unequal length can only restart at 0");
    }
    this.#lengths = this.#lengths.map((n) => Math.min(n, length));
    this.#read = this.#read.map((ids) => ids.slice(0, length));
    this.#cache.rewind(length);
  }

  /** Appends token ids [T, B] to the cache and returns the prediction after them. */
  async append(ids: Int32Array, { logits = false, signal, lengths }: AppendOptions = {}): Promise<NextToken> {
    const T = ids.length / this.batch;
    if (T === 0 || this.length + T > this.cfg.nCtx) {
      throw new Error(`append: ${T} tokens after ${this.length} do not fit a context of ${this.cfg.nCtx}`);
    }
    if (!this.cfg.causal) return this.#readAgain(ids, lengths ?? Array(this.batch).fill(T), logits);
    // The GPU's operator supports a batch only with an empty cache or one token at a time.
    const most = this.batch > 1 ? T : mostPerRun(this.cfg, this.weights.device);
    let next: NextToken | undefined;
    for (let done = 0; done < T; ) {
      signal?.throwIfAborted();
      const count = Math.min(most, T - done);
      const isLast = done + count === T;
      const piece = ids.subarray(done * this.batch, (done + count) * this.batch);
      next = await this.#run(piece, lengths ?? Array(this.batch).fill(count), logits && isLast);
      done += count;
      if (!isLast) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    return next as NextToken;
  }

  async release(): Promise<void> {
    await (await this.#session)?.release();
    this.#session = undefined;
    this.#cache.release();
    this.#lengths.fill(0);
    this.#read = this.#read.map(() => []);
  }

  /** Without a causal mask, a new token changes the hidden states of all tokens before it. */
  #readAgain(ids: Int32Array, counts: readonly number[], wantsLogits: boolean): Promise<NextToken> {
    const B = this.batch;
    const read = this.#read.map((before, b) => [
      ...before,
      ...Array.from({ length: counts[b] as number }, (_, t) => ids[t * B + b] as number),
    ]);
    this.rewind(0);
    this.#read = read;
    const lengths = read.map(({ length }) => length);
    const all = Int32Array.from({ length: Math.max(...lengths) * B }, (_, i) => read[i % B]?.[Math.floor(i / B)] ?? 0);
    return this.#run(all, lengths, wantsLogits);
  }

  async #run(ids: Int32Array, counts: readonly number[], wantsLogits: boolean): Promise<NextToken> {
    const { batch: B, cfg, weights } = this;
    const T = ids.length / B;
    this.#session ??= Session.create(
      lower(decodeGraph(cfg, weights, B), weights.device),
      weights.device,
      threadsFor(cfg),
    );
    const session = await this.#session;

    const positions = Int32Array.from(ids, (_, i) => (this.#lengths[i % B] as number) + Math.floor(i / B));
    const cache = await this.#cache.feeds(T, this.#lengths, counts);
    const outputs = await session.run(
      {
        ...weights.feeds,
        ...cache.feeds,
        ...positionFeeds(cfg, positions, this.length + T),
        ids,
        lastRow: Int32Array.from(counts, (count, b) => (count - 1) * B + b),
      },
      {
        ...(wantsLogits && { logits: null }),
        best: null,
        bestLogProbability: null,
        entropy: null,
        ...cache.fetches,
      },
    );
    // A run returns new wrappers around the GPU buffers it was given; they leak unless disposed of.
    if (weights.device === "webgpu") for (const name of Object.keys(cache.fetches)) outputs[name]?.dispose();
    this.#lengths = this.#lengths.map((n, b) => n + (counts[b] as number));
    const entropy = outputs.entropy?.data as Float32Array;
    if (!entropy.every(Number.isFinite)) {
      throw new EngineError(
        "weights",
        "The model computes values that are not numbers, so its weights are damaged. Download them again.",
      );
    }
    return {
      logits: wantsLogits ? (outputs.logits?.data as Float32Array) : null,
      best: Int32Array.from(outputs.best?.data as BigInt64Array, Number),
      bestLogProbability: outputs.bestLogProbability?.data as Float32Array,
      entropy,
    };
  }
}

/** Returns the position inputs of a decoder's graph: rows of the table, or angles. */
export function positionFeeds(
  cfg: DecoderConfig,
  positions: Int32Array,
  length: number,
): Record<string, Int32Array | Float32Array> {
  switch (cfg.positions.kind) {
    case "none":
      return {};
    case "learned": {
      const { offset } = cfg.positions;
      return { positions: positions.map((p) => p + offset) };
    }
    case "sinusoidal":
      return { positions };
    case "rotary":
      return { ...rotaryTables(cfg, positions, length) };
  }
}

/** Returns the position inputs as nodes. */
export function positionInputs(cfg: DecoderConfig, B: number): Pick<Context, "positions" | "rotation"> {
  const angles = cfg.positions.kind === "rotary" ? cfg.positions.dims / 2 : 0;
  const [cos, sin] = ["cos", "sin"].map((name) => input(name, [UNKNOWN, angles])) as [Node, Node];
  return {
    positions: (table) => rows(table, input("positions", [UNKNOWN, B], "i32")),
    rotation: () => ({ cos, sin }),
  };
}

/** Threads of a forward pass: a small model's products end before a second thread has woken up. */
export const threadsFor = (cfg: DecoderConfig): SessionOptions =>
  countParameters(cfg) < FEWEST_FOR_THREADS ? { threads: 1 } : { spin: true };

const FEWEST_FOR_THREADS = 2e6;

/** Returns the prediction after the rows `lastRow`, and the cache with T more positions. */
export function decodeGraph(
  cfg: DecoderConfig,
  { param, device }: Pick<DeviceWeights, "param" | "device">,
  B: number,
): Record<string, Node> {
  const outputs: Record<string, Node> = {};
  const cached = (name: string, node: Node) => {
    outputs[`${name}'`] = node;
  };
  const logits = decoder(input("ids", [UNKNOWN, B], "i32"), param, cfg, {
    batch: B,
    length: UNKNOWN,
    ...positionInputs(cfg, B),
    attend: device === "cpu" ? attendHost(cfg, B, cached) : attendGpu(cfg, B, cached),
    probe: (_name, x) => x,
    dropout: (x) => x,
    onward: (x) => rows(x, input("lastRow", [B], "i32")), // [B, D] of [N, D]
  }); // [B, V]
  const V = cfg.vocabSize;
  const best = logits.argMax();
  const probabilities = logits.softmax();
  const bestLogProbability = probabilities.max().log();
  // -Σ p log p with log p = x - log Z, and log Z from the most likely token.
  const expected = probabilities
    .reshape([B, 1, V])
    .matmul(logits.reshape([B, V, 1]))
    .reshape([B]);
  const entropy = logits.max().sub(bestLogProbability).sub(expected);
  return { logits, best, bestLogProbability, entropy, ...outputs };
}

type Cached = (name: string, node: Node) => void;

/** Attention over host memory, to which this pass writes its own keys and values. */
function attendHost(cfg: DecoderConfig, B: number, cached: Cached): Context["attend"] {
  const { nHeads: H, nKvHeads: G, dHead: K } = cfg;
  const heads = (x: Node, n: number) => x.reshape([UNKNOWN, B, n, K]).transpose(1, 2, 0, 3); // [B, n, T or S, K]
  return (q, k, v, l) => {
    cached(`cache.${l}.k`, k);
    cached(`cache.${l}.v`, v);
    const all = (name: "k" | "v") => heads(input(`cache.${l}.${name}`, [UNKNOWN, B, G, K]), G); // [B, G, S, K]
    const byHead = heads(after(q, [k, v]), H);
    /** Query heads that share keys become additional rows of one head. */
    const queries = H === G ? byHead : byHead.reshape([B, G, UNKNOWN, K]); // [B, G, R*T, K]
    const scores = queries.matmul(all("k"), { transB: true, alpha: scoreScale(cfg, l) }); // [B, G, R*T, S]
    const visible = input(maskName(windowOfLayer(cfg, l)), [B, 1, UNKNOWN, UNKNOWN]);
    const z = softcapped(scores, cfg.attentionSoftcap).add(visible).softmax().matmul(all("v")); // [B, G, R*T, K]
    const zByHead = H === G ? z : z.reshape([B, H, UNKNOWN, K]);
    return zByHead.transpose(2, 0, 1, 3).reshape([UNKNOWN, H * K]);
  };
}

/** Attention by the operator that updates its cache in place. */
function attendGpu(cfg: DecoderConfig, B: number, cached: Cached): Context["attend"] {
  const { nHeads: H, nKvHeads: G, dHead: K } = cfg;
  const lastIndex = input("lastIndex", [B], "i32");
  const total = input("total", [], "i32");
  // The operator needs the batch axis first; with one sequence, the order is the same.
  const toSequences = (x: Node, width: number) =>
    B === 1 ? x.reshape([1, UNKNOWN, width]) : x.reshape([UNKNOWN, B, width]).transpose(1, 0, 2);
  return (q, k, v, l) => {
    const past = (name: "k" | "v") => input(`cache.${l}.${name}`, [B, G, UNKNOWN, K]);
    const attention = cachedAttention(
      [toSequences(q, H * K), toSequences(k, G * K), toSequences(v, G * K), past("k"), past("v"), lastIndex, total],
      { nHeads: H, nKvHeads: G, scale: scoreScale(cfg, l), window: windowOfLayer(cfg, l) },
    );
    cached(`cache.${l}.k`, attention.k);
    cached(`cache.${l}.v`, attention.v);
    return (B === 1 ? attention.z : attention.z.transpose(1, 0, 2)).reshape([UNKNOWN, H * K]);
  };
}

interface CacheRun {
  readonly feeds: Record<string, Float32Array | Int32Array | DeviceTensor>;
  readonly fetches: Readonly<Record<string, Float32Array | DeviceTensor>>;
}

interface Cache {
  /** Returns the inputs and outputs for T new positions; sequence b has lengths[b] and gets counts[b] more. */
  feeds(T: number, lengths: Int32Array, counts: readonly number[]): Promise<CacheRun>;
  rewind(length: number): void;
  release(): void;
}

/** Positions in a new cache; it doubles as needed. */
const FIRST_CAPACITY = 256;

/** Keys and values of every layer, ordered by position: [capacity, B, G, K] each. */
class HostCache implements Cache {
  #layers: readonly { readonly k: Float32Array; readonly v: Float32Array }[] = [];
  #capacity = 0;
  /** Columns in use. Shorter sequences have columns of padding, which are masked. */
  #columns = 0;
  /** By column and sequence: the token's position in its sequence, or -1 for padding. */
  readonly #positions: number[][] = [];

  constructor(
    readonly cfg: DecoderConfig,
    readonly batch: number,
  ) {}

  async feeds(T: number, lengths: Int32Array, counts: readonly number[]): Promise<CacheRun> {
    const { batch: B, cfg } = this;
    const width = B * cfg.nKvHeads * cfg.dHead;
    const P = this.#columns;
    this.#makeRoom(P + T);
    for (let t = 0; t < T; t++) {
      this.#positions[P + t] = counts.map((count, b) => (t < count ? (lengths[b] as number) + t : -1));
    }
    this.#columns = P + T;

    const feeds: CacheRun["feeds"] = {};
    const fetches: Record<string, Float32Array> = {};
    this.#layers.forEach((layer, l) => {
      for (const name of ["k", "v"] as const) {
        feeds[`cache.${l}.${name}`] = layer[name].subarray(0, (P + T) * width);
        fetches[`cache.${l}.${name}'`] = layer[name].subarray(P * width, (P + T) * width);
      }
    });
    for (let l = 0; l < cfg.nLayers; l++) {
      const window = windowOfLayer(cfg, l);
      feeds[maskName(window)] ??= this.#mask(P, T, window);
    }
    return { feeds, fetches };
  }

  rewind(length: number): void {
    this.#columns = Math.min(this.#columns, length);
  }

  release(): void {
    this.#layers = [];
    this.#capacity = 0;
    this.#columns = 0;
  }

  /** [B, 1, R*T, P + T]: 0 if a new position attends to a column. */
  #mask(P: number, T: number, window: number | null): DeviceTensor {
    const { batch: B, cfg } = this;
    const R = cfg.nHeads / cfg.nKvHeads;
    const S = P + T;
    const mask = new Float32Array(B * R * T * S);
    for (let b = 0; b < B; b++) {
      for (let t = 0; t < T; t++) {
        const row = mask.subarray((b * R * T + t) * S, (b * R * T + t + 1) * S);
        const query = this.#positions[P + t]?.[b] as number;
        // A padded position attends to itself, so that its softmax is defined.
        for (let column = 0; column < S; column++) {
          const key = this.#positions[column]?.[b] as number;
          const isInReach = !cfg.causal || (key <= query && (!window || key > query - window));
          const isSeen = query < 0 ? column === P + t : key >= 0 && isInReach;
          if (!isSeen) row[column] = -1e9;
        }
        for (let r = 1; r < R; r++) mask.set(row, (b * R * T + r * T + t) * S);
      }
    }
    return hostTensor(mask, [B, 1, R * T, S]);
  }

  #makeRoom(columns: number): void {
    if (columns <= this.#capacity) return;
    const { cfg, batch: B } = this;
    const most = B === 1 ? cfg.nCtx : 2 * cfg.nCtx;
    this.#capacity = Math.min(most, Math.max(columns, FIRST_CAPACITY, 2 * this.#capacity));
    const width = B * cfg.nKvHeads * cfg.dHead;
    const grown = (old: Float32Array | undefined) => {
      const values = new Float32Array(this.#capacity * width);
      if (old) values.set(old.subarray(0, this.#columns * width));
      return values;
    };
    this.#layers = Array.from({ length: cfg.nLayers }, (_, l) => ({
      k: grown(this.#layers[l]?.k),
      v: grown(this.#layers[l]?.v),
    }));
  }
}

/** Keys and values of every layer in GPU buffers, [B, G, nCtx, K]. */
class GpuCache implements Cache {
  #buffers: Record<string, DeviceTensor> | undefined;

  constructor(
    readonly cfg: DecoderConfig,
    readonly batch: number,
    readonly weights: DeviceWeights,
  ) {}

  async feeds(T: number, lengths: Int32Array, counts: readonly number[]): Promise<CacheRun> {
    this.#buffers ??= await this.#makeBuffers();
    const fetches = Object.fromEntries(Object.entries(this.#buffers).map(([name, buffer]) => [`${name}'`, buffer]));
    const lastIndex = lengths.map((n, b) => n + (counts[b] as number) - 1);
    return { feeds: { ...this.#buffers, lastIndex, total: Int32Array.of(Math.max(...lengths) + T) }, fetches };
  }

  rewind(): void {}

  release(): void {
    for (const buffer of Object.values(this.#buffers ?? {})) buffer.dispose();
    this.#buffers = undefined;
  }

  async #makeBuffers(): Promise<Record<string, DeviceTensor>> {
    const { nLayers, nKvHeads, nCtx, dHead } = this.cfg;
    const shape = [this.batch, nKvHeads, nCtx, dHead];
    const buffers: Record<string, DeviceTensor> = {};
    for (let l = 0; l < nLayers; l++) {
      for (const name of [`cache.${l}.k`, `cache.${l}.v`]) {
        buffers[name] = await this.weights.memory.upload(new Float32Array(this.batch * nKvHeads * nCtx * dHead), shape);
      }
    }
    return buffers;
  }
}

/** Work of one pass on the CPU: a canceled prompt ends after at most this much. */
const FLOPS_PER_RUN = 5e10;
/**
 * From 32 positions on, onnxruntime 1.30 uses another WebGPU kernel for attention, which skips keys on devices whose
 * subgroups have only 4 lanes, such as SwiftShader.
 */
const MOST_ON_GPU = 24;

function mostPerRun(cfg: DecoderConfig, device: Device): number {
  if (device === "webgpu") return MOST_ON_GPU;
  return Math.min(512, Math.max(16, Math.floor(FLOPS_PER_RUN / (2 * countParameters(cfg)))));
}

/** Returns why the GPU's attention operator does not support a model; null if it does. */
export function gpuAttentionProblem(cfg: DecoderConfig): string | null {
  if (!cfg.causal) return "it attends to later positions, which the GPU's operator does not support";
  if (cfg.attentionSoftcap !== null) return "it soft-caps attention, which the GPU's operator does not support";
  if (cfg.dHead % 8 !== 0)
    return `its heads have ${cfg.dHead} dimensions, but the GPU's operator needs a multiple of 8`;
  return null;
}

function requireGpuAttention(cfg: DecoderConfig): void {
  const problem = gpuAttentionProblem(cfg);
  if (problem)
    throw new EngineError("device", `The model cannot generate on WebGPU: ${problem}. Choose the device cpu.`);
}
