/** Which of a model's tensors are quantised on import, and where the result goes. */

import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "../errors";
import { checkpointNames } from "../models/family";
import { readConfig } from "../models/folder";
import { paramSpecs } from "../nn/params";
import { type Bits, type Choose, openStored, quantizeFolder, type StoredTensors } from "../weights";
import { CONFIG, isWeights } from "./files";
import { Meter, type OnProgress } from "./progress";

/** Refuses what cannot be quantised any more. */
export function requireWhole(config: unknown, label: string): void {
  if (typeof config === "object" && config !== null && "quantization_config" in config) {
    throw new EngineError(
      "weights",
      `${label} is quantised already; import it as it is, or the model it was made from.`,
    );
  }
}

/** Makes the quantised model out of the original, which is inside of its folder until then. */
export async function quantizeInto(
  work: string,
  original: string,
  bits: Bits,
  signal: AbortSignal,
  onProgress: OnProgress,
): Promise<void> {
  const tensors = await openStored(original);
  const total = [...tensors.values()].reduce((sum, { length }) => sum + length, 0);
  const { onBytes, end } = new Meter("quantize", total, onProgress).file("model.safetensors", total);
  const choose = await matricesOf(original, tensors);
  await quantizeFolder(original, work, bits, choose, { signal, onProgress: (fraction) => onBytes(fraction * total) });
  end();
  const rest = (await readdir(original)).filter((name) => name !== CONFIG && !isWeights(name));
  for (const name of rest) await rename(join(original, name), join(work, name));
  await rm(original, { recursive: true });
}

/** Matrices and the token table are quantised; positions, norms and biases are small and stay. */
async function matricesOf(dir: string, tensors: StoredTensors): Promise<Choose> {
  const { family, cfg } = await readConfig(dir);
  const names = checkpointNames(family, cfg, tensors.keys(), dir);
  const specs = new Map(paramSpecs(cfg).map((spec) => [names.get(spec.name), spec]));
  return (stored) => {
    const spec = specs.get(stored);
    if (spec?.role === "embedding") return spec.name === "embed.tokens.weight";
    const isMatrix = spec?.role === "matrix" || spec?.role === "residualMatrix";
    return isMatrix && { transpose: cfg.weightLayout === "inOut" };
  };
}
