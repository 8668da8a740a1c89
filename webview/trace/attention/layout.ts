/**
 * Attention patterns: which ones a trace has, and how they are reduced, computed and ordered.
 *
 * H heads of queries   G heads of keys and values   T queries   S keys   K dHead
 */

import type { TokenSpan, TraceInfo } from "../../../src/protocol/engineApi";
import { t } from "../../base/strings";

/** A kind of attention. A decoder has one; a translator has all three. */
export interface AttentionKind {
  readonly id: "cross" | "self" | "encoder";
  /** Trace name of a layer's queries, keys, scores, …: `valueName(3, "pattern")`. */
  readonly valueName: (layer: number, value: AttentionValue) => string;
  readonly layers: number;
  readonly heads: number;
  /** Key-value heads; each is shared by `heads / kvHeads` query heads. */
  readonly kvHeads: number;
  /** Rows of a pattern. */
  readonly queries: readonly TokenSpan[];
  /** Columns of a pattern. */
  readonly keys: readonly TokenSpan[];
  /** The mask of a layer; null where every cell has a weight. */
  readonly masked: (layer: number) => Masked | null;
}

/** Names of a translator's kinds of attention. */
export const KIND_NAMES: { readonly [K in AttentionKind["id"]]: () => string } = {
  cross: () => t("Cross-attention"),
  self: () => t("Decoder self-attention"),
  encoder: () => t("Encoder self-attention"),
};

export type AttentionValue = "q" | "k" | "v" | "scores" | "pattern";

/** Returns whether a cell of a pattern has no value. */
export type Masked = (query: number, key: number) => boolean;

/** The causal mask: a query attends to no later key. */
const isLater: Masked = (query, key) => key > query;

/** The causal mask with a sliding window, which includes the query itself. */
const outsideWindow =
  (window: number): Masked =>
  (query, key) =>
    key > query || key <= query - window;

const isNever: Masked = () => false;

/** The kinds of attention in a trace, a translator's cross-attention first. */
export function attentionKinds(trace: TraceInfo): AttentionKind[] {
  const { tokens, source, model } = trace;
  const read = source?.tokens ?? [];
  const { causal, windows } = model.config;
  const ownMask = (layer: number) => {
    if (!causal) return null;
    const window = windows[layer] ?? null;
    return window === null ? isLater : outsideWindow(window);
  };
  const none = () => null;
  const kinds = [
    { id: "cross", valueName: named("blocks", "cross"), queries: tokens, keys: read, masked: none },
    { id: "self", valueName: named("blocks", "attn"), queries: tokens, keys: tokens, masked: ownMask },
    { id: "encoder", valueName: named("enc.blocks", "attn"), queries: read, keys: read, masked: none },
  ] as const;
  return kinds.map((kind) => ({ ...kind, ...sizeOf(trace, kind.valueName) })).filter(({ layers }) => layers > 0);
}

const named = (blocks: string, sublayer: string) => (layer: number, value: AttentionValue) =>
  `${blocks}.${layer}.${sublayer}.${value}`;

/** Number of layers and heads with a self-attention pattern in the trace. */
export const attentionSize = (trace: TraceInfo): { layers: number; heads: number } =>
  sizeOf(trace, named("blocks", "attn"));

function sizeOf({ values }: TraceInfo, valueName: AttentionKind["valueName"]) {
  const shapes = new Map(values.map(({ name, shape }) => [name, shape]));
  let layers = 0;
  while (shapes.has(valueName(layers, "pattern"))) layers++;
  const heads = shapes.get(valueName(0, "pattern"))?.[1] ?? 0;
  return { layers, heads, kvHeads: shapes.get(valueName(0, "k"))?.[1] ?? heads };
}

/** The key-value head that a query head uses. */
export const kvHeadOf = ({ heads, kvHeads }: Pick<AttentionKind, "heads" | "kvHeads">, head: number): number =>
  Math.floor((head * kvHeads) / heads);

/** Reads as `“the” → “cat”`. */
export const pairText = (from: string | number, to: string | number): string => `“${from}” → “${to}”`;

/** Stages of a head's computation, in order. */
export type Stage = "scores" | "masked" | "pattern";

/** How weights become colors and lines. */
export type Scale = "linear" | "log" | "withoutFirst" | "byRow";

