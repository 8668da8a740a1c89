/** Quantizes a model on import. */

import { copyFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { PerplexityCost } from "../api/model";
import { EngineError } from "../errors";
import { checkpointTensors } from "../models/checkpointTensors";
import { openModel, readConfig } from "../models/folder";
import { SAMPLE_TEXT } from "../models/sample";
import { paramSpecs } from "../nn/params";
import { UNKNOWN } from "../tokenizers";
import { evaluateModel } from "../train/evaluate";
import { type Bits, type Choose, openStored, quantizeFolder, type StoredTensors, writeFileWhole } from "../weights";
import { QUANTIZATION_FILE } from "../weights/quantize";
import { isObject } from "../weights/reading";
import { CONFIG, isWeights } from "./files";
import { Meter, type OnProgress } from "./progress";

/** Rejects a model that is already quantized. */
export function requireUnquantizedConfig(config: unknown, label: string): void {
  if (!isObject(config) || !("quantization_config" in config)) return;
  throw new EngineError(
    "weights",
    `${label} is already quantized. Import it without quantization, or import the unquantized model.`,
  );
}

/** Quantizes the model in `original`, a subfolder of `work`, into `work`, and deletes `original`. */
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

/** Perplexity of both models on a sample text. Null if the tokenizer is missing or does not know all of its characters. */
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

/** Selects matrices and the token embedding. Positions, norms and biases are small and stay unquantized. */
async function matricesOf(dir: string, tensors: StoredTensors): Promise<Choose> {
  const config = await readConfig(dir);
  const { cfg, names } = await checkpointTensors(config.family, config.cfg, tensors, dir);
  const specs = new Map(paramSpecs(cfg).map((spec) => [names.get(spec.name), spec]));
  return (stored) => {
    const spec = specs.get(stored);
    if (spec?.role === "embedding") return spec.name !== "embed.positions.weight";
    const isMatrix = spec?.role === "matrix" || spec?.role === "residualMatrix";
    return isMatrix && { transpose: cfg.weightLayout === "inOut" };
  };
}
