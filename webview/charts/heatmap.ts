/**
 * A matrix as colored cells on a canvas: told what to draw, and tells which cell the user points at.
 *
 * Only the cells in view are painted, so a thousand rows cost what a screenful costs. The labels stay while the cells
 * scroll under them.
 */

import { el, setAttr } from "../base/dom";
import { t } from "../base/strings";
import { onThemeChange, readTheme, type Theme } from "../base/theme";
import { createCanvasFrame, scrollBarSize } from "./canvasFrame";
import {
  type ColorScale,
  type Curve,
  contrast,
  divergingScale,
  LOG_RANGE,
  maxAbs,
  type Rgb,
  sequentialScale,
  toCss,
} from "./colorScale";
import {
  type Cell,
  type CellRange,
  cellAt,
  type Grid,
  labelStep,
  layoutGrid,
  moveCell,
  scrollToCell,
  tickStep,
  visibleCells,
} from "./heatmapLayout";
import { escapeXml, svgText } from "./svg";

export interface HeatmapData {
  /** Said by screen readers, such as "Attention of layer 0, head 1". */
  readonly title: string;
  readonly rows: number;
  readonly cols: number;
  /** Row by row, [rows, cols]. */
  readonly values: Float32Array;
  readonly scale: "sequential" | "diverging";
  /** Of a sequential scale; linear by default. */
  readonly curve?: Curve;
  /** What the strongest color stands for; by default the largest absolute value. */
  readonly max?: number;
  /** Cells that have no value: hatched, never the color of zero. */
  readonly masked?: (row: number, col: number) => boolean;
  /** What the legend calls them; by default they have no value. */
  readonly maskedLabel?: string;
  readonly rowLabels: readonly string[];
  /** Names for the columns, or "numbers" for an axis that counts. */
  readonly colLabels: readonly string[] | "numbers";
  readonly rowHeight: number | "square";
  /** Written in each cell, which is wide enough for a word then. */
  readonly text?: (row: number, col: number) => string;
  /** What is known of a cell, such as "“the” → “cat”: 0.123456". */
  readonly describe: (row: number, col: number) => string;
}

export interface Heatmap {
  readonly node: HTMLElement;
  readonly show: (data: HeatmapData) => void;
  /** Marks a row as the selected one, and a column where columns can be. */
  readonly mark: (row: number | null, col?: number | null) => void;
  /** Scrolls a cell into view. */
  readonly reveal: (cell: Cell) => void;
  readonly focus: () => void;
  /** The whole picture, also what is scrolled out of view. */
  readonly picture: () => HTMLCanvasElement | null;
  /** The same with real text; the cells are one embedded image, a pixel each. */
  readonly svg: () => string | null;
  /** The cells in view; null before anything is shown. */
  readonly inView: () => CellRange | null;
}

interface Mark {
  readonly row: number | null;
  readonly col: number | null;
}

const FONT_SIZE = 11;
const MIN_CELL = 2;
const MAX_SQUARE = 28;
const MAX_WIDE = 16;
const MAX_HEIGHT = 420;
const LABEL_ROOM = 14;
const LETTER_ROOM = 10;
const TEXT_CELL = 58;

/**
 * Makes an empty heatmap. `pick` is called for a cell that is clicked or chosen with Enter, `scrolled` when other cells
 * have come into view.
 */
