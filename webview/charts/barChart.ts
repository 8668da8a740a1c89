/** Labeled bars on a canvas, one or two per row. Only the rows in view are drawn, and each can be read by keyboard. */

import { el, fill } from "../base/dom";
import { readTheme, type Theme } from "../base/theme";
import { type CanvasChart, createCanvasChart, scrollBarSize } from "./canvasChart";
import { type Rgb, toCss } from "./colorScale";
import { moveIndex, scrollInto } from "./navigation";
import { canvasPen, type Drawing, FONT_SIZE, type Pen } from "./pen";

export interface BarRow {
  readonly label: string;
  /** A value for each name of the data; NaN where there is none. */
  readonly values: readonly number[];
  /** Written after the bars, such as "12.3 %". */
  readonly note: string;
  readonly describe: () => string;
}

interface BarData {
  readonly title: string;
  readonly rows: readonly BarRow[];
  /** Names of a row's values, one or two; a single one has no legend. */
  readonly names: readonly string[];
}

export interface BarChart {
  readonly node: HTMLElement;
  readonly show: (data: BarData) => void;
  /** The whole picture, to save. */
  readonly drawing: () => Drawing | null;
}

const MAX_HEIGHT = 420;
const MARGIN = 4;
const GAP = 8;
/** Width of a character of the monospaced font. */
const CHARACTER = FONT_SIZE * 0.61;

/** Creates an empty chart. `pick` is called for a row that is clicked or chosen with Enter. */
export function createBarChart(pick: (row: number) => void): BarChart {
  let data: BarData | null = null;

  const height = () => (data ? data.rows.length * rowHeight(data) + 2 * MARGIN : 0);
  const view = () => {
    const bar = height() > MAX_HEIGHT ? scrollBarSize() : 0;
    const { scroller, node } = chart;
    return { width: node.clientWidth - bar, top: scroller.scrollTop, height: Math.min(MAX_HEIGHT, height()) };
  };
  const layout = () => {
    if (!data) return;
    const { width, height: shown } = view();
    chart.resize({ width, height: height() }, { width: chart.node.clientWidth, height: shown });
    drawLegend(chart.legend, data.names, readTheme());
    draw();
  };
  const draw = () => {
    if (!data) return;
    const theme = readTheme();
    const shown = view();
    const pen = canvasPen(chart.canvas, shown, theme);
    drawBars(pen, data, shown, theme);
    const row = chart.target();
    if (row === null) return;
    const y = MARGIN + row * rowHeight(data) - shown.top;
    const outline = { x: 0.5, y: y + 0.5, width: shown.width - 1, height: rowHeight(data) - 1 };
    pen.rect(outline, { stroke: { color: theme.focus } });
  };
  const chart: CanvasChart<number> = createCanvasChart<number>({
    kind: "bar chart",
    hasData: () => data !== null,
    layout,
    draw,
    targetAt(_x, y) {
      const row = data ? Math.floor((y + chart.scroller.scrollTop - MARGIN) / rowHeight(data)) : -1;
      return data?.rows[row] ? row : null;
    },
    start: () => (data?.rows.length ? 0 : null),
    move: (from, { key }) => moveIndex(key, from, data?.rows.length ?? 0),
    scrollTo(row) {
      const size = data ? rowHeight(data) : 0;
      const { scroller } = chart;
      scroller.scrollTop = scrollInto(scroller.scrollTop, MARGIN + row * size, size, scroller.clientHeight);
    },
    describe: (row) => data?.rows[row]?.describe() ?? "",
    pick,
  });

  chart.node.classList.add("bar-chart");
  return {
    node: chart.node,
    show(next) {
      data = next;
      chart.show(`${next.title}, ${next.rows.length}`);
    },
    drawing() {
      if (!data || chart.node.clientWidth === 0) return null;
      const [shown, whole] = [data, { width: chart.node.clientWidth, top: 0, height: height() }];
      return { title: data.title, ...whole, draw: (pen) => drawBars(pen, shown, whole, readTheme()) };
    },
  };
}

interface View {
  readonly width: number;
  readonly top: number;
  readonly height: number;
}

const rowHeight = ({ names }: BarData): number => (names.length > 1 ? 26 : 18);

/** The first of two bars is gray on both sides of zero, so that the other one stands out. */
const barColor = (theme: Theme, index: number, count: number, value = 0): Rgb => {
  if (count > 1 && index === 0) return theme.muted;
  return value < 0 ? theme.negative : theme.positive;
};

function drawBars(pen: Pen, data: BarData, view: View, theme: Theme): void {
  const { rows } = data;
  const height = rowHeight(data);
  const longest = (text: (row: BarRow) => string) => rows.reduce((most, row) => Math.max(most, text(row).length), 0);
  const left = Math.min(view.width * 0.3, longest(({ label }) => label) * CHARACTER + GAP);
  const right = longest(({ note }) => note) * CHARACTER + GAP;
  const scale = barScale(rows, Math.max(0, view.width - left - right - GAP));
  const first = Math.max(0, Math.floor((view.top - MARGIN) / height));
  const end = Math.min(rows.length, Math.ceil((view.top + view.height) / height));
  const zero = left + scale.zero;
  for (let i = first; i < end; i++) {
    const { label, values, note } = rows[i] as BarRow;
    const y = MARGIN + i * height - view.top;
    const fits = Math.max(1, Math.floor((left - GAP) / CHARACTER));
    const text = label.length > fits ? `${label.slice(0, fits - 1)}…` : label;
    pen.text(MARGIN, y + height / 2, text, { color: theme.foreground });
    pen.text(view.width - MARGIN, y + height / 2, note, { color: theme.foreground, anchor: "end" });
    const thickness = (height - 6) / values.length;
    values.forEach((value, index) => {
      if (Number.isNaN(value)) return;
      const length = scale.length(value);
      const box = { x: value < 0 ? zero - length : zero, y: y + 3 + index * thickness };
      const fillColor = barColor(theme, index, values.length, value);
      pen.rect({ ...box, width: Math.max(1, length), height: thickness - 1 }, { fill: fillColor });
    });
  }
  if (scale.zero > 0) pen.rect({ x: zero, y: 0, width: 1, height: view.height }, { fill: theme.border });
}

/** Position of zero within `room`, and the length of a value's bar; zero is on the left unless a value is negative. */
export function barScale(rows: readonly Pick<BarRow, "values">[], room: number) {
  let [low, high] = [0, 0];
  for (const { values } of rows) {
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  const unit = high > low ? room / (high - low) : 0;
  return { zero: Math.abs(low) * unit, length: (value: number) => Math.abs(value) * unit };
}

function drawLegend(legend: HTMLElement, names: readonly string[], theme: Theme): void {
  fill(
    legend,
    ...(names.length < 2 ? [] : names).flatMap((name, index) => {
      const swatch = el("span", { class: "pair-swatch", attrs: { "aria-hidden": "true" } });
      swatch.style.background = toCss(barColor(theme, index, names.length));
      return [swatch, el("span", {}, name)];
    }),
  );
}
