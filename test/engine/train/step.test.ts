import { describe, test } from "vitest";
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

describe("decoders of other families", () => {
  test.each(Object.entries(familyDecoders))("loss and gradients are what the graph says: %s", (_name, cfg) =>
    expectCheck(familyCheck(cfg), "cpu", 2e-5),
  );
  test.each(Object.entries(familyDecoders))("a step of adapters is what the graph says: %s", (_name, cfg) =>
    expectCheck(adaptersCheck(cfg), "cpu", 2e-5),
  );
});
