/** Steps of a generation: the candidates, and what the sampler made of them. */

import type { GenerationStep } from "../api/generation";
import type { TokenSpan } from "../api/tokens";
import { type Choice, softmax } from "../generate/sampling";
import type { Tokenizer } from "../tokenizers";
import { bytesAs, nextToken, tokenAs } from "./nextToken";

export function stepOf(choice: Choice, logits: Float32Array, tokenizer: Tokenizer, count: number): GenerationStep {
  const { id, probability, candidates, drawnWith } = choice;
  const probabilities = softmax(logits);
  const mass = candidates.reduce((sum, candidate) => sum + (probabilities[candidate] as number), 0);
  return {
    id,
    token: tokenAs(tokenizer, id),
    probability,
    ...nextToken(probabilities, tokenizer, count),
    // The sum of all probabilities can round to slightly more than 1.
    kept: { tokens: candidates.length, mass: Math.min(1, mass) },
    drawnWith,
  };
}

/** Tokens with their spans in the decoded text. A token that ends within a character has an empty span. */
export function spansOf(ids: readonly number[], tokenizer: Tokenizer): TokenSpan[] {
  const decoder = tokenizer.decoder([]);
  let end = 0;
  return ids.map((id) => {
    const start = end;
    end += decoder.push(id).length;
    const bytes = bytesAs(tokenizer, id);
    return { id, token: tokenAs(tokenizer, id), start, end, special: bytes.length === 0, bytes };
  });
}
