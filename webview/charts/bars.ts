/** Labelled bars on a canvas: the picture of a list that is DOM on the page, to save as a file. */

import { el } from "../dom";
import { readTheme } from "../theme";
import { toCss } from "./colorScale";

export interface Bar {
  readonly label: string;
  readonly note: string;
  readonly value: number;
}

export function drawBars(bars: readonly Bar[], format: (value: number) => string): HTMLCanvasElement {
  const [width, rowHeight, margin, ratio] = [480, 22, 12, 2];
  const theme = readTheme();
  const canvas = el("canvas");
  canvas.width = width * ratio;
  canvas.height = (bars.length * rowHeight + 2 * margin) * ratio;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.scale(ratio, ratio);
  context.fillStyle = toCss(theme.background);
  context.fillRect(0, 0, width, canvas.height);
  context.font = `12px ${theme.monoFamily}`;
  context.textBaseline = "middle";
  const largest = Math.max(...bars.map(({ value }) => value));
  bars.forEach(({ label, note, value }, i) => {
    const y = margin + (i + 0.5) * rowHeight;
    context.fillStyle = toCss(theme.foreground);
    context.fillText(label, margin, y, 90);
    context.fillText(format(value), width - margin - 70, y, 70);
    context.fillStyle = toCss(theme.muted);
    context.fillText(note, margin + 96, y, 60);
    context.fillStyle = toCss(theme.positive);
    context.fillRect(margin + 160, y - 6, (width - 2 * margin - 240) * (largest > 0 ? value / largest : 0), 12);
  });
  return canvas;
}
