import { afterAll, describe, expect, test } from "vitest";
import { Attention } from "../../../src/engine/inspect/attention";
import type { TraceValue } from "../../../src/engine/inspect/trace";
import { Tracer, type TraceScope } from "../../../src/engine/inspect/tracer";
import { TranslationTracer } from "../../../src/engine/inspect/translation";
import { type DecoderConfig, encoderDecoder } from "../../../src/engine/nn/config";
import { initParams } from "../../../src/engine/nn/params";
import { placeWeights } from "../../../src/engine/runtime/weights";
import { largestDifference, modernConfig, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";

const attention = new Attention();
afterAll(() => attention.release());
const T = 13;
async function tracedBy(cfg: DecoderConfig, scope: TraceScope, ids = someIds(T)) {
  const tracer = new Tracer(cfg, (await tinyModel(cfg)).weights);
  const trace = await tracer.trace([ids], scope);
  await tracer.release();
  return trace;
}
const CONFIGS = {
  "as in GPT-2": tinyConfig,
  "soft-capped, with a window and shared keys": modernConfig,
  "without a mask": { ...tinyConfig, causal: false },
};

describe("scores and pattern of one head equal those of the whole graph", () => {
  for (const [name, cfg] of Object.entries(CONFIGS)) {
    test(name, async () => {
      const [light, whole] = [await tracedBy(cfg, "light"), await tracedBy(cfg, "whole")];
      expect(light.has("blocks.0.attn.pattern")).toBe(false);
      for (const layer of [0, 1]) {
        for (let head = 0; head < cfg.nHeads; head++) {
          const { scores, pattern } = await attention.head(cfg, light, layer, head);
          const of = (value: string) =>
            (whole.get(`blocks.${layer}.attn.${value}`) as TraceValue).data.subarray(head * T * T, (head + 1) * T * T);
          expect(largestDifference(scores.data, of("scores"))).toBeLessThan(1e-5);
          expect(largestDifference(pattern.data, of("pattern"))).toBeLessThan(1e-6);
        }
      }
    });
  }

  test("a head that the model lacks is an error", async () => {
    const trace = await tracedBy(modernConfig, "light");
    await expect(attention.head(modernConfig, trace, 0, 4)).rejects.toThrow("there is no head 4");
  });

  test("a head is computed once for its scores and its pattern", async () => {
    const [trace, other] = [await tracedBy(tinyConfig, "light"), await tracedBy(tinyConfig, "light")];
    const first = await attention.head(tinyConfig, trace, 0, 1);
    expect(await attention.head(tinyConfig, trace, 0, 1)).toBe(first);
    expect(await attention.head(tinyConfig, trace, 0, 0)).not.toBe(first);
    expect(await attention.head(tinyConfig, other, 0, 1)).not.toBe(first);
  });
});

describe("thumbnails and scores of all heads equal those of the whole patterns", () => {
  const ids = [3, 7, 5, 3, 7, 5, 5, 9, 3, 1, 2, 5, 7];
  for (const [name, cfg] of Object.entries(CONFIGS)) {
    test(name, async () => {
      const [light, whole] = [await tracedBy(cfg, "light", ids), await tracedBy(cfg, "whole", ids)];
      const grid = await attention.grid(cfg, light, { size: 5 });
      // Tiles of 3 x 3.
      expect([grid.layers, grid.heads, grid.rows, grid.cols]).toEqual([2, cfg.nHeads, 5, 5]);
      for (let at = 0; at < 2 * cfg.nHeads; at++) {
        const [layer, head] = [Math.floor(at / cfg.nHeads), at % cfg.nHeads];
        const pattern = (whole.get(`blocks.${layer}.attn.pattern`) as TraceValue).data.subarray(
          head * T * T,
          (head + 1) * T * T,
        );
        const p = (q: number, k: number) => pattern[q * T + k] as number;
        const tile = Array.from({ length: 25 }, (_, i) => {
          const inTile = Array.from({ length: 9 }, (_, j) => [
            3 * Math.floor(i / 5) + Math.floor(j / 3),
            3 * (i % 5) + (j % 3),
          ]) as [number, number][];
          return Math.max(...inTile.filter(([q, k]) => q < T && k < T).map(([q, k]) => p(q, k)));
        });
        expect(largestDifference(grid.tiles.subarray(at * 25, (at + 1) * 25), tile)).toBeLessThan(1e-6);

        const queries = Array.from({ length: T }, (_, q) => q);
        const mean = (values: number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
        const score = (kind: keyof typeof grid.scores) => grid.scores[kind][at];
        expect(score("previousToken")).toBeCloseTo(mean(queries.slice(1).map((q) => p(q, q - 1))), 5);
        expect(score("firstToken")).toBeCloseTo(mean(queries.slice(1).map((q) => p(q, 0))), 5);
        const induced = queries.flatMap((q) => {
          const keys = queries.slice(1, q).filter((k) => ids[k - 1] === ids[q]);
          return keys.length > 0 ? [keys.reduce((sum, k) => sum + p(q, k), 0)] : [];
        });
        expect(score("induction")).toBeCloseTo(mean(induced), 5);
        const entropies = queries.map((q) =>
          queries.reduce((sum, k) => (p(q, k) > 0 ? sum - p(q, k) * Math.log2(p(q, k)) : sum), 0),
        );
        expect(score("entropy")).toBeCloseTo(mean(entropies), 5);
      }
    });
  }

  test("a text of one token has no scores of earlier tokens", async () => {
    const { scores, tiles } = await attention.grid(tinyConfig, await tracedBy(tinyConfig, "light", [3]), { size: 8 });
    expect([...tiles]).toEqual([1, 1, 1, 1]);
    expect(scores.previousToken[0]).toBeNaN();
    expect(scores.entropy[0]).toBe(0);
  });

  test("a translator has those of its encoder and of its cross-attention", async () => {
    const { vocabSize, nCtx, nLayers, nHeads, dModel, dMlp, normEps } = tinyConfig;
    const sizes = { vocabSize, nCtx, nLayers, nHeads, dModel, dMlp, normEps, sourceVocabSize: 19, nEncoderLayers: 1 };
    const biases = { normBias: true, attentionBias: true, mlpBias: true, headBias: false, tiedHead: false };
    const cfg = encoderDecoder({ ...sizes, ...biases, norm: "post", finalNorm: false, activation: "relu" });
    const weights = await placeWeights(cfg, initParams(cfg, "xavier", 3), "cpu");
    const tracer = new TranslationTracer(cfg, weights);
    const trace = await tracer.trace([someIds(6, 19)], [someIds(4)]);
    await tracer.release();
    for (const [kind, name, rows] of [
      ["encoder", "enc.blocks.0.attn.pattern", 6],
      ["cross", "blocks.0.cross.pattern", 4],
    ] as const) {
      const grid = await attention.grid(cfg, trace, { size: 8, kind });
      expect([grid.rows, grid.cols]).toEqual([rows, 6]);
      const pattern = trace.get(name)?.data as Float32Array;
      expect(largestDifference(grid.tiles.subarray(0, pattern.length), pattern)).toBeLessThan(1e-6);
      const first = Array.from({ length: rows - 1 }, (_, i) => pattern[(i + 1) * 6] as number);
      expect(grid.scores.firstToken[0]).toBeCloseTo(first.reduce((sum, p) => sum + p, 0) / (rows - 1), 5);
      expect(Number.isNaN(grid.scores.previousToken[0])).toBe(kind === "cross");
    }
  });
});
