/** Tokenizers that look up pieces of text in a table: characters, words, and the fixed vocabularies of tasks. */

import type { TokenizerKind } from "../api/model";
import { isInsideCharacter, nextCut, nextMatch } from "./cuts";
import { idTable } from "./merges";
import { type TokenModel, textSpan, UNKNOWN } from "./model";
import { type Split, splitsDivide, splitText } from "./splits";

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

interface WordOptions {
  /** How a text is split into words; by `WORD_PATTERN` by default. */
  readonly splits?: readonly Split[];
  /** A token's text, if it differs from the token. */
  readonly textOf?: (token: string) => string;
}

/** One token for each word. */
export function wordModel(
  vocabulary: readonly string[],
  unkId: number | null,
  { splits, textOf = (token) => token }: WordOptions = {},
): TokenModel {
  const idOf = idTable(vocabulary);
  const unknown = unkId ?? UNKNOWN;
  const pattern = new RegExp(WORD_PATTERN, "gu");
  const eachWord = (text: string, emit: (word: string, start: number) => void): void => {
    if (splits) splitText(splits, text, (start, end) => emit(text.slice(start, end), start));
    else for (const { 0: word, index } of text.matchAll(pattern)) emit(word, index);
  };

  return {
    kind: "words",
    vocabulary,
    merges: [],
    bytes: (id) => utf8.encode(textOf(vocabulary[id] ?? "")),
    encode(text, ids) {
      eachWord(text, (word) => ids.push(idOf.get(word) ?? unknown));
    },
    count(text) {
      let n = 0;
      eachWord(text, () => n++);
      return n;
    },
    spans(text, offset, spans) {
      eachWord(text, (word, start) => spans.push(textSpan(idOf.get(word) ?? unknown, word, offset + start)));
    },
    next: (text, from) =>
      splits
        ? nextCut(text, from, (left, right) => splitsDivide(splits, left, right))
        : // White space can only be the first character of a token.
          nextMatch(/(?<=\P{White_Space})\p{White_Space}/gu, text, from),
  };
}
