import { describe, expect, test } from "vitest";
import {
  contrast,
  divergingScale,
  LOG_RANGE,
  maxAbs,
  type Rgb,
  sequentialScale,
} from "../../../webview/charts/colorScale";
import { type ThemeKind, themes } from "../themes";

/** `#0123ab`, or `rgba(…)` made opaque, as theme.css does. */
const rgb = (css: string): Rgb => {
  const parts = css.startsWith("#")
    ? css.match(/[\da-f]{2}/gi)?.map((hex) => Number.parseInt(hex, 16))
    : css.match(/\d+/g);
  const [r, g, b] = (parts ?? []).map(Number);
  return [r as number, g as number, b as number];
};
const rampOf = (theme: ThemeKind, surface: string) => {
  const { variables } = themes[theme];
  return {
    background: rgb(variables[surface] as string),
    foreground: rgb(variables.foreground as string),
    positive: rgb(variables["charts-blue"] as string),
    negative: rgb((variables["charts-orange"] ?? variables["charts-yellow"]) as string),
  };
};

describe.each(["light", "dark", "hc-light", "hc-dark"] as const)("colors in the %s theme", (theme) => {
  const colors = rampOf(theme, "sideBar-background");

  test("zero has the background color, and the strongest values contrast with it", () => {
    const scale = divergingScale(2, colors);
    expect(scale.colorAt(0).map(Math.round)).toEqual(colors.background);
    expect(contrast(scale.colorAt(2), colors.background)).toBeGreaterThan(4.5);
    expect(contrast(scale.colorAt(-2), colors.background)).toBeGreaterThan(4.5);
  });

  test("a logarithmic ramp turns equal factors into equal steps, down to its start", () => {
    const scale = sequentialScale(2, colors, "log");
    const lightness = (value: number) => contrast(scale.colorAt(value), colors.background);
    expect(scale.colorAt(2 * LOG_RANGE)).toEqual(scale.colorAt(0));
    expect(scale.colorAt(2)).toEqual(sequentialScale(2, colors).colorAt(2));
    // The middle of the ramp is the middle of the factors.
    expect(scale.colorAt(2 * Math.sqrt(LOG_RANGE))).toEqual(sequentialScale(2, colors).colorAt(1));
    expect(lightness(2e-2)).toBeGreaterThan(lightness(2e-3));
  });

  test("a larger value has more contrast, so that lightness alone carries the order", () => {
    const scale = sequentialScale(1, colors);
    const ratios = Array.from({ length: 21 }, (_, i) => contrast(scale.colorAt(i / 20), colors.background));
    for (let i = 1; i < ratios.length; i++) expect(ratios[i]).toBeGreaterThan(ratios[i - 1] as number);
  });

  test("the two signs differ between blue and yellow, which red-green blindness distinguishes", () => {
    const scale = divergingScale(1, colors);
    for (const size of [0.4, 0.7, 1]) {
      const yellowness = ([r, g, b]: Rgb) => (r + g) / 2 - b;
      expect(yellowness(scale.colorAt(-size)) - yellowness(scale.colorAt(size))).toBeGreaterThan(40);
    }
  });
});

test("the largest absolute value ignores NaN and infinity", () => {
  expect(maxAbs([1, -3, Number.NaN, Number.NEGATIVE_INFINITY])).toBe(3);
});
