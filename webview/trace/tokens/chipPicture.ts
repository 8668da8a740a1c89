/** Chips as a picture to save, drawn where they are on the page. */

import { readTheme, type Theme } from "../../base/theme";
import { contrast, type Rgb } from "../../charts/colorScale";
import type { Shape, ShapePicture } from "../../charts/shapes";

export interface ChipBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly text: string;
  readonly below: string;
  /** Null of a chip without a color of its own. */
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

const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [255, 255, 255];

/** Of the theme's two colors for text and ground, the one that reads on a color; where neither does, black or white. */
export function inkOn(color: Rgb, { foreground, background }: Theme): Rgb {
  const best = (a: Rgb, b: Rgb) => (contrast(color, a) >= contrast(color, b) ? a : b);
  const ink = best(foreground, background);
  return contrast(color, ink) >= READABLE ? ink : best(BLACK, WHITE);
}

/** WCAG's least contrast of small text. */
const READABLE = 4.5;

/** Lists of chips, one below the other. */
export function chipShapes(parts: readonly ChipPart[]): ShapePicture {
  const theme = readTheme();
  const shapes: Shape[] = [];
  let top = MARGIN;
  let right = 320;
  for (const part of parts) {
    shapes.push({ kind: "text", x: MARGIN, y: top + TITLE / 2, text: part.title, color: theme.muted, size: 12 });
    top += TITLE;
    for (const { text, below, fill, width, height, ...chip } of part.chips) {
      const ground = fill ?? mix(theme.background, theme.foreground);
      const color = inkOn(ground, theme);
      const [x, y] = [chip.x + MARGIN, chip.y + top];
      const center = { kind: "text", x: x + width / 2, color, anchor: "middle" } as const;
      shapes.push(
        { kind: "rect", x, y, width, height, fill: ground, stroke: theme.border, radius: 3 },
        { ...center, y: y + 11, text, size: 12 },
        { ...center, y: y + height - 8, text: below, size: 10 },
      );
      right = Math.max(right, x + width);
    }
    top += part.height + MARGIN;
  }
  return { title: parts.map(({ title }) => title).join(", "), width: right + MARGIN, height: top, shapes };
}

/** As the chips' own color is mixed in theme.css. */
const mix = (a: Rgb, b: Rgb): Rgb => [0, 1, 2].map((i) => 0.92 * (a[i] as number) + 0.08 * (b[i] as number)) as never;
