/**
 * Text to token ids and back, with each token's exact span in the text.
 *
 * A tokenizer is a `TokenModel`, which handles plain text, in a frame that adds what all kinds share: added tokens, the
 * start of a prompt, decoding. Every kind is a vocabulary of byte strings, so decoding is the same for all: concatenate
 * the bytes and read them as UTF-8.
 */

import { plainNumber } from "../../text/untrusted";
import type { TokenizerKind } from "../api/model";
import type { TokenSpan } from "../api/tokens";
import { EngineError } from "../errors";
import { type AddedToken, AddedTokens } from "./added";
import { type Cuts, nextCut } from "./cuts";
import { type TokenModel, UNKNOWN } from "./model";
import { type Aligned, applySteps, localPair, originalRange, type PiecePosition, type Step } from "./normalize";

/** Changes that an imported tokenizer makes to a text before its model sees it. */
export interface TextRules {
  /** Applied between added tokens, before the `normalized` ones are matched. */
  readonly normalizer: readonly Step[];
  /** Applied to the text that is then left between added tokens. */
  readonly prefix: readonly Step[];
  /** Number of spaces to remove from the start of a decoded text. */
  readonly leadingSpaces: number;
  /** Tokens of a decoded text are separated by a space. */
  readonly spaced?: boolean;
}

/** The files that a tokenizer was read from, without vocabulary and merges. */
export interface TokenizerSource {
  readonly json: Readonly<Record<string, unknown>>;
  readonly config: Readonly<Record<string, unknown>>;
}

/** The part of tokenizer.json and tokenizer_config.json around the model. */
export interface TokenizerFrame {
  readonly added: readonly AddedToken[];
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly padId: number | null;
  readonly unkId: number | null;
  /** Every prompt starts with `bosId`. */
  readonly addBos: boolean;
  readonly rules?: TextRules;
  readonly source?: TokenizerSource;
}

export interface Tokenizer extends TokenizerFrame, Cuts {
  readonly kind: TokenizerKind;
  readonly vocabSize: number;
  readonly model: TokenModel;
  /**
   * Returns the text's ids, without BOS. Throws an EngineError that names the characters outside the vocabulary.
   * `position`: the start of a text or, after a cut, its middle, where no prefix is added.
   */
  encode(text: string, position?: TextPosition): number[];
  /** Returns a prompt's ids, never none: with BOS if the model uses it; an empty prompt is `startId` alone. */
  encodePrompt(text: string): number[];
  /** The id that an empty prompt starts with: BOS, else the newline as in nanoGPT's samples, else 0. */
  readonly startId: number;
  /** Returns the tokens of a text, including unknown characters (`id` is `UNKNOWN`). */
  spans(text: string, position?: TextPosition): TokenSpan[];
  /** Returns the spans of the tokens of `encodePrompt`, including those without text. */
  promptSpans(text: string): TokenSpan[];
  /** Returns the number of tokens in `spans`, without creating them. */
  count(text: string, position?: TextPosition): number;
  /** Returns a token as written in the vocabulary. */
  token(id: number): string;
  /** Returns a token's text in UTF-8; empty for special tokens. */
  bytes(id: number): Uint8Array;
  /** Returns the text of the ids. Special tokens other than the unknown one have no text. */
  decode(ids: Iterable<number>): string;
  /** Decodes one id at a time, after the ids `before`; without them, in the middle of a text. */
  decoder(before?: Iterable<number>): TokenDecoder;
}

export type TextPosition = Exclude<PiecePosition, "afterAdded">;

interface TokenDecoder {
  /** Returns the completed text; the bytes of an incomplete character are held back. */
  push(id: number): string;
  /** Returns held-back bytes as replacement characters. */
  end(): string;
}

const utf8 = new TextEncoder();
const NO_BYTES = new Uint8Array();

