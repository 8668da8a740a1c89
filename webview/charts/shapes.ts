/** A picture to save of what is DOM on the page: said once as shapes, drawn on a canvas or written as SVG with real text. */

import { el } from "../base/dom";
import { readTheme, type Theme } from "../base/theme";
import { type Rgb, toCss } from "./colorScale";
import { escapeXml, svgText } from "./svg";

export type Shape =
  | {
      readonly kind: "text";
      /** Where it begins, or what `anchor` says; its middle upwards. */
      readonly x: number;
      readonly y: number;
      readonly text: string;
      readonly color: Rgb;
      readonly anchor?: "start" | "middle" | "end";
      readonly size?: number;
    }
  | (Box & { readonly kind: "rect"; readonly fill?: Rgb; readonly stroke?: Rgb; readonly radius?: number })
  /** Pixels, each as large as the box makes it. */
  | (Box & { readonly kind: "image"; readonly image: HTMLCanvasElement });

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface ShapePicture {
  /** Of an SVG, its accessible name. */
  readonly title: string;
  readonly width: number;
  readonly height: number;
  readonly shapes: readonly Shape[];
}

const FONT_SIZE = 11;
/** Pixels of a canvas for each of the picture, and along one side at most: of a larger one, browsers make none. */
const RATIO = 2;
const MOST_PIXELS = 16_384;

const fontOf = ({ monoFamily }: Theme, size = FONT_SIZE): string => `${size}px ${monoFamily}`;

/** Room for the widest of some texts. */
export function widestText(texts: readonly string[]): number {
  const context = new OffscreenCanvas(1, 1).getContext("2d") as OffscreenCanvasRenderingContext2D;
  context.font = fontOf(readTheme());
  return Math.ceil(texts.reduce((most, text) => Math.max(most, context.measureText(text).width), 0));
}

/** What a data bar saves of such a picture; `shapes` is asked when it is saved. */
export const savedShapes = (shapes: () => ShapePicture | null) => ({
  picture: () => {
    const drawn = shapes();
    return drawn && drawShapes(drawn);
  },
  svg: () => {
    const drawn = shapes();
    return drawn && shapesSvg(drawn);
  },
});

function drawShapes({ width, height, shapes }: ShapePicture): HTMLCanvasElement {
  const theme = readTheme();
  const canvas = el("canvas");
  const ratio = Math.min(RATIO, MOST_PIXELS / Math.max(width, height));
  canvas.width = Math.ceil(width * ratio);
  canvas.height = Math.ceil(height * ratio);
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.scale(ratio, ratio);
  context.imageSmoothingEnabled = false;
  context.textBaseline = "middle";
  context.fillStyle = toCss(theme.background);
  context.fillRect(0, 0, width, height);
  for (const shape of shapes) {
    if (shape.kind === "text") {
      context.font = fontOf(theme, shape.size);
      context.fillStyle = toCss(shape.color);
      context.textAlign = ALIGN[shape.anchor ?? "start"];
      context.fillText(shape.text, shape.x, shape.y);
    } else if (shape.kind === "image") {
      context.drawImage(shape.image, shape.x, shape.y, shape.width, shape.height);
    } else {
      const outline = new Path2D();
      outline.roundRect(shape.x, shape.y, shape.width, shape.height, shape.radius ?? 0);
      if (shape.fill) {
        context.fillStyle = toCss(shape.fill);
        context.fill(outline);
      }
      if (shape.stroke) {
        context.strokeStyle = toCss(shape.stroke);
        context.stroke(outline);
      }
    }
  }
  return canvas;
}

const ALIGN = { start: "left", middle: "center", end: "right" } as const;

function shapesSvg({ title, width, height, shapes }: ShapePicture): string {
  const theme = readTheme();
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${Math.ceil(width)}" height="${Math.ceil(height)}" font-family="${escapeXml(theme.monoFamily)}" font-size="${FONT_SIZE}" dominant-baseline="middle">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="100%" height="100%" fill="${toCss(theme.background)}"/>`,
    ...shapes.map(shapeSvg),
    "</svg>",
  ].join("\n");
}

function shapeSvg(shape: Shape): string {
  if (shape.kind === "text") {
    const anchor = shape.anchor ? ` text-anchor="${shape.anchor}"` : "";
    const size = shape.size === undefined ? "" : ` font-size="${shape.size}"`;
    return svgText(shape.x, shape.y, shape.text, toCss(shape.color), `xml:space="preserve"${anchor}${size}`);
  }
  const [x, y, width, height] = [shape.x, shape.y, shape.width, shape.height].map((size) => size.toFixed(2));
  const box = `x="${x}" y="${y}" width="${width}" height="${height}"`;
  if (shape.kind === "image")
    return `<image ${box} preserveAspectRatio="none" style="image-rendering:pixelated" href="${shape.image.toDataURL("image/png")}"/>`;
  const fill = shape.fill ? toCss(shape.fill) : "none";
  const stroke = shape.stroke ? ` stroke="${toCss(shape.stroke)}"` : "";
  return `<rect ${box}${shape.radius ? ` rx="${shape.radius}"` : ""} fill="${fill}"${stroke}/>`;
}
