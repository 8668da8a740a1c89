/** The rows of the tree that are shown, as a picture to save. */

import { formatBytes, formatCount, formatPercent, formatShape } from "../../base/format";
import { readTheme } from "../../base/theme";
import type { Rgb } from "../../charts/colorScale";
import { type Drawing, widestText } from "../../charts/pen";
import type { ShownRow } from "./layout";

const MARGIN = 12;
const ROW = 18;
const GAP = 16;
const INDENT = 14;
const TRACK = { width: 80, height: 6 };

/** `headings` name the columns: module, shape, type, parameters, share and bytes. */
export function treeDrawing(title: string, headings: readonly string[], rows: readonly ShownRow[]): Drawing {
  const { foreground, muted, positive } = readTheme();
  const [nameHeading = "", ...otherHeadings] = headings;
  const names = rows.map(({ node }) => `${node.label}${node.kind === "weight" ? "" : `  ${node.detail}`}`);
  const texts = rows.map(({ node: { shape, dtype, parameters, share, bytes } }) => [
    shape ? formatShape(shape) : "",
    dtype,
    parameters > 0 ? formatCount(parameters) : "",
    parameters > 0 ? formatPercent(share) : "",
    bytes > 0 ? formatBytes(bytes) : "",
  ]);
  const nameRoom = names.reduce((most, name, i) => Math.max(most, widestText([name]) + indentOf(rows[i])), 0);
  /** Right edge of each column after the first. */
  const ends: number[] = [];
  let x = MARGIN + Math.max(nameRoom, widestText([nameHeading]));
  otherHeadings.forEach((heading, column) => {
    x += GAP + widestText([heading, ...texts.map((row) => row[column] ?? "")]);
    ends.push(x);
  });
  const trackX = x + GAP;
  const top = MARGIN + 2 * ROW;
  return {
    title,
    hasTitle: true,
    width: Math.max(trackX + TRACK.width, MARGIN + widestText([title])) + MARGIN,
    height: top + rows.length * ROW + MARGIN,
    draw(pen) {
      const writeCells = (cells: readonly string[], y: number, color: Rgb) =>
        cells.forEach((text, column) => void pen.text(ends[column] as number, y, text, { color, anchor: "end" }));
      const headY = MARGIN + 1.5 * ROW;
      pen.text(MARGIN, MARGIN + ROW / 2, title, { color: foreground });
      pen.text(MARGIN, headY, nameHeading, { color: muted });
      writeCells(otherHeadings, headY, muted);
      rows.forEach((row, i) => {
        const y = top + (i + 0.5) * ROW;
        pen.text(MARGIN + indentOf(row), y, names[i] as string, { color: foreground });
        writeCells(texts[i] as string[], y, foreground);
        const bar = { x: trackX, y: y - TRACK.height / 2, width: TRACK.width * row.node.share, height: TRACK.height };
        pen.rect(bar, { fill: positive });
      });
    },
  };
}

const indentOf = (row: ShownRow | undefined): number => ((row?.level ?? 1) - 1) * INDENT;
