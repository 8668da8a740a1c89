import { describe, expect, test } from "vitest";
import {
  contrast,
  divergingScale,
  LOG_RANGE,
  maxAbs,
  type Rgb,
  sequentialScale,
} from "../../../webview/charts/colorScale";
import { toCsv } from "../../../webview/charts/csv";
import {
  cellAt,
  layoutGrid,
  moveCell,
  scrollToCell,
  tickStep,
  visibleCells,
} from "../../../webview/charts/heatmapLayout";
import { lineDrawing } from "../../../webview/charts/lineDrawing";
import { svgOf } from "../../../webview/charts/pen";
import { decimate, indexAt, smooth, ticks } from "../../../webview/charts/series";
import { toJson } from "../../../webview/parts/tableJson";
import { createInspection } from "../../../webview/trace/inspection";
import { type ThemeKind, themes } from "../themes";
import { tinyTrace } from "../tinyTrace";

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
  test("a small matrix has large cells, up to the largest size", () => {
    expect(layoutGrid({ ...square, rows: 3, cols: 3, width: 340 })).toMatchObject({
      cellWidth: 28,
      width: 134,
      viewWidth: 134,
    });
  });

  test("a square matrix is shown whole where its cells stay readable, however wide the page is", () => {
    const grid = layoutGrid({ ...square, rows: 30, cols: 30, width: 900 });
    expect(grid).toMatchObject({ cellWidth: 12, height: 400, viewHeight: 400 });
    expect(layoutGrid({ ...square, rows: 100, cols: 100, width: 900 }).cellWidth).toBe(8);
  });

  test("a few rows are as high as their labels, however narrow the cells", () => {
    expect(layoutGrid({ ...square, rows: 8, cols: 100, width: 340 })).toMatchObject({ cellWidth: 2.9, cellHeight: 14 });
    expect(layoutGrid({ ...square, rows: 40, cols: 100, width: 340 }).cellHeight).toBe(2.9);
  });

  test("a large matrix keeps the smallest cell and scrolls", () => {
    const grid = layoutGrid({ ...square, rows: 1024, cols: 1024, width: 340 });
    expect(grid).toMatchObject({ cellWidth: 2, width: 2098, viewWidth: 340, viewHeight: 420 });
    expect(visibleCells(grid, { x: 0, y: 0 })).toEqual({ firstRow: 0, endRow: 190, firstCol: 0, endCol: 145 });
    expect(visibleCells(grid, { x: 2098 - 340, y: 0 }).endCol).toBe(1024);
  });

  test("a point over a label is no cell, a point over a cell is that cell at any scroll position", () => {
    const grid = layoutGrid({ ...square, rows: 12, cols: 12, width: 340 });
    expect(cellAt(grid, 49, 60, { x: 0, y: 0 })).toBeNull();
    expect(cellAt(grid, 60, 39, { x: 0, y: 0 })).toBeNull();
    expect(cellAt(grid, 50, 40, { x: 0, y: 0 })).toEqual({ row: 0, col: 0 });
    expect(cellAt(grid, 50, 40, { x: 3 * grid.cellWidth, y: grid.cellHeight })).toEqual({ row: 1, col: 3 });
    expect(cellAt(grid, 50 + 12 * grid.cellWidth, 40, { x: 0, y: 0 })).toBeNull();
  });

  test("keys stay inside and Control with Home and End reach the corners", () => {
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

  test("axis numbers go up in powers of two until they have room", () => {
    expect(tickStep(16, 34)).toBe(4);
    expect(tickStep(2, 34)).toBe(32);
  });
});

/** `#0123ab`, or `rgba(…)` made opaque, as theme.css does. */
const rgb = (css: string): Rgb => {
  const parts = css.startsWith("#")
    ? css.match(/[\da-f]{2}/gi)?.map((hex) => Number.parseInt(hex, 16))
    : css.match(/\d+/g);
  const [r, g, b] = (parts ?? []).map(Number);
  return [r as number, g as number, b as number];
};
const rampOf = (theme: ThemeKind, surface: string) => {
  const { variables } = themes[theme];
  return {
    background: rgb(variables[surface] as string),
    foreground: rgb(variables.foreground as string),
    positive: rgb(variables["charts-blue"] as string),
    negative: rgb((variables["charts-orange"] ?? variables["charts-yellow"]) as string),
  };
};

describe.each(["light", "dark", "hc-light", "hc-dark"] as const)("colors in the %s theme", (theme) => {
  const colors = rampOf(theme, "sideBar-background");

  test("zero is the background, and the strongest value stands out from it", () => {
    const scale = divergingScale(2, colors);
    expect(scale.colorAt(0).map(Math.round)).toEqual(colors.background);
    expect(contrast(scale.colorAt(2), colors.background)).toBeGreaterThan(4.5);
    expect(contrast(scale.colorAt(-2), colors.background)).toBeGreaterThan(4.5);
  });

  test("a logarithmic ramp begins where values are too small to tell from zero, and equal factors are equal steps", () => {
    const scale = sequentialScale(2, colors, "log");
    const lightness = (value: number) => contrast(scale.colorAt(value), colors.background);
    expect(scale.colorAt(2 * LOG_RANGE)).toEqual(scale.colorAt(0));
    expect(scale.colorAt(2)).toEqual(sequentialScale(2, colors).colorAt(2));
    // The middle of the ramp is the middle of the factors.
    expect(scale.colorAt(2 * Math.sqrt(LOG_RANGE))).toEqual(sequentialScale(2, colors).colorAt(1));
    expect(lightness(2e-2)).toBeGreaterThan(lightness(2e-3));
  });

  test("a larger value always has more contrast, so that lightness alone carries the order", () => {
    const scale = sequentialScale(1, colors);
    const ratios = Array.from({ length: 21 }, (_, i) => contrast(scale.colorAt(i / 20), colors.background));
    for (let i = 1; i < ratios.length; i++) expect(ratios[i]).toBeGreaterThan(ratios[i - 1] as number);
  });

  test("the two signs differ in blue against yellow, which red-green blindness keeps apart", () => {
    const scale = divergingScale(1, colors);
    for (const size of [0.4, 0.7, 1]) {
      const yellowness = ([r, g, b]: Rgb) => (r + g) / 2 - b;
      expect(yellowness(scale.colorAt(-size)) - yellowness(scale.colorAt(size))).toBeGreaterThan(40);
    }
  });
});

