/** Which part of a document is scored next, and the text that is sent for it: pure. */

import type { TokenSpan } from "../../../protocol/engineApi";
import type { Scores } from "./scores";

/** UTF-16 units that are scored in one go: about one reading of the largest context, so that scrolling is answered soon. */
export const SLICE = 4096;

/** Text after a slice that is sent too: its last token is cut as it is in the whole text. */
export const AFTER = 256;

/** More than a token has in most languages. */
const PER_TOKEN = 6;

/** Text before a slice that is read for context, for a model that reads so many tokens. */
export const contextUnits = (tokens: number): number => PER_TOKEN * tokens;

/** The first slice of the ranges that nothing is known of; null when all is known. */
export function nextSlice(
  scores: Scores,
  wanted: readonly (readonly [number, number])[],
): readonly [number, number] | null {
  for (const [start, end] of wanted) {
    const missing = scores.missing(start, end);
    if (missing) return [missing[0], Math.min(missing[1], missing[0] + SLICE)];
  }
  return null;
}

/** A text as models learn it, and where its tokens are in the text as it was. */
export function asRead(text: string): { text: string; inText: (spans: readonly TokenSpan[]) => TokenSpan[] } {
  if (!text.includes("\r\n")) return { text, inText: (spans) => [...spans] };
  const breaks = [...text.matchAll(/\r\n/g)].map(({ index }, i) => index - i);
  return {
    text: text.replaceAll("\r\n", "\n"),
    inText: (spans) => {
      // Each break before an offset takes one unit more there. Spans are in order, and so are breaks.
      let passed = 0;
      return spans.map((span) => {
        while (passed < breaks.length && (breaks[passed] as number) < span.start) passed++;
        let within = passed;
        while (within < breaks.length && (breaks[within] as number) < span.end) within++;
        return { ...span, start: span.start + passed, end: span.end + within };
      });
    },
  };
}
