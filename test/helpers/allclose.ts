import { expect } from "vitest";
import type { Numbers } from "./evaluate";

/** The largest difference, relative to the largest expected value or `floor`. */
export function relativeError(actual: Numbers, expected: Numbers, floor = 1e-30): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [error, scale] = [0, floor];
  for (let i = 0; i < expected.length; i++) {
    // Math.max propagates NaN, which then fails.
    error = Math.max(error, Math.abs((actual[i] ?? Number.NaN) - (expected[i] ?? Number.NaN)));
    scale = Math.max(scale, Math.abs(expected[i] ?? 0));
  }
  return error / scale;
}

/** Expects every element to be within `tolerance`, relative to the largest element of the tensor. */
export function expectAllClose(
  actual: Numbers | undefined,
  expected: Numbers | undefined,
  tolerance: number,
  name = "the tensor",
  floor?: number,
): void {
  if (!actual || !expected) throw new Error(`${name} is missing`);
  expect(relativeError(actual, expected, floor), `relative error of ${name}`).toBeLessThan(tolerance);
}
