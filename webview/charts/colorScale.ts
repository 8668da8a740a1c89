/**
 * Colors for numbers, computed from the theme's own colors so that every theme works.
 *
 * A sequential ramp goes from the background through a hue to a mix with the foreground. Lightness alone carries the
 * order, so it can be read without color vision. A diverging ramp has the background at zero, blue above and orange
 * below, which all common kinds of color blindness distinguish. Colors are mixed in OKLab, where equal steps look equal.
 */

export type Rgb = readonly [r: number, g: number, b: number];

/** Colors of the theme that ramps are mixed from. */
export interface RampColors {
  readonly background: Rgb;
  readonly foreground: Rgb;
  readonly positive: Rgb;
  readonly negative: Rgb;
}

/** Maps a value to a color; `domain` holds the values of the two ends. */
export interface ColorScale {
  readonly kind: "sequential" | "diverging";
  readonly domain: readonly [low: number, high: number];
  readonly colorAt: (value: number) => Rgb;
}

/**
 * How color grows with the value. A square root makes small values visible beside large ones; a logarithm, values that
 * are many times smaller.
 */
export type Curve = "linear" | "sqrt" | "log";

/** Start of a logarithmic ramp relative to its end; smaller values have the color of zero. */
export const LOG_RANGE = 1e-4;

const STEPS = 256;

/** From 0 (background) to `max`. */
export function sequentialScale(max: number, colors: RampColors, curve: Curve = "linear"): ColorScale {
  const ramp = branch(colors.background, colors.positive, colors.foreground);
  const top = max > 0 ? max : 1;
  const share = (value: number) => {
    if (curve === "log") return 1 - Math.log(Math.max(LOG_RANGE, value / top)) / Math.log(LOG_RANGE);
    return curve === "sqrt" ? Math.sqrt(Math.max(0, value / top)) : value / top;
  };
  return { kind: "sequential", domain: [0, top], colorAt: (value) => pick(ramp, share(value)) };
}

/** From `-max` over 0 (background) to `max`. */
export function divergingScale(max: number, colors: RampColors): ColorScale {
  const above = branch(colors.background, colors.positive, colors.foreground);
  const below = branch(colors.background, colors.negative, colors.foreground);
  const top = max > 0 ? max : 1;
  return {
    kind: "diverging",
    domain: [-top, top],
    colorAt: (value) => pick(value < 0 ? below : above, Math.abs(value) / top),
  };
}

/** Largest finite absolute value. */
export function maxAbs(data: ArrayLike<number>): number {
  let max = 0;
  for (let i = 0; i < data.length; i++) {
    const size = Math.abs(data[i] as number);
    if (size > max && size < Number.POSITIVE_INFINITY) max = size;
  }
  return max;
}

/** WCAG contrast ratio of two colors, 1 to 21. */
export function contrast(a: Rgb, b: Rgb): number {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

export const toCss = ([r, g, b]: Rgb): string => `rgb(${Math.round(r)} ${Math.round(g)} ${Math.round(b)})`;

/** Background -> hue -> hue mixed with the foreground, as a table of colors. */
function branch(background: Rgb, hue: Rgb, foreground: Rgb): readonly Rgb[] {
  const [start, middle] = [toOklab(background), toOklab(hue)];
  const end = mix(middle, toOklab(foreground), 0.4);
  return Array.from({ length: STEPS }, (_, i) => {
    const t = i / (STEPS - 1);
    return fromOklab(t < 0.6 ? mix(start, middle, t / 0.6) : mix(middle, end, (t - 0.6) / 0.4));
  });
}

function pick(ramp: readonly Rgb[], t: number): Rgb {
  const i = Math.round(Math.min(1, Math.max(0, Number.isNaN(t) ? 0 : t)) * (STEPS - 1));
  return ramp[i] as Rgb;
}

function luminance(color: Rgb): number {
  const [r, g, b] = color.map(toLinear) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

const toLinear = (c: number): number => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
const toGamma = (x: number): number => 255 * (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055);

type Lab = readonly [l: number, a: number, b: number];

const mix = (x: Lab, y: Lab, t: number): Lab => [
  x[0] + (y[0] - x[0]) * t,
  x[1] + (y[1] - x[1]) * t,
  x[2] + (y[2] - x[2]) * t,
];

// The matrices of OKLab: https://bottosson.github.io/posts/oklab/
function toOklab(color: Rgb): Lab {
  const [r, g, b] = color.map(toLinear) as [number, number, number];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function fromOklab([L, a, b]: Lab): Rgb {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const clamp = (x: number) => Math.min(255, Math.max(0, toGamma(x)));
  return [
    clamp(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    clamp(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    clamp(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}
