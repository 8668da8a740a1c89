/** The candidates at each step as a picture: a column per step, the most likely token on top. */

import { el } from "../../base/dom";
import { t } from "../../base/strings";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import { type Choice, choicesOf, generationTable, type Step, writtenLabel } from "./layout";
import type { Prompt } from "./session";
import { describeChoice } from "./stepChoices";

/** Ranks that are shown. */
const ROWS = 10;

/** `look` is called with the index of a step. */
export function createCandidates(save: Save, look: (step: number) => void) {
  let shown: { readonly prompt: Prompt; readonly steps: readonly Step[] } | null = null;
  const heatmap = createHeatmap((_, col) => look(col));
  const data = createDataBar(
    {
      fileName: () => "generation",
      table: () => shown && generationTable(shown.steps, t("Steps of the generation")),
      of: () => shown?.prompt.inspection,
      drawing: heatmap.drawing,
    },
    save,
  );

  const draw = (prompt: Prompt, steps: readonly Step[], step: number) => {
    const rows = Math.min(ROWS, ...steps.map(({ top }) => top.length));
    const columns = steps.map((each) => choicesOf(each, rows));
    const at = (row: number, col: number) => columns[col]?.[row] as Choice;
    heatmap.show({
      title: t("Candidates at each step"),
      rows,
      cols: steps.length,
      values: Float32Array.from(
        { length: rows * steps.length },
        (_, i) => steps[i % steps.length]?.top[Math.floor(i / steps.length)]?.probability ?? Number.NaN,
      ),
      scale: "sequential",
      max: 1,
      rowLabels: Array.from({ length: rows }, (_, row) => String(row + 1)),
      colLabels: steps.map(writtenLabel),
      rowHeight: 20,
      text: (row, col) => `${at(row, col).isWritten ? "✓" : ""}${at(row, col).label}`,
      describe: (row, col) => {
        const { id, label, probability, isKept } = at(row, col);
        const state = isKept === false ? `, ${t("filtered")}` : "";
        const name = t("step {0}, rank {1}: “{2}”", col + 1, row + 1, label);
        return `${name}${state}\n${describeChoice(prompt, steps[col] as Step, col, id, probability)}`;
      },
    });
    heatmap.mark(null, step);
    heatmap.reveal({ row: 0, col: step });
  };

  return {
    nodes: [
      el("h3", { class: "subheading" }, t("Candidates at each step")),
      el(
        "p",
        { class: "small muted" },
        t("One column per step, the most likely token on top; ✓ marks the chosen one."),
      ),
      heatmap.node,
      data.node,
    ],
    show(prompt: Prompt | null, steps: readonly Step[], step: number) {
      shown = prompt && steps.length > 0 ? { prompt, steps } : null;
      if (shown) draw(shown.prompt, steps, step);
      data.update();
    },
  };
}
