/** Lines over steps, drawn by uPlot, with a legend that shows the values under the pointer. */

import "uplot/dist/uPlot.min.css";
import uPlot from "uplot";
import { el, fill, setAttr } from "../base/dom";
import { formatCount } from "../base/format";
import { t } from "../base/strings";
import { onThemeChange, readTheme, type Theme } from "../base/theme";
import { type Rgb, toCss } from "./colorScale";
import { dashOf, type LinePlot, lineDrawing, MARK_ROOM } from "./lineDrawing";
import type { Drawing } from "./pen";
import { decimate, indexAt, type Points } from "./series";

export interface Line {
  readonly name: string;
  readonly points: Points;
  /** Index into the theme's chart colors; after the last they repeat with another dash. */
  readonly color: number;
  /** Index of the dash pattern, so that lines differ without their colors too; solid by default. */
  readonly dash?: number;
  /** `faint`: behind another line of its color; `dots`: points are marked while they leave the line visible. */
  readonly style: "line" | "faint" | "dots";
  readonly format: (value: number) => string;
}

/** The two axes. */
export interface Scales {
  readonly x: {
    readonly name: string;
    readonly format: (value: number) => string;
    /** All positions are whole numbers. */
    readonly whole: boolean;
  };
  /** Logarithmic y axis, which leaves out values that are not positive. */
  readonly log: boolean;
}

/** An event at a position, such as a loss that was not a number. */
export interface Mark {
  readonly x: number;
  readonly label: string;
}

const stepScales = (): Scales => ({ x: { name: t("step"), format: formatCount, whole: true }, log: false });

interface ChartOptions {
  readonly title: string;
  /** A CSS length. */
  readonly height: string;
  readonly formatAxis: (value: number) => string;
  /** A second axis for the same scale on the right, such as perplexity beside loss. */
  readonly rightAxis?: { readonly name: string; readonly format: (value: number) => string };
}

export interface LineChart {
  readonly node: HTMLElement;
  readonly show: (lines: readonly Line[], scales?: Scales, marks?: readonly Mark[]) => void;
  /** The whole picture, to save. */
  readonly drawing: () => Drawing | null;
}

