/** The merges of byte-pair encoding: which two neighbors become one token, and which pair comes before which. */

import { Heap } from "./heap";
import type { Merge } from "./model";
import { damaged, shown } from "./refusals";

/** The ids of tokens by what the vocabulary calls them. Gaps in a vocabulary are empty and stand for no text. */
export function idTable(vocabulary: readonly string[]): Map<string, number> {
  const ids = new Map<string, number>();
  vocabulary.forEach((token, id) => {
    if (token) ids.set(token, id);
  });
  return ids;
}

/** Merges a word's ids until no pair of neighbors is among the merges: lowest rank first, then from the left. */
export function merger(idOf: ReadonlyMap<string, number>, merges: readonly Merge[]): (word: Int32Array) => Int32Array {
  const id = (token: string): number => {
    const known = idOf.get(token);
    if (known !== undefined) return known;
    throw damaged(`a merge has ${shown(token)}, which is not in the vocabulary`);
  };
  const ranks = new PairTable(merges.length);
  const merged = new Int32Array(merges.length);
  merges.forEach(([left, right], rank) => {
    ranks.set(id(left), id(right), rank);
    merged[rank] = id(left + right);
  });

  return (ids) => {
    const n = ids.length;
    const next = Int32Array.from(ids, (_, i) => i + 1);
    const previous = Int32Array.from(ids, (_, i) => i - 1);
    // Rank and place in one number: by rank, then from the left.
    const heap = new Heap<number>((a, b) => a < b);
    const rankAt = (i: number): number => {
      const j = next[i] as number;
      return j < n ? ranks.get(ids[i] as number, ids[j] as number) : NONE;
    };
    const offer = (i: number): void => {
      const rank = rankAt(i);
      if (rank !== NONE) heap.push(rank * PLACES + i);
    };

    for (let i = 0; i < n; i++) offer(i);
    for (let top = heap.pop(); top !== undefined; top = heap.pop()) {
      const i = top % PLACES;
      const rank = (top - i) / PLACES;
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

const GONE = -2;
const NONE = -1;
/** More than a word has ids. */
const PLACES = 2 ** 31;

/** A hash table from pairs of ids to ranks: a Map would need a key for each pair, which takes longer to make than to find. */
class PairTable {
  readonly #mask: number;
  /** Left, right and rank plus one, one after the other; a rank of 0 is a free place. */
  readonly #entries: Int32Array;

  constructor(size: number) {
    const places = 2 ** Math.ceil(Math.log2(2 * size + 2));
    this.#mask = places - 1;
    this.#entries = new Int32Array(3 * places);
  }

  /** Of equal pairs the last counts, as in the reference. */
  set(left: number, right: number, rank: number): void {
    const at = this.#find(left, right);
    this.#entries[at] = left;
    this.#entries[at + 1] = right;
    this.#entries[at + 2] = rank + 1;
  }

  get(left: number, right: number): number {
    return (this.#entries[this.#find(left, right) + 2] as number) - 1;
  }

  /** Where a pair is, or the free place where it would be. */
  #find(left: number, right: number): number {
    const entries = this.#entries;
    let place = Math.imul(Math.imul(left, 0x9e3779b1) ^ right, 0x85ebca6b);
    for (place ^= place >>> 15; ; place++) {
      const at = 3 * (place & this.#mask);
      if (entries[at + 2] === 0 || (entries[at] === left && entries[at + 1] === right)) return at;
    }
  }
}

/** How many words keep their ids; a text has few different ones. */
const CACHED_WORDS = 200_000;
/** Longer words are rarely seen twice. */
const CACHED_LENGTH = 64;

/** Remembers what short words become. */
export function cached(wordIds: (word: string) => Int32Array): (word: string) => Int32Array {
  const cache = new Map<string, Int32Array>();
  return (word) => {
    const known = cache.get(word);
    if (known) return known;
    const ids = wordIds(word);
    if (cache.size >= CACHED_WORDS) cache.clear();
    if (word.length <= CACHED_LENGTH) cache.set(word, ids);
    return ids;
  };
}

/** Remembers what is made of each token, so that only those are made that are asked for. */
export function remembered(make: (id: number) => Uint8Array): (id: number) => Uint8Array {
  const made: (Uint8Array | undefined)[] = [];
  return (id) => {
    made[id] ??= make(id);
    return made[id];
  };
}
