/** One run for each head or each place, each with one thing changed: what that does to the watched token. */

import type { Intervention } from "../../../src/protocol/traceApi";
import { el } from "../../base/dom";
import { formatCount, formatDuration, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { button, dropdown } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { Inspection } from "../../trace/inspection";
import { runText } from "../../trace/provenance";
import { tokenLabel } from "../../trace/tokens/layout";
import { interventionText } from "../interventionChips";
import { probabilityAt } from "../tracePair/tracePair";
import { NO_PART, type Stack, type Sweep, type SweepKind, type SweepSource, sweepOf, sweepTable } from "./layout";
import type { Target } from "./target";

/** What a sweep is of. */
export interface Swept {
  readonly base: Inspection;
  readonly source: SweepSource | null;
  readonly position: number;
  readonly target: Target;
  readonly stacks: readonly Stack[];
}

export interface SweepPart {
  readonly node: HTMLElement;
  /** What the next sweep is of; a result of another run or position is taken away. */
  readonly prepare: (swept: Swept) => void;
}

type Measure = "probability" | "logit";

/** While it runs the picture is drawn again after so many milliseconds. */
const DRAWN_EVERY = 400;

/** `pick` is called with what a chosen cell changes. */
export function createSweep(
  save: Save,
  release: (run: Inspection) => void,
  pick: (change: Intervention) => void,
): SweepPart {
  let swept: Swept | null = null;
  let kind: SweepKind = "off";
  let measure: Measure = "probability";
  /** Changed by whatever ends the sweep that runs. */
  let running = 0;
  let isRunning = false;
  let result: {
    readonly of: Swept;
    readonly sweep: Sweep;
    readonly measure: Measure;
    readonly before: number;
    readonly values: Float32Array;
  } | null = null;

  const kinds = dropdown(t("What is changed in each run"), (value) => {
    kind = value as SweepKind;
    plan();
  });
  const measures = dropdown(t("What is measured"), (value) => {
    measure = value as Measure;
  });
  measures.update(
    [
      { value: "probability", label: t("probability") },
      { value: "logit", label: t("logit") },
    ],
    measure,
  );
  const start = button(t("Sweep"), () => void run(), "primary");
  const cancel = button(t("Cancel"), () => stop());
  const progress = el("progress", { attrs: { "aria-label": t("Runs of the sweep"), max: 1, value: 0 } });
  const said = el("span", { class: "small", attrs: { role: "status" } });
  const problem = createProblem(() => void run());
  const title = el("h4", { class: "subheading" });
  const heatmap = createHeatmap((row, col) => {
    const cell = result?.sweep.cells.find((each) => each.row === row && each.col === col);
    if (cell) pick(cell.intervention);
  });
  const data = createDataBar(
    {
      fileName: () => "sweep",
      table: () =>
        result && sweepTable(title.textContent ?? "", result.sweep, result.values, result.before, result.measure),
      of: () => result?.of.base,
      picture: heatmap.picture,
      svg: heatmap.svg,
    },
    save,
  );
  const picture = el("div", {}, title, heatmap.node, data.node);
  picture.hidden = true;

  const planned = () => (swept ? sweepOf(kind, { ...swept, last: swept.position }, swept.source) : null);
  const plan = () => {
    const sweep = planned();
    cancel.hidden = progress.hidden = !isRunning;
    start.disabled = isRunning || !sweep || sweep.cells.length === 0;
    if (isRunning || !swept || !sweep) return;
    const runs = sweep.cells.length;
    said.textContent = runs === 0 ? t("Run another text above to copy from.") : t("{0} runs", formatCount(runs));
  };
  const stop = () => {
    running += 1;
    isRunning = false;
    plan();
  };

  const measured = (run: Inspection, { position, target }: Swept, what: Measure): Promise<number> =>
    what === "probability"
      ? probabilityAt(run, position, target.id)
      : run.attribution({ position, token: target.id }).then(({ logit }) => logit);

  const run = async () => {
    const of = swept;
    const sweep = planned();
    if (!of || !sweep || isRunning) return;
    const own = ++running;
    isRunning = true;
    problem.clear();
    plan();
    try {
      const before = await measured(of.base, of, measure);
      if (running !== own) return;
      const values = new Float32Array(sweep.rows.length * sweep.cols).fill(Number.NaN);
      result = { of, sweep, measure, before, values };
      const began = performance.now();
      let [done, drawn] = [0, began];
      for (const { row, col, intervention } of sweep.cells) {
        const changed = await of.base.intervened([intervention]);
        try {
          values[row * sweep.cols + col] = (await measured(changed, of, result.measure)) - before;
        } finally {
          release(changed);
        }
        if (running !== own) return draw();
        done += 1;
        progress.value = done / sweep.cells.length;
        const left = ((performance.now() - began) / done) * (sweep.cells.length - done);
        said.textContent = t(
          "{0} of {1} runs, {2} left",
          formatCount(done),
          formatCount(sweep.cells.length),
          formatDuration(left / 1000),
        );
        if (performance.now() - drawn > DRAWN_EVERY) {
          draw();
          drawn = performance.now();
        }
      }
      draw();
      stop();
      said.textContent = t("{0} runs done", formatCount(done));
    } catch (error) {
      if (running !== own) return;
      problem.say(error);
      stop();
    }
  };

  const draw = () => {
    picture.hidden = result === null;
    if (!result) return;
    const { of, sweep, before, values } = result;
    const { position, target, base } = of;
    const what = result.measure === "probability" ? t("probability") : t("logit");
    title.textContent = t("Effect on the {0} of “{1}” after position {2}", what, target.label, position);
    const tokens = of.source?.stack.stack === "encoder" ? (base.trace.source?.tokens ?? []) : base.trace.tokens;
    const byPlace = new Map(sweep.cells.map((cell) => [cell.row * sweep.cols + cell.col, cell.intervention]));
    heatmap.show({
      title: title.textContent,
      rows: sweep.rows.length,
      cols: sweep.cols,
      values,
      scale: "diverging",
      masked: (row, col) => !byPlace.has(row * sweep.cols + col),
      rowLabels: sweep.rows,
      colLabels: sweep.columns ?? tokens.slice(0, sweep.cols).map(tokenLabel),
      rowHeight: 20,
      describe: (row, col) => {
        const change = byPlace.get(row * sweep.cols + col);
        const effect = values[row * sweep.cols + col] as number;
        if (!change) return sweep.columns ? NO_PART() : t("no token of the other text stands here");
        if (Number.isNaN(effect)) return t("{0}: not run yet", interventionText(change));
        return [
          interventionText(change),
          t(
            "{0} of “{1}”: {2} → {3}, effect {4}",
            what,
            target.label,
            formatValue(before),
            formatValue(before + effect),
            formatValue(effect),
          ),
          runText(base),
        ].join("\n");
      },
    });
    data.update();
  };

  return {
    node: el(
      "section",
      { class: "pair-part wide" },
      el("h3", { class: "subheading" }, t("Sweep")),
      el("div", { class: "pair-controls" }, kinds.node, measures.node, start, cancel, progress, said),
      problem.node,
      picture,
    ),
    prepare(next) {
      const isOther =
        next.base !== swept?.base || next.position !== swept.position || next.target.id !== swept.target.id;
      const hadSource = swept?.source;
      swept = next;
      if (isOther) {
        if (isRunning) stop();
        result = null;
        draw();
      }
      if (isOther || next.source !== hadSource) {
        if (!next.source) kind = "off";
        if (kind === "crossOut" && !next.source?.stack.crosses) kind = "off";
        const copied = ["residPre", "attnOut", ...(next.source?.stack.crosses ? ["crossOut"] : []), "mlpOut"];
        const copies = [
          { value: "patchHeads", label: t("copy each head at the pair of positions") },
          ...copied.map((value) => ({ value, label: t("copy {0} of each layer and position", value) })),
        ];
        kinds.update(
          [{ value: "off", label: t("switch off each head and MLP") }, ...(next.source ? copies : [])],
          kind,
        );
      }
      plan();
    },
  };
}
