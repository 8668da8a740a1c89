/**
 * Attention of a run that kept queries and keys only: one head as the graph has it, or all heads in small.
 *
 * H heads   T position of queries   S position of keys   K dHead
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
  /** Rows and columns of a picture, at most. */
  readonly size: number;
  /** Translators have all three. */
  readonly kind?: AttentionKind | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Computes on the processor: what it takes and gives is on the host, and small beside a forward pass. */
export class Attention {
  /** By what differs between layers and pictures. */
  readonly #sessions = new Map<string, Promise<Session>>();

  /** Scores (scaled, before the mask) and pattern of one head, [T, T]. */
  async head(
    cfg: DecoderConfig,
    trace: Trace,
    layer: number,
    head: number,
  ): Promise<{ scores: TraceValue; pattern: TraceValue }> {
    const { q, k, T } = queriesAndKeys(trace, nameOf("self", layer), head, head + 1);
    const session = await this.#session(cfg, layer, null);
    const made = await session.run({
      q,
      k,
      mask: hostTensor(attentionMask(cfg, T, windowOfLayer(cfg, layer)), [T, T]),
    });
    const value = (name: string): TraceValue => ({ shape: [T, T], data: made[name]?.data as Float32Array });
    return { scores: value("scores"), pattern: value("pattern") };
  }

  /** Every head of a run over one row, layer by layer. */
  async grid(model: ModelConfig, trace: Trace, { size, kind = "self", signal }: GridOptions): Promise<AttentionGrid> {
    const cfg = kind === "encoder" && isEncoderDecoder(model) ? model.encoder : decoderOf(model);
    const { nLayers: L, nHeads: H } = cfg;
    const [T, S] = [kind === "encoder" ? "enc.ids" : "ids", kind === "self" ? "ids" : "enc.ids"].map(
      (name) => trace.get(name)?.data.length,
    ) as [number, number];
    const kernel = Math.ceil(Math.max(T, S) / size);
    const [rows, cols] = [Math.ceil(T / kernel), Math.ceil(S / kernel)];
    const looked = placesIn(trace, kind, T, S);
    const places = Object.fromEntries(Object.entries(looked).map(([name, { places }]) => [placesOf(name), places]));
    const perHead = () => new Float32Array(L * H);
    const scores = { previousToken: perHead(), firstToken: perHead(), induction: perHead(), entropy: perHead() };
    const tiles = new Float32Array(L * H * rows * cols);
    const step = Math.max(1, Math.floor(MOST_NUMBERS / (T * S)));
    for (let layer = 0; layer < L; layer++) {
      const session = await this.#session(cfg, layer, kernel);
      const seen = kind === "self" ? attentionMask(cfg, T, windowOfLayer(cfg, layer)) : new Float32Array(T * S);
      const mask = hostTensor(seen, [T, S]);
      for (let from = 0; from < H; from += step) {
        signal?.throwIfAborted();
        const { q, k } = queriesAndKeys(trace, nameOf(kind, layer), from, Math.min(H, from + step));
        const made = await session.compute({ q, k, mask, ...places });
        const at = layer * H + from;
        const mean = (name: keyof typeof looked) =>
          made[name]?.map((sum) => sum / looked[name].queries) as Float32Array;
        tiles.set(made.tiles as Float32Array, at * rows * cols);
        scores.previousToken.set(mean("previous"), at);
        scores.firstToken.set(mean("first"), at);
        scores.induction.set(mean("induction"), at);
        scores.entropy.set(made.entropy?.map((nats) => Math.max(0, nats / Math.LN2)) as Float32Array, at);
        await setImmediate();
      }
    }
    return { layers: L, heads: H, rows, cols, tiles, scores };
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
    this.#sessions.clear();
  }

