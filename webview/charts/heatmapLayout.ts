/** Geometry of a heatmap in CSS pixels: pure arithmetic, so that it is tested without a page. */

import { scrollInto } from "./navigation";
import type { Box } from "./pen";

export interface GridRequest {
  readonly rows: number;
  readonly cols: number;
  /** Space on the page, labels included. */
  readonly width: number;
  readonly maxHeight: number;
  /** Space for row labels on the left and column labels on top. */
  readonly left: number;
  readonly top: number;
  readonly minCell: number;
  readonly maxCell: number;
  /** Height of a cell, or "square" for cells as high as they are wide. */
  readonly rowHeight: number | "square";
  /** Least height of a row if all rows fit with their labels: a text with tokens left out reads as another text. */
  readonly labelHeight: number;
}

export interface Grid {
  readonly rows: number;
  readonly cols: number;
  readonly left: number;
  readonly top: number;
  readonly cellWidth: number;
  readonly cellHeight: number;
  /** Full size, labels included; `viewWidth` x `viewHeight` of it is in view. */
  readonly width: number;
  readonly height: number;
  readonly viewWidth: number;
  readonly viewHeight: number;
}

/** Fits a grid into the available width. Cells are at least `minCell` wide; the rest scrolls. */
export function layoutGrid(request: GridRequest): Grid {
  const { rows, cols, left, top, minCell, maxCell } = request;
  const room = Math.max(0, request.width - left);
  const square = request.rowHeight === "square";
  const byWidth = cols > 0 ? room / cols : 0;
  const byHeight = rows > 0 ? (request.maxHeight - top) / rows : 0;
  // A square grid is shown whole if its cells stay readable.
  const exact = square && byHeight >= 8 ? Math.min(byWidth, byHeight) : byWidth;
  const clamped = Math.min(maxCell, Math.max(minCell, exact));
  // Whole pixels look crisp; below four, rounding down would waste more space than uneven cells look bad.
  const cellWidth = clamped >= 4 ? Math.floor(clamped) : clamped;
  const { labelHeight } = request;
  const least = top + rows * labelHeight <= request.maxHeight ? labelHeight : 0;
  const cellHeight = Math.max(least, square ? cellWidth : request.rowHeight);
  const width = left + cols * cellWidth;
  const height = top + rows * cellHeight;
  return {
    rows,
    cols,
    left,
    top,
    cellWidth,
    cellHeight,
    width,
    height,
    viewWidth: Math.min(width, Math.max(left, request.width)),
    viewHeight: Math.min(height, Math.max(top + cellHeight, request.maxHeight)),
  };
}

export interface CellRange {
  readonly firstRow: number;
  /** One past the last. */
  readonly endRow: number;
  readonly firstCol: number;
  readonly endCol: number;
}

/** Scroll position in pixels. */
export interface Scroll {
  readonly x: number;
  readonly y: number;
}

/** Cells that are at least partly in view at a scroll position. */
export function visibleCells(grid: Grid, scroll: Scroll): CellRange {
  const { cellWidth, cellHeight } = grid;
  return {
    firstRow: Math.max(0, Math.floor(scroll.y / cellHeight)),
    endRow: Math.min(grid.rows, Math.ceil((scroll.y + grid.viewHeight - grid.top) / cellHeight)),
    firstCol: Math.max(0, Math.floor(scroll.x / cellWidth)),
    endCol: Math.min(grid.cols, Math.ceil((scroll.x + grid.viewWidth - grid.left) / cellWidth)),
  };
}

export interface Cell {
  readonly row: number;
  readonly col: number;
}

/** The cell under a point of the view; null over labels and beyond the last cell. */
export function cellAt(grid: Grid, x: number, y: number, scroll: Scroll): Cell | null {
  if (x < grid.left || y < grid.top) return null;
  const col = Math.floor((x - grid.left + scroll.x) / grid.cellWidth);
  const row = Math.floor((y - grid.top + scroll.y) / grid.cellHeight);
  return row < grid.rows && col < grid.cols ? { row, col } : null;
}

/** Box of a cell, or of several cells in a row, at a scroll position. */
export const cellBox = (
  { left, top, cellWidth, cellHeight }: Grid,
  { row, col }: Cell,
  scroll: Scroll,
  count = 1,
): Box => ({
  x: left + col * cellWidth - scroll.x,
  y: top + row * cellHeight - scroll.y,
  width: count * cellWidth,
  height: cellHeight,
});

/** The scroll position nearest to the present one at which a cell is wholly in view. */
export const scrollToCell = (grid: Grid, { row, col }: Cell, scroll: Scroll): [x: number, y: number] => [
  scrollInto(scroll.x, col * grid.cellWidth, grid.cellWidth, grid.viewWidth - grid.left),
  scrollInto(scroll.y, row * grid.cellHeight, grid.cellHeight, grid.viewHeight - grid.top),
];

/** The cell that a key moves to; null for keys that do not move. */
export function moveCell(grid: Grid, { row, col }: Cell, key: string, whole: boolean): Cell | null {
  const to = (r: number, c: number): Cell => ({ row: clamp(r, grid.rows), col: clamp(c, grid.cols) });
  switch (key) {
    case "ArrowUp":
      return to(row - 1, col);
    case "ArrowDown":
      return to(row + 1, col);
    case "ArrowLeft":
      return to(row, col - 1);
    case "ArrowRight":
      return to(row, col + 1);
    case "PageUp":
      return to(row - 10, col);
    case "PageDown":
      return to(row + 10, col);
    case "Home":
      return to(whole ? 0 : row, 0);
    case "End":
      return to(whole ? grid.rows - 1 : row, grid.cols - 1);
    default:
      return null;
  }
}

const clamp = (i: number, count: number): number => Math.max(0, Math.min(count - 1, i));

/** Number of cells from one label to the next, so that labels of `room` pixels do not touch. */
export const labelStep = (cell: number, room: number): number => Math.max(1, Math.ceil(room / cell));

/** Step of a numbered axis: the smallest power of two, like the sizes of models, that leaves room for the numbers. */
export function tickStep(cell: number, room: number): number {
  let step = 1;
  while (step * cell < room) step *= 2;
  return step;
}
