/** The list of compared runs, each with a button that removes it, and the table of their differences. */

import type { RunSnapshot } from "../../../src/protocol/webviewApi";
import { el, fill } from "../../base/dom";
import { t } from "../../base/strings";
import { onThemeChange, readTheme } from "../../base/theme";
import { swatch } from "../../charts/lineChart";
import { createDataBar, type Save } from "../../parts/dataBar";
import { comparisonTable } from "./layout";

export interface CompareView {
  readonly node: HTMLElement;
  readonly show: (run: RunSnapshot, others: readonly RunSnapshot[]) => void;
}

export function createCompareView(save: Save, remove: (dir: string) => void): CompareView {
  let runs: readonly RunSnapshot[] = [];
  const list = el("ul", { class: "compared", attrs: { "aria-label": t("Compared runs") } });
  const data = createDataBar(
    { fileName: () => `${runs[0]?.name ?? "run"}-compared`, table: () => comparisonTable(runs) },
    save,
  );
  const node = el("section", { class: "panel comparison", attrs: { "aria-label": t("Comparison") } }, list, data.node);
  const draw = () => {
    const theme = readTheme();
    node.hidden = runs.length < 2;
    fill(
      list,
      ...runs.map(({ name, dir }, index) =>
        el(
          "li",
          {},
          swatch({ name, points: { x: [], y: [] }, color: index, style: "line", format: String }, theme),
          name,
          index > 0 &&
            el(
              "button",
              {
                class: "action",
                attrs: { type: "button", "aria-label": t("Remove {0} from the comparison", name) },
                on: { click: () => remove(dir) },
              },
              t("Remove"),
            ),
        ),
      ),
    );
    data.update();
  };
  onThemeChange(draw);
  return {
    node,
    show(run, others) {
      // Redrawn only for other runs: a focused button must not disappear.
      const same = runs.length === others.length + 1 && [run, ...others].every(({ dir }, i) => dir === runs[i]?.dir);
      runs = [run, ...others];
      if (same) data.update();
      else draw();
    },
  };
}
