/** The tiny checkpoints in test/golden/architectures with reference values from PyTorch (see the README there). */

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect } from "vitest";
import type { Device } from "../../src/engine/api/model";
import { Decoding } from "../../src/engine/generate/decoding";
import { generate, generateBatch, TokenCache } from "../../src/engine/generate/generate";
import { GREEDY } from "../../src/engine/generate/sampling";
import type { TraceValue } from "../../src/engine/inspect/trace";
import { Tracer } from "../../src/engine/inspect/tracer";
import { openModel } from "../../src/engine/models/folder";
import type { DecoderConfig } from "../../src/engine/nn/config";
import { type DeviceWeights, mapWeights } from "../../src/engine/runtime/weights";
import { readHeader } from "../../src/engine/weights";

export const ARCHITECTURES = resolve(import.meta.dirname, "../golden/architectures");

/** Reference checkpoints by family. A new family needs a line here. */
export const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  gpt2: ["gpt2", "gpt2-prefixed"],
  gpt_bigcode: ["gpt_bigcode", "gpt_bigcode-multi-head"],
  opt: ["opt", "opt-post-norm", "opt-galactica"],
  gpt_neo: ["gpt_neo"],
  gpt_neox: ["gpt_neox", "gpt_neox-sequential"],
  llama: [
    "llama",
    "llama-biased",
    "llama-linear",
    "llama-dynamic",
    "llama-yarn",
    "llama-longrope-short",
    "llama-longrope-long",
    "llama-llama3",
  ],
  mistral: ["mistral"],
  qwen2: ["qwen2"],
  qwen3: ["qwen3"],
  gemma: ["gemma"],
  gemma2: ["gemma2", "gemma2-uncapped"],
  gemma3_text: ["gemma3_text"],
  gemma3: ["gemma3"],
  phi: ["phi", "phi-qk-layernorm"],
  phi3: ["phi3", "phi3-longrope"],
  olmo2: ["olmo2"],
  olmo3: ["olmo3", "olmo3-unscaled"],
  smollm3: ["smollm3"],
  granite: ["granite", "granite-biased"],
  granitemoehybrid: ["granitemoehybrid", "granitemoehybrid-nope"],
  starcoder2: ["starcoder2"],
};

/** A checkpoint on a device. */
export interface Opened {
  readonly dir: string;
  readonly cfg: DecoderConfig;
  readonly weights: DeviceWeights;
}

export async function openVariant(name: string, device: Device): Promise<Opened> {
  const dir = join(ARCHITECTURES, name);
  const { cfg, weights } = await openModel(dir);
  return { dir, cfg, weights: await mapWeights(cfg, weights, device) };
}

/**
 * Expects a padded batch to have exactly the values of the reference. Returns the largest difference.
 */
export async function expectReferenceTrace({ dir, cfg, weights }: Opened, tolerance: number): Promise<number> {
  const reference = await readReference(join(dir, "reference.safetensors"));
  const [ids, mask] = [reference.get("ids"), reference.get("mask")] as [TraceValue, TraceValue];
  const T = ids.shape[1] as number;
  const rows = Array.from({ length: ids.shape[0] as number }, (_, b) =>
    [...ids.data.subarray(b * T, (b + 1) * T)].filter((_, t) => mask.data[b * T + t] === 1),
  );

  const tracer = new Tracer(cfg, weights);
  const trace = await tracer.trace(rows);
  await tracer.release();
  expect([...trace.keys()].sort()).toEqual([...reference.keys()].sort());
  const lengths = rows.map((row) => row.length);
  let largest = 0;
  for (const [name, expected] of reference) {
    const actual = trace.get(name) as TraceValue;
    expect(actual.shape, name).toEqual(expected.shape);
    const difference = largestDifferenceWhere(actual, expected, name, lengths);
    expect(difference, name).toBeLessThan(tolerance);
    largest = Math.max(largest, difference);
  }
  return largest;
}

/** The largest difference at positions without padding. */
function largestDifferenceWhere(
  actual: TraceValue,
  { data, shape }: TraceValue,
  name: string,
  lengths: readonly number[],
) {
  // [B, T, …], [B, H, T, K], [B, H, T, T]
  const heads = name.includes(".attn.") ? (shape[1] as number) : 1;
  const [T, width] = name.includes(".attn.")
    ? [shape[2] as number, shape[3] as number]
    : [shape[1] as number, shape[2] ?? 1];
  // Scores of padded keys are ignored.
  const hasKeys = name.endsWith(".attn.scores");
  let largest = 0;
  for (let i = 0; i < data.length; i++) {
    const row = Math.floor(i / width);
    const length = lengths[Math.floor(row / (T * heads))] as number;
    if (row % T >= length || (hasKeys && i % width >= length)) continue;
    // Math.max propagates NaN, which then fails.
    largest = Math.max(largest, Math.abs((actual.data[i] ?? Number.NaN) - (data[i] as number)));
  }
  return largest;
}

export async function readReference(path: string): Promise<Map<string, TraceValue>> {
  const file = readFileSync(path);
  const { tensors } = await readHeader(path);
  return new Map(
    [...tensors].map(([name, { dtype, shape, start, end }]) => {
      const bytes = file.buffer.slice(file.byteOffset + start, file.byteOffset + end);
      return [
        name,
        { shape, data: dtype === "I32" ? Float32Array.from(new Int32Array(bytes)) : new Float32Array(bytes) },
      ];
    }),
  );
}

interface Greedy {
  readonly prompts: readonly (readonly number[])[];
  readonly ids: readonly (readonly number[])[];
}

/** Expects greedy decoding to match, prompt by prompt with one cache, and for all prompts as a batch. */
export async function expectReferenceGreedy({ dir, cfg, weights }: Opened): Promise<void> {
  const { prompts, ids }: Greedy = JSON.parse(readFileSync(join(dir, "greedy.json"), "utf8"));
  const one = new Decoding(cfg, weights);
  const cache = new TokenCache(one);
  for (const [i, prompt] of prompts.entries()) {
    expect(await greedyIds(cache, prompt, (ids[i] as number[]).length), `prompt ${i}`).toEqual(ids[i]);
  }
  await one.release();
  const together = new Decoding(cfg, weights, prompts.length);
  const options = { ...GREEDY, seed: 1, maxNewTokens: (ids[0] as number[]).length, eosIds: [] };
  expect(await generateBatch(together, prompts, options), "as a batch").toEqual(ids);
  await together.release();
}

export async function greedyIds(cache: TokenCache, prompt: readonly number[], count: number): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of generate(cache, prompt, { ...GREEDY, seed: 1, maxNewTokens: count, eosIds: [] }))
    ids.push(id);
  return ids;
}
