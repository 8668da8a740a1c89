import { beforeAll, test } from "vitest";
import { lower } from "../../../src/engine/runtime/lower";
import { pack } from "../../../src/engine/train/segments";
import { lossOf, stepGraph } from "../../../src/engine/train/step";
import { expectAllClose } from "../../helpers/allclose";
import { goldenTranslators } from "../../helpers/goldenTranslators";
import { paramInputs } from "../../helpers/graphs";
import { type Feeds, type Results, runTurns, sideBySide } from "../../helpers/run";
import { describeWebgpu } from "../../helpers/webgpu";

const TOLERANCE = 1e-4;
const shape = {
  dropout: 0,
  attentionDropout: false,
  optimizer: { kind: "adam", beta1: 0.9, beta2: 0.98, eps: 1e-9, weightDecay: 0 },
  maxGradNorm: 0,
} as const;

describeWebgpu("an encoder-decoder on WebGPU without CPU fallback", () => {
  let results: Results;
  beforeAll(async () => {
    const graphs = goldenTranslators.flatMap((golden) => {
      const loss = { loss: lossOf(golden.config, golden, paramInputs(golden.config)) };
      const { outputs } = stepGraph(golden.config, { ...golden, ...shape });
      return [
        [`${golden.name}.loss`, lower(loss, "webgpu")],
        [`${golden.name}.step`, lower(outputs, "webgpu")],
      ] as const;
    });
    const feeds = goldenTranslators.flatMap((golden) => {
      const { segments } = stepGraph(golden.config, { ...golden, ...shape });
      const packed = pack(segments, golden.params);
      const state = segments.flatMap(({ name, size }, i) => [
        [`${name}.p`, packed[i]],
        [`${name}.m`, new Float32Array(size)],
        [`${name}.v`, new Float32Array(size)],
      ]);
      const led = (prefix: string, values: object) =>
        Object.entries(values).map(([name, value]) => [`${golden.name}.${prefix}/${name}`, value] as const);
      return [
        ...led("loss", { ...Object.fromEntries(golden.params), ...golden.feeds }),
        // A learning rate of 0 keeps the parameters; the moments come from the gradient.
        ...led("step", { ...Object.fromEntries(state), ...golden.feeds, rates: Float32Array.of(0, 1, 1) }),
      ];
    });
    const all = Object.fromEntries(feeds) as Feeds;
    [results] = (await runTurns(sideBySide(Object.fromEntries(graphs)), [() => all], "webgpu")) as [Results];
  }, 300_000);

  test.each(goldenTranslators)("loss and gradients match PyTorch: $name", (golden) => {
    expectAllClose(results[`${golden.name}.loss/loss`], [golden.loss], TOLERANCE, "loss");
    expectAllClose(results[`${golden.name}.step/loss`], [golden.loss], TOLERANCE, "loss of the step");
    const { segments } = stepGraph(golden.config, { ...golden, ...shape });
    pack(segments, golden.grads).forEach((g, i) => {
      const moment = results[`${golden.name}.step/${segments[i]?.name}.m'`];
      expectAllClose(
        moment,
        g.map((x) => 0.1 * x),
        TOLERANCE,
        `the gradient of segment ${i}`,
      );
    });
  });
});
