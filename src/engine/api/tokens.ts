/** Tokens: of a text, of a vocabulary, and ranked by a distribution over the vocabulary. */

/** A token and the span of text it stands for. */
export interface TokenSpan {
  /** `UNKNOWN` (-1) where a document has a character that the vocabulary lacks. */
  readonly id: number;
  /** As the vocabulary writes it. */
  readonly token: string;
  /**
   * UTF-16 offsets of the whole characters that the token has bytes of: tokens that share a character overlap.
   * Equal for tokens that stand for no text: special tokens, and the space that some tokenizers add before a text.
   */
  readonly start: number;
  readonly end: number;
  readonly special: boolean;
  /** The token's bytes in UTF-8, possibly part of a character. All tokens' bytes concatenate to the normalized text. */
  readonly bytes: Uint8Array;
}

export interface VocabularyToken {
  readonly id: number;
  /** Its text in the vocabulary. */
  readonly token: string;
}

export interface RankedToken extends VocabularyToken {
  /** Its text in UTF-8, possibly part of a character; empty for a special token. */
  readonly bytes: Uint8Array;
  readonly probability: number;
  /** 1 is the most likely; among equally likely tokens the lower id comes first. */
  readonly rank: number;
}

/** A next-token distribution. */
export interface NextToken {
  /** The most likely tokens, the most likely first. */
  readonly top: readonly RankedToken[];
  /** Entropy over the whole vocabulary. */
  readonly entropyBits: number;
}

export interface FoundTokens {
  readonly found: readonly RankedToken[];
  /** Number of matches, including those beyond the requested count. */
  readonly matches: number;
}
