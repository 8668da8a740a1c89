/** The curves of a run: losses with perplexity, learning rate, gradient norm, speed, and accuracy where there is one. */

import { createLineChart, type Line, type LineChart } from "../../charts/lineChart";
import { type Points, smooth, smoothingWindow } from "../../charts/series";
import { el } from "../../dom";
import { formatCount, formatShort } from "../../format";
import { createDataBar, type DataBar, type Save } from "../../parts/dataBar";
import { t } from "../../strings";
import { pointsOf, type Run } from "./layout";

export interface CurvesView {
  readonly node: HTMLElement;
  readonly show: (run: Run) => void;
}

interface Panel {
  readonly node: HTMLElement;
  readonly chart: LineChart;
  readonly data: DataBar;
  readonly lines: (run: Run) => readonly Line[];
}

const formatLoss = (loss: number): string => loss.toFixed(4);
const perplexity = (loss: number): string => formatShort(Math.exp(loss));
const formatSpeed = (speed: number): string => formatCount(Math.round(speed));

export function createCurvesView(save: Save): CurvesView {
  let run: Run | null = null;

  const panel = (
    name: string,
    title: string,
    height: number,
    options: Omit<Parameters<typeof createLineChart>[0], "title" | "height">,
    lines: Panel["lines"],
  ): Panel => {
    const chart = createLineChart({ title, height, ...options });
    const data = createDataBar(
      {
        fileName: () => `${run?.name ?? "run"}-${name}`,
        table: () => run && linesTable(title, lines(run)),
        picture: chart.picture,
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
    return { node, chart, data, lines };
  };

  const panels = [
    panel(
      "loss",
      t("Loss"),
      300,
      { formatAxis: formatShort, rightAxis: { name: t("perplexity"), format: perplexity } },
      lossLines,
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
    panel("gradient-norm", t("Gradient norm before clipping"), 180, { formatAxis: formatShort }, ({ reports }) =>
      withTrend(
        [t("each step"), t("smoothed")],
        pointsOf(reports, ({ gradNorm }) => gradNorm),
        (norm) => norm.toPrecision(4),
      ),
    ),
    panel("speed", t("Tokens per second"), 180, { formatAxis: formatCount }, ({ reports }) =>
      withTrend(
        [t("each step"), t("smoothed")],
        pointsOf(reports, ({ tokensPerSecond }) => tokensPerSecond),
        formatSpeed,
      ),
    ),
  ];
  const node = el("div", { class: "panels" }, ...panels.map((each) => each.node));

  return {
    node,
    show(next) {
      run = next;
      for (const { node: part, chart, data, lines } of panels) {
        const drawn = lines(next);
        part.hidden = part.classList.contains("accuracy") && drawn.every(({ points }) => points.x.length === 0);
        if (part.hidden) continue;
        chart.show(drawn);
        data.update();
      }
    },
  };
}

function lossLines({ reports, evals }: Run): Line[] {
  return [
    ...withTrend(
      [t("training, each step"), t("training, smoothed")],
      pointsOf(reports, ({ loss }) => loss),
      formatLoss,
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

/** A noisy value as it is, and smoothed in front of it. */
function withTrend([raw, trend]: readonly [string, string], points: Points, format: Line["format"]): Line[] {
  const smoothed: Points = { x: points.x, y: smooth(points.y, smoothingWindow(points.y.length)) };
  return [
    { name: raw, points, color: 0, style: "faint", format },
    { name: trend, points: smoothed, color: 0, style: "line", format },
  ];
}

/** Every point of the lines, a row for each step that has any. */
function linesTable(title: string, lines: readonly Line[]) {
  const byLine = lines.map(({ points }) => new Map(points.x.map((x, i) => [x, points.y[i] as number])));
  const steps = [...new Set(lines.flatMap(({ points }) => points.x))].sort((a, b) => b - a);
  return {
    title,
    columns: ["step", ...lines.map(({ name }) => name)],
    rows: steps.length,
    row: (i: number) => [steps[i] as number, ...byLine.map((values) => values.get(steps[i] as number) ?? "")],
  };
}
