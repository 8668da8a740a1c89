/** A scatter plot with labeled points on a canvas: told what to draw, and tells which point the user points at. */

import { el, setAttr } from "../base/dom";
import { onThemeChange, readTheme, type Theme } from "../base/theme";
import { createCanvasFrame } from "./canvasFrame";
import { toCss } from "./colorScale";
import { FONT_SIZE, pointAt, type ScatterPoint, type ScatterScene, scatterScene } from "./scatterLayout";
import { escapeXml, svgText } from "./svg";

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

/** `pick` is called for a point that is clicked or chosen with Enter. Arrow keys go through the points in their order. */
export function createScatter(pick: (point: number) => void) {
  const { canvas, scroller: box, readout, spoken, node } = createCanvasFrame("scatter plot");

  let data: ScatterData | null = null;
  let scene: ScatterScene | null = null;
  let selected: number | null = null;
  let pointed: number | null = null;

  const sceneNow = () =>
    data &&
    node.clientWidth > 0 &&
    scatterScene(data.points, { width: Math.min(MAX_WIDTH, node.clientWidth), height: HEIGHT }, selected);
  const layout = () => {
    scene = sceneNow() || null;
    draw();
  };
  const draw = () => {
    if (!data || !scene) return;
    box.style.width = `${scene.width}px`;
    paint(canvas, data, scene, { selected, pointed }, readTheme());
  };
  const point = (next: number | null, spokenToo: boolean) => {
    if (next === pointed) return;
    pointed = next;
    const text = next === null || !data ? "" : data.describe(next);
    readout.textContent = text;
    if (spokenToo) spoken.textContent = text;
    draw();
  };

  box.addEventListener("pointermove", (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    if (scene) point(pointAt(scene, event.clientX - left, event.clientY - top), false);
  });
  box.addEventListener("pointerleave", () => point(null, false));
  box.addEventListener("click", () => pointed !== null && pick(pointed));
  box.addEventListener("focus", () => {
    if (data && pointed === null && box.matches(":focus-visible")) point(selected ?? 0, true);
  });
  box.addEventListener("blur", () => point(null, false));
  box.addEventListener("keydown", (event) => {
    const last = (data?.points.length ?? 0) - 1;
    const from = pointed ?? selected ?? 0;
    if (event.key === "Enter" && last >= 0) return pick(from);
    const to = moved(event.key, from, last);
    if (to === null) return;
    event.preventDefault();
    point(to, true);
  });
  new ResizeObserver(layout).observe(node);
  onThemeChange(draw);

  return {
    node,
    show(next: ScatterData) {
      data = next;
      point(null, false);
      setAttr(box, "aria-label", `${next.title}, ${next.points.length}`);
      layout();
    },
    mark(next: number | null) {
      if (next === selected) return;
      selected = next;
      layout();
    },
    picture(): HTMLCanvasElement | null {
      const whole = el("canvas");
      if (data && scene) paint(whole, data, scene, { selected: null, pointed: null }, readTheme());
      return scene ? whole : null;
    },
    svg: (): string | null => (data && scene ? scatterSvg(data, scene, readTheme()) : null),
  };
}

function moved(key: string, from: number, last: number): number | null {
  if (last < 0) return null;
  if (key === "ArrowRight" || key === "ArrowDown") return Math.min(last, from + 1);
  if (key === "ArrowLeft" || key === "ArrowUp") return Math.max(0, from - 1);
  if (key === "Home") return 0;
  return key === "End" ? last : null;
}

