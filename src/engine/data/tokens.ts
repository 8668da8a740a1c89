/** A text as token ids, in memory or in a file, and its parts: what a model learns from and what it is judged by. */

import { closeSync, openSync, readSync } from "node:fs";
import { EngineError } from "../errors";
import { random } from "../random";
import { readError } from "../weights/files";

/** Ids in memory; they take two bytes where the vocabulary allows it. */
export type Ids = Uint16Array | Int32Array;

/** Ids wherever they are; an array of them is such. */
export interface Tokens {
  readonly length: number;
  /** The ids from `start` up to `end`. */
  subarray(start: number, end: number): Ids;
}

export const idArray = (vocabSize: number): Uint16ArrayConstructor | Int32ArrayConstructor =>
  vocabSize <= 2 ** 16 ? Uint16Array : Int32Array;

/**
 * Ids in a file, of which only those are read that are asked for. The system keeps what was read while it has memory to
 * spare. The file is opened when it is first read, and then stays whole even if it is deleted.
 */
export class FileTokens implements Tokens {
  #file: number | null = null;

  constructor(
    readonly path: string,
    readonly length: number,
    private readonly array: Uint16ArrayConstructor | Int32ArrayConstructor,
  ) {}

  subarray(start: number, end: number): Ids {
    const ids = new this.array(end - start);
    const bytes = new Uint8Array(ids.buffer);
    try {
      this.#file ??= openSync(this.path, "r");
      const position = start * ids.BYTES_PER_ELEMENT;
      for (let at = 0; at < bytes.length; ) {
        const read = readSync(this.#file, bytes, at, bytes.length - at, position + at);
        if (read === 0) throw new EngineError("data", `${this.path} ends too early; delete it, and train again.`);
        at += read;
      }
    } catch (error) {
      throw readError(error, this.path);
    }
    return ids;
  }

  /** Closes the file; reading opens it again. */
  release(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }
}

/** Some of the tokens, without reading them. */
const part = (tokens: Tokens, start: number, end: number): Tokens =>
  ArrayBuffer.isView(tokens)
    ? tokens.subarray(start, end)
    : { length: end - start, subarray: (from, to) => tokens.subarray(start + from, start + to) };

/** Parts of the tokens, one after the other: the i-th goes from `starts[i]` up to `ends[i]`. */
function concatenated(tokens: Tokens, starts: Float64Array, ends: Float64Array): Tokens {
  // Where each part begins among all, and behind the last one where they end.
  const places = new Float64Array(starts.length + 1);
  starts.forEach((start, i) => {
    places[i + 1] = (places[i] as number) + (ends[i] as number) - start;
  });
  return {
    length: places[starts.length] as number,
    subarray(from, to) {
      let i = lastAtMost(places, from);
      const first = (starts[i] ?? 0) + from - (places[i] as number);
      if (to <= (places[i + 1] ?? Infinity)) return tokens.subarray(first, first + to - from);
      const ids = new (tokens.subarray(0, 0).constructor as Uint16ArrayConstructor)(to - from);
      for (let at = from; at < to; i++) {
        const end = Math.min(to, places[i + 1] as number);
        const start = (starts[i] as number) + at - (places[i] as number);
        ids.set(tokens.subarray(start, start + end - at), at - from);
        at = end;
      }
      return ids;
    },
  };
}

/** The index of the last of the ascending `values` that is at most `value`. */
function lastAtMost(values: Float64Array, value: number): number {
  let low = 0;
  let high = values.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((values[middle] as number) <= value) low = middle;
    else high = middle;
  }
  return low;
}

export interface Splits {
  readonly train: Tokens;
  readonly validation: Tokens;
  readonly test: Tokens;
}

/** How much of a text is held out. */
export interface Shares {
  readonly validation: number;
  readonly test?: number;
}

/** By position, as nanoGPT: the first part to train on, then the validation part, then the test part. Views, not copies. */
export function splitTokens(tokens: Tokens, shares: Shares): Splits {
  const n = tokens.length;
  const { validation, test = 0 } = shares;
  const trainEnd = Math.floor(n * (1 - validation - test));
  const validationEnd = Math.floor(n * (1 - test));
  return {
    train: part(tokens, 0, trainEnd),
    validation: part(tokens, trainEnd, validationEnd),
    test: part(tokens, validationEnd, n),
  };
}

/** By document: the seed says in which part each one is, whole. `ends`: where each document ends. */
export function splitDocuments(tokens: Tokens, ends: Float64Array, shares: Shares, seed: number): Splits {
  const { uniform } = random(seed, "documents");
  const { validation, test = 0 } = shares;
  const parts = { train: new Stretches(), validation: new Stretches(), test: new Stretches() };
  let start = 0;
  for (const end of ends) {
    const draw = uniform();
    parts[draw < validation ? "validation" : draw < validation + test ? "test" : "train"].add(start, end);
    start = end;
  }
  const of = (stretches: Stretches) => concatenated(tokens, stretches.starts(), stretches.ends());
  return { train: of(parts.train), validation: of(parts.validation), test: of(parts.test) };
}

/** Stretches of tokens; those that touch become one. */
class Stretches {
  #bounds = new Float64Array(64);
  #count = 0;

  add(start: number, end: number): void {
    if (this.#count > 0 && this.#bounds[this.#count - 1] === start) {
      this.#bounds[this.#count - 1] = end;
      return;
    }
    if (this.#count === this.#bounds.length) {
      const longer = new Float64Array(2 * this.#count);
      longer.set(this.#bounds);
      this.#bounds = longer;
    }
    this.#bounds[this.#count++] = start;
    this.#bounds[this.#count++] = end;
  }

  starts = (): Float64Array => this.#every(0);
  ends = (): Float64Array => this.#every(1);

  #every(which: 0 | 1): Float64Array {
    return Float64Array.from({ length: this.#count / 2 }, (_, i) => this.#bounds[2 * i + which] as number);
  }
}

/** Refuses a text of which a part that is used does not hold one sequence and the token after it. */
export function requireContext(name: string, tokens: Tokens, shares: Shares, blockSize: number): void {
  const { validation, test = 0 } = shares;
  const smallest = Math.min(...[1 - validation - test, validation, test].filter((share) => share > 0));
  // One more than the quotient, for the parts' ends are rounded.
  const needed = Math.ceil((blockSize + 1) / smallest) + 1;
  if (tokens.length >= needed) return;
  throw new EngineError(
    "data",
    `${name} has ${count(tokens.length, "token")}, but a context of ${blockSize} needs at least ${needed}: choose a longer text or a shorter context (blockSize).`,
  );
}

/** The same of a split by document, which may leave a part short or empty. */
export function requireDocuments(name: string, splits: Splits, shares: Shares, blockSize: number): void {
  const used = { train: 1, validation: shares.validation, test: shares.test ?? 0 };
  for (const key of ["train", "validation", "test"] as const) {
    if (used[key] === 0 || splits[key].length > blockSize) continue;
    throw new EngineError(
      "data",
      `${name} split by document leaves ${count(splits[key].length, "token")} to ${PURPOSES[key]}, but a context of ${blockSize} needs at least ${blockSize + 1}: choose more documents, a shorter context (blockSize), or a split by position (data.split).`,
    );
  }
}

const PURPOSES = { train: "train on", validation: "validate on", test: "test on" };

const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
