/** Measures how fast WebGPU reads a prompt and generates, by the way of attention. All take turns in one process. */

import { Decoding } from "../../engine/generate/decoding";
import type { GpuAttention } from "../../engine/generate/gpuCache";
import { classicDecoder } from "../../engine/nn/config";
import { initParams } from "../../engine/nn/params";
import { placeWeights } from "../../engine/runtime/weights";
import { type Figure, printFigure, row, shown } from "./table";

/** Wide and shallow, with heads of 64. */
const shape = classicDecoder({
  ...{ vocabSize: 96, nCtx: 576, nLayers: 2, nHeads: 6, dModel: 384, dMlp: 1536, norm: "pre", finalNorm: true },
  ...{ normEps: 1e-5, normBias: true, activation: "gelu", attentionBias: true, mlpBias: true, tiedHead: true },
  headBias: false,
});
const PROMPT = 512;
const TOKENS = 16;

/** Ways of attention, and the longest piece of a prompt. */
const VARIANTS: readonly (readonly [GpuAttention, number])[] = [
  ["fused", 24],
  ["plain", 24],
  ["plain", PROMPT],
  ["fused", PROMPT],
];

export async function benchWebgpu({ rounds, json }: { readonly rounds: number; readonly json: boolean }) {
  const weights = await placeWeights(shape, initParams(shape, "gpt2", 1), "webgpu");
  const sides = VARIANTS.map(([way, piece]) => ({
    variant: `${way} attention, pieces of ${piece}`,
    piece,
    decoding: new Decoding(shape, weights, 1, async () => ({ prompts: way, tokens: way })),
    prefill: [] as number[],
    decode: [] as number[],
  }));
  // The first round compiles the shaders.
  for (let round = 0; round <= rounds; round++) {
    for (const { decoding, piece, prefill, decode } of sides) {
      decoding.rewind(0);
      const start = performance.now();
      for (let done = 0; done < PROMPT; done += piece) {
        await decoding.append(new Int32Array(Math.min(piece, PROMPT - done)).fill(7));
      }
      const read = performance.now();
      for (let i = 0; i < TOKENS; i++) await decoding.append(Int32Array.of(7));
      if (round === 0) continue;
      prefill.push((1000 * PROMPT) / (read - start));
      decode.push((1000 * TOKENS) / (performance.now() - read));
    }
  }
  const figures: Figure[] = sides.flatMap(({ variant, prefill, decode }) =>
    Object.entries({ prefill, decode }).map(([metric, samples]) => ({
      ...{ work: "W1", variant, metric: `${metric} tok/s`, samples },
      value: Math.max(...samples),
    })),
  );
  if (json) return figures.forEach(printFigure);
  for (const { variant, metric, value } of figures) console.log(row([`W1 ${variant}`, metric, shown(value)]));
}
