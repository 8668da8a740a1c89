import { expect, test } from "vitest";
import { learningRate } from "../../../src/engine/train/schedules";

const run = { steps: 100, dModel: 128 };

test("constant", () => {
  const lr = learningRate({ kind: "constant", lr: 0.01 }, run);
  expect([1, 50, 100].map(lr)).toEqual([0.01, 0.01, 0.01]);
});

test("noam rises linearly to its peak at the end of the warm-up, then falls with the square root of the step", () => {
  const lr = learningRate({ kind: "noam", factor: 0.2, warmup: 84 }, run);
  expect(lr(42)).toBeCloseTo(lr(84) / 2, 10);
  expect(lr(84)).toBeCloseTo(0.2 * 128 ** -0.5 * 84 ** -0.5, 10);
  expect(lr(4 * 84)).toBeCloseTo(lr(84) / 2, 10);
});

test("step multiplies by gamma after every stepSize steps, as StepLR does", () => {
  const lr = learningRate({ kind: "step", lr: 1, stepSize: 10, gamma: 0.5 }, run);
  expect([1, 10, 11, 20, 21].map(lr)).toEqual([1, 1, 0.5, 0.5, 0.25]);
});

test("cosine reaches lr after the warm-up, the mean of lr and minLr halfway, and minLr at the last step", () => {
  const lr = learningRate({ kind: "cosine", lr: 1, minLr: 0.1, warmup: 20 }, run);
  expect(lr(1)).toBeCloseTo(1 / 21, 10);
  expect(lr(20)).toBeLessThan(1);
  expect(lr(60)).toBeCloseTo(0.55, 10);
  expect(lr(100)).toBeCloseTo(0.1, 10);
});
