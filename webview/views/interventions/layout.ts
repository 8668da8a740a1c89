/** What is changed in a run and what that did, as pure functions: the parts of the model, lists of changes, sweeps. */

import type { Attribution, Intervention, Part, PatchedValue } from "../../../src/protocol/traceApi";
import type { TableData } from "../../charts/csv";
import { t } from "../../strings";
import type { AlignedTokens } from "../pair/layout";

/** The columns after the heads: what else of a layer can be scaled. */
const WHOLE = ["attention", "mlp", "layer"] as const;

export const partColumns = (heads: number): string[] => [
  ...Array.from({ length: heads }, (_, head) => String(head)),
  t("attn"),
  t("MLP"),
  t("layer"),
];

/** The part of a cell: a row for each layer, a column for each head and each of the rest. */
export function partAt(layer: number, col: number, heads: number): Part {
  if (col < heads) return { kind: "head", layer, head: col };
  return { kind: WHOLE[col - heads] as (typeof WHOLE)[number], layer };
}

const isSame = (a: Part | PatchedValue, b: Part | PatchedValue): boolean =>
  a.kind === b.kind && a.layer === b.layer && (a.kind !== "head" || a.head === (b as { head?: number }).head);

/** What a part is multiplied by; 1 where it is left as it is. */
export const factorOf = (list: readonly Intervention[], part: Part): number =>
  list.reduce((factor, each) => (each.kind === "scale" && isSame(each.part, part) ? each.factor : factor), 1);

/** The list with a part multiplied by something else. */
export function withFactor(list: readonly Intervention[], part: Part, factor: number): Intervention[] {
  const others = list.filter((each) => each.kind !== "scale" || !isSame(each.part, part));
  return factor === 1 ? others : [...others, { kind: "scale", part, factor }];
}

/** What a click makes of a factor: off, doubled, and as it was. */
export const nextFactor = (factor: number): number => (factor === 1 ? 0 : factor === 0 ? 2 : 1);

export type Patch = Extract<Intervention, { kind: "patch" }>;

/** The list with a value copied; what was copied to the same place before makes way. */
export const withPatch = (list: readonly Intervention[], patch: Patch): Intervention[] => [
  ...list.filter(
    (each) => each.kind !== "patch" || each.position !== patch.position || !isSame(each.value, patch.value),
  ),
  patch,
];

export type SweepKind = "off" | "patchHeads" | "residPre" | "attnOut" | "mlpOut";

export interface SweepCell {
  readonly row: number;
  readonly col: number;
  readonly intervention: Intervention;
}

export interface Sweep {
  readonly rows: number;
  readonly cols: number;
  /** Of the columns: heads with the MLP after them, or positions. */
  readonly by: "part" | "position";
  /** One run each. */
  readonly cells: readonly SweepCell[];
}

/** What a sweep copies from: another run, how its tokens stand beside this one's, and the place that is looked at. */
export interface SweepSource {
  readonly trace: number;
  readonly aligned: readonly AlignedTokens[];
  readonly pair: { readonly a: number; readonly b: number };
}

/**
 * The runs of a sweep: each changes one thing. Over positions, those up to `last` that have a token beside them: what
 * comes later cannot change what is predicted there.
 */
export function sweepOf(
  kind: SweepKind,
  { layers, heads, last }: { readonly layers: number; readonly heads: number; readonly last: number },
  source: SweepSource | null,
): Sweep {
  const layer = Array.from({ length: layers }, (_, l) => l);
  if (kind === "off") {
    const cells = layer.flatMap((row) =>
      Array.from({ length: heads + 1 }, (_, col): SweepCell => {
        const part: Part = col < heads ? { kind: "head", layer: row, head: col } : { kind: "mlp", layer: row };
        return { row, col, intervention: { kind: "scale", part, factor: 0 } };
      }),
    );
    return { rows: layers, cols: heads + 1, by: "part", cells };
  }
  if (!source) return { rows: layers, cols: 0, by: "position", cells: [] };
  const { trace, aligned, pair } = source;
  const patch = (value: PatchedValue, position: number, from: number): Patch => ({
    kind: "patch",
    value,
    position,
    from: { trace, position: from },
  });
  if (kind === "patchHeads") {
    const cells = layer.flatMap((row) =>
      Array.from({ length: heads }, (_, col): SweepCell => {
        return { row, col, intervention: patch({ kind: "head", layer: row, head: col }, pair.a, pair.b) };
      }),
    );
    return { rows: layers, cols: heads, by: "part", cells };
  }
  const pairs = aligned.filter(({ a, b }) => a !== null && b !== null && a <= last) as { a: number; b: number }[];
  const cells = layer.flatMap((row) =>
    pairs.map(({ a, b }): SweepCell => ({ row, col: a, intervention: patch({ kind, layer: row }, a, b) })),
  );
  return { rows: layers, cols: last + 1, by: "position", cells };
}

