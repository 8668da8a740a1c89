/** A saved picture with its title above, and below it where its numbers come from. */

import type { Theme } from "../base/theme";
import { type Drawing, widestText } from "./pen";

const MARGIN = 16;
const TITLE = 30;
const LINE = 16;
/** Pictures are at least this wide, so that a line of the origin can be read. */
const LEAST_WIDTH = 480;

/** `lines` are cut at the width of the picture. */
export function captioned(drawing: Drawing, lines: readonly string[], theme: Theme): Drawing {
  const { title, hasTitle, font } = drawing;
  const top = hasTitle ? MARGIN : MARGIN + TITLE;
  const width = Math.max(drawing.width, Math.min(LEAST_WIDTH, widestText([title, ...lines])));
  return {
    title,
    ...(font && { font }),
    width: width + 2 * MARGIN,
    height: top + drawing.height + (lines.length > 0 ? MARGIN / 2 : 0) + lines.length * LINE + MARGIN,
    draw(pen) {
      if (!hasTitle) {
        pen.text(MARGIN, MARGIN + 8, title, { color: theme.foreground, size: 14, bold: true, room: width });
      }
      pen.from([MARGIN, top], () => drawing.draw(pen));
      lines.forEach((line, i) => {
        const y = top + drawing.height + MARGIN / 2 + (i + 0.5) * LINE;
        pen.text(MARGIN, y, line, { color: theme.muted, room: width });
      });
    },
  };
}
