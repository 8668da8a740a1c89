import { describe, expect, test } from "vitest";
import {
  cellAt,
  layoutGrid,
  moveCell,
  scrollToCell,
  tickStep,
  visibleCells,
} from "../../../webview/charts/heatmapLayout";

const square = {
  left: 50,
  top: 40,
  minCell: 2,
  maxCell: 28,
  rowHeight: "square",
  maxHeight: 420,
  labelHeight: 14,
} as const;

describe("the layout of a heatmap", () => {
  test("a small matrix has cells of the largest size", () => {
    expect(layoutGrid({ ...square, rows: 3, cols: 3, width: 340 })).toMatchObject({
      cellWidth: 28,
      width: 134,
      viewWidth: 134,
    });
  });

  test("a square matrix is shown whole if its cells stay readable, however wide the page is", () => {
    const grid = layoutGrid({ ...square, rows: 30, cols: 30, width: 900 });
    expect(grid).toMatchObject({ cellWidth: 12, height: 400, viewHeight: 400 });
    expect(layoutGrid({ ...square, rows: 100, cols: 100, width: 900 }).cellWidth).toBe(8);
  });

  test("a few rows are as high as their labels, however narrow the cells", () => {
    expect(layoutGrid({ ...square, rows: 8, cols: 100, width: 340 })).toMatchObject({ cellWidth: 2.9, cellHeight: 14 });
    expect(layoutGrid({ ...square, rows: 40, cols: 100, width: 340 }).cellHeight).toBe(2.9);
  });

  test("a large matrix has cells of the smallest size and scrolls", () => {
    const grid = layoutGrid({ ...square, rows: 1024, cols: 1024, width: 340 });
    expect(grid).toMatchObject({ cellWidth: 2, width: 2098, viewWidth: 340, viewHeight: 420 });
    expect(visibleCells(grid, { x: 0, y: 0 })).toEqual({ firstRow: 0, endRow: 190, firstCol: 0, endCol: 145 });
    expect(visibleCells(grid, { x: 2098 - 340, y: 0 }).endCol).toBe(1024);
  });

  test("a point over a label is no cell, and a point over a cell is that cell at any scroll position", () => {
    const grid = layoutGrid({ ...square, rows: 12, cols: 12, width: 340 });
    expect(cellAt(grid, 49, 60, { x: 0, y: 0 })).toBeNull();
    expect(cellAt(grid, 60, 39, { x: 0, y: 0 })).toBeNull();
    expect(cellAt(grid, 50, 40, { x: 0, y: 0 })).toEqual({ row: 0, col: 0 });
    expect(cellAt(grid, 50, 40, { x: 3 * grid.cellWidth, y: grid.cellHeight })).toEqual({ row: 1, col: 3 });
    expect(cellAt(grid, 50 + 12 * grid.cellWidth, 40, { x: 0, y: 0 })).toBeNull();
  });

  test("keys stay inside, and Control+Home and Control+End reach the corners", () => {
    const grid = layoutGrid({ ...square, rows: 5, cols: 7, width: 340 });
    expect(moveCell(grid, { row: 0, col: 0 }, "ArrowUp", false)).toEqual({ row: 0, col: 0 });
    expect(moveCell(grid, { row: 2, col: 2 }, "End", false)).toEqual({ row: 2, col: 6 });
    expect(moveCell(grid, { row: 2, col: 2 }, "End", true)).toEqual({ row: 4, col: 6 });
    expect(moveCell(grid, { row: 2, col: 2 }, "PageDown", false)).toEqual({ row: 4, col: 2 });
    expect(moveCell(grid, { row: 2, col: 2 }, "a", false)).toBeNull();
  });

  test("scrolling to a cell moves no further than needed", () => {
    const grid = layoutGrid({ ...square, rows: 1024, cols: 1024, width: 340 });
    expect(scrollToCell(grid, { row: 0, col: 144 }, { x: 0, y: 0 })).toEqual([0, 0]);
    expect(scrollToCell(grid, { row: 500, col: 0 }, { x: 0, y: 0 })).toEqual([0, 501 * 2 - (420 - 40)]);
    expect(scrollToCell(grid, { row: 10, col: 0 }, { x: 0, y: 300 })).toEqual([0, 20]);
  });

  test("axis numbers are powers of two apart, so that they have room", () => {
    expect(tickStep(16, 34)).toBe(4);
    expect(tickStep(2, 34)).toBe(32);
  });
});
