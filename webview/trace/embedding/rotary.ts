/**
 * By which angles a model with rotary positions turns its queries and keys: computed here from its configuration, since
 * there is no tensor of them. The formulas are those of src/engine/nn/rotary.ts, which a page may not import; the tests
 * hold both together.
 */

import type { ModelInfo } from "../../../src/protocol/engineApi";

type Config = ModelInfo["config"];
export type Rotary = Extract<Config["positions"], { readonly kind: "rotary" }>;

export interface RotaryAngles {
  /** By pair of dimensions: radians for each step of the position. */
  readonly frequencies: readonly number[];
  /** What the cosines and sines are multiplied by. */
  readonly scale: number;
}

/** For a text of `length` tokens, which some scalings depend on. */
export function rotaryAngles({ dims, theta, scaling }: Rotary, length: number): RotaryAngles {
  const from = (base: number) => Array.from({ length: dims / 2 }, (_, i) => base ** ((-2 * i) / dims));
  const plain = from(theta);
  switch (scaling?.kind) {
    case undefined:
      return { frequencies: plain, scale: 1 };
    case "linear":
      return { frequencies: plain.map((f) => f / scaling.factor), scale: 1 };
    case "dynamic": {
      const longer = Math.max(length, scaling.originalCtx) / scaling.originalCtx;
      const growth = scaling.factor * longer - (scaling.factor - 1);
      return { frequencies: from(theta * growth ** (dims / (dims - 2))), scale: 1 };
    }
    case "llama3": {
      const { factor, originalCtx, lowFrequencyFactor: low, highFrequencyFactor: high } = scaling;
      // How much of a frequency is kept: all of those that turn often within the original context.
      const kept = (f: number) => clamp(((originalCtx * f) / (2 * Math.PI) - low) / (high - low));
      return { frequencies: plain.map((f) => mix(f / factor, f, kept(f))), scale: 1 };
    }
    case "yarn": {
      const { factor, originalCtx, betaFast, betaSlow, truncate } = scaling;
      const pairWith = (turns: number) =>
        (dims * Math.log(originalCtx / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
      const low = Math.max(truncate ? Math.floor(pairWith(betaFast)) : pairWith(betaFast), 0);
      const high = Math.min(truncate ? Math.ceil(pairWith(betaSlow)) : pairWith(betaSlow), dims - 1);
      const kept = (i: number) => 1 - clamp((i - low) / (high === low ? 0.001 : high - low));
      return { frequencies: plain.map((f, i) => mix(f / factor, f, kept(i))), scale: scaling.attentionFactor };
    }
    case "longrope": {
      const factors = length > scaling.originalCtx ? scaling.longFactors : scaling.shortFactors;
      return { frequencies: plain.map((f, i) => f / (factors[i] as number)), scale: scaling.attentionFactor };
    }
  }
}

/** Reads as `theta 10000, 32 dimensions of each head in pairs, scaling yarn`. */
export function rotaryText({ dims, theta, scaling, unrotatedLayers }: Rotary): string {
  const parts = [`theta ${theta}`, `${dims / 2} pairs: dimensions i and i + ${dims / 2} of each head`];
  if (scaling) parts.push(`scaling ${scaling.kind}`);
  if (unrotatedLayers.length > 0) parts.push(`not in layers ${unrotatedLayers.join(", ")}`);
  return parts.join(", ");
}

const clamp = (share: number): number => Math.min(1, Math.max(0, share));
const mix = (a: number, b: number, share: number): number => a + (b - a) * share;