export function createHeatmap(pick: (row: number, col: number) => void, scrolled?: () => void): Heatmap {
  const { canvas, spacer, scroller, readout, foot, spoken, node } = createCanvasFrame("heatmap");
  const legend = el("div", { class: "legend" });
  foot.prepend(legend);

  let data: HeatmapData | null = null;
  let grid: Grid | null = null;
  let base: HTMLCanvasElement | null = null;
  let cell: Cell | null = null;
  let marked: Mark = { row: null, col: null };
  /** Read once for each layout: reading it takes longer than outlining a cell. */
  let theme: Theme | null = null;

  const layout = () => {
    if (!data || node.clientWidth === 0) return;
    theme = readTheme();
    grid = layoutGrid(requestFor(data, node.clientWidth, theme));
    // Scroll bars take their room beside the cells, not from them: else one makes the other.
    const bar = scrollBarSize();
    if (grid.height > grid.viewHeight) grid = layoutGrid(requestFor(data, node.clientWidth - bar, theme));
    spacer.style.width = `${grid.width}px`;
    spacer.style.height = `${grid.height}px`;
    scroller.style.width = `${grid.viewWidth + (grid.height > grid.viewHeight ? bar : 0)}px`;
    scroller.style.height = `${grid.viewHeight + (grid.width > grid.viewWidth ? bar : 0)}px`;
    drawLegend(legend, data, theme);
    paint();
  };

  const paint = () => {
    if (!data || !grid || !theme) return;
    base = paintGrid(data, grid, scroller.scrollLeft, scroller.scrollTop, marked, theme);
    overlay();
  };

  const overlay = () => {
    if (!grid || !base || !theme) return;
    if (canvas.width !== base.width || canvas.height !== base.height) {
      canvas.width = base.width;
      canvas.height = base.height;
      canvas.style.width = `${grid.viewWidth}px`;
      canvas.style.height = `${grid.viewHeight}px`;
    }
    const context = canvas.getContext("2d") as CanvasRenderingContext2D;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(base, 0, 0);
    if (cell) outlineCell(context, grid, cell, scroller.scrollLeft, scroller.scrollTop, theme);
  };

  const point = (next: Cell | null, spokenToo: boolean) => {
    cell = next;
    const text = data && cell ? data.describe(cell.row, cell.col) : "";
    readout.textContent = text;
    // One place for both, so that nothing moves while the pointer does.
    legend.hidden = text !== "";
    if (spokenToo) spoken.textContent = text;
    overlay();
  };

  scroller.addEventListener("scroll", () =>
    requestAnimationFrame(() => {
      paint();
      scrolled?.();
    }),
  );
  scroller.addEventListener("pointermove", (event) => {
    const box = scroller.getBoundingClientRect();
    if (grid)
      point(
        cellAt(grid, event.clientX - box.left, event.clientY - box.top, scroller.scrollLeft, scroller.scrollTop),
        false,
      );
  });
  scroller.addEventListener("pointerleave", () => point(null, false));
  scroller.addEventListener("click", () => cell && pick(cell.row, cell.col));
  scroller.addEventListener("focus", () => {
    if (data && !cell && scroller.matches(":focus-visible"))
      point({ row: marked.row ?? 0, col: marked.col ?? 0 }, true);
  });
  scroller.addEventListener("blur", () => point(null, false));
  scroller.addEventListener("keydown", (event) => {
    if (!data || !grid) return;
    const from = cell ?? { row: marked.row ?? 0, col: marked.col ?? 0 };
    if (event.key === "Enter") return pick(from.row, from.col);
    const to = moveCell(grid, from, event.key, event.ctrlKey || event.metaKey);
    if (!to) return;
    event.preventDefault();
    scroller.scrollTo(...scrollToCell(grid, to, scroller.scrollLeft, scroller.scrollTop));
    point(to, true);
  });
  new ResizeObserver(layout).observe(node);
  onThemeChange(layout);

  return {
    node,
    show(next) {
      data = next;
      point(null, false);
      setAttr(scroller, "aria-label", `${next.title}, ${next.rows} × ${next.cols}`);
      layout();
    },
    mark(row, col = null) {
      marked = { row, col };
      paint();
    },
    reveal(shown) {
      if (grid) scroller.scrollTo(...scrollToCell(grid, shown, scroller.scrollLeft, scroller.scrollTop));
    },
    focus: () => scroller.focus({ preventScroll: true }),
    picture() {
      if (!data || !grid) return null;
      const whole = { ...grid, viewWidth: grid.width, viewHeight: grid.height };
      return paintGrid(data, whole, 0, 0, { row: null, col: null }, readTheme());
    },
    svg: () => (data && grid ? gridSvg(data, grid, readTheme()) : null),
    inView: () => (grid ? visibleCells(grid, scroller.scrollLeft, scroller.scrollTop) : null),
  };
}

