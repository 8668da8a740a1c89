/** The next-token distribution as it is shown: always over the whole vocabulary. */

import type { NextToken, RankedToken } from "../../../src/protocol/engineApi";
import { tokenLabel, typedText } from "../tokens/layout";

export interface ShownToken {
  readonly id: number;
  readonly label: string;
  readonly probability: number;
  /** 1 is the most likely. */
  readonly rank: number;
}

export interface Distribution {
  readonly top: readonly ShownToken[];
  /** The tokens that are not in `top`, together. */
  readonly rest: { readonly count: number; readonly probability: number };
  readonly entropyBits: number;
  /** The entropy if every token were as likely as any other. */
  readonly maxEntropyBits: number;
}

/** The `count` most likely tokens, what is left of the vocabulary, and the entropy. */
export function distribution({ top: known, entropyBits }: NextToken, vocabSize: number, count: number): Distribution {
  const top = known.slice(0, count).map(shownToken);
  const covered = top.reduce((sum, { probability }) => sum + probability, 0);
  return {
    top,
    rest: { count: vocabSize - top.length, probability: Math.max(0, 1 - covered) },
    entropyBits,
    maxEntropyBits: Math.log2(vocabSize),
  };
}

export const shownToken = (token: RankedToken): ShownToken => ({
  id: token.id,
  label: tokenLabel({ ...token, special: token.bytes.length === 0 }),
  probability: token.probability,
  rank: token.rank,
});

/** What to search for: an id (`#12`), or text, typed as it is or with the glyphs that tokens are shown with. */
export const searched = (typed: string): string => (/^#\d+$/.test(typed) ? typed : typedText(typed));
