/** Checkpoints with other names and tensors than their model's, made from the reference checkpoints. */

import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openStored, readStored, writeSafetensors } from "../../src/engine/weights";
import { ARCHITECTURES } from "./architectures";
import { temporaryFolder } from "./storedTensors";

export interface FloatTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export type FloatTensors = Map<string, FloatTensor>;

/** Copies a reference checkpoint into a new folder with changed tensors and fields of config.json. */
export async function changedCheckpoint(
  variant: string,
  change: (tensors: FloatTensors) => FloatTensors | undefined,
  config: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const [from, dir] = [join(ARCHITECTURES, variant), temporaryFolder()];
  await cp(from, dir, { recursive: true });
  const tensors: FloatTensors = new Map();
  for (const [name, tensor] of await openStored(from)) {
    // Masks are integers.
    if (tensor.dtype.includes("F")) tensors.set(name, { shape: tensor.shape, data: await readStored(tensor) });
  }
  const changed = change(tensors) ?? tensors;
  await writeSafetensors(
    join(dir, "model.safetensors"),
    new Map([...changed].map(([name, tensor]) => [name, { ...tensor, dtype: "F32" as const }])),
  );
  const json = JSON.parse(await readFile(join(from, "config.json"), "utf8"));
  // JSON.stringify leaves undefined fields out.
  await writeFile(join(dir, "config.json"), JSON.stringify({ ...json, ...config }));
  return dir;
}

/** Renames every tensor. */
export const renamed =
  (rename: (name: string) => string) =>
  (tensors: FloatTensors): FloatTensors =>
    new Map([...tensors].map(([name, tensor]) => [rename(name), tensor]));

/** Values that differ from those of a tensor. */
export const shifted = ({ shape, data }: FloatTensor): FloatTensor => ({
  shape,
  data: data.map((x, i) => 0.01 * i - x),
});

export const ones = (...shape: number[]): FloatTensor => ({
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1),
});
