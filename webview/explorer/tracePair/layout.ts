/** Two traces beside each other, as pure functions: aligned tokens, paired probabilities, differences. */

import type { TableData } from "../../charts/csv";
import type { LensCell } from "../lens/layout";

/** Aligned positions of two texts; null if one text has no token there. */
export interface AlignedTokens {
  readonly a: number | null;
  readonly b: number | null;
}

/** Above this many pairs of tokens, texts are aligned by their common beginning and end, and by position in between. */
const MOST_PAIRS = 1 << 22;

/**
 * Aligns the tokens of two texts by their longest common subsequence. Tokens between two common ones are paired in
 * order, as replacements of each other; what is left over has no partner.
 */
export function alignTokens(a: readonly number[], b: readonly number[]): AlignedTokens[] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let [endA, endB] = [a.length, b.length];
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA--;
    endB--;
  }
  const rows = Array.from({ length: start }, (_, i): AlignedTokens => ({ a: i, b: i }));
  let [lastA, lastB] = [start, start];
  const goTo = (i: number, j: number) => {
    for (; lastA < i || lastB < j; lastA++, lastB++) {
      rows.push({ a: lastA < i ? lastA : null, b: lastB < j ? lastB : null });
    }
    [lastA, lastB] = [i, j];
  };
  for (const [i, j] of commonTokens(a.slice(start, endA), b.slice(start, endB))) {
    goTo(start + i, start + j);
    rows.push({ a: start + i, b: start + j });
    [lastA, lastB] = [start + i + 1, start + j + 1];
  }
  goTo(endA, endB);
  for (let i = 0; endA + i < a.length; i++) rows.push({ a: endA + i, b: endB + i });
  return rows;
}

function commonTokens(a: readonly number[], b: readonly number[]): [i: number, j: number][] {
  const [rows, cols] = [a.length, b.length];
  if (rows * cols > MOST_PAIRS) return [];
  // lengths[i, j]: length of the longest common subsequence of a[i..] and b[j..].
  const lengths = new Uint16Array((rows + 1) * (cols + 1));
  const at = (i: number, j: number) => lengths[i * (cols + 1) + j] as number;
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = cols - 1; j >= 0; j--) {
      lengths[i * (cols + 1) + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const pairs: [number, number][] = [];
  for (let i = 0, j = 0; i < rows && j < cols; ) {
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (at(i + 1, j) >= at(i, j + 1)) i++;
    else j++;
  }
  return pairs;
}

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

/** b - a for the cells that both matrices have: [rows, cols] of the smaller. */
export function matrixDifference(
  a: { readonly rows: number; readonly cols: number; readonly values: Float32Array },
  b: { readonly rows: number; readonly cols: number; readonly values: Float32Array },
) {
  const [rows, cols] = [Math.min(a.rows, b.rows), Math.min(a.cols, b.cols)];
  const values = new Float32Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) {
      values[i * cols + j] = (b.values[i * b.cols + j] as number) - (a.values[i * a.cols + j] as number);
    }
  }
  return { rows, cols, values };
}

/** The position to compare with in the other trace: the last for the last, else the same, limited to its length. */
export const positionBeside = (position: number, lengthA: number, lengthB: number): number =>
  position >= lengthA - 1 ? lengthB - 1 : Math.min(position, lengthB - 1);
