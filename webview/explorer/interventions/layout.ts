/** What is changed in a run and what that did, as pure functions: the parts of the model, lists of changes, sweeps. */

import type { TraceInfo } from "../../../src/protocol/engineApi";
import type { Attribution, Intervention, Part, PatchedValue } from "../../../src/protocol/traceApi";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";
import { attentionKinds } from "../../trace/attention/layout";
import type { AlignedTokens } from "../tracePair/layout";

/** Layers whose parts can be changed: of a translator those of its encoder, and those of its decoder. */
export interface Stack {
  /** Undefined of a decoder alone. */
  readonly stack: "encoder" | "decoder" | undefined;
  readonly layers: number;
  readonly heads: number;
  /** Whether its layers attend to a source too. */
  readonly crosses: boolean;
}

/** The stacks of a run, in the order of the computation. */
export function stacksOf(trace: TraceInfo): Stack[] {
  const sizes = new Map(attentionKinds(trace).map((kind) => [kind.id, kind]));
  const [encoder, self] = [sizes.get("encoder"), sizes.get("self")];
  const { layers = 0, heads = 0 } = self ?? {};
  if (!encoder) return [{ stack: undefined, layers, heads, crosses: false }];
  return [
    { stack: "encoder", layers: encoder.layers, heads: encoder.heads, crosses: false },
    { stack: "decoder", layers, heads, crosses: sizes.has("cross") },
  ];
}

/** The parts of a model as a table, a row for each layer. */
export interface PartGrid {
  /** Of each row, and what it is called. */
  readonly layers: readonly Layer[];
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** Null where a layer has no such part. */
  readonly at: (row: number, col: number) => Part | null;
  readonly placeOf: (part: Part) => { readonly row: number; readonly col: number };
}

type Layer = Pick<Part, "stack" | "layer">;

const EVERY_KIND = ["head", "crossHead", "attention", "cross", "mlp", "layer"] as const;

/** With columns for those kinds of parts that any of the stacks has. */
export function partGrid(stacks: readonly Stack[], wanted: readonly Part["kind"][] = EVERY_KIND): PartGrid {
  const rows = stacks.flatMap((of) =>
    Array.from({ length: of.layers }, (_, layer) => ({ of, place: layerIn(of, layer) })),
  );
  const crosses = stacks.some((each) => each.crosses);
  const heads = stacks.reduce((most, each) => Math.max(most, each.heads), 0);
  const columns = wanted.flatMap((kind): { kind: Part["kind"]; head: number; label: string }[] => {
    if (!crosses && isCross(kind)) return [];
    if (kind !== "head" && kind !== "crossHead") return [{ kind, head: 0, label: LABELS[kind]() }];
    return Array.from({ length: heads }, (_, head) => ({ kind, head, label: headLabel(kind, head, crosses) }));
  });
  const at: PartGrid["at"] = (row, col) => {
    const [layer, column] = [rows[row], columns[col]];
    if (!layer || !column || (isCross(column.kind) && !layer.of.crosses)) return null;
    const { of, place } = layer;
    const { kind, head } = column;
    if (kind !== "head" && kind !== "crossHead") return { kind, ...place };
    return head < of.heads ? { kind, ...place, head } : null;
  };
  return {
    layers: rows.map(({ place }) => place),
    rows: rows.map(({ place: { stack, layer } }) => ROWS[stack ?? "alone"](layer)),
    columns: columns.map(({ label }) => label),
    at,
    placeOf: (part) => ({
      row: rows.findIndex(({ place: { stack, layer } }) => stack === part.stack && layer === part.layer),
      col: columns.findIndex(({ kind, head }) => kind === part.kind && (!("head" in part) || head === part.head)),
    }),
  };
}

/** A layer of a stack, which is named where there are two. */
export const layerIn = ({ stack }: Stack, layer: number): Layer => (stack ? { stack, layer } : { layer });

/** Said of a place in the table where a layer has no part. */
export const NO_PART = (): string => t("This layer has no such part.");

const isCross = (kind: Part["kind"]): boolean => kind === "cross" || kind === "crossHead";

/** Short: they stand before a row of the table. */
const ROWS = {
  encoder: (layer: number) => t("encoder {0}", layer),
  decoder: (layer: number) => t("decoder {0}", layer),
  alone: (layer: number) => t("layer {0}", layer),
};

const LABELS: { readonly [K in Exclude<Part["kind"], "head" | "crossHead">]: () => string } = {
  attention: () => t("attn"),
  cross: () => t("cross"),
  mlp: () => t("MLP"),
  layer: () => t("layer"),
};

