import { expect, test } from "vitest";
import { broadcastShapes, normalizeAxes, reducedShape, sizeOf } from "../../../src/engine/graph/shape";

test("a scalar has one element, an empty axis none", () => {
  expect([sizeOf([]), sizeOf([2, 3]), sizeOf([2, 0])]).toEqual([1, 6, 0]);
});

test("shapes align at the right, and a 1 stretches", () => {
  expect(broadcastShapes([2, 1, 3], [4, 1])).toEqual([2, 4, 3]);
  expect(broadcastShapes([], [2, 3])).toEqual([2, 3]);
  expect(broadcastShapes([1], [0])).toEqual([0]);
  expect(broadcastShapes([2, 3], [2])).toBeUndefined();
});

test("axes count from either end", () => expect(normalizeAxes([-1, 0], 3)).toEqual([0, 2]));

test("reduced axes are dropped or become 1", () => {
  expect(reducedShape([2, 3, 4], [0, 2], false)).toEqual([3]);
  expect(reducedShape([2, 3, 4], [0, 2], true)).toEqual([1, 3, 1]);
});
