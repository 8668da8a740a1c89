/** Labeled bars on a canvas, one or two to a row: only those in view are painted, and each is read by pointer or keys. */

import { el, fill, setAttr } from "../base/dom";
import { onThemeChange, readTheme, type Theme } from "../base/theme";
import { createCanvasFrame } from "./canvasFrame";
import { type Rgb, toCss } from "./colorScale";
import { escapeXml, svgText } from "./svg";

export interface BarRow {
  readonly label: string;
  /** One for each name of the data; NaN where there is none. */
  readonly values: readonly number[];
  /** Written after the bars, such as "12.3 %". */
  readonly said: string;
  /** What is known of the row. */
  readonly describe: () => string;
}

export interface BarData {
  readonly title: string;
  readonly rows: readonly BarRow[];
  /** What a row has one, or two, of; a single one needs no legend. */
  readonly names: readonly string[];
}

export interface BarChart {
  readonly node: HTMLElement;
  readonly show: (data: BarData) => void;
  readonly picture: () => HTMLCanvasElement | null;
  readonly svg: () => string | null;
}

const FONT_SIZE = 11;
const MAX_HEIGHT = 420;
const MARGIN = 4;
const GAP = 8;

/** Makes an empty chart. `pick` is called for a row that is clicked or chosen with Enter. */
export function createBarChart(pick: (row: number) => void): BarChart {
  const { canvas, spacer, scroller, readout, foot, spoken, node } = createCanvasFrame("bar chart");
  const legend = el("div", { class: "legend" });
  foot.prepend(legend);
  let data: BarData | null = null;
  let at: number | null = null;

  const height = () => (data ? data.rows.length * rowHeight(data) + 2 * MARGIN : 0);
  const layout = () => {
    if (!data || node.clientWidth === 0) return;
    spacer.style.width = "100%";
    spacer.style.height = `${height()}px`;
    scroller.style.width = `${node.clientWidth}px`;
    scroller.style.height = `${Math.min(MAX_HEIGHT, height())}px`;
    drawLegend(legend, data.names, readTheme());
    paint();
  };
  const paint = () => {
    if (!data || node.clientWidth === 0) return;
    const shown = { width: scroller.clientWidth, top: scroller.scrollTop, height: Math.min(MAX_HEIGHT, height()) };
    paintOn(canvas, data, shown, at, readTheme());
  };
  const point = (row: number | null, spokenToo: boolean) => {
    if (row === at && !spokenToo) return;
    at = row;
    const text = (row !== null && data?.rows[row]?.describe()) || "";
    readout.textContent = text;
    legend.hidden = text !== "";
    if (spokenToo) spoken.textContent = text;
    paint();
  };

  scroller.addEventListener("scroll", () => requestAnimationFrame(paint));
  scroller.addEventListener("pointermove", ({ clientY }) => {
    if (!data) return;
    const y = clientY - scroller.getBoundingClientRect().top + scroller.scrollTop - MARGIN;
    const row = Math.floor(y / rowHeight(data));
    point(row >= 0 && row < data.rows.length ? row : null, false);
  });
  scroller.addEventListener("pointerleave", () => point(null, false));
  scroller.addEventListener("blur", () => point(null, false));
  scroller.addEventListener("focus", () => {
    if (data && data.rows.length > 0 && at === null && scroller.matches(":focus-visible")) point(0, true);
  });
  scroller.addEventListener("click", () => at !== null && pick(at));
  scroller.addEventListener("keydown", (event) => {
    if (!data || data.rows.length === 0) return;
    const from = at ?? 0;
    if (event.key === "Enter") return pick(from);
    const moves: Readonly<Record<string, number>> = {
      ArrowUp: from - 1,
      ArrowDown: from + 1,
      PageUp: from - 10,
      PageDown: from + 10,
      Home: 0,
      End: data.rows.length - 1,
    };
    const to = moves[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const row = Math.max(0, Math.min(data.rows.length - 1, to));
    const [top, bottom] = [MARGIN + row * rowHeight(data), MARGIN + (row + 1) * rowHeight(data)];
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    if (bottom > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = bottom - scroller.clientHeight;
    point(row, true);
  });
  new ResizeObserver(layout).observe(node);
  onThemeChange(layout);

  return {
    node,
    show(next) {
      data = next;
      point(null, false);
      setAttr(scroller, "aria-label", `${next.title}, ${next.rows.length}`);
      layout();
    },
    picture() {
      if (!data || node.clientWidth === 0) return null;
      const whole = el("canvas");
      paintOn(whole, data, { width: node.clientWidth, top: 0, height: height() }, null, readTheme());
      return whole;
    },
    svg() {
      if (!data || node.clientWidth === 0) return null;
      const theme = readTheme();
      const parts: string[] = [];
      draw(svgPen(parts), data, { width: node.clientWidth, top: 0, height: height() }, theme);
      const size = `width="${node.clientWidth}" height="${height()}"`;
      return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="${escapeXml(theme.monoFamily)}" font-size="${FONT_SIZE}" dominant-baseline="middle"><title>${escapeXml(data.title)}</title><rect width="100%" height="100%" fill="${toCss(theme.background)}"/>${parts.join("")}</svg>`;
    },
  };
}

/** What a chart is drawn with, on a canvas or as SVG. */
interface Pen {
  readonly rect: (x: number, y: number, width: number, height: number, color: Rgb) => void;
  readonly text: (x: number, y: number, content: string, color: Rgb, end?: boolean) => void;
}

interface Shown {
  readonly width: number;
  readonly top: number;
  readonly height: number;
}

const rowHeight = ({ names }: BarData): number => (names.length > 1 ? 26 : 18);
/** The first of two is gray on both sides of zero: what it is beside, is in color. */
const seriesColor = (theme: Theme, series: number, of: number, value = 0): Rgb => {
  if (of > 1 && series === 0) return theme.muted;
  return value < 0 ? theme.negative : theme.positive;
};

function paintOn(canvas: HTMLCanvasElement, data: BarData, shown: Shown, at: number | null, theme: Theme): void {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(shown.width * ratio));
  canvas.height = Math.max(1, Math.round(shown.height * ratio));
  canvas.style.width = `${shown.width}px`;
  canvas.style.height = `${shown.height}px`;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.scale(ratio, ratio);
  context.fillStyle = toCss(theme.background);
  context.fillRect(0, 0, shown.width, shown.height);
  context.font = `${FONT_SIZE}px ${theme.monoFamily}`;
  context.textBaseline = "middle";
  const pen: Pen = {
    rect: (x, y, width, height, color) => {
      context.fillStyle = toCss(color);
      context.fillRect(x, y, width, height);
    },
    text: (x, y, content, color, end) => {
      context.fillStyle = toCss(color);
      context.textAlign = end ? "right" : "left";
      context.fillText(content, x, y);
    },
  };
  draw(pen, data, shown, theme);
  if (at === null) return;
  context.strokeStyle = toCss(theme.focus);
  const height = rowHeight(data);
  context.strokeRect(0.5, MARGIN + at * height - shown.top + 0.5, shown.width - 1, height - 1);
}

const svgPen = (parts: string[]): Pen => ({
  rect: (x, y, width, height, color) =>
    void parts.push(
      `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${width.toFixed(1)}" height="${height.toFixed(1)}" fill="${toCss(color)}"/>`,
    ),
  text: (x, y, content, color, end) =>
    void parts.push(svgText(x, y, content, toCss(color), end ? 'text-anchor="end"' : "")),
});

function draw(pen: Pen, data: BarData, shown: Shown, theme: Theme): void {
  const { rows } = data;
  const height = rowHeight(data);
  // All of one font and its characters of one width: the longest text decides the columns.
  const widest = (text: (row: BarRow) => string) => rows.reduce((most, row) => Math.max(most, text(row).length), 0);
  const character = FONT_SIZE * 0.61;
  const left = Math.min(shown.width * 0.3, widest(({ label }) => label) * character + GAP);
  const right = widest(({ said }) => said) * character + GAP;
  const scale = barScale(rows, Math.max(0, shown.width - left - right - GAP));
  const first = Math.max(0, Math.floor((shown.top - MARGIN) / height));
  const end = Math.min(rows.length, Math.ceil((shown.top + shown.height) / height));
  const zero = left + scale.zero;
  for (let i = first; i < end; i++) {
    const { label, values, said } = rows[i] as BarRow;
    const y = MARGIN + i * height - shown.top;
    const fits = Math.max(1, Math.floor((left - GAP) / character));
    pen.text(MARGIN, y + height / 2, label.length > fits ? `${label.slice(0, fits - 1)}…` : label, theme.foreground);
    pen.text(shown.width - MARGIN, y + height / 2, said, theme.foreground, true);
    const thick = (height - 6) / values.length;
    values.forEach((value, series) => {
      if (Number.isNaN(value)) return;
      const length = scale.length(value);
      const color = seriesColor(theme, series, values.length, value);
      pen.rect(value < 0 ? zero - length : zero, y + 3 + series * thick, Math.max(1, length), thick - 1, color);
    });
  }
  if (scale.zero > 0) pen.rect(zero, 0, 1, shown.height, theme.border);
}

/** Where zero is in the room of the bars, and how long a value's bar is; only where there are values below it is zero inside. */
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
    ...(names.length < 2 ? [] : names).flatMap((name, series) => {
      const swatch = el("span", { class: "pair-swatch", attrs: { "aria-hidden": "true" } });
      swatch.style.background = toCss(seriesColor(theme, series, names.length));
      return [swatch, el("span", {}, name)];
    }),
  );
}
