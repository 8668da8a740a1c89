/**
 * Norms that each layer adds to the residual stream at one position, and the tokens that its attention reads there.
 *
 * H heads   S key position   K dHead   L nLayers
 */

import { setImmediate } from "node:timers/promises";
import type { AttentionSources, Overview } from "../api/trace";
import { EngineError } from "../errors";
import { type DecoderConfig, decoderOf, type ModelConfig } from "../nn/config";
import { scoreScale, windowOfLayer } from "../nn/decoder";
import type { Trace, TraceValue } from "./trace";

/** Tokens per layer that are returned. */
const SOURCES = 6;

/** The additions and sources of every layer of a decoder. */
export async function overviewOf(
  model: ModelConfig,
  trace: Trace,
  position: number,
  signal?: AbortSignal,
): Promise<Overview> {
  const cfg = decoderOf(model);
  const T = trace.get("ids")?.data.length ?? 0;
  if (position >= T) throw new EngineError("notFound", `This trace has ${T} tokens, so no position ${position}.`);
  const hasCross = trace.has("blocks.0.crossOut");
  const norms = (name: string) =>
    Float32Array.from({ length: cfg.nLayers }, (_, l) => normAt(trace.get(`blocks.${l}.${name}`), position));
  const sources = async (pattern: (layer: number, head: number) => Float32Array, S: number) => {
    const found = emptySources(cfg.nLayers, Math.min(SOURCES, S));
    for (let layer = 0; layer < cfg.nLayers; layer++) {
      const heads = Array.from({ length: cfg.nHeads }, (_, head) => pattern(layer, head));
      addStrongest(found, layer, heads);
      await setImmediate();
      signal?.throwIfAborted();
    }
    return found;
  };
  const S = trace.get("enc.ids")?.data.length ?? 0;
  return {
    attention: norms("attnOut"),
    cross: hasCross ? norms("crossOut") : null,
    mlp: norms("mlpOut"),
    sources: await sources((layer, head) => selfPattern(cfg, trace, layer, head, position), T),
    crossSources: hasCross
      ? await sources((layer, head) => rowOf(trace.get(`blocks.${layer}.cross.pattern`), head, position), S)
      : null,
  };
}

/** The row of one query in a head's pattern, [S]; the cells of a mask are 0. */
function selfPattern(cfg: DecoderConfig, trace: Trace, layer: number, head: number, query: number): Float32Array {
  const name = `blocks.${layer}.attn`;
  const known = trace.get(`${name}.pattern`);
  if (known) return rowOf(known, head, query);
  const keys = trace.get(`${name}.k`) as TraceValue;
  const q = rowOf(trace.get(`${name}.q`), head, query);
  const [, G, S, K] = keys.shape as [number, number, number, number];
  const start = Math.floor((head * G) / cfg.nHeads) * S * K;
  const window = cfg.causal ? windowOfLayer(cfg, layer) : null;
  const first = window === null ? 0 : Math.max(0, query + 1 - window);
  const end = cfg.causal ? query + 1 : S;
  const scale = scoreScale(cfg, layer);
  const cap = cfg.attentionSoftcap;
  const row = new Float32Array(S);
  let top = Number.NEGATIVE_INFINITY;
  for (let key = first; key < end; key++) {
    let dot = 0;
    for (let i = 0, at = start + key * K; i < K; i++, at++) dot += (q[i] as number) * (keys.data[at] as number);
    const score = cap === null ? dot * scale : cap * Math.tanh((dot * scale) / cap);
    row[key] = score;
    top = Math.max(top, score);
  }
  let total = 0;
  for (let key = first; key < end; key++) {
    row[key] = Math.exp((row[key] as number) - top);
    total += row[key] as number;
  }
  return row.map((x) => x / total);
}

/** A row of one head of a value [1, H, rows, cols]. */
function rowOf(value: TraceValue | undefined, head: number, row: number): Float32Array {
  const { shape, data } = value as TraceValue;
  const [, , rows, cols] = shape as [number, number, number, number];
  const at = (head * rows + row) * cols;
  return data.subarray(at, at + cols);
}

const normAt = (value: TraceValue | undefined, position: number): number => {
  if (!value) return Number.NaN;
  const D = value.shape.at(-1) as number;
  return Math.hypot(...value.data.subarray(position * D, (position + 1) * D));
};

const emptySources = (layers: number, count: number): AttentionSources => ({
  count,
  positions: new Uint32Array(layers * count),
  weights: new Float32Array(layers * count),
  heads: new Uint32Array(layers * count),
});

/** Adds the positions with the largest mean weight over heads, and for each the head with the largest weight there. */
function addStrongest(into: AttentionSources, layer: number, heads: readonly Float32Array[]): void {
  const mean = (heads[0] as Float32Array).map((_, key) => sumAt(heads, key) / heads.length);
  const order = Array.from(mean.keys()).sort((a, b) => (mean[b] as number) - (mean[a] as number) || a - b);
  for (let i = 0; i < into.count; i++) {
    const key = order[i] as number;
    const at = layer * into.count + i;
    into.positions[at] = key;
    into.weights[at] = mean[key] as number;
    into.heads[at] = heads.reduce((best, row, h) => ((row[key] ?? 0) > (heads[best]?.[key] ?? 0) ? h : best), 0);
  }
}

const sumAt = (rows: readonly Float32Array[], at: number): number =>
  rows.reduce((sum, row) => sum + (row[at] as number), 0);
