import type { ScoredToken } from "./scores";

/** The lowest surprisal of each color, in bits: probabilities of 1/8, 1/64, 1/512 and 1/4096. */
export const STEPS = [3, 6, 9, 12] as const;

/** The 0-based step of a surprisal; -1 for an expected token. */
export const stepOf = (bits: number): number => STEPS.findLastIndex((step) => bits >= step);

/** The source range of a token, or of tokens that share a character, with the sum of their bits. */
export interface Shaded {
  readonly start: number;
  readonly end: number;
  readonly bits: number;
}

/** Skips tokens without a surprisal. */
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

/** The ranges of tokens that are not in the vocabulary; those side by side are one range. */
export function unknownOf(tokens: Iterable<ScoredToken>): Omit<Shaded, "bits">[] {
  const ranges: { start: number; end: number }[] = [];
  for (const { start, end, span } of tokens) {
    if (span.id >= 0) continue;
    const last = ranges.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else ranges.push({ start, end });
  }
  return ranges;
}

/** The most surprising ranges of the highest step, at most `maxCount`. */
export const peaksOf = (shaded: readonly Shaded[], maxCount: number): Shaded[] =>
  shaded
    .filter(({ bits }) => stepOf(bits) === STEPS.length - 1)
    .sort((a, b) => b.bits - a.bits)
    .slice(0, maxCount);

/** The information content of a text for the model. */
export interface Cost {
  readonly bits: number;
  readonly bytes: number;
  /** Number of tokens without a surprisal, which do not count in `bits` and `bytes`. */
  readonly unscored: number;
  /** Number of those that are not in the vocabulary. */
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
