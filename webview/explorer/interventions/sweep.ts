/** A sweep: one forward pass per part or position, each with one intervention, and its effect on the watched token. */

import type { Intervention, Part } from "../../../src/protocol/traceApi";
import { el } from "../../base/dom";
import { formatCount, formatDuration, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { button, dropdown } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { Inspection } from "../../trace/inspection";
import { traceText } from "../../trace/provenance";
import { tokenLabel } from "../../trace/tokens/layout";
import { interventionText } from "../interventionText";
import { probabilityAt } from "../tracePair/tracePair";
import type { Stack } from "./parts";
import type { PartEffects } from "./partsGrid";
import { partOf, type Sweep, type SweepKind, type SweepSource, sweepOf, sweepTable } from "./sweepPlan";
import type { Target } from "./target";

/** The inputs of a sweep. */
interface SweepInputs {
  readonly base: Inspection;
  readonly source: SweepSource | null;
  readonly position: number;
  readonly target: Target;
  readonly stacks: readonly Stack[];
}

export interface SweepPart {
  readonly controls: HTMLElement;
  /** The effects of a sweep over positions. */
  readonly picture: HTMLElement;
  /** Sets the inputs of the next sweep. The result of another trace, position or token is discarded. */
  readonly prepare: (inputs: SweepInputs) => void;
}

type Measure = "probability" | "logit";

interface SweepResult {
  readonly of: SweepInputs;
  readonly sweep: Sweep;
  readonly measure: Measure;
  readonly before: number;
  /** [sweep.rows, sweep.cols]; NaN until it is computed. */
  readonly values: Float32Array;
}

const METRICS = { probability: () => t("probability"), logit: () => t("logit") };

/** Interval between drawings while a sweep runs, in ms. */
const DRAW_INTERVAL = 400;

interface SweepHooks {
  readonly release: (inspection: Inspection) => void;
  /** The intervention of a cell was clicked. */
  readonly pick: (intervention: Intervention) => void;
  /** The effects of a sweep over parts, which color the grid of parts; null for none. */
  readonly color: (effects: PartEffects | null) => void;
}

/** `watch` is the field for the watched token. */
export function createSweep(save: Save, watch: HTMLElement, { release, pick, color }: SweepHooks): SweepPart {
  let inputs: SweepInputs | null = null;
  let kind: SweepKind = "ablate";
  let measure: Measure = "probability";
  /** Counts sweeps and cancellations, so that a sweep notices when it has ended. */
  let turn = 0;
  let isRunning = false;
  let result: SweepResult | null = null;

  const kinds = dropdown(t("Interventions to sweep"), (value) => {
    kind = value as SweepKind;
    plan();
  });
  const measures = dropdown(t("Metric"), (value) => {
    measure = value as Measure;
  });
  measures.update(
    Object.entries(METRICS).map(([value, label]) => ({ value, label: label() })),
    measure,
  );
  const start = button(t("Sweep"), () => void run(), "primary");
  const cancel = button(t("Cancel"), () => stop());
  const progress = el("progress", { attrs: { "aria-label": t("Progress of the sweep"), max: 1, value: 0 } });
  const status = el("span", { class: "small", attrs: { role: "status" } });
  const problem = createProblem(() => void run());
  const title = el("h3", { class: "subheading" });
  const heatmap = createHeatmap((row, col) => {
    const cell = result?.sweep.cells.find((each) => each.row === row && each.col === col);
    if (cell) pick(cell.intervention);
  });
  const data = createDataBar(
    {
      fileName: () => "sweep",
      table: () => result && tableOf(result),
      of: () => result?.of.base,
      drawing: heatmap.drawing,
    },
    save,
  );
  const picture = el("section", { class: "pair-part wide" }, title, heatmap.node, data.node);
  picture.hidden = true;

  const planned = () => (inputs ? sweepOf(kind, { ...inputs, last: inputs.position }, inputs.source) : null);
  const plan = () => {
    const sweep = planned();
    cancel.hidden = progress.hidden = !isRunning;
    start.disabled = isRunning || !sweep || sweep.cells.length === 0;
    if (isRunning || !inputs || !sweep) return;
    const passes = sweep.cells.length;
    status.textContent =
      passes === 0 ? t("Enter another text above to patch from.") : t("{0} forward passes", formatCount(passes));
  };
  const stop = () => {
    turn += 1;
    isRunning = false;
    plan();
  };

  const measured = (inspection: Inspection, { position, target }: SweepInputs, by: Measure): Promise<number> =>
    by === "probability"
      ? probabilityAt(inspection, position, target.id)
      : inspection.ask("attribution", { position, token: target.id }).then(({ logit }) => logit);

  const run = async () => {
    const of = inputs;
    const sweep = planned();
    if (!of || !sweep || isRunning) return;
    const own = ++turn;
    isRunning = true;
    problem.clear();
    plan();
    try {
      const before = await measured(of.base, of, measure);
      if (turn !== own) return;
      const values = new Float32Array(sweep.rows.length * sweep.cols).fill(Number.NaN);
      result = { of, sweep, measure, before, values };
      const startTime = performance.now();
      let [done, drawn] = [0, startTime];
      for (const { row, col, intervention } of sweep.cells) {
        const changed = await of.base.intervened([intervention]);
        try {
          values[row * sweep.cols + col] = (await measured(changed, of, result.measure)) - before;
        } finally {
          release(changed);
        }
        if (turn !== own) return draw();
        done += 1;
        progress.value = done / sweep.cells.length;
        const left = ((performance.now() - startTime) / done) * (sweep.cells.length - done);
        status.textContent = t(
          "{0} of {1} forward passes, {2} left",
          formatCount(done),
          formatCount(sweep.cells.length),
          formatDuration(left / 1000),
        );
        if (performance.now() - drawn > DRAW_INTERVAL) {
          draw();
          drawn = performance.now();
        }
      }
      draw();
      stop();
      status.textContent = t("{0} forward passes done", formatCount(done));
    } catch (error) {
      if (turn !== own) return;
      problem.say(error);
      stop();
    }
  };

  const draw = () => {
    picture.hidden = !result || result.sweep.columns !== null;
    color(result?.sweep.columns ? effectsOf(result) : null);
    if (result && !picture.hidden) drawPositions(result);
  };

  const titleOf = ({ of: { target, position }, measure }: SweepResult) =>
    t("Effect on the {0} of “{1}” after position {2}", METRICS[measure](), target.label, position);
  const tableOf = (done: SweepResult) => sweepTable(titleOf(done), done.sweep, done.values, done.before, done.measure);
  const effectText = ({ of, measure, before }: SweepResult, effect: number) =>
    t(
      "{0} of “{1}”: {2} → {3}, effect {4}",
      METRICS[measure](),
      of.target.label,
      formatValue(before),
      formatValue(before + effect),
      formatValue(effect),
    );

  const effectsOf = (done: SweepResult): PartEffects => {
    const { sweep, values } = done;
    const byPart = new Map(sweep.cells.map((cell) => [JSON.stringify(partOf(cell.intervention)), cell]));
    const cellOf = (part: Part) => byPart.get(JSON.stringify(part));
    const at = (part: Part) => {
      const cell = cellOf(part);
      return cell ? (values[cell.row * sweep.cols + cell.col] as number) : Number.NaN;
    };
    return {
      title: titleOf(done),
      table: tableOf(done),
      at,
      describe(part) {
        const [cell, effect] = [cellOf(part), at(part)];
        if (!cell || Number.isNaN(effect)) return t("no effect computed");
        return `${interventionText(cell.intervention)} · ${effectText(done, effect)}`;
      },
    };
  };

  const drawPositions = (done: SweepResult) => {
    const { of, sweep, values } = done;
    const { base } = of;
    title.textContent = titleOf(done);
    const tokens = of.source?.stack.stack === "encoder" ? (base.trace.source?.tokens ?? []) : base.trace.tokens;
    const byCell = new Map(sweep.cells.map((cell) => [cell.row * sweep.cols + cell.col, cell.intervention]));
    heatmap.show({
      title: title.textContent,
      rows: sweep.rows.length,
      cols: sweep.cols,
      values,
      scale: "diverging",
      masked: (row, col) => !byCell.has(row * sweep.cols + col),
      rowLabels: sweep.rows,
      colLabels: tokens.slice(0, sweep.cols).map(tokenLabel),
      rowHeight: 20,
      describe: (row, col) => {
        const intervention = byCell.get(row * sweep.cols + col);
        const effect = values[row * sweep.cols + col] as number;
        if (!intervention) return t("No aligned token in the other text.");
        if (Number.isNaN(effect)) return t("{0}: not computed yet", interventionText(intervention));
        return [interventionText(intervention), effectText(done, effect), traceText(base)].join("\n");
      },
    });
    data.update();
  };

  return {
    controls: el(
      "div",
      {},
      el("div", { class: "pair-controls" }, watch, kinds.node, measures.node, start, cancel, progress, status),
      problem.node,
    ),
    picture,
    prepare(next) {
      const before = inputs;
      const isOther =
        next.base !== before?.base || next.position !== before.position || next.target.id !== before.target.id;
      inputs = next;
      if (isOther) {
        if (isRunning) stop();
        result = null;
        draw();
      }
      if (isOther || next.source !== before?.source) {
        if (!next.source) kind = "ablate";
        if (kind === "crossOut" && !next.source?.stack.crosses) kind = "ablate";
        const values = ["residPre", "attnOut", ...(next.source?.stack.crosses ? ["crossOut"] : []), "mlpOut"];
        const patches = [
          { value: "patchHeads", label: t("patch each head at the two positions") },
          ...values.map((value) => ({ value, label: t("patch {0} of each layer and position", value) })),
        ];
        kinds.update([{ value: "ablate", label: t("ablate each part") }, ...(next.source ? patches : [])], kind);
      }
      plan();
    },
  };
}
