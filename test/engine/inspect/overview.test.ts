import { expect, test } from "vitest";
import { overviewOf } from "../../../src/engine/inspect/overview";
import type { Trace, TraceValue } from "../../../src/engine/inspect/trace";
import { Tracer, type TraceScope } from "../../../src/engine/inspect/tracer";
import { TranslationTracer } from "../../../src/engine/inspect/translation";
import { type DecoderConfig, encoderDecoder } from "../../../src/engine/nn/config";
import { initParams } from "../../../src/engine/nn/params";
import { placeWeights } from "../../../src/engine/runtime/weights";
import { modernConfig, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";

const T = 13;
async function traced(cfg: DecoderConfig, scope: TraceScope) {
  const tracer = new Tracer(cfg, (await tinyModel(cfg)).weights);
  const trace = await tracer.trace([someIds(T)], scope);
  await tracer.release();
  return trace;
}

/** Mean over heads of a pattern's row. */
function meanRow(trace: Trace, name: string, query: number): number[] {
  const { shape, data } = trace.get(name) as TraceValue;
  const [, H, rows, S] = shape as [number, number, number, number];
  return Array.from({ length: S }, (_, key) => {
    const weights = Array.from({ length: H }, (_, head) => data[(head * rows + query) * S + key] as number);
    return weights.reduce((sum, x) => sum + x, 0) / H;
  });
}

for (const [name, cfg] of Object.entries({
  "as in GPT-2": tinyConfig,
  "soft-capped, with a window and shared keys": modernConfig,
  "without a mask": { ...tinyConfig, causal: false },
})) {
  test(`a decoder ${name} reads the tokens of its patterns, strongest first`, async () => {
    const [light, whole] = [await traced(cfg, "light"), await traced(cfg, "whole")];
    for (const position of [0, 8, 12]) {
      const { sources } = await overviewOf(cfg, light, position);
      expect(sources.count).toBe(6);
      for (let layer = 0; layer < cfg.nLayers; layer++) {
        const mean = meanRow(whole, `blocks.${layer}.attn.pattern`, position);
        const largest = [...mean].sort((a, b) => b - a).slice(0, 6);
        const at = (i: number) => layer * 6 + i;
        largest.forEach((weight, i) => {
          expect(sources.weights[at(i)]).toBeCloseTo(weight, 5);
          expect(mean[sources.positions[at(i)] as number]).toBeCloseTo(weight, 5);
        });
        const { data } = whole.get(`blocks.${layer}.attn.pattern`) as TraceValue;
        const inHead = (head: number) =>
          data[(head * T + position) * T + (sources.positions[at(0)] as number)] as number;
        const most = Math.max(...Array.from({ length: cfg.nHeads }, (_, head) => inHead(head)));
        expect(inHead(sources.heads[at(0)] as number)).toBeCloseTo(most, 5);
      }
    }
  });
}

test("norms are those of the values at the position", async () => {
  const trace = await traced(tinyConfig, "light");
  const { attention, mlp, cross, crossSources } = await overviewOf(tinyConfig, trace, 4);
  const norm = (name: string) => {
    const { data } = trace.get(name) as TraceValue;
    return Math.sqrt(data.slice(4 * 32, 5 * 32).reduce((sum, x) => sum + x * x, 0));
  };
  expect(attention[1]).toBeCloseTo(norm("blocks.1.attnOut"), 5);
  expect(mlp[0]).toBeCloseTo(norm("blocks.0.mlpOut"), 5);
  expect([cross, crossSources]).toEqual([null, null]);
  await expect(overviewOf(tinyConfig, trace, 13)).rejects.toThrow("This trace has 13 tokens, so no position 13.");
});

test("a translator's decoder reads its source too", async () => {
  const { vocabSize, nCtx, nLayers, nHeads, dModel, dMlp, normEps } = tinyConfig;
  const sizes = { vocabSize, nCtx, nLayers, nHeads, dModel, dMlp, normEps, sourceVocabSize: 19, nEncoderLayers: 1 };
  const biases = { normBias: true, attentionBias: true, mlpBias: true, headBias: false, tiedHead: false };
  const cfg = encoderDecoder({ ...sizes, ...biases, norm: "post", finalNorm: false, activation: "relu" });
  const tracer = new TranslationTracer(cfg, await placeWeights(cfg, initParams(cfg, "xavier", 3), "cpu"));
  const trace = await tracer.trace([someIds(6, 19)], [someIds(4)]);
  await tracer.release();
  const { cross, crossSources, sources } = await overviewOf(cfg, trace, 2);
  expect(cross).toHaveLength(2);
  expect([sources.count, crossSources?.count]).toEqual([4, 6]);
  const mean = meanRow(trace, "blocks.1.cross.pattern", 2);
  expect(crossSources?.positions[6]).toBe(mean.indexOf(Math.max(...mean)));
});