  /** Of a head as it is, or with `kernel` of several in small. */
  #session(cfg: DecoderConfig, layer: number, kernel: number | null): Promise<Session> {
    const scale = scoreScale(cfg, layer);
    const key = `${cfg.dHead}:${scale}:${cfg.attentionSoftcap}:${kernel}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const head = headGraph(cfg, scale);
    const session = Session.create(kernel === null ? head : inSmall(head, kernel), "cpu", { spin: true });
    this.#sessions.set(key, session);
    return session;
  }
}

/** Numbers of patterns that are in memory at once. */
const MOST_NUMBERS = 1 << 24;

const nameOf = (kind: AttentionKind, layer: number): string =>
  ({ self: `blocks.${layer}.attn`, encoder: `enc.blocks.${layer}.attn`, cross: `blocks.${layer}.cross` })[kind];

/** Of heads `from` to `to - 1`: queries [H, T, K] and the keys that each reads, [H, S, K]. */
function queriesAndKeys(trace: Trace, name: string, from: number, to: number) {
  const [q, k] = ["q", "k"].map((of) => trace.get(`${name}.${of}`)) as [TraceValue, TraceValue];
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
 * What is told of several heads instead of their scores and patterns: the largest of each kernel x kernel tile, sums of
 * the pattern at places of it (as q * S + k), and the entropy's mean over queries, in nats.
 */
function inSmall(head: OnnxGraph, kernel: number): OnnxGraph {
  const places = ["previous", "first", "induction"];
  const node = (op: string, inputs: string[], output: string, attributes: OnnxNode["attributes"] = {}): OnnxNode => ({
    op,
    domain: "",
    inputs,
    outputs: [output],
    attributes,
  });
  const per = (name: string): OnnxValue => ({ name, type: "float32", shape: [UNKNOWN] });
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
      ...places.map((name): OnnxValue => ({ name: placesOf(name), type: "int32", shape: [UNKNOWN] })),
    ],
    outputs: [
      { name: "tiles", type: "float32", shape: [1, UNKNOWN, UNKNOWN, UNKNOWN] },
      ...[...places, "entropy"].map(per),
    ],
    initializers: [...head.initializers, axes("whole", 0), axes("last", -1), axes("inner", 1), axes("rows", 0, -1)],
    nodes: [
      ...head.nodes,
      node("Unsqueeze", ["pattern", "whole"], "batch"),
      node("MaxPool", ["batch"], "tiles", pool),
      node("Reshape", ["pattern", "rows"], "flat"), // [H, T * S]
      ...places.flatMap((name) => [
        node("Gather", ["flat", placesOf(name)], `${name}.found`, { axis: 1 }),
        node("ReduceSum", [`${name}.found`, "inner"], name, { keepdims: 0 }),
      ]),
      // -Σ p log p = log Z - Σ p s, and log Z is what the most likely key's score is short of.
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

const placesOf = (name: string) => `${name}.places`;

/** Places of a pattern, and the queries that have any. */
interface Places {
  readonly places: Int32Array;
  readonly queries: number;
}

/** What the scores of heads look at; between two texts, nothing but the first token. */
function placesIn(trace: Trace, kind: AttentionKind, T: number, S: number) {
  const ids = trace.get(kind === "encoder" ? "enc.ids" : "ids")?.data as Float32Array;
  const none: Places = { places: new Int32Array(), queries: 0 };
  const isBetween = kind === "cross";
  return {
    previous: isBetween ? none : previousPlaces(T),
    first: firstPlaces(T, S),
    induction: isBetween ? none : inductionPlaces(ids),
  };
}

/** Of each query after the first: the token before it. */
const previousPlaces = (T: number): Places => ({
  places: Int32Array.from({ length: T - 1 }, (_, i) => (i + 1) * T + i),
  queries: T - 1,
});

/** Of each query after the first, which may have no choice: the first token. */
const firstPlaces = (T: number, S: number): Places => ({
  places: Int32Array.from({ length: T - 1 }, (_, i) => (i + 1) * S),
  queries: T - 1,
});

/** Of each query: the tokens after earlier occurrences of its own token, before it. */
function inductionPlaces(ids: ArrayLike<number>): Places {
  const T = ids.length;
  const places: number[] = [];
  const after = new Map<number, number[]>();
  let queries = 0;
  for (let query = 0; query < T; query++) {
    const id = ids[query] as number;
    const keys = after.get(id) ?? [];
    after.set(id, keys);
    const earlier = keys.filter((key) => key < query);
    for (const key of earlier) places.push(query * T + key);
    queries += Number(earlier.length > 0);
    keys.push(query + 1);
  }
  return { places: Int32Array.from(places), queries };
}
