/** A scatter plot with labeled points on a canvas. */

import { readTheme, type Theme } from "../base/theme";
import { type CanvasChart, createCanvasChart } from "./canvasChart";
import { moveIndex } from "./navigation";
import { canvasPen, type Pen } from "./pen";
import { pointAt, type ScatterPoint, type ScatterScene, scatterScene } from "./scatterLayout";

export interface ScatterData {
  readonly title: string;
  readonly points: readonly ScatterPoint[];
  readonly xName: string;
  readonly yName: string;
  readonly describe: (point: number) => string;
}

const HEIGHT = 380;
const MAX_WIDTH = 900;
const RADIUS = 3.5;

/** `pick` is called for a point that is clicked or chosen with Enter. Arrow keys visit the points in their order. */
export function createScatter(pick: (point: number) => void) {
  let data: ScatterData | null = null;
  let scene: ScatterScene | null = null;
  let selected: number | null = null;

  const layout = () => {
    if (!data) return;
    const size = { width: Math.min(MAX_WIDTH, chart.node.clientWidth), height: HEIGHT };
    scene = scatterScene(data.points, size, selected);
    chart.resize(size, size);
    draw();
  };
  const draw = () => {
    if (!data || !scene) return;
    const theme = readTheme();
    const pen = canvasPen(chart.canvas, scene, theme);
    drawScatter(pen, data, scene, selected, theme);
    for (const [point, color] of [
      [selected, theme.focus],
      [chart.target(), theme.foreground],
    ] as const) {
      const center = point === null ? undefined : scene.at[point];
      if (center) pen.circle(center, RADIUS + 3, { stroke: { color, width: 2 } });
    }
  };
  const chart: CanvasChart<number> = createCanvasChart<number>({
    kind: "scatter plot",
    hasData: () => data !== null,
    layout,
    draw,
    targetAt: (x, y) => scene && pointAt(scene, x, y),
    start: () => (data?.points.length ? (selected ?? 0) : null),
    move: (from, { key }) => moveIndex(key, from, data?.points.length ?? 0),
    describe: (point) => data?.describe(point) ?? "",
    pick,
  });

  return {
    node: chart.node,
    show(next: ScatterData) {
      data = next;
      chart.show(`${next.title}, ${next.points.length}`);
    },
    mark(next: number | null) {
      if (next === selected) return;
      selected = next;
      if (chart.node.clientWidth > 0) layout();
    },
    drawing() {
      if (!data || !scene) return null;
      const [shown, drawn] = [data, scene];
      const draw = (pen: Pen) => drawScatter(pen, shown, drawn, null, readTheme());
      return { title: data.title, width: scene.width, height: scene.height, draw };
    },
  };
}

function drawScatter(
  pen: Pen,
  { points, xName, yName }: ScatterData,
  scene: ScatterScene,
  selected: number | null,
  theme: Theme,
): void {
  const { height, left, top, right, bottom, at } = scene;
  const [color, centered] = [theme.muted, "middle"] as const;
  const tickMark = { color: theme.border };
  const frame = { x: left + 0.5, y: top + 0.5, width: right - left, height: bottom - top };
  pen.rect(frame, { stroke: { color: theme.border } });
  for (const { at: x, text } of scene.xTicks) {
    pen.line(
      [
        [x, bottom],
        [x, bottom + 4],
      ],
      tickMark,
    );
    pen.text(x, bottom + 11, text, { color, anchor: centered });
  }
  for (const { at: y, text } of scene.yTicks) {
    pen.line(
      [
        [left - 4, y],
        [left, y],
      ],
      tickMark,
    );
    pen.text(left - 7, y, text, { color, anchor: "end" });
  }
  pen.text((left + right) / 2, height - 8, xName, { color, anchor: centered });
  pen.text(8, (top + bottom) / 2, yName, { color, anchor: centered, turned: true });
  for (const [i, [x, y]] of at.entries()) {
    // Shape differs as well as color: tokens of the vocabulary are squares.
    if (points[i]?.isExtra) {
      pen.rect({ x: x - RADIUS, y: y - RADIUS, width: 2 * RADIUS, height: 2 * RADIUS }, { fill: theme.negative });
    } else pen.circle([x, y], RADIUS, { fill: theme.positive });
  }
  for (const { point, text, x, y } of scene.labels) {
    pen.text(x, y, text, { color: theme.foreground, bold: point === selected });
  }
}
