/** Model folders on disk: config.json, weights, a tokenizer, and the record of a run that made them or an import. */

import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ModelInfo, Precision } from "../api/model";
import { EngineError } from "../errors";
import type { QuantizedTensor } from "../graph/node";
import { type Shape, sameShape } from "../graph/shape";
import { type DecoderConfig, decoderOf, type EncoderDecoderConfig, type ModelConfig } from "../nn/config";
import { countParameters, type ParamSpec, type Params, paramSpecs } from "../nn/params";
import type { StoredWeights } from "../runtime/weights";
import { loadPrefixedTokenizer, loadTokenizer, noTokenizer, type Tokenizer } from "../tokenizers";
import { readJson, readTensors } from "../weights";
import { BLOCK, blockBytes, LARGE_BLOCK } from "../weights/quantize";
import { openStored, readStored, type StoredTensor, type StoredTensors } from "../weights/stored";
import { decoderLabTranslate, translatorConfig } from "./decoderLab";
import { familyOf } from "./families";
import { checkpointNames, type Family, type FamilyNames } from "./family";
import { parityOf } from "./parity";

/** What training.json says of a run, as far as a list of models shows it. */
export type ModelRecord = Pick<
  ModelInfo,
  "name" | "preset" | "step" | "steps" | "loss" | "valLoss" | "device" | "createdAt"
>;

/** A model's configuration and where its weights lie; nothing of them is read. */
export interface ModelWeights {
  readonly family: Family;
  readonly cfg: DecoderConfig;
  readonly weights: StoredWeights;
}