export function createLineChart(options: ChartOptions): LineChart {
  const legend = el("dl", { class: "chart-legend" });
  const reset = el(
    "button",
    {
      class: "action",
      title: t("Show all steps (double-click the chart, or press Escape in it)"),
      attrs: { type: "button" },
      on: { click: () => zoomTo(null) },
    },
    t("Reset zoom"),
  );
  reset.hidden = true;
  const holder = el("div", {
    class: "chart",
    attrs: { tabindex: 0, role: "application", "aria-roledescription": "line chart", "aria-label": options.title },
  });
  holder.style.height = options.height;
  const spoken = el("div", { class: "visually-hidden", attrs: { role: "status" } });
  const node = el("div", { class: "chart-block" }, legend, el("div", { class: "chart-tools" }, reset), holder, spoken);

  let lines: readonly Line[] = [];
  let scales = stepScales();
  let marks: readonly Mark[] = [];
  let plot: uPlot | null = null;
  /** Step under the pointer; null for the last one. */
  let step: number | null = null;
  /** The positions that are shown; null for all. */
  let zoom: Range | null = null;

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
      el(
        "div",
        { class: "legend-step" },
        el("dt", {}, scales.x.name),
        el("dd", { class: "number" }, scales.x.format(at)),
      ),
      ...readAt(at).map(({ line, text }) =>
        el("div", {}, el("dt", {}, swatch(line, theme), line.name), el("dd", { class: "number" }, text)),
      ),
      ...marks.map(({ label }) =>
        el(
          "div",
          { class: "mark-note" },
          el("dt", {}, el("span", { class: "mark-sign", attrs: { "aria-hidden": "true" } })),
          el("dd", {}, label),
        ),
      ),
    );
  };

  const data = (): uPlot.AlignedData => {
    const buckets = Math.max(100, holder.clientWidth);
    const tables = lines.map(({ points }) => {
      const drawn = scales.log ? { ...points, y: points.y.map((value) => (value > 0 ? value : Number.NaN)) } : points;
      const { x, y } = decimate(drawn, buckets);
      return [x, y] as [number[], number[]];
    });
    // The value is null if only another line has a point here; the line spans the gap.
    return uPlot.join(tables);
  };

  const rebuild = () => {
    plot?.destroy();
    plot = null;
    if (lines.length === 0 || holder.clientWidth === 0) return;
    const theme = readTheme();
    plot = new uPlot(
      plotOptions(options, { lines, scales, marks: () => marks }, holder, theme, { pointed, selected }),
      data(),
      holder,
    );
    applyZoom();
    drawLegend();
  };

  const zoomTo = (range: Range | null) => {
    zoom = range;
    applyZoom();
  };
  /** The plot forgets its range when it is built again or gets other data. */
  const applyZoom = () => {
    reset.hidden = zoom === null;
    const xs = plot?.data[0] ?? [];
    const [min, max] = zoom ?? [xs[0] ?? 0, xs.at(-1) ?? 1];
    plot?.setScale("x", { min, max });
  };
  const selected = (self: uPlot) => {
    const { left, width } = self.select;
    if (width < MIN_SELECTION) return;
    zoomTo([self.posToVal(left, "x"), self.posToVal(left + width, "x")]);
    self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  };

  const pointed = (self: uPlot) => {
    const { left } = self.cursor;
    const before = step;
    const at = left === undefined || left < 0 ? null : self.posToVal(left, "x");
    step = at !== null && scales.x.whole ? Math.round(at) : at;
    if (step !== before) drawLegend();
  };

  holder.addEventListener("dblclick", () => zoomTo(null));
  holder.addEventListener("keydown", (event) => {
    if (!plot) return;
    if (event.key === "Escape" && zoom) {
      event.stopPropagation();
      return zoomTo(null);
    }
    if (event.key === "+" || event.key === "-") {
      event.preventDefault();
      return zoomTo(zoomed(plot, step, event.key === "+" ? 0.5 : 2));
    }
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
    spoken.textContent = `${scales.x.name} ${scales.x.format(x)}: ${readAt(x)
      .map(({ line, text }) => `${line.name} ${text}`)
      .join(", ")}`;
  });
  holder.addEventListener("blur", () => plot?.setCursor({ left: -10, top: -10 }));
  new ResizeObserver(() => {
    if (plot) plot.setSize({ width: holder.clientWidth, height: holder.clientHeight });
    else rebuild();
  }).observe(holder);
  onThemeChange(rebuild);

  return {
    node,
    show(next, nextScales = stepScales(), nextMarks = []) {
      const same =
        plot &&
        nextScales.log === scales.log &&
        nextScales.x.name === scales.x.name &&
        next.length === lines.length &&
        next.every(({ name, style }, i) => name === lines[i]?.name && style === lines[i]?.style);
      lines = next;
      scales = nextScales;
      marks = nextMarks;
      setAttr(holder, "aria-label", `${options.title}, ${next.map(({ name }) => name).join(", ")}`);
      if (!same) return rebuild();
      plot?.setData(data(), zoom === null);
      if (zoom) applyZoom();
      drawLegend();
    },
    drawing: () => plot && lineDrawing(plotOf(options, lines, scales, marks, readTheme())),
  };
}

type Range = readonly [min: number, max: number];

/** Pixels: a shorter drag is a click. */
const MIN_SELECTION = 4;

/** A part of the chart around a step, `factor` as wide as what is shown; null for all or more than all. */
function zoomed({ data: [xs], scales }: uPlot, step: number | null, factor: number): Range | null {
  const [first, last] = [xs[0] ?? 0, xs.at(-1) ?? 1];
  const [min, max] = [scales.x?.min ?? first, scales.x?.max ?? last];
  const width = (max - min) * factor;
  if (width >= last - first) return null;
  const middle = Math.min(max, Math.max(min, step ?? last));
  const start = Math.min(last - width, Math.max(first, middle - width / 2));
  return [start, start + width];
}

const colorOf = ({ color }: Line, { series }: Theme): Rgb => series[color % series.length] as Rgb;
const dashesOf = ({ color, dash = 0 }: Line, { series }: Theme) => dashOf(dash + Math.floor(color / series.length));

/** A line's color and dashes in the legend. */
export function swatch(line: Line, theme: Theme): SVGElement | HTMLElement {
  if (line.style === "dots" && dashesOf(line, theme).length === 0) {
    const dot = el("span", { class: "swatch dots", attrs: { "aria-hidden": "true" } });
    dot.style.setProperty("--swatch", toCss(colorOf(line, theme)));
    return dot;
  }
  const make = (name: string, attrs: Record<string, string | number>) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attrs)) node.setAttribute(key, String(value));
    return node;
  };
  const svg = make("svg", { class: `swatch ${line.style}`, width: 22, height: 8, "aria-hidden": "true" });
  const stroke = toCss(colorOf(line, theme));
  const faint = line.style === "faint";
  svg.append(
    make("line", {
      x1: 0,
      y1: 4,
      x2: 22,
      y2: 4,
      stroke,
      "stroke-width": faint ? 1 : 2,
      "stroke-dasharray": dashesOf(line, theme).join(" "),
      opacity: faint ? 0.6 : 1,
    }),
  );
  if (line.style === "dots") svg.append(make("circle", { cx: 11, cy: 4, r: 3.5, fill: stroke }));
  return svg;
}

