/** Geometry of a scatter plot in CSS pixels: pure arithmetic. */

import type { Point } from "./pen";
import { ticks } from "./series";

export interface ScatterPoint {
  readonly x: number;
  readonly y: number;
  readonly label: string;
  /** Drawn with another shape, and labeled before the others. */
  readonly isExtra: boolean;
}

interface ScatterLabel {
  readonly point: number;
  readonly text: string;
  /** Left end and vertical center. */
  readonly x: number;
  readonly y: number;
}

export interface ScatterScene {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  /** Centers of the points. */
  readonly at: readonly Point[];
  readonly labels: readonly ScatterLabel[];
  readonly xTicks: readonly Tick[];
  readonly yTicks: readonly Tick[];
}

interface Tick {
  readonly at: number;
  readonly text: string;
}

/** Width of a letter of the monospaced font, so that the layout needs no canvas. */
const LETTER = 6.7;
const LABEL_LENGTH = 14;
/** From a point's center to its label, with space for the ring of the selected point. */
const LABEL_GAP = 9;
const LEFT = 52;
const BOTTOM = 36;
const MARGIN = 12;

/** Each axis has its own scale. Labels that would overlap others are left out; the label of point `first` is always kept. */
export function scatterScene(
  points: readonly ScatterPoint[],
  { width, height }: { readonly width: number; readonly height: number },
  first: number | null,
): ScatterScene {
  const [left, top, right, bottom] = [LEFT, MARGIN, width - MARGIN, height - BOTTOM];
  const [xs, ys] = [rangeOf(points.map(({ x }) => x)), rangeOf(points.map(({ y }) => y))];
  const xAt = (x: number) => left + ((x - xs[0]) / (xs[1] - xs[0])) * (right - left);
  const yAt = (y: number) => bottom - ((y - ys[0]) / (ys[1] - ys[0])) * (bottom - top);
  const at = points.map(({ x, y }) => [xAt(x), yAt(y)] as const);
  return {
    width,
    height,
    left,
    top,
    right,
    bottom,
    at,
    labels: placeLabels(points, at, { left, top, right, bottom }, first),
    xTicks: ticks(...xs, 6).map((value) => ({ at: xAt(value), text: String(value) })),
    yTicks: ticks(...ys, 5).map((value) => ({ at: yAt(value), text: String(value) })),
  };
}

/** From the smallest to the largest value, with a margin; never empty. */
function rangeOf(values: readonly number[]): readonly [number, number] {
  const low = values.reduce((least, x) => Math.min(least, x), Number.POSITIVE_INFINITY);
  const high = values.reduce((most, x) => Math.max(most, x), Number.NEGATIVE_INFINITY);
  const room = high > low ? (high - low) * 0.06 : Math.max(1, Math.abs(low));
  return Number.isFinite(low) ? [low - room, high + room] : [-1, 1];
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

function placeLabels(
  points: readonly ScatterPoint[],
  at: readonly Point[],
  plot: Box,
  first: number | null,
): ScatterLabel[] {
  const rank = (i: number) => (i === first ? 0 : points[i]?.isExtra ? 1 : 2);
  const order = points.map((_, i) => i).sort((a, b) => rank(a) - rank(b) || a - b);
  // Points with the same label at the same pixel share one label, with their count.
  const spot = (i: number) => `${at[i]?.map(Math.round)} ${points[i]?.label}`;
  const together = new Map<string, number>();
  for (const i of order) together.set(spot(i), (together.get(spot(i)) ?? 0) + 1);
  const taken: Box[] = [];
  const labels: ScatterLabel[] = [];
  for (const point of order) {
    const count = together.get(spot(point)) ?? 0;
    if (count === 0) continue;
    together.delete(spot(point));
    const text = shortened(points[point]?.label ?? "") + (count > 1 ? ` ×${count}` : "");
    const [x, y] = at[point] as Point;
    const width = text.length * LETTER;
    for (const start of [x + LABEL_GAP, x - LABEL_GAP - width]) {
      const box = { left: start, right: start + width, top: y - 7, bottom: y + 7 };
      if (box.left < plot.left || box.right > plot.right || taken.some((other) => overlap(box, other))) continue;
      taken.push(box);
      labels.push({ point, text, x: start, y });
      break;
    }
  }
  return labels;
}

const overlap = (a: Box, b: Box): boolean =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

const shortened = (label: string): string => {
  const letters = [...label];
  return letters.length <= LABEL_LENGTH ? label : `${letters.slice(0, LABEL_LENGTH - 1).join("")}…`;
};

/** The nearest point within a few pixels of the pointer; null where there is none. */
export function pointAt({ at }: ScatterScene, x: number, y: number): number | null {
  let best: number | null = null;
  let nearest = 14 ** 2;
  for (const [i, [px, py]] of at.entries()) {
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < nearest) [best, nearest] = [i, distance];
  }
  return best;
}