function requestFor(data: HeatmapData, width: number, theme: Theme) {
  const square = data.rowHeight === "square";
  const left = gutter(data.rowLabels, theme, 84);
  return {
    rows: data.rows,
    cols: data.cols,
    width,
    maxHeight: MAX_HEIGHT,
    left,
    top:
      data.colLabels === "numbers" || data.text || areUpright(data)
        ? LABEL_ROOM + 2
        : gutter(data.colLabels, theme, 72),
    minCell: data.text ? TEXT_CELL : MIN_CELL,
    maxCell: data.text ? 2 * TEXT_CELL : square ? MAX_SQUARE : MAX_WIDE,
    rowHeight: data.rowHeight,
    labelHeight: data.rowLabels.length > 0 ? LABEL_ROOM : 0,
  };
}

/** Labels of one letter each, as a character model's tokens have, stand upright. */
const areUpright = ({ colLabels }: HeatmapData): boolean =>
  colLabels !== "numbers" && colLabels.every((label) => [...label].length < 2);

/** How many columns there are from one label to the next. */
function columnStep(data: HeatmapData, cellWidth: number): number {
  if (data.colLabels === "numbers") return tickStep(cellWidth, 34);
  return labelStep(cellWidth, areUpright(data) ? LETTER_ROOM : LABEL_ROOM);
}

const labelFont = (theme: Theme) => `${FONT_SIZE}px ${theme.monoFamily}`;

/** Room for the longest label, up to a limit. */
function gutter(labels: readonly string[], theme: Theme, most: number): number {
  const context = new OffscreenCanvas(1, 1).getContext("2d") as OffscreenCanvasRenderingContext2D;
  context.font = labelFont(theme);
  let widest = 0;
  for (const label of labels) widest = Math.max(widest, context.measureText(label).width);
  return labels.length === 0 ? 0 : Math.ceil(Math.min(most, widest + 10));
}

function scaleOf(data: HeatmapData, theme: Theme): ColorScale {
  const max = data.max ?? maxAbs(data.values);
  return data.scale === "sequential" ? sequentialScale(max, theme, data.curve) : divergingScale(max, theme);
}

/** Paints cells and labels for one scroll position, at the screen's resolution. */
function paintGrid(
  data: HeatmapData,
  grid: Grid,
  scrollX: number,
  scrollY: number,
  marked: Mark,
  theme: Theme,
): HTMLCanvasElement {
  const ratio = window.devicePixelRatio || 1;
  const canvas = el("canvas");
  canvas.width = Math.max(1, Math.round(grid.viewWidth * ratio));
  canvas.height = Math.max(1, Math.round(grid.viewHeight * ratio));
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.scale(ratio, ratio);
  context.fillStyle = toCss(theme.background);
  context.fillRect(0, 0, grid.viewWidth, grid.viewHeight);

  context.save();
  context.beginPath();
  context.rect(grid.left, grid.top, grid.viewWidth - grid.left, grid.viewHeight - grid.top);
  context.clip();
  paintCells(context, data, grid, scrollX, scrollY, theme);
  paintMark(context, grid, marked, scrollX, scrollY, theme);
  context.restore();

  paintRowLabels(context, data, grid, scrollY, marked.row, theme);
  paintColLabels(context, data, grid, scrollX, theme);
  context.strokeStyle = toCss(theme.border);
  context.lineWidth = 1;
  context.strokeRect(grid.left - 0.5, grid.top - 0.5, grid.viewWidth - grid.left, grid.viewHeight - grid.top);
  return canvas;
}

