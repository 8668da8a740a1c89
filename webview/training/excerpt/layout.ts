/** A text cut into the pieces that are painted: pure, so that it can be tested. */

import type { Surprisal } from "../../../src/protocol/traceApi";

export interface Piece {
  readonly text: string;
  /** What its tokens cost together, in bits; null of text that no token stands for, or that had nothing before it. */
  readonly bits: number | null;
  /** Its tokens: more than one where they share a character. */
  readonly tokens: readonly number[];
}

/** Every character of the text once, in order. */
export function paintedPieces(text: string, { tokens, surprisal }: Surprisal): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (let i = 0; i < tokens.length; i++) {
    const span = tokens[i];
    if (!span || span.special || span.end <= span.start) continue;
    const bits = surprisal[i] as number;
    const last = pieces.at(-1);
    if (last && span.start < at) {
      // It shares a character with the token before it.
      pieces[pieces.length - 1] = {
        text: last.text + text.slice(at, Math.max(at, span.end)),
        bits: last.bits === null || Number.isNaN(bits) ? last.bits : last.bits + bits,
        tokens: [...last.tokens, i],
      };
    } else {
      if (span.start > at) pieces.push({ text: text.slice(at, span.start), bits: null, tokens: [] });
      pieces.push({ text: text.slice(span.start, span.end), bits: Number.isNaN(bits) ? null : bits, tokens: [i] });
    }
    at = Math.max(at, span.end);
  }
  if (at < text.length) pieces.push({ text: text.slice(at), bits: null, tokens: [] });
  return pieces;
}

/** The mean over the tokens that had something before them, in bits; null where there are none. */
export function meanBits({ surprisal }: Surprisal): number | null {
  const known = surprisal.filter((bits) => !Number.isNaN(bits));
  return known.length > 0 ? known.reduce((sum, bits) => sum + bits, 0) / known.length : null;
}
