import { expect, test } from "vitest";
import { CheckpointScrubber } from "../../../src/extension/explore/checkpointScrubber";
import type { CheckpointInfo, EngineApi, TraceInfo } from "../../../src/protocol/engineApi";
import { connect, serve } from "../../../src/protocol/rpc";
import { portPair } from "../../helpers/portPair";
import { tinyTrace } from "../../webview/tinyTrace";

/** The part of the engine that a scrubber asks, with the checkpoints of one run. */
function engineOf(steps: readonly number[]) {
  const asked: string[] = [];
  const held = new Map<number, string>();
  const run = { steps };
  const [ours, theirs] = portPair();
  serve<Pick<EngineApi, "checkpoints" | "inspect" | "releaseTrace">>(theirs, {
    checkpoints: () =>
      run.steps.map((step): CheckpointInfo => ({ step, dir: at(step), loss: 1, valLoss: null, accuracy: null })),
    inspect: ({ dir, text }): TraceInfo => {
      asked.push(dir);
      const trace = asked.length;
      held.set(trace, dir);
      return tinyTrace(text, trace).info;
    },
    releaseTrace: ({ trace }) => {
      held.delete(trace);
      return null;
    },
  });
  const { call } = connect<EngineApi>(ours);
  return { call, asked, held, run };
}

const model = { dir: "/m", step: 30 };
const at = (step: number) => `/m/checkpoints/step-${step}`;
const quiet = { warn: () => undefined };

test("a step is looked at in its checkpoint's folder, the model's own step in the model's", async () => {
  const engine = engineOf([10, 20, 30]);
  const scrub = new CheckpointScrubber(engine, quiet);
  await scrub.look(model);
  expect([scrub.dir, scrub.step]).toEqual(["/m", 30]);
  scrub.move(20);
  expect([scrub.dir, scrub.step]).toEqual([at(20), 20]);
  scrub.move(30);
  expect(scrub.dir).toBe("/m");
});

test("the checkpoints beside the one that is shown are run ahead, and other texts' runs are let go of", async () => {
  const engine = engineOf([10, 20, 30]);
  const scrub = new CheckpointScrubber(engine, quiet);
  await scrub.look(model);
  scrub.move(10);
  await scrub.showed(await scrub.trace("abc", 100), "abc", 100);
  expect(engine.asked).toEqual([at(10), at(20)]);
  scrub.move(20);
  await scrub.trace("abc", 100);
  expect(engine.asked).toHaveLength(2);
  await scrub.showed(await scrub.trace("other", 100), "other", 100);
  await expect.poll(() => [...engine.held.keys()].sort()).toEqual([3, 4, 5]);
});

test("a checkpoint that its run deletes is shown as the one before it; another model as it is now", async () => {
  const engine = engineOf([10, 20, 30]);
  const scrub = new CheckpointScrubber(engine, quiet);
  await scrub.look(model);
  scrub.move(20);
  engine.run.steps = [10, 30, 40];
  scrub.outdate();
  await scrub.look({ dir: "/m", step: 40 });
  expect(scrub.shown).toMatchObject({ at: 10, checkpoints: [{ step: 10 }, { step: 30 }, { step: 40 }] });
  await scrub.look({ dir: "/other", step: 5 });
  expect(scrub.shown.at).toBe(5);
});
