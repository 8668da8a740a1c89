/** Token chips as a picture to save, arranged as on the page. */

import { readTheme, type Theme } from "../../base/theme";
import { contrast, type Rgb } from "../../charts/colorScale";
import type { Box, Drawing } from "../../charts/pen";

export interface ChipBox extends Box {
  readonly text: string;
  readonly below: string;
  /** Null for a chip without a color of its own. */
  readonly fill: Rgb | null;
}

export interface ChipList {
  readonly title: string;
  readonly height: number;
  readonly chips: readonly ChipBox[];
}

const TITLE = 24;
const MARGIN = 8;
const MIN_WIDTH = 320;

const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [255, 255, 255];

/** Least contrast of small text in WCAG 2 (AA). */
const READABLE = 4.5;

/** The theme's text or background color, whichever reads better on a color; black or white where neither is readable. */
export function textColorOn(color: Rgb, { foreground, background }: Theme): Rgb {
  const better = (a: Rgb, b: Rgb) => (contrast(color, a) >= contrast(color, b) ? a : b);
  const best = better(foreground, background);
  return contrast(color, best) >= READABLE ? best : better(BLACK, WHITE);
}

/** Lists of chips, one below the other. */
export function chipsDrawing(lists: readonly ChipList[]): Drawing {
  const theme = readTheme();
  const right = Math.max(MIN_WIDTH, ...lists.flatMap(({ chips }) => chips.map(({ x, width }) => MARGIN + x + width)));
  return {
    title: lists.map(({ title }) => title).join(", "),
    hasTitle: true,
    width: right + MARGIN,
    height: lists.reduce((sum, { height }) => sum + TITLE + height + MARGIN, MARGIN),
    draw(pen) {
      let top = MARGIN;
      for (const { title, height: listHeight, chips } of lists) {
        pen.text(MARGIN, top + TITLE / 2, title, { color: theme.muted, size: 12 });
        top += TITLE;
        for (const { text, below, fill, width, height, ...chip } of chips) {
          const ground = fill ?? mix(theme.background, theme.foreground);
          const color = textColorOn(ground, theme);
          const [x, y] = [chip.x + MARGIN, chip.y + top];
          pen.rect({ x, y, width, height }, { fill: ground, stroke: { color: theme.border }, radius: 3 });
          pen.text(x + width / 2, y + 11, text, { color, anchor: "middle", size: 12 });
          pen.text(x + width / 2, y + height - 8, below, { color, anchor: "middle", size: 10 });
        }
        top += listHeight + MARGIN;
      }
    },
  };
}

/** Background of a chip, mixed as in theme.css. */
const mix = (a: Rgb, b: Rgb): Rgb => [0, 1, 2].map((i) => 0.92 * (a[i] as number) + 0.08 * (b[i] as number)) as never;
