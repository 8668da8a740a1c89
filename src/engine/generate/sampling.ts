/** Sampling: small functions over the vocabulary that choose the next token from logits. */

import type { Sampling } from "../api/generation";
import type { Random } from "../random";

/** Sampling settings; those that are absent are as in `GREEDY`. */
type Settings = Partial<Sampling>;

export const GREEDY: Sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 };

/** Returns whether the choice is always the most likely token of the model. */
export const isGreedy = ({ temperature, repetitionPenalty }: Settings): boolean =>
  (temperature ?? GREEDY.temperature) === 0 && (repetitionPenalty ?? GREEDY.repetitionPenalty) === 1;

/** A chosen token and its candidates. */
export interface Choice {
  readonly id: number;
  /** The token's probability under the model, before temperature and filters. */
  readonly probability: number;
  /** The tokens that the filters kept. */
  readonly candidates: readonly number[];
  /** The token's probability among the candidates. */
  readonly drawnWith: number;
}

/** Chooses a token; the repetition penalty applies to the tokens in `past`. */
export function choose(logits: Float32Array, settings: Settings, draws: Random, past: Iterable<number> = []): Choice {
  const sampling = { ...GREEDY, ...settings };
  const penalized = withPenalty(logits, sampling.repetitionPenalty, past);
  const chosen = sampling.temperature === 0 ? only(argMax(penalized)) : sample(penalized, sampling, draws);
  return { ...chosen, probability: probabilityOf(logits, chosen.id) };
}

type Drawn = Omit<Choice, "probability">;

const only = (id: number): Drawn => ({ id, candidates: [id], drawnWith: 1 });

/** Index of the first maximum. */
export function argMax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

/** exp(x / temperature) over its sum, in float64; the largest is subtracted first so that nothing overflows. */
export function softmax(logits: Float32Array, temperature = 1): Float32Array {
  const max = logits[argMax(logits)] as number;
  const probabilities = logits.map((x) => Math.exp((x - max) / temperature));
  const total = probabilities.reduce((sum, p) => sum + p, 0);
  return probabilities.map((p) => p / total);
}

function probabilityOf(logits: Float32Array, id: number): number {
  const max = logits[argMax(logits)] as number;
  const total = logits.reduce((sum, x) => sum + Math.exp(x - max), 0);
  return Math.exp((logits[id] as number) - max) / total;
}

/** Positive logits of past tokens are divided by the penalty, negative ones multiplied. */
function withPenalty(logits: Float32Array, penalty: number, past: Iterable<number>): Float32Array {
  if (penalty === 1) return logits;
  const penalized = logits.slice();
  for (const id of new Set(past)) {
    const logit = logits[id] as number;
    penalized[id] = logit > 0 ? logit / penalty : logit * penalty;
  }
  return penalized;
}

function sample(logits: Float32Array, sampling: Sampling, draws: Random): Drawn {
  const probabilities = softmax(logits, sampling.temperature);
  const { topK, topP, minP } = sampling;
  const filters = topK > 0 || topP < 1 || minP > 0;
  const candidates = filters ? likely(probabilities, sampling) : [...probabilities.keys()];
  const mass = candidates.reduce((sum, id) => sum + (probabilities[id] as number), 0);
  const drawn = (id: number): Drawn => ({ id, candidates, drawnWith: (probabilities[id] as number) / mass });
  let left = draws.uniform() * mass;
  for (const id of candidates) {
    left -= probabilities[id] as number;
    if (left < 0) return drawn(id);
  }
  return drawn(candidates.at(-1) as number);
}

function likely(probabilities: Float32Array, sampling: Sampling): readonly number[] {
  const { order, minP } = keepLikely(probabilities, sampling);
  return minP < order.length ? order.slice(0, minP) : order;
}

/** The tokens that top-k, then top-p, then min-p keep: each filter keeps a prefix of the previous one's tokens. */
export interface Kept {
  /** Token ids, most likely first: those top-k keeps, or without top-k at least those top-p keeps. */
  readonly order: readonly number[];
  /** Number of tokens left after each filter. */
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
}

/** Applies the filters to probabilities with temperature. */
export function keepLikely(
  probabilities: Float32Array,
  { topK, topP, minP }: Pick<Sampling, "topK" | "topP" | "minP">,
): Kept {
  // All tokens below this together have less than 1 - top-p of the probability, so only the others need sorting.
  const floor = topK > 0 ? 0 : (1 - topP) / probabilities.length;
  const order: number[] = [];
  for (let id = 0; id < probabilities.length; id++) if ((probabilities[id] as number) >= floor) order.push(id);
  order.sort((a, b) => (probabilities[b] as number) - (probabilities[a] as number) || a - b);
  const first = topK > 0 ? order.slice(0, topK) : order;
  const mass = topK > 0 ? first.reduce((sum, id) => sum + (probabilities[id] as number), 0) : 1;
  let seen = 0;
  // Rounding may bring the sum to 1 before the last token.
  const end =
    topP < 1
      ? first.findIndex((id) => {
          seen += (probabilities[id] as number) / mass;
          return seen >= topP;
        })
      : -1;
  const nucleus = end < 0 ? first.length : end + 1;
  const least = minP * (probabilities[first[0] as number] as number);
  const unlikely = first.findIndex((id, i) => i < nucleus && (probabilities[id] as number) < least);
  return {
    order: first,
    topK: topK > 0 ? first.length : probabilities.length,
    topP: nucleus,
    minP: unlikely < 0 ? nucleus : unlikely,
  };
}
