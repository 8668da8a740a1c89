/** What an attention picture shows, without drawing it. */

import type { TokenSpan, TraceInfo } from "../../../src/protocol/engineApi";
import { formatValue } from "../../format";

/** Which tokens look at which. A decoder has one of them; a translator has all three. */
export interface AttentionKind {
  readonly id: "cross" | "self" | "encoder";
  /** Trace name of a layer's patterns. */
  readonly pattern: (layer: number) => string;
  readonly layers: number;
  readonly heads: number;
  /** Rows of a pattern. */
  readonly queries: readonly TokenSpan[];
  /** Columns of a pattern. */
  readonly keys: readonly TokenSpan[];
  readonly isMasked: Masked;
  /** Whether any cell can be masked. */
  readonly hasMask: boolean;
}

/** Whether a cell of a pattern has no value. */
export type Masked = (query: number, key: number) => boolean;

/** A query never looks at a later key. */
export const isMasked: Masked = (query, key) => key > query;
const neverMasked: Masked = () => false;

/** The attention that a trace has: of a translator first that from what is written to what is read. */
export function attentionKinds(trace: TraceInfo): AttentionKind[] {
  const { tokens, source, model } = trace;
  const read = source?.tokens ?? [];
  const { causal } = model.config;
  const self = { queries: tokens, keys: tokens, isMasked: causal ? isMasked : neverMasked };
  const kinds = [
    { id: "cross", pattern: crossName, queries: tokens, keys: read, isMasked: neverMasked },
    { id: "self", pattern: patternName, ...self },
    { id: "encoder", pattern: encoderName, queries: read, keys: read, isMasked: neverMasked },
  ] as const;
  return kinds
    .map((kind) => ({ ...kind, ...sizeOf(trace, kind.pattern), hasMask: kind.isMasked !== neverMasked }))
    .filter(({ layers }) => layers > 0);
}

/** Reads as `“the” → “cat”: 0.123456`. */
export function describeCell(
  labels: readonly string[],
  query: number,
  key: number,
  weight: number,
  keyLabels: readonly string[] = labels,
  masked: Masked = isMasked,
): string {
  const pair = `“${labels[query] ?? query}” → “${keyLabels[key] ?? key}”`;
  return masked(query, key) ? `${pair}: masked` : `${pair}: ${formatValue(weight)}`;
}

export const patternName = (layer: number): string => `blocks.${layer}.attn.pattern`;
const crossName = (layer: number): string => `blocks.${layer}.cross.pattern`;
const encoderName = (layer: number): string => `enc.blocks.${layer}.attn.pattern`;

/** How many layers and heads of this trace have an attention pattern. */
export const attentionSize = (trace: TraceInfo): { layers: number; heads: number } => sizeOf(trace, patternName);

function sizeOf({ values }: TraceInfo, pattern: (layer: number) => string): { layers: number; heads: number } {
  const shapes = new Map(values.map(({ name, shape }) => [name, shape]));
  let layers = 0;
  while (shapes.has(pattern(layers))) layers++;
  return { layers, heads: shapes.get(pattern(0))?.[1] ?? 0 };
}

/**
 * The largest weight that falls on each pixel of a `size` x `size` picture of a [rows, cols] pattern: a thumbnail of a
 * long text keeps its sparse peaks, which an average would wash out. NaN where every cell is masked.
 */
export function maxPool(
  pattern: Float32Array,
  [rows, cols]: readonly [number, number],
  size: number,
  masked: Masked = isMasked,
): Float32Array {
  const pixels = new Float32Array(size * size).fill(Number.NaN);
  // With more pixels than cells a cell covers several; with fewer, several cells share one.
  const first = (i: number, count: number) => Math.floor((i * size) / count);
  const end = (i: number, count: number) => Math.max(first(i, count) + 1, first(i + 1, count));
  for (let query = 0; query < rows; query++) {
    for (let key = 0; key < cols; key++) {
      if (masked(query, key)) continue;
      const weight = pattern[query * cols + key] as number;
      for (let y = first(query, rows); y < end(query, rows); y++) {
        for (let x = first(key, cols); x < end(key, cols); x++) {
          const before = pixels[y * size + x] as number;
          if (Number.isNaN(before) || weight > before) pixels[y * size + x] = weight;
        }
      }
    }
  }
  return pixels;
}

/** The keys that a query looks at most, strongest first, of a pattern with so many columns. */
export function strongestKeys(
  pattern: Float32Array,
  cols: number,
  query: number,
  count: number,
  masked: Masked = isMasked,
): { key: number; weight: number }[] {
  return Array.from({ length: cols }, (_, key) => ({ key, weight: pattern[query * cols + key] as number }))
    .filter(({ key }) => !masked(query, key))
    .sort((a, b) => b.weight - a.weight)
    .slice(0, count);
}
