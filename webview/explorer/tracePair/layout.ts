/** Two traces beside each other, as pure functions: aligned positions, paired probabilities, differences. */

import type { TokenSpan } from "../../../src/protocol/engineApi";
import { alignTokens } from "../../../src/text/align";
import type { TableData } from "../../charts/csv";
import type { LensCell } from "../lens/layout";

/** A token with its probability in both traces. */
export interface PairedToken {
  readonly id: number;
  readonly label: string;
  readonly a: number;
  readonly b: number;
}

/** The `count` top tokens of both cells, and those whose probability is missing in one of them. */
export function wantedTokens(a: LensCell, b: LensCell, count: number) {
  const labels = new Map([...a.top.slice(0, count), ...b.top.slice(0, count)].map(({ id, label }) => [id, label]));
  const missing = ({ top }: LensCell) => {
    const known = new Set(top.map(({ id }) => id));
    return [...labels.keys()].filter((id) => !known.has(id));
  };
  return { labels, missingInA: missing(a), missingInB: missing(b) };
}

/** The top tokens of both cells, sorted by the first; `moreA` and `moreB` have the missing probabilities by id. */
export function pairedTokens(
  a: LensCell,
  b: LensCell,
  count: number,
  moreA: ReadonlyMap<number, number>,
  moreB: ReadonlyMap<number, number>,
): PairedToken[] {
  const known = ({ top }: LensCell, more: ReadonlyMap<number, number>) => {
    const byId = new Map(top.map(({ id, probability }) => [id, probability]));
    return (id: number) => byId.get(id) ?? more.get(id) ?? Number.NaN;
  };
  const [inA, inB] = [known(a, moreA), known(b, moreB)];
  return [...wantedTokens(a, b, count).labels]
    .map(([id, label]) => ({ id, label, a: inA(id), b: inB(id) }))
    .sort((x, y) => y.a - x.a || y.b - x.b);
}

/** A table with one row per token. */
export const pairedTable = (
  title: string,
  tokens: readonly PairedToken[],
  [first, second]: readonly [string, string],
): TableData => ({
  title,
  columns: ["id", "token", `probability, ${first}`, `probability, ${second}`, "difference"],
  rows: tokens.length,
  row: (i) => {
    const { id, label, a, b } = tokens[i] as PairedToken;
    return [id, label, a, b, b - a];
  },
});

/** A table with one row per depth and rank. */
export function lensPairTable(
  title: string,
  depths: readonly string[],
  positions: readonly [number, number],
  cells: readonly [readonly (LensCell | undefined)[], readonly (LensCell | undefined)[]],
  names: readonly [string, string],
  count: number,
): TableData {
  return {
    title,
    columns: [
      "depth",
      "rank",
      ...names.flatMap((name) => ["position", "id", "token", "probability"].map((column) => `${column}, ${name}`)),
    ],
    rows: depths.length * count,
    row: (i) => {
      const p = Math.floor(i / count);
      const rank = i % count;
      return [
        depths[p] as string,
        rank + 1,
        ...cells.flatMap((column, trace) => {
          const token = column[p]?.top[rank];
          return [positions[trace] as number, token?.id ?? "", token?.label ?? "", token?.probability ?? ""];
        }),
      ];
    },
  };
}

/** b - a for the cells of a whose query and key have partners in b, [a.rows, a.cols]; NaN elsewhere. */
export function matrixDifference(
  a: { readonly rows: number; readonly cols: number; readonly values: Float32Array },
  b: { readonly rows: number; readonly cols: number; readonly values: Float32Array },
  queries: Partners,
  keys: Partners,
) {
  const { rows, cols } = a;
  const values = new Float32Array(rows * cols).fill(Number.NaN);
  for (let i = 0; i < rows; i++) {
    const query = queries[i] ?? null;
    if (query === null) continue;
    for (let j = 0; j < cols; j++) {
      const key = keys[j] ?? null;
      if (key !== null)
        values[i * cols + j] = (b.values[query * b.cols + key] as number) - (a.values[i * cols + j] as number);
    }
  }
  return { rows, cols, values };
}

/** The position in another text of each token of a text; null if the other text has no such token. */
export type Partners = readonly (number | null)[];

/** Aligning two long texts takes milliseconds, and views ask for the same pair again and again. */
const known = new WeakMap<Tokens, { readonly other: Tokens; readonly partners: Partners }>();
type Tokens = readonly Pick<TokenSpan, "id">[];

export function partnersOf(tokens: Tokens, other: Tokens): Partners {
  const found = known.get(tokens);
  if (found?.other === other) return found.partners;
  const ids = (of: Tokens) => of.map(({ id }) => id);
  const partners = alignTokens(ids(tokens), ids(other)).flatMap(({ a, b }) => (a === null ? [] : [b]));
  known.set(tokens, { other, partners });
  return partners;
}

/**
 * The position to compare with in the other text: the partner of the token. If the last token has none, it is compared
 * with the other text's last, because both have read a whole text. Any other uses the partner of the nearest token before.
 */
export function positionBeside(position: number, partners: Partners, otherLength: number): number {
  if (position >= partners.length - 1) return partners.at(-1) ?? otherLength - 1;
  return partners.slice(0, position + 1).findLast((each) => each !== null) ?? 0;
}
