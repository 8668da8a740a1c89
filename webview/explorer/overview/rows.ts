/** The tokens in the picture: those that are read most, and those nearest to the selected one; the rest is counted. */

export type StackRow =
  | { readonly kind: "token"; readonly position: number }
  /** Tokens that are left out between two others. */
  | { readonly kind: "gap"; readonly count: number };

/** Positions that attention reads, with their summed weights. */
export type ReadWeights = ReadonlyMap<number, number>;

/**
 * At most `count` of `length` tokens in reading order, with gaps between them: the selected one (if it is in this stack),
 * those with the largest weights, and the nearest ones, earlier ones first.
 */
export function shownRows(length: number, selected: number | null, reads: ReadWeights, count: number): StackRow[] {
  const near = selected ?? length - 1;
  const distance = (position: number) => Math.abs(position - near) + (position > near ? length : 0);
  const weight = (position: number) => (position === selected ? Number.POSITIVE_INFINITY : (reads.get(position) ?? 0));
  const strongest = [...reads.keys()].sort((a, b) => weight(b) - weight(a)).slice(0, Math.floor(count / 2));
  const nearest = Array.from({ length }, (_, i) => i).sort((a, b) => distance(a) - distance(b));
  const chosen = new Set([...(selected === null ? [] : [selected]), ...strongest, ...nearest]);
  const positions = [...chosen].slice(0, count).sort((a, b) => a - b);
  const rows: StackRow[] = [];
  let next = 0;
  for (const position of [...positions, length]) {
    if (position > next) rows.push({ kind: "gap", count: position - next });
    if (position < length) rows.push({ kind: "token", position });
    next = position + 1;
  }
  return rows;
}
