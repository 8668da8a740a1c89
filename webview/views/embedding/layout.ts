/** Which vectors the embedding pictures show, without drawing them. */

import type { Inspection } from "../../inspection";

/** A vector per token that is there before the first block, with how its row is called. */
export interface EmbeddingPart {
  readonly name: string;
  readonly label: string;
}

/**
 * The vectors that meet before the first block: what the token means, where it stands, and their sum. A model may have
 * no position vectors (rotary positions); then there is nothing to add.
 */
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

/** Rows put under each other. */
export function stack(rows: readonly Float32Array[]): Float32Array {
  const cols = rows[0]?.length ?? 0;
  const out = new Float32Array(rows.length * cols);
  rows.forEach((row, i) => void out.set(row, i * cols));
  return out;
}

export const norm = (vector: Float32Array): number => Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
