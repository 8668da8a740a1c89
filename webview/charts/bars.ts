/** Labeled bars: the picture of a list that is DOM on the page, to save as a file. */

import { readTheme } from "../base/theme";
import { type Shape, type ShapePicture, widestText } from "./shapes";

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

const ROW = 26;
const MARGIN = 12;
const TITLE = 20;
const GAP = 12;
const TRACK = { width: 280, height: 8 };

/** A bar has no length where its value is below 0. */
export function barShapes({ title, bars, format }: BarPicture): ShapePicture {
  const { foreground, muted, positive, negative } = readTheme();
  const values = ({ value, other }: Bar) => (other === undefined ? [value] : [value, other]);
  const largest = bars.flatMap(values).reduce((most, value) => Math.max(most, value), 0) || 1;
  const noteX = MARGIN + widestText(bars.map(({ label }) => label)) + GAP;
  const trackX = noteX + widestText(bars.map(({ note }) => note)) + GAP;
  const valueX = trackX + TRACK.width + GAP;
  const shapes = bars.flatMap((bar, i): Shape[] => {
    const top = MARGIN + TITLE + i * ROW;
    const own = values(bar);
    return [
      { kind: "text", x: MARGIN, y: top + ROW / 2, text: bar.label, color: foreground },
      { kind: "text", x: noteX, y: top + ROW / 2, text: bar.note, color: muted },
      ...own.flatMap((value, n): Shape[] => {
        const y = top + (own.length === 1 ? ROW / 2 : n === 0 ? ROW / 3 : ROW * 0.75);
        const width = (TRACK.width * Math.max(0, value)) / largest;
        const fill = n === 0 ? positive : negative;
        return [
          { kind: "text", x: valueX, y, text: format(value), color: foreground },
          { kind: "rect", x: trackX, y: y - TRACK.height / 2, width, height: TRACK.height, fill },
        ];
      }),
    ];
  });
  const valueRoom = widestText(bars.flatMap((bar) => values(bar).map(format)));
  return {
    title,
    width: Math.max(valueX + valueRoom, MARGIN + widestText([title])) + MARGIN,
    height: 2 * MARGIN + TITLE + bars.length * ROW,
    shapes: [{ kind: "text", x: MARGIN, y: MARGIN + 4, text: title, color: muted }, ...shapes],
  };
}
