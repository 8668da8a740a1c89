import { describe, expect, test } from "vitest";
import { type Status, statusText } from "../../../src/extension/engine/statusText";

const idle: Status = {
  model: "Fox",
  device: "cpu",
  engine: { kind: "running" },
  run: null,
  generating: false,
  problem: null,
  snoozedMinutes: 0,
};
const run = {
  name: "Hare",
  step: 450,
  steps: 1000,
  loss: 2.5,
  state: { phase: "running", message: null, secondsLeft: 75 },
} as const;

describe("the status bar item", () => {
  test.each<[string, Partial<Status>, string]>([
    ["the model", {}, "$(circuit-board) Fox"],
    ["its own name without a model", { model: null }, "$(circuit-board) Decoder Lab"],
    ["the progress of training", { run }, "$(loading~spin) Training 45 %"],
    ["a pause", { run: { ...run, state: { ...run.state, phase: "paused" } } }, "$(debug-pause) Paused 45 %"],
    [
      "the model after a finished run",
      { run: { ...run, state: { ...run.state, phase: "done" } } },
      "$(circuit-board) Fox",
    ],
    ["activity", { generating: true }, "$(loading~spin) Fox"],
    ["a restart", { engine: { kind: "restarting", message: "Killed.", fallsBack: false } }, "$(sync~spin) Restarting"],
    ["a stopped engine", { engine: { kind: "stopped", message: "5 times" } }, "$(error) Engine stopped"],
    ["a snooze", { snoozedMinutes: 4 }, "$(bell-slash) Fox"],
    ["an error that no notification reported", { problem: "Too long." }, "$(warning) Fox"],
  ])("shows %s", (_, change, text) => expect(statusText({ ...idle, ...change }).text).toBe(text));

  test("has a tooltip with the progress, the model, and the device", () => {
    expect(statusText({ ...idle, run }).tooltip).toEqual([
      "Hare: step 450 of 1,000, loss 2.500, 1\u00a0min left",
      "Model: Fox",
      "Device: CPU",
    ]);
  });
});
