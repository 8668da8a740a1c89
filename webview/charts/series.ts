/** Points of a line, and how they are thinned, smoothed and read: pure functions. */

export interface Points {
  /** Ascending. */
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/**
 * Keeps the lowest and the highest point of each of `buckets` intervals of x, so that the line looks as if drawn from all
 * points. Values that are not finite are left out.
 */
export function decimate({ x, y }: Points, buckets: number): Points {
  const valid = x.map((_, i) => i).filter((i) => Number.isFinite(y[i]));
  if (valid.length <= 2 * buckets) return { x: valid.map((i) => x[i] as number), y: valid.map((i) => y[i] as number) };
  const [first, last] = [x[valid[0] as number] as number, x[valid.at(-1) as number] as number];
  const kept: number[] = [];
  let bucket = -1;
  let low = -1;
  let high = -1;
  const flush = () => {
    if (low < 0) return;
    kept.push(Math.min(low, high));
    if (low !== high) kept.push(Math.max(low, high));
  };
  for (const i of valid) {
    const at = Math.min(buckets - 1, Math.floor((((x[i] as number) - first) / (last - first)) * buckets));
    if (at !== bucket) {
      flush();
      bucket = at;
      low = high = i;
    }
    if ((y[i] as number) < (y[low] as number)) low = i;
    if ((y[i] as number) > (y[high] as number)) high = i;
  }
  flush();
  return { x: kept.map((i) => x[i] as number), y: kept.map((i) => y[i] as number) };
}

/**
 * Debiased exponential moving average, as in TensorBoard: m = w m + (1 - w) y, divided by 1 - w^n after n values, so that
 * the start is not pulled to 0. A weight of 0 leaves y as it is; values that are not finite keep the mean.
 */
export function smooth(y: readonly number[], weight: number): number[] {
  let [mean, seen] = [0, 0];
  return y.map((value) => {
    if (Number.isFinite(value)) {
      mean = weight * mean + (1 - weight) * value;
      seen++;
    }
    return seen === 0 ? Number.NaN : mean / (1 - weight ** seen);
  });
}

/** The index of the last point at or before `x`; -1 when there is none. */
export function indexAt({ x }: Points, at: number): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((x[middle] as number) <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** About `count` round numbers from `low` to `high`: 1, 2 or 5 times a power of ten apart. */
export function ticks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count;
  if (!(rough > 0) || !Number.isFinite(rough)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const apart = power * ([1, 2, 5].find((n) => n * power >= rough) ?? 10);
  const first = Math.ceil(low / apart);
  const last = Math.floor(high / apart + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * apart).toPrecision(12)));
}
