/** The next-token distribution as it is shown: always over the whole vocabulary. */

import { visibleText } from "../tokens/layout";

export interface RankedToken {
  readonly id: number;
  readonly label: string;
  readonly probability: number;
  /** 1 is the most likely. */
  readonly rank: number;
}

export interface Distribution {
  readonly top: readonly RankedToken[];
  /** The tokens that are not in `top`, together. */
  readonly rest: { readonly count: number; readonly probability: number };
  readonly entropyBits: number;
  /** The entropy if every token were as likely as any other. */
  readonly maxEntropyBits: number;
}

/** The `count` most likely tokens, what is left, and the entropy, from probabilities over the vocabulary [V]. */
export function distribution(probabilities: Float32Array, vocabulary: readonly string[], count: number): Distribution {
  const top = rankedIds(probabilities)
    .slice(0, count)
    .map((id, i) => rankedToken(probabilities, vocabulary, id, i + 1));
  let entropyBits = 0;
  let total = 0;
  for (const p of probabilities) {
    total += p;
    if (p > 0) entropyBits -= p * Math.log2(p);
  }
  const covered = top.reduce((sum, { probability }) => sum + probability, 0);
  return {
    top,
    rest: { count: probabilities.length - top.length, probability: Math.max(0, total - covered) },
    entropyBits,
    maxEntropyBits: Math.log2(probabilities.length),
  };
}

/** Ids from the most to the least likely; of equal ones the lower id first. */
export function rankedIds(probabilities: Float32Array): number[] {
  return Array.from(probabilities.keys()).sort(
    (a, b) => (probabilities[b] as number) - (probabilities[a] as number) || a - b,
  );
}

/** Tokens that a search finds: by id (`#12`), or by text, typed as it is or with glyphs; exact matches come first. */
export function findTokens(
  query: string,
  probabilities: Float32Array,
  vocabulary: readonly string[],
  count: number,
): { readonly found: readonly RankedToken[]; readonly matches: number } {
  if (query === "") return { found: [], matches: 0 };
  const byId = /^#(\d+)$/.exec(query);
  const wanted = visibleText(query);
  const ids = rankedIds(probabilities);
  const ranks = new Map(ids.map((id, i) => [id, i + 1]));
  const exact: number[] = [];
  const inside: number[] = [];
  for (const id of ids) {
    const label = visibleText(vocabulary[id] ?? "");
    if (byId ? id === Number(byId[1]) : label === wanted) exact.push(id);
    else if (!byId && label.includes(wanted)) inside.push(id);
  }
  const all = [...exact, ...inside];
  return {
    found: all.slice(0, count).map((id) => rankedToken(probabilities, vocabulary, id, ranks.get(id) as number)),
    matches: all.length,
  };
}

const rankedToken = (p: Float32Array, vocabulary: readonly string[], id: number, rank: number): RankedToken => ({
  id,
  label: visibleText(vocabulary[id] ?? ""),
  probability: p[id] as number,
  rank,
});
