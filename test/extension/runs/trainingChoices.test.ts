import { describe, expect, test } from "vitest";
import { changedSettings } from "../../../src/extension/runs/runTable";
import { orderedSettings, parseSetting } from "../../../src/extension/runs/trainingChoices";

describe("a typed setting", () => {
  test.each([
    ["12", 4, { value: 12 }],
    ["1e-3", 0.1, { value: 0.001 }],
    [" relu ", "gelu", { value: "relu" }],
    ["false", true, { value: false }],
  ])("%j replaces %j", (typed, like, expected) => expect(parseSetting(typed, like)).toEqual(expected));
  test.each([
    ["", 4],
    ["four", 4],
    ["-1", 4],
    ["yes", true],
    ["", "gelu"],
  ])("%j cannot replace %j", (typed, like) => expect(parseSetting(typed, like)).toHaveProperty("problem"));
  test("is listed first if it is often changed", () => {
    const names = orderedSettings({ "train.seed": 1, "a.b": 2, "model.nLayers": 3, "train.steps": 4 }).map(
      ([name]) => name,
    );
    expect(names).toEqual(["train.steps", "model.nLayers", "train.seed", "a.b"]);
  });
});

test("the settings of a run that differ from its preset's are listed with their labels", () => {
  const settings = { "train.steps": 500, "model.nLayers": 4, "train.dropout": 0.1, "data.reversed": false };
  const ofRun = { "model.nLayers": 2, "train.steps": 900, "train.dropout": 0.1, "data.reversed": false, other: 1 };
  expect(changedSettings({ settings }, ofRun)).toBe("Training steps 900 · Layers 2");
  expect(changedSettings({ settings }, settings)).toBe("");
});