function paintCells(
  context: CanvasRenderingContext2D,
  data: HeatmapData,
  grid: Grid,
  scrollX: number,
  scrollY: number,
  theme: Theme,
): void {
  const range = visibleCells(grid, scrollX, scrollY);
  const { firstRow, endRow, firstCol, endCol } = range;
  const [height, width] = [endRow - firstRow, endCol - firstCol];
  if (height <= 0 || width <= 0) return;
  const scale = scaleOf(data, theme);
  const x = (col: number) => grid.left + col * grid.cellWidth - scrollX;
  const y = (row: number) => grid.top + row * grid.cellHeight - scrollY;
  context.imageSmoothingEnabled = false;
  const cells = cellImage(data, range, scale);
  context.drawImage(cells, x(firstCol), y(firstRow), width * grid.cellWidth, height * grid.cellHeight);
  const hatched = new Path2D();
  context.font = labelFont(theme);
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (let row = firstRow; row < endRow; row++) {
    let run = 0;
    for (let col = firstCol; col < endCol; col++) {
      // Masked cells side by side are one shape: of a long text there are tens of thousands in view.
      if (data.masked?.(row, col)) {
        run++;
        if (col + 1 === endCol || !data.masked(row, col + 1)) {
          hatched.rect(x(col + 1 - run), y(row), run * grid.cellWidth, grid.cellHeight);
          run = 0;
        }
      } else if (data.text) {
        context.fillStyle = toCss(readable(scale.colorAt(data.values[row * data.cols + col] as number), theme));
        const text = shorten(context, data.text(row, col), grid.cellWidth - 6);
        context.fillText(text, x(col) + 3, y(row) + grid.cellHeight / 2);
      }
    }
  }
  context.fillStyle = hatch(context, theme);
  context.fill(hatched);
}

/** A pixel for each cell; masked ones are transparent. */
function cellImage(data: HeatmapData, range: CellRange, scale: ColorScale): OffscreenCanvas {
  const { firstRow, endRow, firstCol, endCol } = range;
  const pixels = new ImageData(endCol - firstCol, endRow - firstRow);
  let i = 0;
  for (let row = firstRow; row < endRow; row++) {
    for (let col = firstCol; col < endCol; col++, i += 4) {
      if (data.masked?.(row, col)) continue;
      const color = scale.colorAt(data.values[row * data.cols + col] as number);
      pixels.data[i] = color[0];
      pixels.data[i + 1] = color[1];
      pixels.data[i + 2] = color[2];
      pixels.data[i + 3] = 255;
    }
  }
  const cells = new OffscreenCanvas(pixels.width, pixels.height);
  (cells.getContext("2d") as OffscreenCanvasRenderingContext2D).putImageData(pixels, 0, 0);
  return cells;
}

/** Of the theme's two colors for text and ground, the one that reads on a cell. */
const readable = (cell: Rgb, { foreground, background }: Theme): Rgb =>
  contrast(cell, foreground) >= contrast(cell, background) ? foreground : background;

/** Thin diagonal lines: a cell without a value. */
function hatch(context: CanvasRenderingContext2D, theme: Theme): CanvasPattern {
  const size = 6;
  const ratio = window.devicePixelRatio || 1;
  const tile = new OffscreenCanvas(size * ratio, size * ratio);
  const pen = tile.getContext("2d") as OffscreenCanvasRenderingContext2D;
  pen.scale(ratio, ratio);
  pen.strokeStyle = toCss(theme.muted);
  pen.globalAlpha = theme.highContrast ? 0.8 : 0.38;
  pen.lineWidth = 1;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  const pattern = context.createPattern(tile, "repeat") as CanvasPattern;
  pattern.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern;
}

function paintMark(
  context: CanvasRenderingContext2D,
  { left, top, cellWidth, cellHeight, rows, cols }: Grid,
  { row, col }: Mark,
  scrollX: number,
  scrollY: number,
  theme: Theme,
): void {
  context.strokeStyle = toCss(theme.focus);
  context.lineWidth = 1.5;
  const outline = (x: number, y: number, width: number, height: number) =>
    context.strokeRect(left + x - scrollX + 0.75, top + y - scrollY + 0.75, width - 1.5, height - 1.5);
  if (row !== null) outline(0, row * cellHeight, cols * cellWidth, cellHeight);
  if (col !== null) outline(col * cellWidth, 0, cellWidth, rows * cellHeight);
}

