import type { GenerateParams, GenerateResult, TokenSpan } from "../../protocol/engineApi";
import type { CursorContext } from "./cachedCompletion";

/** A completion that was shown, with the request and the answer of the model. */
export interface ShownCompletion {
  readonly context: CursorContext;
  readonly params: GenerateParams;
  readonly result: Pick<GenerateResult, "ids" | "promptTokens">;
  /** All of the shown text, even if a part of it has been typed since. */
  readonly text: string;
}

/**
 * The ids of the tokens that the model read, and the offset of their text in the prompt. The model reads the last
 * `promptTokens` tokens of the prompt, including a leading token that marks the beginning of a text.
 */
export function promptTokensRead(
  spans: readonly TokenSpan[],
  promptTokens: number,
): { readonly ids: readonly number[]; readonly start: number } {
  const first = spans[0]?.special && spans[0].end === 0 ? 1 : 0;
  const read = spans.slice(Math.max(first, spans.length - promptTokens + first));
  return { ids: [...spans.slice(0, first), ...read].map(({ id }) => id), start: read[0]?.start ?? 0 };
}

/** True if an offset of a document is inside a completion. */
export const contains = (
  { context, text }: Pick<ShownCompletion, "context" | "text">,
  uri: string,
  offset: number,
): boolean => uri === context.uri && offset >= context.offset && offset <= context.offset + text.length;
