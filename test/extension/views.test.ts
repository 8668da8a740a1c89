import { describe, expect, test } from "vitest";
import { type Status, statusText } from "../../src/extension/engine/statusText";
import { count, duration } from "../../src/extension/format";
import { orderedSettings, parseSetting } from "../../src/extension/runs/trainingChoices";
import { inspectorChecks, trainingChecks } from "../../src/extension/webviews/messageChecks";

const idle: Status = {
  model: "Fox",
  device: "cpu",
  engine: { kind: "running" },
  run: null,
  generating: false,
  problem: null,
};
const run = {
  name: "Hare",
  step: 450,
  steps: 1000,
  loss: 2.5,
  state: { phase: "running", message: null, secondsLeft: 75 },
} as const;

describe("the status item", () => {
  test.each<[string, Partial<Status>, string]>([
    ["the model", {}, "$(circuit-board) Fox"],
    ["that there is none", { model: null }, "$(circuit-board) Decoder Lab"],
    ["training and how far it is", { run }, "$(loading~spin) Training 45 %"],
    ["a pause", { run: { ...run, state: { ...run.state, phase: "paused" } } }, "$(debug-pause) Paused 45 %"],
    ["a run that is over no more", { run: { ...run, state: { ...run.state, phase: "done" } } }, "$(circuit-board) Fox"],
    ["work", { generating: true }, "$(loading~spin) Fox"],
    ["a restart", { engine: { kind: "restarting", message: "Killed.", fallsBack: false } }, "$(sync~spin) Restarting"],
    ["that the engine is down", { engine: { kind: "stopped", message: "5 times" } }, "$(error) Engine stopped"],
    ["a quiet failure", { problem: "Too long." }, "$(warning) Fox"],
  ])("shows %s", (_, change, text) => expect(statusText({ ...idle, ...change }).text).toBe(text));

  test("says on hover what goes on and where", () => {
    expect(statusText({ ...idle, run }).tooltip).toEqual([
      "Hare: step 450 of 1,000, loss 2.500, 1 min left",
      "Model: Fox",
      "Device: CPU",
    ]);
  });
});

test.each([
  [18, "18"],
  [270_226, "270 k"],
  [10_788_864, "10.8 M"],
  [1_500_000, "1.50 M"],
])("%i is counted as %s", (n, text) => expect(count(n)).toBe(text));

test.each([
  [12.4, "12 s"],
  [75, "1 min"],
  [3725, "1 h 2 min"],
])("%d seconds are %s", (seconds, text) => expect(duration(seconds)).toBe(text));

describe("a setting that is typed", () => {
  test.each([
    ["12", 4, { value: 12 }],
    ["1e-3", 0.1, { value: 0.001 }],
    [" relu ", "gelu", { value: "relu" }],
    ["false", true, { value: false }],
  ])("%j in place of %j", (typed, like, expected) => expect(parseSetting(typed, like)).toEqual(expected));
  test.each([
    ["", 4],
    ["four", 4],
    ["-1", 4],
    ["yes", true],
    ["", "gelu"],
  ])("%j in place of %j is refused", (typed, like) => expect(parseSetting(typed, like)).toHaveProperty("problem"));
  test("what is changed often comes first", () => {
    const names = orderedSettings({ "train.seed": 1, "a.b": 2, "model.nLayers": 3, "train.steps": 4 }).map(
      ([name]) => name,
    );
    expect(names).toEqual(["train.steps", "model.nLayers", "train.seed", "a.b"]);
  });
});

describe("a message from a webview", () => {
  test("that is as it must be passes", () => {
    expect(inspectorChecks.traceTensor({ trace: 1, name: "embed" })).toEqual({ trace: 1, name: "embed" });
    expect(inspectorChecks.traceTensor({ trace: 1, name: "embed", head: 2, more: "x" })).toEqual({
      trace: 1,
      name: "embed",
      head: 2,
    });
    expect(trainingChecks.pause({ paused: true })).toEqual({ paused: true });
    expect(inspectorChecks.save({ name: "attention-layer0.csv", data: new Uint8Array(1) })).toHaveProperty("name");
  });
  test.each<[string, () => unknown]>([
    ["no parameters", () => inspectorChecks.traceTensor(null)],
    ["a trace that is no number", () => inspectorChecks.traceTensor({ trace: "1", name: "embed" })],
    ["a head below 0", () => inspectorChecks.traceTensor({ trace: 1, name: "embed", head: -1 })],
    ["a text without end", () => inspectorChecks.inspectText({ text: "x".repeat(1_000_000) })],
    ["an action by another name", () => inspectorChecks.act({ action: "constructor" })],
    ["a file name with a folder", () => inspectorChecks.save({ name: "../../.bashrc", data: new Uint8Array(1) })],
    ["a hidden file", () => inspectorChecks.save({ name: ".bashrc", data: new Uint8Array(1) })],
    ["a file that is no bytes", () => inspectorChecks.save({ name: "a.csv", data: [1, 2] })],
    ["a pause that is no flag", () => trainingChecks.pause({ paused: 1 })],
  ])("with %s is refused", (_, check) => expect(check).toThrow(/^The view /));
});
