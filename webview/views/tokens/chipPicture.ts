/** Chips as a picture to save, drawn where they are on the page. */

import { contrast, type Rgb, toCss } from "../../charts/colorScale";
import { escapeXml, svgText } from "../../charts/svg";
import { el } from "../../dom";
import { readTheme, type Theme } from "../../theme";

export interface ChipBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly text: string;
  readonly below: string;
  /** Null of a chip without a colour of its own. */
  readonly fill: Rgb | null;
}

/** A list of chips, one below the other. */
export interface ChipPart {
  readonly title: string;
  readonly height: number;
  readonly chips: readonly ChipBox[];
}

const TITLE = 24;
const MARGIN = 8;

interface Placed extends ChipBox {
  readonly ground: Rgb;
  readonly ink: Rgb;
}

const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [255, 255, 255];

/** Of the theme's two colours for text and ground, the one that reads on a colour; where neither does, black or white. */
export function inkOn(color: Rgb, { foreground, background }: Theme): Rgb {
  const best = (a: Rgb, b: Rgb) => (contrast(color, a) >= contrast(color, b) ? a : b);
  const ink = best(foreground, background);
  return contrast(color, ink) >= READABLE ? ink : best(BLACK, WHITE);
}

/** WCAG's least contrast of small text. */
const READABLE = 4.5;

/** Everything that is drawn, with its colours. */
function place(parts: readonly ChipPart[], theme: Theme) {
  const titles: { readonly y: number; readonly text: string }[] = [];
  const chips: Placed[] = [];
  let top = MARGIN;
  for (const part of parts) {
    titles.push({ y: top + TITLE / 2, text: part.title });
    top += TITLE;
    for (const chip of part.chips) {
      const ground = chip.fill ?? mix(theme.background, theme.foreground);
      chips.push({ ...chip, x: chip.x + MARGIN, y: chip.y + top, ground, ink: inkOn(ground, theme) });
    }
    top += part.height + MARGIN;
  }
  const width = Math.max(320, ...chips.map((chip) => chip.x + chip.width)) + MARGIN;
  return { titles, chips, width: Math.ceil(width), height: Math.ceil(top) };
}

/** As the chips' own colour is mixed in theme.css. */
const mix = (a: Rgb, b: Rgb): Rgb => [0, 1, 2].map((i) => 0.92 * (a[i] as number) + 0.08 * (b[i] as number)) as never;

export function chipsSvg(parts: readonly ChipPart[]): string {
  const theme = readTheme();
  const { titles, chips, width, height } = place(parts, theme);
  const font = escapeXml(theme.monoFamily);
  const border = toCss(theme.border);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="${font}" font-size="12" dominant-baseline="middle">`,
    `<rect width="${width}" height="${height}" fill="${toCss(theme.background)}"/>`,
    ...titles.map(({ y, text }) => svgText(MARGIN, y, text, toCss(theme.muted))),
    ...chips.flatMap(({ x, y, width, height, text, below, ground, ink }) => [
      `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${width.toFixed(1)}" height="${height.toFixed(1)}" rx="3" fill="${toCss(ground)}" stroke="${border}" stroke-width="0.5"/>`,
      svgText(x + width / 2, y + 11, text, toCss(ink), 'text-anchor="middle" xml:space="preserve"'),
      svgText(x + width / 2, y + height - 8, below, toCss(ink), 'text-anchor="middle" font-size="10"'),
    ]),
    "</svg>",
  ].join("\n");
}

export function chipsPicture(parts: readonly ChipPart[]): HTMLCanvasElement {
  const ratio = 2;
  const theme = readTheme();
  const { titles, chips, width, height } = place(parts, theme);
  const canvas = el("canvas");
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.scale(ratio, ratio);
  context.fillStyle = toCss(theme.background);
  context.fillRect(0, 0, width, height);
  context.textBaseline = "middle";
  const write = (text: string, x: number, y: number, size: number, color: Rgb, align: CanvasTextAlign) => {
    context.font = `${size}px ${theme.monoFamily}`;
    context.fillStyle = toCss(color);
    context.textAlign = align;
    context.fillText(text, x, y);
  };
  for (const { y, text } of titles) write(text, MARGIN, y, 12, theme.muted, "start");
  for (const { x, y, width, height, text, below, ground, ink } of chips) {
    context.fillStyle = toCss(ground);
    context.fillRect(x, y, width, height);
    write(text, x + width / 2, y + 11, 12, ink, "center");
    write(below, x + width / 2, y + height - 8, 10, ink, "center");
  }
  return canvas;
}
