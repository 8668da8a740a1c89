/** Checks for any device: graphs with their inputs and expected outputs. */

import { expect } from "vitest";
import type { Device } from "../../src/engine/api/model";
import type { Node } from "../../src/engine/graph/node";
import { adapterSpecs, withAdapters } from "../../src/engine/nn/adapters";
import type { DecoderConfig } from "../../src/engine/nn/config";
import { initParams, type ParamNodes } from "../../src/engine/nn/params";
import { random } from "../../src/engine/random";
import { lower } from "../../src/engine/runtime/lower";
import { pack, unpack } from "../../src/engine/train/segments";
import { adamRates, BANK_SIZE, lossOf, MAX_SITES, stepGraph } from "../../src/engine/train/step";
import { expectAllClose } from "./allclose";
import { evaluate } from "./evaluate";
import type { GoldenDecoder, GoldenStep } from "./golden";
import { normals } from "./gradcheck";
import { lossAndGrads, paramInputs, probedForward } from "./graphs";
import { type Feeds, type Results, runTurns, sideBySide } from "./run";
import { modernConfig, tinyConfig } from "./tinyModel";

export interface Check {
  readonly outputs: Readonly<Record<string, Node>>;
  /** The inputs of each turn, given the results of the previous one. */
  readonly turns: readonly ((before: Results) => Feeds)[];
  readonly verify: (turns: readonly Results[], tolerance: number) => void;
}

export async function expectCheck({ outputs, turns, verify }: Check, device: Device, tolerance: number): Promise<void> {
  verify(await runTurns(lower(outputs, device), turns, device), tolerance);
}

/** Runs the graphs of many checks in one session. Returns the verification of each check. */
export async function runTogether(
  checks: Readonly<Record<string, Check>>,
  device: Device,
): Promise<Readonly<Record<string, readonly Results[]>>> {
  const entries = Object.entries(checks);
  const graphs = Object.fromEntries(entries.map(([name, { outputs }]) => [name, lower(outputs, device)]));
  const own = (results: Results, name: string): Results =>
    Object.fromEntries(
      Object.entries(results)
        .filter(([key]) => key.startsWith(`${name}/`))
        .map(([key, value]) => [key.slice(name.length + 1), value]),
    );
  const longest = Math.max(...entries.map(([, { turns }]) => turns.length));
  const turns = Array.from({ length: longest }, (_, turn) => (before: Results): Feeds => {
    const feeds = entries.flatMap(([name, check]) => {
      // A finished check repeats its last inputs.
      const turnOf = check.turns[Math.min(turn, check.turns.length - 1)] as Check["turns"][number];
      return Object.entries(turnOf(own(before, name))).map(([key, value]) => [`${name}/${key}`, value] as const);
    });
    return Object.fromEntries(feeds);
  });
  const results = await runTurns(sideBySide(graphs), turns, device);
  return Object.fromEntries(entries.map(([name]) => [name, results.map((turn) => own(turn, name))]));
}

/** The gradient of a key bias is 0 (softmax ignores a constant in all scores), so only a rounding error remains. */
const isKeyBias = (name: string) => name.endsWith(".k.bias");

const firstStep = (golden: GoldenDecoder) => golden.steps[0] as GoldenStep;
const forwardFeeds = (golden: GoldenDecoder): Feeds => ({
  ...Object.fromEntries(golden.params),
  ...firstStep(golden).feeds,
});

/** Compares every named value with the float64 interpreter, and the logits with PyTorch. */
export function forwardCheck(golden: GoldenDecoder): Check {
  const outputs = probedForward(golden.config, golden.batchSize, golden.blockSize);
  const feeds = forwardFeeds(golden);
  return {
    outputs,
    turns: [() => feeds],
    verify: ([results], tolerance) => {
      expectMeaning(results, outputs, feeds, tolerance);
      expectAllClose(results?.logits, golden.logits, tolerance, "logits");
    },
  };
}

/** The validation graph, which computes only the loss. */
export function lossCheck(golden: GoldenDecoder): Check {
  return {
    outputs: { loss: lossOf(golden.config, golden, paramInputs(golden.config)) },
    turns: [() => forwardFeeds(golden)],
    verify: ([results], tolerance) => expectAllClose(results?.loss, [firstStep(golden).loss], tolerance, "loss"),
  };
}

