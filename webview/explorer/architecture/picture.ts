/** The rows of the tree that are shown, as a picture to save. */

import { formatBytes, formatCount, formatPercent, formatShape } from "../../base/format";
import { readTheme } from "../../base/theme";
import { type Shape, type ShapePicture, widestText } from "../../charts/shapes";
import type { ShownRow } from "./layout";

const MARGIN = 12;
const ROW = 18;
const GAP = 16;
const INDENT = 14;
const TRACK = { width: 80, height: 6 };

/** `headings` name the columns: module, shape, type, parameters, share and bytes. */
export function treeShapes(title: string, headings: readonly string[], rows: readonly ShownRow[]): ShapePicture {
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
  /** Where each column after the first ends. */
  const ends: number[] = [];
  let x = MARGIN + Math.max(nameRoom, widestText([nameHeading]));
  otherHeadings.forEach((heading, column) => {
    x += GAP + widestText([heading, ...texts.map((row) => row[column] ?? "")]);
    ends.push(x);
  });
  const trackX = x + GAP;
  const top = MARGIN + 2 * ROW;
  const headY = MARGIN + 1.5 * ROW;
  return {
    title,
    width: Math.max(trackX + TRACK.width, MARGIN + widestText([title])) + MARGIN,
    height: top + rows.length * ROW + MARGIN,
    shapes: [
      { kind: "text", x: MARGIN, y: MARGIN + ROW / 2, text: title, color: foreground },
      { kind: "text", x: MARGIN, y: headY, text: nameHeading, color: muted },
      ...otherHeadings.map((text, c): Shape => {
        return { kind: "text", x: ends[c] as number, y: headY, text, color: muted, anchor: "end" };
      }),
      ...rows.flatMap((row, i): Shape[] => {
        const y = top + (i + 0.5) * ROW;
        const width = TRACK.width * row.node.share;
        return [
          { kind: "text", x: MARGIN + indentOf(row), y, text: names[i] as string, color: foreground },
          ...(texts[i] as string[]).map((text, c): Shape => {
            return { kind: "text", x: ends[c] as number, y, text, color: foreground, anchor: "end" };
          }),
          { kind: "rect", x: trackX, y: y - TRACK.height / 2, width, height: TRACK.height, fill: positive },
        ];
      }),
    ],
  };
}

const indentOf = (row: ShownRow | undefined): number => ((row?.level ?? 1) - 1) * INDENT;
