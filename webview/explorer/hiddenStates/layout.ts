/** The residual stream as a map, layers upward and positions to the right, and the statistics of one vector. */

import type { TraceInfo } from "../../../src/protocol/engineApi";
import type { TableData } from "../../charts/csv";
import { norm, rowOf } from "../../trace/embedding/layout";
import { dimensionsOf, ENCODER } from "../../trace/layers/layout";

/** The quantity in the cells of the map. */
export type Quantity = "norm" | "attention" | "cross" | "mlp" | "cosine";

/** The last part of the name of the value whose norm is shown. */
const ADDED: Readonly<Record<string, string>> = { attention: "attnOut", cross: "crossOut", mlp: "mlpOut" };

/** A row of the map: one number per position, computed from one or two values of the trace. */
export interface MapRow {
  readonly layer: number;
  /** Such as `1 post` or `embed`. */
  readonly label: string;
  /** The value of a norm, or the values before and after the layer of a cosine. */
  readonly names: readonly [string] | readonly [string, string];
  /** The norms that every trace includes; null if they are computed from the values. */
  readonly known: Float32Array | null;
}

type Traced = Pick<TraceInfo, "values" | "tokens" | "residualNorms" | "source">;

/** The quantities that a trace has, in its encoder or its decoder. */
export function quantities({ values }: Traced, isEncoder: boolean): Quantity[] {
  const names = new Set(values.map(({ name }) => name));
  const prefix = isEncoder ? ENCODER : "";
  const all: Quantity[] = ["norm", "attention", "cross", "mlp", "cosine"];
  return all.filter((each) => !ADDED[each] || names.has(`${prefix}blocks.0.${ADDED[each]}`));
}

/** Rows from the first layer to the last. */
export function mapRows(trace: Traced, quantity: Quantity, isEncoder: boolean): MapRow[] {
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

/** The L2 norm of each row of a matrix with `cols` columns. */
export const normsOf = (values: Float32Array, cols: number): Float32Array =>
  Float32Array.from({ length: values.length / cols }, (_, row) => norm(rowOf(values, cols, row)));

/** The cosine between corresponding rows of two matrices; NaN if one is zero. */
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

/** The formula of a cell in terms of the trace's values. */
export function formulaOf({ names: [of, after] }: MapRow, position: number): string {
  return after ? `cos(${of}[0, ${position}], ${after}[0, ${position}])` : `‖${of}[0, ${position}]‖`;
}

/** A table with one row per position and one column per row of the map. */
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

/** The values of a trace that have a vector of dModel numbers per token. */
export const vectorNames = (values: TraceInfo["values"]): string[] =>
  values.filter(({ name, shape }) => dimensionsOf(name, shape).at(-1) === "dModel").map(({ name }) => name);

/** The same value in another layer: `blocks.5.residMid` for `blocks.2.residMid` and layer 5. */
export const ofLayer = (name: string, layer: number): string => name.replace(/blocks\.\d+\./, `blocks.${layer}.`);

export interface VectorStatistics {
  readonly min: number;
  readonly minAt: number;
  readonly max: number;
  readonly maxAt: number;
  readonly mean: number;
  /** Population standard deviation. */
  readonly std: number;
  readonly norm: number;
  /** Dimensions by absolute value, largest first. */
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

/** The shape of a wrapped vector: equal lines of 24 to 64 numbers if its length allows, else lines of 64. */
export function wrapped(length: number): { readonly rows: number; readonly cols: number } {
  let cols = Math.min(64, length);
  while (cols > 24 && length % cols !== 0) cols--;
  if (length % cols !== 0) cols = Math.min(64, length);
  return { rows: Math.ceil(length / cols), cols };
}
