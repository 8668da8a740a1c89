import { expect, test } from "vitest";
import { createStepper, freshState, type StepBatch } from "../../../src/engine/train/stepper";
import { expectAllClose } from "../../helpers/allclose";
import { type GoldenDecoder, goldenDecoders } from "../../helpers/golden";
import { describeWebgpu } from "../../helpers/webgpu";

describeWebgpu(
  "on WebGPU",
  () => {
    test("steps with gradients accumulated over passes equal PyTorch's", async () => {
      const golden = goldenDecoders.find(({ batchSize }) => batchSize > 2) as GoldenDecoder;
      const { batchSize, config } = golden;
      const shape = { ...golden, batchSize: 1, gradientAccumulation: batchSize, dropout: 0, attentionDropout: false };
      const stepper = await createStepper(config, shape, freshState(golden.params), { device: "webgpu", seed: 1 });
      const before = await stepper.params();
      for (const [i, { feeds, lr, loss, gradNorm }] of golden.steps.entries()) {
        const [result] = await stepper.run(i + 1, [feeds as unknown as StepBatch], () => lr);
        expectAllClose([result?.loss ?? Number.NaN], [loss], 1e-4, `step ${i + 1}: loss`);
        expectAllClose([result?.gradNorm ?? Number.NaN], [gradNorm], 1e-4, `step ${i + 1}: gradNorm`);
      }
      // The state copied before the steps must not change with them.
      for (const [name, values] of golden.params) expect(before.get(name), name).toEqual(values);
      await stepper.release();
    });
  },
  120_000,
);
