/** Which of a model's tensors are quantized on import, and where the result goes. */

import { copyFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { PerplexityCost } from "../api/model";
import { EngineError } from "../errors";
import { checkpointNames } from "../models/family";
import { openModel, readConfig } from "../models/folder";
import { SAMPLE_TEXT } from "../models/sample";
import { paramSpecs } from "../nn/params";
import { UNKNOWN } from "../tokenizers";
import { evaluateModel } from "../train/evaluate";
import { type Bits, type Choose, openStored, quantizeFolder, type StoredTensors, writeFileWhole } from "../weights";
import { QUANTIZATION_FILE } from "../weights/quantize";
import { CONFIG, isWeights } from "./files";
import { Meter, type OnProgress } from "./progress";

/** Refuses what cannot be quantized any more. */
export function requireWhole(config: unknown, label: string): void {
  if (typeof config === "object" && config !== null && "quantization_config" in config) {
    throw new EngineError(
      "weights",
      `${label} is quantized already; import it as it is, or the model it was made from.`,
    );
  }
}

/** Makes the quantized model out of the original, which is inside of its folder until then. */
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
  const onFraction = (fraction: number) => onBytes(fraction * total);
  const report = await quantizeFolder(original, work, bits, choose, { signal, onProgress: onFraction });
  end();
  const rest = (await readdir(original)).filter((name) => name !== CONFIG && !isWeights(name));
  for (const name of rest) await copyFile(join(original, name), join(work, name));
  const perplexity = await perplexityCost(original, work, signal, onProgress);
  if (perplexity) {
    await writeFileWhole(join(work, QUANTIZATION_FILE), `${JSON.stringify({ ...report, perplexity }, null, 2)}\n`);
  }
  await rm(original, { recursive: true });
}

/** How much worse the quantized model predicts a sample text; null where there is no tokenizer to read one with. */
async function perplexityCost(
  original: string,
  quantized: string,
  signal: AbortSignal,
  onProgress: OnProgress,
): Promise<PerplexityCost | null> {
  const { tokenizer } = await openModel(quantized);
  if (tokenizer.kind === "none" || tokenizer.spans(SAMPLE_TEXT).some(({ id }) => id === UNKNOWN)) return null;
  const source = { kind: "text", name: "the sample text", text: SAMPLE_TEXT } as const;
  const measured: number[] = [];
  let tokens = 0;
  for (const dir of [original, quantized]) {
    signal.throwIfAborted();
    onProgress({ phase: "measure", file: "", bytes: 0, totalBytes: 0, bytesPerSecond: 0, secondsLeft: null });
    const result = await evaluateModel(dir, source, "cpu", signal);
    measured.push(result.perplexity);
    tokens = result.tokens;
  }
  return { tokens, before: measured[0] as number, after: measured[1] as number };
}

/** Matrices and the token table are quantized; positions, norms and biases are small and stay. */
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
