import { describe, expect, test } from "vitest";
import type { RunState } from "../../../src/protocol/webviewApi";
import { differingSettings } from "../../../webview/training/compareRuns/layout";
import { pointsOf, positions } from "../../../webview/training/curves/layout";
import { actionsOf, bestLossOf, figuresOf, runSummary, settingsOf, stepsOf } from "../../../webview/training/run";
import { tinyRun } from "../tinyRun";

const state: RunState = { phase: "running", message: null, secondsLeft: 9 };

describe("a run", () => {
  const run = tinyRun("to be or not to be ".repeat(20), 300, 400, state);

  test("has points only for reports with a value", () => {
    expect(pointsOf(run.evals, ({ accuracy }) => accuracy).x).toEqual([]);
    expect(pointsOf(run.evals, ({ loss }) => loss).x).toEqual([100, 200, 300]);
  });

  test("has the buttons of its phase, and resumes after a failure only from a checkpoint", () => {
    expect(actionsOf(run)).toMatchObject({ pause: true, stop: true, resume: false });
    const failed = { ...run, state: { ...state, phase: "failed" as const } };
    expect(actionsOf(failed)).toMatchObject({ pause: false, stop: false, resume: true, use: true });
    expect(actionsOf({ ...failed, checkpointStep: null })).toMatchObject({ resume: false, use: false });
    const diverged = { ...failed, state: { ...failed.state, diverged: true } };
    expect(actionsOf(diverged)).toMatchObject({ resume: false, branch: true, use: true });
  });

  test("has its settings from the start until its record is written", () => {
    const early = { ...run, record: null };
    expect(settingsOf(early)).toMatchObject({ "train.steps": 400, "train.batchSize": 256 });
    expect(settingsOf(run)).toMatchObject({ "train.schedule.lr": 40 });
    expect([stepsOf(early), stepsOf({ ...run, started: null })]).toEqual([400, 400]);
  });

  test("knows its best loss from its record after the evaluation was dropped", () => {
    const lowest = Math.min(...run.evals.map(({ loss }) => loss));
    expect(bestLossOf(run)).toBe(lowest);
    const record = { settings: {}, facts: { bestLoss: lowest - 1 } };
    expect(bestLossOf({ ...run, record })).toBe(lowest - 1);
    expect(bestLossOf({ ...run, evals: [] })).toBeNull();
  });

  test("shows the time left only while it is running", () => {
    const names = (phase: RunState["phase"]) =>
      figuresOf({ ...run, state: { ...state, phase } }).map(({ name }) => name);
    expect(names("running")).toContain("Time left");
    expect(names("paused")).not.toContain("Time left");
  });

  test("is summarized by preset, size, shape and device", () => {
    expect(runSummary(run)).toMatch(
      /^preset char · .* parameters · .* layers, .* heads, width .* · CPU: no compatible GPU/,
    );
  });
});

describe("the curves of runs", () => {
  const run = tinyRun("to be or not to be, ".repeat(20), 8, 10, state);
  const withSpeeds = (tokensPerSecond: readonly number[]) => ({
    ...run,
    reports: tokensPerSecond.map((speed, i) => ({ step: i + 1, loss: 1, lr: 1, gradNorm: 1, tokensPerSecond: speed })),
  });

  test("are drawn over the tokens of their batches, and over the time that these took", () => {
    expect(positions(run, "tokens")?.(3)).toBe(3 * 256);
    const seconds = positions(withSpeeds([256, 512, 128]), "seconds");
    expect([1, 2, 3].map((step) => seconds?.(step))).toEqual([1, 1.5, 3.5]);
    // A dropped report counts with the speed of the next one.
    const thinned = { ...run, reports: withSpeeds([256, 512]).reports.slice(1) };
    expect(positions(thinned, "seconds")?.(2)).toBe(1);
  });

  test("have no position in tokens without the settings of the batch size", () => {
    expect(positions({ ...run, record: null, started: null }, "tokens")).toBeNull();
  });

  test("differ in settings that have other values, or that only one run has", () => {
    const settings = { ...run.record?.settings, "train.schedule.lr": 1, "train.schedule.warmup": 5 };
    const other = { ...run, record: { settings, facts: {} } };
    expect(differingSettings([run, other])).toEqual(["train.schedule.lr", "train.schedule.warmup"]);
  });
});
