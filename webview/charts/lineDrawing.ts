/** A line chart as a picture to save, with its legend; on the page, uPlot draws it. */

import type { Rgb } from "./colorScale";
import type { Drawing, Point } from "./pen";
import { type Points, ticks } from "./series";

/** Dash patterns in pixels; the first is solid. */
const DASHES: readonly (readonly number[])[] = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 2], [12, 4, 2, 4, 2, 4]];

export const dashOf = (index: number): readonly number[] => DASHES[index % DASHES.length] as readonly number[];

export interface LinePlot {
  readonly title: string;
  readonly x: { readonly name: string; readonly format: (value: number) => string };
  readonly y: { readonly format: (value: number) => string; readonly log: boolean };
  readonly lines: readonly {
    readonly name: string;
    readonly points: Points;
    readonly color: Rgb;
    readonly dash: readonly number[];
    readonly style: "line" | "faint" | "dots";
  }[];
  readonly marks: readonly { readonly x: number; readonly label: string }[];
  readonly foreground: Rgb;
  readonly muted: Rgb;
}

const WIDTH = 900;
const HEIGHT = 360;
const LEFT = 64;
const RIGHT = 16;
const BOTTOM = 40;
const LEGEND_ROW = 18;
/** Pixels from one marked point to the next, so that marks do not hide their line. */
export const MARK_ROOM = 16;

export function lineDrawing({ title, x, y, lines, marks, foreground, muted }: LinePlot): Drawing {
  const top = 36 + LEGEND_ROW * lines.length;
  const bottom = top + HEIGHT - BOTTOM;
  // A logarithmic scale leaves out values that are not positive.
  const shown = lines.map(({ points }) => points.y.map((value) => (y.log && value <= 0 ? Number.NaN : value)));
  const xs = range(lines.flatMap(({ points }) => points.x));
  const toScale = (value: number) => (y.log ? Math.log10(value) : value);
  const ys = range(shown.flat().filter(Number.isFinite).map(toScale));
  const xAt = (value: number) => LEFT + ((value - xs.low) / xs.span) * (WIDTH - LEFT - RIGHT);
  const yAt = (value: number) => top + (1 - (toScale(value) - ys.low) / ys.span) * (HEIGHT - BOTTOM);
  const across = (from: number, to: number, atY: number): Point[] => [
    [from, atY],
    [to, atY],
  ];
  return {
    title,
    hasTitle: true,
    width: WIDTH,
    height: top + HEIGHT,
    font: "text",
    draw(pen) {
      pen.text(LEFT, 17, title, { color: foreground, size: 14, bold: true });
      lines.forEach(({ name, color, dash }, i) => {
        const at = 40 + LEGEND_ROW * i;
        pen.line(across(LEFT, LEFT + 28, at), { color, width: 2, dash });
        pen.text(LEFT + 36, at, name, { color: foreground });
      });
      for (const tick of ticks(xs.low, xs.low + xs.span, 8)) {
        pen.text(xAt(tick), bottom + 12, x.format(tick), { color: muted, anchor: "middle" });
      }
      pen.text(WIDTH - RIGHT, bottom + 28, x.name, { color: muted, anchor: "end" });
      for (const tick of ticks(ys.low, ys.low + ys.span, 6)) {
        const value = y.log ? 10 ** tick : tick;
        pen.line(across(LEFT, WIDTH - RIGHT, yAt(value)), { color: muted, opacity: 0.3 });
        pen.text(LEFT - 6, yAt(value), y.format(value), { color: muted, anchor: "end" });
      }
      lines.forEach(({ points, color, dash, style }, i) => {
        const values = shown[i] as readonly number[];
        const drawn = points.x.flatMap((position, j): Point[] => {
          const value = values[j] as number;
          return Number.isFinite(value) ? [[xAt(position), yAt(value)]] : [];
        });
        pen.line(drawn, { color, dash, ...(style === "faint" ? { width: 1, opacity: 0.4 } : { width: 1.75 }) });
        const hasRoom = drawn.length * MARK_ROOM <= WIDTH - LEFT - RIGHT;
        if (style === "dots" && hasRoom) for (const center of drawn) pen.circle(center, 2.5, { fill: color });
      });
      for (const { x: position, label } of marks) {
        const at = xAt(position);
        const line: Point[] = [
          [at, top],
          [at, bottom],
        ];
        pen.line(line, { color: foreground, dash: [2, 2] });
        pen.text(at - 4, top + 8, label, { color: foreground, anchor: "end" });
      }
    },
  };
}

function range(values: readonly number[]): { readonly low: number; readonly span: number } {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return { low: 0, span: 1 };
  return { low, span: high > low ? high - low : Math.abs(low) || 1 };
}
