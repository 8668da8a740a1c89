/** Token ids of a text, in memory or in a file, and their split into training, validation and test parts. */

import { closeSync, openSync, readSync } from "node:fs";
import { EngineError } from "../errors";
import type { DecoderConfig } from "../nn/config";
import { requireIds } from "../nn/ids";
import { random } from "../random";
import { readError } from "../weights/files";

/** Ids in memory, in two bytes each if the vocabulary is small enough. */
export type Ids = Uint16Array | Int32Array;

/** Ids in memory or in a file. Typed arrays implement this interface. */
export interface Tokens {
  readonly length: number;
  /** The ids from `start` up to `end`. */
  subarray(start: number, end: number): Ids;
}

/** Checks the ids of a text as they are read, if its tokenizer has more tokens than the model. */
export const tokensWithin = (tokens: Tokens, tokenizer: { readonly vocabSize: number }, cfg: DecoderConfig): Tokens =>
  tokenizer.vocabSize <= cfg.vocabSize
    ? tokens
    : {
        length: tokens.length,
        subarray(start, end) {
          const ids = tokens.subarray(start, end);
          requireIds(ids, cfg);
          return ids;
        },
      };

export const idArray = (vocabSize: number): Uint16ArrayConstructor | Int32ArrayConstructor =>
  vocabSize <= 2 ** 16 ? Uint16Array : Int32Array;

/**
 * Ids in a file, read on request; the system caches what it can. The file is opened at the first read and then stays
 * readable even if it is deleted.
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
        if (read === 0) throw new EngineError("data", `${this.path} is incomplete. Delete it and train again.`);
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

/** A view of some tokens, without reading them. */
const part = (tokens: Tokens, start: number, end: number): Tokens =>
  ArrayBuffer.isView(tokens)
    ? tokens.subarray(start, end)
    : { length: end - start, subarray: (from, to) => tokens.subarray(start + from, start + to) };

/** A view of concatenated parts of the tokens: the i-th part is [starts[i], ends[i]). */
function concatenated(tokens: Tokens, starts: Float64Array, ends: Float64Array): Tokens {
  // Offset of each part in the view, and the total length at the end.
  const offsets = new Float64Array(starts.length + 1);
  starts.forEach((start, i) => {
    offsets[i + 1] = (offsets[i] as number) + (ends[i] as number) - start;
  });
  return {
    length: offsets[starts.length] as number,
    subarray(from, to) {
      let i = lastAtMost(offsets, from);
      const first = (starts[i] ?? 0) + from - (offsets[i] as number);
      if (to <= (offsets[i + 1] ?? Infinity)) return tokens.subarray(first, first + to - from);
      const ids = new (tokens.subarray(0, 0).constructor as Uint16ArrayConstructor)(to - from);
      for (let at = from; at < to; i++) {
        const end = Math.min(to, offsets[i + 1] as number);
        const start = (starts[i] as number) + at - (offsets[i] as number);
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

/** Held-out shares of a text. */
export interface Shares {
  readonly validation: number;
  readonly test?: number;
}

/** Splits by position, as nanoGPT does: training part, validation part, test part. Returns views, not copies. */
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

/** Splits by document at random; documents stay whole. `ends`: the end of each document. */
export function splitDocuments(tokens: Tokens, ends: Float64Array, shares: Shares, seed: number): Splits {
  const { uniform } = random(seed, "documents");
  const { validation, test = 0 } = shares;
  const parts = { train: new TokenRanges(), validation: new TokenRanges(), test: new TokenRanges() };
  let start = 0;
  for (const end of ends) {
    const draw = uniform();
    parts[draw < validation ? "validation" : draw < validation + test ? "test" : "train"].add(start, end);
    start = end;
  }
  const of = (ranges: TokenRanges) => concatenated(tokens, ranges.starts(), ranges.ends());
  return { train: of(parts.train), validation: of(parts.validation), test: of(parts.test) };
}

/** Ranges of token indices; adjacent ranges are merged. */
class TokenRanges {
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

/** Throws if a part of the split would be shorter than one sequence and its last label. */
export function requireContext(name: string, tokens: Tokens, shares: Shares, blockSize: number): void {
  const { validation, test = 0 } = shares;
  const smallest = Math.min(...[1 - validation - test, validation, test].filter((share) => share > 0));
  // Plus one, because the ends of the parts are rounded.
  const needed = Math.ceil((blockSize + 1) / smallest) + 1;
  if (tokens.length >= needed) return;
  throw new EngineError(
    "config",
    `${name} has ${count(tokens.length, "token")}, but a training context of ${blockSize} needs at least ${needed}. Choose a longer text or a smaller train.blockSize.`,
  );
}

/** The same check for a split by document, which may leave a part short or empty. */
export function requireDocuments(name: string, splits: Splits, shares: Shares, blockSize: number): void {
  const used = { train: 1, validation: shares.validation, test: shares.test ?? 0 };
  for (const key of ["train", "validation", "test"] as const) {
    if (used[key] === 0 || splits[key].length > blockSize) continue;
    throw new EngineError(
      "config",
      `${name} split by document leaves ${count(splits[key].length, "token")} to ${PURPOSES[key]}, but a training context of ${blockSize} needs at least ${blockSize + 1}. Choose more documents, a smaller train.blockSize, or data.split=position.`,
    );
  }
}

const PURPOSES = { train: "train on", validation: "validate on", test: "test on" };

const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
