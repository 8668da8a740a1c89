/** Generations that are looked at: at each step what there was to choose from, and what the sampler made of it. */

import type { GenerationStep } from "../api/generation";
import type { TokenSpan } from "../api/tokens";
import { type Choice, softmax } from "../generate/sampling";
import type { Tokenizer } from "../tokenizers";
import { nextToken, tokenAs } from "./nextToken";

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
