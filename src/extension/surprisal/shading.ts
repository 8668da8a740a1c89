/** From scored tokens to what is colored: pure. */

import type { ScoredToken } from "./scores";

/** Bits from which on each of the four colors is used: 1 in 8, 1 in 64, 1 in 512, 1 in 4096. Below, a token was expected. */
export const STEPS = [3, 6, 9, 12] as const;

/** The step of a surprisal, from 0; -1 of what was expected. */
export const stepOf = (bits: number): number => STEPS.findLastIndex((step) => bits >= step);

/** Tokens of one place in the text: a token, or those that share a character. Their bits add up. */
export interface Shaded {
  readonly start: number;
  readonly end: number;
  readonly bits: number;
}

/** NaN is no number of bits: what was not expected by anything is left out. */
export function shadedOf(tokens: Iterable<ScoredToken>): Shaded[] {
  const shaded: { start: number; end: number; bits: number }[] = [];
  for (const { start, end, surprisal } of tokens) {
    if (Number.isNaN(surprisal)) continue;
    const last = shaded.at(-1);
    if (last && start < last.end) {
      last.end = Math.max(last.end, end);
      last.bits += surprisal;
    } else shaded.push({ start, end, bits: surprisal });
  }
  return shaded;
}

/** The most surprising places, at most `most`, of the highest step. */
export const peaksOf = (shaded: readonly Shaded[], most: number): Shaded[] =>
  shaded
    .filter(({ bits }) => stepOf(bits) === STEPS.length - 1)
    .sort((a, b) => b.bits - a.bits)
    .slice(0, most);

/** What a text cost the model. */
export interface Cost {
  readonly bits: number;
  readonly bytes: number;
  /** Tokens that are in neither: of the vocabulary's none, or with nothing before them. */
  readonly unscored: number;
  /** Those of them that the vocabulary lacks. */
  readonly unknown: number;
}

export function costOf(tokens: Iterable<ScoredToken>): Cost {
  let [bits, bytes, unscored, unknown] = [0, 0, 0, 0];
  for (const { span, surprisal } of tokens) {
    if (Number.isNaN(surprisal)) {
      unscored++;
      if (span.id < 0) unknown++;
      continue;
    }
    bits += surprisal;
    bytes += span.bytes.length;
  }
  return { bits, bytes, unscored, unknown };
}
