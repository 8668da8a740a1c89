import { describe, test } from "vitest";
import { goldenDecoders } from "../../helpers/golden";
import { expectDropoutStep, expectGoldenLoss, expectGoldenSteps } from "../../helpers/goldenChecks";
import { describeWebgpu } from "../../helpers/webgpu";

const decoders = goldenDecoders.map((golden) => [golden.name, golden] as const);
/** Both kinds of norm, every activation, tied and not. */
const someDecoders = decoders.filter(([name]) =>
  ["pre-gelu-tied", "post-relu-untied", "post-geluTanh-tied"].includes(name),
);

describeWebgpu("on WebGPU, with nothing left to the CPU", () => {
  describe("the loss for evaluation is PyTorch's", () => {
    test.each(decoders)("%s", (_name, golden) => expectGoldenLoss(golden, "webgpu", 1e-4));
  });

  describe("three optimisation steps are PyTorch's", () => {
    test.each(decoders)("%s", (_name, golden) => expectGoldenSteps(golden, "webgpu", 1e-4));
  });

  describe("a step with dropout is what the graph says", () => {
    test.each(someDecoders)("%s", (_name, golden) => expectDropoutStep(golden, "webgpu", 1e-4));
  });
});
