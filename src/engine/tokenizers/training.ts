/** Learns vocabularies from a text, which comes in chunks so that it need not fit into memory. */

import { EngineError } from "../errors";
import { bytePairModel } from "./bytePairs";
import { BYTE_CHARACTERS } from "./bytes";
import { cooperate } from "./cooperate";
import { type Cuts, nextMatch } from "./cuts";
import { Heap } from "./heap";
import type { Merge } from "./merges";
import { BYTE_PAIR_CUT, BYTE_PAIR_PATTERN } from "./splits";
import { createTokenizer, type Tokenizer, type TokenizerFrame } from "./tokenizer";
import { characterModel, WORD_PATTERN, wordModel } from "./vocabulary";

export type TextChunks = Iterable<string> | AsyncIterable<string>;

export interface TrainTokenizerOptions {
  readonly signal?: AbortSignal;
  /** Adds a last token to the vocabulary that starts and ends a document. */
  readonly endOfText?: boolean;
  /** Receives the fraction of merges learned so far, 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
}

/** The token for all words outside the vocabulary. */
const UNKNOWN_WORD = "<unk>";
/** GPT-2's token between documents. */
const END_OF_TEXT = "<|endoftext|>";

const NO_SPECIAL_TOKENS: TokenizerFrame = {
  added: [],
  bosId: null,
  eosId: null,
  padId: null,
  unkId: null,
  addBos: false,
};

/** Adds the end-of-text token to a vocabulary, if requested. */
function withEndOfText(
  vocabulary: readonly string[],
  { endOfText = false }: TrainTokenizerOptions,
): { readonly vocabulary: readonly string[]; readonly frame: TokenizerFrame } {
  if (!endOfText) return { vocabulary, frame: NO_SPECIAL_TOKENS };
  const id = vocabulary.length;
  const added = [{ id, content: END_OF_TEXT, special: true }];
  return { vocabulary: [...vocabulary, END_OF_TEXT], frame: { ...NO_SPECIAL_TOKENS, added, bosId: id, eosId: id } };
}

/** Learns every character of the text, in code point order, as nanoGPT's character models do. */
export async function trainCharacters(chunks: TextChunks, options: TrainTokenizerOptions = {}): Promise<Tokenizer> {
  const seen = new Uint8Array(0x110000);
  const pause = cooperate(options.signal);
  for await (const chunk of chunks) {
    const text = chunk.replace(/\p{Surrogate}/gu, "\ufffd");
    for (let i = 0; i < text.length; i++) {
      const code = text.codePointAt(i) as number;
      seen[code] = 1;
      if (code > 0xffff) i++;
    }
    await pause();
  }
  const characters = Array.from(seen.keys())
    .filter((code) => seen[code])
    .map((code) => String.fromCodePoint(code));
  if (characters.length === 0) throw nothingToLearn();
  const { vocabulary, frame } = withEndOfText(characters, options);
  return createTokenizer(characterModel("characters", vocabulary, null), frame);
}

/** Learns the most frequent words, at most `vocabSize` including `<unk>`, which is id 0. */
export async function trainWords(
  chunks: TextChunks,
  options: TrainTokenizerOptions & { readonly vocabSize: number },
): Promise<Tokenizer> {
  const pattern = new RegExp(WORD_PATTERN, "gu");
  const counts = await countWords(chunks, pattern, wordModel([], null), options);
  const words = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([word]) => word);
  const { vocabulary, frame } = withEndOfText([UNKNOWN_WORD, ...words.slice(0, learnedOf(options) - 1)], options);
  const added = [{ id: 0, content: UNKNOWN_WORD, special: true }, ...frame.added];
  return createTokenizer(wordModel(vocabulary, 0), { ...frame, added, unkId: 0 });
}

/** Size of a vocabulary without its end-of-text token. */
const learnedOf = ({ vocabSize, endOfText = false }: { readonly vocabSize: number; readonly endOfText?: boolean }) =>
  endOfText ? vocabSize - 1 : vocabSize;

/**
 * Learns a byte-pair encoding of `vocabSize` tokens: the 256 bytes and merges, fewer if no remaining pair occurs twice.
 * The most frequent pair is merged first; among equally frequent pairs, the one with the lower ids.
 */
export async function trainBytePairs(
  chunks: TextChunks,
  options: TrainTokenizerOptions & { readonly vocabSize: number },
): Promise<Tokenizer> {
  const vocabSize = learnedOf(options);
  if (vocabSize < 256) {
    const [what, least] = options.endOfText ? [`the 256 bytes and ${END_OF_TEXT}`, 257] : ["the 256 bytes", 256];
    throw new EngineError(
      "tokenizer",
      `A byte-pair vocabulary needs at least ${what}, got ${options.vocabSize}. Use ${least} or more.`,
    );
  }
  const cuts: Cuts = { next: (text, from) => nextMatch(BYTE_PAIR_CUT, text, from) };
  const words = await countWords(chunks, BYTE_PAIR_PATTERN, cuts, options);
  const { vocabulary: learned, merges } = await learnMerges(words, { ...options, vocabSize });
  const { vocabulary, frame } = withEndOfText(learned, options);
  return createTokenizer(bytePairModel(vocabulary, merges), frame);
}

