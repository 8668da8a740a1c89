/** The logit lens as a grid: layers upward, positions to the right. A `depth` names a value of the residual stream, such as `blocks.0.residMid`. */

import type { Lens } from "../../../src/protocol/traceApi";
import type { TableData } from "../../charts/csv";
import { visibleText } from "../../trace/tokens/layout";

/** The quantity that colors a cell. */
export type LensColor = "probability" | "entropy" | "tracked";

export interface LensCell {
  /** Most likely first. */
  readonly top: readonly { readonly id: number; readonly label: string; readonly probability: number }[];
  readonly entropyBits: number;
  /** The tracked token in this cell, if there is one. */
  readonly tracked: { readonly probability: number; readonly rank: number } | null;
}

/** Positions per request. */
const TILE = 16;

/** The tiles [from, to) that overlap [first, end) and are not loaded yet. */
export function missingTiles(
  first: number,
  end: number,
  positions: number,
  has: (position: number) => boolean,
): [from: number, to: number][] {
  const tiles: [number, number][] = [];
  for (let from = Math.floor(first / TILE) * TILE; from < end; from += TILE) {
    if (!has(from)) tiles.push([from, Math.min(positions, from + TILE)]);
  }
  return tiles;
}

/** The cells of a lens by position: `columns.get(position)[depth]`. */
export function columnsOf({ depths, positions: [from, to], ids, probabilities, entropies, tracked, tokens }: Lens) {
  const M = to - from;
  const count = ids.length / (depths.length * M);
  const columns = new Map<number, readonly LensCell[]>();
  for (let m = 0; m < M; m++) {
    columns.set(
      from + m,
      depths.map((_, p): LensCell => {
        const at = p * M + m;
        return {
          top: Array.from({ length: count }, (_, k) => {
            const id = ids[at * count + k] as number;
            return { id, label: labelOf(id, tokens), probability: probabilities[at * count + k] as number };
          }),
          entropyBits: entropies[at] as number,
          tracked: tracked && {
            probability: tracked.probabilities[at] as number,
            rank: tracked.ranks[at] as number,
          },
        };
      }),
    );
  }
  return columns;
}

/** The visible text of a token, or `#id` if it has none. */
const labelOf = (id: number, tokens: Readonly<Record<number, string>>): string =>
  visibleText(tokens[id] ?? "") || `#${id}`;

/** Indices of the depths that are shown, the last one on top. */
export const shownDepths = (depths: readonly string[], afterAttention: boolean): number[] =>
  depths
    .map((_, p) => p)
    .filter((p) => afterAttention || !/\.resid(Mid|Cross)$/.test(depths[p] as string))
    .reverse();

/** Text such as `3 mid`, which is after the attention of layer 3. */
export function depthLabel(depth: string): string {
  const [, layer, value] = /^blocks\.(\d+)\.resid(\w+)$/.exec(depth) ?? [];
  return value === "Pre" ? "embed" : `${layer} ${value?.toLowerCase() ?? depth}`;
}

export function colorValue(cell: LensCell, color: LensColor): number {
  if (color === "entropy") return cell.entropyBits;
  return color === "tracked" ? (cell.tracked?.probability ?? 0) : (cell.top[0]?.probability ?? 0);
}

/** Text such as `37 → 12 → 1`: the ranks along the layers, without repetitions. */
export function rankPath(ranks: readonly number[]): string {
  return ranks.filter((rank, i) => rank !== ranks[i - 1]).join(" → ");
}

/** A table with one row per depth of each loaded position. */
export function lensTable(
  depths: readonly string[],
  columns: ReadonlyMap<number, readonly LensCell[]>,
  tokens: readonly string[],
  title: string,
): TableData {
  const positions = [...columns.keys()].sort((a, b) => a - b);
  const count = columns.values().next().value?.[0]?.top.length ?? 0;
  const isTracked = columns.values().next().value?.[0]?.tracked !== null;
  const numbered = Array.from({ length: count }, (_, k) => [`id ${k + 1}`, `token ${k + 1}`, `probability ${k + 1}`]);
  return {
    title,
    columns: [
      "depth",
      "position",
      "token",
      "entropy (bits)",
      ...(isTracked ? ["probability of the tracked token", "its rank"] : []),
      ...numbered.flat(),
    ],
    rows: positions.length * depths.length,
    row: (i) => {
      const position = positions[Math.floor(i / depths.length)] as number;
      const p = i % depths.length;
      const cell = columns.get(position)?.[p] as LensCell;
      return [
        depths[p] as string,
        position,
        tokens[position] ?? "",
        cell.entropyBits,
        ...(cell.tracked ? [cell.tracked.probability, cell.tracked.rank] : []),
        ...cell.top.flatMap(({ id, label, probability }) => [id, label, probability]),
      ];
    },
  };
}

/** A table of the tracked token at one position, with one row per depth. */
export const trackTable = (depths: readonly string[], cells: readonly LensCell[], title: string): TableData => ({
  title,
  columns: ["depth", "probability", "rank"],
  rows: cells.length,
  row: (p) => {
    const { probability, rank } = cells[p]?.tracked ?? { probability: Number.NaN, rank: Number.NaN };
    return [depths[p] ?? "", probability, rank];
  },
});
