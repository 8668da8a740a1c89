/** A line chart as SVG with real text: pure, so that it can be tested. The picture on the page is uPlot's. */

import { type Points, ticks } from "./series";
import { escapeXml, svgText } from "./svg";

/** Patterns of dashes, in pixels; the first is solid. */
const DASHES: readonly (readonly number[])[] = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 2], [12, 4, 2, 4, 2, 4]];

export const dashOf = (index: number): readonly number[] => DASHES[index % DASHES.length] as readonly number[];

export interface Drawing {
  readonly title: string;
  readonly x: { readonly name: string; readonly format: (value: number) => string };
  readonly y: { readonly format: (value: number) => string; readonly log: boolean };
  readonly lines: readonly {
    readonly name: string;
    readonly points: Points;
    readonly color: string;
    readonly dash: readonly number[];
    readonly style: "line" | "faint" | "dots";
  }[];
  readonly marks: readonly { readonly x: number; readonly label: string }[];
  readonly background: string;
  readonly foreground: string;
  readonly muted: string;
  readonly fontFamily: string;
}

const WIDTH = 900;
const HEIGHT = 360;
const LEFT = 64;
const RIGHT = 16;
const BOTTOM = 40;
const LEGEND_ROW = 18;

export function lineSvg({ title, x, y, lines, marks, background, foreground, muted, fontFamily }: Drawing): string {
  const top = 36 + LEGEND_ROW * lines.length;
  const height = top + HEIGHT;
  const drawn = lines.map(({ points }) => points.y.map((value) => (y.log && value <= 0 ? Number.NaN : value)));
  const xs = range(lines.flatMap(({ points }) => points.x));
  const toY = (value: number) => (y.log ? Math.log10(value) : value);
  const ys = range(drawn.flat().filter(Number.isFinite).map(toY));
  const px = (value: number) => LEFT + ((value - xs.low) / xs.span) * (WIDTH - LEFT - RIGHT);
  const py = (value: number) => top + (1 - (toY(value) - ys.low) / ys.span) * (HEIGHT - BOTTOM);
  const bottom = top + HEIGHT - BOTTOM;

  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="${escapeXml(fontFamily)}" font-size="11">`,
    `<rect width="100%" height="100%" fill="${background}"/>`,
    svgText(LEFT, 22, title, foreground, `font-size="14" font-weight="600"`),
  ];
  lines.forEach(({ name, color, dash }, i) => {
    const at = 40 + LEGEND_ROW * i;
    parts.push(
      `<line x1="${LEFT}" y1="${at}" x2="${LEFT + 28}" y2="${at}" stroke="${color}" stroke-width="2"${dashes(dash)}/>`,
      svgText(LEFT + 36, at + 4, name, foreground),
    );
  });
  for (const tick of ticks(xs.low, xs.low + xs.span, 8)) {
    parts.push(svgText(px(tick), bottom + 16, x.format(tick), muted, `text-anchor="middle"`));
  }
  parts.push(svgText(WIDTH - RIGHT, bottom + 32, x.name, muted, `text-anchor="end"`));
  for (const tick of ticks(ys.low, ys.low + ys.span, 6)) {
    const value = y.log ? 10 ** tick : tick;
    parts.push(
      `<line x1="${LEFT}" y1="${py(value).toFixed(1)}" x2="${WIDTH - RIGHT}" y2="${py(value).toFixed(1)}" stroke="${muted}" stroke-opacity="0.3"/>`,
      svgText(LEFT - 6, py(value) + 4, y.format(value), muted, `text-anchor="end"`),
    );
  }
  lines.forEach(({ points, color, dash, style }, i) => {
    const values = drawn[i] as readonly number[];
    const at = points.x.flatMap((each, j) => {
      const value = values[j] as number;
      return Number.isFinite(value) ? [[px(each).toFixed(1), py(value).toFixed(1)] as const] : [];
    });
    const look = style === "faint" ? `stroke-width="1" stroke-opacity="0.4"` : `stroke-width="1.75"`;
    parts.push(
      `<polyline fill="none" stroke="${color}" ${look}${dashes(dash)} points="${at.map((point) => point.join(",")).join(" ")}"/>`,
    );
    if (style === "dots")
      parts.push(...at.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="2.5" fill="${color}"/>`));
  });
  for (const { x: at, label } of marks) {
    parts.push(
      `<line x1="${px(at).toFixed(1)}" y1="${top}" x2="${px(at).toFixed(1)}" y2="${bottom}" stroke="${foreground}" stroke-dasharray="2 2"/>`,
      svgText(px(at) - 4, top + 12, label, foreground, `text-anchor="end"`),
    );
  }
  return `${parts.join("\n")}\n</svg>\n`;
}

const dashes = (dash: readonly number[]): string => (dash.length > 0 ? ` stroke-dasharray="${dash.join(" ")}"` : "");

function range(values: readonly number[]): { readonly low: number; readonly span: number } {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return { low: 0, span: 1 };
  return { low, span: high > low ? high - low : Math.abs(low) || 1 };
}
