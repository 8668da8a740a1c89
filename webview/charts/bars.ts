/** Labelled bars: the picture of a list that is DOM on the page, to save as a file. */

import { el } from "../dom";
import { readTheme } from "../theme";
import { type Rgb, toCss } from "./colorScale";
import { escapeXml, svgText } from "./svg";

export interface Bar {
  readonly label: string;
  readonly note: string;
  readonly value: number;
  /** Drawn below the value, as much of the same length. */
  readonly other?: number | undefined;
}

export interface BarPicture {
  readonly title: string;
  readonly bars: readonly Bar[];
  readonly format: (value: number) => string;
}

const WIDTH = 560;
const ROW = 26;
const MARGIN = 12;
const TITLE = 20;
const TRACK = { x: 172, width: 280, height: 8 };

interface Placed {
  readonly texts: readonly { readonly x: number; readonly y: number; readonly text: string; readonly color: Rgb }[];
  readonly rects: readonly { readonly y: number; readonly width: number; readonly color: Rgb }[];
  readonly height: number;
}

function place({ title, bars, format }: BarPicture): Placed {
  const { foreground, muted, positive, negative } = readTheme();
  const largest = Math.max(...bars.flatMap(({ value, other = 0 }) => [value, other])) || 1;
  const values = (bar: Bar) => [bar.value, ...(bar.other === undefined ? [] : [bar.other])];
  const rows = bars.map((bar, i) => ({ bar, y: MARGIN + TITLE + i * ROW }));
  const valueX = TRACK.x + TRACK.width + 8;
  const offset = (bar: Bar, n: number) => (values(bar).length === 1 ? ROW / 2 : n === 0 ? ROW / 3 : ROW * 0.75);
  return {
    texts: [
      { x: MARGIN, y: MARGIN + 4, text: title, color: muted },
      ...rows.flatMap(({ bar, y }) => [
        { x: MARGIN, y: y + ROW / 2, text: bar.label, color: foreground },
        { x: MARGIN + 100, y: y + ROW / 2, text: bar.note, color: muted },
        ...values(bar).map((value, n) => ({
          x: valueX,
          y: y + offset(bar, n),
          text: format(value),
          color: foreground,
        })),
      ]),
    ],
    rects: rows.flatMap(({ bar, y }) =>
      values(bar).map((value, n) => ({
        y: y + offset(bar, n) - TRACK.height / 2,
        width: (TRACK.width * value) / largest,
        color: n === 0 ? positive : negative,
      })),
    ),
    height: 2 * MARGIN + TITLE + bars.length * ROW,
  };
}

export function drawBars(picture: BarPicture): HTMLCanvasElement {
  const ratio = 2;
  const theme = readTheme();
  const { texts, rects, height } = place(picture);
  const canvas = el("canvas");
  canvas.width = WIDTH * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.scale(ratio, ratio);
  context.fillStyle = toCss(theme.background);
  context.fillRect(0, 0, WIDTH, height);
  context.font = `11px ${theme.monoFamily}`;
  context.textBaseline = "middle";
  for (const { x, y, text, color } of texts) {
    context.fillStyle = toCss(color);
    context.fillText(text, x, y);
  }
  for (const { y, width, color } of rects) {
    context.fillStyle = toCss(color);
    context.fillRect(TRACK.x, y, width, TRACK.height);
  }
  return canvas;
}

export function barsSvg(picture: BarPicture): string {
  const theme = readTheme();
  const { texts, rects, height } = place(picture);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="${escapeXml(theme.monoFamily)}" font-size="11" dominant-baseline="middle">`,
    `<rect width="${WIDTH}" height="${height}" fill="${toCss(theme.background)}"/>`,
    ...texts.map(({ x, y, text, color }) => svgText(x, y, text, toCss(color), 'xml:space="preserve"')),
    ...rects.map(
      ({ y, width, color }) =>
        `<rect x="${TRACK.x}" y="${y.toFixed(1)}" width="${width.toFixed(2)}" height="${TRACK.height}" fill="${toCss(color)}"/>`,
    ),
    "</svg>",
  ].join("\n");
}
