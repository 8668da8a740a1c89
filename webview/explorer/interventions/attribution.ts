/** Direct logit attribution: what each head and each MLP adds to the watched token's logit, before and after. */

import type { Attribution } from "../../../src/protocol/traceApi";
import { el } from "../../base/dom";
import { formatShort, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { dropdown } from "../../base/toolkit";
import { createBarChart } from "../../charts/barChart";
import { tellAwaited } from "../../parts/busy";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { Inspection } from "../../trace/inspection";
import { runText } from "../../trace/provenance";
import { type AttributedRow, attributedRows, attributionTable, sumOf } from "./layout";
import type { Target } from "./target";

export interface AttributionPart {
  readonly node: HTMLElement;
  /** What is there is of another question than the one that is made up. */
  readonly await: () => void;
  readonly fail: () => void;
  /** Of one run, or of the run before and after its changes. */
  readonly show: (runs: readonly Inspection[], position: number, target: Target) => Promise<void>;
}

/** `pick` is called with a part that is chosen. */
export function createAttribution(save: Save, pick: (part: AttributedRow) => void): AttributionPart {
  let order: "size" | "model" = "size";
  let asked: Question | null = null;
  let shown: { readonly of: Question; readonly answers: readonly Attribution[] } | null = null;
  let rows: readonly AttributedRow[] = [];

  const title = el("h3", { class: "subheading" }, t("Direct logit attribution"));
  const orders = dropdown(t("Order of the parts"), (value) => {
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
  const said = el("p", { class: "small muted" });
  const sums = el("p", { class: "small" });
  const problem = createProblem(() => asked && void show(...asked));
  const chart = createBarChart((row) => rows[row] && pick(rows[row]));
  const data = createDataBar(
    {
      fileName: () => "logit-attribution",
      table: () => attributionTable(title.textContent ?? "", rows, namesOf(shown?.answers.length ?? 1)),
      of: () => (shown?.of[0].length === 1 ? shown.of[0][0] : shown?.of[0]),
      picture: chart.picture,
      svg: chart.svg,
    },
    save,
  );

  const draw = () => {
    if (!shown) return;
    const {
      of: [runs, position, target],
      answers,
    } = shown;
    const names = namesOf(runs.length);
    rows = attributedRows(answers, order);
    title.textContent = t("What adds to the logit of “{0}” after position {1}", target.label, position);
    said.textContent = t("Direct logit attribution. {0}", answers[0]?.convention ?? "");
    sums.textContent = answers
      .map((answer, i) => {
        const parts = t(
          "the parts sum to {0}, the remainder is {1}, the logit {2}",
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
            t("{0}: added to the logit of “{1}”, #{2}, after position {3}", label, target.label, target.id, position),
            ...runs.map((run, i) => `${names[i]}: ${formatValue(values[i] as number)} (${runText(run)})`),
          ].join("\n"),
      })),
    });
    data.update();
  };

  const show: AttributionPart["show"] = async (...question) => {
    asked = question;
    problem.clear();
    tellAwaited(part, "computed");
    const [runs, position, { id }] = question;
    try {
      const told: Attribution[] = [];
      for (const run of runs) told.push(await run.attribution({ position, token: id }));
      if (asked !== question) return;
      shown = { of: question, answers: told };
      tellAwaited(part, "there");
      draw();
    } catch (error) {
      if (asked !== question) return;
      tellAwaited(part, "failed");
      problem.say(error);
    }
  };

  const part = el(
    "div",
    {},
    title,
    said,
    el("div", { class: "pair-controls" }, orders.node, sums),
    chart.node,
    data.node,
  );
  return {
    node: el("section", { class: "pair-part wide" }, problem.node, part),
    await() {
      asked = null;
      tellAwaited(part, "computed");
    },
    fail: () => tellAwaited(part, "failed"),
    show,
  };
}

type Question = Parameters<AttributionPart["show"]>;

const namesOf = (runs: number): string[] => (runs > 1 ? [t("before"), t("after")] : [t("added to the logit")]);
