/** Keyboard moves and scroll positions: pure arithmetic. */

/** The index of a list that a key moves to; null for keys that do not move. */
export function moveIndex(key: string, from: number, count: number): number | null {
  const last = count - 1;
  const moves: Readonly<Record<string, number>> = {
    ArrowUp: from - 1,
    ArrowLeft: from - 1,
    ArrowDown: from + 1,
    ArrowRight: from + 1,
    PageUp: from - 10,
    PageDown: from + 10,
    Home: 0,
    End: last,
  };
  const to = moves[key];
  return to === undefined || last < 0 ? null : Math.max(0, Math.min(last, to));
}

/** The scroll position nearest to the present one at which `size` pixels from `start` are in view. */
export function scrollInto(scroll: number, start: number, size: number, room: number): number {
  if (start < scroll) return start;
  return start + size > scroll + room ? start + size - room : scroll;
}
