import { expect, test } from "vitest";
import { count, duration } from "../../src/extension/format";

test.each([
  [18, "18"],
  [270_226, "270 k"],
  [10_788_864, "10.8 M"],
  [1_500_000, "1.50 M"],
])("the count %i is formatted as %s", (n, text) => expect(count(n)).toBe(text));

test.each([
  [12.4, "12\u00a0s"],
  [75, "1\u00a0min"],
  [3725, "1\u00a0h\u00a02\u00a0min"],
])("%d seconds are formatted as %s", (seconds, text) => expect(duration(seconds)).toBe(text));