test("the largest absolute value ignores what is not a number", () => {
  expect(maxAbs([1, -3, Number.NaN, Number.NEGATIVE_INFINITY])).toBe(3);
});

describe("curves", () => {
  test("decimation keeps the extremes of every stretch", () => {
    const x = Array.from({ length: 10_000 }, (_, i) => i);
    const y = x.map((i) => (i === 5003 ? 99 : i === 7001 ? -99 : Math.sin(i)));
    const few = decimate({ x, y }, 300);
    expect(few.x.length).toBeLessThanOrEqual(600);
    expect(few.y).toContain(99);
    expect(few.y).toContain(-99);
    expect([...few.x].sort((a, b) => a - b)).toEqual(few.x);
  });

  test("few points are kept as they are, without those that are not numbers", () => {
    expect(decimate({ x: [1, 2, 3], y: [5, Number.NaN, 7] }, 100)).toEqual({ x: [1, 3], y: [5, 7] });
  });

  test("smoothing keeps a constant and starts at the first value", () => {
    expect(smooth([2, 2, 2, 2], 50)).toEqual([2, 2, 2, 2]);
    expect(smooth([8, 0, 0], 50)[0]).toBe(8);
  });

  test("smoothing brings noise nearer to its mean", () => {
    const noisy = Array.from({ length: 400 }, (_, i) => 1 + (i % 2 === 0 ? 0.5 : -0.5));
    for (const value of smooth(noisy, 20).slice(200)) expect(Math.abs(value - 1)).toBeLessThan(0.06);
  });

  test("the value at a step is the last at or before it", () => {
    const points = { x: [10, 20, 30], y: [1, 2, 3] };
    expect([9, 10, 19, 30, 99].map((x) => indexAt(points, x))).toEqual([-1, 0, 0, 2, 2]);
  });
});

test("CSV quotes what needs it, so that a token of a comma, a quote or a line break comes back whole", () => {
  const row = () => [",", '"', "a\nb", " ", 0.1];
  expect(toCsv({ title: "", columns: ["a", "b", "c", "d", "e"], rows: 1, row })).toBe(
    'a,b,c,d,e\r\n",","""","a\nb"," ",0.1\r\n',
  );
});

test("JSON keeps each number as it is in memory, says the run it is from, and has null for what is not a number", () => {
  const numbers = Float32Array.of(0.1, -1e-30, Number.NaN, Number.POSITIVE_INFINITY);
  const table = {
    title: "a “title”",
    columns: ["token", "0", "1", "2", "3"],
    rows: 1,
    row: () => ['0 "\n', ...numbers],
  };
  const { info } = tinyTrace("hi");
  const source = { kind: "typed", label: "", text: "hi", truncated: false } as const;
  const inspection = createInspection(info, source, { call: () => Promise.reject(new Error("nothing is asked")) });
  expect(JSON.parse(toJson(table, [inspection]))).toEqual({
    title: "a “title”",
    runs: [
      {
        model: { name: info.model.name, step: info.model.step },
        number: info.trace,
        text: "hi",
        interventions: [],
      },
    ],
    columns: ["token", "0", "1", "2", "3"],
    rows: [['0 "\n', numbers[0], numbers[1], null, null]],
  });
  expect(JSON.parse(toJson({ ...table, rows: 0 }, []))).toMatchObject({ runs: [], rows: [] });
});

describe("a line chart as SVG", () => {
  const plot = {
    title: 'Loss of "a" & b',
    x: { name: "step", format: String },
    y: { format: (value: number) => value.toFixed(2), log: true },
    lines: [
      {
        name: "a",
        points: { x: [1, 2, 3], y: [10, 0, 1] },
        color: [18, 52, 86] as const,
        dash: [4, 2],
        style: "line" as const,
      },
    ],
    marks: [{ x: 2, label: "here" }],
    foreground: [0, 0, 0] as const,
    muted: [136, 136, 136] as const,
  };

  test("writes its text as text, and leaves out what a logarithm does not have", () => {
    const svg = svgOf(lineDrawing(plot), { background: [255, 255, 255], monoFamily: "mono", fontFamily: "sans-serif" });
    expect(svg).toContain("Loss of &quot;a&quot; &amp; b</text>");
    expect(svg).toContain(">here</text>");
    const points = /stroke-dasharray="4 2" points="([^"]*)"/.exec(svg)?.[1]?.split(" ");
    expect(points).toHaveLength(2);
    expect(svg).not.toContain("NaN");
  });

  test("ticks are round, and inside", () => {
    expect(ticks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(ticks(-3, 42, 4)).toEqual([0, 20, 40]);
    expect(ticks(5, 5, 4)).toEqual([5]);
  });
});
