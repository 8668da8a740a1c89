/** Splits a text into colored pieces, without drawing. */

import type { Surprisal } from "../../../src/protocol/traceApi";

export interface Piece {
  readonly text: string;
  /** Surprisal of its tokens in total, in bits; null for text outside any token and for the first token. */
  readonly bits: number | null;
  /** Token indices: several if they share a character. */
  readonly tokens: readonly number[];
}

/** The pieces of a text, which cover every character once, in order. */
export function paintedPieces(text: string, { tokens, surprisal }: Surprisal): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (let i = 0; i < tokens.length; i++) {
    const span = tokens[i];
    if (!span || span.special || span.end <= span.start) continue;
    const bits = surprisal[i] as number;
    const last = pieces.at(-1);
    if (last && span.start < at) {
      // Shares a character with the token before it.
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

/** Mean surprisal in bits of the tokens that have one; null if there are none. */
export function meanBits({ surprisal }: Surprisal): number | null {
  const known = surprisal.filter((bits) => !Number.isNaN(bits));
  return known.length > 0 ? known.reduce((sum, bits) => sum + bits, 0) / known.length : null;
}
