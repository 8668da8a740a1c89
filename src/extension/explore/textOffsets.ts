/**
 * Where tokens are in a document: a text is run with its line breaks as "\n", and its document may have "\r\n".
 *
 *   "a\r\nb" is run as "a\nb": b is at 2 there, and at 3 in the document.
 */

import type { TokenSpan } from "../../protocol/engineApi";

/** The offset in the document's text of an offset in the text that was run. */
export function inDocument(text: string, offset: number): number {
  let at = 0;
  for (let run = 0; run < offset && at < text.length; run++) at += text.startsWith("\r\n", at) ? 2 : 1;
  return at;
}

/** The other way round. */
export const inRun = (text: string, offset: number): number => text.slice(0, offset).replaceAll("\r\n", "\n").length;

/** The token at an offset of the text that was run; at its end the last one; null where none is. */
export function tokenAtOffset(tokens: readonly Pick<TokenSpan, "start" | "end">[], offset: number): number | null {
  const found = tokens.findIndex(({ start, end }) => start <= offset && offset < end);
  if (found >= 0) return found;
  const last = tokens.findLastIndex(({ start, end }) => end > start);
  return last >= 0 && tokens[last]?.end === offset ? last : null;
}
