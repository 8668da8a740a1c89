/** A matrix as colored cells on a canvas. Only the cells in view are drawn, so that a thousand rows cost one screenful. */

import { el } from "../base/dom";
import { t } from "../base/strings";
import { readTheme, type Theme } from "../base/theme";
import { type CanvasChart, createCanvasChart, scrollBarSize } from "./canvasChart";
import { LOG_RANGE, type Rgb, toCss } from "./colorScale";
import {
  drawHeatmap,
  drawLens,
  drawOutline,
  flatColor,
  type HeatmapData,
  heatmapGrid,
  heatmapScale,
  type Mark,
  NO_MARK,
} from "./heatmapDrawing";
import {
  type Cell,
  type CellRange,
  cellAt,
  cellBox,
  type Grid,
  moveCell,
  scrollToCell,
  visibleCells,
} from "./heatmapLayout";
import { canvasPen, type Drawing, type Pen, type Point, widestText } from "./pen";

export type { HeatmapData } from "./heatmapDrawing";

export interface Heatmap {
  readonly node: HTMLElement;
  readonly show: (data: HeatmapData) => void;
  /** Marks a row as selected, and a column where columns can be selected. */
  readonly mark: (row: number | null, col?: number | null) => void;
  /** Scrolls a cell into view. */
  readonly reveal: (cell: Cell) => void;
  readonly focus: () => void;
  /** The picture to save, including what is scrolled out of view. */
  readonly drawing: () => Drawing | null;
  /** Cells in view; null before anything is shown. */
  readonly inView: () => CellRange | null;
}

/**
 * Creates an empty heatmap. `pick` is called for a cell that is clicked or chosen with Enter or Space, `scrolled` when
 * other cells have come into view. A heatmap with a `menu` for its cells is a grid of controls to screen readers.
 */
export function createHeatmap(
  pick: (row: number, col: number) => void,
  scrolled?: () => void,
  menu?: (row: number, col: number, at: Point) => void,
): Heatmap {
  let data: HeatmapData | null = null;
  let grid: Grid | null = null;
  let marked: Mark = NO_MARK;
  /** Read once per layout: reading it takes longer than outlining a cell. */
  let theme: Theme | null = null;
  /** The heatmap without the outline of the cell under the pointer, which is drawn over it. */
  const base = el("canvas");

  const layout = () => {
    if (!data) return;
    const width = chart.node.clientWidth;
    theme = readTheme();
    const height = data.fit ? heightInPane(chart.node, chart.legend) : null;
    grid = heatmapGrid(data, width, height, theme);
    // A scroll bar gets its own space: if it covered cells, it would make the other scroll bar necessary.
    const bar = scrollBarSize();
    if (grid.height > grid.viewHeight) grid = heatmapGrid(data, width - bar, height, theme);
    const { viewWidth, viewHeight } = grid;
    chart.resize(grid, {
      width: viewWidth + (grid.height > viewHeight ? bar : 0),
      height: viewHeight + (grid.width > viewWidth ? bar : 0),
    });
    drawLegend(chart.legend, data, theme);
    draw();
  };
  const viewOf = ({ viewWidth: width, viewHeight: height }: Grid) => ({ width, height });
  const scroll = () => ({ x: chart.scroller.scrollLeft, y: chart.scroller.scrollTop });
  const draw = () => {
    if (!data || !grid || !theme) return;
    drawHeatmap(canvasPen(base, viewOf(grid), theme), data, grid, scroll(), marked, theme);
    drawTarget();
  };
  const drawTarget = () => {
    if (!grid || !theme) return;
    const ratio = window.devicePixelRatio || 1;
    const pen = canvasPen(chart.canvas, viewOf(grid), theme);
    pen.image({ x: 0, y: 0, width: base.width / ratio, height: base.height / ratio }, base);
    const cell = chart.target();
    if (cell) drawOutline(pen, grid, cell, scroll(), theme);
  };
  const reveal = (cell: Cell) => {
    if (grid) chart.scroller.scrollTo(...scrollToCell(grid, cell, scroll()));
  };

  const chart: CanvasChart<Cell> = createCanvasChart<Cell>({
    kind: "heatmap",
    hasData: () => data !== null,
    layout,
    draw,
    drawTarget,
    targetAt: (x, y) => grid && cellAt(grid, x, y, scroll()),
    start: () => ({ row: marked.row ?? 0, col: marked.col ?? 0 }),
    move: (from, { key, ctrlKey, metaKey }) => grid && moveCell(grid, from, key, ctrlKey || metaKey),
    scrollTo: reveal,
    describe: ({ row, col }) => data?.describe(row, col) ?? "",
    magnify: (canvas, cell) =>
      data !== null && grid !== null && theme !== null && drawLens(canvas, data, grid, cell, theme),
    pick: ({ row, col }) => pick(row, col),
    ...(menu && {
      grid: {
        size: () => ({ rows: data?.rows ?? 0, cols: data?.cols ?? 0 }),
        cell: (cell) => cell,
        menu: ({ row, col }) => {
          if (!grid) return;
          const { left, top } = chart.scroller.getBoundingClientRect();
          const { x, y, width, height } = cellBox(grid, { row, col }, scroll());
          menu(row, col, [left + x + width / 2, top + y + height]);
        },
      },
    }),
  });
  if (scrolled) chart.scroller.addEventListener("scroll", () => requestAnimationFrame(scrolled));

  return {
    node: chart.node,
    show(next) {
      data = next;
      chart.show(`${next.title}, ${next.rows} × ${next.cols}`);
    },
    mark(row, col = null) {
      marked = { row, col };
      draw();
    },
    reveal,
    focus: () => chart.scroller.focus({ preventScroll: true }),
    drawing() {
      if (!data || !grid) return null;
      const [shown, whole] = [data, { ...grid, viewWidth: grid.width, viewHeight: grid.height }];
      return {
        title: data.title,
        width: grid.width,
        height: grid.height + (data.max === 0 ? 0 : SAVED_LEGEND.height),
        draw(pen) {
          drawHeatmap(pen, shown, whole, { x: 0, y: 0 }, NO_MARK);
          if (shown.max !== 0) drawSavedLegend(pen, shown, whole.height, readTheme());
        },
      };
    },
    inView: () => grid && visibleCells(grid, scroll()),
  };
}

