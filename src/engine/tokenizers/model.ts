/** What one kind of tokenizer implements: see `createTokenizer` for what all kinds share. */

import type { TokenizerKind } from "../api/model";
import type { TokenSpan } from "../api/tokens";

/** The id of a character that the vocabulary does not have and has no unknown token for. */
export const UNKNOWN = -1;

/** Two tokens that become one. */
export type Merge = readonly [left: string, right: string];

/** Where a text may be cut so that the tokens of the parts are the tokens of the whole. */
export interface Cuts {
  /** The first such place at or after `from`; the text's length where there is none. */
  next(text: string, from: number): number;
}

/** What one kind of tokenizer does with text in which no added token occurs and no surrogate is alone. */
export interface TokenModel extends Cuts {
  readonly kind: TokenizerKind;
  /** By id, as tokenizer.json writes them. */
  readonly vocabulary: readonly string[];
  /** Of byte pairs, those learned first before the others; the other kinds have none. */
  readonly merges: readonly Merge[];
  /** The bytes a token stands for. */
  bytes(id: number): Uint8Array;
  /** Appends the ids; `UNKNOWN` where there is none. */
  encode(text: string, ids: number[]): void;
  count(text: string): number;
  /** Appends the spans, `start` and `end` counted from `offset`. */
  spans(text: string, offset: number, spans: TokenSpan[]): void;
}

const utf8 = new TextEncoder();

/** A token that is written as the text it stands for. */
export function textSpan(id: number, text: string, start: number, special = false): TokenSpan {
  return { id, token: text, start, end: start + text.length, special, bytes: utf8.encode(text) };
}
