import { describe, expect, test } from "vitest";
import { neighborsOf, tableRow, vocabularyTable } from "../../../src/engine/inspect/neighbors";
import type { Trace } from "../../../src/engine/inspect/trace";
import { readRows, type StoredWeight, shapeOf } from "../../../src/engine/inspect/weightRows";
import { summaryOf } from "../../../src/engine/inspect/weightSummary";
import type { DecoderConfig } from "../../../src/engine/nn/config";
import { quantizedNormals, storedNormals } from "../../helpers/storedTensors";
import { largestDifference, tinyConfig } from "../../helpers/tinyModel";

const WEIGHTS: readonly (readonly [string, () => StoredWeight])[] = [
  ["float32", () => storedNormals("F32", [40, 64])],
  ["bfloat16", () => storedNormals("BF16", [40, 64])],
  ["float16", () => storedNormals("F16", [40, 64])],
  ["8 bits", () => quantizedNormals([40, 64], 8)],
  ["4 bits", () => quantizedNormals([40, 64], 4)],
  ["a vector", () => storedNormals("F32", [70])],
];

describe("a weight summary matches the weight's numbers", () => {
  for (const [name, make] of WEIGHTS) {
    test(name, async () => {
      const weight = make();
      const [rows, width] = name === "a vector" ? [1, 70] : [40, 64];
      const values = [...(await readRows(weight, 0, rows))];
      const summary = await summaryOf(weight, 16);
      expect(summary.shape).toEqual(shapeOf(weight));
      expect([summary.min, summary.max]).toEqual([Math.min(...values), Math.max(...values)]);
      const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
      expect(summary.mean).toBeCloseTo(mean, 10);
      expect(summary.std).toBeCloseTo(
        Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length),
        10,
      );
      expect(summary.histogram.reduce((sum, n) => sum + n, 0)).toBe(values.length);
      const binOf = (x: number) => Math.min(63, Math.floor(((x - summary.min) / (summary.max - summary.min)) * 64));
      expect(summary.histogram[20]).toBe(values.filter((x) => binOf(x) === 20).length);
      // Tiles of 3 x 4, or of 5 numbers in a vector; the last ones are smaller.
      const { picture } = summary;
      expect([picture.rows, picture.cols]).toEqual(rows === 1 ? [1, 14] : [14, 16]);
      const [tall, wide] = rows === 1 ? [1, 5] : [3, 4];
      const last = values.filter(
        (_, i) => Math.floor(i / width) >= (picture.rows - 1) * tall && i % width >= (picture.cols - 1) * wide,
      );
      expect(picture.values.at(-1)).toBeCloseTo(last.reduce((sum, x) => sum + x, 0) / last.length, 5);
    });
  }
});

describe("neighbors are the tokens whose vectors have the largest cosine", () => {
  const [V, E] = [40, 64];
  const table = (weight: StoredWeight, cfg: Partial<DecoderConfig>) => ({
    cfg: { ...tinyConfig, vocabSize: V, dModel: E, dEmbed: E, ...cfg },
    weights: new Map([
      ["embed.tokens.weight", storedNormals("F32", [V, E], "embeddings")],
      ["head.weight", weight],
    ]),
  });
  const CASES: readonly (readonly [string, "embeddings" | "head", () => ReturnType<typeof table>])[] = [
    ["input embeddings", "embeddings", () => table(storedNormals("F32", [E, V]), {})],
    ["a tied head, which is the embeddings", "head", () => table(storedNormals("F32", [E, V]), { tiedHead: true })],
    [
      "a head [in, out]",
      "head",
      () => table(storedNormals("BF16", [E, V]), { tiedHead: false, weightLayout: "inOut" }),
    ],
    ["a head [out, in]", "head", () => table(storedNormals("F16", [V, E]), { tiedHead: false, weightLayout: "outIn" })],
    ["a quantized head", "head", () => table(quantizedNormals([V, E], 8), { tiedHead: false, weightLayout: "inOut" })],
  ];
  for (const [name, among, make] of CASES) {
    test(name, async () => {
      const model = make();
      const rows = await Promise.all(Array.from({ length: V }, (_, id) => tableRow(vocabularyTable(model, among), id)));
      const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
      const cosine = (a: Float32Array, b: Float32Array) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
      const expected = rows
        .map((row, id) => ({ id, cosine: cosine(row, rows[7] as Float32Array) }))
        .filter(({ id }) => id !== 7)
        .sort((a, b) => b.cosine - a.cosine);
      const found = await neighborsOf(model, new Map(), { of: { kind: "token", id: 7 }, among, count: 5 });
      expect(found.map(({ id }) => id)).toEqual(expected.slice(0, 5).map(({ id }) => id));
      expect(
        largestDifference(
          found.map((each) => each.cosine),
          expected.slice(0, 5).map((each) => each.cosine),
        ),
      ).toBeLessThan(1e-6);

      // A value equal to a token's vector is nearest to that token.
      const data = new Float32Array([...new Float32Array(E), ...(rows[9] as Float32Array)]);
      const trace: Trace = new Map([["embed", { shape: [1, 2, E], data }]]);
      const of = { kind: "value", name: "embed", position: 1 } as const;
      const [nearest] = await neighborsOf(model, trace, { of, among, count: 1 });
      expect(nearest?.id).toBe(9);
      expect(nearest?.cosine).toBeCloseTo(1, 6);
    });
  }

  test("a value of another width is rejected with the reason", async () => {
    const trace: Trace = new Map([["blocks.0.attn.q", { shape: [1, 2, 2, 16], data: new Float32Array(64) }]]);
    const of = { kind: "value", name: "blocks.0.attn.q", position: 1 } as const;
    await expect(
      neighborsOf(table(storedNormals("F32", [V, E]), {}), trace, { of, among: "embeddings", count: 1 }),
    ).rejects.toThrow("blocks.0.attn.q has no vectors with 64 numbers, the width of a token embedding in this model");
  });
});
