/** A list with bars as a picture to save; on the page, the list is made of elements. */

import { readTheme } from "../base/theme";
import { type Drawing, widestText } from "./pen";

interface Bar {
  readonly label: string;
  readonly note: string;
  readonly value: number;
  /** A second bar below the first, on the same scale. */
  readonly other?: number | undefined;
}

export interface BarList {
  readonly title: string;
  readonly bars: readonly Bar[];
  readonly format: (value: number) => string;
}

const ROW = 26;
const MARGIN = 12;
const TITLE = 20;
const GAP = 12;
const TRACK = { width: 280, height: 8 };

/** Values below 0 have a bar of length 0. */
export function barsDrawing({ title, bars, format }: BarList): Drawing {
  const { foreground, muted, positive, negative } = readTheme();
  const values = ({ value, other }: Bar) => (other === undefined ? [value] : [value, other]);
  const largest = bars.flatMap(values).reduce((most, value) => Math.max(most, value), 0) || 1;
  const noteX = MARGIN + widestText(bars.map(({ label }) => label)) + GAP;
  const trackX = noteX + widestText(bars.map(({ note }) => note)) + GAP;
  const valueX = trackX + TRACK.width + GAP;
  const valueRoom = widestText(bars.flatMap((bar) => values(bar).map(format)));
  return {
    title,
    hasTitle: true,
    width: Math.max(valueX + valueRoom, MARGIN + widestText([title])) + MARGIN,
    height: 2 * MARGIN + TITLE + bars.length * ROW,
    draw(pen) {
      pen.text(MARGIN, MARGIN + 4, title, { color: muted });
      bars.forEach((bar, i) => {
        const top = MARGIN + TITLE + i * ROW;
        pen.text(MARGIN, top + ROW / 2, bar.label, { color: foreground });
        pen.text(noteX, top + ROW / 2, bar.note, { color: muted });
        const own = values(bar);
        own.forEach((value, n) => {
          const y = top + (own.length === 1 ? ROW / 2 : n === 0 ? ROW / 3 : ROW * 0.75);
          const width = (TRACK.width * Math.max(0, value)) / largest;
          pen.text(valueX, y, format(value), { color: foreground });
          const box = { x: trackX, y: y - TRACK.height / 2, width, height: TRACK.height };
          pen.rect(box, { fill: n === 0 ? positive : negative });
        });
      });
    },
  };
}
