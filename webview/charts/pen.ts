/**
 * One way to draw: a chart describes its picture to a pen once, and the pen puts it on a canvas or writes it as SVG with
 * real text. Coordinates are CSS pixels; `y` of a text is its vertical center.
 */

import { el } from "../base/dom";
import { readTheme, type Theme } from "../base/theme";
import { type Rgb, toCss } from "./colorScale";

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export type Point = readonly [x: number, y: number];

interface Stroke {
  readonly color: Rgb;
  /** 1 by default. */
  readonly width?: number;
  readonly opacity?: number;
  readonly dash?: readonly number[];
}

interface Paint {
  readonly fill?: Rgb;
  readonly stroke?: Stroke;
  /** Radius of a rectangle's corners. */
  readonly radius?: number;
}

export interface TextStyle {
  readonly color: Rgb;
  readonly anchor?: "start" | "middle" | "end";
  readonly size?: number;
  readonly bold?: boolean;
  /** Reads from bottom to top. */
  readonly turned?: boolean;
  /** Longer text is cut, with an ellipsis. */
  readonly room?: number;
}

export interface Pen {
  readonly rect: (box: Box, paint: Paint) => void;
  readonly circle: (center: Point, radius: number, paint: Paint) => void;
  readonly line: (points: readonly Point[], stroke: Stroke) => void;
  /** A filled shape without an outline. */
  readonly polygon: (points: readonly Point[], fill: Rgb, opacity?: number) => void;
  readonly text: (x: number, y: number, content: string, style: TextStyle) => void;
  /** Pixels stretched over the box, not smoothed. */
  readonly image: (box: Box, pixels: HTMLCanvasElement | OffscreenCanvas) => void;
  /** Thin diagonal lines. */
  readonly hatch: (boxes: readonly Box[], stroke: Stroke) => void;
  /** Cuts off what `draw` draws outside the box where the picture scrolls; a saved picture is complete. */
  readonly clip: (box: Box, draw: () => void) => void;
  /** Moves the origin to a point for what `draw` draws. */
  readonly from: (origin: Point, draw: () => void) => void;
}

/** A picture that can be saved. */
export interface Drawing {
  /** Accessible name in SVG. */
  readonly title: string;
  readonly width: number;
  readonly height: number;
  /** Font of the theme: monospace by default. */
  readonly font?: "mono" | "text";
  /** The drawing contains its title or those of its parts. */
  readonly hasTitle?: true;
  readonly draw: (pen: Pen) => void;
}

export const FONT_SIZE = 11;

/** Side of a square of the hatch pattern. */
const HATCH = 6;

/** Pixels of a saved PNG per CSS pixel, and along one side at most: browsers draw nothing on a larger canvas. */
const SAVED_RATIO = 2;
const MAX_PIXELS = 16_384;

type Fonts = Pick<Theme, "monoFamily" | "fontFamily">;

const familyOf = ({ monoFamily, fontFamily }: Fonts, font: Drawing["font"] = "mono") =>
  font === "mono" ? monoFamily : fontFamily;

const fontOf = (family: string, { size = FONT_SIZE, bold = false }: Pick<TextStyle, "size" | "bold"> = {}) =>
  `${bold ? "bold " : ""}${size}px ${family}`;

let measuring: OffscreenCanvasRenderingContext2D | undefined;

function textWidth(text: string, font: string): number {
  measuring ??= new OffscreenCanvas(1, 1).getContext("2d") as OffscreenCanvasRenderingContext2D;
  measuring.font = font;
  return measuring.measureText(text).width;
}

/** Width of the widest of some texts in the monospaced font, rounded up. */
export function widestText(texts: readonly string[], { monoFamily }: Fonts = readTheme()): number {
  const font = fontOf(monoFamily);
  return Math.ceil(texts.reduce((widest, text) => Math.max(widest, textWidth(text, font)), 0));
}

function shortened(text: string, room: number, font: string): string {
  if (textWidth(text, font) <= room) return text;
  const letters = [...text];
  while (letters.length > 1 && textWidth(`${letters.join("")}…`, font) > room) letters.pop();
  return `${letters.join("")}…`;
}

