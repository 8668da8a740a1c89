/** The prediction after a prompt, and how well the model predicted the prompt itself. */

import type { TokenSpan } from "../api/tokens";
import type { Expectations, PromptScore } from "../api/trace";
import { EngineError } from "../errors";

export function promptScoreOf(
  { tokens, nextToken }: { readonly tokens: readonly TokenSpan[]; readonly nextToken: Float32Array },
  { surprisal }: Pick<Expectations, "surprisal">,
  ids: readonly number[],
  vocabulary: readonly string[],
): PromptScore {
  const wrong = ids.find((id) => id >= nextToken.length);
  if (wrong !== undefined) {
    throw new EngineError("config", `There is no token #${wrong}. The vocabulary ends at #${nextToken.length - 1}.`);
  }
  const best = nextToken.reduce((most, p, id) => (p > (nextToken[most] as number) ? id : most), 0);
  const scored = surprisal.subarray(1);
  const bits = scored.reduce((sum, each) => sum + each, 0);
  const first = tokens.find(({ special }) => !special);
  return {
    tokens: tokens.length,
    isTruncated: (first?.start ?? 0) > 0,
    next: { id: best, token: vocabulary[best] ?? `#${best}`, probability: nextToken[best] as number },
    loss: scored.length > 0 ? (bits * Math.LN2) / scored.length : null,
    probabilities: Float32Array.from(ids, (id) => nextToken[id] as number),
  };
}
