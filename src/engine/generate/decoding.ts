/**
 * Token-by-token runs of a decoder with a cache of keys and values, updated in place.
 *
 * B batch   T new positions   D dModel   H nHeads   K dHead   C nCtx   V vocabSize
 */

import { EngineError } from "../errors";
import { cachedAttention, input, type Node, rows } from "../graph/node";
import type { DecoderConfig } from "../nn/config";
import { decoder } from "../nn/decoder";
import { lower } from "../runtime/lower";
import { type DeviceTensor, Session } from "../runtime/session";
import { type DeviceWeights, paramInputs } from "../runtime/weights";

/**
 * Prompts are read in pieces of these lengths, so that a few compiled graphs serve every prompt. From 32 positions on
 * onnxruntime 1.30 attends with another WebGPU kernel, which skips keys where a subgroup has only 4 lanes, as in
 * SwiftShader.
 */
const PIECES = { cpu: [64, 8, 1], webgpu: [24, 8, 1] } as const;

export class Decoding {
  readonly #sessions = new Map<number, Promise<Session>>();
  #caches: Record<string, Float32Array | DeviceTensor> | undefined;
  /** Tokens whose keys and values are in the cache, the same number for every sequence of the batch. */
  #length = 0;

  constructor(
    readonly cfg: DecoderConfig,
    readonly weights: DeviceWeights,
    readonly batch = 1,
  ) {
    requireHeadSize(cfg);
  }

  get length(): number {
    return this.#length;
  }

  /** Forgets everything after the first `length` tokens; nothing is computed. */
  rewind(length: number): void {
    this.#length = Math.min(this.#length, length);
  }

