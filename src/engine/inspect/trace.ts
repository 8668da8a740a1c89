/**
 * Traces: every named value of one forward pass.
 *
 * B batch   T position   D dModel   H nHeads   K dHead   V vocabSize   L nLayers
 *
 * embed, posEmbed [B,T,D]; blocks.{l}.residPre, .attnOut, .residMid, .mlpOut, .residPost [B,T,D]; blocks.{l}.attn.q, .k,
 * .v, .z [B,H,T,K], .scores (scaled, before the mask), .pattern [B,H,T,T]; lnFinal [B,T,D]; logits [B,T,V].
 */

import { input, type Node } from "../graph/node";
import { type Shape, sizeOf } from "../graph/shape";
import type { DecoderConfig } from "../nn/config";
import { decoder, firstPositions, fullAttention } from "../nn/decoder";
import { lower } from "../runtime/lower";
import { Session } from "../runtime/session";
import { type DeviceWeights, paramInputs } from "../runtime/weights";

export interface TraceValue {
  readonly shape: Shape;
  readonly data: Float32Array;
}

export type Trace = ReadonlyMap<string, TraceValue>;

/** [T, T] values of which are large: a light trace leaves them to `attentionOf`, one head at a time. */
const QUADRATIC = /\.attn\.(scores|pattern)$/;

/** Runs a model and records what it computed. One compiled graph serves every text of up to its length. */
export class Tracer {
  readonly #sessions = new Map<string, Promise<Session>>();

  constructor(
    readonly cfg: DecoderConfig,
    readonly weights: DeviceWeights,
  ) {}

  /**
   * The trace of a batch. Rows of unequal length are padded at the right, where no earlier position sees them; the
   * padding takes part as tokens of id 0 and its values mean nothing; `mask` [B, T] says which positions are real.
   */
  async trace(rows: readonly (readonly number[])[], { light = false } = {}): Promise<Trace> {
    const B = rows.length;
    const T = Math.max(...rows.map((row) => row.length));
    if (!(T >= 1 && T <= this.cfg.nCtx)) throw new Error(`trace: ${T} tokens do not fit a context of ${this.cfg.nCtx}`);
    const padded = Math.min(this.cfg.nCtx, nextSize(T));
    const ids = new Int32Array(padded * B);
    rows.forEach((row, b) => {
      row.forEach((id, t) => {
        ids[t * B + b] = id;
      });
    });
    const session = await this.#session(B, padded, light);
    const values = await session.run({ ...this.weights.feeds, ids });

    const trace = new Map<string, TraceValue>();
    const byRow = (value: (b: number, t: number) => number) => ({
      shape: [B, T],
      data: Float32Array.from({ length: B * T }, (_, i) => value(Math.floor(i / T), i % T)),
    });
    trace.set(
      "ids",
      byRow((b, t) => rows[b]?.[t] ?? 0),
    );
    trace.set(
      "mask",
      byRow((b, t) => (t < (rows[b]?.length ?? 0) ? 1 : 0)),
    );
    for (const [name, tensor] of Object.entries(values)) {
      trace.set(name, trim(name, { shape: tensor.dims, data: tensor.data as Float32Array }, padded, T));
    }
    return trace;
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
    this.#sessions.clear();
  }

  #session(B: number, T: number, light: boolean): Promise<Session> {
    const key = `${B},${T},${light}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const graph = lower(traceGraph(this.cfg, B, T, light), this.weights.device);
    const session = Session.create(graph, this.weights.device);
    this.#sessions.set(key, session);
    return session;
  }
}

/** Every value of a forward pass under its trace name, batch first. */
export function traceGraph(cfg: DecoderConfig, B: number, T: number, light = false): Record<string, Node> {
  const outputs: Record<string, Node> = {};
  const probe = (name: string, x: Node): Node => {
    if (light && QUADRATIC.test(name)) return x;
    const rowsOfTime = x.shape.length === 2;
    outputs[name] = rowsOfTime ? x.reshape([T, B, x.shape[1] as number]).transpose(1, 0, 2) : x;
    return x;
  };
  const ids = input("ids", [T, B], "i32");
  const size = { batch: B, length: T };
  decoder(ids, paramInputs(cfg), cfg, {
    ...size,
    positions: firstPositions(T),
    attend: fullAttention(cfg, size),
    probe,
    dropout: (x) => x,
  });
  return outputs;
}

/** Scores and pattern [T, T] of one head from a light trace, as the graph computes them. */
export function attentionOf(trace: Trace, layer: number, head: number): { scores: TraceValue; pattern: TraceValue } {
  const [q, k] = ["q", "k"].map((name) => trace.get(`blocks.${layer}.attn.${name}`)) as [TraceValue, TraceValue];
  const [, H, T, K] = q.shape as [number, number, number, number];
  if (!(head >= 0 && head < H)) throw new Error(`attentionOf: there is no head ${head}`);
  const rowOf = ({ data }: TraceValue, t: number) => data.subarray((head * T + t) * K, (head * T + t + 1) * K);
  const scores = new Float32Array(T * T);
  const pattern = new Float32Array(T * T);
  for (let query = 0; query < T; query++) {
    const a = rowOf(q, query);
    for (let key = 0; key < T; key++) {
      const b = rowOf(k, key);
      let dot = 0;
      for (let i = 0; i < K; i++) dot += (a[i] as number) * (b[i] as number);
      scores[query * T + key] = dot / Math.sqrt(K);
    }
    const seen = scores.subarray(query * T, query * T + query + 1);
    const max = seen.reduce((a, b) => Math.max(a, b), -Infinity);
    const total = seen.reduce((sum, x) => sum + Math.exp(x - max), 0);
    seen.forEach((x, key) => {
      pattern[query * T + key] = Math.exp(x - max) / total;
    });
  }
  return { scores: { shape: [T, T], data: scores }, pattern: { shape: [T, T], data: pattern } };
}

/** Few sizes, so that few graphs are compiled: 8, 16, 32, 48, 64, 96, 128, 192 … */
function nextSize(T: number): number {
  const power = Math.max(8, 2 ** Math.ceil(Math.log2(T)));
  return power >= 32 && T <= 0.75 * power ? 0.75 * power : power;
}

/** Cuts every axis of the padded length back to the real one. */
function trim(name: string, { shape, data }: TraceValue, padded: number, T: number): TraceValue {
  if (padded === T) return { shape, data };
  const positions = shape.length === 3 ? [1] : QUADRATIC.test(name) ? [2, 3] : [2];
  const real = shape.map((d, axis) => (positions.includes(axis) ? T : d));
  const out = new Float32Array(sizeOf(real));
  const width = real.at(-1) as number;
  const index = real.map(() => 0);
  for (let to = 0; to < out.length; to += width) {
    const from = index.slice(0, -1).reduce((offset, i, axis) => (offset + i) * (shape[axis + 1] as number), 0);
    out.set(data.subarray(from, from + width), to);
    for (let axis = real.length - 2; axis >= 0 && ++(index[axis] as number) === real[axis]; axis--) index[axis] = 0;
  }
  return { shape: real, data: out };
}
