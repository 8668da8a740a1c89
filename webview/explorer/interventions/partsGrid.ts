/** The parts of the model as one grid: what the interventions change, and, as color, the effect of each part in a sweep. */

import "../../parts/slider.css";
import type { Part } from "../../../src/protocol/traceApi";
import { el } from "../../base/dom";
import type { Store } from "../../base/store";
import { t } from "../../base/strings";
import { button } from "../../base/toolkit";
import type { TableData } from "../../charts/csv";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import { openMenu } from "../../parts/menu";
import type { Inspection } from "../../trace/inspection";
import { type ActiveIntervention, changed, type InterventionHistory } from "../../trace/interventionHistory";
import { traceText } from "../../trace/provenance";
import { createInterventionBar } from "../interventionBar";
import { changeText, partText } from "../interventionText";
import { ABLATED, factorOf, PATCHED, patchesOf, symbolOf, withFactor, withoutPart, withToggled } from "./changes";
import { NO_PART, partGrid, stacksOf } from "./parts";

/** The effect of each part on the watched token. */
export interface PartEffects {
  readonly title: string;
  /** [rows, columns]; NaN where no effect is computed. */
  readonly at: (part: Part) => number;
  readonly describe: (part: Part) => string;
  readonly table: TableData;
}

export interface PartsGridHooks {
  readonly interventions: Store<InterventionHistory>;
  readonly select: (part: Part) => void;
  /** The user wants to patch a part from another text. */
  readonly patch: (part: Part) => void;
}

const FACTORS = [0.5, 2] as const;