/** The `count` strongest keys of a query, strongest first. */
export function strongestKeys(
  pattern: Float32Array,
  cols: number,
  query: number,
  count: number,
  masked: Masked | null = isLater,
): { key: number; weight: number }[] {
  return Array.from({ length: cols }, (_, key) => ({ key, weight: pattern[query * cols + key] as number }))
    .filter(({ key }) => !masked?.(query, key))
    .sort((a, b) => b.weight - a.weight)
    .slice(0, count);
}

/** Largest absolute value of each row, without masked cells. */
export function rowMaxima(
  values: Float32Array,
  [rows, cols]: readonly [number, number],
  masked: Masked | null,
): Float32Array {
  const maxima = new Float32Array(rows);
  const skips = masked ?? isNever;
  for (let row = 0; row < rows; row++) {
    let max = 0;
    for (let col = 0; col < cols; col++) {
      const size = Math.abs(values[row * cols + col] as number);
      if (size > max && !skips(row, col)) max = size;
    }
    maxima[row] = max;
  }
  return maxima;
}

/** Divides each row by its largest absolute value. */
export function byRow(values: Float32Array, cols: number, maxima: Float32Array): Float32Array {
  return values.map((x, i) => x / (maxima[Math.floor(i / cols)] || 1));
}

/** Share of all attention that the first key receives. A first query that sees no other key does not count. */
export function firstKeyMass(
  pattern: Float32Array,
  [rows, cols]: readonly [number, number],
  masked: Masked | null,
): number {
  const from = masked && rows > 1 ? 1 : 0;
  let sum = 0;
  for (let row = from; row < rows; row++) sum += pattern[row * cols] as number;
  return sum / (rows - from);
}

export interface Line {
  readonly query: number;
  readonly key: number;
  readonly weight: number;
}

/** The strongest weights of each query, and the share of all attention that is left out. */
export function strongestLines(
  pattern: Float32Array,
  [rows, cols]: readonly [number, number],
  perQuery: number,
  skipped: Masked | null,
): { lines: Line[]; leftOut: number } {
  const lines: Line[] = [];
  let drawn = 0;
  const best: Line[] = [];
  for (let query = 0; query < rows; query++) {
    best.length = 0;
    for (let key = 0; key < cols; key++) {
      const weight = pattern[query * cols + key] as number;
      const last = best[perQuery - 1];
      if (weight === 0 || (last && weight <= last.weight) || skipped?.(query, key)) continue;
      let at = Math.min(best.length, perQuery - 1);
      while (at > 0 && (best[at - 1] as Line).weight < weight) at--;
      best.splice(at, 0, { query, key, weight });
      best.length = Math.min(best.length, perQuery);
    }
    for (const line of best) drawn += line.weight;
    lines.push(...best);
  }
  return { lines, leftOut: Math.max(0, 1 - drawn / rows) };
}

/** How a layer computes scores from query-key products. */
interface ScoreRule {
  /** Factor of the product of a query and a key. */
  readonly scale: number;
  /** c of the soft cap c * tanh(x / c); null without a soft cap. */
  readonly softcap: number | null;
}

export const scoreRule = ({ model }: TraceInfo, layer: number): ScoreRule => {
  const { attentionScale, scaleByLayer, attentionSoftcap } = model.config;
  return { scale: attentionScale / (scaleByLayer ? layer + 1 : 1), softcap: attentionSoftcap };
};

/** Steps of computing a weight from the query's and the key's vectors. */
export interface CellParts {
  /** q_i k_i per dimension; they sum to `product`. */
  readonly terms: Float64Array;
  readonly product: number;
  /** The product times the scale. */
  readonly scaled: number;
  /** The scaled product after the soft cap, if there is one. */
  readonly score: number;
  /** Largest score of the query's row, which is subtracted from all of them before exp. */
  readonly largest: number;
  /** Sum of exp(score - largest) over the keys that the query sees. */
  readonly denominator: number;
  readonly weight: number;
}

/** Computes a cell of a pattern from q [T, K] and k [S, K] in double precision. */
export function cellParts(
  q: Float32Array,
  k: Float32Array,
  K: number,
  [query, key]: readonly [number, number],
  rule: ScoreRule,
  masked: Masked | null,
): CellParts {
  const scores = rowScores(q, k, K, query, rule);
  const largest = largestOf(scores, query, masked);
  const terms = Float64Array.from({ length: K }, (_, i) => (q[query * K + i] as number) * (k[key * K + i] as number));
  const product = terms.reduce((sum, x) => sum + x, 0);
  const score = scores[key] as number;
  const denominator = scores.reduce((sum, x, j) => (masked?.(query, j) ? sum : sum + Math.exp(x - largest)), 0);
  const weight = masked?.(query, key) ? 0 : Math.exp(score - largest) / denominator;
  return { terms, product, scaled: product * rule.scale, score, largest, denominator, weight };
}

