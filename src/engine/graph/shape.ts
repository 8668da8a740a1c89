/** Shapes and the arithmetic on them. */

export type Shape = readonly number[];

/** A dimension that is known only when the graph runs. */
export const UNKNOWN = -1;

export const isKnown = (shape: Shape): boolean => !shape.includes(UNKNOWN);

/** The number of elements of a known shape; 1 for a scalar. */
export const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

/** NumPy's rule: align at the right, a dimension of 1 stretches. Undefined if the shapes do not fit. */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    const da = a[a.length - rank + i] ?? 1;
    const db = b[b.length - rank + i] ?? 1;
    if (da !== db && da !== 1 && db !== 1) return undefined;
    out.push(da === 1 ? db : da);
  }
  return out;
}

/** Axes counted from the front, in order: `normalizeAxes([-1], 3)` is `[2]`. */
export const normalizeAxes = (axes: readonly number[], rank: number): readonly number[] =>
  axes.map((axis) => (axis < 0 ? axis + rank : axis)).sort((a, b) => a - b);

export const reducedShape = (shape: Shape, axes: readonly number[], keepDims: boolean): Shape =>
  keepDims ? shape.map((d, i) => (axes.includes(i) ? 1 : d)) : shape.filter((_, i) => !axes.includes(i));
