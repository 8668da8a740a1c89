/** What a completion was made of: pure. */

import type { GenerateParams, GenerateResult, TokenSpan } from "../../protocol/engineApi";
import type { Place } from "./cachedCompletion";

/** A completion that was shown, with what the model was asked for it and what it answered. */
export interface ShownCompletion {
  readonly place: Place;
  readonly params: GenerateParams;
  readonly result: Pick<GenerateResult, "ids" | "promptTokens">;
  /** As it was shown: all of it, also where a part was typed already. */
  readonly text: string;
}

/**
 * The tokens of a prompt that the model read, which are its last after a token that marks the beginning; and where the
 * text of those begins.
 */
export function promptTokensRead(
  spans: readonly TokenSpan[],
  promptTokens: number,
): { readonly ids: readonly number[]; readonly start: number } {
  const first = spans[0]?.special && spans[0].end === 0 ? 1 : 0;
  const read = spans.slice(Math.max(first, spans.length - promptTokens + first));
  return { ids: [...spans.slice(0, first), ...read].map(({ id }) => id), start: read[0]?.start ?? 0 };
}

/** Whether an offset of a document is where a completion stands, or stood. */
export const isAt = ({ place, text }: Pick<ShownCompletion, "place" | "text">, uri: string, offset: number): boolean =>
  uri === place.uri && offset >= place.offset && offset <= place.offset + text.length;
