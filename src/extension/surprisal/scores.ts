/**
 * The scored tokens of a document, in pieces that stay valid while the text around them changes.
 *
 * A piece is a part of a result of the engine. An edit removes the tokens that it changed and those that had them as
 * context, and shifts the rest without copying. All offsets are UTF-16 units of the document.
 */

import type { TokenSpan } from "../../protocol/engineApi";
import type { Surprisal } from "../../protocol/traceApi";

export interface ScoredToken {
  readonly span: TokenSpan;
  readonly start: number;
  readonly end: number;
  /** In bits; NaN for a token without context or outside the vocabulary. */
  readonly surprisal: number;
  readonly entropy: number;
  /** 1 for the most likely token. */
  readonly rank: number;
  readonly alternatives: readonly { readonly id: number; readonly text: string; readonly probability: number }[];
}

/** A change of a document: `inserted` units replaced `removed` units at `offset`. */
export interface Edit {
  readonly offset: number;
  readonly removed: number;
  readonly inserted: number;
}

interface Piece {
  /** The range of the document that it covers, even without tokens. */
  readonly start: number;
  readonly end: number;
  readonly reading: Surprisal;
  /** Difference between offsets in the document and in the reading. */
  readonly shift: number;
  /** Range of tokens in the reading. */
  readonly from: number;
  readonly to: number;
}

/** Length of the text before an edit that the edit may tokenize differently. */
const RETOKENIZED = 32;

export class Scores {
  /** In the order of the text, without overlap. */
  #pieces: readonly Piece[] = [];

  get count(): number {
    return this.#pieces.reduce((sum, { from, to }) => sum + to - from, 0);
  }

  /**
   * Adds the scores of a range of the document, whose offsets are those of the reading plus `shift`. Tokens that start
   * after the range are dropped: near the end of the text that was read, they may be tokenized differently.
   */
  add(start: number, end: number, reading: Surprisal, shift = 0): void {
    const later = reading.tokens.findIndex((token) => token.start + shift >= end);
    const to = later < 0 ? reading.tokens.length : later;
    const first = reading.tokens[0];
    const last = reading.tokens[to - 1];
    const whole: Piece = {
      start: first && to > 0 ? Math.min(start, first.start + shift) : start,
      end: last ? Math.max(end, last.end + shift) : end,
      reading,
      shift,
      from: 0,
      to,
    };
    const others = this.#pieces.flatMap((piece) => [before(piece, whole.start), after(piece, whole.end)]);
    this.#pieces = [...others, whole].filter((piece) => piece.end > piece.start).sort((a, b) => a.start - b.start);
  }

  /** Removes the changed tokens and the next `reach` tokens, which had them as context, and shifts the rest. */
  edit({ offset, removed, inserted }: Edit, reach: number): void {
    let left = reach;
    this.#pieces = this.#pieces
      .flatMap((piece) => {
        const rest = after(piece, offset + removed);
        const known = Math.min(rest.to, rest.from + left);
        // A piece before the edit has no rest and does not count.
        if (rest.end > rest.start) left -= known - rest.from;
        const first = rest.reading.tokens[known];
        const start = known === rest.from ? rest.start : first && known < rest.to ? first.start + rest.shift : rest.end;
        return [before(piece, offset - RETOKENIZED), shifted({ ...rest, from: known, start }, inserted - removed)];
      })
      .filter((piece) => piece.end > piece.start);
  }

  /** The first part of a range without scores; null if all of it has them. */
  missing(start: number, end: number): readonly [number, number] | null {
    let at = start;
    for (const piece of this.#pieces) {
      if (piece.end <= at) continue;
      if (piece.start > at) return at < end ? [at, Math.min(end, piece.start)] : null;
      at = piece.end;
    }
    return at < end ? [at, end] : null;
  }

  /** The length of the scored text, in UTF-16 units. */
  get covered(): number {
    return this.#pieces.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** The scored tokens with text in a range. */
  *tokens(start = 0, end = Number.POSITIVE_INFINITY): Generator<ScoredToken> {
    for (const piece of this.#pieces) {
      if (piece.end <= start) continue;
      if (piece.start >= end) return;
      for (let i = firstEndingAfter(piece, start); i < piece.to; i++) {
        const token = scoredToken(piece, i);
        if (token.start >= end) break;
        if (token.end > token.start) yield token;
      }
    }
  }

  /** Removes the pieces farthest from an offset, so that at most `maxTokens` tokens remain. */
  keepNear(offset: number, maxTokens: number): void {
    const distance = ({ start, end }: Piece) => Math.max(start - offset, offset - end);
    const nearest = [...this.#pieces].sort((a, b) => distance(a) - distance(b));
    let count = 0;
    const kept = nearest.filter(({ from, to }) => {
      count += to - from;
      return count <= maxTokens;
    });
    this.#pieces = kept.sort((a, b) => a.start - b.start);
  }
}

/** The part of a piece before an offset; empty (`end <= start`) if there is none. */
function before(piece: Piece, offset: number): Piece {
  if (piece.end <= offset) return piece;
  let to = piece.from;
  while (to < piece.to && (piece.reading.tokens[to] as TokenSpan).end + piece.shift <= offset) to++;
  return { ...piece, end: offset, to };
}

/** The part of a piece from an offset on. */
function after(piece: Piece, offset: number): Piece {
  if (piece.start >= offset) return piece;
  let from = piece.from;
  while (from < piece.to && (piece.reading.tokens[from] as TokenSpan).start + piece.shift < offset) from++;
  return { ...piece, start: offset, from };
}

const shifted = (piece: Piece, by: number): Piece => ({
  ...piece,
  start: piece.start + by,
  end: piece.end + by,
  shift: piece.shift + by,
});

function firstEndingAfter({ reading, shift, from, to }: Piece, offset: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((reading.tokens[middle] as TokenSpan).end + shift > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

function scoredToken({ reading, shift }: Piece, i: number): ScoredToken {
  const span = reading.tokens[i] as TokenSpan;
  const { count, ids, probabilities } = reading.alternatives;
  return {
    span,
    start: span.start + shift,
    end: span.end + shift,
    surprisal: span.id < 0 ? Number.NaN : (reading.surprisal[i] as number),
    entropy: reading.entropy[i] as number,
    rank: reading.rank[i] as number,
    get alternatives() {
      return Array.from(ids.subarray(i * count, (i + 1) * count), (id, n) => ({
        id,
        text: reading.texts[id] ?? "",
        probability: probabilities[i * count + n] as number,
      }));
    },
  };
}
