/**
 * Forward passes of a decoder with a cache of keys and values, which each pass extends in place.
 *
 * On the CPU the cache is ordered by position, so that a pass writes its new keys and values directly after those it
 * reads: onnxruntime copies outputs to JavaScript, and copying whole caches would cost more than the model. On WebGPU, it
 * stays on the GPU: see `gpuCache.ts`.
 *
 * B batch   T new positions   N = T*B rows   P past positions   R = H / G   H nHeads   G nKvHeads   K dHead   V vocabSize
 */

import { EngineError } from "../errors";
import { maskName } from "../inspect/masks";
import type { DecoderConfig } from "../nn/config";
import { windowOfLayer } from "../nn/decoder";
import { countParameters, paramSpecs } from "../nn/params";
import { lower } from "../runtime/lower";
import { type DeviceTensor, hostTensor, Session } from "../runtime/session";
import type { DeviceWeights } from "../runtime/weights";
import { decodeGraph, positionFeeds, threadsFor } from "./decodeGraph";
import { type Cache, type CacheRun, fusedProblem, type GpuAttention, GpuCache, positionsPerRun } from "./gpuCache";
import { type AttentionPaths, checkGpu } from "./gpuCheck";

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
  /** By the way of attention: weights on a GPU are inputs, which both sessions share. */
  readonly #sessions = new Map<Attention, Promise<Session>>();
  readonly #cache: Cache;
  /** Number of each sequence's tokens in the cache. */
  #lengths: Int32Array;
  /** Those tokens, for models without a causal mask: see `#readAgain`. */
  #read: readonly (readonly number[])[];

  constructor(
    readonly cfg: DecoderConfig,
    readonly weights: DeviceWeights,
    readonly batch = 1,
    readonly gpuAttention: () => Promise<AttentionPaths> = checkGpu,
  ) {
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
    const counts = lengths ?? Array<number>(this.batch).fill(T);
    let next: NextToken | undefined;
    for (let done = 0; done < T; ) {
      signal?.throwIfAborted();
      const count = Math.min(this.#mostPerRun(T), T - done);
      const isLast = done + count === T;
      const piece = ids.subarray(done * this.batch, (done + count) * this.batch);
      const left = counts.map((n) => Math.min(count, Math.max(0, n - done)));
      const someEnd = counts.some((n) => n > done && n <= done + count);
      const latest = await this.#run(piece, left, logits && someEnd);
      next = next ? replaced(next, latest, left) : latest;
      done += count;
      if (!isLast) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    return next as NextToken;
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
    this.#sessions.clear();
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
    const session = await this.#sessionFor(await this.#attentionFor(T));

    const positions = Int32Array.from(ids, (_, i) => (this.#lengths[i % B] as number) + Math.floor(i / B));
    const cache = await this.#cache.feeds(T, this.#lengths, counts);
    const outputs = await session.run(
      {
        ...weights.feeds,
        ...cache.feeds,
        ...positionFeeds(cfg, positions, this.length + T),
        ids,
        lastRow: Int32Array.from(counts, (count, b) => Math.max(0, count - 1) * B + b),
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

  #sessionFor(attention: Attention): Promise<Session> {
    const { cfg, weights, batch } = this;
    const known = this.#sessions.get(attention);
    if (known) return known;
    const graph = lower(decodeGraph(cfg, weights, batch, attention), weights.device);
    const session = Session.create(graph, weights.device, threadsFor(cfg));
    this.#sessions.set(attention, session);
    return session;
  }

  /** How attention is computed for T new positions: with the fused operator only where it supports the model and computes correctly. */
  async #attentionFor(T: number): Promise<Attention> {
    const { cfg, weights, batch } = this;
    if (weights.device === "cpu") return "host";
    const { prompts, tokens } = await this.gpuAttention();
    if (batch > 1 || fusedProblem(cfg)) return "plain";
    // Quantized matrices are constants, which each session would hold a copy of.
    const isShared = prompts === tokens || !paramSpecs(cfg).some(({ name }) => weights.param(name).op === "quantized");
    if (!isShared) return "plain";
    return T > 1 ? prompts : tokens;
  }

  #mostPerRun(T: number): number {
    const { cfg, batch, weights } = this;
    // The cache on the CPU has a column for each position of the longest prompt.
    if (weights.device === "cpu" && batch > 1) return T;
    const most = Math.max(16, Math.floor(FLOPS_PER_RUN[weights.device] / (2 * batch * countParameters(cfg))));
    return Math.min(most, weights.device === "cpu" ? 512 : positionsPerRun(cfg, batch, this.length));
  }
}

type Attention = "host" | GpuAttention;

/** Predictions of which the sequences with new tokens have later ones. */
function replaced(before: NextToken, latest: NextToken, counts: readonly number[]): NextToken {
  const B = counts.length;
  const pick = <A extends Float32Array | Int32Array>(a: A, b: A): A => {
    const width = a.length / B;
    return b.map((x, i) => ((counts[Math.floor(i / width)] as number) > 0 ? x : (a[i] as number))) as A;
  };
  return {
    logits: before.logits && latest.logits ? pick(before.logits, latest.logits) : (latest.logits ?? before.logits),
    best: pick(before.best, latest.best),
    bestLogProbability: pick(before.bestLogProbability, latest.bestLogProbability),
    entropy: pick(before.entropy, latest.entropy),
  };
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

/** Work of one pass: a canceled prompt ends after at most this much. */
const FLOPS_PER_RUN = { cpu: 5e10, webgpu: 1e12 };
