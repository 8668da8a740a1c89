/** Draws a heatmap with a pen: the cells as one image, then hatched and written cells, labels, marks and the frame. */

import { readTheme, type Theme } from "../base/theme";
import { type ColorScale, type Curve, contrast, divergingScale, maxAbs, type Rgb, sequentialScale } from "./colorScale";
import {
  type Cell,
  type CellRange,
  cellBox,
  type Grid,
  labelStep,
  layoutGrid,
  type Scroll,
  tickStep,
  visibleCells,
} from "./heatmapLayout";
import { type Overlaid, overlayColors } from "./overlay";
import { type Box, canvasPen, FONT_SIZE, type Pen, type TextStyle, widestText } from "./pen";

export interface HeatmapData {
  /** Accessible name, such as "Attention of layer 0, head 1". */
  readonly title: string;
  readonly rows: number;
  readonly cols: number;
  /** Row by row, [rows, cols]. */
  readonly values: Float32Array;
  readonly scale: "sequential" | "diverging";
  /** Curve of a sequential scale; linear by default. */
  readonly curve?: Curve;
  /** Value of the strongest color; by default the largest absolute value. 0 if no cell has a color. */
  readonly max?: number;
  /** Cells without a value: hatched, so that they never have the color of zero. */
  readonly masked?: (row: number, col: number) => boolean;
  /** Fills these cells with a flat color in place of the hatch, which would be half of a causal picture. */
  readonly flatMask?: boolean;
  /** Matrices of this size that are drawn over each other in place of `values`, each in its own color. */
  readonly overlaid?: readonly Overlaid[];
  /** The main picture of its view: as high as its pane, with a lens at the pointer where labels have no room. */
  readonly fit?: boolean;
  /** Name of cells without a value in the legend; "no value" by default. */
  readonly maskedLabel?: string;
  readonly rowLabels: readonly string[];
  /** Names of the columns, or "numbers" for an axis that counts. */
  readonly colLabels: readonly string[] | "numbers";
  readonly rowHeight: number | "square";
  /** Text written in each cell; cells are then wide enough for a word. */
  readonly text?: (row: number, col: number) => string;
  /** A mark of at most four characters for some cells, "" for the others. Lines then separate the cells. */
  readonly symbol?: (row: number, col: number) => string;
  /** Describes a cell, such as "“the” → “cat”: 0.123456". */
  readonly describe: (row: number, col: number) => string;
}

/** The selected row and column; null where none is marked. */
export interface Mark {
  readonly row: number | null;
  readonly col: number | null;
}

export const NO_MARK: Mark = { row: null, col: null };

const MIN_CELL = 2;
const MAX_SQUARE = 40;
const MAX_WIDE = 16;
const MAX_HEIGHT = 420;
/** Share of the page’s height that a square grid may have: it is the main picture of its view. */
const SQUARE_SHARE = 0.64;
/** Space for a row label, for an upright letter, and for a number of an axis, in pixels. */
const LABEL_ROOM = 14;
/** Space for a label of the smallest legible size. */
const LEAST_ROOM = 11;
const LEAST_FONT = 9;
const LETTER_ROOM = 10;
const NUMBER_ROOM = 34;
const TEXT_CELL = 58;
const SYMBOL_CELL = 38;

/** Fits a grid into a width, and into a height unless that is null, in pixels. */
export function heatmapGrid(data: HeatmapData, width: number, height: number | null, theme: Theme): Grid {
  const isSquare = data.rowHeight === "square";
  const maxCell = isSquare ? MAX_SQUARE : MAX_WIDE;
  const written = data.text ? TEXT_CELL : data.symbol ? SYMBOL_CELL : null;
  const isLow = data.colLabels === "numbers" || written || areUpright(data);
  return layoutGrid({
    rows: data.rows,
    cols: data.cols,
    width,
    maxHeight: height ?? (isSquare ? SQUARE_SHARE * window.innerHeight : MAX_HEIGHT),
    left: gutter(data.rowLabels, theme, 84),
    top: isLow ? LABEL_ROOM + 2 : gutter(data.colLabels as readonly string[], theme, 72),
    minCell: written ?? MIN_CELL,
    maxCell: written ? 2 * written : maxCell,
    rowHeight: data.rowHeight,
    labelHeight: data.rowLabels.length === 0 ? 0 : data.fit ? LEAST_ROOM : LABEL_ROOM,
  });
}

