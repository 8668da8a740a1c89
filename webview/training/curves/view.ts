/**
 * The curves of a run, alone or with those of other runs: losses and perplexity, accuracy, learning rate, gradient norm,
 * update-to-weight ratio and speed.
 */

import type { RunSnapshot } from "../../../src/protocol/webviewApi";
import { el } from "../../base/dom";
import { formatCount, formatDuration, formatShort } from "../../base/format";
import { t } from "../../base/strings";
import { checkbox, dropdown } from "../../base/toolkit";
import { createLineChart, type Line, type LineChart, type Mark, type Scales } from "../../charts/lineChart";
import { type Points, smooth } from "../../charts/series";
import { createDataBar, type DataBar, type Save } from "../../parts/dataBar";
import { movedTo, pointsOf, positions, type XAxis } from "./layout";

export interface CurvesView {
  /** The controls that apply to all curves. */
  readonly choices: HTMLElement;
  readonly loss: HTMLElement;
  /** All curves but the loss. */
  readonly others: HTMLElement;
  /** Draws a run, and other runs with it. */
  readonly show: (run: RunSnapshot, others: readonly RunSnapshot[]) => void;
}

/** The user's choices, which the page remembers. */
export interface CurveChoices {
  readonly xAxis: string;
  readonly logarithmic: boolean;
  /** Weight of the moving average, 0 to 0.999. */
  readonly smoothing: number;
}

interface Panel {
  readonly node: HTMLElement;
  readonly chart: LineChart;
  readonly data: DataBar;
  readonly draw: () => void;
}

const formatLoss = (loss: number): string => loss.toFixed(4);
const perplexity = (loss: number): string => formatShort(Math.exp(loss));
const formatSpeed = (speed: number): string => formatCount(Math.round(speed));

export function createCurvesView(save: Save, first: CurveChoices, choose: (choices: CurveChoices) => void): CurvesView {
  let run: RunSnapshot | null = null;
  let others: readonly RunSnapshot[] = [];
  let choices = first;

  /** A chart of the lines that `linesOf` returns for each run; several runs have one color each. `alone` shows only the first run. */
  const panel = (
    name: string,
    title: string,
    height: string,
    options: Omit<Parameters<typeof createLineChart>[0], "title" | "height">,
    linesOf: (run: RunSnapshot, smoothing: number) => readonly Line[],
    { marks = () => [], alone = false }: { marks?: (run: RunSnapshot) => readonly Mark[]; alone?: boolean } = {},
  ): Panel => {
    const chart = createLineChart({ title, height, ...options });
    let drawn: readonly Line[] = [];
    const data = createDataBar(
      {
        fileName: () => `${run?.name ?? "run"}-${name}`,
        table: () => run && linesTable(title, scalesOf(choices).x.name, drawn),
        drawing: chart.drawing,
      },
      save,
    );
    const node = el(
      "section",
      { class: `panel ${name}`, attrs: { "aria-label": title } },
      el("h2", { class: "panel-title" }, title),
      chart.node,
      data.node,
    );
    const draw = () => {
      if (!run) return;
      const { smoothing } = choices;
      const runs = alone ? [run] : [run, ...others];
      drawn = runs.flatMap((each, index) => {
        const position = positions(each, axisOf(choices));
        // Without the data for this axis, the run has no curve.
        if (!position) return [];
        const lines = linesOf(each, smoothing).map((line) => ({ ...line, points: movedTo(line.points, position) }));
        return runs.length === 1 ? lines : comparedLines(each.name, index, lines);
      });
      const position = positions(run, axisOf(choices));
      node.hidden = drawn.every(({ points }) => points.x.length === 0);
      if (node.hidden) return;
      const shownMarks = position ? marks(run).map((mark) => ({ ...mark, x: position(mark.x) })) : [];
      chart.show(drawn, scalesOf(choices), shownMarks);
      data.update();
    };
    return { node, chart, data, draw };
  };

  const loss = panel(
    "loss",
    t("Loss"),
    "clamp(160px, 50vh, 400px)",
    { formatAxis: formatShort, rightAxis: { name: t("perplexity"), format: perplexity } },
    lossLines,
    { marks: warningMarks },
  );
  const panels = [
    panel(
      "accuracy",
      t("Accuracy"),
      "180px",
      { formatAxis: (share) => `${formatShort(share * 100)} %` },
      ({ evals }) => [
        {
          name: t("validation"),
          points: pointsOf(evals, ({ accuracy }) => accuracy),
          color: 1,
          style: "dots",
          format: (share) => `${(share * 100).toFixed(2)} %`,
        },
      ],
    ),
    panel("learning-rate", t("Learning rate"), "180px", { formatAxis: formatShort }, ({ reports }) => [
      {
        name: t("learning rate"),
        points: pointsOf(reports, ({ lr }) => lr),
        color: 0,
        style: "line",
        format: (lr) => String(Number(lr.toPrecision(4))),
      },
    ]),
    panel(
      "gradient-norm",
      t("Gradient norm before clipping"),
      "180px",
      { formatAxis: formatShort },
      ({ reports }, smoothing) =>
        withTrend(
          [t("each step"), t("smoothed")],
          pointsOf(reports, ({ gradNorm }) => gradNorm),
          (norm) => norm.toPrecision(4),
          smoothing,
        ),
    ),
    panel("updates", t("Update-to-weight ratio per layer"), "220px", { formatAxis: formatShort }, updateLines, {
      alone: true,
    }),
    panel("speed", t("Tokens per second"), "180px", { formatAxis: formatCount }, ({ reports }, smoothing) =>
      withTrend(
        [t("each step"), t("smoothed")],
        pointsOf(reports, ({ tokensPerSecond }) => tokensPerSecond),
        formatSpeed,
        smoothing,
      ),
    ),
  ];
  const draw = () => {
    for (const each of [loss, ...panels]) each.draw();
  };

  const change = (next: Partial<CurveChoices>) => {
    choices = { ...choices, ...next };
    choose(choices);
    draw();
  };
  const xAxis = dropdown(t("X axis"), (chosen) => change({ xAxis: chosen }));
  xAxis.update(
    [
      { value: "step", label: t("over steps") },
      { value: "tokens", label: t("over tokens") },
      { value: "seconds", label: t("over time") },
    ],
    axisOf(choices),
  );
  const smoothing = createSmoothing(choices.smoothing, (weight) => change({ smoothing: weight }));
  const logarithmic = checkbox(t("Logarithmic"), choices.logarithmic, (checked) => change({ logarithmic: checked }));
  const bar = el(
    "div",
    { class: "curve-choices", attrs: { role: "group", "aria-label": t("Curve options") } },
    xAxis.node,
    smoothing,
    logarithmic,
  );

  return {
    choices: bar,
    loss: loss.node,
    others: el("div", { class: "panels" }, ...panels.map((each) => each.node)),
    show(next, nextOthers) {
      run = next;
      others = nextOthers;
      draw();
    },
  };
}