export function gradsCheck(golden: GoldenDecoder): Check {
  const outputs = lossAndGrads(golden.config, golden.batchSize, golden.blockSize);
  return {
    outputs,
    turns: [() => forwardFeeds(golden)],
    verify: ([results], tolerance) => {
      expectAllClose(results?.loss, [firstStep(golden).loss], tolerance, "loss");
      const names = [...golden.grads.keys()].map((name) => `grad.${name}`);
      expect(Object.keys(outputs).sort()).toEqual([...names, "loss"].sort());
      for (const [name, expected] of golden.grads) {
        const floor = isKeyBias(name) ? 1 : undefined;
        expectAllClose(results?.[`grad.${name}`], expected, tolerance, `the gradient of ${name}`, floor);
      }
    },
  };
}

/** Three complete optimization steps. */
export function stepsCheck(golden: GoldenDecoder): Check {
  const { outputs, segments, state } = stepGraph(golden.config, { ...golden, dropout: 0, attentionDropout: false });
  const packed = pack(segments, golden.params);
  const start: Feeds = Object.assign(
    {},
    ...segments.map(({ name, size }, i) => ({
      [`${name}.p`]: packed[i],
      [`${name}.m`]: new Float32Array(size),
      [`${name}.v`]: new Float32Array(size),
    })),
  );
  const after = (results: Results): Feeds =>
    Object.fromEntries(Object.entries(state).map(([now, next]) => [now, Float32Array.from(results[next] ?? [])]));
  const verifyStep = ({ loss, gradNorm, params }: GoldenStep, step: string, results: Results, tolerance: number) => {
    expectAllClose(results.loss, [loss], tolerance, `${step}: loss`);
    expectAllClose(results.gradNorm, [gradNorm], tolerance, `${step}: gradNorm`);
    if (!params) return;
    const flat = segments.map(({ name }) => Float32Array.from(results[`${name}.p'`] ?? []));
    const ours = unpack(segments, flat);
    expect([...ours.keys()].sort()).toEqual([...params.keys()].sort());
    // Adam divides by the size of the gradient, so a gradient that is a rounding error cannot be compared.
    for (const [name, expected] of params) {
      if (!isKeyBias(name)) expectAllClose(ours.get(name), expected, tolerance, `${step}: ${name}`);
    }
  };
  return {
    outputs,
    turns: golden.steps.map(({ feeds, lr }, i) => (before) => ({
      ...(i === 0 ? start : after(before)),
      ...feeds,
      rates: adamRates(golden.optimizer, lr, i + 1),
    })),
    verify: (turns, tolerance) => {
      golden.steps.forEach((step, i) => {
        verifyStep(step, `step ${i + 1}`, turns[i] ?? {}, tolerance);
      });
      // Adam divides by the size of gradients, so clipping shows only in its moments, not in the parameters.
      const { beta1, beta2 } = golden.optimizer;
      const clip = golden.maxGradNorm === 0 ? 1 : Math.min(1, golden.maxGradNorm / (firstStep(golden).gradNorm + 1e-6));
      pack(segments, golden.grads).forEach((g, i) => {
        const moment = (key: "m" | "v") => turns[0]?.[`${segments[i]?.name}.${key}'`];
        const first = g.map((x) => (1 - beta1) * clip * x);
        const second = g.map((x) => (1 - beta2) * (clip * x) ** 2);
        expectAllClose(moment("m"), first, tolerance, `m of segment ${i}`);
        expectAllClose(moment("v"), second, tolerance, `v of segment ${i}`);
      });
    },
  };
}

/** Decoders with the features of other families. Each feature occurs at least once. */
export const familyDecoders: Readonly<Record<string, DecoderConfig>> = {
  "gated, rotary, soft-capped, in windows, normed before and after": modernConfig,
  "attention and MLP side by side, q, k and v of each head together, half of it rotary": {
    ...tinyConfig,
    qkv: "fusedByHead",
    norm: "parallel",
    positions: { kind: "rotary", dims: 8, theta: 100, scaling: null, unrotatedLayers: [1] },
    scaleByLayer: true,
  },
  "one norm for both, a head with a bias": {
    ...tinyConfig,
    norm: "shared",
    activation: "geluTanh",
    weightLayout: "outIn",
  },
  "normed after, all queries together": {
    ...modernConfig,
    norm: "output",
    normKind: "rms",
    qkNorm: "all",
    attentionSoftcap: null,
    logitSoftcap: null,
  },
  "an embedding narrower than the model, without a final norm": {
    ...tinyConfig,
    dEmbed: 16,
    weightLayout: "outIn",
    activation: "relu",
    positions: { kind: "learned", offset: 2 },
    norm: "post",
    finalNorm: false,
    tiedHead: true,
    headBias: false,
    embedScale: 3,
  },
};

