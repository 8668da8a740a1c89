import { expect, test } from "vitest";
import { decimate, indexAt, smooth, ticks } from "../../../webview/charts/series";

test("decimation keeps the extremes of every interval", () => {
  const x = Array.from({ length: 10_000 }, (_, i) => i);
  const y = x.map((i) => (i === 5003 ? 99 : i === 7001 ? -99 : Math.sin(i)));
  const few = decimate({ x, y }, 300);
  expect(few.x.length).toBeLessThanOrEqual(600);
  expect(few.y).toContain(99);
  expect(few.y).toContain(-99);
  expect([...few.x].sort((a, b) => a - b)).toEqual(few.x);
});

test("decimation keeps few points unchanged, without NaN", () => {
  expect(decimate({ x: [1, 2, 3], y: [5, Number.NaN, 7] }, 100)).toEqual({ x: [1, 3], y: [5, 7] });
});

test("smoothing keeps a constant and starts at the first value", () => {
  for (const value of smooth([2, 2, 2, 2], 0.9)) expect(value).toBeCloseTo(2, 12);
  expect(smooth([8, 0, 0], 0.9)[0]).toBeCloseTo(8, 12);
  // (0.5 * 4 + 1 * 1) / 1.5, then (0.25 * 4 + 0.5 * 1 + 1 * 7) / 1.75
  expect(smooth([4, 1, 7], 0.5)).toEqual([4, 2, 8.5 / 1.75]);
  expect(smooth([3, Number.NaN, 5], 0)).toEqual([3, 3, 5]);
});

test("smoothing reduces noise", () => {
  const noisy = Array.from({ length: 400 }, (_, i) => 1 + (i % 2 === 0 ? 0.5 : -0.5));
  for (const value of smooth(noisy, 0.9).slice(200)) expect(Math.abs(value - 1)).toBeLessThan(0.06);
});

test("the value at a step is the last at or before it", () => {
  const points = { x: [10, 20, 30], y: [1, 2, 3] };
  expect([9, 10, 19, 30, 99].map((x) => indexAt(points, x))).toEqual([-1, 0, 0, 2, 2]);
});

test("ticks are round numbers within the range", () => {
  expect(ticks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(ticks(-3, 42, 4)).toEqual([0, 20, 40]);
  expect(ticks(5, 5, 4)).toEqual([5]);
});
