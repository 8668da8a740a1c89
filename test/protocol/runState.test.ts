import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { describe, expect, test } from "vitest";
import { readReports } from "../../src/extension/runs/runReports";
import type { TrainEvent } from "../../src/protocol/engineApi";
import { append, applyEvent, liveRun, newRun, reportsUntil } from "../../src/protocol/runState";

const report = (step: number) => ({ step, loss: 4, lr: 1e-3, gradNorm: 1, tokensPerSecond: 1000 });
const evaluation = (step: number) => ({ step, loss: 4, perplexity: 55, tokens: 9 });
const steps = (from: number, to: number): TrainEvent => ({
  kind: "steps",
  reports: Array.from({ length: to - from + 1 }, (_, i) => report(from + i)),
  secondsLeft: 9,
});
const stepsOf = (list: readonly { readonly step: number }[]) => list.map(({ step }) => step);
const run = () => newRun("/m/fox", "Fox", "char");
const runAfter = (...events: readonly TrainEvent[]) => {
  const fox = run();
  for (const event of events) applyEvent(fox, event);
  return fox;
};

const MILLION = 1_000_000;

describe("a run with a million reports", () => {
  const long = run();
  for (let from = 1; from < MILLION; from += 100) {
    applyEvent(long, steps(from, from + 99));
    applyEvent(long, { kind: "eval", report: evaluation(from + 99) });
    applyEvent(long, { kind: "updates", step: from + 99, layers: [] });
    applyEvent(long, { kind: "sample", step: from + 99, text: "the" });
    applyEvent(long, { kind: "warning", step: from + 99, message: "The loss rose.", ends: false });
  }

  test("keeps a few thousand entries in each list", () => {
    const lengths = [long.reports, long.evals, long.updates, long.samples, long.warnings].map((list) => list.length);
    expect(Math.min(...lengths)).toBeGreaterThan(1500);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(4000);
  });

  test("keeps early and late reports, and the newest", () => {
    expect(stepsOf(long.reports).slice(0, 3)).toEqual([1, 256, 512]);
    expect(stepsOf(long.reports).slice(-3)).toEqual([999_680, 999_936, MILLION]);
    expect([long.evals[0]?.step, long.evals.at(-1)?.step]).toEqual([100, MILLION]);
  });

  test("has the same entries when the page continues from a snapshot in the middle", () => {
    const early = run();
    applyEvent(early, steps(1, 600_000));
    const page = liveRun(structuredClone(early));
    applyEvent(page, steps(600_001, MILLION));
    expect(page.reports).toEqual(long.reports);
    expect(early.reports.at(-1)?.step).toBe(600_000);
  });

  test("has the same entries when it is read from its folder", async () => {
    const dir = await mkdtemp(join(tmpdir(), "decoder-lab-million-"));
    try {
      const file = createWriteStream(join(dir, "reports.jsonl"));
      for (let from = 1; from < MILLION; from += 10_000) {
        file.write(Array.from({ length: 10_000 }, (_, i) => `${JSON.stringify(report(from + i))}\n`).join(""));
      }
      file.end();
      await finished(file);
      expect((await readReports(dir)).reports).toEqual(long.reports);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }, 60_000);
});

describe("a list of reports", () => {
  test("never has more than 4,000 entries, whatever the distance of their steps", () => {
    for (const distance of [1, 3, 250, 1000]) {
      const list: { step: number }[] = [];
      let longest = 0;
      for (let i = 1; i <= 20_000; i++) {
        append(list, [{ step: i * distance }]);
        longest = Math.max(longest, list.length);
      }
      expect(longest).toBeLessThanOrEqual(4000);
      expect(list.length).toBeGreaterThan(1500);
      expect([list[0]?.step, list.at(-1)?.step]).toEqual([distance, 20_000 * distance]);
    }
  });

  test("keeps every entry of a short run", () => {
    expect(stepsOf(runAfter(steps(1, 3998)).reports)).toEqual(Array.from({ length: 3998 }, (_, i) => i + 1));
  });

  test("drops the steps that a run reports again from a checkpoint", () => {
    const fox = runAfter(steps(1, 12), { kind: "eval", report: evaluation(12) }, steps(11, 11));
    expect(stepsOf(fox.reports)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    applyEvent(fox, { kind: "eval", report: { ...evaluation(12), loss: 3 } });
    expect(fox.evals.map(({ loss }) => loss)).toEqual([3]);
  });

  test("can be cut at a step without changing the run", () => {
    const fox = runAfter(steps(1, 12));
    expect(stepsOf(reportsUntil(fox, 10).reports).at(-1)).toBe(10);
    expect(fox.reports).toHaveLength(12);
  });
});

describe("the state of a run", () => {
  const start = { kind: "start", model: {}, train: { steps: 20 }, device: "cpu", deviceReason: "" } as unknown;

  test("goes from preparing to running, and shows the share that is prepared", () => {
    const fox = runAfter({ kind: "prepare", message: "Reading", fraction: 0.25 });
    expect(fox).toMatchObject({ state: { phase: "preparing", message: "Reading" }, prepared: 0.25 });
    applyEvent(fox, start as TrainEvent);
    expect(fox).toMatchObject({
      state: { phase: "running", message: null },
      prepared: null,
      started: { device: "cpu" },
    });
  });

  test("keeps the time left while the run is paused", () => {
    const fox = runAfter(start as TrainEvent, steps(1, 2), { kind: "paused", paused: true });
    expect(fox.state).toEqual({ phase: "paused", message: null, secondsLeft: 9 });
  });

  test("stays stopping, whatever the run still reports", () => {
    const fox = run();
    fox.state = { phase: "stopping", message: null, secondsLeft: null };
    applyEvent(fox, { kind: "prepare", message: "Reading", fraction: null });
    applyEvent(fox, { kind: "paused", paused: true });
    expect(fox.state.phase).toBe("stopping");
  });

  test("knows the last checkpoint", () => {
    expect(runAfter({ kind: "checkpoint", step: 10 }).checkpointStep).toBe(10);
  });
});
