/** The interface of all kinds of tokenizers. */

import type { TokenizerKind } from "../api/model";
import type { TokenSpan } from "../api/tokens";
import type { Cuts } from "./cuts";
import type { Merge } from "./merges";

const utf8 = new TextEncoder();

/** The id of a character outside a vocabulary that has no unknown token. */
export const UNKNOWN = -1;

/** One kind of tokenizer. Its texts contain no added tokens and no lone surrogates. */
export interface TokenModel extends Cuts {
  readonly kind: TokenizerKind;
  /** Tokens by id, as written in tokenizer.json. */
  readonly vocabulary: readonly string[];
  /** The merges of byte pairs, in the order learned; empty for other kinds. */
  readonly merges: readonly Merge[];
  /** Returns the bytes of a token. */
  bytes(id: number): Uint8Array;
  /** Appends the ids, `UNKNOWN` for characters without one. */
  encode(text: string, ids: number[]): void;
  count(text: string): number;
  /** Appends the spans, with `offset` added to `start` and `end`. */
  spans(text: string, offset: number, spans: TokenSpan[]): void;
}

/** The span of a token whose vocabulary entry is its text. */
export function textSpan(id: number, text: string, start: number, special = false): TokenSpan {
  return { id, token: text, start, end: start + text.length, special, bytes: utf8.encode(text) };
}
