/** Patching from another text, as pure functions: the aligned tokens, the values a stack has, and the patch that is set up. */

import type { PatchedValue } from "../../../src/protocol/traceApi";
import { type AlignedTokens, alignTokens } from "../../../src/text/align";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";
import type { Inspection, Selection } from "../../trace/inspection";
import { tokenLabel } from "../../trace/tokens/layout";
import type { Patch } from "./changes";
import { layerIn, type Stack, stacksOf } from "./parts";

const PATCH_KINDS = ["residPre", "residPost", "attnOut", "crossOut", "mlpOut", "head", "crossHead"] as const;
export type PatchKind = (typeof PATCH_KINDS)[number];
const CROSS_KINDS: readonly string[] = ["crossOut", "crossHead"];

type Traced = Pick<Inspection, "trace" | "source">;

/** The text that is patched, and the one that values come from. In translators, `isEncoder` says which stack. */
export interface PatchTexts {
  readonly base: Traced;
  readonly other: Traced;
  readonly isEncoder: boolean;
}

const tokensIn = ({ trace }: Traced, isEncoder: boolean) => (isEncoder ? (trace.source?.tokens ?? []) : trace.tokens);

/** The label of a token; "" if there is none. */
export function labelIn(traced: Traced, isEncoder: boolean, position: number | null): string {
  const token = position === null ? undefined : tokensIn(traced, isEncoder)[position];
  return token ? tokenLabel(token) : "";
}

/** The tokens of both texts, aligned, with whether those of a column differ. */
export function alignTexts({ base, other, isEncoder }: PatchTexts) {
  const [own, others] = [base, other].map((traced) => tokensIn(traced, isEncoder).map(({ id }) => id)) as [
    number[],
    number[],
  ];
  const aligned = alignTokens(own, others);
  const differs = aligned.map(({ a, b }) => a === null || b === null || own[a] !== others[b]);
  return { aligned, differs };
}

/** The encoder or the decoder; models with a decoder only have no other stack. */
export function stackOf({ trace }: Traced, isEncoder: boolean): Stack {
  const stacks = stacksOf(trace);
  return stacks.find(({ stack }) => (stack === "encoder") === isEncoder) ?? (stacks.at(-1) as Stack);
}

/** The kinds of values that a stack has. */
export const kindsOf = ({ crosses }: Stack): readonly PatchKind[] =>
  PATCH_KINDS.filter((kind) => crosses || !CROSS_KINDS.includes(kind));

/** The selected layer and head, limited to those of the stack. */
export const selectedIn = ({ layers, heads }: Stack, { layer, head }: Pick<Selection, "layer" | "head">) => ({
  layer: Math.min(layer, layers - 1),
  head: Math.min(head, heads - 1),
});

/** The patch of a value at position `to`, taken from position `from` of the other text; null if either has no token. */
export function patchOf(
  { base, other, isEncoder }: PatchTexts,
  kind: PatchKind,
  selection: Pick<Selection, "layer" | "head">,
  to: number,
  from: number,
): Patch | null {
  const hasToken = (traced: Traced, position: number) => tokensIn(traced, isEncoder)[position] !== undefined;
  if (!hasToken(base, to) || !hasToken(other, from)) return null;
  const stack = stackOf(base, isEncoder);
  const { layer, head } = selectedIn(stack, selection);
  const at = layerIn(stack, layer);
  const value: PatchedValue = kind === "head" || kind === "crossHead" ? { kind, ...at, head } : { kind, ...at };
  return { kind: "patch", value, position: to, from: { trace: other.source.text, position: from } };
}

/** A table with one row per column of the alignment. */
export const alignedTable = (aligned: readonly AlignedTokens[], { base, other, isEncoder }: PatchTexts): TableData => ({
  title: t("Aligned tokens of the two texts"),
  columns: ["position here", "token here", "position there", "token there"],
  rows: aligned.length,
  row: (i) => {
    const { a, b } = aligned[i] as AlignedTokens;
    return [a ?? "", labelIn(base, isEncoder, a), b ?? "", labelIn(other, isEncoder, b)];
  },
});