export function createTokenizer(model: TokenModel, frame: TokenizerFrame): Tokenizer {
  const { normalizer, prefix, leadingSpaces, spaced = false } = frame.rules ?? NO_RULES;
  const vocabulary = [...model.vocabulary];
  for (const { id, content } of frame.added) vocabulary[id] = content;

  const plain = new AddedTokens(frame.added.filter((t) => !t.normalized).map((t) => [t.content, t]));
  const normalized = new AddedTokens(
    frame.added.filter((t) => t.normalized).map((t) => [applySteps(normalizer, t.content, "start").text, t]),
  );
  // All added tokens in the original text: it may not be cut there.
  const written = new AddedTokens(frame.added.map((t) => [t.content, t]));

  const specialIds = new Set(frame.added.filter(({ special }) => special).map(({ id }) => id));
  const addedBytes = new Map(frame.added.map(({ id, content }) => [id, utf8.encode(content)]));
  const bytes = (id: number): Uint8Array => {
    if (specialIds.has(id) && id !== frame.unkId) return NO_BYTES;
    return model.vocabulary[id] ? model.bytes(id) : (addedBytes.get(id) ?? NO_BYTES);
  };
  const token = (id: number): string => {
    if (!Number.isInteger(id) || id < 0 || id >= vocabulary.length) {
      throw new EngineError("tokenizer", noSuchId(id, vocabulary.length));
    }
    // Some vocabularies have gaps.
    return vocabulary[id] || `<${id}>`;
  };

  /** The parts of a text: added tokens, and the model's input with a function back to offsets in the text. */
  function* parts(text: string, position: PiecePosition): Generator<FramePart> {
    let at = position;
    for (const outer of plain.split(text)) {
      if (outer.added) yield { ...outer, added: outer.added };
      else {
        const changed = applySteps(normalizer, text.slice(outer.start, outer.end), at);
        for (const inner of normalized.split(changed.text)) {
          const { start, end } = originalRange(changed, inner.start, inner.end);
          if (inner.added) yield { start: outer.start + start, end: outer.start + end, added: inner.added };
          else {
            const seen = applySteps(prefix, changed.text.slice(inner.start, inner.end), at);
            yield { seen, back: (i, j) => backThrough(seen, changed, inner.start, outer.start, i, j) };
          }
          at = "afterAdded";
        }
      }
      at = "afterAdded";
    }
  }

  const encodeLenient = (text: string, position: PiecePosition): number[] => {
    const ids: number[] = [];
    for (const part of parts(wellFormed(text), position)) {
      if (part.added) ids.push(part.added.id);
      else model.encode(part.seen.text, ids);
    }
    return ids;
  };
  const encode = (text: string, position: TextPosition = "start"): number[] => {
    const ids = encodeLenient(text, position);
    if (ids.includes(UNKNOWN)) throw new EngineError("tokenizer", unknownText(model.kind, spans(text, position)));
    return ids;
  };

  const spans = (text: string, position: TextPosition = "start"): TokenSpan[] => {
    const all: TokenSpan[] = [];
    const formed = wellFormed(text);
    for (const part of parts(formed, position)) {
      if (part.added) {
        const { start, end, added } = part;
        const { id, content, special } = added;
        all.push({ id, token: content, start, end, special, bytes: utf8.encode(formed.slice(start, end)) });
        continue;
      }
      const from = all.length;
      model.spans(part.seen.text, 0, all);
      for (let k = from; k < all.length; k++) {
        const span = all[k] as TokenSpan;
        all[k] = { ...span, ...part.back(span.start, span.end) };
      }
    }
    return all;
  };

  const startId = frame.bosId ?? firstId(model);
  // A prompt that already starts with a written BOS gets no second one.
  const lead = (first: number | undefined): number | null => {
    if (first === undefined) return startId;
    return frame.addBos && first !== frame.bosId ? frame.bosId : null;
  };

  const decoder = (before?: Iterable<number>): TokenDecoder => {
    const utf8Decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let isStart = before !== undefined && !Array.from(before).some((id) => bytes(id).length > 0);
    let spaces = isStart ? leadingSpaces : 0;
    const withoutSpaces = (text: string): string => {
      let from = 0;
      for (; spaces > 0 && from < text.length; spaces--) {
        if (text[from] === " ") from++;
        else spaces = 1;
      }
      return text.slice(from);
    };
    return {
      push(id) {
        const own = bytes(id);
        const space = spaced && !isStart && own.length > 0 ? " " : "";
        isStart &&= own.length === 0;
        return withoutSpaces(space + utf8Decoder.decode(own, { stream: true }));
      },
      end: () => utf8Decoder.decode(),
    };
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
    count(text, position = "start") {
      let n = 0;
      for (const part of parts(wellFormed(text), position)) n += part.added ? 1 : model.count(part.seen.text);
      return n;
    },
    token,
    bytes,
    decode(ids) {
      const { push, end } = decoder([]);
      const parts: string[] = [];
      for (const id of ids) parts.push(push(id));
      parts.push(end());
      return parts.join("");
    },
    decoder,
    next(text, from) {
      const isCut = (left: string, right: string): boolean => {
        const pair = localPair(normalizer, left, right);
        const seen = pair && localPair(prefix, ...pair);
        return seen !== null && model.next(seen.join(""), seen[0].length) === seen[0].length;
      };
      const changes = normalizer.length + prefix.length > 0;
      for (let at = from; ; at++) {
        at = changes ? nextCut(text, at, isCut) : model.next(text, at);
        if (at >= text.length || !(written.touches(text, at) || normalized.touches(text, at))) return at;
      }
    },
  };
}