/** Counts the words of a text. */
async function countWords(
  chunks: TextChunks,
  pattern: RegExp,
  cuts: Cuts,
  { signal }: TrainTokenizerOptions,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const pause = cooperate(signal);
  for await (const chunk of cutChunks(chunks, cuts)) {
    for (const [word] of chunk.matchAll(pattern)) counts.set(word, (counts.get(word) ?? 0) + 1);
    await pause();
  }
  if (counts.size === 0) throw nothingToLearn();
  return counts;
}

interface Word {
  readonly count: number;
  ids: number[];
}

interface Pair {
  readonly left: number;
  readonly right: number;
  count: number;
  /** Words that contained the pair when they were last counted. */
  readonly words: Set<Word>;
}

/** Learns merges. Counts are updated after each merge: only words that contain the merged pair change. */
async function learnMerges(
  counts: ReadonlyMap<string, number>,
  { vocabSize, signal, onProgress }: TrainTokenizerOptions & { readonly vocabSize: number },
): Promise<{ vocabulary: readonly string[]; merges: readonly Merge[] }> {
  const vocabulary = [...BYTE_CHARACTERS].sort();
  const idOf = new Map(vocabulary.map((token, id) => [token, id]));
  const merges: Merge[] = [];

  const pairs = new Map<number, Pair>();
  const grown = new Set<Pair>();
  const pairOf = (left: number, right: number): Pair => {
    const key = left * vocabSize + right;
    const pair = pairs.get(key) ?? { left, right, count: 0, words: new Set() };
    pairs.set(key, pair);
    return pair;
  };
  const enter = (word: Word): void => {
    for (const pair of neighbors(word, pairOf)) {
      pair.count += word.count;
      pair.words.add(word);
      grown.add(pair);
    }
  };
  const leave = (word: Word): void => {
    for (const pair of neighbors(word, pairOf)) pair.count -= word.count;
  };

  // An entry whose count has dropped since it was pushed is pushed again when it is popped.
  const candidates = new Heap<{ pair: Pair; count: number }>((a, b) => {
    if (a.count !== b.count) return a.count > b.count;
    if (a.pair.left !== b.pair.left) return a.pair.left < b.pair.left;
    return a.pair.right < b.pair.right;
  });
  const offerGrown = (): void => {
    for (const pair of grown) candidates.push({ pair, count: pair.count });
    grown.clear();
  };

  const pause = cooperate(signal);
  const utf8 = new TextEncoder();
  for (const [text, count] of counts) {
    enter({ count, ids: Array.from(utf8.encode(text), (byte) => idOf.get(BYTE_CHARACTERS[byte] as string) as number) });
    await pause();
  }
  offerGrown();

  while (vocabulary.length < vocabSize) {
    const top = candidates.pop();
    if (!top) break;
    const { pair } = top;
    if (pair.count < 2) continue;
    if (pair.count !== top.count) {
      candidates.push({ pair, count: pair.count });
      continue;
    }

    const [left, right] = [vocabulary[pair.left] as string, vocabulary[pair.right] as string];
    merges.push([left, right]);
    // Two different pairs can produce the same token.
    const id = idOf.get(left + right) ?? vocabulary.push(left + right) - 1;
    idOf.set(left + right, id);
    for (const word of pair.words) {
      leave(word);
      word.ids = mergePair(word.ids, pair, id);
      enter(word);
    }
    offerGrown();

    onProgress?.((vocabulary.length - 256) / (vocabSize - 256));
    await pause();
  }
  return { vocabulary, merges };
}

function* neighbors({ ids }: Word, pairOf: (left: number, right: number) => Pair): Generator<Pair> {
  for (let i = 1; i < ids.length; i++) yield pairOf(ids[i - 1] as number, ids[i] as number);
}

/** `[1, 2, 3, 1, 2]`, pair (1, 2) as 4 -> `[4, 3, 4]`. */
function mergePair(ids: readonly number[], { left, right }: Pair, id: number): number[] {
  const merged: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      merged.push(id);
      i++;
    } else merged.push(ids[i] as number);
  }
  return merged;
}

/** Moves the ends of chunks to offsets that no token spans. */
export async function* cutChunks(chunks: TextChunks, cuts: Cuts): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of chunks) {
    rest += chunk;
    if (rest.length <= CUT_WINDOW) continue;
    // Not at the very end, because the next character is unknown.
    const at = cuts.next(rest, rest.length - CUT_WINDOW);
    if (at > rest.length - CUT_MARGIN) continue;
    yield rest.slice(0, at);
    rest = rest.slice(at);
  }
  if (rest) yield rest;
}

const CUT_WINDOW = 4096;
/** Longer than any added token, which may begin in this chunk and end in the next. */
const CUT_MARGIN = 256;

function nothingToLearn(): EngineError {
  return new EngineError(
    "tokenizer",
    "The text is empty, so there is no vocabulary to learn. Choose a text that is not empty.",
  );
}
