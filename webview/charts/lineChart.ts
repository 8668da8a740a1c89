/** Lines over steps, drawn by uPlot: told what to draw, with a legend that reads the values under the pointer. */

import "uplot/dist/uPlot.min.css";
import uPlot from "uplot";
import { el, fill, setAttr } from "../dom";
import { formatCount } from "../format";
import { t } from "../strings";
import { onThemeChange, readTheme, type Theme } from "../theme";
import { type Rgb, toCss } from "./colorScale";
import { decimate, indexAt, type Points } from "./series";

export interface Line {
  readonly name: string;
  readonly points: Points;
  /** Which of the theme's chart colours. */
  readonly color: 0 | 1 | 2;
  /** `faint` lies behind another line of its colour; `dots` marks each point. */
  readonly style: "line" | "faint" | "dots";
  readonly format: (value: number) => string;
}

interface ChartOptions {
  readonly title: string;
  readonly height: number;
  readonly formatAxis: (value: number) => string;
  /** A second reading of the same scale on the right, such as perplexity beside loss. */
  readonly rightAxis?: { readonly name: string; readonly format: (value: number) => string };
}

export interface LineChart {
  readonly node: HTMLElement;
  readonly show: (lines: readonly Line[]) => void;
  readonly picture: () => HTMLCanvasElement | null;
}