function paintRowLabels(
  context: CanvasRenderingContext2D,
  data: HeatmapData,
  grid: Grid,
  scrollY: number,
  marked: number | null,
  theme: Theme,
): void {
  const step = labelStep(grid.cellHeight, LABEL_ROOM);
  context.save();
  context.beginPath();
  context.rect(0, grid.top - 6, grid.left, grid.viewHeight - grid.top + 6);
  context.clip();
  context.textAlign = "right";
  context.textBaseline = "middle";
  const { firstRow, endRow } = visibleCells(grid, 0, scrollY);
  for (let row = firstRow; row < endRow; row++) {
    // Labels keep clear of the marked one.
    const clear = marked === null || row === marked || Math.abs(row - marked) >= step;
    if (row !== marked && (row % step !== 0 || !clear)) continue;
    context.font = row === marked ? `bold ${labelFont(theme)}` : labelFont(theme);
    context.fillStyle = toCss(row === marked ? theme.foreground : theme.muted);
    const y = grid.top + (row + 0.5) * grid.cellHeight - scrollY;
    context.fillText(shorten(context, data.rowLabels[row] ?? "", grid.left - 8), grid.left - 5, y);
  }
  context.restore();
}

function paintColLabels(
  context: CanvasRenderingContext2D,
  data: HeatmapData,
  grid: Grid,
  scrollX: number,
  theme: Theme,
): void {
  const step = columnStep(data, grid.cellWidth);
  const upright = areUpright(data);
  context.save();
  context.beginPath();
  context.rect(grid.left - 4, 0, grid.viewWidth - grid.left + 4, grid.top);
  context.clip();
  context.font = labelFont(theme);
  context.fillStyle = toCss(theme.muted);
  context.textBaseline = "middle";
  const { firstCol, endCol } = visibleCells(grid, scrollX, 0);
  for (let col = Math.ceil(firstCol / step) * step; col < endCol; col += step) {
    const x = grid.left + (col + 0.5) * grid.cellWidth - scrollX;
    if (data.colLabels === "numbers") {
      context.textAlign = col === 0 ? "left" : "center";
      context.fillText(String(col), col === 0 ? grid.left : x, grid.top / 2);
    } else if (data.text) {
      // Where cells have room for a word, so has what is above them.
      context.textAlign = "left";
      const label = shorten(context, data.colLabels[col] ?? "", grid.cellWidth - 6);
      context.fillText(label, x - grid.cellWidth / 2 + 3, grid.top / 2);
    } else if (upright) {
      context.textAlign = "center";
      context.fillText(data.colLabels[col] ?? "", x, grid.top / 2);
    } else {
      context.save();
      context.translate(x, grid.top - 5);
      context.rotate(-Math.PI / 2);
      context.textAlign = "left";
      context.fillText(shorten(context, data.colLabels[col] ?? "", grid.top - 8), 0, 0);
      context.restore();
    }
  }
  context.restore();
}

function shorten(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (context.measureText(text).width <= room) return text;
  const letters = [...text];
  while (letters.length > 1 && context.measureText(`${letters.join("")}…`).width > room) letters.pop();
  return `${letters.join("")}…`;
}