/** Computes a row of a pattern from q [T, K] and k [S, K]. */
export function patternRow(
  q: Float32Array,
  k: Float32Array,
  K: number,
  query: number,
  rule: ScoreRule,
  masked: Masked | null,
): Float64Array {
  const scores = rowScores(q, k, K, query, rule);
  const largest = largestOf(scores, query, masked);
  const weights = scores.map((x, key) => (masked?.(query, key) ? 0 : Math.exp(x - largest)));
  const sum = weights.reduce((total, x) => total + x, 0);
  return weights.map((x) => x / sum);
}

/** Mean of several rows of the same length. */
export const meanOf = (rows: readonly Float64Array[]): Float64Array =>
  Float64Array.from({ length: rows[0]?.length ?? 0 }, (_, i) =>
    rows.reduce((sum, row) => sum + (row[i] as number) / rows.length, 0),
  );

function rowScores(q: Float32Array, k: Float32Array, K: number, query: number, { scale, softcap }: ScoreRule) {
  return Float64Array.from({ length: k.length / K }, (_, key) => {
    let product = 0;
    for (let i = 0; i < K; i++) product += (q[query * K + i] as number) * (k[key * K + i] as number);
    const scaled = product * scale;
    return softcap === null ? scaled : softcap * Math.tanh(scaled / softcap);
  });
}

function largestOf(scores: Float64Array, query: number, masked: Masked | null): number {
  let largest = Number.NEGATIVE_INFINITY;
  scores.forEach((x, key) => {
    if (x > largest && !masked?.(query, key)) largest = x;
  });
  return largest;
}

export interface HeadId {
  readonly layer: number;
  readonly head: number;
}

/** Heads by layer, or by descending score; heads without a score come last. */
export function headOrder(layers: number, heads: number, score: Float32Array | null): HeadId[] {
  const ids = Array.from({ length: layers * heads }, (_, i) => ({ layer: Math.floor(i / heads), head: i % heads }));
  if (!score) return ids;
  const of = ({ layer, head }: HeadId) => {
    const x = score[layer * heads + head] as number;
    return Number.isNaN(x) ? Number.NEGATIVE_INFINITY : x;
  };
  // Heads with equal scores, or both without one, keep the model's order.
  return ids.sort((a, b) => (of(a) === of(b) ? 0 : of(b) - of(a)));
}

/** The layer's other heads and the same head of the adjacent layers, those that are likely to be chosen next first. */
export function headsNear({ layer, head }: HeadId, { layers, heads }: AttentionKind): HeadId[] {
  const others = Array.from({ length: heads }, (_, each) => ({ layer, head: each }))
    .filter((other) => other.head !== head)
    .sort((a, b) => Math.abs(a.head - head) - Math.abs(b.head - head) || b.head - a.head);
  const beside = [layer + 1, layer - 1].filter((each) => each >= 0 && each < layers);
  return [...others.slice(0, 2), ...beside.map((each) => ({ layer: each, head })), ...others.slice(2)];
}

/** The index that a key moves to among `count` heads in rows of `perRow`; null for keys that do not move. */
export function moveHead(key: string, at: number, count: number, perRow: number): number | null {
  const steps: Readonly<Record<string, number>> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -perRow,
    ArrowDown: perRow,
  };
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  const step = steps[key];
  if (step === undefined) return null;
  const to = at + step;
  return to >= 0 && to < count ? to : at;
}

/** A head's score as written under its thumbnail. */
export const scoreText = (score: number): string => (Number.isNaN(score) ? "–" : score.toFixed(2));

/** Shades of the editor's text, 0 to 1, relative to the largest weight that is shown. */
export function shades(row: Float64Array, scale: Scale): Float32Array {
  const shown = Float32Array.from(row, (x, key) => (scale === "withoutFirst" && key === 0 ? 0 : x));
  const largest = shown.reduce((max, x) => Math.max(max, x), 0) || 1;
  return shown.map((x) => x / largest);
}

/** Shading of the editor's text. */
export interface Shading {
  readonly on: boolean;
  /** By the mean over the layer's heads instead of by the selected head. */
  readonly mean: boolean;
  /** "withoutFirst" ignores the first token, which often receives most of the attention. */
  readonly scale: Scale;
}

export const NO_SHADING: Shading = { on: false, mean: false, scale: "linear" };
