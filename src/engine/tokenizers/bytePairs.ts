/**
 * Byte-level byte-pair encoding, as GPT-2's: the text is split into words, each word into its UTF-8 bytes, and the bytes
 * are merged, the pair that was learned first before the others.
 *
 *     merges [["t", "h"], ["th", "e"]]:  "the" -> t h e -> th e -> the
 */

import { bytesToCharacters, charactersToBytes } from "./bytes";
import { cached, idTable, merger, remembered } from "./merges";
import { type Merge, type TokenModel, UNKNOWN } from "./model";
import { BYTE_LEVEL, type Split, splitsDivide, splitText } from "./splits";
import { nextPlace } from "./vocabulary";

const utf8 = new TextEncoder();

export interface BytePairOptions {
  /** How a text is split into words; GPT-2's way where nothing is said. */
  readonly splits?: readonly Split[];
  /** Whether a word that is a token is that token, whatever the merges make of it. */
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
  const bytes = remembered((id) => {
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
          const place = {
            start: start + (starts[byte] as number),
            end: start + characterEnd(starts, last, word.length),
          };
          spans.push({ id, token: vocabulary[id] ?? bytesToCharacters(own), ...place, special: false, bytes: own });
          byte += own.length;
        }
      });
    },
    next: (text, from) => nextPlace(text, from, (left, right) => splitsDivide(splits, left, right)),
  };
}

/** For each byte of a word, the UTF-16 offset of the character it belongs to. */
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

/** Where the character of a byte ends. */
function characterEnd(starts: Int32Array, byte: number, length: number): number {
  const start = starts[byte];
  for (let i = byte + 1; i < starts.length; i++) if (starts[i] !== start) return starts[i] as number;
  return length;
}