const NO_RULES: TextRules = { normalizer: [], prefix: [], leadingSpaces: 0 };

/** A part of a text: an added token, or the model's input with a function back to offsets in the text. */
type FramePart =
  | { readonly start: number; readonly end: number; readonly added: AddedToken }
  | {
      readonly seen: Aligned;
      readonly back: (start: number, end: number) => { readonly start: number; readonly end: number };
      readonly added?: undefined;
    };

/** Maps a range of the model's input to the normalized text, then to the text between added tokens, then to the text. */
function backThrough(seen: Aligned, changed: Aligned, innerStart: number, outerStart: number, i: number, j: number) {
  const inner = originalRange(seen, i, j);
  const outer = originalRange(changed, innerStart + inner.start, innerStart + inner.end);
  return { start: outerStart + outer.start, end: outerStart + outer.end };
}

/** Replaces lone surrogates, which have no UTF-8 encoding, by U+FFFD, which is as long in UTF-16. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** Returns the newline's id if it is a token; else 0. */
function firstId(model: TokenModel): number {
  const newline: number[] = [];
  model.encode("\n", newline);
  const [id] = newline;
  if (newline.length === 1 && id !== undefined && id >= 0) return id;
  return 0;
}

function noSuchId(id: number, vocabSize: number): string {
  return `Token id ${plainNumber(id)} is not in the vocabulary, which has ids 0 to ${vocabSize - 1}.`;
}

function unknownText(kind: TokenizerKind, spans: readonly TokenSpan[]): string {
  const isWord = kind === "words";
  const tokens = spans.filter(({ id }) => id === UNKNOWN).map(({ token }) => (isWord ? token.trim() || token : token));
  const unknown = [...new Set(tokens)];
  const shown = unknown
    .slice(0, 8)
    .map((text) => (isWord ? JSON.stringify(text) : `${JSON.stringify(text)} (${codePoints(text)})`));
  const more = unknown.length > shown.length ? ` and ${unknown.length - shown.length} more` : "";
  if (isWord) {
    const words = unknown.length === 1 ? "a word" : "words";
    return `The text has ${words} that the model was not trained on: ${shown.join(", ")}${more}. Use other words, or train with data.unknown=unk, which reads them as <unk>.`;
  }
  const [what, them] = unknown.length === 1 ? ["a character", "it"] : ["characters", "them"];
  return `The text has ${what} that the model was not trained on: ${shown.join(", ")}${more}. Leave ${them} out, or train on a text that has ${them}.`;
}

function codePoints(text: string): string {
  return Array.from(text, (c) => `U+${c.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}`).join(" ");
}
