/** What an attention picture shows, without drawing it. */

import type { TraceInfo } from "../../../src/protocol/engineApi";
import { formatValue } from "../../format";

/** A query never looks at a later key: such a cell has no value. */
export const isMasked = (query: number, key: number): boolean => key > query;

/** Reads as `“the” → “cat”: 0.123456`. */
export function describeCell(labels: readonly string[], query: number, key: number, weight: number): string {
  const pair = `“${labels[query] ?? query}” → “${labels[key] ?? key}”`;
  return isMasked(query, key) ? `${pair}: masked` : `${pair}: ${formatValue(weight)}`;
}

export const patternName = (layer: number): string => `blocks.${layer}.attn.pattern`;

/** How many layers and heads of this trace have an attention pattern. */
export function attentionSize(trace: TraceInfo): { layers: number; heads: number } {
  const shapes = new Map(trace.values.map(({ name, shape }) => [name, shape]));
  let layers = 0;
  while (shapes.has(patternName(layers))) layers++;
  return { layers, heads: shapes.get(patternName(0))?.[1] ?? 0 };
}

/**
 * The largest weight that falls on each pixel of a `size` x `size` picture of a [T, T] pattern: a thumbnail of a long
 * text keeps its sparse peaks, which an average would wash out. NaN where every cell is masked.
 */
export function maxPool(pattern: Float32Array, T: number, size: number): Float32Array {
  const pixels = new Float32Array(size * size).fill(Number.NaN);
  // With more pixels than cells a cell covers several; with fewer, several cells share one.
  const first = (i: number) => Math.floor((i * size) / T);
  const end = (i: number) => Math.max(first(i) + 1, Math.floor(((i + 1) * size) / T));
  for (let query = 0; query < T; query++) {
    for (let key = 0; key <= query; key++) {
      const weight = pattern[query * T + key] as number;
      for (let y = first(query); y < end(query); y++) {
        for (let x = first(key); x < end(key); x++) {
          const before = pixels[y * size + x] as number;
          if (Number.isNaN(before) || weight > before) pixels[y * size + x] = weight;
        }
      }
    }
  }
  return pixels;
}

/** The keys that a query looks at most, strongest first. */
export function strongestKeys(
  pattern: Float32Array,
  T: number,
  query: number,
  count: number,
): { key: number; weight: number }[] {
  return Array.from({ length: Math.min(T, query + 1) }, (_, key) => ({
    key,
    weight: pattern[query * T + key] as number,
  }))
    .sort((a, b) => b.weight - a.weight)
    .slice(0, count);
}
