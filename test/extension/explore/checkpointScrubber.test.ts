import { expect, test } from "vitest";
import { CheckpointScrubber } from "../../../src/extension/explore/checkpointScrubber";
import type { CheckpointInfo, EngineApi, TraceInfo } from "../../../src/protocol/engineApi";
import { connect, serve } from "../../../src/protocol/rpc";
import { portPair } from "../../helpers/portPair";
import { tinyTrace } from "../../webview/tinyTrace";

/** The methods of the engine that a scrubber calls, with the checkpoints of one training run. */
function engineOf(steps: readonly number[]) {
  const inspected: string[] = [];
  const held = new Map<number, string>();
  const run = { steps };
  const [ours, theirs] = portPair();
  serve<Pick<EngineApi, "checkpoints" | "inspect" | "releaseTrace">>(theirs, {
    checkpoints: () =>
      run.steps.map((step): CheckpointInfo => ({ step, dir: at(step), loss: 1, valLoss: null, accuracy: null })),
    inspect: ({ dir, text }): TraceInfo => {
      inspected.push(dir);
      const trace = inspected.length;
      held.set(trace, dir);
      return tinyTrace(text, trace).info;
    },
    releaseTrace: ({ trace }) => {
      held.delete(trace);
      return null;
    },
  });
  const { call } = connect<EngineApi>(ours);
  return { call, inspected, held, run };
}

const model = { dir: "/m", step: 30 };
const at = (step: number) => `/m/checkpoints/step-${step}`;
const quiet = { warn: () => undefined };

test("a step selects the folder of its checkpoint, and the model's own step the folder of the model", async () => {
  const engine = engineOf([10, 20, 30]);
  const scrub = new CheckpointScrubber(engine, quiet);
  await scrub.look(model);
  expect([scrub.dir, scrub.step]).toEqual(["/m", 30]);
  scrub.move(20);
  expect([scrub.dir, scrub.step]).toEqual([at(20), 20]);
  scrub.move(30);
  expect(scrub.dir).toBe("/m");
});

test("the traces of neighboring checkpoints are prefetched, and those of other texts released", async () => {
  const engine = engineOf([10, 20, 30]);
  const scrub = new CheckpointScrubber(engine, quiet);
  await scrub.look(model);
  scrub.move(10);
  await scrub.showed(await scrub.trace("abc", 100), "abc", 100);
  expect(engine.inspected).toEqual([at(10), at(20)]);
  scrub.move(20);
  await scrub.trace("abc", 100);
  expect(engine.inspected).toHaveLength(2);
  await scrub.showed(await scrub.trace("other", 100), "other", 100);
  await expect.poll(() => [...engine.held.keys()].sort()).toEqual([3, 4, 5]);
});

test("the one before a deleted checkpoint is selected, and another model starts without a checkpoint", async () => {
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