function headLabel(kind: "head" | "crossHead", head: number, crosses: boolean): string {
  if (!crosses) return String(head);
  return kind === "head" ? t("self {0}", head) : t("cross {0}", head);
}

const isSame = (a: Part | PatchedValue, b: Part | PatchedValue): boolean =>
  a.kind === b.kind && a.layer === b.layer && a.stack === b.stack && headOf(a) === headOf(b);

const headOf = (of: Part | PatchedValue): number | null => ("head" in of ? of.head : null);

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

export type SweepKind = "off" | "patchHeads" | "residPre" | "attnOut" | "crossOut" | "mlpOut";

export interface SweepCell {
  readonly row: number;
  readonly col: number;
  readonly intervention: Intervention;
}

export interface Sweep {
  /** Their names, one for each layer. */
  readonly rows: readonly string[];
  /** Of parts; of positions there are the tokens. */
  readonly columns: readonly string[] | null;
  readonly cols: number;
  /** One run each. */
  readonly cells: readonly SweepCell[];
}

/** What a sweep copies from: another run, how its tokens stand beside this one's, and the place that is looked at. */
export interface SweepSource {
  readonly trace: number;
  /** Whose layers are copied to. */
  readonly stack: Stack;
  readonly aligned: readonly AlignedTokens[];
  readonly pair: { readonly a: number; readonly b: number };
}

/**
 * The runs of a sweep: each changes one thing. Over positions, those that have a token beside them; of what is written
 * those up to `last`, for what comes later cannot change what is predicted there.
 */
export function sweepOf(
  kind: SweepKind,
  { stacks, last }: { readonly stacks: readonly Stack[]; readonly last: number },
  source: SweepSource | null,
): Sweep {
  if (kind === "off") {
    return overParts(partGrid(stacks, ["head", "crossHead", "mlp"]), (part) => ({ kind: "scale", part, factor: 0 }));
  }
  if (!source) return { rows: [], columns: null, cols: 0, cells: [] };
  const { trace, stack, aligned, pair } = source;
  const patch = (value: PatchedValue, position: number, from: number): Patch => ({
    kind: "patch",
    value,
    position,
    from: { trace, position: from },
  });
  if (kind === "patchHeads") {
    return overParts(partGrid([stack], ["head", "crossHead"]), (part) =>
      // No other parts were asked for.
      patch(part as Extract<Part, { head: number }>, pair.a, pair.b),
    );
  }
  const cols = stack.stack === "encoder" ? aligned.filter(({ a }) => a !== null).length : last + 1;
  const pairs = aligned.filter(({ a, b }) => a !== null && b !== null && a < cols) as { a: number; b: number }[];
  const { layers, rows } = partGrid([stack]);
  const cells = layers.flatMap((layer, row) =>
    pairs.map(({ a, b }): SweepCell => ({ row, col: a, intervention: patch({ kind, ...layer }, a, b) })),
  );
  return { rows, columns: null, cols, cells };
}

/** A run for each part that there is. */
function overParts({ rows, columns, at }: PartGrid, change: (part: Part) => Intervention): Sweep {
  const cells = rows.flatMap((_, row) =>
    columns.flatMap((_, col): SweepCell[] => {
      const part = at(row, col);
      return part ? [{ row, col, intervention: change(part) }] : [];
    }),
  );
  return { rows, columns, cols: columns.length, cells };
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
    columns: ["change", "stack", "layer", "head", "position", `${measure} before`, `${measure} after`, "effect"],
    rows: done.length,
    row: (i) => {
      const { row, col, intervention } = done[i] as SweepCell;
      const effect = values[row * cols + col] as number;
      const place = intervention.kind === "scale" ? intervention.part : intervention.value;
      return [
        `${intervention.kind} ${place.kind}`,
        place.stack ?? "",
        place.layer,
        "head" in place ? place.head : "",
        intervention.kind === "patch" ? intervention.position : "",
        before,
        before + effect,
        effect,
      ];
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
  const byKey = runs.map(({ parts }) => {
    const values = new Map<string, number>();
    // A layer of a post-norm model has the bias of each of its norms.
    for (const part of parts) values.set(keyOf(part), (values.get(keyOf(part)) ?? 0) + part.value);
    return values;
  });
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
    case "crossHead":
      return t("{0} head {1} to the source", at, head ?? 0);
    case "mlp":
      return t("{0} MLP", at);
    case "attention":
      return t("{0} attention, copied", at);
    case "cross":
      return t("{0} attention to the source, copied", at);
    case "stream":
      return layer === null ? t("stream, copied") : t("{0} stream, copied", at);
    case "attnBias":
      return t("{0} attention bias", at);
    case "crossBias":
      return t("{0} bias of attention to the source", at);
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