/** Sizes a canvas, paints the theme's background and returns a pen for it. */
export function canvasPen(
  canvas: HTMLCanvasElement,
  { width, height }: Pick<Box, "width" | "height">,
  theme: Theme,
  { ratio = window.devicePixelRatio || 1, font = "mono" as Drawing["font"] } = {},
): Pen {
  const [pixelWidth, pixelHeight] = [width, height].map((size) => Math.max(1, Math.round(size * ratio)));
  // Setting a size, even the same one, allocates the canvas again.
  if (canvas.width !== pixelWidth) canvas.width = pixelWidth as number;
  if (canvas.height !== pixelHeight) canvas.height = pixelHeight as number;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.imageSmoothingEnabled = false;
  context.textBaseline = "middle";
  context.fillStyle = toCss(theme.background);
  context.fillRect(0, 0, width, height);
  return penOf(context, familyOf(theme, font), ratio);
}

const ALIGN = { start: "left", middle: "center", end: "right" } as const;

function penOf(context: CanvasRenderingContext2D, family: string, ratio: number): Pen {
  const strokeWith = ({ color, width = 1, opacity = 1, dash = [] }: Stroke, draw: () => void) => {
    context.strokeStyle = toCss(color);
    context.lineWidth = width;
    context.globalAlpha = opacity;
    context.setLineDash([...dash]);
    draw();
    context.globalAlpha = 1;
  };
  const paintPath = (path: Path2D, { fill, stroke }: Paint) => {
    if (fill) {
      context.fillStyle = toCss(fill);
      context.fill(path);
    }
    if (stroke) strokeWith(stroke, () => context.stroke(path));
  };
  return {
    rect({ x, y, width, height }, paint) {
      if (!paint.radius) {
        if (paint.fill) context.fillStyle = toCss(paint.fill);
        if (paint.fill) context.fillRect(x, y, width, height);
        if (paint.stroke) strokeWith(paint.stroke, () => context.strokeRect(x, y, width, height));
        return;
      }
      const path = new Path2D();
      path.roundRect(x, y, width, height, paint.radius);
      paintPath(path, paint);
    },
    circle([x, y], radius, paint) {
      const path = new Path2D();
      path.arc(x, y, radius, 0, 2 * Math.PI);
      paintPath(path, paint);
    },
    line(points, stroke) {
      context.beginPath();
      for (const [x, y] of points) context.lineTo(x, y);
      strokeWith(stroke, () => context.stroke());
    },
    polygon(points, fill, opacity = 1) {
      context.beginPath();
      for (const [x, y] of points) context.lineTo(x, y);
      context.fillStyle = toCss(fill);
      context.globalAlpha = opacity;
      context.fill();
      context.globalAlpha = 1;
    },
    text(x, y, content, style) {
      const { color, anchor = "start", turned, room } = style;
      const font = fontOf(family, style);
      context.font = font;
      context.fillStyle = toCss(color);
      context.textAlign = ALIGN[anchor];
      const text = room === undefined ? content : shortened(content, room, font);
      if (!turned) return context.fillText(text, x, y);
      context.save();
      context.translate(x, y);
      context.rotate(-Math.PI / 2);
      context.fillText(text, 0, 0);
      context.restore();
    },
    image: ({ x, y, width, height }, pixels) => context.drawImage(pixels, x, y, width, height),
    hatch(boxes, stroke) {
      const path = new Path2D();
      for (const { x, y, width, height } of boxes) path.rect(x, y, width, height);
      context.fillStyle = hatchPattern(context, stroke, ratio);
      context.fill(path);
    },
    clip({ x, y, width, height }, draw) {
      context.save();
      context.beginPath();
      context.rect(x, y, width, height);
      context.clip();
      draw();
      context.restore();
    },
    from([x, y], draw) {
      context.save();
      context.translate(x, y);
      draw();
      context.restore();
    },
  };
}

function hatchPattern(context: CanvasRenderingContext2D, { color, opacity = 1 }: Stroke, ratio: number) {
  const tile = new OffscreenCanvas(HATCH * ratio, HATCH * ratio);
  const lines = tile.getContext("2d") as OffscreenCanvasRenderingContext2D;
  lines.scale(ratio, ratio);
  lines.strokeStyle = toCss(color);
  lines.globalAlpha = opacity;
  lines.stroke(new Path2D(HATCH_PATH));
  const pattern = context.createPattern(tile, "repeat") as CanvasPattern;
  pattern.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern;
}

/** Three lines, so that tiles join at their corners. */
const HATCH_PATH = [-HATCH, 0, HATCH].map((shift) => `M${shift} ${HATCH}L${shift + HATCH} 0`).join("");

