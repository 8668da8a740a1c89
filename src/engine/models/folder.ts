/** Model folders on disk: config.json, weights, a tokenizer, and the record of the training run or the import. */

import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { quoted } from "../../text/untrusted";
import type { ModelInfo, Precision } from "../api/model";
import { EngineError } from "../errors";
import type { QuantizedTensor } from "../graph/node";
import { type Shape, sameShape } from "../graph/shape";
import {
  type DecoderConfig,
  decoderOf,
  type EncoderDecoderConfig,
  isEncoderDecoder,
  type ModelConfig,
} from "../nn/config";
import { countParameters, type ParamSpec, type Params, paramSpecs } from "../nn/params";
import type { StoredWeights } from "../runtime/weights";
import { loadPrefixedTokenizer, loadTokenizer, noTokenizer, type Tokenizer } from "../tokenizers";
import { codeOf, readJson, readTensors } from "../weights";
import { blockBytes, minsOf, scalesOf, storedLayout } from "../weights/quantize";
import { isObject } from "../weights/reading";
import { openStored, readStored, requireWeights, type StoredTensor, type StoredTensors } from "../weights/stored";
import { type CheckpointTensors, checkpointTensors } from "./checkpointTensors";
import { decoderLab, decoderLabTranslate, translatorConfig } from "./decoderLab";
import { familyOf } from "./families";
import type { Family, FamilyNames } from "./family";
import { parityOf } from "./parity";

/** The fields of training.json that a list of models shows. */
export type ModelRecord = Pick<
  ModelInfo,
  "name" | "preset" | "step" | "steps" | "loss" | "valLoss" | "device" | "createdAt" | "notes"
>;

/** The configuration of a model and the locations of its weights. */
export interface ModelWeights {
  readonly family: Family;
  readonly cfg: DecoderConfig;
  readonly weights: StoredWeights;
  /** How the checkpoint differs from what config.json describes: see `ModelInfo`. */
  readonly notes: readonly string[];
}

export interface Model extends ModelWeights {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  /** Tokens that end generation. */
  readonly eosIds: readonly number[];
}

/** How a model's weights are stored. */
export type Storage = Pick<ModelInfo, "family" | "bytes" | "precision">;

export const modelInfo = (
  dir: string,
  record: ModelRecord,
  config: ModelConfig,
  storage: Storage,
  tokenizer: Tokenizer,
): ModelInfo => ({
  ...record,
  ...storage,
  dir,
  parameters: countParameters(config),
  config: decoderOf(config),
  tokenizer: tokenizer.kind,
  parity: parityOf(storage.family, ["8-bit", "4-bit"].includes(storage.precision)),
});

/** Storage of a model in training. */
export const trainedStorage = (family: FamilyNames, config: ModelConfig): Storage => ({
  family: family.modelType,
  bytes: 4 * countParameters(config),
  precision: "float32",
});

const storageOf = ({ family, weights }: Pick<Translation, "family" | "weights">): Storage => ({
  family: family.modelType,
  bytes: [...weights.values()].reduce((sum, tensor) => sum + bytesOf(tensor), 0),
  precision: precisionOf(weights),
});

/** Opens a model folder and checks every shape against the configuration. Does not read weights. */
export async function openModel(dir: string): Promise<Model> {
  const opened = await openWeights(dir);
  const { cfg } = opened;
  const tokenizer = await openTokenizer(dir, cfg);
  const record = withNotes(await readRecord(dir), [...opened.notes, ...tokenizerNotes(tokenizer, cfg)]);
  const info = modelInfo(dir, record, cfg, storageOf(opened), tokenizer);
  return { ...opened, info, tokenizer, eosIds: await readEosIds(dir, tokenizer) };
}

/** A tokenizer may have more tokens than the model. Only using one of them is an error. */
const tokenizerNotes = (tokenizer: Tokenizer, { vocabSize }: DecoderConfig): string[] =>
  tokenizer.vocabSize > vocabSize
    ? [`The tokenizer has ${tokenizer.vocabSize} tokens, but the model only ${vocabSize}: ids from ${vocabSize} fail.`]
    : [];

