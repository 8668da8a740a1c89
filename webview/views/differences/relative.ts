/** How far the values of two runs are apart, by layer and position. */

import type { TraceDifference } from "../../../src/protocol/traceApi";
import { createHeatmap } from "../../charts/heatmap";
import { el } from "../../dom";
import { formatValue } from "../../format";
import { createDataBar, type Save } from "../../parts/dataBar";
import { runText } from "../../parts/provenance";
import { t } from "../../strings";
import { dropdown } from "../../toolkit";
import type { Pair } from "../pair/pair";
import { tokenLabel } from "../tokens/layout";
import { type RelativeRows, relativeRows, relativeTable, valueKinds } from "./layout";

export interface RelativePart {
  readonly node: HTMLElement;
  readonly show: (pair: Pair, difference: TraceDifference) => void;
}

/** `pick` is called with the layer, where there is one, and the position of a cell that is chosen. */
export function createRelativePart(save: Save, pick: (layer: number | null, position: number) => void): RelativePart {
  let kind = "residPost";
  let shown: { readonly pair: Pair; readonly difference: TraceDifference } | null = null;
  let rows: RelativeRows | null = null;

  const title = el("h3", { class: "subheading" }, t("Relative difference of the values, by layer and token"));
  const kinds = dropdown(t("Value"), (value) => {
    kind = value;
    draw();
  });
  const heatmap = createHeatmap((row, position) => {
    const layer = /^blocks\.(\d+)\./.exec(rows?.names[row] ?? "")?.[1];
    pick(layer === undefined ? null : Number(layer), position);
  });
  const labels = () => shown?.pair.runs[0].trace.tokens.map(tokenLabel) ?? [];
  const data = createDataBar(
    {
      fileName: () => `relative-difference-${kind}`,
      table: () => rows && relativeTable(title.textContent ?? "", rows, labels()),
      picture: heatmap.picture,
      svg: heatmap.svg,
    },
    save,
  );

  const draw = () => {
    if (!shown) return;
    const { pair, difference } = shown;
    const there = valueKinds(difference);
    if (!there.includes(kind)) kind = there[0] ?? "";
    kinds.update(
      there.map((value) => ({ value, label: value })),
      kind,
    );
    const drawn = relativeRows(difference, kind);
    rows = drawn;
    heatmap.show({
      title: title.textContent ?? "",
      rows: drawn.names.length,
      cols: drawn.positions,
      values: drawn.values,
      scale: "sequential",
      rowLabels: drawn.names.map((name) => /^blocks\.(\d+)/.exec(name)?.[1] ?? name),
      colLabels: labels().slice(0, drawn.positions),
      rowHeight: 18,
      describe: (row, position) =>
        [
          t(
            "‖b − a‖ / ‖a‖ of {0}[0, {1}] = {2}",
            drawn.names[row] as string,
            position,
            formatValue(drawn.values[row * drawn.positions + position] as number),
          ),
          `a: ${runText(pair.runs[0])} · b: ${runText(pair.runs[1])}`,
        ].join("\n"),
    });
    data.update();
  };

  return {
    node: el(
      "section",
      { class: "pair-part wide" },
      title,
      el("div", { class: "pair-controls" }, kinds.node),
      el(
        "p",
        { class: "small muted" },
        t(
          "L2 norm of the difference of the two vectors of a token, by that of the first run’s. Heads are taken together.",
        ),
      ),
      heatmap.node,
      data.node,
    ),
    show(pair, difference) {
      shown = { pair, difference };
      draw();
    },
  };
}
