/** The output of benchmarks: lines of JSON or a table. */

export interface Figure {
  readonly work: string;
  readonly variant: string;
  readonly metric: string;
  readonly value: number;
  readonly samples: readonly number[];
}

export const printFigure = ({ work, variant, metric, value, samples }: Figure): void =>
  console.log(JSON.stringify({ work, variant, metric, value, samples }));

export const row = ([first = "", ...rest]: readonly string[]): string =>
  first.padEnd(46) + rest.map((cell) => cell.padStart(16)).join("");

/** Formats a number with three digits, or all digits before the decimal point. */
export const shown = (value: number): string =>
  value < 1 ? value.toFixed(3) : value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
