/** The residual stream as a map, layers upwards and positions to the right, and one vector of it: numbers without drawing. */

import type { TraceInfo } from "../../../src/protocol/engineApi";
import type { TableData } from "../../charts/csv";
import { norm, rowOf } from "../../trace/embedding/layout";
import { dimensionsOf, ENCODER } from "../../trace/layers/layout";

/** What a cell of the map is a measure of. */
export type Quantity = "norm" | "attention" | "cross" | "mlp" | "cosine";

/** What was added to the stream, by quantity: the last part of its name. */
const ADDED: Readonly<Record<string, string>> = { attention: "attnOut", cross: "crossOut", mlp: "mlpOut" };

/** A row of the map: a number for each position, of one value of the run or of two. */
export interface MapRow {
  readonly layer: number;
  /** `1 post`, `embed`. */
  readonly label: string;
  /** The value whose norm it is; of a cosine, the values before and after the layer. */
  readonly names: readonly [string] | readonly [string, string];
  /** The norms that every trace tells; null of what is made of the values themselves. */
  readonly known: Float32Array | null;
}

type Told = Pick<TraceInfo, "values" | "tokens" | "residualNorms" | "source">;

/** What can be shown of a run, of an encoder's stack or the other. */
export function quantities({ values }: Told, isEncoder: boolean): Quantity[] {
  const names = new Set(values.map(({ name }) => name));
  const prefix = isEncoder ? ENCODER : "";
  const all: Quantity[] = ["norm", "attention", "cross", "mlp", "cosine"];
  return all.filter((each) => !ADDED[each] || names.has(`${prefix}blocks.0.${ADDED[each]}`));
}

/** From the first layer to the last. */
export function mapRows(trace: Told, quantity: Quantity, isEncoder: boolean): MapRow[] {
  const prefix = isEncoder ? ENCODER : "";
  const stack = isEncoder ? trace.source : trace;
  const T = stack?.tokens.length ?? 0;
  const layers = T === 0 || !stack ? 0 : stack.residualNorms.length / T - 1;
  const block = (layer: number, name: string) => `${prefix}blocks.${layer}.${name}`;
  const each = Array.from({ length: layers }, (_, layer) => layer);
  if (quantity === "cosine") {
    return each.map((layer) => ({
      layer,
      label: `${layer} post`,
      names: [block(layer, "residPre"), block(layer, "residPost")],
      known: null,
    }));
  }
  const added = ADDED[quantity];
  if (added) {
    return each.map((layer) => ({ layer, label: `${layer}`, names: [block(layer, added)], known: null }));
  }
  const norms = (row: number) => (stack as NonNullable<typeof stack>).residualNorms.subarray(row * T, (row + 1) * T);
  if (layers === 0) return [];
  return [
    { layer: 0, label: "embed", names: [block(0, "residPre")], known: norms(0) },
    ...each.map(
      (layer): MapRow => ({
        layer,
        label: `${layer} post`,
        names: [block(layer, "residPost")],
        known: norms(layer + 1),
      }),
    ),
  ];
}

/** The norm of each row of a matrix with rows of `cols`. */
export const normsOf = (values: Float32Array, cols: number): Float32Array =>
  Float32Array.from({ length: values.length / cols }, (_, row) => norm(rowOf(values, cols, row)));

/** The cosine of each row of a matrix and the same row of another; NaN where one has no length. */
export function cosinesByRow(a: Float32Array, b: Float32Array, cols: number): Float32Array {
  return Float32Array.from({ length: a.length / cols }, (_, row) => {
    let [dot, aa, bb] = [0, 0, 0];
    for (let i = row * cols; i < (row + 1) * cols; i++) {
      const [x, y] = [a[i] as number, b[i] as number];
      dot += x * y;
      aa += x * x;
      bb += y * y;
    }
    return dot / Math.sqrt(aa * bb);
  });
}

/** What a number of a row is, as a formula of the run's values at a position. */
export function formulaOf({ names: [of, after] }: MapRow, position: number): string {
  return after ? `cos(${of}[0, ${position}], ${after}[0, ${position}])` : `‖${of}[0, ${position}]‖`;
}

/** A row for each position, a column for each row of the map. */
export function mapTable(
  rows: readonly MapRow[],
  numbers: readonly (Float32Array | null)[],
  tokens: readonly string[],
  title: string,
): TableData {
  return {
    title,
    columns: ["token", ...rows.map(({ names: [of, after] }) => (after ? `cos(${of}, ${after})` : `‖${of}‖`))],
    rows: tokens.length,
    row: (position) => [
      `${position} ${tokens[position] ?? ""}`,
      ...rows.map((_, i) => numbers[i]?.[position] ?? Number.NaN),
    ],
  };
}

/** The values of a run that have a vector of the stream's width for each token. */
export const vectorNames = (values: TraceInfo["values"]): string[] =>
  values.filter(({ name, shape }) => dimensionsOf(name, shape).at(-1) === "dModel").map(({ name }) => name);

/** The same value of another layer: `blocks.2.residMid` of layer 5 is `blocks.5.residMid`. */
export const ofLayer = (name: string, layer: number): string => name.replace(/blocks\.\d+\./, `blocks.${layer}.`);

export interface VectorStatistics {
  readonly min: number;
  readonly minAt: number;
  readonly max: number;
  readonly maxAt: number;
  readonly mean: number;
  /** Of these numbers themselves, not an estimate for more. */
  readonly std: number;
  readonly norm: number;
  /** Dimensions by absolute value, the largest first. */
  readonly largest: readonly number[];
}

export function statisticsOf(vector: Float32Array, count: number): VectorStatistics {
  const order = Array.from(vector, (_, i) => i);
  const at = (i: number | undefined) => vector[i as number] as number;
  const size = norm(vector);
  const mean = vector.reduce((sum, x) => sum + x, 0) / vector.length;
  const std = Math.sqrt(vector.reduce((sum, x) => sum + (x - mean) ** 2, 0) / vector.length);
  const minAt = order.reduce((best, i) => (at(i) < at(best) ? i : best), 0);
  const maxAt = order.reduce((best, i) => (at(i) > at(best) ? i : best), 0);
  const largest = [...order].sort((i, j) => Math.abs(at(j)) - Math.abs(at(i)) || i - j).slice(0, count);
  return { min: at(minAt), minAt, max: at(maxAt), maxAt, mean, std, norm: size, largest };
}

/** How a vector is wrapped into a strip: a long one in equal lines of at most 64 where it divides into such. */
export function wrapped(length: number): { readonly rows: number; readonly cols: number } {
  let cols = Math.min(64, length);
  while (cols > 24 && length % cols !== 0) cols--;
  if (length % cols !== 0) cols = Math.min(64, length);
  return { rows: Math.ceil(length / cols), cols };
}
