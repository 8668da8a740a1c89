/** Vectors of the embeddings view, and the arithmetic on them. */

import type { TraceInfo } from "../../../src/protocol/engineApi";
import type { Inspection } from "../inspection";

/** A value with one vector per token before the first block, and the label of its row. */
export interface EmbeddingPart {
  readonly name: string;
  readonly label: string;
}

/** Token embedding, position embedding and their sum. Models without position vectors have the first only. */
export function embeddingParts({ has }: Pick<Inspection, "has">): EmbeddingPart[] {
  const parts = [
    { name: "embed", label: "token" },
    { name: "posEmbed", label: "+ position" },
    { name: "blocks.0.residPre", label: "= sum" },
  ].filter(({ name }) => has(name));
  return parts.length === 3 ? parts : parts.filter(({ name }) => name !== "blocks.0.residPre");
}

/** One row of a [rows, cols] matrix. */
export const rowOf = (values: Float32Array, cols: number, row: number): Float32Array =>
  values.subarray(row * cols, (row + 1) * cols);

/** Stacks vectors as the rows of a matrix. */
export function stack(rows: readonly Float32Array[]): Float32Array {
  const cols = rows[0]?.length ?? 0;
  const out = new Float32Array(rows.length * cols);
  rows.forEach((row, i) => void out.set(row, i * cols));
  return out;
}

export const norm = (vector: Float32Array): number => Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));

/** Names of the values whose vectors can be compared: the embeddings, then the residual stream after each sublayer. */
export const comparedNames = (values: TraceInfo["values"]): string[] =>
  values
    .map(({ name }) => name)
    .filter((name) =>
      /^(enc\.)?(embed|posEmbed|blocks\.0\.residPre|blocks\.\d+\.resid(Mid|Cross|Post)|lnFinal)$/.test(name),
    );

/** Milliseconds of computation before the page may draw. */
const SLICE = 12;

/**
 * Cosine similarity of all pairs of rows, [T, T]; NaN for rows of zeros. Computed in slices, so that the page stays
 * responsive; null once `isStale`.
 */
export async function cosineMatrix(
  values: Float32Array,
  D: number,
  isStale: () => boolean,
): Promise<Float32Array | null> {
  const T = values.length / D;
  const unit = new Float64Array(values.length);
  for (let row = 0; row < T; row++) {
    const length = norm(rowOf(values, D, row));
    for (let i = row * D; i < (row + 1) * D; i++) unit[i] = (values[i] as number) / length;
  }
  const cosines = new Float32Array(T * T);
  let started = performance.now();
  for (let a = 0; a < T; a++) {
    for (let b = 0; b <= a; b++) {
      let dot = 0;
      for (let i = a * D, j = b * D; i < (a + 1) * D; i++, j++) dot += (unit[i] as number) * (unit[j] as number);
      cosines[a * T + b] = dot;
      cosines[b * T + a] = dot;
    }
    if (performance.now() - started < SLICE) continue;
    await new Promise((resolve) => setTimeout(resolve));
    if (isStale()) return null;
    started = performance.now();
  }
  return cosines;
}
