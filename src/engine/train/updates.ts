/** How far a step moves the weights, layer by layer: about 1e-3 of their size is what most trainings do well with. */

import type { LayerUpdate } from "../api/run";
import type { ParamSpec, Params } from "../nn/params";

/** RMS of the update divided by RMS of the weights before it. Layers whose weights are all 0 have no ratio. */
export function updateRatios(specs: readonly ParamSpec[], before: Params, after: Params): LayerUpdate[] {
  const sums = new Map<string, { update: number; weight: number }>();
  for (const { name } of specs) {
    const weights = before.get(name) as Float32Array;
    const layer = layerOf(name);
    const sum = sums.get(layer) ?? { update: 0, weight: 0 };
    const moved = after.get(name) as Float32Array;
    for (let i = 0; i < weights.length; i++) {
      const weight = weights[i] as number;
      const update = (moved[i] as number) - weight;
      sum.update += update * update;
      sum.weight += weight * weight;
    }
    sums.set(layer, sum);
  }
  return [...sums].flatMap(([name, { update, weight }]) =>
    weight > 0 ? [{ name, ratio: Math.sqrt(update / weight) }] : [],
  );
}

/** `enc.blocks.0.q.weight` is of `enc.blocks.0`, `embed.tokens.weight` of `embeddings`. */
function layerOf(name: string): string {
  const [, encoder, layer] = /^(enc\.)?(blocks\.\d+|[^.]+)/.exec(name) as RegExpExecArray;
  return (encoder ?? "") + (layer === "embed" ? "embeddings" : layer);
}
