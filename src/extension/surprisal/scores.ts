/**
 * What is known of a document's tokens, in pieces that stay right while the text around them changes: pure.
 *
 * A piece is a part of an answer of the engine. An edit cuts out what it changed and what had read that, and moves
 * what follows; nothing is copied. All offsets are UTF-16 units of the document.
 */

import type { TokenSpan } from "../../protocol/engineApi";
import type { Surprisal } from "../../protocol/traceApi";

export interface ScoredToken {
  readonly span: TokenSpan;
  readonly start: number;
  readonly end: number;
  /** In bits; NaN where the token was expected by nothing before it, or is not in the vocabulary. */
  readonly surprisal: number;
  readonly entropy: number;
  /** 1 was the most likely. */
  readonly rank: number;
  readonly alternatives: readonly { readonly id: number; readonly text: string; readonly probability: number }[];
}

/** A change of a document: `removed` units at `offset` became `inserted`. */
export interface Edit {
  readonly offset: number;
  readonly removed: number;
  readonly inserted: number;
}

interface Piece {
  /** What it answers for, tokens or not. */
  readonly start: number;
  readonly end: number;
  readonly reading: Surprisal;
  /** From the offsets of the reading's tokens to those of the document. */
  readonly shift: number;
  /** Tokens of the reading. */
  readonly from: number;
  readonly to: number;
}

/** Text before an edit that may be cut into tokens otherwise after it. */
const BEFORE = 32;

export class Scores {
  /** In the order of the text, without overlaps. */
  #pieces: readonly Piece[] = [];

  get count(): number {
    return this.#pieces.reduce((sum, { from, to }) => sum + to - from, 0);
  }

  /**
   * Takes an answer for a part of the document: its tokens' offsets plus `shift` are the document's. Tokens that start
   * after that part are left out: where the text that was read ended, they may have been cut otherwise.
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

  /** The text changed: what was changed, and the tokens after it that had read it, `reach` of them, are not known any more. */
  edit({ offset, removed, inserted }: Edit, reach: number): void {
    let reading = reach;
    this.#pieces = this.#pieces
      .flatMap((piece) => {
        const rest = after(piece, offset + removed);
        const known = Math.min(rest.to, rest.from + reading);
        // A piece that is wholly before the edit has no rest, and takes none of the reach.
        if (rest.end > rest.start) reading -= known - rest.from;
        const first = rest.reading.tokens[known];
        const start = known === rest.from ? rest.start : first && known < rest.to ? first.start + rest.shift : rest.end;
        return [before(piece, offset - BEFORE), moved({ ...rest, from: known, start }, inserted - removed)];
      })
      .filter((piece) => piece.end > piece.start);
  }

  /** The first part of a range of which nothing is known; null where all of it is known. */
  missing(start: number, end: number): readonly [number, number] | null {
    let at = start;
    for (const piece of this.#pieces) {
      if (piece.end <= at) continue;
      if (piece.start > at) return at < end ? [at, Math.min(end, piece.start)] : null;
      at = piece.end;
    }
    return at < end ? [at, end] : null;
  }

  /** How much of the document is known, in UTF-16 units. */
  get covered(): number {
    return this.#pieces.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** The known tokens that have text in a range. */
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

  /** Lets go of what is farthest from a place, so that about `most` tokens are kept. */
  keepNear(offset: number, most: number): void {
    const far = ({ start, end }: Piece) => Math.max(start - offset, offset - end);
    const nearest = [...this.#pieces].sort((a, b) => far(a) - far(b));
    let count = 0;
    const kept = nearest.filter(({ from, to }) => {
      count += to - from;
      return count <= most;
    });
    this.#pieces = kept.sort((a, b) => a.start - b.start);
  }
}

/** The part of a piece that ends at an offset; empty (`end <= start`) if there is none. */
function before(piece: Piece, offset: number): Piece {
  if (piece.end <= offset) return piece;
  let to = piece.from;
  while (to < piece.to && (piece.reading.tokens[to] as TokenSpan).end + piece.shift <= offset) to++;
  return { ...piece, end: offset, to };
}

/** The part that starts at an offset. */
function after(piece: Piece, offset: number): Piece {
  if (piece.start >= offset) return piece;
  let from = piece.from;
  while (from < piece.to && (piece.reading.tokens[from] as TokenSpan).start + piece.shift < offset) from++;
  return { ...piece, start: offset, from };
}

const moved = (piece: Piece, by: number): Piece => ({
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
