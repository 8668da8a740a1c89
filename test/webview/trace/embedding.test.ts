import { expect, test } from "vitest";
import { anglesOf } from "../../../src/engine/nn/rotary";
import { pointAt, scatterScene } from "../../../webview/charts/scatterLayout";
import { comparedNames, cosineMatrix } from "../../../webview/trace/embedding/layout";
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
])("rotary angles are those that the engine turns by: scaling %s", (_, scaling) => {
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

test("cosines are of each row with each, and given up when nobody waits for them", async () => {
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

test("vectors are compared at the embeddings and along the residual stream", () => {
  expect(comparedNames(tinyTrace("hi").info.values).slice(0, 5)).toEqual([
    "embed",
    "posEmbed",
    "blocks.0.residPre",
    "blocks.0.residMid",
    "blocks.0.residPost",
  ]);
});

test("points lie by their coordinates, and labels never on each other", () => {
  const word = (label: string, x: number, y: number, isExtra = false) => ({ label, x, y, isExtra });
  const points = [word("a", 0, 0), word("b", 10, 10), word("b", 10, 10), word("near", 10, 9.9, true), word("c", 5, 2)];
  const scene = scatterScene(points, { width: 400, height: 300 }, 1);
  const [[ax, ay], [bx, by]] = scene.at as [[number, number], [number, number]];
  expect(bx).toBeGreaterThan(ax);
  expect(by).toBeLessThan(ay);
  expect(scene.labels[0]).toMatchObject({ point: 1, text: "b ×2" });
  expect(scene.labels.map(({ text }) => text).sort()).toEqual(["a", "b ×2", "c"]);
  const boxes = scene.labels.map(({ x, y, text }) => ({ x, y, right: x + 6 * text.length }));
  for (const [i, a] of boxes.entries()) {
    for (const b of boxes.slice(i + 1)) {
      expect(a.right <= b.x || b.right <= a.x || Math.abs(a.y - b.y) >= 11).toBe(true);
    }
  }
  expect(pointAt(scene, ax + 3, ay - 3)).toBe(0);
  expect(pointAt(scene, (ax + bx) / 2, ay)).toBeNull();
});

test("points that all lie in one place are still drawn", () => {
  const scene = scatterScene([{ label: "a", x: 0, y: 0, isExtra: false }], { width: 400, height: 300 }, null);
  expect(scene.at[0]?.every(Number.isFinite)).toBe(true);
});
