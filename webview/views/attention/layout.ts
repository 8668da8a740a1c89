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