const PANE_MARGIN = 12;

/** The height below a chart's top in its pane, so that it is seen whole, but at least half of the page; null outside. */
function heightInPane(node: HTMLElement, legend: HTMLElement): number | null {
  const pane = node.closest<HTMLElement>(".pane");
  if (!pane) return null;
  const above = node.getBoundingClientRect().top - pane.getBoundingClientRect().top + pane.scrollTop;
  return Math.max(window.innerHeight / 2, pane.clientHeight - above - legend.offsetHeight - PANE_MARGIN);
}

/** Colors of a legend from its low to its high end. */
function legendOf(data: HeatmapData, theme: Theme) {
  const scale = heatmapScale(data, theme);
  const [low, high] = scale.domain;
  const isLog = data.scale === "sequential" && data.curve === "log";
  const valueAt = (share: number) => (isLog ? high * LOG_RANGE ** (1 - share) : low + (high - low) * share);
  return {
    colors: Array.from({ length: 17 }, (_, i) => scale.colorAt(valueAt(i / 16))),
    low: isLog ? `≤ ${formatEnd(valueAt(0))}` : formatEnd(low),
    high: formatEnd(high),
    masked: data.masked ? (data.maskedLabel ?? t("no value")) : null,
  };
}

function drawLegend(legend: HTMLElement, data: HeatmapData, theme: Theme): void {
  legend.replaceChildren();
  if (data.max === 0) return;
  const { colors, low, high, masked } = legendOf(data, theme);
  const mask = masked === null ? [] : [maskSwatch(data, theme), masked];
  if (data.overlaid) {
    const names = data.overlaid.flatMap(({ name }, i) => [colorSwatch(theme, i), name]);
    legend.replaceChildren(...names, ...mask);
    return;
  }
  const bar = el("span", { class: "legend-bar", attrs: { "aria-hidden": "true" } });
  bar.style.background = `linear-gradient(to right, ${colors.map(toCss).join(", ")})`;
  legend.replaceChildren(el("span", { class: "number" }, low), bar, el("span", { class: "number" }, high), ...mask);
}

/** Height of the legend of a saved picture, and a step of its colors. */
const SAVED_LEGEND = { height: 28, step: 6 };

function drawSavedLegend(pen: Pen, data: HeatmapData, top: number, theme: Theme): void {
  const { colors, low, high, masked } = legendOf(data, theme);
  const y = top + SAVED_LEGEND.height / 2;
  if (data.overlaid) {
    let x = 0;
    data.overlaid.forEach(({ name }, i) => {
      pen.rect({ x, y: y - 4, width: 16, height: 8 }, { fill: theme.series[i] as Rgb });
      pen.text(x + 22, y, name, { color: theme.muted });
      x += 22 + widestText([name]) + 16;
    });
    return;
  }
  const start = widestText([low]) + 8;
  pen.text(0, y, low, { color: theme.muted });
  colors.forEach((fill, i) => {
    pen.rect({ x: start + i * SAVED_LEGEND.step, y: y - 4, width: SAVED_LEGEND.step, height: 8 }, { fill });
  });
  const end = start + colors.length * SAVED_LEGEND.step + 8;
  pen.text(end, y, high, { color: theme.muted });
  if (masked === null) return;
  const hatch = { x: end + widestText([high]) + 16, y: y - 4, width: 16, height: 8 };
  if (data.flatMask) pen.rect(hatch, { fill: flatColor(theme) });
  else pen.hatch([hatch], { color: theme.muted, opacity: 0.6 });
  pen.text(hatch.x + 24, y, masked, { color: theme.muted });
}

function colorSwatch({ series }: Theme, i: number): HTMLElement {
  const swatch = el("span", { class: "legend-hatch", attrs: { "aria-hidden": "true" } });
  swatch.style.background = toCss(series[i] as Rgb);
  return swatch;
}

function maskSwatch({ flatMask }: HeatmapData, theme: Theme): HTMLElement {
  const swatch = el("span", { class: "legend-hatch", attrs: { "aria-hidden": "true" } });
  if (flatMask) swatch.style.background = toCss(flatColor(theme));
  return swatch;
}

const formatEnd = (x: number): string => (x === 0 ? "0" : String(Number(x.toPrecision(3))));
