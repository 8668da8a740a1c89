/** Model folders on disk: config.json, model.safetensors, tokenizer.json and the run's record. */

import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { EngineError } from "../errors";
import { sameShape } from "../graph/shape";
import type { DecoderConfig } from "../nn/config";
import { countParameters, type Params, paramSpecs } from "../nn/params";
import type { Device } from "../runtime/session";
import { loadTokenizer, type Tokenizer, type TokenizerKind } from "../tokenizers";
import { readHeader, readJson, readTensors } from "../weights";
import { parseConfigJson } from "./config";

export interface ModelInfo {
  readonly dir: string;
  readonly name: string;
  readonly preset: string;
  readonly parameters: number;
  readonly config: DecoderConfig;
  readonly step: number;
  readonly steps: number;
  readonly loss: number | null;
  readonly valLoss: number | null;
  readonly device: Device;
  readonly tokenizer: TokenizerKind;
  readonly createdAt: string;
}

/** What training.json says of a run, as far as a list of models shows it. */
export type ModelRecord = Pick<
  ModelInfo,
  "name" | "preset" | "step" | "steps" | "loss" | "valLoss" | "device" | "createdAt"
>;

export const modelInfo = (
  dir: string,
  record: ModelRecord,
  config: DecoderConfig,
  tokenizer: Tokenizer,
): ModelInfo => ({
  dir,
  name: record.name,
  preset: record.preset,
  parameters: countParameters(config),
  config,
  step: record.step,
  steps: record.steps,
  loss: record.loss,
  valLoss: record.valLoss,
  device: record.device,
  tokenizer: tokenizer.kind,
  createdAt: record.createdAt,
});

export interface Model {
  readonly info: ModelInfo;
  readonly cfg: DecoderConfig;
  readonly tokenizer: Tokenizer;
  readonly params: Params;
}

/** Reads a model folder: every size is checked against the configuration before the weights are taken in. */
export async function openModel(dir: string): Promise<Model> {
  const cfg = await readConfig(dir);
  const [tokenizer, record] = [await loadTokenizer(dir), await readRecord(dir)];
  if (tokenizer.vocabSize > cfg.vocabSize) {
    throw new EngineError(
      "tokenizer",
      `${join(dir, "tokenizer.json")} has ${tokenizer.vocabSize} tokens and the model ${cfg.vocabSize}; they do not belong together, choose another model folder.`,
    );
  }
  const params = await readModelParams(dir, cfg);
  return { info: modelInfo(dir, record, cfg, tokenizer), cfg, tokenizer, params };
}

export async function readConfig(dir: string): Promise<DecoderConfig> {
  const file = join(dir, "config.json");
  return parseConfigJson(await readJson(file), file);
}

/** A model's own parameters: there may be no others in its file, or the configuration is of another model. */
async function readModelParams(dir: string, cfg: DecoderConfig): Promise<Map<string, Float32Array>> {
  const file = join(dir, "model.safetensors");
  const { tensors } = await readHeader(file);
  const known = new Set(paramSpecs(cfg).map(({ name }) => name));
  const other = [...tensors.keys()].find((name) => !known.has(name));
  if (other !== undefined) {
    throw new EngineError(
      "weights",
      `${file} has the tensor ${JSON.stringify(other)}, which config.json knows nothing of; they do not belong together, choose another model folder.`,
    );
  }
  return readParams(file, cfg);
}

/** The parameters of a configuration out of a safetensors file, with their names and shapes checked. */
export async function readParams(file: string, cfg: DecoderConfig, prefix = ""): Promise<Map<string, Float32Array>> {
  const tensors = await readTensors(file);
  const params = new Map<string, Float32Array>();
  for (const { name, shape } of paramSpecs(cfg)) {
    const tensor = tensors.get(prefix + name);
    const problem = !tensor
      ? "is missing"
      : sameShape(tensor.shape, shape)
        ? undefined
        : `is [${tensor.shape.join(", ")}] and should be [${shape.join(", ")}]`;
    if (problem || !tensor) {
      throw new EngineError("weights", `${file}: the tensor ${prefix}${name} ${problem}; choose another model folder.`);
    }
    if (!tensor.data.every(Number.isFinite)) {
      throw new EngineError(
        "weights",
        `${file}: the tensor ${prefix}${name} has values that are not numbers; go back to an earlier checkpoint, or train the model again.`,
      );
    }
    params.set(name, tensor.data);
  }
  return params;
}

/** The record of a folder; a model may come without one, or with one in which anything is missing. */
async function readRecord(dir: string): Promise<ModelRecord> {
  const file = join(dir, "training.json");
  const there = await stat(file).catch(() => null);
  const json = there ? await readJson(file) : {};
  const given = (typeof json === "object" && json !== null ? json : {}) as Readonly<Record<string, unknown>>;
  const text = (value: unknown, otherwise: string) => (typeof value === "string" ? value : otherwise);
  const count = (value: unknown) => (typeof value === "number" && value >= 0 ? value : 0);
  const loss = (value: unknown) => (typeof value === "number" ? value : null);
  return {
    name: text(given.name, basename(dir)),
    preset: text(given.preset, "unknown"),
    step: count(given.step),
    steps: count(given.steps),
    loss: loss(given.loss),
    valLoss: loss(given.valLoss),
    device: given.device === "webgpu" ? "webgpu" : "cpu",
    createdAt: text(given.createdAt, (there?.mtime ?? new Date(0)).toISOString()),
  };
}