/** The drawing as SVG with real text. */
export function svgOf({ title, width, height, font, draw }: Drawing, theme: Fonts & Pick<Theme, "background">): string {
  const parts: string[] = [];
  const family = familyOf(theme, font);
  draw(svgPen(parts, family));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${Math.ceil(width)}" height="${Math.ceil(height)}" font-family="${escapeXml(family)}" font-size="${FONT_SIZE}" dominant-baseline="middle">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="100%" height="100%" fill="${toCss(theme.background)}"/>`,
    ...parts,
    "</svg>",
  ].join("\n");
}

function svgPen(parts: string[], family: string): Pen {
  const add = (tag: string, attributes: Readonly<Record<string, string | number | undefined>>, content?: string) => {
    const written = Object.entries(attributes).flatMap(([name, value]) =>
      value === undefined ? [] : [` ${name}="${typeof value === "number" ? short(value) : escapeXml(value)}"`],
    );
    parts.push(`<${tag}${written.join("")}${content === undefined ? "/>" : `>${content}</${tag}>`}`);
  };
  const strokeOf = ({ color, width, opacity, dash = [] }: Stroke) => ({
    stroke: toCss(color),
    "stroke-width": width,
    "stroke-opacity": opacity,
    "stroke-dasharray": dash.length > 0 ? dash.join(" ") : undefined,
  });
  const paintOf = ({ fill, stroke }: Paint) => ({ fill: fill ? toCss(fill) : "none", ...(stroke && strokeOf(stroke)) });
  return {
    rect: (box, paint) => add("rect", { ...box, rx: paint.radius, ...paintOf(paint) }),
    circle: ([cx, cy], r, paint) => add("circle", { cx, cy, r, ...paintOf(paint) }),
    line: (points, stroke) => add("polyline", { fill: "none", ...strokeOf(stroke), points: listOf(points) }),
    polygon: (points, fill, opacity) =>
      add("polygon", { fill: toCss(fill), "fill-opacity": opacity, points: listOf(points) }),
    text(x, y, content, style) {
      const { color, anchor, size, bold, turned, room } = style;
      const text = room === undefined ? content : shortened(content, room, fontOf(family, style));
      const look = {
        x,
        y,
        fill: toCss(color),
        "xml:space": "preserve",
        "text-anchor": anchor,
        "font-size": size,
        "font-weight": bold ? "bold" : undefined,
        transform: turned ? `rotate(-90 ${short(x)} ${short(y)})` : undefined,
      };
      add("text", look, escapeXml(text));
    },
    image(box, pixels) {
      const canvas = el("canvas");
      canvas.width = pixels.width;
      canvas.height = pixels.height;
      canvas.getContext("2d")?.drawImage(pixels, 0, 0);
      const href = canvas.toDataURL("image/png");
      add("image", { ...box, preserveAspectRatio: "none", style: "image-rendering:pixelated", href });
    },
    hatch(boxes, { color, opacity = 1 }) {
      const id = `hatch${parts.length}`;
      parts.push(
        `<pattern id="${id}" width="${HATCH}" height="${HATCH}" patternUnits="userSpaceOnUse"><path d="${HATCH_PATH}" stroke="${toCss(color)}" stroke-opacity="${opacity}"/></pattern>`,
      );
      const outlines = boxes.map(
        ({ x, y, width, height }) => `M${short(x)} ${short(y)}h${short(width)}v${short(height)}h${short(-width)}z`,
      );
      if (boxes.length > 0) add("path", { d: outlines.join(""), fill: `url(#${id})` });
    },
    clip: (_box, draw) => draw(),
    from([x, y], draw) {
      parts.push(`<g transform="translate(${short(x)} ${short(y)})">`);
      draw();
      parts.push("</g>");
    },
  };
}

const listOf = (points: readonly Point[]): string => points.map((point) => point.map(short).join(",")).join(" ");

const short = (x: number): string => String(Number(x.toFixed(2)));

const escapeXml = (content: string): string =>
  content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** The drawing as a PNG's pixels. */
export function canvasOf({ width, height, font, draw }: Drawing, theme: Theme): HTMLCanvasElement {
  const canvas = el("canvas");
  const ratio = Math.min(SAVED_RATIO, MAX_PIXELS / Math.max(width, height));
  draw(canvasPen(canvas, { width: Math.ceil(width), height: Math.ceil(height) }, theme, { ratio, font }));
  return canvas;
}
