/**
 * The curves of a run, alone or over those of other runs: losses with perplexity, learning rate, gradient norm, how far
 * each layer moves, speed, and accuracy where there is one.
 */

import type { RunSnapshot } from "../../../src/protocol/webviewApi";
import { el } from "../../base/dom";
import { formatCount, formatDuration, formatShort } from "../../base/format";
import { t } from "../../base/strings";
import { checkbox, dropdown } from "../../base/toolkit";
import { createLineChart, type Line, type LineChart, type Mark, type Scales } from "../../charts/lineChart";
import { type Points, smooth, smoothingWindow } from "../../charts/series";
import { createDataBar, type DataBar, type Save } from "../../parts/dataBar";
import { movedTo, pointsOf, positions, type XAxis } from "./layout";

export interface CurvesView {
  readonly node: HTMLElement;
  /** Draws a run, and others beside it. */
  readonly show: (run: RunSnapshot, others: readonly RunSnapshot[]) => void;
}

/** How the curves are drawn, which the page remembers. */
export interface CurveChoices {
  readonly xAxis: string;
  readonly logarithmic: boolean;
  readonly smoothing: string;
}

interface Panel {
  readonly node: HTMLElement;
  readonly chart: LineChart;
  readonly data: DataBar;
  readonly draw: () => void;
}

/** How many times wider than usual a curve is smoothed; 0 not at all. */
const SMOOTHING: Readonly<Record<string, number>> = { none: 0, usual: 1, strong: 5 };

const formatLoss = (loss: number): string => loss.toFixed(4);
const perplexity = (loss: number): string => formatShort(Math.exp(loss));
const formatSpeed = (speed: number): string => formatCount(Math.round(speed));

