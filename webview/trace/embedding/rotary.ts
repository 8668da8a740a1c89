/**
 * Angles by which rotary positions turn queries and keys, computed from the configuration. The formulas repeat
 * src/engine/nn/rotary.ts, which a page may not import; a test compares the two.
 */

import type { ModelInfo } from "../../../src/protocol/engineApi";

type Config = ModelInfo["config"];
export type Rotary = Extract<Config["positions"], { readonly kind: "rotary" }>;

export interface RotaryAngles {
  /** Radians per position, for each pair of dimensions. */
  readonly frequencies: readonly number[];
  /** Factor of the cosines and sines. */
  readonly scale: number;
}

/** Returns the angles for a text of `length` tokens, on which some scalings depend. */
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
      // Share of a frequency that is kept: frequencies with many turns within the original context stay as they are.
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
export function rotaryText({ dims, theta, scaling, local, unrotatedLayers }: Rotary): string {
  const parts = [`theta ${theta}`, `${dims / 2} pairs: dimensions i and i + ${dims / 2} of each head`];
  if (scaling) parts.push(`scaling ${scaling.kind}`);
  if (local) {
    const kind = local.scaling ? ` and scaling ${local.scaling.kind}` : "";
    parts.push(`theta ${local.theta}${kind} in layers ${local.layers.join(", ")}`);
  }
  if (unrotatedLayers.length > 0) parts.push(`not in layers ${unrotatedLayers.join(", ")}`);
  return parts.join(", ");
}

const clamp = (share: number): number => Math.min(1, Math.max(0, share));
const mix = (a: number, b: number, share: number): number => a + (b - a) * share;
