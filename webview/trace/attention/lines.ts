/** Attention as lines from each token to those it looks at, as wide as the page and scrolled where the text is long. */

import { el, setAttr } from "../../base/dom";
import { onThemeChange, readTheme, type Theme } from "../../base/theme";
import { createCanvasFrame, scrollBarSize } from "../../charts/canvasFrame";
import { type Rgb, toCss } from "../../charts/colorScale";
import { escapeXml, svgText } from "../../charts/svg";
import type { Line } from "./layout";

export interface LinesData {
  readonly title: string;
  readonly queries: readonly string[];
  readonly keys: readonly string[];
  readonly lines: readonly Line[];
  /** How strong a line is drawn, 0 to 1. */
  readonly strength: (line: Line) => number;
  /** What is known of a token on one of the sides. */
  readonly describe: (end: LineEnd) => string;
}

/** A token on the left, which looks, or on the right, which is looked at. */
export interface LineEnd {
  readonly side: "query" | "key";
  readonly index: number;
}

export interface LinePicture {
  readonly node: HTMLElement;
  readonly show: (data: LinesData) => void;
  /** Marks the selected query and key. */
  readonly mark: (query: number, key: number) => void;
  readonly picture: () => HTMLCanvasElement | null;
  readonly svg: () => string | null;
}

const ROW = 18;
const LABELS = 132;
const MAX_WIDTH = 640;
const MAX_HEIGHT = 420;
const FONT_SIZE = 11;