/** The same for a folder whose tokenizer may be missing or damaged, which its own errors report. */
export const notesOnTokenizer = (dir: string, cfg: DecoderConfig): Promise<string[]> =>
  openTokenizer(dir, cfg).then(
    (tokenizer) => tokenizerNotes(tokenizer, cfg),
    () => [],
  );

/** Adds notes to those in the record of an import. */
const withNotes = (record: ModelRecord, notes: readonly string[]): ModelRecord => {
  const all = [...(record.notes ?? []), ...notes];
  return all.length > 0 ? { ...record, notes: all } : record;
};

/** Returns true if a model folder is a checkpoint, which a training run may delete at any time. */
export const isCheckpoint = (dir: string): boolean => /[\\/]checkpoints[\\/]step-\d+[\\/]?$/.test(dir);

/** The same as `openModel`, without the tokenizer. */
export async function openWeights(dir: string): Promise<ModelWeights> {
  const { family, cfg, notes } = await readConfig(dir);
  const stored = await openStored(dir);
  const found = await checkpointTensors(family, cfg, stored, dir);
  return { family, cfg: found.cfg, weights: weightsOf(stored, found), notes: [...notes, ...found.notes] };
}

const weightsOf = (stored: StoredTensors, { cfg, names }: CheckpointTensors): StoredWeights =>
  new Map(
    paramSpecs(cfg).map((spec) => [spec.name, weightOf(stored, names.get(spec.name) as string, spec, decoderOf(cfg))]),
  );

/** A translator: an encoder-decoder with a tokenizer for each language. */
export interface Translation {
  readonly info: ModelInfo;
  readonly family: FamilyNames;
  readonly cfg: EncoderDecoderConfig;
  readonly weights: StoredWeights;
  readonly source: Tokenizer;
  readonly target: Tokenizer;
}

/** Returns true if a folder contains a translator, which `openModel` rejects. */
export async function isTranslation(dir: string): Promise<boolean> {
  return hasTranslatorType(await readJson(join(dir, "config.json")));
}

const hasTranslatorType = (json: unknown): boolean =>
  isObject(json) && json.model_type === decoderLabTranslate.modelType;

/** The same as `openModel`, for a translator. */
export async function openTranslation(dir: string): Promise<Translation> {
  const file = join(dir, "config.json");
  const family = decoderLabTranslate;
  const cfg = translatorConfig(await readJson(file), file);
  const stored = await openStored(dir);
  const found = await checkpointTensors(family, cfg, stored, dir);
  const weights = weightsOf(stored, found);
  const [source, target] = [await loadTokenizer(dir), await loadPrefixedTokenizer(dir, TARGET)];
  for (const [tokenizer, { vocabSize }] of [
    [source, cfg.encoder],
    [target, cfg.decoder],
  ] as const) {
    if (tokenizer.vocabSize === vocabSize) continue;
    throw new EngineError(
      "tokenizer",
      `A tokenizer in ${dir} has ${tokenizer.vocabSize} tokens, but the model's vocabulary has ${vocabSize}. Choose another model folder.`,
    );
  }
  const info = modelInfo(
    dir,
    withNotes(await readRecord(dir), found.notes),
    cfg,
    storageOf({ family, weights }),
    source,
  );
  return { info, family, cfg, weights, source, target };
}

/** File name prefix of a translator's target tokenizer. */
export const TARGET = "target_";

export interface ReadConfig {
  readonly family: Family;
  readonly cfg: DecoderConfig;
  readonly notes: readonly string[];
}

export async function readConfig(dir: string): Promise<ReadConfig> {
  const file = join(dir, "config.json");
  const json = await readJson(file);
  const family = familyOf(json, file);
  return { family, cfg: family.config(json, file), notes: configNotes(json, family) };
}

/** Notes on a config.json that is incomplete. */
export const configNotes = (json: unknown, { modelType, architecture }: FamilyNames): string[] =>
  isObject(json) && json.model_type === modelType
    ? []
    : [`config.json has no model_type, so ${quoted(modelType)} was chosen for its architecture (${architecture}).`];

/** Adds what a config.json lacks to describe an opened model. */
export function completeConfig(
  json: Readonly<Record<string, unknown>>,
  { family, cfg }: { readonly family: FamilyNames; readonly cfg: ModelConfig },
): Readonly<Record<string, unknown>> {
  const tie = family.modelType === decoderLab.modelType ? "tiedHead" : "tie_word_embeddings";
  const isUntied = !isEncoderDecoder(cfg) && !cfg.tiedHead;
  return { ...json, model_type: family.modelType, ...(isUntied && { [tie]: false }) };
}