/** A slider for the weight of the moving average. */
function createSmoothing(first: number, choose: (weight: number) => void): HTMLElement {
  const value = el("output", { class: "number" }, first.toFixed(2));
  const slider = el("input", {
    class: "slider",
    attrs: { type: "range", min: 0, max: 0.99, step: 0.01, "aria-label": t("Smoothing") },
  });
  slider.value = String(first);
  slider.addEventListener("input", () => {
    value.textContent = Number(slider.value).toFixed(2);
    choose(Number(slider.value));
  });
  const title = t("Weight of the moving average: 0 shows the values as they are.");
  return el("label", { class: "smoothing", title }, t("Smoothing"), slider, value);
}

const axisOf = ({ xAxis }: CurveChoices): XAxis => (xAxis === "tokens" || xAxis === "seconds" ? xAxis : "step");

function scalesOf(choices: CurveChoices): Scales {
  const { logarithmic: log } = choices;
  switch (axisOf(choices)) {
    case "step":
      return { x: { name: t("step"), format: formatCount, whole: true }, log };
    case "tokens":
      return { x: { name: t("tokens"), format: formatMany, whole: true }, log };
    case "seconds":
      return { x: { name: t("time"), format: formatDuration, whole: false }, log };
  }
}

const formatMany = (n: number): string => (n < 1e6 ? formatCount(n) : `${Number((n / 1e6).toPrecision(4))} M`);

/** The lines of one run among several: in the run's color, with validation dashed, and without the unsmoothed values. */
const comparedLines = (name: string, index: number, lines: readonly Line[]): Line[] =>
  lines
    .filter(({ style }) => style !== "faint")
    .map((line) => ({
      ...line,
      name: `${name}: ${line.name}`,
      color: index,
      dash: line.style === "dots" ? 1 : 0,
    }));

function lossLines({ reports, evals }: RunSnapshot, smoothing: number): Line[] {
  return [
    ...withTrend(
      smoothing === 0 ? [t("training"), ""] : [t("training, each step"), t("training, smoothed")],
      pointsOf(reports, ({ loss }) => loss),
      formatLoss,
      smoothing,
    ),
    {
      name: t("validation"),
      points: pointsOf(evals, ({ loss }) => loss),
      color: 1,
      style: "dots",
      format: (loss) => t("{0} (perplexity {1})", formatLoss(loss), perplexity(loss)),
    },
  ];
}

/** One line per layer. */
function updateLines({ updates }: RunSnapshot): Line[] {
  const names = updates.at(-1)?.layers.map(({ name }) => name) ?? [];
  return names.map((name, i) => ({
    name,
    points: pointsOf(updates, ({ layers }) => layers.find((layer) => layer.name === name)?.ratio),
    color: i,
    style: "line",
    format: (ratio) => ratio.toExponential(2),
  }));
}

/** Steps with a warning, such as a diverging loss. */
const warningMarks = ({ warnings }: RunSnapshot): Mark[] =>
  warnings.map(({ step, message }) => ({ x: step, label: message }));

/** A noisy curve with its smoothed version in front; without smoothing, only the curve itself. */
function withTrend(
  [raw, trend]: readonly [string, string],
  points: Points,
  format: Line["format"],
  smoothing: number,
): Line[] {
  if (smoothing === 0) return [{ name: raw, points, color: 0, style: "line", format }];
  const smoothed: Points = { x: points.x, y: smooth(points.y, smoothing) };
  return [
    { name: raw, points, color: 0, style: "faint", format },
    { name: trend, points: smoothed, color: 0, style: "line", format },
  ];
}

/** The points of all lines, with one row per x position, the last first. */
function linesTable(title: string, xName: string, lines: readonly Line[]) {
  const byLine = lines.map(({ points }) => new Map(points.x.map((x, i) => [x, points.y[i] as number])));
  const steps = [...new Set(lines.flatMap(({ points }) => points.x))].sort((a, b) => b - a);
  return {
    title,
    columns: [xName, ...lines.map(({ name }) => name)],
    rows: steps.length,
    row: (i: number) => [steps[i] as number, ...byLine.map((values) => values.get(steps[i] as number) ?? "")],
  };
}
