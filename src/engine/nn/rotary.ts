/**
 * The angles of rotary position embedding, and their scaling to longer contexts.
 *
 * Formulas as in modeling_rope_utils.py of Hugging Face transformers, whose checkpoints use them; computed in float64 and
 * rounded once at the end.
 */

import type { Node } from "../graph/node";
import type { DecoderConfig, Rotary } from "./config";

/** Pair i of position p is rotated by p * frequencies[i] radians, and the result is scaled. */
interface Angles {
  readonly frequencies: readonly number[];
  readonly scale: number;
}

/** Number of angles per position: those of local layers follow the others. */
export const angleCount = ({ dims, local }: Rotary): number => (local ? dims : dims / 2);

/** Returns the angles of a layer, [N, dims / 2] each, from those of all layers, [N, `angleCount`]. */
export function anglesOfLayer(all: Turn, l: number, { dims, local }: Rotary): Turn {
  if (!local) return all;
  const [start, end] = local.layers.includes(l) ? [dims / 2, dims] : [0, dims / 2];
  return { cos: all.cos.slice(1, start, end), sin: all.sin.slice(1, start, end) };
}

interface Turn {
  readonly cos: Node;
  readonly sin: Node;
}

/** Cosines and sines of the positions' angles, [positions, `angleCount`] each. `length` is that of the whole sequence. */
export function rotaryTables(
  { positions: rotary }: DecoderConfig,
  positions: ArrayLike<number>,
  length: number,
): { readonly cos: Float32Array; readonly sin: Float32Array } {
  if (rotary.kind !== "rotary") throw new Error("rotaryTables: the model has no rotary positions");
  const sets = [rotary, ...(rotary.local ? [{ ...rotary, ...rotary.local }] : [])].map((set) => anglesOf(set, length));
  const angles = sets.flatMap(({ frequencies, scale }) => frequencies.map((frequency) => ({ frequency, scale })));
  const R = angles.length;
  const cos = new Float32Array(positions.length * R);
  const sin = new Float32Array(positions.length * R);
  for (let row = 0; row < positions.length; row++) {
    angles.forEach(({ frequency, scale }, i) => {
      const angle = (positions[row] as number) * frequency;
      cos[row * R + i] = Math.cos(angle) * scale;
      sin[row * R + i] = Math.sin(angle) * scale;
    });
  }
  return { cos, sin };
}

/** Returns the angles for a sequence of `length` positions. */
export function anglesOf({ dims, theta, scaling }: Rotary, length: number): Angles {
  const R = dims / 2;
  // theta^(-2i / dims)
  const plain = (base = theta) => Array.from({ length: R }, (_, i) => base ** ((-2 * i) / dims));
  if (scaling === null) return { frequencies: plain(), scale: 1 };
  switch (scaling.kind) {
    case "linear":
      return { frequencies: plain().map((f) => f / scaling.factor), scale: 1 };
    case "dynamic": {
      // The base grows with the sequence once it exceeds the original context.
      const { factor, originalCtx } = scaling;
      const growth = (factor * Math.max(length, originalCtx)) / originalCtx - (factor - 1);
      return { frequencies: plain(theta * growth ** (dims / (dims - 2))), scale: 1 };
    }
    case "llama3": {
      const { factor, originalCtx, lowFrequencyFactor: low, highFrequencyFactor: high } = scaling;
      const frequencies = plain().map((f) => {
        const turns = (originalCtx * f) / (2 * Math.PI);
        if (turns > high) return f;
        if (turns < low) return f / factor;
        const smooth = (turns - low) / (high - low);
        return ((1 - smooth) * f) / factor + smooth * f;
      });
      return { frequencies, scale: 1 };
    }
    case "yarn": {
      const { factor, originalCtx, betaFast, betaSlow, attentionFactor, truncate } = scaling;
      // The dimension that makes this many turns within the original context.
      const dimensionOf = (turns: number) =>
        (dims * Math.log(originalCtx / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
      const [first, last] = [dimensionOf(betaFast), dimensionOf(betaSlow)];
      const low = Math.max(truncate ? Math.floor(first) : first, 0);
      const high = Math.min(truncate ? Math.ceil(last) : last, dims - 1);
      const frequencies = plain().map((f, i) => {
        const ramp = Math.min(1, Math.max(0, (i - low) / (high === low ? 0.001 : high - low)));
        return (f / factor) * ramp + f * (1 - ramp);
      });
      return { frequencies, scale: attentionFactor };
    }
    case "longrope": {
      const { originalCtx, shortFactors, longFactors, attentionFactor } = scaling;
      const factors = length > originalCtx ? longFactors : shortFactors;
      return { frequencies: plain().map((f, i) => f / (factors[i] as number)), scale: attentionFactor };
    }
  }
}
