/** The logit lenses of two traces at one position, as columns. */

import { el } from "../../base/dom";
import { formatPercent, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import { traceText } from "../../trace/provenance";
import { depthLabel } from "../lens/layout";
import { lensPairTable } from "./layout";
import { type LensPair, positionsText, TOP, type TracePair } from "./tracePair";

export interface LensColumns {
  readonly node: HTMLElement;
  readonly show: (pair: TracePair, lenses: LensPair) => void;
}

export function createLensColumns(fileName: string, save: Save): LensColumns {
  let shown: { readonly pair: TracePair; readonly lenses: LensPair } | null = null;
  const title = el("h3", { class: "subheading" });
  const heatmap = createHeatmap(() => undefined);
  const data = createDataBar(
    {
      fileName: () => fileName,
      table: () =>
        shown &&
        lensPairTable(
          title.textContent ?? "",
          shown.lenses.depths,
          shown.pair.positions,
          shown.lenses.cells,
          shown.pair.names,
          TOP,
        ),
      of: () => shown?.pair.inspections,
      drawing: heatmap.drawing,
    },
    save,
  );
  return {
    node: el("section", { class: "pair-part" }, title, heatmap.node, data.node),
    show(pair, lenses) {
      shown = { pair, lenses };
      const { depths, cells } = lenses;
      const rows = depths.length;
      title.textContent = t("Logit lens {0}", positionsText(pair));
      // The last layer is on top, as in the lens itself.
      const cellAt = (row: number, column: number) => cells[column]?.[rows - 1 - row];
      heatmap.show({
        title: title.textContent,
        rows,
        cols: 2,
        values: Float32Array.from({ length: rows * 2 }, (_, i) => cellAt(i >> 1, i & 1)?.top[0]?.probability ?? 0),
        scale: "sequential",
        max: 1,
        rowLabels: [...depths].reverse().map(depthLabel),
        colLabels: pair.names,
        rowHeight: 20,
        text: (row, column) => {
          const best = cellAt(row, column)?.top[0];
          return best ? `${best.label} ${formatPercent(best.probability)}` : "";
        },
        describe: (row, column) => {
          const name = depths[rows - 1 - row] as string;
          const inspection = pair.inspections[column as 0 | 1];
          const best = cellAt(row, column)?.top.slice(0, TOP) ?? [];
          const listed = best.map(({ label, probability }) => `“${label}” ${formatValue(probability)}`).join(", ");
          return `${pair.names[column]}: ${name}[0, ${pair.positions[column as 0 | 1]}]\n${listed}\n${traceText(inspection)}`;
        },
      });
      data.update();
    },
  };
}
