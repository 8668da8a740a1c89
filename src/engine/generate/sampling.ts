/** How the next token is chosen from logits: small functions over the vocabulary. */

import type { Random } from "../random";

export interface Sampling {
  /** Logits are divided by it; 0 takes the most likely token. */
  readonly temperature: number;
  /** Keep the k most likely tokens; 0 keeps all. */
  readonly topK: number;
  /** Keep the smallest set of tokens with at least this probability; 1 keeps all. */
  readonly topP: number;
}

export const GREEDY: Sampling = { temperature: 0, topK: 0, topP: 1 };

/** The chosen token, and the probability that the model (not the sampler) gave it. */
export function choose(logits: Float32Array, sampling: Sampling, draws: Random): { id: number; probability: number } {
  const id = sampling.temperature === 0 ? argMax(logits) : sample(logits, sampling, draws);
  return { id, probability: probabilityOf(logits, id) };
}

/** The first of the largest. */
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

function sample(logits: Float32Array, { temperature, topK, topP }: Sampling, draws: Random): number {
  const probabilities = softmax(logits, temperature);
  const kept = topK > 0 || topP < 1 ? keepLikely(probabilities, topK, topP) : probabilities.keys();
  const candidates = [...kept];
  let left = draws.uniform() * candidates.reduce((sum, id) => sum + (probabilities[id] as number), 0);
  for (const id of candidates) {
    left -= probabilities[id] as number;
    if (left < 0) return id;
  }
  return candidates.at(-1) as number;
}

/** The ids that top-k and top-p leave, most likely first. */
function keepLikely(probabilities: Float32Array, topK: number, topP: number): number[] {
  const order = [...probabilities.keys()].sort(
    (a, b) => (probabilities[b] as number) - (probabilities[a] as number) || a - b,
  );
  const first = topK > 0 ? order.slice(0, topK) : order;
  const mass = first.reduce((sum, id) => sum + (probabilities[id] as number), 0);
  let seen = 0;
  const end = first.findIndex((id) => {
    seen += (probabilities[id] as number) / mass;
    return seen >= topP;
  });
  return end < 0 ? first : first.slice(0, end + 1);
}
