import { expect, test } from "vitest";
import { withSet } from "../../../src/extension/explore/promptSets";

test("a set replaces the one with its name, and sets are sorted by name", () => {
  const sets = withSet(withSet([], { name: "b", prompts: ["1"] }), { name: "a", prompts: ["2"] });
  expect(withSet(sets, { name: "b", prompts: ["3", "4"] })).toEqual([
    { name: "a", prompts: ["2"] },
    { name: "b", prompts: ["3", "4"] },
  ]);
});

test("sets of more than 500,000 characters are rejected", () => {
  const large = { name: "a", prompts: ["x".repeat(400_000)] };
  expect(withSet([large], large)).toEqual([large]);
  expect(() => withSet([large], { name: "b", prompts: ["x".repeat(100_001)] })).toThrow("500,000 characters");
});
