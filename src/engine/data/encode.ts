/** Encodes a text to token ids, chunk by chunk. */

import { createHash } from "node:crypto";
import { cutChunks, type Tokenizer, UNKNOWN } from "../tokenizers";
import { cooperate } from "../tokenizers/cooperate";
import type { TextPosition } from "../tokenizers/tokenizer";
import type { Corpus, ReadProgress } from "./corpus";
import type { Piece } from "./jsonLines";
import { type Ids, idArray } from "./tokens";

/** Documents are tokenized as one text, separately, or separately with EOS after each if the tokenizer has it. */
export type Documents = "joined" | "apart" | "ended";

/** A batch of ids, valid until the next is requested. */
export interface Encoded {
  readonly ids: readonly number[] | Int32Array;
  /** A document ends with these ids. */
  readonly endsDocument: boolean;
}

/** Yields the ids of a corpus. Tokens of joined documents may span two of them. */
export async function* encodeCorpus(
  corpus: Corpus,
  tokenizer: Tokenizer,
  documents: Documents,
  { signal, onProgress }: ReadProgress = {},
): AsyncGenerator<Encoded> {
  const pause = cooperate(signal);
  const encode = encoderOf(tokenizer);
  let read = 0;
  const encodeChunk = (text: string, position: TextPosition) => {
    read += text.length;
    return encode(text, position);
  };
  const texts =
    documents === "joined"
      ? joined(corpus.chunks(signal), tokenizer, encodeChunk)
      : apart(corpus.documents(signal), tokenizer, documents === "ended" ? tokenizer.eosId : null, encodeChunk);
  for await (const encoded of texts) {
    yield encoded;
    onProgress?.(Math.min(read / corpus.size, 1));
    await pause();
  }
  onProgress?.(1);
}

type Encode = (text: string, position: TextPosition) => Encoded["ids"];

async function* joined(chunks: AsyncIterable<string>, tokenizer: Tokenizer, encode: Encode): AsyncGenerator<Encoded> {
  let position: TextPosition = "start";
  for await (const chunk of cutChunks(chunks, tokenizer)) {
    yield { ids: encode(chunk, position), endsDocument: false };
    position = "middle";
  }
  yield { ids: [], endsDocument: true };
}

async function* apart(
  documents: AsyncIterable<readonly Piece[]>,
  tokenizer: Tokenizer,
  eosId: number | null,
  encode: Encode,
): AsyncGenerator<Encoded> {
  let last = "\n";
  for await (const document of eachDocument(documents)) {
    // Without EOS, each document starts on its own line, as in the joined text.
    let before = eosId === null && last !== "\n" ? "\n" : "";
    if (typeof document === "string") {
      last = document.at(-1) as string;
      const ids = encode(before + document, "start");
      yield { ids, endsDocument: eosId === null };
    } else {
      let position: TextPosition = "start";
      for await (const chunk of cutChunks(document, tokenizer)) {
        yield { ids: encode(before + chunk, position), endsDocument: false };
        position = "middle";
        before = "";
        last = chunk.at(-1) as string;
      }
      if (eosId === null) yield { ids: [], endsDocument: true };
    }
    if (eosId !== null) yield { ids: [eosId], endsDocument: true };
  }
}

/** Non-empty documents: short ones as a string, long ones as chunks that must be read before the next document is requested. */
async function* eachDocument(all: AsyncIterable<readonly Piece[]>): AsyncGenerator<string | AsyncGenerator<string>> {
  const pieces = flat(all);
  for (let next = await pieces.next(); !next.done; next = await pieces.next()) {
    const { text, ends } = next.value;
    if (!ends && text !== "") yield untilEnd(text, pieces);
    else if (text !== "") yield text;
  }
}

async function* flat(all: AsyncIterable<readonly Piece[]>): AsyncGenerator<Piece> {
  for await (const pieces of all) yield* pieces;
}

async function* untilEnd(first: string, pieces: AsyncGenerator<Piece>): AsyncGenerator<string> {
  yield first;
  for (let next = await pieces.next(); !next.done; next = await pieces.next()) {
    if (next.value.text !== "") yield next.value.text;
    if (next.value.ends) return;
  }
}

/**
 * The fastest encoder for a tokenizer. Character ids are looked up directly into a typed array; with arrays of numbers, a
 * gigabyte of text takes several times as long.
 */
function encoderOf(tokenizer: Tokenizer): Encode {
  const { kind, model, added, rules } = tokenizer;
  if (kind !== "characters" || added.length > 0 || rules) return tokenizer.encode;
  const idOfUnit = new Int32Array(0x10000).fill(UNKNOWN);
  model.vocabulary.forEach((character, id) => {
    if (character.length === 1) idOfUnit[character.charCodeAt(0)] = id;
  });
  let ids = new Int32Array(1 << 17);
  return (text, position) => {
    if (text.length > ids.length) ids = new Int32Array(2 * text.length);
    for (let i = 0; i < text.length; i++) {
      const id = idOfUnit[text.charCodeAt(i)] as number;
      // A surrogate pair, or an unknown character, which the tokenizer reports.
      if (id === UNKNOWN) return tokenizer.encode(text, position);
      ids[i] = id;
    }
    return ids.subarray(0, text.length);
  };
}

/** Token ids of a text in memory. */
export interface HeldTokens {
  readonly tokens: Ids;
  /** The end of each document, as an index into `tokens`. */
  readonly documentEnds: Float64Array;
}

export async function readTokens(
  corpus: Corpus,
  tokenizer: Tokenizer,
  options: ReadProgress & { readonly documents?: Documents } = {},
): Promise<HeldTokens> {
  const array = idArray(tokenizer.vocabSize);
  // Usually at most one id per byte. The system does not allocate pages that are never written.
  let tokens: Ids = new array(Math.max(1024, corpus.size));
  let length = 0;
  const ends: number[] = [];
  for await (const { ids, endsDocument } of encodeCorpus(corpus, tokenizer, options.documents ?? "joined", options)) {
    if (length + ids.length > tokens.length) {
      const longer = new array(2 * (length + ids.length));
      longer.set(tokens.subarray(0, length));
      tokens = longer;
    }
    tokens.set(ids, length);
    length += ids.length;
    if (endsDocument) ends.push(length);
  }
  return { tokens: tokens.subarray(0, length), documentEnds: Float64Array.from(ends) };
}

/** SHA-256 of a sequence of ids. */
export const hashOfIds = (ids: Ids): string => createHash("sha256").update(bytesOf(ids)).digest("hex");

export const bytesOf = (ids: Ids | Float64Array): Uint8Array =>
  new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength);
