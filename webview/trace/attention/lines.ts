/** Attention as lines from each query to the keys it attends to, on a canvas that scrolls for long texts. */

import { readTheme, type Theme } from "../../base/theme";
import { type CanvasChart, createCanvasChart, scrollBarSize } from "../../charts/canvasChart";
import { moveIndex, scrollInto } from "../../charts/navigation";
import { canvasPen, type Drawing, FONT_SIZE, type Pen } from "../../charts/pen";
import type { Line } from "./layout";

export interface LinesData {
  readonly title: string;
  readonly queries: readonly string[];
  readonly keys: readonly string[];
  readonly lines: readonly Line[];
  /** Opacity and width of a line, 0 to 1. */
  readonly strength: (line: Line) => number;
  readonly describe: (end: LineEnd) => string;
}

/** A token on the left (query) or on the right (key). */
export interface LineEnd {
  readonly side: "query" | "key";
  readonly index: number;
}

export interface LineChart {
  readonly node: HTMLElement;
  readonly show: (data: LinesData) => void;
  /** Marks the selected query and key. */
  readonly mark: (query: number, key: number) => void;
  /** The whole picture, to save. */
  readonly drawing: () => Drawing | null;
}

const ROW = 18;
const LABELS = 132;
const MAX_WIDTH = 640;
const MAX_HEIGHT = 420;

type Marked = Readonly<Record<LineEnd["side"], number>>;
const NOTHING: Marked = { query: -1, key: -1 };

/** Creates an empty chart. `pick` is called for a token that is clicked or chosen with Enter. */
export function createLines(pick: (end: LineEnd) => void): LineChart {
  let data: LinesData | null = null;
  let marked = NOTHING;
  let theme: Theme | null = null;

  const size = () => {
    const height = Math.max(data?.queries.length ?? 0, data?.keys.length ?? 0) * ROW + 2;
    const bar = height > MAX_HEIGHT ? scrollBarSize() : 0;
    return { width: Math.min(MAX_WIDTH, chart.node.clientWidth - bar), height, bar };
  };
  const layout = () => {
    theme = readTheme();
    const { width, height, bar } = size();
    chart.resize({ width, height }, { width: width + bar, height: Math.min(height, MAX_HEIGHT) });
    draw();
  };
  const draw = () => {
    if (!data || !theme) return;
    const { width, height } = size();
    const view = { width, height: Math.min(height, MAX_HEIGHT), scroll: chart.scroller.scrollTop };
    drawLines(canvasPen(chart.canvas, view, theme), data, view, theme, marked, chart.target());
  };
  const reveal = (index: number) => {
    const { scroller } = chart;
    scroller.scrollTop = scrollInto(scroller.scrollTop, index * ROW, ROW, scroller.clientHeight);
  };
  const countOf = (side: LineEnd["side"]) => (side === "query" ? data?.queries : data?.keys)?.length ?? 0;
  const chart: CanvasChart<LineEnd> = createCanvasChart<LineEnd>({
    kind: "line view",
    hasData: () => data !== null,
    layout,
    draw,
    targetAt(x, y) {
      const side = x < size().width / 2 ? "query" : "key";
      const index = Math.floor((y + chart.scroller.scrollTop) / ROW);
      return index >= 0 && index < countOf(side) ? { side, index } : null;
    },
    start: () => ({ side: "query", index: Math.max(0, marked.query) }),
    move({ side, index }, { key }) {
      const sides: Readonly<Record<string, LineEnd["side"]>> = { ArrowLeft: "query", ArrowRight: "key" };
      const to = sides[key];
      if (to) return { side: to, index: Math.min(countOf(to) - 1, index) };
      const next = moveIndex(key, index, countOf(side));
      return next === null ? null : { side, index: next };
    },
    scrollTo: ({ index }) => reveal(index),
    describe: (end) => data?.describe(end) ?? "",
    pick,
  });

  return {
    node: chart.node,
    show(next) {
      data = next;
      chart.show(next.title);
    },
    mark(query, key) {
      marked = { query, key };
      // A selection made elsewhere is scrolled into view, unless the user is pointing at the chart.
      if (!chart.node.matches(":focus-within, :hover")) reveal(query);
      draw();
    },
    drawing() {
      if (!data || !theme) return null;
      const { width, height } = size();
      const [shown, view] = [data, { width, height, scroll: 0 }];
      const draw = (pen: Pen) => drawLines(pen, shown, view, readTheme(), NOTHING, null);
      return { title: data.title, width, height, draw };
    },
  };
}

interface View {
  readonly width: number;
  readonly height: number;
  readonly scroll: number;
}

/** Draws the lines and tokens in view; if there is a `target`, other lines than its own are faint. */
function drawLines(
  pen: Pen,
  data: LinesData,
  { width, height, scroll }: View,
  theme: Theme,
  marked: Marked,
  target: LineEnd | null,
): void {
  const y = (index: number) => (index + 0.5) * ROW - scroll;
  const room = labelWidth(width, data);
  const [left, right] = [room, width - room];
  for (const line of data.lines) {
    const [from, to] = [y(line.query), y(line.key)];
    if (Math.max(from, to) < 0 || Math.min(from, to) > height) continue;
    const strength = data.strength(line);
    const isFaint = target !== null && line[target.side] !== target.index;
    const opacity = isFaint ? 0.08 * strength : Math.min(1, 0.08 + 0.92 * strength);
    const ends = [
      [left, from],
      [right, to],
    ] as const;
    pen.line(ends, { color: theme.positive, opacity, width: 0.75 + 2.25 * strength });
  }
  const drawLabels = (texts: readonly string[], side: LineEnd["side"]) => {
    const isLeft = side === "query";
    const first = Math.max(0, Math.floor(scroll / ROW));
    for (let i = first; i < texts.length && y(i) < height + ROW; i++) {
      const bold = (target?.side === side && target.index === i) || marked[side] === i;
      const color = bold ? theme.foreground : theme.muted;
      const anchor = isLeft ? "end" : "start";
      pen.text(isLeft ? left - 6 : right + 6, y(i), texts[i] ?? "", { color, anchor, bold, room: room - 10 });
      if (marked[side] !== i) continue;
      const box = { x: isLeft ? 1 : right + 2, y: y(i) - ROW / 2 + 1, width: room - 3, height: ROW - 2 };
      pen.rect(box, { stroke: { color: theme.focus, width: 1.5 } });
    }
  };
  drawLabels(data.queries, "query");
  drawLabels(data.keys, "key");
}

/** Room for the longest label of either side, up to a limit. */
function labelWidth(width: number, { queries, keys }: LinesData): number {
  const longest = [...queries, ...keys].reduce((most, { length }) => Math.max(most, length), 0);
  return Math.min(LABELS, width * 0.3, Math.max(36, longest * 0.62 * FONT_SIZE + 14));
}
