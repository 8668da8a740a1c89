/** Table of a matrix with a row per token. */

import type { TableData } from "../charts/csv";

export const matrixTable = (
  title: string,
  labels: readonly string[],
  { rows, cols, values }: { rows: number; cols: number; values: Float32Array },
): TableData => ({
  title,
  columns: ["token", ...Array.from({ length: cols }, (_, i) => String(i))],
  rows,
  row: (row) => [`${row} ${labels[row] ?? ""}`, ...values.subarray(row * cols, (row + 1) * cols)],
});
