/** Beside the grid: the tokens of one cell, and the tracked token along the layers. */

import { el, fill } from "../../base/dom";
import { formatPercent, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { createLineChart } from "../../charts/lineChart";
import { createDataBar, type Save } from "../../parts/dataBar";
import type { Inspection } from "../../trace/inspection";
import { traceText } from "../../trace/provenance";
import { tokenLabel } from "../../trace/tokens/layout";
import { depthLabel, type LensCell, rankPath, trackTable } from "./layout";
import type { TrackedToken } from "./loader";

export interface ShownCell {
  readonly inspection: Inspection;
  readonly position: number;
  readonly depths: readonly string[];
  /** Index in `depths`. */
  readonly depth: number;
  /** Cells of the position, one per depth; undefined until they are loaded. */
  readonly cells: readonly LensCell[] | undefined;
  readonly tracked: TrackedToken | null;
}

/** `track` is called with a token of the list that is clicked. */
export function createLensDetail(save: Save, track: (token: TrackedToken) => void) {
  let shown: ShownCell | null = null;
  const title = el("h3", { class: "subheading" });
  const list = el("ol", { class: "bars lens-top" });
  const path = el("p", { class: "small" });
  const chart = createLineChart({
    title: t("Tracked token by layer"),
    height: "160px",
    formatAxis: formatPercent,
  });
  const data = createDataBar(
    {
      fileName: () => `logit-lens-token-${shown?.tracked?.id}`,
      table: () =>
        shown?.tracked && shown.cells
          ? trackTable(shown.depths, shown.cells, t("“{0}” by layer", shown.tracked.label))
          : null,
      of: () => shown?.inspection,
      drawing: chart.drawing,
    },
    save,
  );
  const chartPart = el(
    "div",
    {},
    el("h3", { class: "subheading" }, t("Tracked token by layer")),
    path,
    chart.node,
    data.node,
  );

  const drawToken = (
    { id, label, probability }: LensCell["top"][number],
    { inspection, depths, depth, position }: ShownCell,
  ) => {
    const bar = el("span", { class: "bar-fill" });
    bar.style.width = `${100 * probability}%`;
    const value = `${depths[depth] ?? ""}[0, ${position}] → #${id}: ${formatValue(probability)}`;
    return el(
      "li",
      { class: "bar", title: `${value}\n${traceText(inspection)}` },
      el(
        "button",
        {
          class: "bar-label mono action",
          attrs: { type: "button", title: t("Track this token") },
          on: { click: () => track({ id, label }) },
        },
        label,
      ),
      el("span", { class: "bar-note number" }, `#${id}`),
      el("span", { class: "bar-track", attrs: { "aria-hidden": "true" } }, bar),
      el("span", { class: "bar-value number" }, formatPercent(probability)),
    );
  };

  const drawChart = ({ label }: TrackedToken, cells: readonly LensCell[], depths: readonly string[]) => {
    const along = cells.map((each) => each.tracked?.probability ?? Number.NaN);
    path.textContent = t("Rank of “{0}” by layer: {1}", label, rankPath(cells.map((each) => each.tracked?.rank ?? 0)));
    chart.show(
      [
        {
          name: `“${label}”`,
          points: { x: along.map((_, p) => p), y: along },
          color: 0,
          style: "line",
          format: formatPercent,
        },
      ],
      { x: { name: t("layer"), format: (p) => depthLabel(depths[p] ?? ""), whole: true }, log: false },
    );
    data.update();
  };

  return {
    node: el("div", { class: "lens-detail" }, el("div", {}, title, list), chartPart),
    show(cell: ShownCell) {
      shown = cell;
      const { inspection, position, depths, depth, cells, tracked } = cell;
      const token = inspection.trace.tokens[position];
      title.textContent = t("{0} after “{1}”", depths[depth] ?? "", token ? tokenLabel(token) : "");
      fill(list, ...(cells?.[depth]?.top ?? []).map((each) => drawToken(each, cell)));
      chartPart.hidden = tracked === null || !cells;
      if (tracked && cells) drawChart(tracked, cells, depths);
    },
  };
}
