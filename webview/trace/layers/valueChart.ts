/** A value of a trace as a heatmap. */

import { formatValue } from "../../base/format";
import { t } from "../../base/strings";
import type { HeatmapData } from "../../charts/heatmap";
import { attentionKinds } from "../attention/layout";
import type { Inspection } from "../inspection";
import { traceText } from "../provenance";
import { tokenLabel } from "../tokens/layout";
import { headOf, isPerHead, tokensOf, type ValueRow } from "./layout";

/** The matrix of a value, or of one of its heads. */
export interface ShownValue {
  readonly of: Inspection;
  readonly row: ValueRow;
  readonly head: number;
  readonly rows: number;
  readonly cols: number;
  readonly values: Float32Array;
}

/** Labels of the rows: tokens, except for values with one number per token, such as ids. */
export const rowLabels = ({ of, row }: ShownValue): readonly string[] =>
  row.shape.length === 2 ? [row.label] : tokensOf(of.trace, row).rows.map(tokenLabel);

export function valueChart(shown: ShownValue): HeatmapData {
  const { of, row, head, rows, cols, values } = shown;
  const isVector = row.shape.length === 2;
  const tokens = tokensOf(of.trace, row);
  const labels = tokens.rows.map(tokenLabel);
  const layer = Number(/blocks\.(\d+)\./.exec(row.name)?.[1] ?? 0);
  const kind = attentionKinds(of.trace).find((each) => each.valueName(layer, "pattern") === row.name);
  const masked = kind?.masked(layer);
  const ownHead = headOf(row, head, of.trace.model.config.nHeads);
  const index = isPerHead(row) ? `0, ${ownHead}, ` : row.shape.length === 3 ? "0, " : "";
  return {
    title: row.name,
    rows,
    cols,
    values,
    scale: row.name.endsWith(".pattern") ? "sequential" : "diverging",
    ...(masked && { masked, maskedLabel: t("masked") }),
    rowLabels: rowLabels(shown),
    colLabels: isVector ? labels : (tokens.cols?.map(tokenLabel) ?? "numbers"),
    rowHeight: tokens.cols === null ? 10 : "square",
    describe: (r, c) =>
      `“${labels[isVector ? c : r]}”  ${row.name}[${index}${r}, ${c}] = ${formatValue(values[r * cols + c] as number)}\n${traceText(of)}`,
  };
}
