/**
 * Attention scores and patterns, computed from the queries and keys of a trace: of one head, or as thumbnails of all.
 *
 * H heads   T query position   S key position   K dHead
 */

import { setImmediate } from "node:timers/promises";
import type { AttentionGrid, AttentionKind } from "../api/trace";
import { input } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import { type DecoderConfig, decoderOf, isEncoderDecoder, type ModelConfig } from "../nn/config";
import { attentionMask, scoreScale, softcapped, windowOfLayer } from "../nn/decoder";
import { lower } from "../runtime/lower";
import type { OnnxGraph, OnnxNode, OnnxValue } from "../runtime/onnx";
import { hostTensor, Session } from "../runtime/session";
import type { Trace, TraceValue } from "./trace";

export interface GridOptions {
  /** Maximum rows and columns of a thumbnail. */
  readonly size: number;
  /** "self" by default; translators have all three. */
  readonly kind?: AttentionKind | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Scores (scaled, before the mask) and pattern of one head, [T, T]. */
export interface HeadAttention {
  readonly scores: TraceValue;
  readonly pattern: TraceValue;
}

/** Computes on the CPU: inputs and results are in its memory, and the work is small compared with a forward pass. */
export class Attention {
  /** By what differs between layers and thumbnails. */
  readonly #sessions = new Map<string, Promise<Session>>();
  /** Latest heads, the oldest first. Views request scores and pattern one after the other. */
  readonly #cached: CachedHead[] = [];

  /** Scores and pattern of one head. */
  head(cfg: DecoderConfig, trace: Trace, layer: number, head: number): Promise<HeadAttention> {
    const known = this.#cached.find(
      (each) => each.trace.deref() === trace && each.layer === layer && each.head === head,
    );
    if (known) return known.attention;
    const attention = this.#compute(cfg, trace, layer, head);
    const T = trace.get("ids")?.data.length ?? 0;
    const entry = { trace: new WeakRef(trace), layer, head, attention, numbers: 2 * T * T };
    this.#cached.push(entry);
    let numbers = this.#cached.reduce((sum, each) => sum + each.numbers, 0);
    while (numbers > MAX_NUMBERS && this.#cached.length > 1) numbers -= this.#cached.shift()?.numbers ?? 0;
    attention.catch(() => {
      const index = this.#cached.indexOf(entry);
      if (index >= 0) this.#cached.splice(index, 1);
    });
    return attention;
  }

  async #compute(cfg: DecoderConfig, trace: Trace, layer: number, head: number): Promise<HeadAttention> {
    const { q, k, T } = queriesAndKeys(trace, nameOf("self", layer), head, head + 1);
    const session = await this.#session(cfg, layer, null);
    const mask = hostTensor(attentionMask(cfg, T, windowOfLayer(cfg, layer)), [T, T]);
    const values = await session.run({ q, k, mask });
    const value = (name: string): TraceValue => ({ shape: [T, T], data: values[name]?.data as Float32Array });
    return { scores: value("scores"), pattern: value("pattern") };
  }

  /** Thumbnails and scores of every head over the one row of a trace, layer by layer. */
  async grid(model: ModelConfig, trace: Trace, { size, kind = "self", signal }: GridOptions): Promise<AttentionGrid> {
    const cfg = kind === "encoder" && isEncoderDecoder(model) ? model.encoder : decoderOf(model);
    const { nLayers: L, nHeads: H } = cfg;
    const [T, S] = [kind === "encoder" ? "enc.ids" : "ids", kind === "self" ? "ids" : "enc.ids"].map(
      (name) => trace.get(name)?.data.length,
    ) as [number, number];
    const kernel = Math.ceil(Math.max(T, S) / size);
    const [rows, cols] = [Math.ceil(T / kernel), Math.ceil(S / kernel)];
    const scored = scoredCells(trace, kind, T, S);
    const cells = Object.fromEntries(Object.entries(scored).map(([name, { cells }]) => [cellsOf(name), cells]));
    const perHead = () => new Float32Array(L * H);
    const scores = { previousToken: perHead(), firstToken: perHead(), induction: perHead(), entropy: perHead() };
    const tiles = new Float32Array(L * H * rows * cols);
    const step = Math.max(1, Math.floor(MAX_NUMBERS / (T * S)));
    for (let layer = 0; layer < L; layer++) {
      const session = await this.#session(cfg, layer, kernel);
      const masked = kind === "self" ? attentionMask(cfg, T, windowOfLayer(cfg, layer)) : new Float32Array(T * S);
      const mask = hostTensor(masked, [T, S]);
      for (let from = 0; from < H; from += step) {
        signal?.throwIfAborted();
        const { q, k } = queriesAndKeys(trace, nameOf(kind, layer), from, Math.min(H, from + step));
        const values = await session.compute({ q, k, mask, ...cells });
        const at = layer * H + from;
        const mean = (name: keyof typeof scored) =>
          values[name]?.map((sum) => sum / scored[name].queries) as Float32Array;
        tiles.set(values.tiles as Float32Array, at * rows * cols);
        scores.previousToken.set(mean("previous"), at);
        scores.firstToken.set(mean("first"), at);
        scores.induction.set(mean("induction"), at);
        scores.entropy.set(values.entropy?.map((nats) => Math.max(0, nats / Math.LN2)) as Float32Array, at);
        await setImmediate();
      }
    }
    return { layers: L, heads: H, rows, cols, tiles, scores };
  }

