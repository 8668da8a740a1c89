import { describe, test } from "vitest";
import { dropoutDecoders, goldenDecoders } from "../../helpers/golden";
import { dropoutCheck, expectCheck, gradsCheck, lossCheck, stepsCheck } from "../../helpers/goldenChecks";

describe("the loss for evaluation is PyTorch's", () => {
  test.each(goldenDecoders)("$name", (golden) => expectCheck(lossCheck(golden), "cpu", 1e-5));
});

describe("loss and gradients are PyTorch's", () => {
  test.each(goldenDecoders)("$name", (golden) => expectCheck(gradsCheck(golden), "cpu", 1e-5));
});

describe("three optimisation steps are PyTorch's", () => {
  test.each(goldenDecoders)("$name", (golden) => expectCheck(stepsCheck(golden), "cpu", 1e-5));
});

describe("a step with dropout is what the graph says", () => {
  test.each(dropoutDecoders)("$name", (golden) => expectCheck(dropoutCheck(golden), "cpu", 1e-5));
});
