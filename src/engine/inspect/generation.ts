/** Generations that are looked at: at each step what there was to choose from, and what the sampler made of it. */

import { type Choice, softmax } from "../generate/sampling";
import type { Tokenizer, TokenSpan } from "../tokenizers";
import { nextToken, type RankedToken, tokenAs } from "./nextToken";

export interface GenerationStep {
  readonly id: number;
  readonly token: string;
  /** By the model itself, before temperature and cuts; so are `entropyBits` and `top`. */
  readonly probability: number;
  readonly entropyBits: number;
  readonly top: readonly RankedToken[];
  /** What the sampler drew from: how many tokens were left, and what mass of the model's own distribution they had. */
  readonly kept: { readonly tokens: number; readonly mass: number };
  /** With which probability the sampler drew it. */
  readonly drawnWith: number;
}

export function stepOf(choice: Choice, logits: Float32Array, tokenizer: Tokenizer, count: number): GenerationStep {
  const { id, probability, candidates, drawnWith } = choice;
  const probabilities = softmax(logits);
  const mass = candidates.reduce((sum, candidate) => sum + (probabilities[candidate] as number), 0);
  return {
    id,
    token: tokenAs(tokenizer, id),
    probability,
    ...nextToken(probabilities, tokenizer, count),
    // All of them together are 1 but for rounding.
    kept: { tokens: candidates.length, mass: Math.min(1, mass) },
    drawnWith,
  };
}

/** Tokens with their places in the text that they make; one that only begins a character ends where it starts. */
export function spansOf(ids: readonly number[], tokenizer: Tokenizer): TokenSpan[] {
  const decoder = tokenizer.decoder([]);
  let end = 0;
  return ids.map((id) => {
    const start = end;
    end += decoder.push(id).length;
    const bytes = tokenizer.bytes(id);
    return { id, token: tokenAs(tokenizer, id), start, end, special: bytes.length === 0, bytes };
  });
}