/** Makes an empty picture. `pick` is called for a token that is clicked or chosen with Enter. */
export function createLinePicture(pick: (end: LineEnd) => void): LinePicture {
  const { canvas, spacer, scroller, readout, spoken, node } = createCanvasFrame("line view");

  let data: LinesData | null = null;
  let at: LineEnd | null = null;
  let marked = { query: -1, key: -1 };
  let theme: Theme | null = null;
  /** Of the scroll bar that a long text has. */
  let bar = 0;

  const size = () => {
    const rows = Math.max(data?.queries.length ?? 0, data?.keys.length ?? 0);
    const height = rows * ROW + 2;
    // The scroll bar takes its room beside the picture, not from it.
    return { width: Math.min(MAX_WIDTH, node.clientWidth - (height > MAX_HEIGHT ? bar : 0)), height };
  };

  const layout = () => {
    if (!data || node.clientWidth === 0) return;
    theme = readTheme();
    bar = scrollBarSize();
    const { width, height } = size();
    const shown = Math.min(height, MAX_HEIGHT);
    spacer.style.width = `${width}px`;
    spacer.style.height = `${height}px`;
    scroller.style.width = `${width + (height > MAX_HEIGHT ? bar : 0)}px`;
    scroller.style.height = `${shown}px`;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(shown * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${shown}px`;
    paint();
  };

  const paint = () => {
    if (!data || !theme || canvas.width === 0) return;
    const { width, height } = size();
    paintLines(
      canvas,
      data,
      { width, height: Math.min(height, MAX_HEIGHT), scroll: scroller.scrollTop, at, marked },
      theme,
    );
  };

  const point = (next: LineEnd | null, isSpoken: boolean) => {
    if (next?.side === at?.side && next?.index === at?.index) return;
    at = next;
    const text = data && at ? data.describe(at) : "";
    readout.textContent = text;
    if (isSpoken) spoken.textContent = text;
    paint();
  };

  const reveal = (index: number) => {
    const top = index * ROW;
    const { scrollTop, clientHeight } = scroller;
    if (top < scrollTop) scroller.scrollTop = top;
    else if (top + ROW > scrollTop + clientHeight) scroller.scrollTop = top + ROW - clientHeight;
  };

  const endAt = (x: number, y: number): LineEnd | null => {
    if (!data) return null;
    const side = x < size().width / 2 ? "query" : "key";
    const index = Math.floor((y + scroller.scrollTop) / ROW);
    const count = side === "query" ? data.queries.length : data.keys.length;
    return index >= 0 && index < count ? { side, index } : null;
  };

  scroller.addEventListener("scroll", () => requestAnimationFrame(paint));
  scroller.addEventListener("pointermove", (event) => {
    const box = scroller.getBoundingClientRect();
    point(endAt(event.clientX - box.left, event.clientY - box.top), false);
  });
  scroller.addEventListener("pointerleave", () => point(null, false));
  scroller.addEventListener("click", () => at && pick(at));
  scroller.addEventListener("focus", () => {
    if (data && !at && scroller.matches(":focus-visible"))
      point({ side: "query", index: Math.max(0, marked.query) }, true);
  });
  scroller.addEventListener("blur", () => point(null, false));
  scroller.addEventListener("keydown", (event) => {
    if (!data) return;
    const from = at ?? { side: "query", index: Math.max(0, marked.query) };
    if (event.key === "Enter") return pick(from);
    const to = moveEnd(from, event.key, data);
    if (!to) return;
    event.preventDefault();
    reveal(to.index);
    point(to, true);
  });
  new ResizeObserver(layout).observe(node);
  onThemeChange(layout);

  return {
    node,
    show(next) {
      data = next;
      at = null;
      readout.textContent = "";
      setAttr(scroller, "aria-label", next.title);
      layout();
    },
    mark(query, key) {
      marked = { query, key };
      // What was chosen elsewhere is brought into sight; who points at the picture keeps their place in it.
      if (!node.matches(":focus-within, :hover")) reveal(query);
      paint();
    },
    picture() {
      if (!data || !theme) return null;
      const whole = el("canvas");
      const ratio = window.devicePixelRatio || 1;
      const { width, height } = size();
      whole.width = Math.round(width * ratio);
      whole.height = Math.round(height * ratio);
      paintLines(whole, data, { width, height, scroll: 0, at: null, marked: { query: -1, key: -1 } }, theme);
      return whole;
    },
    svg: () => (data && theme ? linesSvg(data, size(), theme) : null),
  };
}

/** Where a key moves from a token; null for keys that do not move. */
function moveEnd({ side, index }: LineEnd, key: string, { queries, keys }: LinesData): LineEnd | null {
  const count = { query: queries.length, key: keys.length };
  const on = (to: LineEnd["side"], i: number): LineEnd => ({
    side: to,
    index: Math.max(0, Math.min(count[to] - 1, i)),
  });
  const steps: Readonly<Record<string, number>> = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 };
  if (key === "ArrowLeft") return on("query", index);
  if (key === "ArrowRight") return on("key", index);
  if (key === "Home") return on(side, 0);
  if (key === "End") return on(side, count[side] - 1);
  const step = steps[key];
  return step === undefined ? null : on(side, index + step);
}

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly scroll: number;
  /** Only its lines are drawn strongly. */
  readonly at: LineEnd | null;
  readonly marked: { readonly query: number; readonly key: number };
}

function paintLines(canvas: HTMLCanvasElement, data: LinesData, frame: Frame, theme: Theme): void {
  const { width, height, scroll, at, marked } = frame;
  const ratio = canvas.width / width;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = toCss(theme.background);
  context.fillRect(0, 0, width, height);
  const y = (index: number) => (index + 0.5) * ROW - scroll;
  const room = labelWidth(width, data);
  const [left, right] = [room, width - room];

  context.strokeStyle = toCss(theme.positive);
  const isOf = (line: Line) => at === null || (at.side === "query" ? line.query : line.key) === at.index;
  for (const line of data.lines) {
    const [from, to] = [y(line.query), y(line.key)];
    if (Math.max(from, to) < 0 || Math.min(from, to) > height) continue;
    const strength = data.strength(line);
    context.globalAlpha = isOf(line) ? Math.min(1, 0.08 + 0.92 * strength) : 0.08 * strength;
    context.lineWidth = 0.75 + 2.25 * strength;
    context.beginPath();
    context.moveTo(left, from);
    context.lineTo(right, to);
    context.stroke();
  }
  context.globalAlpha = 1;

  const labels = (texts: readonly string[], side: LineEnd["side"]) => {
    const isLeft = side === "query";
    context.textAlign = isLeft ? "right" : "left";
    context.textBaseline = "middle";
    const first = Math.max(0, Math.floor(scroll / ROW));
    for (let i = first; i < texts.length && y(i) < height + ROW; i++) {
      const isStrong = (at?.side === side && at.index === i) || marked[side] === i;
      context.font = `${isStrong ? "bold " : ""}${FONT_SIZE}px ${theme.monoFamily}`;
      context.fillStyle = toCss(isStrong ? theme.foreground : theme.muted);
      context.fillText(texts[i] ?? "", isLeft ? left - 6 : right + 6, y(i), room - 10);
      if (marked[side] !== i) continue;
      context.strokeStyle = toCss(theme.focus);
      context.lineWidth = 1.5;
      context.strokeRect(isLeft ? 1 : right + 2, y(i) - ROW / 2 + 1, room - 3, ROW - 2);
    }
  };
  labels(data.queries, "query");
  labels(data.keys, "key");
}

/** Room for the longest label of either side, up to a limit. */
function labelWidth(width: number, { queries, keys }: LinesData): number {
  const longest = [...queries, ...keys].reduce((most, { length }) => Math.max(most, length), 0);
  return Math.min(LABELS, width * 0.3, Math.max(36, longest * 0.62 * FONT_SIZE + 14));
}

/** Lines and tokens as they are, so that every size suits. */
function linesSvg(data: LinesData, { width, height }: { width: number; height: number }, theme: Theme): string {
  const y = (index: number) => (index + 0.5) * ROW;
  const room = labelWidth(width, data);
  const [left, right] = [room, width - room];
  const lines = data.lines.map((line) => {
    const strength = data.strength(line);
    const opacity = Math.min(1, 0.08 + 0.92 * strength).toFixed(3);
    return `<line x1="${left}" y1="${y(line.query)}" x2="${right}" y2="${y(line.key)}" stroke-opacity="${opacity}" stroke-width="${(0.75 + 2.25 * strength).toFixed(2)}"/>`;
  });
  const label = (fill: Rgb) => (text: string, i: number, isLeft: boolean) =>
    svgText(isLeft ? left - 6 : right + 6, y(i), text, toCss(fill), `text-anchor="${isLeft ? "end" : "start"}"`);
  const written = label(theme.muted);
  const texts = [
    ...data.queries.map((text, i) => written(text, i, true)),
    ...data.keys.map((text, i) => written(text, i, false)),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="${escapeXml(theme.monoFamily)}" font-size="${FONT_SIZE}" dominant-baseline="middle"><title>${escapeXml(data.title)}</title><rect width="100%" height="100%" fill="${toCss(theme.background)}"/><g stroke="${toCss(theme.positive)}">${lines.join("")}</g>${texts.join("")}</svg>`;
}
