/** A text as token ids, in memory, and its parts: what a model learns from and what it is judged by. */

import { EngineError } from "../errors";
import { cutChunks, type Tokenizer } from "../tokenizers";
import { cooperate } from "../tokenizers/cooperate";
import type { Corpus } from "./corpus";

export type Tokens = Uint16Array | Int32Array;

export interface ReadTokensOptions {
  readonly signal?: AbortSignal;
  /** Told the share of the text that is read, 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
}

/** Encodes a corpus, chunk by chunk; ids take two bytes where the vocabulary allows it. */
export async function readTokens(
  corpus: Corpus,
  tokenizer: Tokenizer,
  options: ReadTokensOptions = {},
): Promise<Tokens> {
  const make = (length: number): Tokens =>
    tokenizer.vocabSize <= 2 ** 16 ? new Uint16Array(length) : new Int32Array(length);
  // Mostly one id for a byte or fewer; memory that is never written to is never taken.
  let tokens = make(Math.max(1024, corpus.size));
  let length = 0;
  let read = 0;
  const pause = cooperate(options.signal);
  for await (const chunk of cutChunks(corpus.chunks(options.signal), tokenizer)) {
    const ids = tokenizer.encode(chunk, read === 0 ? "start" : "middle");
    if (length + ids.length > tokens.length) {
      const longer = make(2 * (length + ids.length));
      longer.set(tokens.subarray(0, length));
      tokens = longer;
    }
    tokens.set(ids, length);
    length += ids.length;
    read += chunk.length;
    options.onProgress?.(Math.min(read / corpus.size, 1));
    await pause();
  }
  return tokens.subarray(0, length);
}

export interface Splits {
  readonly train: Tokens;
  readonly validation: Tokens;
  readonly test: Tokens;
}

/** By position, as nanoGPT: the first part to train on, then the validation part, then the test part. Views, not copies. */
export function splitTokens(tokens: Tokens, shares: { readonly validation: number; readonly test?: number }): Splits {
  const n = tokens.length;
  const { validation, test = 0 } = shares;
  const trainEnd = Math.floor(n * (1 - validation - test));
  const validationEnd = Math.floor(n * (1 - test));
  return {
    train: tokens.subarray(0, trainEnd),
    validation: tokens.subarray(trainEnd, validationEnd),
    test: tokens.subarray(validationEnd),
  };
}

/** Refuses a text of which a part that is used does not hold one sequence and the token after it. */
export function requireContext(
  name: string,
  tokens: Tokens,
  shares: { readonly validation: number; readonly test?: number },
  blockSize: number,
): void {
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

const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
