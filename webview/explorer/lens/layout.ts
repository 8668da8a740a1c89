/** The logit lens as a grid: places of the residual stream upwards, positions to the right, loaded a few positions at a time. */

import type { Lens } from "../../../src/protocol/traceApi";
import type { TableData } from "../../charts/csv";
import { visibleText } from "../../trace/tokens/layout";

/** What the color of a cell stands for. */
export type LensColor = "probability" | "entropy" | "tracked";

export interface LensCell {
  /** The most likely tokens, most likely first. */
  readonly top: readonly { readonly id: number; readonly label: string; readonly probability: number }[];
  readonly entropyBits: number;
  /** Of the tracked token. */
  readonly tracked: { readonly probability: number; readonly rank: number } | null;
}

/** Positions that are asked for together. */
const TILE = 16;

/** The tiles [from, to) that hold positions of a range and are not loaded yet. */
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

/** The cells of an answer by position: `columns.get(position)[place]`. */
export function columnsOf({ places, positions: [from, to], ids, probabilities, entropies, tracked, tokens }: Lens) {
  const M = to - from;
  const count = ids.length / (places.length * M);
  const columns = new Map<number, readonly LensCell[]>();
  for (let m = 0; m < M; m++) {
    columns.set(
      from + m,
      places.map((_, p): LensCell => {
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

/** A token's text as it is written in the page; one without a text, by its number. */
const labelOf = (id: number, tokens: Readonly<Record<number, string>>): string =>
  visibleText(tokens[id] ?? "") || `#${id}`;

/** The places that are shown, from the last, which is on top, to the first. */
export const shownPlaces = (places: readonly string[], afterAttention: boolean): number[] =>
  places
    .map((_, p) => p)
    .filter((p) => afterAttention || !/\.resid(Mid|Cross)$/.test(places[p] as string))
    .reverse();

/** Reads as `3 mid`: after the attention of block 3. */
export function placeLabel(place: string): string {
  const [, layer, value] = /^blocks\.(\d+)\.resid(\w+)$/.exec(place) ?? [];
  return value === "Pre" ? "embed" : `${layer} ${value?.toLowerCase() ?? place}`;
}

export function colorValue(cell: LensCell, color: LensColor): number {
  if (color === "entropy") return cell.entropyBits;
  return color === "tracked" ? (cell.tracked?.probability ?? 0) : (cell.top[0]?.probability ?? 0);
}

/** Reads as `37 → 12 → 1`: the ranks along the places, each change once. */
export function rankPath(ranks: readonly number[]): string {
  return ranks.filter((rank, i) => rank !== ranks[i - 1]).join(" → ");
}

/** A row for each place of each position that is loaded. */
export function lensTable(
  places: readonly string[],
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
      "place",
      "position",
      "token",
      "entropy (bits)",
      ...(isTracked ? ["probability of the tracked token", "its rank"] : []),
      ...numbered.flat(),
    ],
    rows: positions.length * places.length,
    row: (i) => {
      const position = positions[Math.floor(i / places.length)] as number;
      const p = i % places.length;
      const cell = columns.get(position)?.[p] as LensCell;
      return [
        places[p] as string,
        position,
        tokens[position] ?? "",
        cell.entropyBits,
        ...(cell.tracked ? [cell.tracked.probability, cell.tracked.rank] : []),
        ...cell.top.flatMap(({ id, label, probability }) => [id, label, probability]),
      ];
    },
  };
}

/** The tracked token at each place of a position. */
export const trackTable = (places: readonly string[], cells: readonly LensCell[], title: string): TableData => ({
  title,
  columns: ["place", "probability", "rank"],
  rows: cells.length,
  row: (p) => {
    const { probability, rank } = cells[p]?.tracked ?? { probability: Number.NaN, rank: Number.NaN };
    return [places[p] ?? "", probability, rank];
  },
});
