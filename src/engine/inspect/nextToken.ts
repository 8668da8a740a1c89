/** The visible part of next-token distributions: a vocabulary can have 250,000 tokens. */

import type { FoundTokens, NextToken, RankedToken } from "../api/tokens";
import type { Tokenizer } from "../tokenizers";

type Vocabulary = Pick<Tokenizer, "vocabSize" | "token" | "bytes">;

/** The `count` most likely tokens, and the entropy over all probabilities [V]. */
export function nextToken(probabilities: Float32Array, vocabulary: Vocabulary, count: number): NextToken {
  const V = probabilities.length;
  // Sorting numbers is fast; only the most likely are sorted as tokens.
  const least = probabilities.slice().sort()[Math.max(0, V - count)] as number;
  const likely = idsWhere(V, (id) => (probabilities[id] as number) >= least);
  const ranked = likely.sort((a, b) => (probabilities[b] as number) - (probabilities[a] as number) || a - b);
  return {
    top: ranked.slice(0, count).map((id, i) => rankedToken(probabilities, vocabulary, id, i + 1)),
    entropyBits: probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log2(p) : sum), 0),
  };
}

/** Text of each token, or the vocabulary's spelling if a token has no text or only part of a character. */
export function vocabularyTexts(V: number, vocabulary: Vocabulary): string[] {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  return Array.from({ length: V }, (_, id) => {
    if (id >= vocabulary.vocabSize) return tokenAs(vocabulary, id);
    try {
      return utf8.decode(vocabulary.bytes(id)) || vocabulary.token(id);
    } catch {
      return vocabulary.token(id);
    }
  });
}

/** Tokens by id (`#12`) or by a part of their text: exact matches first, then the most likely. */
export function findTokens(
  query: string,
  probabilities: Float32Array,
  texts: readonly string[],
  vocabulary: Vocabulary,
  count: number,
): FoundTokens {
  const matches = matchingIds(query, texts, (a, b) => (probabilities[b] as number) - (probabilities[a] as number));
  const found = matches.slice(0, count).map((n) => rankedToken(probabilities, vocabulary, n, rankOf(probabilities, n)));
  return { found, matches: matches.length };
}

/** Tokens by id (`#12`) or by a part of their text: exact matches first, then by `order` and by id. */
export function matchingIds(query: string, texts: readonly string[], order = (_a: number, _b: number) => 0): number[] {
  const id = /^#(\d+)$/.exec(query)?.[1];
  const matches = id ? [Number(id)].filter((n) => n < texts.length) : idsWhere(texts.length, hasText(query, texts));
  const isExact = (n: number) => Number(texts[n] === query);
  return matches.sort((a, b) => isExact(b) - isExact(a) || order(a, b) || a - b);
}

const hasText = (query: string, texts: readonly string[]) => (id: number) =>
  query !== "" && (texts[id] as string).includes(query);

function idsWhere(V: number, holds: (id: number) => boolean): number[] {
  const ids: number[] = [];
  for (let id = 0; id < V; id++) if (holds(id)) ids.push(id);
  return ids;
}

function rankOf(probabilities: Float32Array, id: number): number {
  const own = probabilities[id] as number;
  return probabilities.reduce((rank, p, other) => (p > own || (p === own && other < id) ? rank + 1 : rank), 1);
}

/** A token's spelling; `<id>` if the model has more logits than its tokenizer has tokens. */
export const tokenAs = (vocabulary: Vocabulary, id: number) =>
  id < vocabulary.vocabSize ? vocabulary.token(id) : `<${id}>`;

/** A token's bytes; none for such an id. */
export const bytesAs = (vocabulary: Vocabulary, id: number): Uint8Array =>
  id < vocabulary.vocabSize ? vocabulary.bytes(id) : new Uint8Array();

const rankedToken = (probabilities: Float32Array, vocabulary: Vocabulary, id: number, rank: number): RankedToken => ({
  id,
  token: tokenAs(vocabulary, id),
  bytes: bytesAs(vocabulary, id),
  probability: probabilities[id] as number,
  rank,
});
