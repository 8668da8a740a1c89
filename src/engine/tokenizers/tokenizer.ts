/**
 * Text to token ids and back, with each token's exact place in the text.
 *
 * A tokenizer here is a `TokenModel` (what one kind does with plain text) inside one frame that adds what all kinds
 * share: added tokens, the start of a prompt, decoding. Every kind is a vocabulary of byte strings, so decoding is the
 * same for all: put the bytes together and read them as UTF-8.
 */

import { EngineError } from "../errors";

export type TokenizerKind = "characters" | "words" | "bytePairs" | "fixed" | "none";

/** The id of a character that the vocabulary does not have and has no unknown token for. */
export const UNKNOWN = -1;

/** A token and the text it stands for. The same as the protocol's. */
export interface TokenSpan {
  /** `UNKNOWN` (-1) where a document has a character that the vocabulary lacks. */
  readonly id: number;
  /** As the vocabulary writes it. */
  readonly token: string;
  /**
   * UTF-16 offsets of the whole characters that the token has bytes of: tokens that share a character overlap.
   * Equal for special tokens that stand for no text.
   */
  readonly start: number;
  readonly end: number;
  readonly special: boolean;
  /** The token's own bytes in UTF-8. Those of all tokens, one after the other, are the text's. */
  readonly bytes: Uint8Array;
}

/** Two tokens that become one. */
export type Merge = readonly [left: string, right: string];

/** Where a text may be cut so that the tokens of the parts are the tokens of the whole. */
export interface Cuts {
  /** The first such place at or after `from`; the text's length where there is none. */
  next(text: string, from: number): number;
}

/** What one kind of tokenizer does with text in which no added token occurs and no surrogate is alone. */
export interface TokenModel extends Cuts {
  readonly kind: TokenizerKind;
  /** By id, as tokenizer.json writes them. */
  readonly vocabulary: readonly string[];
  /** Of byte pairs, those learned first before the others; the other kinds have none. */
  readonly merges: readonly Merge[];
  /** The bytes a token stands for. */
  bytes(id: number): Uint8Array;
  /** Appends the ids; `UNKNOWN` where there is none. */
  encode(text: string, ids: number[]): void;
  count(text: string): number;
  /** Appends the spans, `start` and `end` counted from `offset`. */
  spans(text: string, offset: number, spans: TokenSpan[]): void;
}

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** What stands around the model in tokenizer.json and tokenizer_config.json. */
export interface TokenizerFrame {
  readonly added: readonly AddedToken[];
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly padId: number | null;
  readonly unkId: number | null;
  /** Whether every prompt starts with `bosId`. */
  readonly addBos: boolean;
}

export interface Tokenizer extends TokenizerFrame, Cuts {
  readonly kind: TokenizerKind;
  readonly vocabSize: number;
  readonly model: TokenModel;
  /** The text's ids and no others. Throws an EngineError that names the characters the vocabulary lacks. */
  encode(text: string): number[];
  /** Never empty: starts with BOS where the model's rule says so; an empty prompt is `startId` alone. */
  encodePrompt(text: string): number[];
  /** What an empty prompt starts from: BOS; without one the newline, as nanoGPT's samples; without that the first id. */
  readonly startId: number;
  /** The tokens of a text, unknown characters among them (`id` is `UNKNOWN`). */
  spans(text: string): TokenSpan[];
  /** The tokens that `encodePrompt` gives, with those that stand for no text. */
  promptSpans(text: string): TokenSpan[];
  /** How many tokens `spans` gives, without making them. */
  count(text: string): number;
  /** A token as the vocabulary writes it. */
  token(id: number): string;
  /** A token's text in UTF-8; empty for special tokens. */
  bytes(id: number): Uint8Array;
  /** The text of the ids. Special tokens other than the unknown one have no text. */
  decode(ids: Iterable<number>): string;
  /** Decodes one id at a time. */
  decoder(): TokenDecoder;
}

export interface TokenDecoder {
  /** The text that is complete now: a character whose bytes are not all there is held back. */
  push(id: number): string;
  /** What was held back, as replacement characters. */
  end(): string;
}

const utf8 = new TextEncoder();
const NO_BYTES = new Uint8Array();

