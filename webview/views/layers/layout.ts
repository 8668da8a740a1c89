/** The named values of a run, grouped by block, with the names of their dimensions. */

import type { TraceInfo } from "../../../src/protocol/engineApi";

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
  readonly values: readonly ValueRow[];
}

/** Input, blocks in order, output: values keep the order of the trace, which is the order they are computed in. */
export function valueGroups(values: TraceInfo["values"]): ValueGroup[] {
  const groups = new Map<string, { block: number | null; title: ValueGroup["title"]; values: ValueRow[] }>();
  for (const { name, shape } of values) {
    const inBlock = /^blocks\.(\d+)\.(.+)$/.exec(name);
    const block = inBlock ? Number(inBlock[1]) : null;
    const title = inBlock ? "Block" : name === "lnFinal" || name === "logits" ? "Output" : "Input";
    const key = `${title}${block ?? ""}`;
    const group = groups.get(key) ?? { block, title, values: [] };
    group.values.push({ name, label: inBlock?.[2] ?? name, shape, dimensions: dimensionsOf(name, shape) });
    groups.set(key, group);
  }
  const order = (group: ValueGroup) =>
    group.title === "Input" ? -1 : group.title === "Output" ? Number.POSITIVE_INFINITY : (group.block as number);
  return [...groups.values()].sort((a, b) => order(a) - order(b));
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
export const residualNorm = ({ residualNorms, tokens }: TraceInfo, block: number, token: number): number =>
  residualNorms[block * tokens.length + token] as number;