/** The same for any model trained by Decoder Lab, translators included. */
export async function readTrainedConfig(
  dir: string,
): Promise<{ readonly family: FamilyNames; readonly cfg: ModelConfig }> {
  const file = join(dir, "config.json");
  return configOf(await readJson(file), file);
}

/** Parses the config.json of a decoder of any family, or of a translator. */
export function configOf(json: unknown, file: string): { readonly family: FamilyNames; readonly cfg: ModelConfig } {
  if (hasTranslatorType(json)) return { family: decoderLabTranslate, cfg: translatorConfig(json, file) };
  const family = familyOf(json, file);
  return { family, cfg: family.config(json, file) };
}

/** Reads the parameters of a model into memory, for training. */
export async function readParams({
  cfg,
  weights,
}: Pick<Translation, "weights"> & { readonly cfg: ModelConfig }): Promise<Map<string, Float32Array>> {
  const params = new Map<string, Float32Array>();
  for (const { name } of paramSpecs(cfg)) {
    const tensor = weights.get(name) as StoredTensor | QuantizedTensor;
    if ("bits" in tensor) throw quantizedSource(tensor);
    params.set(name, finite(await readStored(tensor), tensor.file, tensor.name));
  }
  return params;
}

/** Rejects a quantized model, since gradients cannot flow through its weights. */
export function requireUnquantized({ weights }: ModelWeights): void {
  for (const tensor of weights.values()) if ("bits" in tensor) throw quantizedSource(tensor);
}

const quantizedSource = ({ weight, bits }: QuantizedTensor) =>
  new EngineError(
    "weights",
    `${weight.file}: the tensor ${weight.name} is quantized to ${bits} bits and cannot be trained. Train the unquantized model instead.`,
  );

/** Reads parameters from a safetensors file in which their names are `nameOf(name)`. */
export async function readParamsOf(
  file: string,
  specs: readonly ParamSpec[],
  nameOf: (name: string) => string,
): Promise<Params> {
  const tensors = await readTensors(file);
  return new Map(
    specs.map(({ name, shape }) => {
      const tensor = tensors.get(nameOf(name));
      if (!tensor) throw missing(file, nameOf(name));
      requireShape(file, nameOf(name), tensor.shape, shape);
      return [name, finite(tensor.data, file, nameOf(name))];
    }),
  );
}

/** The tensor of a parameter, or the two of a quantized matrix, with shapes checked. */
function weightOf(
  stored: StoredTensors,
  name: string,
  { shape, role }: ParamSpec,
  { weightLayout }: DecoderConfig,
): StoredTensor | QuantizedTensor {
  const weight = stored.get(name);
  if (!weight) throw new Error(`weightOf: ${name} is missing`);
  const scales = stored.get(scalesOf(name));
  if (!scales) {
    requireWeights(weight);
    requireShape(weight.file, name, weight.shape, shape);
    return weight;
  }
  // Quantized matrices are [out, in] in any layout; embeddings always are.
  const [a, b] = shape as readonly [number, number];
  const [out, inner] = weightLayout === "inOut" && role !== "embedding" ? [b, a] : [a, b];
  const { bits, block } = storedLayout(weight.shape, scales.shape, a * b);
  requireShape(weight.file, name, weight.shape, [out, inner / block, blockBytes(bits, block)]);
  requireShape(scales.file, scales.name, scales.shape, [out, inner / block]);
  const mins = stored.get(minsOf(name));
  if (mins) requireShape(mins.file, mins.name, mins.shape, [out, inner / block]);
  return { weight, scales, bits, ...(mins && { mins }) };
}

function requireShape(file: string, name: string, shape: Shape, expected: Shape): void {
  if (sameShape(shape, expected)) return;
  throw new EngineError(
    "weights",
    `${file}: the tensor ${name} has shape [${shape.join(", ")}] but should have [${expected.join(", ")}]. Choose another model folder.`,
  );
}

const missing = (file: string, name: string) =>
  new EngineError("weights", `${file}: the tensor ${name} is missing. Choose another model folder.`);

