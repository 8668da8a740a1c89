/** Update-to-weight ratios by layer. A rule of thumb is about 1e-3. */

import type { LayerUpdate } from "../api/run";
import type { ParamSpec, Params } from "../nn/params";

/** RMS of the update divided by RMS of the weights before it. Skips layers whose weights are all 0. */
export function updateRatios(specs: readonly ParamSpec[], before: Params, after: Params): LayerUpdate[] {
  const sums = new Map<string, { update: number; weight: number }>();
  for (const { name } of specs) {
    const weights = before.get(name) as Float32Array;
    const layer = layerOf(name);
    const sum = sums.get(layer) ?? { update: 0, weight: 0 };
    const updated = after.get(name) as Float32Array;
    for (let i = 0; i < weights.length; i++) {
      const weight = weights[i] as number;
      const update = (updated[i] as number) - weight;
      sum.update += update * update;
      sum.weight += weight * weight;
    }
    sums.set(layer, sum);
  }
  return [...sums].flatMap(([name, { update, weight }]) =>
    weight > 0 ? [{ name, ratio: Math.sqrt(update / weight) }] : [],
  );
}

/** The layer of `enc.blocks.0.q.weight` is `enc.blocks.0`, that of `embed.tokens.weight` is `embeddings`. */
function layerOf(name: string): string {
  const [, encoder, layer] = /^(enc\.)?(blocks\.\d+|[^.]+)/.exec(name) as RegExpExecArray;
  return (encoder ?? "") + (layer === "embed" ? "embeddings" : layer);
}
