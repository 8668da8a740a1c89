import { describe, expect, test } from "vitest";
import { classicDecoder } from "../../../src/engine/nn/config";
import { initParams } from "../../../src/engine/nn/params";
import { createStepper, freshState } from "../../../src/engine/train/stepper";
import { dropoutDecoders, goldenDecoders } from "../../helpers/golden";
import {
  adaptersCheck,
  dropoutCheck,
  expectCheck,
  familyCheck,
  familyDecoders,
  gradsCheck,
  lossCheck,
  stepsCheck,
} from "../../helpers/goldenChecks";
import { someIds, tinyConfig } from "../../helpers/tinyModel";

describe("the evaluation loss equals PyTorch's", () => {
  test.each(goldenDecoders)("$name", (golden) => expectCheck(lossCheck(golden), "cpu", 1e-5));
});

describe("loss and gradients equal PyTorch's", () => {
  test.each(goldenDecoders)("$name", (golden) => expectCheck(gradsCheck(golden), "cpu", 1e-5));
});

describe("three optimization steps equal PyTorch's", () => {
  test.each(goldenDecoders)("$name", (golden) => expectCheck(stepsCheck(golden), "cpu", 1e-5));
});

describe("a step with dropout equals the evaluated graph", () => {
  test.each(dropoutDecoders)("$name", (golden) => expectCheck(dropoutCheck(golden), "cpu", 1e-5));
});

describe("decoders of other families", () => {
  test.each(Object.entries(familyDecoders))("loss and gradients equal the evaluated graph: %s", (_name, cfg) =>
    expectCheck(familyCheck(cfg), "cpu", 2e-5),
  );
  test.each(Object.entries(familyDecoders))("a step of adapters equals the evaluated graph: %s", (_name, cfg) =>
    expectCheck(adaptersCheck(cfg), "cpu", 2e-5),
  );
});

test.each([8, 9])("every parameter learns from sequences of 8 tokens in a context of %i", async (nCtx) => {
  const cfg = classicDecoder({ ...tinyConfig, positions: "learned", norm: "pre", activation: "relu", nCtx });
  const optimizer = { kind: "adam", beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0 } as const;
  const shape = { batchSize: 2, blockSize: 8, dropout: 0, attentionDropout: false, optimizer, maxGradNorm: 1 };
  const start = freshState(initParams(cfg, "xavier", 1));
  const stepper = await createStepper(cfg, shape, start, { device: "cpu", seed: 1 });
  const [ids, labels] = [Int32Array.from(someIds(16)), Int32Array.from(someIds(16, 23, 4))];
  await stepper.run(1, [{ ids, labels, labelWeights: new Float32Array(16).fill(1 / 16) }], () => 1e-3);
  const { m } = await stepper.state();
  await stepper.release();
  const still = [...m].filter(([, values]) => values.every((x) => x === 0)).map(([name]) => name);
  expect(still).toEqual([]);
});
