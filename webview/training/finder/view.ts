/** A learning rate search: the loss by a rate that grows at every step, and the suggested rate. */

import type { FinderState } from "../../../src/protocol/webviewApi";
import { el } from "../../base/dom";
import { formatShort } from "../../base/format";
import { t } from "../../base/strings";
import { button } from "../../base/toolkit";
import { createLineChart } from "../../charts/lineChart";
import { createDataBar, type Save } from "../../parts/dataBar";

export interface FinderView {
  readonly node: HTMLElement;
  readonly show: (finder: FinderState | null) => void;
}

export function createFinderView(save: Save, stop: () => void): FinderView {
  const title = t("Loss by learning rate");
  const chart = createLineChart({ title, height: "220px", formatAxis: formatShort });
  let finder: FinderState | null = null;
  const data = createDataBar(
    {
      fileName: () => `${finder?.name ?? "run"}-learning-rates`,
      table: () => {
        const points = finder?.points ?? [];
        return {
          title,
          columns: ["lr", "loss"],
          rows: points.length,
          row: (i: number) => [points[i]?.lr ?? "", points[i]?.loss ?? ""],
        };
      },
      drawing: chart.drawing,
    },
    save,
  );
  const status = el("p", { attrs: { role: "status" } });
  const stopButton = button(t("Stop search"), stop);
  const node = el(
    "section",
    { class: "panel", attrs: { "aria-label": title } },
    el("div", { class: "panel-head" }, el("h2", { class: "panel-title" }, title), stopButton),
    status,
    chart.node,
    data.node,
  );
  return {
    node,
    show(next) {
      node.hidden = next === null;
      if (next === finder || next === null) return;
      finder = next;
      const { name, points, suggestion } = next;
      stopButton.hidden = suggestion !== null;
      status.textContent =
        suggestion === null
          ? t("Testing learning rates for “{0}”. The trained weights are discarded.", name)
          : t("The loss of “{0}” falls fastest at a learning rate of {1}.", name, formatShort(suggestion));
      // Rates grow exponentially, so the x axis is logarithmic.
      const line = {
        name: t("loss"),
        points: { x: points.map(({ lr }) => Math.log10(lr)), y: points.map(({ loss }) => loss) },
        color: 0,
        style: "line" as const,
        format: (loss: number) => loss.toFixed(4),
      };
      const x = { name: t("learning rate"), format: (power: number) => formatShort(10 ** power), whole: false };
      const marks =
        suggestion === null ? [] : [{ x: Math.log10(suggestion), label: t("suggested: {0}", formatShort(suggestion)) }];
      chart.show([line], { x, log: false }, marks);
      data.update();
    },
  };
}