const familyBatch = (cfg: DecoderConfig): Feeds => ({
  ...Object.fromEntries(initParams(cfg, "xavier", 5)),
  ids: Int32Array.from({ length: 18 }, (_, i) => (i * 7 + 2) % cfg.vocabSize),
  labels: Int32Array.from({ length: 18 }, (_, i) => (i * 5 + 1) % cfg.vocabSize),
  labelWeights: new Float32Array(18).fill(1 / 18),
});

/** Compares loss and gradients of a family's decoder with the float64 interpreter. */
export function familyCheck(cfg: DecoderConfig): Check {
  const outputs = lossAndGrads(cfg, 3, 6);
  const feeds = familyBatch(cfg);
  return {
    outputs,
    turns: [() => feeds],
    verify: ([results], tolerance) => {
      const expected = evaluate(Object.values(outputs), feeds);
      Object.keys(outputs).forEach((name, i) => {
        // A key bias adds a constant to all scores, so its gradient is only a rounding error.
        const floor = isKeyBias(name) || name.includes("qkv.bias") ? 1 : undefined;
        expectAllClose(results?.[name], expected[i], tolerance, name, floor);
      });
    },
  };
}

/** Compares a step that trains adapters for fixed weights with the float64 interpreter. */
export function adaptersCheck(cfg: DecoderConfig): Check {
  const lora = { rank: 2, alpha: 5 };
  const shape = { ...adapterStep, batchSize: 3, blockSize: 6 };
  const trained = {
    specs: adapterSpecs(cfg, lora),
    nodes: (adapters: ParamNodes) => withAdapters(paramInputs(cfg), adapters, lora),
  };
  const { outputs, segments } = stepGraph(cfg, shape, trained);
  const state = segments.map(({ name, size }, i) => ({
    [`${name}.p`]: normals(size, "p", i).map((x) => x / 5),
    [`${name}.m`]: normals(size, "m", i).map((x) => x / 100),
    [`${name}.v`]: normals(size, "v", i).map((x) => (x * x + 0.1) / 100),
  }));
  const feeds: Feeds = Object.assign({ rates: adamRates(shape.optimizer, 0.01, 10) }, ...state, familyBatch(cfg));
  return {
    outputs,
    turns: [() => feeds],
    verify: ([results], tolerance) => expectMeaning(results, outputs, feeds, tolerance),
  };
}

const adapterStep = {
  dropout: 0,
  attentionDropout: false,
  optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.1 },
  maxGradNorm: 0.1,
} as const;

const DROPOUT = 0.2;

/** Compares all results of a step with dropout with the float64 interpreter. */
export function dropoutCheck(golden: GoldenDecoder): Check {
  const { outputs, segments, dropoutSizes } = stepGraph(golden.config, {
    ...golden,
    dropout: DROPOUT,
    attentionDropout: true,
  });
  const draws = random(1, "dropout");
  const offsets = new Int32Array(MAX_SITES).map(() => draws.below(BANK_SIZE - Math.max(...dropoutSizes)));
  const bank = new Float32Array(BANK_SIZE);
  dropoutSizes.forEach((size, site) => {
    const start = offsets[site] as number;
    for (let i = start; i < start + size; i++) bank[i] = draws.uniform() < DROPOUT ? 0 : 1 / (1 - DROPOUT);
  });
  const packed = pack(segments, golden.params);
  const state = segments.map(({ name, size }, i) => ({
    [`${name}.p`]: packed[i],
    // Moments as in the middle of a run, because Adam's first step depends only on the signs of the gradients.
    [`${name}.m`]: normals(size, "m", i).map((x) => x / 100),
    [`${name}.v`]: normals(size, "v", i).map((x) => (x * x + 0.1) / 100),
  }));
  const rates = adamRates(golden.optimizer, 0.01, 10);
  const feeds: Feeds = Object.assign({ bank, offsets, rates }, ...state, firstStep(golden).feeds);
  return {
    outputs,
    turns: [() => feeds],
    verify: ([results], tolerance) => {
      // The embeddings, plus the attention pattern and both sublayers of each block.
      expect(dropoutSizes.length).toBe(1 + 3 * golden.config.nLayers);
      expectMeaning(results, outputs, feeds, tolerance);
    },
  };
}

/** Compares every output with the float64 interpreter. */
export function expectMeaning(
  results: Results | undefined,
  outputs: Readonly<Record<string, Node>>,
  feeds: Feeds,
  tolerance: number,
): void {
  const expected = evaluate(Object.values(outputs), feeds);
  Object.keys(outputs).forEach((name, i) => {
    expectAllClose(results?.[name], expected[i], tolerance, name);
  });
}
