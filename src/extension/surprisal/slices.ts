/** Which part of a text is scored next, and what is sent for it: pure. */

import type { TokenSpan } from "../../protocol/engineApi";
import type { Surprisal } from "../../protocol/traceApi";
import type { Scores } from "./scores";

/** UTF-16 units that are scored in one go: about one reading of the largest context, so that scrolling is answered soon. */
export const SLICE = 4096;

/** Text after a slice that is sent too: its last token is cut as it is in the whole text. */
const AFTER = 256;

/** UTF-16 units for each token of context that are sent before a slice: more than a token has in most languages. */
const PER_TOKEN = 6;

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

/** A text that is open somewhere. */
export interface Source {
  readonly length: number;
  /** About the text between two offsets, and where it starts: not within a line break or a character. */
  read(start: number, end: number): { readonly offset: number; readonly text: string };
}

/** Scores the tokens of a text from an offset on. */
export type Ask = (question: { readonly text: string; readonly from: number }) => Promise<Surprisal>;

/** Scores a part of a text by a model that reads `reach` tokens. */
export async function score(
  scores: Scores,
  source: Source,
  [start, end]: readonly [number, number],
  reach: number,
  ask: Ask,
): Promise<void> {
  const sent = source.read(Math.max(0, start - PER_TOKEN * reach), Math.min(source.length, end + AFTER));
  const { text, inText } = asRead(sent.text);
  // A text that is read in one go is read from its start: what is there is context for all of it.
  const fits = sent.offset === 0 && text.length <= reach;
  const from = fits ? 0 : asRead(sent.text.slice(0, start - sent.offset)).text.length;
  const reading = await ask({ text, from });
  scores.add(start, end, { ...reading, tokens: inText(reading.tokens) }, sent.offset);
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