export function createTokenizer(model: TokenModel, frame: TokenizerFrame): Tokenizer {
  const added = addedTokens(frame.added);
  const vocabulary = [...model.vocabulary];
  for (const { id, content } of frame.added) vocabulary[id] = content;

  const specialIds = new Set(frame.added.filter(({ special }) => special).map(({ id }) => id));
  const addedBytes = new Map(frame.added.map(({ id, content }) => [id, utf8.encode(content)]));
  const bytes = (id: number): Uint8Array => {
    if (specialIds.has(id) && id !== frame.unkId) return NO_BYTES;
    return addedBytes.get(id) ?? model.bytes(id);
  };
  const token = (id: number): string => {
    const known = vocabulary[id];
    if (known === undefined) throw new EngineError("tokenizer", noSuchId(id, vocabulary.length));
    return known;
  };

  const encodeLenient = (text: string): number[] => {
    const ids: number[] = [];
    for (const part of added.split(wellFormed(text))) {
      if (part.added) ids.push(part.added.id);
      else model.encode(part.text, ids);
    }
    return ids;
  };
  const encode = (text: string): number[] => {
    const ids = encodeLenient(text);
    if (ids.includes(UNKNOWN)) throw new EngineError("tokenizer", unknownText(spans(text)));
    return ids;
  };

  const spans = (text: string): TokenSpan[] => {
    const all: TokenSpan[] = [];
    for (const { start, text: content, added: special } of added.split(wellFormed(text))) {
      if (!special) model.spans(content, start, all);
      else all.push(textSpan(special.id, content, start, special.special));
    }
    return all;
  };

  const startId = frame.bosId ?? firstId(model);
  // A prompt that already starts with BOS, written out, gets no second one.
  const lead = (first: number | undefined): number | null => {
    if (first === undefined) return startId;
    return frame.addBos && first !== frame.bosId ? frame.bosId : null;
  };

  const decoder = (): TokenDecoder => {
    const utf8Decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return { push: (id) => utf8Decoder.decode(bytes(id), { stream: true }), end: () => utf8Decoder.decode() };
  };

  return {
    ...frame,
    kind: model.kind,
    model,
    vocabSize: vocabulary.length,
    startId,
    encode,
    encodePrompt(text) {
      const ids = encode(text);
      const first = lead(ids[0]);
      return first === null ? ids : [first, ...ids];
    },
    spans,
    promptSpans(text) {
      const all = spans(text);
      const first = lead(all[0]?.id);
      if (first === null) return all;
      const span = { id: first, token: token(first), start: 0, end: 0, special: true, bytes: NO_BYTES };
      return [span, ...all];
    },
    count(text) {
      let n = 0;
      for (const part of added.split(wellFormed(text))) n += part.added ? 1 : model.count(part.text);
      return n;
    },
    token,
    bytes,
    decode(ids) {
      const { push, end } = decoder();
      const parts: string[] = [];
      for (const id of ids) parts.push(push(id));
      parts.push(end());
      return parts.join("");
    },
    decoder,
    next(text, from) {
      for (let at = from; ; at++) {
        at = model.next(text, at);
        if (at >= text.length || !added.straddles(text, at)) return at;
      }
    },
  };
}

/** A token that is written as the text it stands for. */
export function textSpan(id: number, text: string, start: number, special = false): TokenSpan {
  return { id, token: text, start, end: start + text.length, special, bytes: utf8.encode(text) };
}

/** Surrogates that are alone have no UTF-8; they count as U+FFFD, which is as long in UTF-16. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** The newline's id where it is a token; else 0. */
function firstId(model: TokenModel): number {
  const newline: number[] = [];
  model.encode("\n", newline);
  const [id] = newline;
  if (newline.length === 1 && id !== undefined && id >= 0) return id;
  return 0;
}

function noSuchId(id: number, vocabSize: number): string {
  return `Token id ${id} is not in the vocabulary, which has ids 0 to ${vocabSize - 1}.`;
}

function unknownText(spans: readonly TokenSpan[]): string {
  const unknown = [...new Set(spans.filter(({ id }) => id === UNKNOWN).map(({ token }) => token))];
  const shown = unknown.slice(0, 8).map((text) => `${JSON.stringify(text)} (${codePoints(text)})`);
  const more = unknown.length > shown.length ? ` and ${unknown.length - shown.length} more` : "";
  const what = unknown.length === 1 ? "a character" : "characters";
  return `The text has ${what} that the model was not trained on: ${shown.join(", ")}${more}. Leave them out, or train on a text that has them.`;
}

function codePoints(text: string): string {
  return Array.from(text, (c) => `U+${c.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}`).join(" ");
}

interface Part {
  readonly text: string;
  readonly start: number;
  readonly added?: AddedToken;
}

/** Finds added tokens in a text, longest first, before the model sees the rest. */
function addedTokens(added: readonly AddedToken[]) {
  const byContent = new Map(added.map((token) => [token.content, token]));
  const longestFirst = [...byContent.keys()].filter((content) => content).sort((a, b) => b.length - a.length);
  const pattern = longestFirst.map((content) => content.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|");

  function* split(text: string): Generator<Part> {
    let start = 0;
    if (pattern) {
      for (const match of text.matchAll(new RegExp(pattern, "g"))) {
        if (match.index > start) yield { text: text.slice(start, match.index), start };
        const token = byContent.get(match[0]);
        yield token ? { text: match[0], start: match.index, added: token } : { text: match[0], start: match.index };
        start = match.index + match[0].length;
      }
    }
    if (start < text.length) yield { text: text.slice(start), start };
  }

  return {
    split,
    /** Whether an added token may lie across a place in the text. */
    straddles(text: string, at: number): boolean {
      if (!pattern) return false;
      return longestFirst.some((content) =>
        text.slice(Math.max(at - content.length + 1, 0), at + content.length - 1).includes(content),
      );
    },
  };
}
