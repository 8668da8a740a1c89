/**
 * Byte-level byte-pair encoding, as in GPT-2: the text is split into words and each word into its UTF-8 bytes, which are
 * merged in the order in which the merges were learned.
 *
 *     merges [["t", "h"], ["th", "e"]]:  "the" -> t h e -> th e -> the
 */

import { bytesToCharacters, charactersToBytes } from "./bytes";
import { nextCut } from "./cuts";
import { cached, idTable, lazy, type Merge, merger } from "./merges";
import { type TokenModel, UNKNOWN } from "./model";
import { BYTE_LEVEL, type Split, splitsDivide, splitText } from "./splits";

const utf8 = new TextEncoder();

export interface BytePairOptions {
  /** How a text is split into words; GPT-2's way by default. */
  readonly splits?: readonly Split[];
  /** A word in the vocabulary becomes that token, whatever the merges would produce. */
  readonly ignoreMerges?: boolean;
}

export function bytePairModel(
  vocabulary: readonly string[],
  merges: readonly Merge[],
  { splits = [BYTE_LEVEL], ignoreMerges = false }: BytePairOptions = {},
): TokenModel {
  const idOf = idTable(vocabulary);
  const merge = merger(idOf, merges);
  // Some bytes never occur in UTF-8; a vocabulary may lack them.
  const byteIds = Int32Array.from(
    { length: 256 },
    (_, byte) => idOf.get(bytesToCharacters(Uint8Array.of(byte))) ?? UNKNOWN,
  );
  const bytes = lazy((id) => {
    const token = vocabulary[id] ?? "";
    return charactersToBytes(token) ?? utf8.encode(token);
  });

  const wordIds = cached((word) => {
    const bytes = utf8.encode(word);
    const whole = ignoreMerges ? idOf.get(bytesToCharacters(bytes)) : undefined;
    return whole === undefined
      ? merge(Int32Array.from(bytes, (byte) => byteIds[byte] as number))
      : Int32Array.of(whole);
  });

  return {
    kind: "bytePairs",
    vocabulary,
    merges,
    bytes,
    encode(text, ids) {
      splitText(splits, text, (from, to) => {
        for (const id of wordIds(text.slice(from, to))) ids.push(id);
      });
    },
    count(text) {
      let n = 0;
      splitText(splits, text, (from, to) => {
        n += wordIds(text.slice(from, to)).length;
      });
      return n;
    },
    spans(text, offset, spans) {
      splitText(splits, text, (from, to) => {
        const word = text.slice(from, to);
        const starts = characterStarts(word);
        const start = offset + from;
        let byte = 0;
        for (const id of wordIds(word)) {
          const own = id === UNKNOWN ? utf8.encode(word).subarray(byte, byte + 1) : bytes(id);
          const last = byte + own.length - 1;
          const range = {
            start: start + (starts[byte] as number),
            end: start + characterEnd(starts, last, word.length),
          };
          spans.push({ id, token: vocabulary[id] ?? bytesToCharacters(own), ...range, special: false, bytes: own });
          byte += own.length;
        }
      });
    },
    next: (text, from) => nextCut(text, from, (left, right) => splitsDivide(splits, left, right)),
  };
}

/** The UTF-16 offset of the character that each byte of a word belongs to. */
function characterStarts(word: string): Int32Array {
  const starts: number[] = [];
  let at = 0;
  for (const character of word) {
    const code = character.codePointAt(0) as number;
    const bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (let i = 0; i < bytes; i++) starts.push(at);
    at += character.length;
  }
  return Int32Array.from(starts);
}

/** The UTF-16 offset where the character of a byte ends. */
function characterEnd(starts: Int32Array, byte: number, length: number): number {
  const start = starts[byte];
  for (let i = byte + 1; i < starts.length; i++) if (starts[i] !== start) return starts[i] as number;
  return length;
}
