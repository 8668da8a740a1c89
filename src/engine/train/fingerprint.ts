/** Identifies a model's weights without reading them completely. */

import { createHash } from "node:crypto";
import type { ModelWeights } from "../models/folder";
import { readStoredBytes } from "../weights";

const SAMPLED_BYTES = 4096;

/** Hash of the name, type, shape and first bytes of every tensor. */
export async function fingerprintOf({ weights }: Pick<ModelWeights, "weights">): Promise<string> {
  const hash = createHash("sha256");
  for (const [name, found] of weights) {
    const tensor = "bits" in found ? found.weight : found;
    hash.update(`${name} ${tensor.dtype} ${tensor.shape}`);
    hash.update(await readStoredBytes(tensor, 0, Math.min(SAMPLED_BYTES, tensor.length)));
  }
  return hash.digest("hex");
}