function paint(
  canvas: HTMLCanvasElement,
  { points, xName, yName }: ScatterData,
  scene: ScatterScene,
  { selected, pointed }: { readonly selected: number | null; readonly pointed: number | null },
  theme: Theme,
): void {
  const { width, height, left, top, right, bottom, at } = scene;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.scale(ratio, ratio);
  context.fillStyle = toCss(theme.background);
  context.fillRect(0, 0, width, height);
  context.font = `${FONT_SIZE}px ${theme.monoFamily}`;
  context.textBaseline = "middle";

  context.strokeStyle = toCss(theme.border);
  context.fillStyle = toCss(theme.muted);
  context.strokeRect(left + 0.5, top + 0.5, right - left, bottom - top);
  context.textAlign = "center";
  for (const tick of scene.xTicks) {
    line(context, tick.at, bottom, tick.at, bottom + 4);
    context.fillText(tick.text, tick.at, bottom + 11);
  }
  context.fillText(xName, (left + right) / 2, height - 8);
  context.textAlign = "right";
  for (const tick of scene.yTicks) {
    line(context, left - 4, tick.at, left, tick.at);
    context.fillText(tick.text, left - 7, tick.at);
  }
  context.save();
  context.translate(8, (top + bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(yName, 0, 0);
  context.restore();

  for (const [i, [x, y]] of at.entries()) {
    const { isExtra } = points[i] as ScatterPoint;
    context.fillStyle = toCss(isExtra ? theme.negative : theme.positive);
    context.beginPath();
    // Color is not the only difference: vocabulary tokens are squares.
    if (isExtra) context.rect(x - RADIUS, y - RADIUS, 2 * RADIUS, 2 * RADIUS);
    else context.arc(x, y, RADIUS, 0, 2 * Math.PI);
    context.fill();
  }
  context.textAlign = "left";
  for (const { point, text, x, y } of scene.labels) {
    context.font = `${point === selected ? "bold " : ""}${FONT_SIZE}px ${theme.monoFamily}`;
    context.fillStyle = toCss(theme.foreground);
    context.fillText(text, x, y);
  }
  for (const [i, color, radius] of [
    [selected, theme.focus, RADIUS + 3],
    [pointed, theme.foreground, RADIUS + 3],
  ] as const) {
    const place = i === null ? undefined : at[i];
    if (!place) continue;
    context.strokeStyle = toCss(color);
    context.lineWidth = 2;
    context.beginPath();
    context.arc(place[0], place[1], radius, 0, 2 * Math.PI);
    context.stroke();
  }
}

function line(context: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

function scatterSvg({ title, points, xName, yName }: ScatterData, scene: ScatterScene, theme: Theme): string {
  const { width, height, left, top, right, bottom, at } = scene;
  const [muted, foreground, border] = [toCss(theme.muted), toCss(theme.foreground), toCss(theme.border)];
  const [middleX, middleY] = [(left + right) / 2, (top + bottom) / 2];
  const centered = `text-anchor="middle"`;
  const parts = [
    `<rect x="${left}" y="${top}" width="${right - left}" height="${bottom - top}" fill="none" stroke="${border}"/>`,
    ...scene.xTicks.map((tick) => svgText(tick.at, bottom + 11, tick.text, muted, centered)),
    ...scene.yTicks.map((tick) => svgText(left - 7, tick.at, tick.text, muted, `text-anchor="end"`)),
    svgText(middleX, height - 8, xName, muted, centered),
    svgText(8, middleY, yName, muted, `${centered} transform="rotate(-90 8 ${middleY})"`),
    ...at.map(([x, y], i) => {
      const [cx, cy] = [x.toFixed(1), y.toFixed(1)];
      if (!points[i]?.isExtra) return `<circle cx="${cx}" cy="${cy}" r="${RADIUS}" fill="${toCss(theme.positive)}"/>`;
      const corner = `x="${(x - RADIUS).toFixed(1)}" y="${(y - RADIUS).toFixed(1)}"`;
      return `<rect ${corner} width="${2 * RADIUS}" height="${2 * RADIUS}" fill="${toCss(theme.negative)}"/>`;
    }),
    ...scene.labels.map(({ text, x, y }) => svgText(x, y, text, foreground)),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="${escapeXml(theme.monoFamily)}" font-size="${FONT_SIZE}" dominant-baseline="middle"><title>${escapeXml(title)}</title><rect width="100%" height="100%" fill="${toCss(theme.background)}"/>${parts.join("")}</svg>`;
}