  async release(): Promise<void> {
    this.#cached.length = 0;
    for (const session of this.#sessions.values()) await (await session).release();
    this.#sessions.clear();
  }

  /** The graph for one head, or for thumbnails of several, max-pooled with `kernel`. */
  #session(cfg: DecoderConfig, layer: number, kernel: number | null): Promise<Session> {
    const scale = scoreScale(cfg, layer);
    const key = `${cfg.dHead}:${scale}:${cfg.attentionSoftcap}:${kernel}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const head = headGraph(cfg, scale);
    const session = Session.create(kernel === null ? head : thumbnails(head, kernel), "cpu", { spin: true });
    this.#sessions.set(key, session);
    return session;
  }
}

interface CachedHead {
  /** Weak, so that the cache does not keep a released trace in memory. */
  readonly trace: WeakRef<Trace>;
  readonly layer: number;
  readonly head: number;
  readonly attention: Promise<HeadAttention>;
  /** Numbers in scores and pattern. */
  readonly numbers: number;
}

/** Limit of the numbers in cached heads, and in the patterns of one step of a grid: 64 MB. */
const MAX_NUMBERS = 1 << 24;

const nameOf = (kind: AttentionKind, layer: number): string =>
  ({ self: `blocks.${layer}.attn`, encoder: `enc.blocks.${layer}.attn`, cross: `blocks.${layer}.cross` })[kind];

/** Queries of heads `from` to `to - 1`, [H, T, K], and the keys that each reads, [H, S, K]. */
function queriesAndKeys(trace: Trace, name: string, from: number, to: number) {
  const [q, k] = ["q", "k"].map((kind) => trace.get(`${name}.${kind}`)) as [TraceValue, TraceValue];
  const [, H, T, K] = q.shape as [number, number, number, number];
  const [, G, S] = k.shape as [number, number, number, number];
  if (!(from >= 0 && to <= H)) throw new Error(`attention: there is no head ${to - 1}`);
  const shared = H / G;
  const size = S * K;
  const keys = shared === 1 ? k.data.subarray(from * size, to * size) : new Float32Array((to - from) * size);
  for (let head = from; shared > 1 && head < to; head++) {
    const own = Math.floor(head / shared) * size;
    keys.set(k.data.subarray(own, own + size), (head - from) * size);
  }
  const queries = q.data.subarray(from * T * K, to * T * K);
  return { q: hostTensor(queries, [to - from, T, K]), k: hostTensor(keys, [to - from, S, K]), T };
}

function headGraph(cfg: DecoderConfig, scale: number): OnnxGraph {
  const [q, k] = [input("q", [UNKNOWN, UNKNOWN, cfg.dHead]), input("k", [UNKNOWN, UNKNOWN, cfg.dHead])];
  const products = q.matmul(k, { transB: true, alpha: scale });
  const scores = softcapped(products, cfg.attentionSoftcap); // [H, T, S]
  const masked = scores.add(input("mask", [UNKNOWN, UNKNOWN]));
  return lower({ scores, masked, pattern: masked.softmax() }, "cpu");
}

/**
 * Replaces scores and patterns with summaries of each head: the maximum of each kernel x kernel tile, sums of the pattern
 * over lists of cells (numbered q * S + k), and the mean entropy over queries, in nats.
 */
function thumbnails(head: OnnxGraph, kernel: number): OnnxGraph {
  const lists = ["previous", "first", "induction"];
  const node = (op: string, inputs: string[], output: string, attributes: OnnxNode["attributes"] = {}): OnnxNode => ({
    op,
    domain: "",
    inputs,
    outputs: [output],
    attributes,
  });
  const perHead = (name: string): OnnxValue => ({ name, type: "float32", shape: [UNKNOWN] });
  const axes = (name: string, ...values: number[]) => ({
    name,
    type: "int64" as const,
    shape: [values.length],
    data: BigInt64Array.from(values, BigInt),
  });
  const pool = { kernel_shape: [kernel, kernel], strides: [kernel, kernel], ceil_mode: 1 };
  return {
    ...head,
    inputs: [
      ...head.inputs,
      ...lists.map((name): OnnxValue => ({ name: cellsOf(name), type: "int32", shape: [UNKNOWN] })),
    ],
    outputs: [
      { name: "tiles", type: "float32", shape: [1, UNKNOWN, UNKNOWN, UNKNOWN] },
      ...[...lists, "entropy"].map(perHead),
    ],
    initializers: [...head.initializers, axes("whole", 0), axes("last", -1), axes("inner", 1), axes("rows", 0, -1)],
    nodes: [
      ...head.nodes,
      node("Unsqueeze", ["pattern", "whole"], "batch"),
      node("MaxPool", ["batch"], "tiles", pool),
      node("Reshape", ["pattern", "rows"], "flat"), // [H, T * S]
      ...lists.flatMap((name) => [
        node("Gather", ["flat", cellsOf(name)], `${name}.found`, { axis: 1 }),
        node("ReduceSum", [`${name}.found`, "inner"], name, { keepdims: 0 }),
      ]),
      // -Σ p log p = log Z - Σ p s, where log Z is the largest score minus the log of its probability.
      node("ReduceMax", ["masked", "last"], "best", { keepdims: 0 }),
      node("ReduceMax", ["pattern", "last"], "likeliest", { keepdims: 0 }),
      node("Log", ["likeliest"], "logLikeliest"),
      node("Sub", ["best", "logLikeliest"], "logZ"),
      node("Mul", ["pattern", "scores"], "weighted"),
      node("ReduceSum", ["weighted", "last"], "expected", { keepdims: 0 }),
      node("Sub", ["logZ", "expected"], "entropies"),
      node("ReduceMean", ["entropies", "inner"], "entropy", { keepdims: 0 }),
    ],
  };
}

const cellsOf = (name: string) => `${name}.cells`;

/** Cells of a pattern, and the number of queries that have any. */
interface Cells {
  readonly cells: Int32Array;
  readonly queries: number;
}

/** The cells that each score of a head sums; cross-attention only has those of the first token. */
function scoredCells(trace: Trace, kind: AttentionKind, T: number, S: number) {
  const ids = trace.get(kind === "encoder" ? "enc.ids" : "ids")?.data as Float32Array;
  const none: Cells = { cells: new Int32Array(), queries: 0 };
  const isCross = kind === "cross";
  return {
    previous: isCross ? none : previousCells(T),
    first: firstCells(T, S),
    induction: isCross ? none : inductionCells(ids),
  };
}

/** The previous token, for each query after the first. */
const previousCells = (T: number): Cells => ({
  cells: Int32Array.from({ length: T - 1 }, (_, i) => (i + 1) * T + i),
  queries: T - 1,
});

/** The first token, for each query after the first, which may have no other key. */
const firstCells = (T: number, S: number): Cells => ({
  cells: Int32Array.from({ length: T - 1 }, (_, i) => (i + 1) * S),
  queries: T - 1,
});

/** The tokens that follow earlier occurrences of each query's own token. */
function inductionCells(ids: ArrayLike<number>): Cells {
  const T = ids.length;
  const cells: number[] = [];
  const followers = new Map<number, number[]>();
  let queries = 0;
  for (let query = 0; query < T; query++) {
    const id = ids[query] as number;
    const keys = followers.get(id) ?? [];
    followers.set(id, keys);
    const earlier = keys.filter((key) => key < query);
    for (const key of earlier) cells.push(query * T + key);
    queries += Number(earlier.length > 0);
    keys.push(query + 1);
  }
  return { cells: Int32Array.from(cells), queries };
}
