/** What the engine must reproduce of PyTorch's reference numbers, on any device. */

import { expect } from "vitest";
import { random } from "../../src/engine/random";
import { lower } from "../../src/engine/runtime/lower";
import { type Device, type HostArray, Session } from "../../src/engine/runtime/session";
import { pack, unpack } from "../../src/engine/train/segments";
import { adamRates, BANK_SIZE, lossOf, MAX_SITES, stepGraph } from "../../src/engine/train/step";
import { expectAllClose } from "./allclose";
import { evaluate } from "./evaluate";
import type { GoldenDecoder } from "./golden";
import { normals } from "./gradcheck";
import { lossAndGrads, paramInputs, probedForward } from "./graphs";
import { runGraph } from "./run";

/** The gradient of a key's bias is 0 (softmax ignores what all scores share): only its rounding error is left of it. */
const isKeyBias = (name: string) => name.endsWith(".k.bias");

export async function expectGoldenForward(golden: GoldenDecoder, device: Device, tolerance: number): Promise<void> {
  const { config, params, batchSize, blockSize } = golden;
  const feeds = { ...Object.fromEntries(params), ids: golden.steps[0]?.feeds.ids as Int32Array };
  const { logits } = await runGraph(probedForward(config, batchSize, blockSize), feeds, device);
  expectAllClose(logits, golden.logits, tolerance, "logits");
}

export async function expectGoldenGrads(golden: GoldenDecoder, device: Device, tolerance: number): Promise<void> {
  const { config, params, batchSize, blockSize, steps } = golden;
  const feeds = { ...Object.fromEntries(params), ...steps[0]?.feeds };
  const results = await runGraph(lossAndGrads(config, batchSize, blockSize), feeds, device);
  expectAllClose(results.loss, [steps[0]?.loss ?? Number.NaN], tolerance, "loss");
  expect(Object.keys(results).sort()).toEqual(
    [...[...golden.grads.keys()].map((name) => `grad.${name}`), "loss"].sort(),
  );
  for (const [name, expected] of golden.grads) {
    expectAllClose(
      results[`grad.${name}`],
      expected,
      tolerance,
      `the gradient of ${name}`,
      isKeyBias(name) ? 1 : undefined,
    );
  }
}

/** The graph that validation runs: the loss alone. */
export async function expectGoldenLoss(golden: GoldenDecoder, device: Device, tolerance: number): Promise<void> {
  const { config, params, batchSize, blockSize, steps } = golden;
  const feeds = { ...Object.fromEntries(params), ...steps[0]?.feeds };
  const { loss } = await runGraph(
    { loss: lossOf(config, { batchSize, blockSize }, paramInputs(config)) },
    feeds,
    device,
  );
  expectAllClose(loss, [steps[0]?.loss ?? Number.NaN], tolerance, "loss");
}

export async function expectGoldenSteps(golden: GoldenDecoder, device: Device, tolerance: number): Promise<void> {
  const { outputs, segments, state } = stepGraph(golden.config, { ...golden, dropout: 0 });
  const session = await Session.create(lower(outputs, device), device, {
    threads: 1,
    forbidFallback: device === "webgpu",
  });
  const packed = pack(segments, golden.params);
  let current: Record<string, HostArray> = {};
  segments.forEach(({ name, size }, i) => {
    current[`${name}.p`] = packed[i] as Float32Array;
    current[`${name}.m`] = new Float32Array(size);
    current[`${name}.v`] = new Float32Array(size);
  });
  for (const [i, { feeds, lr, loss, gradNorm, params }] of golden.steps.entries()) {
    const results = await session.compute({ ...current, ...feeds, rates: adamRates(golden.optimizer, lr, i + 1) });
    expectAllClose(results.loss, [loss], tolerance, `step ${i + 1}: loss`);
    expectAllClose(results.gradNorm, [gradNorm], tolerance, `step ${i + 1}: gradNorm`);
    current = Object.fromEntries(Object.entries(state).map(([now, next]) => [now, results[next] as Float32Array]));
    if (!params) continue;
    const ours = unpack(
      segments,
      segments.map(({ name }) => current[`${name}.p`] as Float32Array),
    );
    expect([...ours.keys()].sort()).toEqual([...params.keys()].sort());
    // Adam divides by the gradient's own size, so where that is rounding error there is nothing to compare.
    for (const [name, expected] of params) {
      if (!isKeyBias(name)) expectAllClose(ours.get(name), expected, tolerance, `step ${i + 1}: ${name}`);
    }
  }
  await session.release();
}

const DROPOUT = 0.2;
let bank: Float32Array | undefined;

function dropoutBank(): Float32Array {
  const draws = random(1, "bank");
  bank ??= Float32Array.from({ length: BANK_SIZE }, () => (draws.uniform() < DROPOUT ? 0 : 1 / (1 - DROPOUT)));
  return bank;
}

/** All results of a step with dropout, against the float64 interpreter. */
export async function expectDropoutStep(golden: GoldenDecoder, device: Device, tolerance: number): Promise<void> {
  const { outputs, segments, dropoutSizes } = stepGraph(golden.config, { ...golden, dropout: DROPOUT });
  // Embeddings, and in each block the attention pattern and both sublayers.
  expect(dropoutSizes.length).toBe(1 + 3 * golden.config.nLayers);
  const draws = random(1, "offsets");
  const offsets = new Int32Array(MAX_SITES).map(() => draws.below(BANK_SIZE - Math.max(...dropoutSizes)));
  const packed = pack(segments, golden.params);
  const state = segments.map(({ name, size }, i) => ({
    [`${name}.p`]: packed[i] as Float32Array,
    // Moments as they are in the middle of a run: Adam's first step would only tell the gradient's signs.
    [`${name}.m`]: normals(size, "m", i).map((x) => x / 100),
    [`${name}.v`]: normals(size, "v", i).map((x) => (x * x + 0.1) / 100),
  }));
  const rates = adamRates(golden.optimizer, 0.01, 10);
  const feeds = { ...Object.assign({}, ...state), ...golden.steps[0]?.feeds, bank: dropoutBank(), offsets, rates };
  const results = await runGraph(outputs, feeds, device);
  const expected = evaluate(Object.values(outputs), feeds);
  Object.keys(outputs).forEach((name, i) => {
    expectAllClose(results[name], expected[i], tolerance, name);
  });
}