export function createLineChart(options: ChartOptions): LineChart {
  const legend = el("dl", { class: "chart-legend" });
  const holder = el("div", {
    class: "chart",
    attrs: { tabindex: 0, role: "application", "aria-roledescription": "line chart", "aria-label": options.title },
  });
  holder.style.height = `${options.height}px`;
  const spoken = el("div", { class: "visually-hidden", attrs: { role: "status" } });
  const node = el("div", { class: "chart-block" }, legend, holder, spoken);

  let lines: readonly Line[] = [];
  let plot: uPlot | null = null;
  /** Where the user points; null: at the end. */
  let step: number | null = null;

  const readAt = (at: number) =>
    lines.map((line) => {
      const i = indexAt(line.points, at);
      return { line, text: i < 0 ? "–" : line.format(line.points.y[i] as number) };
    });
  const lastStep = () => Math.max(0, ...lines.map(({ points }) => points.x.at(-1) ?? 0));

  const drawLegend = () => {
    const theme = readTheme();
    const at = step ?? lastStep();
    fill(
      legend,
      el("div", { class: "legend-step" }, el("dt", {}, t("step")), el("dd", { class: "number" }, formatCount(at))),
      ...readAt(at).map(({ line, text }) => {
        const swatch = el("span", { class: `swatch ${line.style}`, attrs: { "aria-hidden": "true" } });
        swatch.style.setProperty("--swatch", toCss(theme.series[line.color] as Rgb));
        return el("div", {}, el("dt", {}, swatch, line.name), el("dd", { class: "number" }, text));
      }),
    );
  };

  const data = (): uPlot.AlignedData => {
    const buckets = Math.max(100, holder.clientWidth);
    const tables = lines.map(({ points }) => {
      const { x, y } = decimate(points, buckets);
      return [x, y] as [number[], number[]];
    });
    // Nulls where another line has a point are gaps that the lines span.
    return uPlot.join(tables);
  };

  const rebuild = () => {
    plot?.destroy();
    plot = null;
    if (lines.length === 0 || holder.clientWidth === 0) return;
    const theme = readTheme();
    plot = new uPlot(plotOptions(options, lines, holder.clientWidth, theme, pointed), data(), holder);
    drawLegend();
  };

  const pointed = (self: uPlot) => {
    const { left } = self.cursor;
    const before = step;
    step = left === undefined || left < 0 ? null : Math.round(self.posToVal(left, "x"));
    if (step !== before) drawLegend();
  };

  holder.addEventListener("keydown", (event) => {
    if (!plot) return;
    const xs = plot.data[0];
    const last = xs.length - 1;
    const from = step === null ? last : plot.valToIdx(step);
    const jump = Math.max(1, Math.round(xs.length / 20));
    const moves: Record<string, number> = {
      ArrowLeft: from - (step === null ? 0 : 1),
      ArrowRight: from + 1,
      PageUp: from - jump,
      PageDown: from + jump,
      Home: 0,
      End: last,
    };
    const to = moves[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    const x = xs[Math.max(0, Math.min(last, to))] as number;
    plot.setCursor({ left: plot.valToPos(x, "x"), top: plot.over.clientHeight / 2 });
    step = x;
    drawLegend();
    spoken.textContent = `${t("step {0}", formatCount(x))}: ${readAt(x)
      .map(({ line, text }) => `${line.name} ${text}`)
      .join(", ")}`;
  });
  holder.addEventListener("blur", () => plot?.setCursor({ left: -10, top: -10 }));
  new ResizeObserver(() => {
    if (plot) plot.setSize({ width: holder.clientWidth, height: options.height });
    else rebuild();
  }).observe(holder);
  onThemeChange(rebuild);

  return {
    node,
    show(next) {
      const same = plot && next.length === lines.length && next.every(({ name }, i) => name === lines[i]?.name);
      lines = next;
      setAttr(holder, "aria-label", `${options.title}, ${next.map(({ name }) => name).join(", ")}`);
      if (!same) return rebuild();
      plot?.setData(data());
      drawLegend();
    },
    picture: () => plot && pictureOf(plot, options.title),
  };
}

function plotOptions(
  { height, formatAxis, rightAxis }: ChartOptions,
  lines: readonly Line[],
  width: number,
  theme: Theme,
  pointed: (self: uPlot) => void,
): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: toCss(theme.muted),
    font: `11px ${theme.fontFamily}`,
    grid: { stroke: alpha(theme.foreground, theme.highContrast ? 0.35 : 0.09), width: 1 },
    ticks: { show: false },
  };
  const format = (write: (value: number) => string) => (_: uPlot, values: number[]) => values.map(write);
  return {
    width,
    height,
    legend: { show: false },
    padding: [8, rightAxis ? 0 : 12, 0, 0],
    cursor: {
      drag: { x: false, y: false },
      points: { size: 7, fill: toCss(theme.background) },
      y: false,
    },
    scales: { x: { time: false } },
    axes: [
      {
        ...axis,
        size: 28,
        values: format(formatCount),
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4, 1e5],
      },
      { ...axis, size: 52, values: format(formatAxis) },
      ...(rightAxis
        ? [
            {
              ...axis,
              side: 1,
              scale: "y",
              size: 48,
              grid: { show: false },
              values: format(rightAxis.format),
              label: rightAxis.name,
              labelSize: 16,
              labelFont: `11px ${theme.fontFamily}`,
            },
          ]
        : []),
    ],
    series: [
      {},
      ...lines.map(({ name, color, style }) => {
        const stroke = theme.series[color] as Rgb;
        return {
          label: name,
          stroke: style === "faint" ? alpha(stroke, theme.highContrast ? 0.55 : 0.35) : toCss(stroke),
          width: style === "faint" ? 1 : 1.75,
          spanGaps: true,
          points: { show: style === "dots", size: 5, fill: toCss(stroke) },
        };
      }),
    ],
    hooks: { setCursor: [pointed] },
  };
}

const alpha = ([r, g, b]: Rgb, a: number): string => `rgb(${r} ${g} ${b} / ${a})`;

/** The plot on the page's background, with its title. */
function pictureOf(plot: uPlot, title: string): HTMLCanvasElement {
  const theme = readTheme();
  const source = plot.ctx.canvas;
  const ratio = source.width / plot.width;
  const head = 28 * ratio;
  const canvas = el("canvas");
  canvas.width = source.width;
  canvas.height = source.height + head;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.fillStyle = toCss(theme.background);
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = toCss(theme.foreground);
  context.font = `600 ${13 * ratio}px ${theme.fontFamily}`;
  context.fillText(title, 10 * ratio, 19 * ratio);
  context.drawImage(source, 0, head);
  return canvas;
}
