/** Several matrices in one picture: each has a color, and a cell has the mix of those that are strong in it. */

import type { Theme } from "../base/theme";
import type { Rgb } from "./colorScale";

/** A matrix of weights of at least 0, with its name in the legend. */
export interface Overlaid {
  readonly name: string;
  readonly values: Float32Array;
}

type Colors = Pick<Theme, "background" | "series">;

/** At most this many matrices are overlaid: the first colors of the series differ well in every theme. */
export const MAX_OVERLAID = 4;

/** The color of a cell by its index: the mean of the matrices' colors by their weights, as strong as the largest is beside `top`. */
export function overlayColors(
  matrices: readonly Overlaid[],
  top: number,
  { background, series }: Colors,
): (cell: number) => Rgb {
  return (cell) => {
    let [sum, most] = [0, 0];
    const hue = [0, 0, 0];
    matrices.forEach(({ values }, i) => {
      const weight = values[cell] as number;
      const color = series[i % series.length] as Rgb;
      sum += weight;
      most = Math.max(most, weight);
      for (let channel = 0; channel < 3; channel++) hue[channel] = (hue[channel] ?? 0) + weight * (color[channel] ?? 0);
    });
    if (sum === 0) return background;
    const mixed = (channel: 0 | 1 | 2) =>
      background[channel] + ((hue[channel] ?? 0) / sum - background[channel]) * (most / top);
    return [mixed(0), mixed(1), mixed(2)];
  };
}
