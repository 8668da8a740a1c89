import { expect, test } from "vitest";
import { costOf } from "../../../src/engine/hub/generationCost";

test("the cost of generation is the mean divergence and both perplexities", () => {
  // Probabilities 1/2, 1/2 against 1/4, 3/4, then two equal distributions; the last position predicts nothing.
  const exact = Float32Array.of(0, 0, 0, 0, 5, 1);
  const fast = Float32Array.of(0, Math.log(3), 0, 0, 1, 5);
  const { bits, exact: before, fast: after } = costOf(exact, fast, [0, 0, 1], 2);
  // KL = log2(1/2 / 1/4) / 2 + log2(1/2 / 3/4) / 2 = 0.2075, over two positions.
  expect(bits).toBeCloseTo(0.10376, 5);
  expect(before).toBeCloseTo(2, 5);
  expect(after).toBeCloseTo(Math.sqrt(4 * 2), 5);
});
