/** Differences between the values of two traces and between the weights of two models, as rows for pictures and tables. */

import type { TraceDifference, WeightDifference } from "../../../src/protocol/traceApi";
import { formatCount } from "../../base/format";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";
import { isOverSource } from "../../trace/layers/layout";

/** The value of a layer that a name stands for, such as `attn.q`, or `enc.attn.q` in an encoder. */
const valueKind = (name: string): string => name.replace(/^(enc\.)?blocks\.\d+\./, "$1");

/** The kinds of values, in model order. */
export const valueKinds = ({ values }: TraceDifference): string[] => [
  ...new Set(values.map(({ name }) => valueKind(name))),
];

export interface RelativeRows {
  readonly names: readonly string[];
  /** The compared positions of the texts, or of the sources for an encoder's values. */
  readonly positions: TraceDifference["positions"];
  /** [names, positions]; Infinity if only the first vector is zero. */
  readonly values: Float32Array;
}

/** The values of a kind, one row per layer, the last on top as in the lens. */
export function relativeRows(difference: TraceDifference, kind: string): RelativeRows {
  const rows = difference.values.filter(({ name }) => valueKind(name) === kind).reverse();
  const length = rows[0]?.relative.length ?? 0;
  const flat = new Float32Array(rows.length * length);
  for (const [row, { relative }] of rows.entries()) flat.set(relative, row * length);
  const names = rows.map(({ name }) => name);
  const { positions, sourcePositions = positions } = difference;
  return { names, positions: isOverSource(names[0] ?? "") ? sourcePositions : positions, values: flat };
}

export const relativeTable = (
  title: string,
  { names, positions, values }: RelativeRows,
  tokens: readonly string[],
): TableData => ({
  title,
  columns: ["value", "position", "token", "relative difference", "other position"],
  rows: values.length,
  row: (i) => {
    const pair = i % positions.a.length;
    const position = positions.a[pair] as number;
    return [
      names[Math.floor(i / positions.a.length)] as string,
      position,
      tokens[position] ?? "",
      values[i] as number,
      positions.b[pair] as number,
    ];
  },
});

/** Sorted by relative difference, largest first. */
export const sortedWeights = (weights: readonly WeightDifference[]): WeightDifference[] =>
  [...weights].sort((a, b) => b.relative - a.relative);

export const weightsTable = (title: string, weights: readonly WeightDifference[]): TableData => ({
  title,
  columns: ["tensor", "shape", "relative difference", "cosine"],
  rows: weights.length,
  row: (i) => {
    const { name, shape, relative, cosine } = weights[i] as WeightDifference;
    return [name, shape.join(" × "), relative, cosine];
  },
});

interface Named {
  readonly dir: string;
  readonly name: string;
  readonly step: number;
}

/** Names of two traces, by what differs between them. */
export function traceNames(a: Named, b: Named): readonly [string, string] {
  if (a.dir === b.dir) return [t("this text"), t("other text")];
  if (a.name !== b.name) return [a.name, b.name];
  // A checkpoint can be at the same step as its model.
  if (a.step === b.step) return [t("this model"), t("other model")];
  return [t("step {0}", formatCount(a.step)), t("step {0}", formatCount(b.step))];
}
