import { describe, expect, test } from "vitest";
import { initParams } from "../../../src/engine/nn/params";
import { createStepper, freshState, type StepBatch } from "../../../src/engine/train/stepper";
import { expectAllClose } from "../../helpers/allclose";
import { goldenDecoders } from "../../helpers/golden";

/** Fresh parameters after some steps. */
async function trained(shape: Parameters<typeof createStepper>[1], steps: readonly StepBatch[]) {
  const golden = goldenDecoders[0];
  if (!golden) throw new Error("there are no golden decoders");
  const start = freshState(initParams(golden.config, "gpt2", 1));
  const stepper = await createStepper(golden.config, shape, start, { device: "cpu", seed: 3 });
  try {
    const results = await stepper.run(1, steps, () => 1e-3);
    return { results, state: await stepper.state(), evaluated: await stepper.evaluate(steps[0] as StepBatch) };
  } finally {
    await stepper.release();
  }
}

describe("gradients accumulated over passes of single sequences", () => {
  test.each(goldenDecoders.filter(({ batchSize }) => batchSize > 1))("equal PyTorch's steps: $name", async (golden) => {
    const { batchSize, config } = golden;
    const shape = { ...golden, batchSize: 1, gradientAccumulation: batchSize, dropout: 0, attentionDropout: false };
    const stepper = await createStepper(config, shape, freshState(golden.params), { device: "cpu", seed: 1 });
    for (const [i, { feeds, lr, loss, gradNorm }] of golden.steps.entries()) {
      const [result] = await stepper.run(i + 1, [feeds as unknown as StepBatch], () => lr);
      expectAllClose([result?.loss ?? Number.NaN], [loss], 1e-5, `step ${i + 1}: loss`);
      expectAllClose([result?.gradNorm ?? Number.NaN], [gradNorm], 1e-5, `step ${i + 1}: gradNorm`);
    }
    await stepper.release();
  });

  test("depend only on the step and the pass with dropout", async () => {
    const golden = goldenDecoders[0];
    if (!golden) throw new Error("there are no golden decoders");
    const batch = golden.steps[0]?.feeds as unknown as StepBatch;
    const shape = {
      ...golden,
      batchSize: 1,
      gradientAccumulation: golden.batchSize,
      dropout: 0.2,
      attentionDropout: true,
    };
    const both = await trained(shape, [batch, batch]);
    expect(both.results[0]?.loss).not.toBe(both.results[1]?.loss);
    expect((await trained(shape, [batch, batch])).results).toEqual(both.results);
    const whole = await trained({ ...golden, dropout: 0, attentionDropout: false }, [batch]);
    const parts = await trained({ ...shape, dropout: 0 }, [batch]);
    expect(parts.evaluated).toBeCloseTo(whole.evaluated, 5);
    for (const [name, values] of whole.state.m) expectAllClose(parts.state.m.get(name), values, 1e-5, name, 1e-3);
  });
});
