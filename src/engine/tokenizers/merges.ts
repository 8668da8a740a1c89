/** The merges of byte-pair encoding: pairs of neighboring tokens that become one token, in order of rank. */

import { Heap } from "./heap";
import { damaged, shown } from "./refusals";

/** Two tokens that merge into one. */
export type Merge = readonly [left: string, right: string];

/** The ids of a vocabulary's tokens. Gaps in a vocabulary are empty strings and have no entry. */
export function idTable(vocabulary: readonly string[]): Map<string, number> {
  const ids = new Map<string, number>();
  vocabulary.forEach((token, id) => {
    if (token) ids.set(token, id);
  });
  return ids;
}

/** Returns a function that merges a word's ids until no merge applies: lowest rank first, then from the left. */
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
    // Rank and position in one number: by rank, then from the left.
    const heap = new Heap<number>((a, b) => a < b);
    const rankAt = (i: number): number => {
      const j = next[i] as number;
      return j < n ? ranks.get(ids[i] as number, ids[j] as number) : NONE;
    };
    const offer = (i: number): void => {
      const rank = rankAt(i);
      if (rank !== NONE) heap.push(rank * MAX_LENGTH + i);
    };

    for (let i = 0; i < n; i++) offer(i);
    for (let top = heap.pop(); top !== undefined; top = heap.pop()) {
      const i = top % MAX_LENGTH;
      const rank = (top - i) / MAX_LENGTH;
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
/** More ids than a word can have. */
const MAX_LENGTH = 2 ** 31;

/** A hash table from pairs of ids to ranks. A Map would need a key per pair, which costs more to build than to look up. */
class PairTable {
  readonly #mask: number;
  /** Slots of left, right and rank plus one; a 0 in the third marks a free slot. */
  readonly #entries: Int32Array;

  constructor(size: number) {
    const slots = 2 ** Math.ceil(Math.log2(2 * size + 2));
    this.#mask = slots - 1;
    this.#entries = new Int32Array(3 * slots);
  }

  /** The last of equal pairs wins, as in the reference. */
  set(left: number, right: number, rank: number): void {
    const at = this.#find(left, right);
    this.#entries[at] = left;
    this.#entries[at + 1] = right;
    this.#entries[at + 2] = rank + 1;
  }

  get(left: number, right: number): number {
    return (this.#entries[this.#find(left, right) + 2] as number) - 1;
  }

  /** The index of a pair's slot, or of the free slot for it. */
  #find(left: number, right: number): number {
    const entries = this.#entries;
    let slot = Math.imul(Math.imul(left, 0x9e3779b1) ^ right, 0x85ebca6b);
    for (slot ^= slot >>> 15; ; slot++) {
      const at = 3 * (slot & this.#mask);
      if (entries[at + 2] === 0 || (entries[at] === left && entries[at + 1] === right)) return at;
    }
  }
}

/** Words in the cache; a text has few different ones. */
const CACHED_WORDS = 200_000;
/** Longer words rarely occur twice. */
const CACHED_LENGTH = 64;

/** Caches the ids of short words. */
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

/** Computes the bytes of each token on first use. */
export function lazy(compute: (id: number) => Uint8Array): (id: number) => Uint8Array {
  const computed: (Uint8Array | undefined)[] = [];
  return (id) => {
    computed[id] ??= compute(id);
    return computed[id];
  };
}
