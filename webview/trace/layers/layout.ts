/** The named values of a run, grouped by block, with the names of their dimensions. */

import type { TokenSpan, TraceInfo } from "../../../src/protocol/engineApi";

/** What the names of a translator's values over its source begin with. */
export const ENCODER = "enc.";

export interface ValueRow {
  /** As the trace names it: `blocks.0.attn.q`. */
  readonly name: string;
  /** Inside its group: `attn.q`. */
  readonly label: string;
  readonly shape: readonly number[];
  readonly dimensions: readonly string[];
}

export interface ValueGroup {
  /** The block's number; null for what is before or after the blocks. */
  readonly block: number | null;
  readonly title: "Input" | "Block" | "Output";
  /** Of a translator, the stack that reads or the one that writes. */
  readonly stack: "encoder" | "decoder" | null;
  readonly values: readonly ValueRow[];
}

/**
 * Input, blocks in order, output, those of an encoder first: values keep the order of the trace, which is the order they
 * are computed in.
 */
export function valueGroups(values: TraceInfo["values"]): ValueGroup[] {
  const groups = new Map<string, ValueGroup & { values: ValueRow[] }>();
  const isTranslator = values.some(({ name }) => name.startsWith(ENCODER));
  for (const { name, shape } of values) {
    const isEncoder = name.startsWith(ENCODER);
    const own = isEncoder ? name.slice(ENCODER.length) : name;
    const inBlock = /^blocks\.(\d+)\.(.+)$/.exec(own);
    const block = inBlock ? Number(inBlock[1]) : null;
    const title = inBlock ? "Block" : own === "lnFinal" || own === "logits" ? "Output" : "Input";
    const stack = isEncoder ? "encoder" : isTranslator ? "decoder" : null;
    const key = `${isEncoder}${title}${block ?? ""}`;
    const group = groups.get(key) ?? { block, title, stack, values: [] };
    group.values.push({ name, label: inBlock?.[2] ?? own, shape, dimensions: dimensionsOf(name, shape) });
    groups.set(key, group);
  }
  const order = (group: ValueGroup) =>
    group.title === "Input" ? -1 : group.title === "Output" ? Number.POSITIVE_INFINITY : (group.block as number);
  const isFirst = ({ stack }: ValueGroup) => Number(stack === "encoder");
  return [...groups.values()].sort((a, b) => isFirst(b) - isFirst(a) || order(a) - order(b));
}

/** The tokens that the rows of a value stand for, and its columns where they stand for tokens too. */
export function tokensOf(
  { tokens, source }: Pick<TraceInfo, "tokens" | "source">,
  { name, dimensions }: Pick<ValueRow, "name" | "dimensions">,
): { rows: readonly TokenSpan[]; cols: readonly TokenSpan[] | null } {
  const read = source?.tokens ?? [];
  const isPair = dimensions.at(-1) === "key";
  if (name.startsWith(ENCODER)) return { rows: read, cols: isPair ? read : null };
  if (/\.cross\.[kv]$/.test(name)) return { rows: read, cols: null };
  return { rows: tokens, cols: isPair ? (/\.cross\./.test(name) ? read : tokens) : null };
}

/** What each dimension of a value counts. */
export function dimensionsOf(name: string, shape: readonly number[]): string[] {
  const last = name.split(".").at(-1) ?? name;
  if (last === "scores" || last === "pattern") return ["batch", "head", "query", "key"];
  if (shape.length === 4) return ["batch", last === "k" || last === "v" ? "KV head" : "head", "position", "dHead"];
  if (last === "logits") return ["batch", "position", "vocabulary"];
  if (shape.length === 3) return ["batch", "position", "dModel"];
  return ["batch", "position"].slice(0, shape.length);
}

/** Whether a value has one vector of the residual stream's width per token, so that a token's norm means something. */
export const hasTokenVectors = ({ dimensions }: ValueRow): boolean => dimensions.at(-1) === "dModel";

/** Whether a value has one matrix per head. */
export const isPerHead = ({ shape }: ValueRow): boolean => shape.length === 4;

/** Which head of a value belongs to a head of queries: several of those may share one of keys and values. */
export const headOf = ({ shape, dimensions }: ValueRow, head: number, nHeads: number): number =>
  dimensions[1] === "KV head" ? Math.floor((head * (shape[1] ?? 1)) / nHeads) : head;

/** The norm of a token in the residual stream after `block` blocks; `residualNorms` is [nLayers + 1, T]. */
export const residualNorm = (
  { residualNorms, tokens }: Pick<TraceInfo, "residualNorms" | "tokens">,
  block: number,
  token: number,
): number => residualNorms[block * tokens.length + token] as number;