export function createPartsGrid(save: Save, { interventions, select, patch }: PartsGridHooks) {
  let base: Inspection | null = null;
  let grid = partGrid([]);
  let selected: Part | null = null;
  let effects: PartEffects | null = null;
  let drags = 0;
  const list = () => interventions.get().list;
  const change = (next: readonly ActiveIntervention[], gesture?: string) =>
    interventions.set(changed(interventions.get(), next, gesture));

  const choose = (part: Part) => {
    selected = part;
    select(part);
    drawSelected();
  };
  const showMenu = (at: readonly [x: number, y: number]) => {
    if (!selected) return;
    const part = selected;
    const scale = (factor: number) => () => change(withFactor(list(), part, factor));
    const isChanged = symbolOf(list(), part) !== "";
    openMenu(
      partText(part),
      [
        { label: t("Ablate"), run: scale(0) },
        ...FACTORS.map((factor) => ({ label: t("Scale × {0}", factor), run: scale(factor) })),
        { label: t("Scale…"), run: () => slider.focus() },
        { label: t("Patch…"), run: () => patch(part) },
        ...(isChanged ? [{ label: t("Remove"), run: () => change(withoutPart(list(), part)) }] : []),
      ],
      at,
    );
  };

  const heatmap = createHeatmap(
    (row, col) => {
      const part = grid.at(row, col);
      if (!part) return;
      choose(part);
      change(withToggled(list(), part));
    },
    undefined,
    (row, col, at) => {
      const part = grid.at(row, col);
      if (!part) return;
      choose(part);
      showMenu(at);
    },
  );
  const data = createDataBar(
    {
      fileName: () => (effects ? "sweep" : "interventions"),
      table: () => effects?.table ?? partsTable(grid, list()),
      of: () => base,
      drawing: heatmap.drawing,
    },
    save,
  );
  const heading = el("h3", { class: "subheading" });
  const symbols = el(
    "p",
    { class: "small muted" },
    t(
      "{0} ablated, × scaled, {1} patched. Click a cell, or press Enter, to ablate it; right-click it, or use the button below, to scale or patch it.",
      ABLATED,
      PATCHED,
    ),
  );
  const menuButton = button("", () => {
    const { left, bottom } = menuButton.getBoundingClientRect();
    showMenu([left, bottom]);
  });
  menuButton.setAttribute("aria-haspopup", "menu");
  const slider = el("input", {
    class: "slider",
    attrs: { type: "range", min: -1, max: 3, step: 0.05, value: 1, "aria-label": t("Factor") },
    on: {
      input: () => selected && change(withFactor(list(), selected, Number(slider.value)), `factor ${drags}`),
      // The end of a drag, or of a key press.
      change: () => {
        drags += 1;
      },
    },
  });
  const factorText = el("output", { class: "small number" });

  const drawSelected = () => {
    if (!selected) return;
    const factor = factorOf(list(), selected);
    menuButton.textContent = `${partText(selected)} ▾`;
    menuButton.setAttribute("aria-label", t("Change {0}", partText(selected)));
    slider.value = String(factor);
    factorText.textContent = `× ${Number(factor.toPrecision(3))}`;
    slider.setAttribute("aria-valuetext", `${partText(selected)} × ${factor}`);
    const { row, col } = grid.cellOf(selected);
    heatmap.mark(row, col);
  };

  const draw = () => {
    if (!base) return;
    const from = base;
    const { rows, columns } = grid;
    const cols = columns.length;
    const now = list();
    const values = Float32Array.from({ length: rows.length * cols }, (_, i) => {
      const part = grid.at(Math.floor(i / cols), i % cols);
      return part && effects ? effects.at(part) : Number.NaN;
    });
    heading.textContent = effects?.title ?? t("Parts of the model");
    heatmap.show({
      title: heading.textContent,
      rows: rows.length,
      cols,
      values,
      ...(!effects && { max: 0 }),
      scale: "diverging",
      ...(grid.hasGaps && { masked: (row: number, col: number) => grid.at(row, col) === null }),
      rowLabels: rows,
      colLabels: columns,
      rowHeight: 24,
      symbol: (row, col) => {
        const part = grid.at(row, col);
        return part ? symbolOf(now, part) : "";
      },
      describe: (row, col) => {
        const part = grid.at(row, col);
        if (!part) return NO_PART();
        return [partStateText(now, part), effects?.describe(part), traceText(from)].filter(Boolean).join("\n");
      },
    });
    drawSelected();
    data.update();
  };

  interventions.subscribe((now, before) => {
    if (now.list !== before.list) draw();
  });

  return {
    node: el(
      "section",
      { class: "pair-part wide" },
      heading,
      symbols,
      heatmap.node,
      el("div", { class: "pair-controls" }, menuButton, el("label", {}, t("Factor"), slider, factorText)),
      createInterventionBar(interventions),
      data.node,
    ),
    /** Shows the parts of a model; the selected part stays if the model has it. */
    show(next: Inspection) {
      if (next === base) return;
      base = next;
      grid = partGrid(stacksOf(next.trace));
      const { row, col } = selected ? grid.cellOf(selected) : { row: 0, col: 0 };
      selected = grid.at(row, col) ?? grid.at(0, 0);
      draw();
    },
    /** Colors the parts by their effects; null removes the colors. */
    color(next: PartEffects | null) {
      effects = next;
      draw();
    },
  };
}

/** Text such as `layer 0, head 1: ablated` or `layer 0 MLP: unchanged`. */
function partStateText(list: readonly ActiveIntervention[], part: Part): string {
  const factor = factorOf(list, part);
  const changes = [
    ...(factor === 1 ? [] : [changeText({ kind: "scale", part, factor })]),
    ...patchesOf(list, part).map((patch) => t("{0} (position {1})", changeText(patch), patch.position)),
  ];
  return `${partText(part)}: ${changes.length > 0 ? changes.join(", ") : t("unchanged")}`;
}

/** A table with the factor of each part. */
const partsTable = (grid: ReturnType<typeof partGrid>, list: readonly ActiveIntervention[]): TableData => ({
  title: t("Factor of each part"),
  columns: ["layer", ...grid.columns],
  rows: grid.rows.length,
  row: (row) => [
    grid.rows[row] ?? "",
    ...grid.columns.map((_, col) => {
      const part = grid.at(row, col);
      return part ? factorOf(list, part) : "";
    }),
  ],
});
