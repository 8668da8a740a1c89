/** The named values of a trace, grouped by block, with the names of their dimensions. */

import type { TokenSpan, TraceInfo } from "../../../src/protocol/engineApi";
import { t } from "../../base/strings";
import { type Selection, sourceTokenOf } from "../inspection";

/** Prefix of the names of an encoder's values. */
export const ENCODER = "enc.";

export interface ValueRow {
  /** Name in the trace: `blocks.0.attn.q`. */
  readonly name: string;
  /** Name within its group: `attn.q`. */
  readonly label: string;
  readonly shape: readonly number[];
  readonly dimensions: readonly string[];
}

export interface ValueGroup {
  /** Number of the block; null before and after the blocks. */
  readonly block: number | null;
  readonly title: "Input" | "Block" | "Output";
  /** Stack of a translator; null for a decoder-only model. */
  readonly stack: "encoder" | "decoder" | null;
  readonly values: readonly ValueRow[];
}

/**
 * Groups values into input, blocks in order, and output, with the encoder first. Within a group they keep the order of
 * the trace, which is the order of computation.
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

/** The tokens of a value's rows, and of its columns where those are tokens too. */
export function tokensOf(
  { tokens, source }: Pick<TraceInfo, "tokens" | "source">,
  { name, dimensions }: Pick<ValueRow, "name" | "dimensions">,
): { rows: readonly TokenSpan[]; cols: readonly TokenSpan[] | null } {
  const read = source?.tokens ?? [];
  const isPair = dimensions.at(-1) === "key";
  if (isOverSource(name)) return { rows: read, cols: isPair ? read : null };
  return { rows: tokens, cols: isPair ? (/\.cross\./.test(name) ? read : tokens) : null };
}

/** Returns whether the rows of a value are a translator's source tokens. */
export const isOverSource = (name: string): boolean => name.startsWith(ENCODER) || /\.cross\.[kv]$/.test(name);

/** Names of a value's dimensions. */
export function dimensionsOf(name: string, shape: readonly number[]): string[] {
  const last = name.split(".").at(-1) ?? name;
  if (last === "scores" || last === "pattern") return ["batch", "head", "query", "key"];
  if (shape.length === 4) return ["batch", last === "k" || last === "v" ? "KV head" : "head", "position", "dHead"];
  if (last === "logits") return ["batch", "position", "vocabulary"];
  if (shape.length === 3) return ["batch", "position", "dModel"];
  return ["batch", "position"].slice(0, shape.length);
}

/** Returns whether a value has one vector of dModel numbers per token, whose norm is shown. */
export const hasTokenVectors = ({ dimensions }: ValueRow): boolean => dimensions.at(-1) === "dModel";

/** Returns whether a value has one matrix per head. */
export const isPerHead = ({ shape }: ValueRow): boolean => shape.length === 4;

/** The head of a value that belongs to a query head; several query heads may share a key-value head. */
export const headOf = ({ shape, dimensions }: ValueRow, head: number, nHeads: number): number =>
  dimensions[1] === "KV head" ? Math.floor((head * (shape[1] ?? 1)) / nHeads) : head;

/** Norm of a token in the residual stream after `block` blocks; `residualNorms` is [nLayers + 1, T]. */
export const residualNorm = (
  { residualNorms, tokens }: Pick<TraceInfo, "residualNorms" | "tokens">,
  block: number,
  token: number,
): number => residualNorms[block * tokens.length + token] as number;

export function titleOf({ title, block, stack }: ValueGroup): string {
  const own = block !== null ? t("Layer {0}", block) : title === "Output" ? t("Output") : t("Input");
  if (stack === null) return own;
  return stack === "encoder" ? t("Encoder: {0}", own) : t("Decoder: {0}", own);
}

/** Prefix of the names of a block's values. */
export const prefixOf = ({ block, stack }: Pick<ValueGroup, "block" | "stack">): string =>
  `${stack === "encoder" ? ENCODER : ""}blocks.${block}`;

/** Norms of the selected token in the residual stream, which the trace brings along, by value name. */
export function streamNorms(
  trace: Pick<TraceInfo, "residualNorms" | "tokens" | "source">,
  groups: readonly ValueGroup[],
  selection: Selection,
): Map<string, number> {
  const norms = new Map<string, number>();
  for (const group of groups) {
    const isEncoder = group.stack === "encoder";
    const stack = isEncoder ? trace.source : trace;
    const token = isEncoder ? sourceTokenOf(selection, trace) : selection.token;
    if (group.block === null || !stack || token >= stack.tokens.length) continue;
    norms.set(`${prefixOf(group)}.residPre`, residualNorm(stack, group.block, token));
    norms.set(`${prefixOf(group)}.residPost`, residualNorm(stack, group.block + 1, token));
  }
  return norms;
}
