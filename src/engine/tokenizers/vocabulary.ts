/** Tokenizers whose tokens are pieces of text looked up in a table: characters, words, and the fixed vocabularies of tasks. */

import type { TokenizerKind } from "../api/model";
import { idTable } from "./merges";
import { type TokenModel, textSpan, UNKNOWN } from "./model";

const utf8 = new TextEncoder();

/**
 * A word or a number with the space before it, a punctuation mark with the space before it, or a character of white space:
 * `"Hi, you two!\n"` -> `"Hi" "," " you" " two" "!" "\n"`.
 */
export const WORD_PATTERN = String.raw` ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{M}\p{N}]|\p{White_Space}`;

/** One token for each Unicode code point. `unkId` is what other characters become, if they become anything. */
export function characterModel(
  kind: Extract<TokenizerKind, "characters" | "fixed">,
  vocabulary: readonly string[],
  unkId: number | null,
): TokenModel {
  const idOf = idTable(vocabulary);
  const unknown = unkId ?? UNKNOWN;
  // Nearly all characters are one UTF-16 unit, and a table is several times as fast as a map.
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
      // The second half of each pair is not a character of its own.
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
    // White space is only ever the first character of a token.
    next: (text, from) => nextMatch(/(?<=\P{White_Space})\p{White_Space}/gu, text, from),
  };
}

/** The first match at or after `from`, or the text's length. */
export function nextMatch(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = isInsideCharacter(text, from) ? from + 1 : from;
  return pattern.exec(text)?.index ?? text.length;
}

/** The first place at or after `from`, and after the start, between two characters for which `divides` is true. */
export function nextPlace(text: string, from: number, divides: (left: string, right: string) => boolean): number {
  for (let at = Math.max(from, 1); at < text.length; at++) {
    if (isInsideCharacter(text, at)) continue;
    const left = text.slice(isInsideCharacter(text, at - 1) ? at - 2 : at - 1, at);
    if (divides(left, String.fromCodePoint(text.codePointAt(at) as number))) return at;
  }
  return text.length;
}

function isInsideCharacter(text: string, at: number): boolean {
  const isLow = (text.charCodeAt(at) & 0xfc00) === 0xdc00;
  return isLow && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800;
}