export interface Model extends ModelWeights {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  /** Tokens that end a text. */
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

/** Of a model in training. */
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

/** Opens a model folder: every size is checked against the configuration, and no weights are read. */
export async function openModel(dir: string): Promise<Model> {
  const opened = await openWeights(dir);
  const { cfg } = opened;
  const tokenizer = await openTokenizer(dir, cfg);
  if (tokenizer.vocabSize > cfg.vocabSize) {
    throw new EngineError(
      "tokenizer",
      `The tokenizer of ${dir} has ${tokenizer.vocabSize} tokens and its model ${cfg.vocabSize}; they do not belong together, choose another model folder.`,
    );
  }
  const info = modelInfo(dir, await readRecord(dir), cfg, storageOf(opened), tokenizer);
  return { ...opened, info, tokenizer, eosIds: await readEosIds(dir, tokenizer) };
}

/** Whether a model folder is a checkpoint of a run, which may delete it while it is looked at. */
export const isCheckpoint = (dir: string): boolean => /[\\/]checkpoints[\\/]step-\d+[\\/]?$/.test(dir);

/** The same without its tokenizer. */
export async function openWeights(dir: string): Promise<ModelWeights> {
  const { family, cfg } = await readConfig(dir);
  const stored = await openStored(dir);
  return { family, cfg, weights: weightsOf(stored, checkpointNames(family, cfg, stored.keys(), dir), cfg) };
}

const weightsOf = (stored: StoredTensors, names: ReadonlyMap<string, string>, cfg: ModelConfig): StoredWeights =>
  new Map(
    paramSpecs(cfg).map((spec) => [spec.name, weightOf(stored, names.get(spec.name) as string, spec, decoderOf(cfg))]),
  );

/** A translator: an encoder-decoder with a tokenizer for each of its languages. */
export interface Translation {
  readonly info: ModelInfo;
  readonly family: FamilyNames;
  readonly cfg: EncoderDecoderConfig;
  readonly weights: StoredWeights;
  readonly source: Tokenizer;
  readonly target: Tokenizer;
}

/** Whether a folder's model is a translator, which `openModel` refuses. */
export async function isTranslation(dir: string): Promise<boolean> {
  return hasTranslatorType(await readJson(join(dir, "config.json")));
}

const hasTranslatorType = (json: unknown): boolean =>
  (json as { model_type?: unknown } | null)?.model_type === decoderLabTranslate.modelType;

/** Opens a translator's folder as `openModel` opens a decoder's. */
export async function openTranslation(dir: string): Promise<Translation> {
  const file = join(dir, "config.json");
  const family = decoderLabTranslate;
  const cfg = translatorConfig(await readJson(file), file);
  const stored = await openStored(dir);
  const weights = weightsOf(stored, checkpointNames(family, cfg, stored.keys(), dir), cfg);
  const [source, target] = [await loadTokenizer(dir), await loadPrefixedTokenizer(dir, TARGET)];
  for (const [tokenizer, { vocabSize }] of [
    [source, cfg.encoder],
    [target, cfg.decoder],
  ] as const) {
    if (tokenizer.vocabSize === vocabSize) continue;
    throw new EngineError(
      "tokenizer",
      `A tokenizer of ${dir} has ${tokenizer.vocabSize} tokens and its model ${vocabSize}; they do not belong together, choose another model folder.`,
    );
  }
  const info = modelInfo(dir, await readRecord(dir), cfg, storageOf({ family, weights }), source);
  return { info, family, cfg, weights, source, target };
}

/** What the files of a translator's second tokenizer begin with. */
export const TARGET = "target_";

export async function readConfig(dir: string): Promise<{ readonly family: Family; readonly cfg: DecoderConfig }> {
  const file = join(dir, "config.json");
  const json = await readJson(file);
  const family = familyOf(json, file);
  return { family, cfg: family.config(json, file) };
}

/** The same of any model that is trained here. */
export async function readTrainedConfig(
  dir: string,
): Promise<{ readonly family: FamilyNames; readonly cfg: ModelConfig }> {
  const file = join(dir, "config.json");
  return configOf(await readJson(file), file);
}

/** What a config.json describes: a decoder of any family, or a translator. */
export function configOf(json: unknown, file: string): { readonly family: FamilyNames; readonly cfg: ModelConfig } {
  if (hasTranslatorType(json)) return { family: decoderLabTranslate, cfg: translatorConfig(json, file) };
  const family = familyOf(json, file);
  return { family, cfg: family.config(json, file) };
}

/** A model's parameters in memory, to be trained. */
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

/** Refuses a model whose weights nothing can be derived through. */
export function requireUnquantized({ weights }: ModelWeights): void {
  for (const tensor of weights.values()) if ("bits" in tensor) throw quantizedSource(tensor);
}

const quantizedSource = ({ weight, bits }: QuantizedTensor) =>
  new EngineError(
    "weights",
    `${weight.file}: the tensor ${weight.name} is in ${bits} bits, which cannot be trained; train the model that it was made from.`,
  );

/** Some parameters out of one safetensors file, under other names. */
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

/** A parameter's tensor, or the two of a quantized matrix; shapes are checked. */
function weightOf(
  stored: StoredTensors,
  name: string,
  { shape, role }: ParamSpec,
  { weightLayout }: DecoderConfig,
): StoredTensor | QuantizedTensor {
  const weight = stored.get(name);
  if (!weight) throw new Error(`weightOf: ${name} was found before`);
  const scales = stored.get(`${name}.scales`);
  if (!scales) {
    requireShape(weight.file, name, weight.shape, shape);
    return weight;
  }
  // Quantized matrices are [out, in] whatever the layout; tables are so always.
  const [out, inner] = weightLayout === "inOut" && role !== "embedding" ? [shape[1], shape[0]] : shape;
  const block = scales.shape[1] === (inner as number) / LARGE_BLOCK ? LARGE_BLOCK : BLOCK;
  const blocks = (inner as number) / block;
  const bits = weight.shape[2] === blockBytes(8, block) ? 8 : 4;
  requireShape(weight.file, name, weight.shape, [out as number, blocks, blockBytes(bits, block)]);
  requireShape(scales.file, scales.name, scales.shape, [out as number, blocks]);
  return { weight, scales, bits };
}

function requireShape(file: string, name: string, shape: Shape, expected: Shape): void {
  if (sameShape(shape, expected)) return;
  throw new EngineError(
    "weights",
    `${file}: the tensor ${name} is [${shape.join(", ")}] and should be [${expected.join(", ")}]; choose another model folder.`,
  );
}

const missing = (file: string, name: string) =>
  new EngineError("weights", `${file}: the tensor ${name} is missing; choose another model folder.`);

function finite(values: Float32Array, file: string, name: string): Float32Array {
  if (values.every(Number.isFinite)) return values;
  throw new EngineError(
    "weights",
    `${file}: the tensor ${name} has values that are not numbers; go back to an earlier checkpoint, or take the model from its source again.`,
  );
}

const bytesOf = (tensor: StoredTensor | QuantizedTensor): number =>
  "bits" in tensor ? tensor.weight.length + tensor.scales.length : tensor.length;

/** That of the matrices: norms and biases stay as they are when a model is quantized. */
function precisionOf(weights: StoredWeights): Precision {
  const tensors = [...weights.values()];
  const quantized = tensors.find((tensor) => "bits" in tensor);
  if (quantized && "bits" in quantized) return quantized.bits === 8 ? "8-bit" : "4-bit";
  const dtypes = new Set(tensors.map((tensor) => ("bits" in tensor ? "" : tensor.dtype)));
  return dtypes.has("F32") ? "float32" : dtypes.has("BF16") ? "bfloat16" : "float16";
}

/** A folder may have no tokenizer: its model then takes and gives ids. */
async function openTokenizer(dir: string, cfg: DecoderConfig): Promise<Tokenizer> {
  const there = await Promise.all(
    ["tokenizer.json", "vocab.json"].map((name) => stat(join(dir, name)).catch(() => null)),
  );
  return there.some((file) => file) ? loadTokenizer(dir) : noTokenizer(dir, cfg.vocabSize);
}

/** What ends a text: a model may have several such tokens, and only generation_config.json may say so. */
async function readEosIds(dir: string, { eosId }: Tokenizer): Promise<readonly number[]> {
  const files = await Promise.all(["config.json", "generation_config.json"].map((name) => readObject(join(dir, name))));
  const ids = [eosId, ...files.flatMap(({ eos_token_id: id }) => id)];
  return [...new Set(ids)].filter((id): id is number => Number.isInteger(id));
}

/** The record of a folder; a model may come without one, or with one in which anything is missing. */
async function readRecord(dir: string): Promise<ModelRecord> {
  const [run, source] = [await readObject(join(dir, "training.json")), await readObject(join(dir, "source.json"))];
  const made = await stat(join(dir, "config.json")).catch(() => null);
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
    createdAt: text(run.createdAt) ?? text(source.date) ?? (made?.mtime ?? new Date(0)).toISOString(),
  };
}

async function readObject(file: string): Promise<Readonly<Record<string, unknown>>> {
  const there = await stat(file).catch(() => null);
  const json = there ? await readJson(file) : {};
  return (typeof json === "object" && json !== null ? json : {}) as Readonly<Record<string, unknown>>;
}