/** The whole grid as SVG: labels and cells' texts are text, and what is drawn small stays small in the file. */
function gridSvg(data: HeatmapData, grid: Grid, theme: Theme): string {
  const { left, top, cellWidth, cellHeight, rows, cols } = grid;
  const scale = scaleOf(data, theme);
  const all = { firstRow: 0, endRow: rows, firstCol: 0, endCol: cols };
  const canvas = el("canvas");
  canvas.width = cols;
  canvas.height = rows;
  canvas.getContext("2d")?.drawImage(cellImage(data, all, scale), 0, 0);
  const muted = toCss(theme.muted);
  const centerY = (row: number) => top + (row + 0.5) * cellHeight;
  const parts = [
    `<image x="${left}" y="${top}" width="${cols * cellWidth}" height="${rows * cellHeight}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${canvas.toDataURL("image/png")}"/>`,
  ];
  for (let row = 0; row < rows; row += labelStep(cellHeight, LABEL_ROOM)) {
    parts.push(svgText(left - 5, centerY(row), data.rowLabels[row] ?? "", muted, `text-anchor="end"`));
  }
  const step = columnStep(data, cellWidth);
  const upright = areUpright(data);
  for (let col = 0; col < cols; col += step) {
    const x = left + (col + 0.5) * cellWidth;
    if (data.colLabels === "numbers")
      parts.push(svgText(x, top / 2, String(col), muted, `text-anchor="${col === 0 ? "start" : "middle"}"`));
    else if (data.text) parts.push(svgText(x - cellWidth / 2 + 3, top / 2, data.colLabels[col] ?? "", muted));
    else if (upright) parts.push(svgText(x, top / 2, data.colLabels[col] ?? "", muted, 'text-anchor="middle"'));
    else {
      const turned = `transform="rotate(-90 ${x.toFixed(1)} ${top - 5})"`;
      parts.push(svgText(x, top - 5, data.colLabels[col] ?? "", muted, turned));
    }
  }
  if (data.text) {
    for (let row = 0; row < rows; row++) {
      for (let col = 0; col < cols; col++) {
        const color = readable(scale.colorAt(data.values[row * cols + col] as number), theme);
        parts.push(svgText(left + col * cellWidth + 3, centerY(row), data.text(row, col), toCss(color)));
      }
    }
  }
  const size = `width="${grid.width + 1}" height="${grid.height + 1}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="${escapeXml(theme.monoFamily)}" font-size="${FONT_SIZE}" dominant-baseline="middle"><title>${escapeXml(data.title)}</title><rect width="100%" height="100%" fill="${toCss(theme.background)}"/>${parts.join("")}</svg>`;
}

function outlineCell(
  context: CanvasRenderingContext2D,
  grid: Grid,
  { row, col }: Cell,
  scrollX: number,
  scrollY: number,
  theme: Theme,
) {
  const ratio = window.devicePixelRatio || 1;
  const x = grid.left + col * grid.cellWidth - scrollX;
  const y = grid.top + row * grid.cellHeight - scrollY;
  const grow = Math.max(0, (6 - Math.min(grid.cellWidth, grid.cellHeight)) / 2);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  for (const [color, width] of [
    [theme.background, 4],
    [theme.foreground, 2],
  ] as const) {
    context.strokeStyle = toCss(color);
    context.lineWidth = width;
    context.strokeRect(x - grow, y - grow, grid.cellWidth + 2 * grow, grid.cellHeight + 2 * grow);
  }
}

function drawLegend(legend: HTMLElement, data: HeatmapData, theme: Theme): void {
  const scale = scaleOf(data, theme);
  const [low, high] = scale.domain;
  const isLog = data.scale === "sequential" && data.curve === "log";
  const valueAt = (share: number) => (isLog ? high * LOG_RANGE ** (1 - share) : low + (high - low) * share);
  const stops = Array.from({ length: 17 }, (_, i) => toCss(scale.colorAt(valueAt(i / 16))));
  const bar = el("span", { class: "legend-bar", attrs: { "aria-hidden": "true" } });
  bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  legend.replaceChildren(
    el("span", { class: "number" }, isLog ? `≤ ${formatEnd(valueAt(0))}` : formatEnd(low)),
    bar,
    el("span", { class: "number" }, formatEnd(high)),
    ...(data.masked
      ? [el("span", { class: "legend-hatch", attrs: { "aria-hidden": "true" } }), data.maskedLabel ?? t("no value")]
      : []),
  );
}

const formatEnd = (x: number): string => (x === 0 ? "0" : String(Number(x.toPrecision(3))));