function finite(values: Float32Array, file: string, name: string): Float32Array {
  if (values.every(Number.isFinite)) return values;
  throw new EngineError(
    "weights",
    `${file}: the tensor ${name} contains NaN or infinite values. Use an earlier checkpoint or download the model again.`,
  );
}

export const bytesOf = (tensor: StoredTensor | QuantizedTensor): number =>
  "bits" in tensor ? tensor.weight.length + tensor.scales.length + (tensor.mins?.length ?? 0) : tensor.length;

/** Precision of the matrices, of most of them if it varies. Quantization leaves norms and biases unchanged. */
function precisionOf(weights: StoredWeights): Precision {
  const tensors = [...weights.values()];
  const bytesIn = (bits: number) =>
    tensors.reduce((sum, tensor) => ("bits" in tensor && tensor.bits === bits ? sum + tensor.weight.length : sum), 0);
  const [in8, in4] = [bytesIn(8), bytesIn(4)];
  // A byte contains two values of 4 bits.
  if (in8 + in4 > 0) return 2 * in4 > in8 ? "4-bit" : "8-bit";
  const dtypes = new Set(tensors.map((tensor) => ("bits" in tensor ? "" : tensor.dtype)));
  return dtypes.has("F32") || dtypes.has("F64") ? "float32" : dtypes.has("BF16") ? "bfloat16" : "float16";
}

/** Opens the tokenizer. A folder without one has a model that reads and writes token ids. */
async function openTokenizer(dir: string, cfg: DecoderConfig): Promise<Tokenizer> {
  const files = await Promise.all(
    // Anything but a missing file is reported when the tokenizer is loaded.
    ["tokenizer.json", "vocab.json"].map((name) => stat(join(dir, name)).catch((error) => codeOf(error) !== "ENOENT")),
  );
  return files.some((file) => file) ? loadTokenizer(dir) : noTokenizer(dir, cfg.vocabSize);
}

/** Tokens that end generation. A model may have several. Where generation_config.json exists, it replaces config.json. */
async function readEosIds(dir: string, { eosId }: Tokenizer): Promise<readonly number[]> {
  const generation = await stat(join(dir, "generation_config.json")).catch(() => null);
  const { eos_token_id: named } = await readObject(join(dir, generation ? "generation_config.json" : "config.json"));
  const ids = [eosId, ...[named].flat()];
  return [...new Set(ids)].filter((id): id is number => Number.isInteger(id));
}

/** Reads training.json or source.json. Both are optional, and so is every field. */
async function readRecord(dir: string): Promise<ModelRecord> {
  const [run, source] = [await readObject(join(dir, "training.json")), await readObject(join(dir, "source.json"))];
  const config = await stat(join(dir, "config.json")).catch(() => null);
  const text = (value: unknown) => (typeof value === "string" ? value : null);
  const count = (value: unknown) => (typeof value === "number" && value >= 0 ? value : 0);
  const loss = (value: unknown) => (typeof value === "number" ? value : null);
  return {
    name: text(run.name) ?? text(source.name) ?? text(source.id) ?? basename(dir),
    preset: text(run.preset),
    step: count(run.step),
    steps: count(run.steps),
    loss: loss(run.loss),
    valLoss: loss(run.valLoss),
    device: run.device === "webgpu" ? "webgpu" : "cpu",
    createdAt: text(run.createdAt) ?? text(source.date) ?? (config?.mtime ?? new Date(0)).toISOString(),
    ...notesIn(source),
  };
}

/** Notes of the import of a model folder. */
export async function importNotes(dir: string): Promise<readonly string[]> {
  return notesIn(await readObject(join(dir, "source.json"))).notes ?? [];
}

function notesIn({ notes }: Readonly<Record<string, unknown>>): Pick<ModelInfo, "notes"> {
  const sentences = Array.isArray(notes) ? notes.filter((note) => typeof note === "string").slice(0, MAX_NOTES) : [];
  return sentences.length > 0 ? { notes: sentences } : {};
}

const MAX_NOTES = 100;

async function readObject(file: string): Promise<Readonly<Record<string, unknown>>> {
  const exists = await stat(file).catch(() => null);
  const json = exists ? await readJson(file) : {};
  return isObject(json) ? json : {};
}
