/** The table of all runs: opens a run, and compares others with the one that is shown. */

import { MAX_COMPARED } from "../../../src/protocol/runState";
import type { RunRow } from "../../../src/protocol/webviewApi";
import { el } from "../../base/dom";
import { t } from "../../base/strings";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createSection } from "../../parts/section";
import { createSortableTable } from "../../parts/sortableTable";
import { columnsOf, runsTable } from "./layout";

interface RunsViewActions {
  readonly open: (dir: string) => void;
  readonly compare: (dirs: readonly string[]) => void;
}

export function createRunsView(
  save: Save,
  startsOpen: boolean,
  toggled: (open: boolean) => void,
  { open, compare }: RunsViewActions,
) {
  let shown = "";
  let compared: readonly string[] = [];
  let runs: readonly RunRow[] = [];
  const columns = columnsOf();
  const section = createSection(t("Runs"), startsOpen, toggled);
  const table = createSortableTable<RunRow>(t("Table of runs"), (row) => drawRow(row));
  const data = createDataBar({ fileName: () => "runs", table: () => runsTable(table.rows()) }, save);
  const full = el("p", { class: "small muted" }, t("{0} runs at most can be compared with one.", MAX_COMPARED));
  section.body.append(table.node, full, data.node);

  const drawRow = (row: RunRow): HTMLElement => {
    const { dir, name } = row;
    const isShown = dir === shown;
    const box = el("input", {
      attrs: { type: "checkbox", "data-key": `compare ${dir}`, "aria-label": t("Compare with {0}", name) },
      on: {
        change: () => compare(box.checked ? [...compared, dir] : compared.filter((each) => each !== dir)),
      },
    });
    box.checked = compared.includes(dir);
    box.disabled = !box.checked && compared.length >= MAX_COMPARED;
    const link = el(
      "button",
      { class: "link", attrs: { type: "button", "data-key": `open ${dir}` }, on: { click: () => open(dir) } },
      name,
    );
    const first = isShown
      ? [el("span", { class: "run-current", attrs: { "aria-current": "true" } }, name)]
      : [box, " ", link];
    return el(
      "tr",
      isShown ? { class: "current" } : {},
      el("th", { attrs: { scope: "row" } }, ...first),
      ...columns.slice(1).map(({ isText, text }) => el("td", isText ? { class: "text" } : {}, text(row))),
    );
  };

  const draw = () => {
    section.node.hidden = runs.length < 2;
    section.summarize(t("{0} on this machine", runs.length));
    full.hidden = compared.length < MAX_COMPARED;
    table.show(runs, columns);
    data.update();
  };
  let drawn: readonly unknown[] = [];
  return {
    node: section.node,
    show(next: readonly RunRow[], dir: string, comparedDirs: readonly string[]) {
      // Drawn only after a change, so that the pointer finds what it presses.
      const now = [next, dir, comparedDirs.join("\n")];
      if (now.every((each, i) => each === drawn[i])) return;
      drawn = now;
      [runs, shown, compared] = [next, dir, comparedDirs];
      draw();
    },
  };
}
