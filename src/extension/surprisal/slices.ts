/** Splits a text into slices that are scored one at a time. */

import type { TokenSpan } from "../../protocol/engineApi";
import type { Surprisal } from "../../protocol/traceApi";
import type { Scores } from "./scores";

/** Length of a slice in UTF-16 units: short enough that scrolling shows new colors soon. */
const SLICE = 4096;

/** Length of the text after a slice that is sent with it, so that the last token is the same as in the whole text. */
const AFTER = 256;

/** UTF-16 units to send before a slice for each token of context: more than the average token has. */
const PER_TOKEN = 6;

/** The first slice of the requested ranges without scores; null if all have them. */
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

export interface Source {
  readonly length: number;
  /** The text between two offsets, adjusted so that it does not split a line break or a character. */
  read(start: number, end: number): { readonly offset: number; readonly text: string };
}

/** Scores the tokens of a text from an offset on. */
export type RequestScores = (params: { readonly text: string; readonly from: number }) => Promise<Surprisal>;

/** Scores a slice of a text with `reach` tokens of context. */
export async function score(
  scores: Scores,
  source: Source,
  [start, end]: readonly [number, number],
  reach: number,
  request: RequestScores,
): Promise<void> {
  const sent = source.read(Math.max(0, start - PER_TOKEN * reach), Math.min(source.length, end + AFTER));
  const { text, toSource } = convertLineBreaks(sent.text);
  // A text that fits into the context is scored from its start.
  const fits = sent.offset === 0 && text.length <= reach;
  const from = fits ? 0 : convertLineBreaks(sent.text.slice(0, start - sent.offset)).text.length;
  const reading = await request({ text, from });
  scores.add(start, end, { ...reading, tokens: toSource(reading.tokens) }, sent.offset);
}

/** Converts line breaks to "\n", as in training texts. `toSource` converts spans back to offsets in the original. */
export function convertLineBreaks(text: string): {
  text: string;
  toSource: (spans: readonly TokenSpan[]) => TokenSpan[];
} {
  if (!text.includes("\r\n")) return { text, toSource: (spans) => [...spans] };
  const breaks = [...text.matchAll(/\r\n/g)].map(({ index }, i) => index - i);
  return {
    text: text.replaceAll("\r\n", "\n"),
    toSource: (spans) => {
      // Each line break before an offset adds one unit. Spans and line breaks are in order.
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
