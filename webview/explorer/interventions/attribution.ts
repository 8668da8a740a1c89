/** Direct logit attribution: what each head and MLP adds to the logit of the watched token, before and after. */

import type { Attribution } from "../../../src/protocol/traceApi";
import { el } from "../../base/dom";
import { formatShort, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { dropdown } from "../../base/toolkit";
import { createBarChart } from "../../charts/barChart";
import { setPending } from "../../parts/busy";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { Inspection } from "../../trace/inspection";
import { traceText } from "../../trace/provenance";
import { type AttributedRow, attributedRows, attributionTable, sumOf } from "./attributedRows";
import type { Target } from "./target";

export interface AttributionPart {
  readonly node: HTMLElement;
  /** Marks what is shown as outdated until `show` or `fail`. */
  readonly await: () => void;
  readonly fail: () => void;
  /** Shows one trace, or the traces before and after interventions. */
  readonly show: (inspections: readonly Inspection[], position: number, target: Target) => Promise<void>;
}

/** `pick` is called with a part that is clicked. */
export function createAttribution(save: Save, pick: (part: AttributedRow) => void): AttributionPart {
  let order: "size" | "model" = "size";
  let wanted: Question | null = null;
  let shown: { readonly of: Question; readonly answers: readonly Attribution[] } | null = null;
  let rows: readonly AttributedRow[] = [];

  const title = el("h3", { class: "subheading" }, t("Direct logit attribution"));
  const orders = dropdown(t("Sort order"), (value) => {
    order = value === "model" ? "model" : "size";
    draw();
  });
  orders.update(
    [
      { value: "size", label: t("largest first") },
      { value: "model", label: t("by layer") },
    ],
    order,
  );
  const convention = el("p", { class: "small muted" });
  const sums = el("p", { class: "small" });
  const problem = createProblem(() => wanted && void show(...wanted));
  const chart = createBarChart((row) => rows[row] && pick(rows[row]));
  const data = createDataBar(
    {
      fileName: () => "logit-attribution",
      table: () => attributionTable(title.textContent ?? "", rows, namesOf(shown?.answers.length ?? 1)),
      of: () => (shown?.of[0].length === 1 ? shown.of[0][0] : shown?.of[0]),
      drawing: chart.drawing,
    },
    save,
  );

  const draw = () => {
    if (!shown) return;
    const {
      of: [inspections, position, target],
      answers,
    } = shown;
    const names = namesOf(inspections.length);
    rows = attributedRows(answers, order);
    title.textContent = t("Contributions to the logit of “{0}” after position {1}", target.label, position);
    convention.textContent = t("Direct logit attribution. {0}", answers[0]?.convention ?? "");
    sums.textContent = answers
      .map((answer, i) => {
        const parts = t(
          "sum of parts {0}, remainder {1}, logit {2}",
          formatValue(sumOf(answer)),
          formatValue(answer.remainder),
          formatValue(answer.logit),
        );
        return answers.length > 1 ? `${names[i]}: ${parts}` : parts;
      })
      .join(" · ");
    chart.show({
      title: title.textContent,
      names,
      rows: rows.map(({ label, values }) => ({
        label,
        values,
        note: values.map((value) => (Number.isNaN(value) ? "–" : formatShort(value))).join(" → "),
        describe: () =>
          [
            t(
              "{0}: contribution to the logit of “{1}”, #{2}, after position {3}",
              label,
              target.label,
              target.id,
              position,
            ),
            ...inspections.map((each, i) => `${names[i]}: ${formatValue(values[i] as number)} (${traceText(each)})`),
          ].join("\n"),
      })),
    });
    data.update();
  };

  const show: AttributionPart["show"] = async (...question) => {
    wanted = question;
    problem.clear();
    setPending(part, "computing");
    const [inspections, position, { id }] = question;
    try {
      const answers: Attribution[] = [];
      for (const each of inspections) answers.push(await each.ask("attribution", { position, token: id }));
      if (wanted !== question) return;
      shown = { of: question, answers };
      setPending(part, "done");
      draw();
    } catch (error) {
      if (wanted !== question) return;
      setPending(part, "failed");
      problem.say(error);
    }
  };

  const part = el(
    "div",
    {},
    title,
    convention,
    el("div", { class: "pair-controls" }, orders.node, sums),
    chart.node,
    data.node,
  );
  return {
    node: el("section", { class: "pair-part wide" }, problem.node, part),
    await() {
      wanted = null;
      setPending(part, "computing");
    },
    fail: () => setPending(part, "failed"),
    show,
  };
}

type Question = Parameters<AttributionPart["show"]>;

const namesOf = (count: number): string[] => (count > 1 ? [t("before"), t("after")] : [t("contribution")]);