export function createCurvesView(save: Save, first: CurveChoices, choose: (choices: CurveChoices) => void): CurvesView {
  let run: RunSnapshot | null = null;
  let others: readonly RunSnapshot[] = [];
  let choices = first;

  /** `one` has the lines of a run. Of several runs each has one color; an `alone` panel shows the first run only. */
  const panel = (
    name: string,
    title: string,
    height: number,
    options: Omit<Parameters<typeof createLineChart>[0], "title" | "height">,
    one: (run: RunSnapshot, smoothing: number) => readonly Line[],
    { marks = () => [], alone = false }: { marks?: (run: RunSnapshot) => readonly Mark[]; alone?: boolean } = {},
  ): Panel => {
    const chart = createLineChart({ title, height, ...options });
    let drawn: readonly Line[] = [];
    const data = createDataBar(
      {
        fileName: () => `${run?.name ?? "run"}-${name}`,
        table: () => run && linesTable(title, scalesOf(choices).x.name, drawn),
        picture: chart.picture,
        svg: chart.svg,
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
      const smoothing = SMOOTHING[choices.smoothing] ?? 1;
      const runs = alone ? [run] : [run, ...others];
      // A run that does not say where its steps are on the axis is left out.
      const placed = runs.flatMap((each, index) => {
        const place = positions(each, axisOf(choices));
        return place ? [{ each, index, place }] : [];
      });
      drawn = placed.flatMap(({ each, index, place }) => {
        const lines = one(each, smoothing).map((line) => ({ ...line, points: movedTo(line.points, place) }));
        return runs.length === 1 ? lines : beside(each.name, index, lines);
      });
      const place = positions(run, axisOf(choices));
      node.hidden = drawn.every(({ points }) => points.x.length === 0);
      if (node.hidden) return;
      const placedMarks = place ? marks(run).map((mark) => ({ ...mark, x: place(mark.x) })) : [];
      chart.show(drawn, scalesOf(choices), placedMarks);
      data.update();
    };
    return { node, chart, data, draw };
  };

  const panels = [
    panel(
      "loss",
      t("Loss"),
      300,
      { formatAxis: formatShort, rightAxis: { name: t("perplexity"), format: perplexity } },
      lossLines,
      { marks: troubles },
    ),
    panel(
      "accuracy",
      t("Accuracy on the task"),
      180,
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
    panel("learning-rate", t("Learning rate"), 180, { formatAxis: formatShort }, ({ reports }) => [
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
      180,
      { formatAxis: formatShort },
      ({ reports }, smoothing) =>
        withTrend(
          [t("each step"), t("smoothed")],
          pointsOf(reports, ({ gradNorm }) => gradNorm),
          (norm) => norm.toPrecision(4),
          smoothing,
        ),
    ),
    panel("updates", t("Update by weights, of each layer"), 220, { formatAxis: formatShort }, updateLines, {
      alone: true,
    }),
    panel("speed", t("Tokens per second"), 180, { formatAxis: formatCount }, ({ reports }, smoothing) =>
      withTrend(
        [t("each step"), t("smoothed")],
        pointsOf(reports, ({ tokensPerSecond }) => tokensPerSecond),
        formatSpeed,
        smoothing,
      ),
    ),
  ];
  const draw = () => {
    for (const each of panels) each.draw();
  };

  const change = (next: Partial<CurveChoices>) => {
    choices = { ...choices, ...next };
    choose(choices);
    draw();
  };
  const xAxis = dropdown(t("Over"), (chosen) => change({ xAxis: chosen }));
  xAxis.update(
    [
      { value: "step", label: t("over steps") },
      { value: "tokens", label: t("over tokens") },
      { value: "seconds", label: t("over time") },
    ],
    axisOf(choices),
  );
  const smoothing = dropdown(t("Smoothing"), (chosen) => change({ smoothing: chosen }));
  smoothing.update(
    [
      { value: "none", label: t("not smoothed") },
      { value: "usual", label: t("smoothed") },
      { value: "strong", label: t("strongly smoothed") },
    ],
    choices.smoothing in SMOOTHING ? choices.smoothing : "usual",
  );
  const logarithmic = checkbox(t("Logarithmic"), choices.logarithmic, (checked) => change({ logarithmic: checked }));
  const bar = el(
    "div",
    { class: "curve-choices", attrs: { role: "group", "aria-label": t("How curves are drawn") } },
    xAxis.node,
    smoothing.node,
    logarithmic,
  );
  const node = el("div", { class: "curves" }, bar, el("div", { class: "panels" }, ...panels.map((each) => each.node)));

  return {
    node,
    show(next, beside_) {
      run = next;
      others = beside_;
      draw();
    },
  };
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

/** Of a run among others: its own color and dashes, and no line for each step behind the smoothed ones. */
const beside = (name: string, index: number, lines: readonly Line[]): Line[] =>
  lines
    .filter(({ style }) => style !== "faint")
    .map((line) => ({ ...line, name: `${name}: ${line.name}`, color: index, dash: index }));

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

/** A line a layer: how much of its weights a step changed. */
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

/** Where a loss was not a number, or left its course. */
const troubles = ({ warnings }: RunSnapshot): Mark[] =>
  warnings.map(({ step, message }) => ({ x: step, label: message }));

/** A noisy value as it is, and smoothed in front of it; or as it is alone. */
function withTrend(
  [raw, trend]: readonly [string, string],
  points: Points,
  format: Line["format"],
  smoothing: number,
): Line[] {
  if (smoothing === 0) return [{ name: raw, points, color: 0, style: "line", format }];
  const window = Math.round(smoothing * smoothingWindow(points.y.length));
  const smoothed: Points = { x: points.x, y: smooth(points.y, window) };
  return [
    { name: raw, points, color: 0, style: "faint", format },
    { name: trend, points: smoothed, color: 0, style: "line", format },
  ];
}

/** Every point of the lines, a row for each position that has any. */
function linesTable(title: string, position: string, lines: readonly Line[]) {
  const byLine = lines.map(({ points }) => new Map(points.x.map((x, i) => [x, points.y[i] as number])));
  const steps = [...new Set(lines.flatMap(({ points }) => points.x))].sort((a, b) => b - a);
  return {
    title,
    columns: [position, ...lines.map(({ name }) => name)],
    rows: steps.length,
    row: (i: number) => [steps[i] as number, ...byLine.map((values) => values.get(steps[i] as number) ?? "")],
  };
}
