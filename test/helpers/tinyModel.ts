/** Small random decoders, used instead of mocks. */

import type { Device } from "../../src/engine/api/model";
import { classicDecoder, type DecoderConfig } from "../../src/engine/nn/config";
import { initParams } from "../../src/engine/nn/params";
import { placeWeights } from "../../src/engine/runtime/weights";

export const tinyConfig: DecoderConfig = classicDecoder({
  vocabSize: 23,
  nCtx: 80,
  nLayers: 2,
  nHeads: 2,
  dModel: 32,
  dMlp: 48,
  norm: "pre",
  finalNorm: true,
  normEps: 1e-5,
  normBias: true,
  activation: "gelu",
  attentionBias: true,
  mlpBias: true,
  tiedHead: false,
  headBias: true,
});

/** The same size with most features of recent families. */
export const modernConfig: DecoderConfig = {
  ...tinyConfig,
  nHeads: 4,
  nKvHeads: 2,
  dHead: 8,
  weightLayout: "outIn",
  positions: { kind: "rotary", dims: 8, theta: 1000, scaling: null, unrotatedLayers: [] },
  norm: "sandwich",
  normKind: "rmsPlusOne",
  normBias: false,
  qkNorm: "head",
  activation: "silu",
  gatedMlp: true,
  attentionBias: false,
  outBias: false,
  mlpBias: false,
  attentionScale: 0.3,
  attentionSoftcap: 5,
  logitSoftcap: 8,
  windows: [6, null],
  tiedHead: true,
  headBias: false,
};

/** Xavier's larger weights make attention and predictions less uniform than GPT-2's, so that errors show. */
export const tinyModel = async (cfg: DecoderConfig = tinyConfig, device: Device = "cpu", seed = 5) => {
  const params = initParams(cfg, "xavier", seed);
  return { cfg, params, weights: await placeWeights(cfg, params, device) };
};

/** Ids in an irregular order. */
export const someIds = (length: number, vocabSize = tinyConfig.vocabSize, from = 3): number[] =>
  Array.from({ length }, (_, i) => (from + i * i * 7 + i * 5) % vocabSize);

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    if (!(difference <= largest)) largest = difference; // NaN too
  }
  return largest;
}