  /**
   * Appends tokens to the cache and answers the logits after the last of them, [B, V]. `ids` is [T, B]. Between the
   * pieces of a long prompt other work gets its turn, and `signal` is heard.
   */
  async append(ids: Int32Array, signal?: AbortSignal): Promise<Float32Array> {
    const count = ids.length / this.batch;
    if (count === 0 || this.#length + count > this.cfg.nCtx) {
      throw new Error(`append: ${count} tokens after ${this.#length} do not fit a context of ${this.cfg.nCtx}`);
    }
    let logits: Float32Array | undefined;
    for (let done = 0; done < count; ) {
      signal?.throwIfAborted();
      const size = this.#pieceSize(count - done);
      const take = Math.min(size, count - done);
      logits = await this.#run(ids.subarray(done * this.batch, (done + take) * this.batch), size);
      done += take;
      if (done < count) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    return logits as Float32Array;
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
    this.#sessions.clear();
    for (const cache of Object.values(this.#caches ?? {})) if (!ArrayBuffer.isView(cache)) cache.dispose();
    this.#caches = undefined;
    this.#length = 0;
  }

  /** A piece may be longer than what is left, its rest padded, where the context still has room for the padding. */
  #pieceSize(left: number): number {
    const pieces: readonly number[] = PIECES[this.weights.device];
    // A batch attends over an empty cache or one token at a time: that is what the attention operator can do.
    if (this.batch > 1) {
      const most = this.weights.device === "webgpu" ? PIECES.webgpu[0] : left;
      return this.#length === 0 ? Math.min(left, most) : 1;
    }
    const fits = (size: number) => this.#length + size <= this.cfg.nCtx;
    const padded = pieces.findLast((size) => size >= left && fits(size));
    return padded ?? (pieces.find((size) => size <= left && fits(size)) as number);
  }

  /** Runs up to `size` new positions; what is missing is padded and later overwritten. */
  async #run(ids: Int32Array, size: number): Promise<Float32Array> {
    const { batch: B } = this;
    const count = ids.length / B;
    const session = await this.#session(size);
    this.#caches ??= await this.#makeCaches();

    const padded = new Int32Array(size * B);
    padded.set(ids);
    const positions = Int32Array.from({ length: size * B }, (_, i) => this.#length + Math.floor(i / B));
    const total = this.#length + size;
    const caches = Object.entries(this.#caches);
    const outputs = await session.run(
      {
        ...this.weights.feeds,
        ...this.#caches,
        ids: padded,
        positions,
        lastIndex: new Int32Array(B).fill(total - 1),
        total: Int32Array.of(total),
        lastRow: Int32Array.from({ length: B }, (_, b) => (count - 1) * B + b),
      },
      { logits: null, ...Object.fromEntries(caches.map(([name, cache]) => [`${name}'`, cache])) },
    );
    // A run answers wrappers of its own around the GPU buffers it was given; they leak unless disposed of.
    if (this.weights.device === "webgpu") for (const [name] of caches) outputs[`${name}'`]?.dispose();
    this.#length += count;
    return outputs.logits?.data as Float32Array;
  }

  #session(size: number): Promise<Session> {
    const known = this.#sessions.get(size);
    if (known) return known;
    const graph = lower(decodeGraph(this.cfg, this.batch, size), this.weights.device);
    const session = Session.create(graph, this.weights.device);
    this.#sessions.set(size, session);
    return session;
  }

  async #makeCaches(): Promise<Record<string, Float32Array | DeviceTensor>> {
    const { nLayers, nHeads, nCtx, dModel } = this.cfg;
    const shape = [this.batch, nHeads, nCtx, dModel / nHeads];
    const caches: Record<string, Float32Array | DeviceTensor> = {};
    for (let l = 0; l < nLayers; l++) {
      for (const name of [`cache.${l}.k`, `cache.${l}.v`]) {
        const empty = new Float32Array(this.batch * nCtx * dModel);
        caches[name] = this.weights.device === "cpu" ? empty : await this.weights.memory.upload(empty, shape);
      }
    }
    return caches;
  }
}

/** Logits [B, V] after the last row asked for, and the caches with T more positions. */
export function decodeGraph(cfg: DecoderConfig, B: number, T: number): Record<string, Node> {
  const { nHeads: H, dModel: D, nCtx: C } = cfg;
  const cacheShape = [B, H, C, D / H];
  const ids = input("ids", [T, B], "i32");
  const positions = input("positions", [T, B], "i32");
  const lastIndex = input("lastIndex", [B], "i32");
  const total = input("total", [], "i32");
  const lastRow = input("lastRow", [B], "i32");

  const outputs: Record<string, Node> = {};
  // The operator wants sequences first; with one of them, or one position, that is the same order.
  const toSequences = (x: Node) =>
    B === 1 || T === 1 ? x.reshape([B, T, D]) : x.reshape([T, B, D]).transpose(1, 0, 2);
  const toRows = (x: Node) => (B === 1 || T === 1 ? x : x.transpose(1, 0, 2)).reshape([T * B, D]);
  const attend = (q: Node, k: Node, v: Node, l: number): Node => {
    const past = (name: "k" | "v") => input(`cache.${l}.${name}`, cacheShape);
    const [qs, ks, vs] = [q, k, v].map(toSequences) as [Node, Node, Node];
    const attention = cachedAttention([qs, ks, vs, past("k"), past("v"), lastIndex, total], H);
    outputs[`cache.${l}.k'`] = attention.k;
    outputs[`cache.${l}.v'`] = attention.v;
    return toRows(attention.z);
  };
  const logits = decoder(ids, paramInputs(cfg), cfg, {
    batch: B,
    length: T,
    positions: (table) => rows(table, positions),
    attend,
    probe: (_name, x) => x,
    dropout: (x) => x,
    readout: (x) => rows(x, lastRow), // [B, D]
  });
  return { logits, ...outputs };
}

/** The attention operator of the cache handles heads of whole vectors only. */
export function requireHeadSize({ dModel, nHeads }: Pick<DecoderConfig, "dModel" | "nHeads">): void {
  if (dModel % nHeads !== 0 || (dModel / nHeads) % 8 !== 0) {
    throw new EngineError(
      "config",
      `dModel ${dModel} over ${nHeads} heads gives heads of ${dModel / nHeads}; choose dModel and nHeads so that a head is a multiple of 8 wide.`,
    );
  }
}
