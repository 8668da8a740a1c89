/** The factor of each part of the model, as a table with a slider for the selected part. */

import "../../parts/slider.css";
import type { Intervention, Part } from "../../../src/protocol/traceApi";
import { el } from "../../base/dom";
import { t } from "../../base/strings";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import type { Inspection } from "../../trace/inspection";
import { traceText } from "../../trace/provenance";
import { interventionText } from "../interventionChips";
import { factorOf, nextFactor } from "./changes";
import { NO_PART, partGrid, stacksOf } from "./parts";

export interface PartsTableHooks {
  readonly select: (part: Part) => void;
  readonly setFactor: (part: Part, factor: number) => void;
}

export function createPartsTable(save: Save, hooks: PartsTableHooks) {
  let base: Inspection | null = null;
  let list: readonly Intervention[] = [];
  let grid = partGrid([]);
  let selected: Part | null = null;
  const factorAt = (row: number, col: number): number => {
    const part = grid.at(row, col);
    return part ? factorOf(list, part) : 1;
  };

  const heatmap = createHeatmap((row, col) => {
    const part = grid.at(row, col);
    if (!part) return;
    selected = part;
    hooks.select(part);
    hooks.setFactor(part, nextFactor(factorOf(list, part)));
  });
  const data = createDataBar(
    {
      fileName: () => "interventions",
      table: () => ({
        title: t("Factor of each part"),
        columns: ["stack", "layer", ...grid.columns],
        rows: grid.rows.length,
        row: (row) => [
          grid.layers[row]?.stack ?? "",
          grid.layers[row]?.layer ?? "",
          ...grid.columns.map((_, col) => (grid.at(row, col) ? factorAt(row, col) : "")),
        ],
      }),
      of: () => base,
      picture: heatmap.picture,
      svg: heatmap.svg,
    },
    save,
  );
  const slider = el("input", {
    class: "slider",
    attrs: { type: "range", min: -1, max: 3, step: 0.05, value: 1, "aria-label": t("Factor") },
    on: { input: () => selected && hooks.setFactor(selected, Number(slider.value)) },
  });
  const sliderLabel = el("span", { class: "small" });

  const draw = () => {
    if (!base || !selected) return;
    const from = base;
    const { rows, columns } = grid;
    heatmap.show({
      title: t("Factor of each part"),
      rows: rows.length,
      cols: columns.length,
      values: Float32Array.from(
        { length: rows.length * columns.length },
        (_, i) => factorAt(Math.floor(i / columns.length), i % columns.length) - 1,
      ),
      max: 1,
      scale: "diverging",
      masked: (row, col) => grid.at(row, col) === null,
      rowLabels: rows,
      colLabels: columns,
      rowHeight: 22,
      text: (row, col) => {
        if (grid.at(row, col) === null) return "";
        const factor = factorAt(row, col);
        return factor === 1 ? "1" : `× ${Number(factor.toPrecision(3))}`;
      },
      describe: (row, col) => {
        const part = grid.at(row, col);
        if (!part) return NO_PART();
        return `${interventionText({ kind: "scale", part, factor: factorOf(list, part) })}\n${traceText(from)}`;
      },
    });
    const factor = factorOf(list, selected);
    const text = interventionText({ kind: "scale", part: selected, factor });
    slider.value = String(factor);
    sliderLabel.textContent = t("Factor: {0}", text);
    slider.setAttribute("aria-valuetext", text);
    const { row, col } = grid.cellOf(selected);
    heatmap.mark(row, col);
    data.update();
  };

  return {
    nodes: [heatmap.node, data.node],
    slider: el("label", {}, sliderLabel, slider),
    focus: heatmap.focus,
    /** Shows the parts of a model; the selected part stays if the model has it. */
    setBase(next: Inspection) {
      base = next;
      grid = partGrid(stacksOf(next.trace));
      const { row, col } = selected ? grid.cellOf(selected) : { row: 0, col: 0 };
      selected = grid.at(row, col) ?? grid.at(0, 0);
    },
    show(interventions: readonly Intervention[]) {
      list = interventions;
      draw();
    },
  };
}
