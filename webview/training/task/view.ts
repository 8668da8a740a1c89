/** Accuracy on a task at the last evaluation: by digit and by carries, and the confusion matrix of digits. */

import type { RunSnapshot } from "../../../src/protocol/webviewApi";
import { el, fill } from "../../base/dom";
import { formatCount } from "../../base/format";
import { t } from "../../base/strings";
import { dropdown } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import { carryShares, confusionShares, confusionTable, digitShares, type Share } from "./layout";

export interface TaskView {
  readonly node: HTMLElement;
  readonly show: (run: RunSnapshot) => void;
}

const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));

export function createTaskView(save: Save): TaskView {
  let report: RunSnapshot["evals"][number] | null = null;
  let position = 0;
  const heading = el("h2", { class: "panel-title" });
  const digits = el("ul", { class: "shares", attrs: { "aria-label": t("Accuracy by digit of the answer") } });
  const carries = el("ul", { class: "shares", attrs: { "aria-label": t("Accuracy by number of carries") } });
  const heatmap = createHeatmap(() => undefined);
  const choose = dropdown(t("Digit of the answer"), (value) => {
    position = Number(value);
    draw();
  });
  const data = createDataBar(
    {
      fileName: () => "confusion-by-digit",
      table: () => (report?.task ? confusionTable(report.task) : null),
      drawing: heatmap.drawing,
    },
    save,
  );
  const carryPart = el("div", {}, el("h3", {}, t("Accuracy by number of carries")), carries);
  const node = el(
    "section",
    { class: "panel task", attrs: { "aria-label": t("Task results") } },
    heading,
    el(
      "div",
      { class: "task-parts" },
      el("div", {}, el("h3", {}, t("Accuracy by digit of the answer")), digits),
      carryPart,
      el(
        "div",
        { class: "confusion" },
        el("div", { class: "panel-head" }, el("h3", {}, t("Confusion of digits")), choose.node),
        heatmap.node,
        data.node,
      ),
    ),
  );

  const draw = () => {
    const task = report?.task;
    if (!report || !task) return;
    heading.textContent = t("Task results at step {0}", formatCount(report.step));
    fill(digits, ...digitShares(task).map(bar));
    fill(carries, ...carryShares(task).map(bar));
    carryPart.hidden = task.byCarry.length === 0;
    position = Math.min(position, task.confusion.length - 1);
    choose.update(
      task.confusion.map((_, i) => ({ value: String(i), label: t("digit {0}", i + 1) })),
      String(position),
    );
    const counts = task.confusion[position];
    if (!counts) return;
    const shares = confusionShares(counts);
    heatmap.show({
      title: t(
        "Expected digit (rows) and answered digit (columns), digit {0} of the answer, share of each row",
        position + 1,
      ),
      rows: 10,
      cols: 10,
      values: shares,
      scale: "sequential",
      curve: "sqrt",
      max: 1,
      rowLabels: DIGITS,
      colLabels: DIGITS,
      rowHeight: "square",
      describe: (expected, answered) =>
        t(
          "expected {0}, answered {1}: {2} times, {3} % of the row",
          expected,
          answered,
          formatCount(counts[expected]?.[answered] ?? 0),
          (100 * (shares[expected * 10 + answered] ?? 0)).toFixed(1),
        ),
    });
    data.update();
  };

  return {
    node,
    show(run) {
      const next = run.evals.findLast(({ task }) => task) ?? null;
      node.hidden = next === null;
      if (next === report) return;
      report = next;
      draw();
    },
  };
}

/** The share as a bar and a number. */
function bar({ label, share, note }: Share): HTMLElement {
  const fillPart = el("span", { class: "share-fill" });
  fillPart.style.width = `${100 * share}%`;
  return el(
    "li",
    {},
    el("span", {}, label),
    el("span", { class: "share-track", attrs: { "aria-hidden": "true" } }, fillPart),
    el("span", { class: "number" }, `${(100 * share).toFixed(2)} %`),
    note && el("span", { class: "muted" }, note),
  );
}