/** Room for the longest label, at most `limit`. */
const gutter = (labels: readonly string[], theme: Theme, limit: number): number =>
  labels.length === 0 ? 0 : Math.min(limit, widestText(labels, theme) + 10);

/** Labels of one letter each, such as the tokens of a character model, are not turned. */
const areUpright = ({ colLabels }: HeatmapData): boolean =>
  colLabels !== "numbers" && colLabels.every((label) => [...label].length < 2);

/** Number of columns from one label to the next. */
function columnStep(data: HeatmapData, cellWidth: number): number {
  if (data.colLabels === "numbers") return tickStep(cellWidth, NUMBER_ROOM);
  if (data.symbol) return 1;
  return labelStep(cellWidth, areUpright(data) ? LETTER_ROOM : LEAST_ROOM);
}

export function heatmapScale(data: HeatmapData, theme: Theme): ColorScale {
  const max = data.max ?? maxAbs(data.values);
  return data.scale === "sequential" ? sequentialScale(max, theme, data.curve) : divergingScale(max, theme);
}

/** Draws the part of a grid that is in view; the row and column labels stay while the cells scroll. */
export function drawHeatmap(
  pen: Pen,
  data: HeatmapData,
  grid: Grid,
  scroll: Scroll,
  mark: Mark,
  theme = readTheme(),
): void {
  const { left, top, viewWidth, viewHeight } = grid;
  pen.clip({ x: left, y: top, width: viewWidth - left, height: viewHeight - top }, () => {
    drawCells(pen, data, grid, scroll, theme);
    drawMark(pen, data, grid, mark, scroll, theme);
  });
  pen.clip({ x: 0, y: top - 6, width: left, height: viewHeight - top + 6 }, () =>
    drawRowLabels(pen, data, grid, scroll, mark.row, theme),
  );
  pen.clip({ x: left - 4, y: 0, width: viewWidth - left + 4, height: top }, () =>
    drawColLabels(pen, data, grid, scroll, theme),
  );
  const frame = { x: left - 0.5, y: top - 0.5, width: viewWidth - left, height: viewHeight - top };
  pen.rect(frame, { stroke: { color: theme.border } });
}

function drawCells(pen: Pen, data: HeatmapData, grid: Grid, scroll: Scroll, theme: Theme): void {
  const range = visibleCells(grid, scroll);
  const { firstRow, endRow, firstCol, endCol } = range;
  const [rows, cols] = [endRow - firstRow, endCol - firstCol];
  if (rows <= 0 || cols <= 0) return;
  const scale = heatmapScale(data, theme);
  const box = (row: number, col: number, count = 1): Box => cellBox(grid, { row, col }, scroll, count);
  const { x, y, width, height } = box(firstRow, firstCol);
  pen.image({ x, y, width: cols * width, height: rows * height }, cellImage(data, range, theme));
  const hatched: Box[] = [];
  for (let row = firstRow; row < endRow; row++) {
    let count = 0;
    for (let col = firstCol; col < endCol; col++) {
      const isMasked = data.masked?.(row, col) ?? false;
      const colorOn = () => readable(scale.colorAt(data.values[row * data.cols + col] as number), theme);
      if (data.text) {
        const cell = box(row, col);
        const color = isMasked ? theme.muted : colorOn();
        pen.text(cell.x + 3, cell.y + height / 2, data.text(row, col), { color, room: width - 6 });
      }
      // Masked cells side by side become one box: a long text has tens of thousands in view.
      if (isMasked) {
        count++;
        if (col + 1 < endCol && data.masked?.(row, col + 1)) continue;
        hatched.push(box(row, col + 1 - count, count));
        count = 0;
      } else if (data.symbol) {
        const cell = box(row, col);
        pen.rect({ ...cell, x: cell.x - 0.5, y: cell.y - 0.5 }, { stroke: { color: theme.border } });
        const symbol = data.symbol(row, col);
        if (symbol === "") continue;
        const color = colorOn();
        const inside = { x: cell.x + 1.5, y: cell.y + 1.5, width: width - 4, height: height - 4 };
        pen.rect(inside, { stroke: { color, width: 2 } });
        pen.text(cell.x + width / 2, cell.y + height / 2, symbol, { color, bold: true, ...CENTERED });
      }
    }
  }
  if (data.flatMask) for (const part of hatched) pen.rect(part, { fill: flatColor(theme) });
  else if (hatched.length > 0) pen.hatch(hatched, { color: theme.muted, opacity: theme.highContrast ? 0.8 : 0.38 });
}

