/** Alignment of the tokens of two texts, for views that compare them and for the engine. */

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

/** The positions that both texts have, in pairs, [pairs] each. */
export function alignedPositions(a: readonly number[], b: readonly number[]): { a: Uint32Array; b: Uint32Array } {
  const pairs = alignTokens(a, b).filter(
    (each): each is { readonly a: number; readonly b: number } => each.a !== null && each.b !== null,
  );
  return { a: Uint32Array.from(pairs, (each) => each.a), b: Uint32Array.from(pairs, (each) => each.b) };
}
