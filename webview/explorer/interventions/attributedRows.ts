/** Direct logit attribution as rows: what each part of the model adds to a logit, in one trace or in two. */

import type { Attribution } from "../../../src/protocol/traceApi";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";

export interface AttributedRow {
  readonly label: string;
  readonly kind: string;
  readonly layer: number | null;
  readonly head: number | null;
  /** One per trace; NaN if the trace has no such part. */
  readonly values: readonly number[];
}

/** The parts of all traces, in the model's order or largest first. */
export function attributedRows(attributions: readonly Attribution[], order: "size" | "model"): AttributedRow[] {
  const keyOf = ({ kind, layer, head }: Attribution["parts"][number]) => `${kind} ${layer} ${head}`;
  const byKey = attributions.map(({ parts }) => {
    const values = new Map<string, number>();
    // A layer of a post-norm model has a bias for each of its two norms.
    for (const part of parts) values.set(keyOf(part), (values.get(keyOf(part)) ?? 0) + part.value);
    return values;
  });
  const first = new Map(attributions.flatMap(({ parts }) => parts.map((part) => [keyOf(part), part] as const)));
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
      return t("{0} cross-attention head {1}", at, head ?? 0);
    case "mlp":
      return t("{0} MLP", at);
    case "attention":
      return t("{0} attention, patched", at);
    case "cross":
      return t("{0} cross-attention, patched", at);
    case "stream":
      return layer === null ? t("residual stream, patched") : t("{0} residual stream, patched", at);
    case "attnBias":
      return t("{0} attention bias", at);
    case "crossBias":
      return t("{0} cross-attention bias", at);
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