/** The color of masked cells: near the background, and no color of the scale. */
export function flatColor({ background, muted, highContrast }: Theme): Rgb {
  const share = highContrast ? 0.3 : 0.14;
  const mixed = (i: 0 | 1 | 2) => Math.round(background[i] + (muted[i] - background[i]) * share);
  return [mixed(0), mixed(1), mixed(2)];
}

/** Returns the color of a cell by its index. */
function cellColors(data: HeatmapData, theme: Theme): (cell: number) => Rgb {
  if (data.overlaid) return overlayColors(data.overlaid, data.max || 1, theme);
  const scale = heatmapScale(data, theme);
  return (cell) => scale.colorAt(data.values[cell] as number);
}

/** A pixel per cell; masked cells are transparent. */
function cellImage(data: HeatmapData, range: CellRange, theme: Theme): OffscreenCanvas {
  const colorAt = cellColors(data, theme);
  const { firstRow, endRow, firstCol, endCol } = range;
  const pixels = new ImageData(endCol - firstCol, endRow - firstRow);
  let i = 0;
  for (let row = firstRow; row < endRow; row++) {
    for (let col = firstCol; col < endCol; col++, i += 4) {
      if (data.masked?.(row, col)) continue;
      const color = colorAt(row * data.cols + col);
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

/** The theme's text or background color, whichever has more contrast with a cell. */
const readable = (cell: Rgb, { foreground, background }: Theme): Rgb =>
  contrast(cell, foreground) >= contrast(cell, background) ? foreground : background;

function drawMark(pen: Pen, data: HeatmapData, grid: Grid, { row, col }: Mark, scroll: Scroll, theme: Theme): void {
  const { cellWidth, cellHeight, rows, cols } = grid;
  const outline = (cell: Cell, width: number, height: number) => {
    const { x, y } = cellBox(grid, cell, scroll);
    const inside = { x: x + 0.75, y: y + 0.75, width: width - 1.5, height: height - 1.5 };
    pen.rect(inside, { stroke: { color: theme.focus, width: 1.5 } });
  };
  // Cells that are controls are marked one by one.
  const isCell = data.symbol !== undefined && row !== null && col !== null;
  if (isCell) outline({ row, col }, cellWidth, cellHeight);
  else if (row !== null) outline({ row, col: 0 }, cols * cellWidth, cellHeight);
  if (!isCell && col !== null) outline({ row: 0, col }, cellWidth, rows * cellHeight);
}

function drawRowLabels(
  pen: Pen,
  data: HeatmapData,
  grid: Grid,
  scroll: Scroll,
  marked: number | null,
  theme: Theme,
): void {
  const step = labelStep(grid.cellHeight, LABEL_ROOM);
  const { firstRow, endRow } = visibleCells(grid, { ...scroll, x: 0 });
  for (let row = firstRow; row < endRow; row++) {
    // Other labels leave space around the marked one.
    const hasSpace = marked === null || row === marked || Math.abs(row - marked) >= step;
    if (row !== marked && (row % step !== 0 || !hasSpace)) continue;
    const y = grid.top + (row + 0.5) * grid.cellHeight - scroll.y;
    const color = row === marked ? theme.foreground : theme.muted;
    const style = {
      color,
      anchor: "end",
      bold: row === marked,
      room: grid.left - 8,
      size: labelSize(grid.cellHeight),
    } as const;
    pen.text(grid.left - 5, y, data.rowLabels[row] ?? "", style);
  }
}

function drawColLabels(pen: Pen, data: HeatmapData, grid: Grid, scroll: Scroll, { muted: color }: Theme): void {
  const { left, top, cellWidth } = grid;
  const step = columnStep(data, cellWidth);
  const isUpright = areUpright(data);
  const { firstCol, endCol } = visibleCells(grid, { ...scroll, y: 0 });
  for (let col = Math.ceil(firstCol / step) * step; col < endCol; col += step) {
    const x = left + (col + 0.5) * cellWidth - scroll.x;
    const write = (at: number, y: number, text: string | undefined, style: Partial<TextStyle>) =>
      pen.text(at, y, text ?? "", { color, size: labelSize(cellWidth), ...style });
    if (data.colLabels === "numbers") write(col === 0 ? left : x, top / 2, String(col), col > 0 ? CENTERED : {});
    else if (data.text) write(x - cellWidth / 2 + 3, top / 2, data.colLabels[col], { room: cellWidth - 6 });
    else if (isUpright || data.symbol) write(x, top / 2, data.colLabels[col], CENTERED);
    else write(x, top - 5, data.colLabels[col], { turned: true, room: top - 8 });
  }
}

/** The size of labels beside cells: smaller, as long as it is legible, where that gives every cell a label. */
const labelSize = (cell: number): number =>
  cell < LEAST_ROOM ? FONT_SIZE : Math.min(FONT_SIZE, Math.max(LEAST_FONT, Math.floor(cell) - 2));

/** Side of a magnified cell, and the number of cells beside the middle one. */
const LENS_CELL = 18;
const LENS_REACH = 3;

/** Draws a cell with its neighbors and their labels where the cells of the chart have no room for labels. */
export function drawLens(canvas: HTMLCanvasElement, data: HeatmapData, grid: Grid, cell: Cell, theme: Theme): boolean {
  if (!data.fit || data.colLabels === "numbers" || Math.min(grid.cellWidth, grid.cellHeight) >= LEAST_ROOM)
    return false;
  const { rows, cols, left, top } = grid;
  const side = 2 * LENS_REACH + 1;
  const lens = {
    ...{ rows, cols, left, top, cellWidth: LENS_CELL, cellHeight: LENS_CELL },
    ...{ width: left + cols * LENS_CELL, height: top + rows * LENS_CELL },
    ...{ viewWidth: left + Math.min(side, cols) * LENS_CELL, viewHeight: top + Math.min(side, rows) * LENS_CELL },
  };
  const start = (at: number, count: number) => LENS_CELL * Math.max(0, Math.min(at - LENS_REACH, count - side));
  const scroll = { x: start(cell.col, cols), y: start(cell.row, rows) };
  const pen = canvasPen(canvas, { width: lens.viewWidth, height: lens.viewHeight }, theme);
  drawHeatmap(pen, data, lens, scroll, NO_MARK, theme);
  drawOutline(pen, lens, cell, scroll, theme);
  return true;
}

const CENTERED = { anchor: "middle" } as const;

/** Outlines the cell under the pointer or the keyboard; a small cell gets a larger outline. */
export function drawOutline(pen: Pen, grid: Grid, cell: Cell, scroll: Scroll, theme: Theme): void {
  const { x, y, width, height } = cellBox(grid, cell, scroll);
  const grow = Math.max(0, (6 - Math.min(width, height)) / 2);
  const box = { x: x - grow, y: y - grow, width: width + 2 * grow, height: height + 2 * grow };
  pen.rect(box, { stroke: { color: theme.background, width: 4 } });
  pen.rect(box, { stroke: { color: theme.foreground, width: 2 } });
}
