import { expect, test } from "vitest";
import type { StepReport } from "../../../src/engine/api/run";
import { divergenceWatch } from "../../../src/engine/train/divergence";

const report = (step: number, loss: number, gradNorm = 1): StepReport => ({
  step,
  loss,
  lr: 0.01,
  gradNorm,
  tokensPerSecond: 1,
});
const watch = () =>
  divergenceWatch(65, { maxGradNorm: 1, schedule: { kind: "cosine", lr: 0.01, minLr: 0, warmup: 30 } });

/** Warnings by step. */
function said(losses: readonly number[]): [number, string][] {
  const judge = watch();
  return losses.flatMap((loss, i) => {
    const trouble = judge(report(i + 1, loss), 0);
    return trouble ? [[i + 1, trouble.message] as [number, string]] : [];
  });
}

const falling = Array.from({ length: 60 }, (_, i) => 4 * 0.95 ** i);

test("a loss that rises far above its best is reported once, and again after it has recovered", () => {
  const rise = Array.from({ length: 20 }, () => 4);
  const [[step, message] = [0, ""], ...rest] = said([...falling, ...rise]);
  expect(rest).toEqual([]);
  expect(step).toBeGreaterThan(60);
  expect(message).toMatch(
    /^The loss is diverging at step \d+: the smoothed loss is \d\.\d+, up from 0\.\d+ at its best, at a learning rate of 0\.0100 and a gradient norm of 1\.00\. If it does not recover, train again with a smaller learning rate or a smaller maximum gradient norm\.$/,
  );
  const back = Array.from({ length: 60 }, () => 0.1);
  expect(said([...falling, ...rise, ...back, ...rise])).toHaveLength(2);
});

test("a loss that varies near 0 or during warm-up is not reported as divergence", () => {
  const small = Array.from({ length: 100 }, (_, i) => (i % 10 < 5 ? 0.001 : 0.05));
  expect(said([...falling, ...small])).toEqual([]);
  expect(said([...Array.from({ length: 15 }, () => 1), ...Array.from({ length: 15 }, () => 6)])).toEqual([]);
});

test("a loss or gradients that are not finite end a run, and the message names the checkpoint to branch from", () => {
  const judge = watch();
  expect(judge(report(1, 4.2, 3), 0)).toBeNull();
  expect(judge(report(2, 4, Infinity), 1)).toEqual({
    ends: true,
    message:
      "Training diverged at step 2: the gradients are not finite (loss 4.00) at a learning rate of 0.0100, after a loss of 4.20 and a gradient norm of 3.00. Branch from the checkpoint of step 1 with a smaller learning rate or a smaller maximum gradient norm.",
  });
  expect(watch()(report(1, Number.NaN), 0)).toMatchObject({
    ends: true,
    message: expect.stringMatching(/the loss is not finite/),
  });
});
