/**
 * The theme's colors for canvases. A canvas does not follow CSS variables, so charts read the theme when they draw, and
 * draw again when it changes.
 */

import type { RampColors, Rgb } from "../charts/colorScale";

export interface Theme extends RampColors {
  readonly muted: Rgb;
  readonly border: Rgb;
  readonly focus: Rgb;
  readonly fontFamily: string;
  readonly monoFamily: string;
  /** Colors of the lines of a chart, in order of use. */
  readonly series: readonly Rgb[];
  readonly highContrast: boolean;
}

/** Reads the current theme. */
export function readTheme(): Theme {
  const style = getComputedStyle(document.body);
  const color = (name: string): Rgb => parse(style.getPropertyValue(name).trim());
  return {
    background: color("--lab-surface"),
    foreground: color("--lab-foreground"),
    positive: color("--lab-positive"),
    negative: color("--lab-negative"),
    muted: color("--lab-muted"),
    border: color("--lab-border"),
    focus: color("--lab-focus"),
    series: [1, 2, 3, 4, 5, 6].map((n) => color(`--lab-series-${n}`)),
    fontFamily: style.fontFamily,
    monoFamily: style.getPropertyValue("--lab-mono").trim(),
    highContrast: isHighContrast(),
  };
}

const isHighContrast = (): boolean =>
  /vscode-high-contrast/.test(document.body.className) || matchMedia("(forced-colors: active)").matches;

/** Calls `listener` when the theme or the system's forced colors change. */
export function onThemeChange(listener: () => void): void {
  const observer = new MutationObserver(listener);
  // VS Code sets the kind of theme on the body and the variables on the root element.
  observer.observe(document.body, { attributes: true, attributeFilter: ["class", "data-vscode-theme-id"] });
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["style"] });
  matchMedia("(forced-colors: active)").addEventListener("change", listener);
}

let probe: CanvasRenderingContext2D | null = null;

/** Parses a CSS color by painting it, so that names, `color-mix` and system colors work too. */
function parse(css: string): Rgb {
  probe ??= new OffscreenCanvas(1, 1).getContext("2d", {
    willReadFrequently: true,
  }) as unknown as CanvasRenderingContext2D;
  probe.clearRect(0, 0, 1, 1);
  probe.fillStyle = "#808080";
  probe.fillStyle = css;
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data as unknown as [number, number, number];
  return [r, g, b];
}
