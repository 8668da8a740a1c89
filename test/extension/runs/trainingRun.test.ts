import { describe, expect, test, vi } from "vitest";
import { type Engine, summaryOf, TrainingRun } from "../../../src/extension/runs/trainingRun";
import type { EngineApi, TrainEvent, TrainResult } from "../../../src/protocol/engineApi";
import { connect, type Handlers, isCanceled, serve } from "../../../src/protocol/rpc";
import type { RunState } from "../../../src/protocol/webviewApi";
import { portPair } from "../../helpers/portPair";

const request = {
  kind: "train",
  params: { preset: "char", out: "/m/fox", name: "Fox", device: "cpu" },
  steps: 20,
} as const;
const report = (step: number) => ({ step, loss: 4 - step / 100, lr: 1e-3, gradNorm: 1, tokensPerSecond: 1000 });
const steps = (from: number, to: number): TrainEvent => ({
  kind: "steps",
  reports: Array.from({ length: to - from + 1 }, (_, i) => report(from + i)),
  secondsLeft: 9,
});
const done: TrainResult = { dir: "/m/fox", step: 20, reason: "done", eval: null };

/** A run over a real channel, with a fake engine. */
function run(train: Handlers<EngineApi>["train"]) {
  const [ours, theirs] = portPair();
  serve<Pick<EngineApi, "train">>(theirs, { train });
  const client = connect<EngineApi>(ours);
  const engine: Engine = { call: (method, params, options) => client.call(method, params, options) };
  const states: RunState[] = [];
  const events: TrainEvent[] = [];
  const listener = { event: (event: TrainEvent) => events.push(event), state: (state: RunState) => states.push(state) };
  return { run: new TrainingRun(engine, request, listener), states, events, client };
}

describe("a run", () => {
  test("goes from preparing to running to done, and keeps its reports", async () => {
    const { run: fox, states } = run(async (_, { report: send }) => {
      send({ kind: "prepare", message: "Reading", fraction: null });
      send({ kind: "paused", paused: false });
      send(steps(1, 20));
      send({ kind: "eval", report: { step: 20, loss: 3.9, perplexity: 49, tokens: 10 } });
      send({ kind: "sample", step: 20, text: "the" });
      send({ kind: "checkpoint", step: 20 });
      return done;
    });
    await fox.start(request);
    expect(states.map((state) => state.phase)).toEqual(["preparing", "running", "done"]);
    expect(states[0]?.message).toBe("Reading");
    const snapshot = fox.snapshot();
    expect(snapshot.reports.map((r) => r.step)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(snapshot).toMatchObject({
      checkpointStep: 20,
      samples: [{ step: 20, text: "the" }],
      state: { phase: "done" },
    });
    expect(fox.active).toBe(false);
  });

  test("is stopping until the engine has saved it, then stopped", async () => {
    const { run: fox, states } = run(
      (_, { signal }) =>
        new Promise((resolve) =>
          signal.addEventListener("abort", () => resolve({ ...done, step: 7, reason: "stopped" })),
        ),
    );
    const end = fox.start(request);
    setTimeout(() => fox.stop(), 10);
    expect(await end).toMatchObject({ reason: "stopped", step: 7 });
    expect(states.map((state) => state.phase)).toEqual(["stopping", "stopped"]);
    expect(fox.step).toBe(7);
  });

  test("that is stopped during preparation has not failed", async () => {
    const { run: fox, states } = run(
      (_, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    );
    const end = fox.start(request);
    setTimeout(() => fox.stop(), 10);
    await expect(end).rejects.toSatisfy(isCanceled);
    expect(states.map((state) => state.phase)).toEqual(["stopping", "stopped"]);
    expect(states.at(-1)?.message).toBeNull();
  });

  test("whose engine crashes names the saved step", async () => {
    const {
      run: fox,
      states,
      events,
      client,
    } = run((_, { report: send }) => {
      send(steps(1, 12));
      send({ kind: "checkpoint", step: 10 });
      return new Promise(() => {});
    });
    const rejected = expect(fox.start(request)).rejects.toThrow(
      "The engine was killed. Step 10 is saved. Choose Resume to continue from there.",
    );
    await vi.waitFor(() => expect(events).toHaveLength(2));
    client.close("The engine was killed.");
    await rejected;
    expect(states.at(-1)).toEqual({
      phase: "failed",
      message: "The engine was killed. Step 10 is saved. Choose Resume to continue from there.",
      secondsLeft: null,
    });
  });

  test("that diverged does not suggest to resume it", async () => {
    const { run: fox, states } = run((_, { report: send }) => {
      send({ kind: "checkpoint", step: 10 });
      throw Object.assign(new Error("Training diverged at step 12."), { code: "diverged" });
    });
    await expect(fox.start(request)).rejects.toThrow(/^Training diverged at step 12\.$/);
    expect(states.at(-1)).toMatchObject({ phase: "failed", diverged: true });
    expect(fox.snapshot().checkpointStep).toBe(10);
  });

  test("is summarized by its steps and changed settings", () => {
    const set = { "train.steps": 12000, "train.schedule.lr": 0.01, "model.nLayers": 2 };
    const changed = { ...request, params: { ...request.params, set }, steps: 12000 } as const;
    expect(summaryOf(changed)).toBe("12,000 steps · Learning rate 0.01 · Layers 2");
    expect(summaryOf({ kind: "resume", params: { dir: "/m/fox" }, name: "Fox", preset: "char" })).toBe("");
  });

  test("continues its curves from the checkpoint after a resume", async () => {
    const first = run((_, { report: send }) => {
      send(steps(1, 12));
      send({ kind: "checkpoint", step: 10 });
      throw new Error("power cut");
    });
    await first.run.start(request).catch(() => {});
    const { client } = first;
    const resume = { kind: "resume", params: { dir: "/m/fox" }, name: "Fox", preset: "char" } as const;
    const second = new TrainingRun(client, resume, { event() {}, state() {} }, first.run.snapshot());
    expect(second.snapshot().reports.at(-1)?.step).toBe(10);
  });

  test("keeps a few thousand of a hundred thousand steps, evenly, from the first to the last", async () => {
    const { run: fox } = run(async (_, { report: send }) => {
      for (let from = 1; from < 100_000; from += 1000) send(steps(from, from + 999));
      return done;
    });
    await fox.start(request);
    const kept = fox.snapshot().reports.map((r) => r.step);
    expect(kept.length).toBeGreaterThan(1500);
    expect(kept.length).toBeLessThanOrEqual(4000);
    expect([kept[0], kept.at(-1)]).toEqual([1, 100_000]);
    const gaps = new Set(kept.slice(2).map((step, i) => step - (kept[i + 1] as number)));
    expect(gaps.size).toBe(1);
  });
});
