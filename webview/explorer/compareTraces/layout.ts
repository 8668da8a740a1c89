/** How far two runs' values and two models' weights are apart, as pictures and tables need it. */

import type { TraceDifference, WeightDifference } from "../../../src/protocol/traceApi";
import { formatCount } from "../../base/format";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";

/** Reads as `attn.q`, of an encoder as `enc.attn.q`: which value of its layer a name stands for. */
export const valueKind = (name: string): string => name.replace(/^(enc\.)?blocks\.\d+\./, "$1");

/** The kinds there are, in the order of the model. */
export const valueKinds = ({ values }: TraceDifference): string[] => [
  ...new Set(values.map(({ name }) => valueKind(name))),
];

export interface RelativeRows {
  readonly names: readonly string[];
  /** Of what is written, or of the source. */
  readonly positions: number;
  /** [names, positions]; NaN where something differs from nothing. */
  readonly values: Float32Array;
}

/** The values of a kind, a row for each layer, the last on top as in the lens. */
export function relativeRows({ values }: TraceDifference, kind: string): RelativeRows {
  const rows = values.filter(({ name }) => valueKind(name) === kind).reverse();
  const positions = rows[0]?.relative.length ?? 0;
  const flat = new Float32Array(rows.length * positions);
  rows.forEach(({ relative }, row) => {
    flat.set(relative.subarray(0, positions), row * positions);
  });
  return { names: rows.map(({ name }) => name), positions, values: flat };
}

export const relativeTable = (
  title: string,
  { names, positions, values }: RelativeRows,
  tokens: readonly string[],
): TableData => ({
  title,
  columns: ["value", "position", "token", "relative difference"],
  rows: values.length,
  row: (i) => [
    names[Math.floor(i / positions)] as string,
    i % positions,
    tokens[i % positions] ?? "",
    values[i] as number,
  ],
});

/** The largest difference first. */
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

/** What two runs are called beside each other: by what differs between them. */
export function traceNames(a: Named, b: Named): readonly [string, string] {
  if (a.dir === b.dir) return [t("this text"), t("other text")];
  if (a.name !== b.name) return [a.name, b.name];
  // A checkpoint can be of the very step that its model is at.
  if (a.step === b.step) return [t("this model"), t("other model")];
  return [t("step {0}", formatCount(a.step)), t("step {0}", formatCount(b.step))];
}
