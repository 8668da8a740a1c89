/**
 * Byte-pair encoding over characters, as SentencePiece does it for Llama, Mistral and Gemma: a character outside the
 * vocabulary becomes its UTF-8 bytes (`<0xE2>`), or the unknown token if there are no byte tokens.
 *
 * This encoding does not require words, but the text is still split wherever no merge can join two characters. Long
 * texts are then not merged as a whole, and the result of a repeated word can be cached.
 */

import type { TokenSpan } from "../api/tokens";
import { nextCut } from "./cuts";
import { cached, idTable, lazy, type Merge, merger } from "./merges";
import { type TokenModel, UNKNOWN } from "./model";
import { unsupported } from "./refusals";
import { type Split, splitsDivide, splitText } from "./splits";

const utf8 = new TextEncoder();
const BYTE_TOKEN = /^<0x([0-9A-F]{2})>$/;

export interface CharacterPairOptions {
  readonly splits: readonly Split[];
  readonly ignoreMerges: boolean;
  readonly byteFallback: boolean;
  /** The id of characters outside the vocabulary. */
  readonly unkId: number | null;
  /** Consecutive unknown characters become one unknown token. */
  readonly fuseUnknown: boolean;
  /** Turns a token into its text, such as `▁` into a space. */
  readonly textOf: (token: string) => string;
}

export function characterPairModel(
  vocabulary: readonly string[],
  merges: readonly Merge[],
  { splits, ignoreMerges, byteFallback, unkId, fuseUnknown, textOf }: CharacterPairOptions,
): TokenModel {
  const idOf = idTable(vocabulary);
  const merge = merger(idOf, merges);
  if (byteFallback && merges.some((pair) => pair.some((token) => BYTE_TOKEN.test(token)))) {
    throw unsupported("a merge of byte tokens");
  }
  const followers = followersIn(merges);
  const byteIds = byteFallback ? byteTokens(idOf) : null;
  const isUnknown = (character: string) => !idOf.has(character) && !byteIds;
  const joins = (left: string, right: string): boolean =>
    followers.get(left.codePointAt(0) as number)?.has(right.codePointAt(0) as number) ||
    (fuseUnknown && isUnknown(left) && isUnknown(right));

  /** The ids of a word before merging. */
  const symbols = (word: string): number[] => {
    const ids: number[] = [];
    let wasUnknown = false;
    for (const character of word) {
      const id = idOf.get(character);
      const unknown = id === undefined && !byteIds;
      if (id !== undefined) ids.push(id);
      else if (byteIds) for (const byte of utf8.encode(character)) ids.push(byteIds[byte] as number);
      else if (!(wasUnknown && fuseUnknown)) ids.push(unkId ?? UNKNOWN);
      wasUnknown = unknown;
    }
    return ids;
  };
  const wordIds = cached((word) => merge(Int32Array.from(symbols(word))));

  /** Emits the words of a text with their ids. */
  const words = (text: string, emit: (word: string, start: number, ids: Int32Array) => void): void =>
    splitText(splits, text, (from, to) => {
      const piece = text.slice(from, to);
      const whole = ignoreMerges ? idOf.get(piece) : undefined;
      if (whole !== undefined) emit(piece, from, Int32Array.of(whole));
      else {
        eachWord(piece, joins, (start, end) => {
          const word = piece.slice(start, end);
          emit(word, from + start, wordIds(word));
        });
      }
    });

  const bytesOf = (token: string): Uint8Array => {
    const byte = byteFallback ? BYTE_TOKEN.exec(token) : null;
    if (byte) return Uint8Array.of(Number.parseInt(byte[1] as string, 16));
    return utf8.encode(textOf(token));
  };
  const tokenBytes = lazy((id) => bytesOf(vocabulary[id] ?? ""));

  return {
    kind: "bytePairs",
    vocabulary,
    merges,
    bytes: tokenBytes,
    encode(text, ids) {
      words(text, (_word, _start, found) => {
        for (const id of found) ids.push(id);
      });
    },
    count(text) {
      let n = 0;
      words(text, (_word, _start, found) => {
        n += found.length;
      });
      return n;
    },
    spans(text, offset, spans) {
      words(text, (word, start, found) => {
        let at = 0;
        for (let k = 0; k < found.length; ) {
          const character = String.fromCodePoint(word.codePointAt(at) as number);
          const span = (id: number, end: number, token = vocabulary[id], bytes = tokenBytes(id)): TokenSpan => ({
            id,
            token: token as string,
            start: offset + start + at,
            end: offset + start + end,
            special: false,
            bytes,
          });
          // A token that is a whole word need not begin with a character of the vocabulary.
          if (idOf.has(character) || (found.length === 1 && vocabulary[found[0] as number] === word)) {
            const id = found[k++] as number;
            const end = at + (vocabulary[id] as string).length;
            spans.push(span(id, end));
            at = end;
          } else if (byteIds) {
            const end = at + character.length;
            for (const _ of utf8.encode(character)) spans.push(span(found[k++] as number, end));
            at = end;
          } else {
            let end = at + character.length;
            while (fuseUnknown && end < word.length) {
              const next = String.fromCodePoint(word.codePointAt(end) as number);
              if (!isUnknown(next)) break;
              end += next.length;
            }
            const unknown = word.slice(at, end);
            spans.push(span(found[k++] as number, end, unknown, utf8.encode(unknown)));
            at = end;
          }
        }
      });
    },
    next: (text, from) =>
      nextCut(text, from, (left, right) => {
        if (splitsDivide(splits, left, right)) return true;
        // With ignoreMerges, a word can be one token although no merge joins its characters.
        return !ignoreMerges && !splits.some((split) => split.joins(left, right)) && !joins(left, right);
      }),
  };
}

/** The characters that a merge can put after each character. */
function followersIn(merges: readonly Merge[]): Map<number, Set<number>> {
  const followers = new Map<number, Set<number>>();
  for (const [left, right] of merges) {
    const last = lastCodePoint(left);
    const known = followers.get(last);
    if (known) known.add(right.codePointAt(0) as number);
    else followers.set(last, new Set([right.codePointAt(0) as number]));
  }
  return followers;
}

function lastCodePoint(text: string): number {
  const isPair = text.length > 1 && (text.charCodeAt(text.length - 1) & 0xfc00) === 0xdc00;
  return text.codePointAt(text.length - (isPair ? 2 : 1)) as number;
}

/** The ids of `<0x00>` to `<0xFF>`; null if one that UTF-8 needs is missing, because then byte tokens are not used. */
function byteTokens(idOf: ReadonlyMap<string, number>): Int32Array | null {
  const hex = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
  const ids = Int32Array.from({ length: 256 }, (_, byte) => idOf.get(hex(byte)) ?? UNKNOWN);
  const missing = ids.some((id, byte) => id === UNKNOWN && isNeeded(byte));
  return missing ? null : ids;
}

/** C0, C1 and F5 to FF never occur in UTF-8. */
const isNeeded = (byte: number) => byte < 0xc0 || (byte > 0xc1 && byte < 0xf5);

/** Emits the parts of a piece that no merge can join. */
function eachWord(
  piece: string,
  joins: (left: string, right: string) => boolean,
  emit: (start: number, end: number) => void,
): void {
  let start = 0;
  let at = 0;
  let before = "";
  for (const character of piece) {
    if (at > start && !joins(before, character)) {
      emit(start, at);
      start = at;
    }
    at += character.length;
    before = character;
  }
  if (at > start) emit(start, at);
}
