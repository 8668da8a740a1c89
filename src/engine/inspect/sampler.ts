/** A sampler applied to a distribution: what each filter removes, and the resulting probabilities. */

import type { SamplerCut, SamplerSettings, SamplerView } from "../api/trace";
import { argMax, keepLikely, softmax } from "../generate/sampling";
import { nextToken } from "./nextToken";

/** Returns the `count` most likely tokens, and those of `ids`. */
export function samplerView(
  logits: Float32Array,
  settings: SamplerSettings,
  vocabulary: Parameters<typeof nextToken>[1],
  { count, ids = [] }: { readonly count: number; readonly ids?: readonly number[] | undefined },
): SamplerView {
  const own = softmax(logits);
  const model = nextToken(own, vocabulary, count);
  const { candidates, weights, cuts } = draw(logits, own, settings);
  const mass = sumOf(weights, candidates);
  const shares = new Map(candidates.map((id) => [id, (weights[id] as number) / mass]));
  return {
    model,
    drawn: Float32Array.from([...model.top.map(({ id }) => id), ...ids], (id) => shares.get(id) ?? 0),
    drawnEntropyBits: [...shares.values()].reduce((sum, p) => (p > 0 ? sum - p * Math.log2(p) : sum), 0),
    cuts,
    // The sum of all probabilities can differ from 1 by rounding.
    kept: { tokens: candidates.length, mass: candidates.length === own.length ? 1 : sumOf(own, candidates) },
  };
}

interface Drawn {
  readonly candidates: readonly number[];
  /** Probabilities of all tokens, before the filters. */
  readonly weights: Float32Array;
  readonly cuts: readonly SamplerCut[];
}

/** Filters as `choose` does. */
function draw(logits: Float32Array, own: Float32Array, { temperature, ...filters }: SamplerSettings): Drawn {
  if (temperature === 0) {
    const best = argMax(logits);
    const none = { tokens: 1, removed: 0 };
    const cuts: SamplerCut[] = [
      { kind: "temperature", tokens: 1, removed: 1 - (own[best] as number) },
      { kind: "topK", ...none },
      { kind: "topP", ...none },
      { kind: "minP", ...none },
    ];
    return { candidates: [best], weights: own, cuts };
  }
  const weights = softmax(logits, temperature);
  const { order, ...left } = keepLikely(weights, filters);
  let before = 1;
  const cuts = (["topK", "topP", "minP"] as const).map((kind, i): SamplerCut => {
    const tokens = left[kind];
    const isCut = tokens < (i === 0 ? weights.length : left[i === 1 ? "topK" : "topP"]);
    const after = isCut ? sumOf(weights, order.slice(0, tokens)) : before;
    const removed = Math.max(0, before - after);
    before = after;
    return { kind, tokens, removed };
  });
  const candidates = order.slice(0, left.minP);
  return { candidates, weights, cuts: [{ kind: "temperature", tokens: weights.length, removed: 0 }, ...cuts] };
}

const sumOf = (values: Float32Array, ids: readonly number[]): number =>
  ids.reduce((sum, id) => sum + (values[id] as number), 0);
