/** From text to token ids, chunk by chunk. */

import { createHash } from "node:crypto";
import { cutChunks, type Tokenizer, UNKNOWN } from "../tokenizers";
import { cooperate } from "../tokenizers/cooperate";
import type { TextPosition } from "../tokenizers/tokenizer";
import type { Corpus, ReadProgress } from "./corpus";
import type { Piece } from "./jsonLines";
import { type Ids, idArray } from "./tokens";

/** Whether documents are tokenized one by one, and whether each is then followed by EOS where the tokenizer has it. */
export type Documents = "joined" | "apart" | "ended";

/** Some of a text's ids, to be used before the next come. */
export interface Encoded {
  readonly ids: readonly number[] | Int32Array;
  /** Whether a document ends with these ids. */
  readonly endsDocument: boolean;
}

/** The ids of a corpus. Joined, its documents are one text, and tokens may go from one to the next. */
export async function* encodeCorpus(
  corpus: Corpus,
  tokenizer: Tokenizer,
  documents: Documents,
  { signal, onProgress }: ReadProgress = {},
): AsyncGenerator<Encoded> {
  const pause = cooperate(signal);
  const encode = encoderOf(tokenizer);
  let read = 0;
  const encodeChunk = (text: string, place: TextPosition) => {
    read += text.length;
    return encode(text, place);
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

type Encode = (text: string, place: TextPosition) => Encoded["ids"];

async function* joined(chunks: AsyncIterable<string>, tokenizer: Tokenizer, encode: Encode): AsyncGenerator<Encoded> {
  let place: TextPosition = "start";
  for await (const chunk of cutChunks(chunks, tokenizer)) {
    yield { ids: encode(chunk, place), endsDocument: false };
    place = "middle";
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
    // Without EOS a document starts on a line of its own, as in a text of all of them.
    let before = eosId === null && last !== "\n" ? "\n" : "";
    if (typeof document === "string") {
      last = document.at(-1) as string;
      const ids = encode(before + document, "start");
      yield { ids, endsDocument: eosId === null };
    } else {
      let place: TextPosition = "start";
      for await (const chunk of cutChunks(document, tokenizer)) {
        yield { ids: encode(before + chunk, place), endsDocument: false };
        place = "middle";
        before = "";
        last = chunk.at(-1) as string;
      }
      if (eosId === null) yield { ids: [], endsDocument: true };
    }
    if (eosId !== null) yield { ids: [eosId], endsDocument: true };
  }
}

/** Documents that are not empty: short ones whole, others in chunks that must be read before the next is asked for. */
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
 * How a tokenizer's ids are found fastest. Characters are looked up straight into an array: by way of lists of numbers, a
 * gigabyte of them takes several times as long.
 */
function encoderOf(tokenizer: Tokenizer): Encode {
  const { kind, model, added, rules } = tokenizer;
  if (kind !== "characters" || added.length > 0 || rules) return tokenizer.encode;
  const idOfUnit = new Int32Array(0x10000).fill(UNKNOWN);
  model.vocabulary.forEach((character, id) => {
    if (character.length === 1) idOfUnit[character.charCodeAt(0)] = id;
  });
  let ids = new Int32Array(1 << 17);
  return (text, place) => {
    if (text.length > ids.length) ids = new Int32Array(2 * text.length);
    for (let i = 0; i < text.length; i++) {
      const id = idOfUnit[text.charCodeAt(i)] as number;
      // A pair of surrogates, or what has to be told.
      if (id === UNKNOWN) return tokenizer.encode(text, place);
      ids[i] = id;
    }
    return ids.subarray(0, text.length);
  };
}

/** A text's ids in memory. */
export interface HeldTokens {
  readonly tokens: Ids;
  /** Where each document ends. */
  readonly documentEnds: Float64Array;
}

export async function readTokens(
  corpus: Corpus,
  tokenizer: Tokenizer,
  options: ReadProgress & { readonly documents?: Documents } = {},
): Promise<HeldTokens> {
  const array = idArray(tokenizer.vocabSize);
  // Mostly one id for a byte or fewer; memory that is never written to is never taken.
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

/** What tells one sequence of ids from another. */
export const hashOfIds = (ids: Ids): string => createHash("sha256").update(bytesOf(ids)).digest("hex");

export const bytesOf = (ids: Ids | Float64Array): Uint8Array =>
  new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength);
