/** All heads as thumbnails in a picture to save: arranged as on the page, with the score that is shown there. */

import { readTheme } from "../../base/theme";
import { type Drawing, widestText } from "../../charts/pen";
import { type HeadId, scoreText } from "./layout";

export interface HeadTile {
  readonly id: HeadId;
  readonly image: HTMLCanvasElement;
  /** Null where no score is shown; `share` is the length of its bar, 0 to 1. */
  readonly score: { readonly value: number; readonly share: number } | null;
}

const MARGIN = 12;
const TITLE = 20;
const TILE = 48;
const GAP = 6;
const LINE = 14;
const BAR = 3;
/** Heads per row when they are sorted by a score. */
const PER_ROW = 12;

/** `perLayer`: a row per layer with that many heads; null: in the order of the tiles, each with its name. */
export function headsDrawing(title: string, tiles: readonly HeadTile[], perLayer: number | null): Drawing {
  const { border, foreground, muted, positive } = readTheme();
  const perRow = perLayer ?? Math.min(PER_ROW, tiles.length);
  const hasScores = tiles.some(({ score }) => score !== null);
  const left = MARGIN + (perLayer === null ? 0 : 32);
  const nameRoom = perLayer === null ? LINE : 0;
  const top = MARGIN + TITLE + (perLayer === null ? 0 : LINE);
  const [stepX, stepY] = [TILE + GAP, nameRoom + TILE + (hasScores ? LINE + BAR : 0) + GAP];
  const rows = Math.ceil(tiles.length / perRow);
  return {
    title,
    hasTitle: true,
    width: Math.max(left + perRow * stepX, MARGIN + widestText([title])) + MARGIN,
    height: top + rows * stepY + MARGIN,
    draw(pen) {
      const centered = (x: number, y: number, text: string, color = muted) =>
        pen.text(x, y, text, { color, anchor: "middle" });
      pen.text(MARGIN, MARGIN + 4, title, { color: foreground });
      if (perLayer !== null) {
        for (let head = 0; head < perRow; head++) centered(left + head * stepX + TILE / 2, top - LINE / 2, `H${head}`);
        for (let layer = 0; layer < rows; layer++) centered(left - 18, top + layer * stepY + TILE / 2, `L${layer}`);
      }
      tiles.forEach(({ id, image, score }, i) => {
        const [x, y] = [left + (i % perRow) * stepX, top + Math.floor(i / perRow) * stepY];
        const box = { x, y: y + nameRoom, width: TILE, height: TILE };
        if (perLayer === null) centered(x + TILE / 2, y + LINE / 2, `L${id.layer} H${id.head}`);
        pen.image(box, image);
        pen.rect(box, { stroke: { color: border } });
        if (!score) return;
        const below = box.y + TILE;
        centered(x + TILE / 2, below + LINE / 2, scoreText(score.value), foreground);
        pen.rect({ x, y: below + LINE, width: TILE * score.share, height: BAR }, { fill: positive });
      });
    },
  };
}
