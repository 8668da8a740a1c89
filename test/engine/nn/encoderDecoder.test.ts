import { describe, expect, test } from "vitest";
import { grad } from "../../../src/engine/autodiff/grad";
import { input, type Node } from "../../../src/engine/graph/node";
import { firstPositions } from "../../../src/engine/nn/decoder";
import { decode, encode } from "../../../src/engine/nn/encoderDecoder";
import { initParams, paramSpecs } from "../../../src/engine/nn/params";
import { pack } from "../../../src/engine/train/segments";
import { adamRates, lossOf, stepGraph } from "../../../src/engine/train/step";
import { expectAllClose } from "../../helpers/allclose";
import { evaluate } from "../../helpers/evaluate";
import { type GoldenTranslator, goldenTranslators } from "../../helpers/goldenTranslators";
import { paramInputs } from "../../helpers/graphs";
import { type Feeds, runGraph } from "../../helpers/run";

const TOLERANCE = 1e-5;
const feedsOf = ({ params, feeds }: GoldenTranslator) => ({ ...Object.fromEntries(params), ...feeds }) as Feeds;

/** Every named value of a forward pass. */
function forward({ config, batchSize: batch, blockSize: length }: GoldenTranslator): Record<string, Node> {
  const outputs: Record<string, Node> = {};
  const side = (mask: string) => ({
    batch,
    length,
    positions: firstPositions(length),
    padding: input(mask, [batch, 1, 1, length]),
  });
  const [source, target] = [side("sourceMask"), side("targetMask")];
  const run = {
    probe: (name: string, x: Node) => {
      outputs[name] = x;
      return x;
    },
    dropout: (x: Node) => x,
  };
  const param = paramInputs(config);
  const encoded = encode(input("sourceIds", [length, batch], "i32"), param, config, source, run);
  decode(input("ids", [length, batch], "i32"), encoded, param, config, { source, target }, run);
  return outputs;
}

describe.each(goldenTranslators)("an encoder-decoder matches PyTorch: $name", (golden) => {
  test("in the names and shapes of its parameters", () => {
    const ours = paramSpecs(golden.config).map(({ name, shape }) => `${name} ${shape.reduce((n, d) => n * d, 1)}`);
    expect(ours.sort()).toEqual([...golden.params].map(([name, values]) => `${name} ${values.length}`).sort());
  });

  test("in its logits", async () => {
    const { logits } = await runGraph({ logits: forward(golden).logits as Node }, feedsOf(golden), "cpu");
    expectAllClose(logits, golden.logits, TOLERANCE, "logits");
  });

  test("in its loss with label smoothing and in every gradient", async () => {
    const param = paramInputs(golden.config);
    const names = paramSpecs(golden.config).map(({ name }) => name);
    const loss = lossOf(golden.config, golden, param);
    const grads = grad(loss, names.map(param));
    const outputs = { loss, ...Object.fromEntries(names.map((name, i) => [`grad.${name}`, grads[i] as Node])) };
    const results = await runGraph(outputs, feedsOf(golden), "cpu");
    expectAllClose(results.loss, [golden.loss], TOLERANCE, "loss");
    for (const [name, expected] of golden.grads) {
      // Softmax ignores what all scores share, so the gradient of a key's bias is only rounding error.
      expectAllClose(results[`grad.${name}`], expected, TOLERANCE, name, name.endsWith("k.bias") ? 1 : undefined);
    }
  });
});

const [golden] = goldenTranslators as [GoldenTranslator];

test("padding tokens do not affect loss or gradients", async () => {
  const { params, feeds } = golden;
  const start = await runGraph(
    { loss: lossOf(golden.config, golden, paramInputs(golden.config)) },
    feedsOf(golden),
    "cpu",
  );
  const other = (ids: Int32Array | undefined, mask: Float32Array | undefined) =>
    Int32Array.from(ids ?? [], (id, i) => {
      const [t, b] = [Math.floor(i / golden.batchSize), i % golden.batchSize];
      return mask?.[b * golden.blockSize + t] === 0 ? id : 5;
    });
  const sourceIds = other(feeds.sourceIds, feeds.sourceMask);
  const ids = other(feeds.ids, feeds.targetMask);
  expect(sourceIds).not.toEqual(feeds.sourceIds);
  expect(ids).not.toEqual(feeds.ids);
  const changed = { ...Object.fromEntries(params), ...feeds, sourceIds, ids } as Feeds;
  const { loss } = await runGraph({ loss: lossOf(golden.config, golden, paramInputs(golden.config)) }, changed, "cpu");
  expect(loss).toEqual(start.loss);
});

test("a forward pass names the values of both stacks and of cross-attention", () => {
  const names = Object.keys(forward(golden));
  for (const name of ["embed", "posEmbed", "blocks.1.residPre", "blocks.1.attn.pattern", "blocks.1.residPost"]) {
    expect(names).toContain(name);
    expect(names).toContain(`enc.${name}`);
  }
  for (const name of ["q", "k", "v", "scores", "pattern", "z"]) {
    expect(names).toContain(`blocks.0.cross.${name}`);
    expect(names).not.toContain(`enc.blocks.0.cross.${name}`);
  }
  expect(names).toContain("blocks.0.crossOut");
  expect(names).toContain("blocks.0.residCross");
});

test("a training step without dropout matches a float64 evaluation", async () => {
  const shape = {
    ...golden,
    dropout: 0,
    attentionDropout: false,
    optimizer: { kind: "adam", beta1: 0.9, beta2: 0.98, eps: 1e-9, weightDecay: 0 },
    maxGradNorm: 1,
  } as const;
  const { outputs, segments, perTurn } = stepGraph(golden.config, shape);
  expect([...perTurn].sort()).toEqual(
    ["ids", "labelWeights", "labels", "rates", "sourceIds", "sourceMask", "targetMask"].sort(),
  );
  const packed = pack(segments, initParams(golden.config, "xavier", 3));
  const state = segments.map(({ name, size }, i) => ({
    [`${name}.p`]: packed[i],
    [`${name}.m`]: new Float32Array(size).fill(0.01),
    [`${name}.v`]: new Float32Array(size).fill(0.01),
  }));
  const feeds = Object.assign({ rates: adamRates(shape.optimizer, 0.01, 10), ...golden.feeds }, ...state) as Feeds;
  const results = await runGraph(outputs, feeds, "cpu");
  const expected = evaluate(Object.values(outputs), feeds);
  Object.keys(outputs).forEach((name, i) => {
    expectAllClose(results[name], expected[i], TOLERANCE, name);
  });
});
