import { beforeAll, test } from "vitest";
import type { DecoderConfig } from "../../../src/engine/nn/config";
import { dropoutDecoders, type GoldenDecoder, goldenDecoders } from "../../helpers/golden";
import {
  adaptersCheck,
  type Check,
  dropoutCheck,
  familyCheck,
  familyDecoders,
  forwardCheck,
  lossCheck,
  runTogether,
  stepsCheck,
} from "../../helpers/goldenChecks";
import type { Results } from "../../helpers/run";
import { describeWebgpu } from "../../helpers/webgpu";

// Each kind of norm with each activation, tied and untied in turn: all twelve need half a minute on a software GPU.
const sixDecoders = goldenDecoders.filter((_, i) => [0, 3, 4, 7, 8, 11].includes(i));
const laws: Readonly<Record<string, readonly [(golden: GoldenDecoder) => Check, readonly GoldenDecoder[]]>> = {
  "every named value is what the graph says, and logits are PyTorch's": [forwardCheck, sixDecoders],
  "the loss for evaluation is PyTorch's": [lossCheck, sixDecoders],
  "three optimization steps are PyTorch's": [stepsCheck, sixDecoders],
  "a step with dropout is what the graph says": [dropoutCheck, dropoutDecoders],
};
const [gated, parallel] = Object.values(familyDecoders) as [DecoderConfig, DecoderConfig];
const checks: Readonly<Record<string, Check>> = Object.fromEntries(
  Object.entries(laws).flatMap(([law, [check, decoders]]) =>
    decoders.map((golden) => [`${law}: ${golden.name}`, check(golden)]),
  ),
);
Object.assign(checks, {
  "loss and gradients of current families": familyCheck(gated),
  "loss and gradients of attention and MLP side by side": familyCheck(parallel),
  "a step of adapters": adaptersCheck(gated),
});

describeWebgpu("on WebGPU, with nothing left to the CPU", () => {
  let results: Readonly<Record<string, readonly Results[]>>;
  beforeAll(async () => {
    results = await runTogether(checks, "webgpu");
  }, 300_000);

  test.each(Object.entries(checks))("%s", (name, { verify }) => verify(results[name] as readonly Results[], 1e-4));
});