function plotOf(
  { title, formatAxis }: ChartOptions,
  lines: readonly Line[],
  scales: Scales,
  marks: readonly Mark[],
  theme: Theme,
): LinePlot {
  return {
    title,
    x: scales.x,
    y: { format: formatAxis, log: scales.log },
    lines: lines.map((line) => ({
      name: line.name,
      points: decimate(line.points, 1000),
      color: colorOf(line, theme),
      dash: dashesOf(line, theme),
      style: line.style,
    })),
    marks,
    foreground: theme.foreground,
    muted: theme.muted,
  };
}

function plotOptions(
  { formatAxis, rightAxis }: ChartOptions,
  { lines, scales, marks }: { lines: readonly Line[]; scales: Scales; marks: () => readonly Mark[] },
  { clientWidth: width, clientHeight: height }: HTMLElement,
  theme: Theme,
  { pointed, selected }: { readonly pointed: (self: uPlot) => void; readonly selected: (self: uPlot) => void },
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
      drag: { x: true, y: false, setScale: false },
      points: { size: 7, fill: toCss(theme.background) },
      y: false,
    },
    scales: { x: { time: false }, y: scales.log ? { distr: 3 } : {} },
    axes: [
      {
        ...axis,
        size: 28,
        values: format(scales.x.format),
        ...(scales.x.whole ? { incrs: WHOLE_STEPS } : {}),
      },
      { ...axis, size: 52, values: scales.log ? formatPowers(formatAxis) : format(formatAxis) },
      ...(rightAxis
        ? [
            {
              ...axis,
              side: 1,
              scale: "y",
              size: 48,
              grid: { show: false },
              values: scales.log ? formatPowers(rightAxis.format) : format(rightAxis.format),
              label: rightAxis.name,
              labelSize: 16,
              labelFont: `11px ${theme.fontFamily}`,
            },
          ]
        : []),
    ],
    series: [
      {},
      ...lines.map((line) => {
        const { name, style } = line;
        const stroke = colorOf(line, theme);
        return {
          label: name,
          dash: [...dashesOf(line, theme)],
          stroke: style === "faint" ? alpha(stroke, theme.highContrast ? 0.55 : 0.35) : toCss(stroke),
          width: style === "faint" ? 1 : 1.75,
          spanGaps: true,
          points: { show: (self: uPlot, i: number) => isMarked(self, i, style), size: 5, fill: toCss(stroke) },
        };
      }),
    ],
    hooks: { setCursor: [pointed], setSelect: [selected], draw: [(self) => drawMarks(self, marks(), theme)] },
  };
}

/** Points are marked where they are few. A single point has no line to be seen by. */
function isMarked(plot: uPlot, index: number, style: Line["style"]): boolean {
  const [from, to] = plot.series[0]?.idxs ?? [0, 0];
  const shown = plot.data[index]?.slice(from, to + 1).filter((value) => value != null).length ?? 0;
  return shown === 1 || (style === "dots" && shown * MARK_ROOM <= plot.bbox.width / devicePixelRatio);
}

const WHOLE_STEPS = [1, 2, 5]
  .flatMap((n) => Array.from({ length: 10 }, (_, power) => n * 10 ** power))
  .sort((a, b) => a - b);

/** On a logarithmic axis, uPlot passes null for labels that have no room. */
const formatPowers = (write: (value: number) => string) => (_: uPlot, values: (number | null)[]) =>
  values.map((value) => (value === null ? "" : write(value)));

function drawMarks(plot: uPlot, marks: readonly Mark[], theme: Theme): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = toCss(theme.foreground);
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([2 * devicePixelRatio, 2 * devicePixelRatio]);
  for (const { x } of marks) {
    const at = Math.round(plot.valToPos(x, "x", true)) + 0.5;
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

const alpha = ([r, g, b]: Rgb, a: number): string => `rgb(${r} ${g} ${b} / ${a})`;