/** A row for each run of a sweep that is done. */
export function sweepTable(
  title: string,
  { cells, cols }: Sweep,
  values: Float32Array,
  before: number,
  measure: string,
): TableData {
  const done = cells.filter(({ row, col }) => !Number.isNaN(values[row * cols + col] as number));
  return {
    title,
    columns: ["change", "layer", "head or position", `${measure} before`, `${measure} after`, "effect"],
    rows: done.length,
    row: (i) => {
      const { row, col, intervention } = done[i] as SweepCell;
      const effect = values[row * cols + col] as number;
      const place = intervention.kind === "scale" ? intervention.part : intervention.value;
      return [`${intervention.kind} ${place.kind}`, row, col, before, before + effect, effect];
    },
  };
}

/** What a part of the model adds to a logit, in one run or in two. */
export interface AttributedRow {
  readonly label: string;
  readonly kind: string;
  readonly layer: number | null;
  readonly head: number | null;
  /** NaN where a run has no such part. */
  readonly values: readonly number[];
}

/** The parts of every run, in the model's order or the largest first. */
export function attributedRows(runs: readonly Attribution[], order: "size" | "model"): AttributedRow[] {
  const keyOf = ({ kind, layer, head }: Attribution["parts"][number]) => `${kind} ${layer} ${head}`;
  const byKey = runs.map(({ parts }) => new Map(parts.map((part) => [keyOf(part), part.value])));
  const first = new Map(runs.flatMap(({ parts }) => parts.map((part) => [keyOf(part), part] as const)));
  const rows = [...first].map(([key, { kind, layer, head }]) => ({
    label: partLabel(kind, layer, head),
    kind,
    layer,
    head,
    values: byKey.map((values) => values.get(key) ?? Number.NaN),
  }));
  if (order === "model") return rows;
  const size = ({ values }: AttributedRow) =>
    values.reduce((most, value) => (Number.isNaN(value) ? most : Math.max(most, Math.abs(value))), 0);
  return rows.sort((a, b) => size(b) - size(a));
}

function partLabel(kind: string, layer: number | null, head: number | null): string {
  const at = layer === null ? "" : t("layer {0}", layer);
  switch (kind) {
    case "head":
      return t("{0} head {1}", at, head ?? 0);
    case "mlp":
      return t("{0} MLP", at);
    case "attention":
      return t("{0} attention, copied", at);
    case "stream":
      return layer === null ? t("stream, copied") : t("{0} stream, copied", at);
    case "attnBias":
      return t("{0} attention bias", at);
    case "norm":
      return t("{0} norm bias", at);
    case "embed":
      return t("token embedding");
    case "posEmbed":
      return t("position embedding");
    case "finalNormBias":
      return t("final norm bias");
    case "headBias":
      return t("head bias");
    default:
      return `${kind} ${at}`;
  }
}

export const attributionTable = (
  title: string,
  rows: readonly AttributedRow[],
  names: readonly string[],
): TableData => ({
  title,
  columns: ["part", "kind", "layer", "head", ...names],
  rows: rows.length,
  row: (i) => {
    const { label, kind, layer, head, values } = rows[i] as AttributedRow;
    return [label, kind, layer ?? "", head ?? "", ...values.map((value) => (Number.isNaN(value) ? "" : value))];
  },
});

export const sumOf = ({ parts }: Attribution): number => parts.reduce((sum, { value }) => sum + value, 0);
