/**
 * Byte-level byte-pair encoding, as GPT-2's: the text is split into words, each word into its UTF-8 bytes, and the bytes
 * are merged, the pair that was learned first before the others.
 *
 *     merges [["t", "h"], ["th", "e"]]:  "the" -> t h e -> th e -> the
 */

import { EngineError } from "../errors";
import { bytesToCharacters, charactersToBytes } from "./bytes";
import { Heap } from "./heap";
import type { Merge, TokenModel } from "./tokenizer";
import { nextMatch } from "./vocabulary";

/** GPT-2's. `\s` in JavaScript differs from Unicode's white space (U+0085, U+FEFF), which the original means. */
export const BYTE_PAIR_PATTERN =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/**
 * No match of the pattern goes from a letter to anything else, from a number to anything else, or from other text to white
 * space, and the one look-ahead is at the end of white space. So what is left of such a place is split as if the text
 * ended there, and what is right of it as if the text began there.
 */
export const BYTE_PAIR_CUT = /(?<=\p{L})\P{L}|(?<=\p{N})\P{N}|(?<=\P{White_Space})\p{White_Space}/gu;

const utf8 = new TextEncoder();

/** How many words keep their ids; a text has few different ones. */
const CACHED_WORDS = 200_000;
/** Longer words are rarely seen twice. */
const CACHED_LENGTH = 64;

export function bytePairModel(vocabulary: readonly string[], merges: readonly Merge[]): TokenModel {
  const merge = merger(vocabulary, merges);
  const byteIds = byteTable(vocabulary);
  const tokenBytes = vocabulary.map((token) => charactersToBytes(token) ?? utf8.encode(token));
  const cache = new Map<string, Int32Array>();

  const wordIds = (word: string): Int32Array => {
    const known = cache.get(word);
    if (known) return known;
    const ids = merge(Int32Array.from(utf8.encode(word), (byte) => byteIds[byte] as number));
    if (cache.size >= CACHED_WORDS) cache.clear();
    if (word.length <= CACHED_LENGTH) cache.set(word, ids);
    return ids;
  };

  return {
    kind: "bytePairs",
    vocabulary,
    merges,
    bytes: (id) => tokenBytes[id] ?? new Uint8Array(),
    encode(text, ids) {
      for (const word of words(text)) for (const id of wordIds(word)) ids.push(id);
    },
    count(text) {
      let n = 0;
      for (const word of words(text)) n += wordIds(word).length;
      return n;
    },
    spans(text, offset, spans) {
      let start = offset;
      for (const word of words(text)) {
        const starts = characterStarts(word);
        let byte = 0;
        for (const id of wordIds(word)) {
          const bytes = tokenBytes[id] as Uint8Array;
          const last = byte + bytes.length - 1;
          spans.push({
            id,
            token: vocabulary[id] as string,
            start: start + (starts[byte] as number),
            end: start + characterEnd(starts, last, word.length),
            special: false,
            bytes,
          });
          byte += bytes.length;
        }
        start += word.length;
      }
    },
    next: (text, from) => nextMatch(BYTE_PAIR_CUT, text, from),
  };
}

function* words(text: string): Generator<string> {
  for (const [word] of text.matchAll(BYTE_PAIR_PATTERN)) yield word;
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

function byteTable(vocabulary: readonly string[]): Int32Array {
  const idOf = new Map(vocabulary.map((token, id) => [token, id]));
  return Int32Array.from({ length: 256 }, (_, byte) => {
    const id = idOf.get(bytesToCharacters(Uint8Array.of(byte)));
    if (id === undefined) {
      throw new EngineError(
        "tokenizer",
        `tokenizer.json: the vocabulary has no token for the byte ${byte}; take the file from its source again.`,
      );
    }
    return id;
  });
}

/** Merges a word's ids until no pair of neighbours is among the merges: lowest rank first, then from the left. */
function merger(vocabulary: readonly string[], merges: readonly Merge[]): (word: Int32Array) => Int32Array {
  const idOf = new Map(vocabulary.map((token, id) => [token, id]));
  const V = vocabulary.length;
  const id = (token: string): number => {
    const known = idOf.get(token);
    if (known !== undefined) return known;
    throw new EngineError(
      "tokenizer",
      `tokenizer.json: a merge has ${JSON.stringify(token)}, which is not in the vocabulary; take the file from its source again.`,
    );
  };

  const rankOf = new Map<number, number>();
  const merged = new Int32Array(merges.length);
  merges.forEach(([left, right], rank) => {
    const pair = id(left) * V + id(right);
    if (!rankOf.has(pair)) rankOf.set(pair, rank);
    merged[rank] = id(left + right);
  });

  return (ids) => {
    const n = ids.length;
    const next = Int32Array.from(ids, (_, i) => i + 1);
    const previous = Int32Array.from(ids, (_, i) => i - 1);
    const heap = new Heap<{ rank: number; i: number }>((a, b) => (a.rank === b.rank ? a.i < b.i : a.rank < b.rank));
    const rankAt = (i: number): number | undefined => {
      const j = next[i] as number;
      return j < n ? rankOf.get((ids[i] as number) * V + (ids[j] as number)) : undefined;
    };
    const offer = (i: number): void => {
      const rank = rankAt(i);
      if (rank !== undefined) heap.push({ rank, i });
    };

    for (let i = 0; i < n; i++) offer(i);
    for (let top = heap.pop(); top; top = heap.pop()) {
      const { rank, i } = top;
      // Stale: one of the two has been merged since.
      if (ids[i] === GONE || rankAt(i) !== rank) continue;

      const j = next[i] as number;
      ids[i] = merged[rank] as number;
      ids[j] = GONE;
      next[i] = next[j] as number;
      if ((next[i] as number) < n) previous[next[i] as number] = i;
      offer(i);
      if ((previous[i] as number) >= 0) offer(previous[i] as number);
    }
    return ids.filter((x) => x !== GONE);
  };
}

const GONE = -1;
