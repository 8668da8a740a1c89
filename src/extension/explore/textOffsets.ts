/**
 * Converts between offsets in a document and in its trace: models read line breaks as "\n", but the document may
 * contain "\r\n".
 *
 *   "a\r\nb" is read as "a\nb": the offset of b is 3 in the document and 2 in the trace.
 */

import type { TokenSpan } from "../../protocol/engineApi";

/** Converts an offset in the text of a trace to an offset in `text`, the document's. */
export function toDocumentOffset(text: string, traceOffset: number): number {
  let at = 0;
  for (let i = 0; i < traceOffset && at < text.length; i++) at += text.startsWith("\r\n", at) ? 2 : 1;
  return at;
}

/** The inverse of `toDocumentOffset`. */
export const toTraceOffset = (text: string, offset: number): number =>
  text.slice(0, offset).replaceAll("\r\n", "\n").length;

/** Index of the token at an offset in the text of a trace: the last token at its end, null if there is none. */
export function tokenAtOffset(tokens: readonly Pick<TokenSpan, "start" | "end">[], offset: number): number | null {
  const found = tokens.findIndex(({ start, end }) => start <= offset && offset < end);
  if (found >= 0) return found;
  const last = tokens.findLastIndex(({ start, end }) => end > start);
  return last >= 0 && tokens[last]?.end === offset ? last : null;
}
