/** The relative difference between the values of two traces, by layer and position. */

import type { TraceDifference } from "../../../src/protocol/traceApi";
import { el } from "../../base/dom";
import { formatValue } from "../../base/format";
import type { Store } from "../../base/store";
import { t } from "../../base/strings";
import { dropdown } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import type { Selection } from "../../trace/inspection";
import { tokensOf } from "../../trace/layers/layout";
import { traceText } from "../../trace/provenance";
import { tokenLabel } from "../../trace/tokens/layout";
import type { TracePair } from "../tracePair/tracePair";
import { type RelativeRows, relativeRows, relativeTable, valueKinds } from "./layout";

export interface RelativePart {
  readonly node: HTMLElement;
  readonly show: (pair: TracePair, difference: TraceDifference) => void;
}

/** A value that every model has. */
const DEFAULT = "residPost";

/** A click on a cell selects its token, and its layer if it has one. */
export function createRelativePart(save: Save, selection: Store<Selection>): RelativePart {
  let kind = DEFAULT;
  let shown: { readonly pair: TracePair; readonly difference: TraceDifference } | null = null;
  let rows: RelativeRows | null = null;

  const title = el("h3", { class: "subheading" }, t("Relative difference of values"));
  const kinds = dropdown(t("Value"), (value) => {
    kind = value;
    draw();
  });
  const heatmap = createHeatmap((row, col) => {
    const position = rows?.positions.a[col] as number;
    const layer = /blocks\.(\d+)\./.exec(rows?.names[row] ?? "")?.[1];
    const token = isOfSource() ? { sourceToken: position } : { token: position };
    selection.set({ ...token, ...(layer !== undefined && { layer: Number(layer) }) });
  });
  /** The tokens of the columns, which all rows share. */
  const tokens = () => {
    const name = rows?.names[0] ?? "";
    return shown ? tokensOf(shown.pair.inspections[0].trace, { name, dimensions: [] }).rows : [];
  };
  const isOfSource = () => tokens() === shown?.pair.inspections[0].trace.source?.tokens;
  const labels = () => tokens().map(tokenLabel);
  const data = createDataBar(
    {
      fileName: () => `relative-difference-${kind}`,
      table: () => rows && relativeTable(title.textContent ?? "", rows, labels()),
      of: () => shown?.pair.inspections,
      drawing: heatmap.drawing,
    },
    save,
  );

  const draw = () => {
    if (!shown) return;
    const { pair, difference } = shown;
    const known = valueKinds(difference);
    if (!known.includes(kind)) kind = DEFAULT;
    kinds.update(
      known.map((value) => ({ value, label: value })),
      kind,
    );
    const drawn = relativeRows(difference, kind);
    rows = drawn;
    const { a, b } = drawn.positions;
    const texts = labels();
    heatmap.show({
      title: title.textContent ?? "",
      rows: drawn.names.length,
      cols: a.length,
      values: drawn.values,
      scale: "sequential",
      rowLabels: drawn.names.map((name) => /blocks\.(\d+)/.exec(name)?.[1] ?? name),
      colLabels: Array.from(a, (position) => texts[position] ?? ""),
      rowHeight: 18,
      describe: (row, col) =>
        [
          t(
            "‖b − a‖ / ‖a‖ of {0} at {1} (a) and {2} (b) = {3}",
            drawn.names[row] as string,
            a[col] as number,
            b[col] as number,
            formatValue(drawn.values[row * a.length + col] as number),
          ),
          `a: ${traceText(pair.inspections[0])} · b: ${traceText(pair.inspections[1])}`,
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
          "L2 norm of the difference between the two vectors of a token, divided by the norm of the first one. Heads are concatenated.",
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
