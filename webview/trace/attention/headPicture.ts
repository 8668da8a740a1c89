/** All heads in small as a picture to save: as they lie on the page, with the score that is shown there. */

import { readTheme } from "../../base/theme";
import { type Shape, type ShapePicture, widestText } from "../../charts/shapes";
import { type HeadPlace, scoreText } from "./layout";

export interface HeadTile {
  readonly place: HeadPlace;
  readonly image: HTMLCanvasElement;
  /** Null where no score is shown; its bar has a length of 0 to 1. */
  readonly score: { readonly value: number; readonly share: number } | null;
}

const MARGIN = 12;
const TITLE = 20;
const TILE = 48;
const GAP = 6;
const LINE = 14;
const BAR = 3;
/** Of heads in the order of a score. */
const PER_ROW = 12;

/** `perLayer`: layers down and that many heads across; null: in the tiles' own order, each with its name. */
export function headShapes(title: string, tiles: readonly HeadTile[], perLayer: number | null): ShapePicture {
  const { border, foreground, muted, positive } = readTheme();
  const perRow = perLayer ?? Math.min(PER_ROW, tiles.length);
  const hasScores = tiles.some(({ score }) => score !== null);
  const left = MARGIN + (perLayer === null ? 0 : 32);
  const nameRoom = perLayer === null ? LINE : 0;
  const top = MARGIN + TITLE + (perLayer === null ? 0 : LINE);
  const [stepX, stepY] = [TILE + GAP, nameRoom + TILE + (hasScores ? LINE + BAR : 0) + GAP];
  const rows = Math.ceil(tiles.length / perRow);
  const text = (x: number, y: number, said: string, color = muted): Shape => {
    return { kind: "text", x, y, text: said, color, anchor: "middle" };
  };
  const shapes: Shape[] = [{ kind: "text", x: MARGIN, y: MARGIN + 4, text: title, color: foreground }];
  if (perLayer !== null) {
    for (let head = 0; head < perRow; head++)
      shapes.push(text(left + head * stepX + TILE / 2, top - LINE / 2, `H${head}`));
    for (let layer = 0; layer < rows; layer++)
      shapes.push(text(left - 18, top + layer * stepY + TILE / 2, `L${layer}`));
  }
  tiles.forEach(({ place, image, score }, i) => {
    const [x, y] = [left + (i % perRow) * stepX, top + Math.floor(i / perRow) * stepY];
    const box = { x, y: y + nameRoom, width: TILE, height: TILE };
    if (perLayer === null) shapes.push(text(x + TILE / 2, y + LINE / 2, `L${place.layer} H${place.head}`));
    shapes.push({ ...box, kind: "image", image }, { ...box, kind: "rect", stroke: border });
    if (!score) return;
    const below = box.y + TILE;
    shapes.push(text(x + TILE / 2, below + LINE / 2, scoreText(score.value), foreground), {
      kind: "rect",
      x,
      y: below + LINE,
      width: TILE * score.share,
      height: BAR,
      fill: positive,
    });
  });
  return {
    title,
    width: Math.max(left + perRow * stepX, MARGIN + widestText([title])) + MARGIN,
    height: top + rows * stepY + MARGIN,
    shapes,
  };
}
