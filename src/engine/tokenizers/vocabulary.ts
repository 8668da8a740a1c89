/** Tokenizers that look up pieces of text in a table: characters, words, and the fixed vocabularies of tasks. */

import type { TokenizerKind } from "../api/model";
import { isInsideCharacter, nextMatch } from "./cuts";
import { idTable } from "./merges";
import { type TokenModel, textSpan, UNKNOWN } from "./model";

const utf8 = new TextEncoder();

/**
 * A word, number or punctuation mark with the space before it, or a white space character:
 * `"Hi, you two!\n"` -> `"Hi" "," " you" " two" "!" "\n"`.
 */
export const WORD_PATTERN = String.raw` ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{M}\p{N}]|\p{White_Space}`;

/** One token for each Unicode code point. Other characters become `unkId`, or `UNKNOWN` if it is null. */
export function characterModel(
  kind: Extract<TokenizerKind, "characters" | "fixed">,
  vocabulary: readonly string[],
  unkId: number | null,
): TokenModel {
  const idOf = idTable(vocabulary);
  const unknown = unkId ?? UNKNOWN;
  // Nearly all characters are one UTF-16 unit, and a table is several times faster than a map.
  const idOfUnit = Int32Array.from({ length: 0x10000 }, (_, unit) => idOf.get(String.fromCharCode(unit)) ?? unknown);

  return {
    kind,
    vocabulary,
    merges: [],
    bytes: (id) => utf8.encode(vocabulary[id] ?? ""),
    encode(text, ids) {
      for (let i = 0; i < text.length; i++) {
        const unit = text.charCodeAt(i);
        if ((unit & 0xfc00) !== 0xd800) ids.push(idOfUnit[unit] as number);
        else ids.push(idOf.get(text.slice(i, ++i + 1)) ?? unknown);
      }
    },
    count(text) {
      let n = text.length;
      // A low surrogate is not a character of its own.
      for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) n--;
      return n;
    },
    spans(text, offset, spans) {
      let start = offset;
      for (const character of text) {
        spans.push(textSpan(idOf.get(character) ?? unknown, character, start));
        start += character.length;
      }
    },
    next: (text, from) => (isInsideCharacter(text, from) ? from + 1 : from),
  };
}

/** One token for each match of `WORD_PATTERN`. */
export function wordModel(vocabulary: readonly string[], unkId: number | null): TokenModel {
  const idOf = idTable(vocabulary);
  const unknown = unkId ?? UNKNOWN;
  const pattern = new RegExp(WORD_PATTERN, "gu");

  return {
    kind: "words",
    vocabulary,
    merges: [],
    bytes: (id) => utf8.encode(vocabulary[id] ?? ""),
    encode(text, ids) {
      for (const [word] of text.matchAll(pattern)) ids.push(idOf.get(word) ?? unknown);
    },
    count(text) {
      let n = 0;
      for (const _ of text.matchAll(pattern)) n++;
      return n;
    },
    spans(text, offset, spans) {
      for (const { 0: word, index } of text.matchAll(pattern)) {
        spans.push(textSpan(idOf.get(word) ?? unknown, word, offset + index));
      }
    },
    // White space can only be the first character of a token.
    next: (text, from) => nextMatch(/(?<=\P{White_Space})\p{White_Space}/gu, text, from),
  };
}
