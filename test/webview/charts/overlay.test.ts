import { expect, test } from "vitest";
import type { Rgb } from "../../../webview/charts/colorScale";
import { overlayColors } from "../../../webview/charts/overlay";

const colors = {
  background: [0, 0, 0] as Rgb,
  series: [
    [200, 0, 0],
    [0, 100, 0],
  ] as Rgb[],
};

test("a cell has the color of the only matrix with a weight, and the background without any", () => {
  const matrices = [
    { name: "L0 H0", values: Float32Array.of(1, 0, 0) },
    { name: "L0 H1", values: Float32Array.of(0, 0.5, 0) },
  ];
  const colorAt = overlayColors(matrices, 1, colors);
  expect([0, 1, 2].map(colorAt)).toEqual([
    [200, 0, 0],
    [0, 50, 0],
    [0, 0, 0],
  ]);
});

test("a cell in which two matrices are strong has the mix of their colors, in either order", () => {
  const [a, b] = [
    { name: "L0 H0", values: Float32Array.of(1) },
    { name: "L0 H1", values: Float32Array.of(1) },
  ];
  expect(overlayColors([a, b], 1, colors)(0)).toEqual([100, 50, 0]);
  const swapped = { ...colors, series: [...colors.series].reverse() };
  expect(overlayColors([b, a], 1, swapped)(0)).toEqual([100, 50, 0]);
});
