import { expect, test } from "vitest";
import { anglesOf } from "../../../src/engine/nn/rotary";
import { comparedNames, cosineMatrix, embeddingParts, stack } from "../../../webview/trace/embedding/layout";
import { type Rotary, rotaryAngles } from "../../../webview/trace/embedding/rotary";
import { tinyTrace } from "../tinyTrace";

const plain: Rotary = { kind: "rotary", dims: 8, theta: 10000, scaling: null, unrotatedLayers: [] };
const yarn = { kind: "yarn", factor: 8, originalCtx: 64, betaFast: 32, betaSlow: 1, attentionFactor: 1.2 } as const;
const longrope = {
  kind: "longrope",
  originalCtx: 16,
  shortFactors: [1, 1.1, 1.2, 1.3],
  longFactors: [2, 4, 8, 16],
  attentionFactor: 1.1,
} as const;
const llama3 = { kind: "llama3", factor: 8, originalCtx: 8192, lowFrequencyFactor: 1, highFrequencyFactor: 4 } as const;

test.each<[string, Rotary["scaling"]]>([
  ["none", null],
  ["linear", { kind: "linear", factor: 4 }],
  ["dynamic", { kind: "dynamic", factor: 2, originalCtx: 16 }],
  ["llama3", llama3],
  ["yarn", { ...yarn, truncate: true }],
  ["yarn, not rounded", { ...yarn, truncate: false }],
  ["longrope", longrope],
])("rotary angles equal those of the engine: scaling %s", (_, scaling) => {
  for (const [theta, dims] of [
    [10000, 8],
    [500000, longrope === scaling ? 8 : 64],
  ] as const) {
    const rotary = { ...plain, theta, dims, scaling };
    for (const length of [5, 40]) {
      const [page, engine] = [rotaryAngles(rotary, length), anglesOf(rotary, length)];
      expect(page.scale).toBe(engine.scale);
      expect(page.frequencies).toHaveLength(dims / 2);
      for (const [i, f] of page.frequencies.entries()) expect(f / (engine.frequencies[i] as number)).toBeCloseTo(1, 12);
    }
  }
});

test("cosines compare all pairs of rows, and stop when they are stale", async () => {
  const rows = Float32Array.of(1, 0, 2, 2, -3, 0, 0, 0);
  const half = Math.fround(Math.SQRT1_2);
  const none = Number.NaN;
  expect([...((await cosineMatrix(rows, 2, () => false)) ?? [])]).toEqual(
    [1, half, -1, none, half, 1, -half, none, -1, -half, 1, none, none, none, none, none].map((x) =>
      Number.isNaN(x) ? x : expect.closeTo(x, 6),
    ),
  );
  expect(await cosineMatrix(new Float32Array(600 * 256), 256, () => true)).toBeNull();
});

test("vectors to compare are the embeddings and the residual stream", () => {
  expect(comparedNames(tinyTrace("hi").info.values).slice(0, 5)).toEqual([
    "embed",
    "posEmbed",
    "blocks.0.residPre",
    "blocks.0.residMid",
    "blocks.0.residPost",
  ]);
});

const has = (...names: string[]) => ({ has: (name: string) => names.includes(name) });

test("a model with position vectors has token, position and their sum", () => {
  const parts = embeddingParts(has("embed", "posEmbed", "blocks.0.residPre"));
  expect(parts.map(({ name }) => name)).toEqual(["embed", "posEmbed", "blocks.0.residPre"]);
});

test("a model without position vectors has no sum", () => {
  expect(embeddingParts(has("embed", "blocks.0.residPre")).map(({ name }) => name)).toEqual(["embed"]);
});

test("rows are stacked in order", () => {
  expect([...stack([Float32Array.of(1, 2), Float32Array.of(3, 4)])]).toEqual([1, 2, 3, 4]);
});
