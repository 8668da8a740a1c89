import { describe, test } from "vitest";
import { goldenDecoders } from "../../helpers/golden";
import { expectDropoutStep, expectGoldenGrads, expectGoldenSteps } from "../../helpers/goldenChecks";

const decoders = goldenDecoders.map((golden) => [golden.name, golden] as const);
/** Both kinds of norm, every activation, tied and not. */
const someDecoders = decoders.filter(([name]) =>
  ["pre-gelu-tied", "post-relu-untied", "post-geluTanh-tied"].includes(name),
);

describe("loss and gradients are PyTorch's", () => {
  test.each(decoders)("%s", (_name, golden) => expectGoldenGrads(golden, "cpu", 1e-5));
});

describe("three optimisation steps are PyTorch's", () => {
  test.each(decoders)("%s", (_name, golden) => expectGoldenSteps(golden, "cpu", 1e-5));
});

describe("a step with dropout is what the graph says", () => {
  test.each(someDecoders)("%s", (_name, golden) => expectDropoutStep(golden, "cpu", 1e-5));
});
