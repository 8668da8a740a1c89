/** The table of a run's checkpoints, each with a button that starts a branch. */

import type { CheckpointInfo } from "../../../src/protocol/engineApi";
import { el, fill } from "../../base/dom";
import { formatCount } from "../../base/format";
import { t } from "../../base/strings";
import { createSection } from "../../parts/section";

export interface CheckpointsView {
  readonly node: HTMLElement;
  readonly show: (checkpoints: readonly CheckpointInfo[]) => void;
}

export function createCheckpointsView(
  open: boolean,
  toggled: (open: boolean) => void,
  branch: (step: number) => void,
): CheckpointsView {
  const section = createSection(t("Checkpoints"), open, toggled);
  const body = el("tbody");
  const headings = [t("step"), t("training loss"), t("validation loss"), t("accuracy"), ""];
  const empty = el(
    "p",
    { class: "muted" },
    t("No checkpoints yet. Adapter checkpoints are not listed: they are not complete models."),
  );
  const table = el(
    "div",
    { class: "data-table", attrs: { tabindex: 0, role: "region", "aria-label": t("Table: {0}", t("Checkpoints")) } },
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el("tr", {}, ...headings.map((name) => (name ? el("th", { attrs: { scope: "col" } }, name) : el("td")))),
      ),
      body,
    ),
  );
  section.body.append(empty, table);
  let shown: readonly CheckpointInfo[] | null = null;
  const number = (value: number | null, digits = 4) => el("td", {}, value === null ? "–" : value.toFixed(digits));
  return {
    node: section.node,
    show(checkpoints) {
      if (checkpoints === shown) return;
      shown = checkpoints;
      empty.hidden = checkpoints.length > 0;
      table.hidden = checkpoints.length === 0;
      section.summarize(checkpoints.length > 0 ? t("{0} saved", checkpoints.length) : "");
      fill(
        body,
        ...[...checkpoints].reverse().map(({ step, loss, valLoss, accuracy }) =>
          el(
            "tr",
            {},
            el("th", { attrs: { scope: "row" } }, formatCount(step)),
            number(loss),
            number(valLoss),
            el("td", {}, accuracy === null ? "–" : `${(100 * accuracy).toFixed(2)} %`),
            el(
              "td",
              { class: "text" },
              el(
                "button",
                {
                  class: "action",
                  attrs: {
                    type: "button",
                    "aria-label": `${t("Branch from here…")} ${t("step {0}", formatCount(step))}`,
                  },
                  on: { click: () => branch(step) },
                },
                t("Branch from here…"),
              ),
            ),
          ),
        ),
      );
    },
  };
}
