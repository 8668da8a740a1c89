/** Where the cells of a heatmap are: pure arithmetic in CSS pixels, so that it can be tested without a page. */

export interface GridRequest {
  readonly rows: number;
  readonly cols: number;
  /** Room on the page, labels included. */
  readonly width: number;
  readonly maxHeight: number;
  /** Room for row labels on the left and column labels on top. */
  readonly left: number;
  readonly top: number;
  readonly minCell: number;
  readonly maxCell: number;
  /** Cells as high as they are wide, as for attention; else a cell is `rowHeight` high. */
  readonly rowHeight: number | "square";
  /** Rows that are so few that each can have its label are at least so high: labels with gaps read as another text. */
  readonly labelHeight: number;
}

export interface Grid {
  readonly rows: number;
  readonly cols: number;
  readonly left: number;
  readonly top: number;
  readonly cellWidth: number;
  readonly cellHeight: number;
  /** Everything, labels included; the part that fits is `viewWidth` x `viewHeight`, the rest is scrolled to. */
  readonly width: number;
  readonly height: number;
  readonly viewWidth: number;
  readonly viewHeight: number;
}

/** Fits a grid into the width there is; cells never get smaller than `minCell`, what does not fit scrolls. */
export function layoutGrid(request: GridRequest): Grid {
  const { rows, cols, left, top, minCell, maxCell } = request;
  const room = Math.max(0, request.width - left);
  const square = request.rowHeight === "square";
  const byWidth = cols > 0 ? room / cols : 0;
  const byHeight = rows > 0 ? (request.maxHeight - top) / rows : 0;
  // A square grid that can be seen whole with readable cells is shown whole.
  const exact = square && byHeight >= 8 ? Math.min(byWidth, byHeight) : byWidth;
  const clamped = Math.min(maxCell, Math.max(minCell, exact));
  // Whole pixels look crisp; below four of them the loss of room would show more than the uneven cells.
  const cellWidth = clamped >= 4 ? Math.floor(clamped) : clamped;
  const { labelHeight } = request;
  const least = top + rows * labelHeight <= request.maxHeight ? labelHeight : 0;
  const cellHeight = Math.max(least, request.rowHeight === "square" ? cellWidth : request.rowHeight);
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

/** The cells that are at least partly in view at a scroll position. */
export function visibleCells(grid: Grid, scrollX: number, scrollY: number): CellRange {
  const { cellWidth, cellHeight } = grid;
  return {
    firstRow: Math.max(0, Math.floor(scrollY / cellHeight)),
    endRow: Math.min(grid.rows, Math.ceil((scrollY + grid.viewHeight - grid.top) / cellHeight)),
    firstCol: Math.max(0, Math.floor(scrollX / cellWidth)),
    endCol: Math.min(grid.cols, Math.ceil((scrollX + grid.viewWidth - grid.left) / cellWidth)),
  };
}

export interface Cell {
  readonly row: number;
  readonly col: number;
}

/** The cell under a point of the view, or null over labels and beyond the last cell. */
export function cellAt(grid: Grid, x: number, y: number, scrollX: number, scrollY: number): Cell | null {
  if (x < grid.left || y < grid.top) return null;
  const col = Math.floor((x - grid.left + scrollX) / grid.cellWidth);
  const row = Math.floor((y - grid.top + scrollY) / grid.cellHeight);
  return row < grid.rows && col < grid.cols ? { row, col } : null;
}

/** The scroll position, nearest to the present one, at which a cell is wholly in view. */
export function scrollToCell(grid: Grid, { row, col }: Cell, scrollX: number, scrollY: number): [x: number, y: number] {
  return [
    nearest(scrollX, col * grid.cellWidth, grid.cellWidth, grid.viewWidth - grid.left),
    nearest(scrollY, row * grid.cellHeight, grid.cellHeight, grid.viewHeight - grid.top),
  ];
}

function nearest(scroll: number, start: number, size: number, room: number): number {
  if (start < scroll) return start;
  return start + size > scroll + room ? start + size - room : scroll;
}

/** Where a key moves from a cell; null for keys that do not move. */
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

/** Every how many cells a label fits, so that labels of `room` pixels do not touch. */
export const labelStep = (cell: number, room: number): number => Math.max(1, Math.ceil(room / cell));

/** A step for numbered axes: a power of two, as sizes of models are, wide enough for the numbers. */
export function tickStep(cell: number, room: number): number {
  let step = 1;
  while (step * cell < room) step *= 2;
  return step;
}
