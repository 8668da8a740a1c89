/**
 * Exports a model: as a Hugging Face folder, as ONNX, or as a PyTorch project that continues its training.
 *
 *     hf      DIR/config.json  generation_config.json  tokenizer.json …  model.safetensors
 *     onnx    DIR/config.json  generation_config.json  tokenizer.json …  onnx/model.onnx  onnx/model.onnx_data
 *     torch   DIR/config.json  generation_config.json  tokenizer.json …  model.safetensors  train.py  …
 *
 * The folder is written under a temporary name and renamed, so a failed or canceled export leaves nothing behind.
 */

import { copyFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { ExportProgress } from "../api/model";
import type { TextSource } from "../api/run";
import { EngineError } from "../errors";
import { requireSpace } from "../hub/disk";
import { exportNames } from "../models/family";
import { completeConfig, type Model, openModel } from "../models/folder";
import { paramSpecs } from "../nn/params";
import { saveTokenizer } from "../tokenizers";
import { cooperate } from "../tokenizers/cooperate";
import { makeFolder, readJson, storageError, writeFileWhole } from "../weights";
import { type NewFolder, startFolder } from "../weights/newFolder";
import { writeWeights } from "./huggingFace";
import { inFamily, type KnownFamily, knownFamilyOf } from "./knownFamily";
import { MODELING_FILE, modelingSource } from "./modelingFile";
import { type OnnxPrecision, planOnnx } from "./onnxModel";
import { type Project, planProject, writeProject } from "./torch/project";
import { asFloats, bytesOf, type Outgoing } from "./values";

export interface ExportOptions {
  readonly format: "hf" | "onnx" | "torch";
  /** The folder to create; it must not exist or must be empty. */
  readonly out: string;
  /** Precision of the matrices in ONNX; the model's own by default. Other formats are always float32. */
  readonly precision?: OnnxPrecision | undefined;
  /** Text for a PyTorch project to fine-tune the model on, instead of resuming the model's training run. */
  readonly data?: TextSource | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: ExportProgress) => void) | undefined;
}

export async function exportModel(dir: string, options: ExportOptions): Promise<{ readonly dir: string }> {
  const { format, precision, signal } = options;
  const out = resolve(options.out);
  let folder: NewFolder | null = null;
  let project: Project | null = null;
  if (format !== "onnx" && precision !== undefined && precision !== "float32") {
    throw new EngineError(
      "config",
      "Only ONNX can be exported in int8 or int4. Omit the precision, or export as onnx.",
    );
  }
  if (format !== "torch" && options.data) {
    throw new EngineError("config", "Only PyTorch projects include data. Omit it, or export as torch.");
  }
  try {
    signal?.throwIfAborted();
    folder = await startFolder(options.out);
    const { work } = folder;
    project = format === "torch" ? await planProject(dir, options.data, signal) : null;
    const model = project?.model ?? (await openModel(dir));
    const known = model.family.modelType === "decoder_lab" && !project ? knownFamilyOf(model.cfg) : null;
    const job: Job = { dir: model.info.dir, work, out, model, known, options };
    if (project) await writeTorch(job, project);
    else {
      const extra = await (format === "hf"
        ? writeHuggingFace(job)
        : writeOnnxFolder(job, precision ?? precisionOf(model)));
      await writeConfig(job, extra);
      await copyTokenizer(job);
    }
    signal?.throwIfAborted();
    await folder.finish();
    return { dir: out };
  } catch (error) {
    await folder?.discard();
    signal?.throwIfAborted();
    throw storageError(error, out);
  } finally {
    project?.data.release();
  }
}

interface Job {
  readonly dir: string;
  /** The temporary and the final path of the folder. */
  readonly work: string;
  readonly out: string;
  readonly model: Model;
  /** The family that a model trained in Decoder Lab is written as. */
  readonly known: KnownFamily | null;
  readonly options: ExportOptions;
}

type Json = Readonly<Record<string, unknown>>;

async function writeHuggingFace(job: Job): Promise<Json> {
  const { work, model, known } = job;
  await writeFloats(job, known ? inFamily(model, known) : ownTensors(model));
  const isOurs = model.family.modelType === "decoder_lab" && !known;
  if (isOurs) await writeFileWhole(join(work, MODELING_FILE), modelingSource);
  return {};
}

async function writeTorch(job: Job, project: Project): Promise<void> {
  await writeFloats(job, ownTensors(job.model));
  await writeProject(job.work, project, job.options.signal);
}

async function writeFloats({ work, out, options }: Job, tensors: readonly Outgoing[]): Promise<void> {
  const totalBytes = tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  await requireSpace(dirname(out), totalBytes);
  const report = reporter(options, totalBytes);
  let written = 0;
  await writeWeights(work, tensors, (bytes) => {
    written += bytes;
    return report(written);
  });
}

function ownTensors({ family, cfg, weights }: Model): Outgoing[] {
  const names = exportNames(family, cfg);
  return paramSpecs(cfg).map((spec) => {
    const source = weights.get(spec.name);
    if (!source) throw new Error(`ownTensors: ${spec.name} is missing`);
    return asFloats(names.get(spec.name) as string, spec, source, cfg);
  });
}

/** The file name and dtype of each precision in transformers.js. */
const ONNX_FILES = {
  float32: { file: "model.onnx", dtype: "fp32" },
  int8: { file: "model_quantized.onnx", dtype: "q8" },
  int4: { file: "model_q4.onnx", dtype: "q4" },
} as const;

async function writeOnnxFolder({ work, out, model, known, options }: Job, precision: OnnxPrecision): Promise<Json> {
  const { family, cfg } = model;
  if (!cfg.causal) {
    throw new EngineError(
      "config",
      `${model.info.name} has no causal mask, which the cache of ONNX models needs. Export it as hf, or train it with model.causal=true.`,
    );
  }
  const { file, dtype } = ONNX_FILES[precision];
  const folder = join(work, "onnx");
  await makeFolder(folder);
  const plan = planOnnx(model, join(folder, file), {
    precision,
    names: exportNames(family, cfg),
    // OPT derives positions from the mask, so its exports have no input for them.
    positionIds: (known?.family ?? family).modelType !== "opt",
  });
  await requireSpace(dirname(out), plan.bytes);
  const { hasData } = await plan.write(reporter(options, plan.bytes));
  return { "transformers.js_config": { dtype, ...(hasData && { use_external_data_format: { [file]: 1 } }) } };
}

/** Returns a function that reports progress, yields to the event loop, and throws once the export is canceled. */
function reporter({ signal, onProgress }: ExportOptions, totalBytes: number) {
  const pause = cooperate(signal);
  return (bytes: number): Promise<void> | undefined => {
    onProgress?.({ bytes, totalBytes });
    return pause();
  };
}

const precisionOf = ({ info }: Model): OnnxPrecision =>
  info.precision === "8-bit" ? "int8" : info.precision === "4-bit" ? "int4" : "float32";

/** Writes config.json with the format's additions, and generation_config.json. */
async function writeConfig({ dir, work, model, known }: Job, extra: Json): Promise<void> {
  // The model was opened, so the file is an object.
  const { quantization_config: _, dtype: __, ...own } = (await readJson(join(dir, "config.json"))) as Json;
  const { bosId, eosId, padId } = model.tokenizer;
  const tokens = { bos_token_id: bosId, eos_token_id: eosId, pad_token_id: padId };
  // All three are written, even if null: without them, the family would use its own tokenizer's defaults.
  const config = known ? { ...known.config, ...tokens } : completeConfig(own, model);
  await writeJson(join(work, "config.json"), { ...config, torch_dtype: "float32", ...extra });
  const generation = join(dir, "generation_config.json");
  if (await isFile(generation)) await copyFile(generation, join(work, "generation_config.json"));
  else await writeJson(join(work, "generation_config.json"), pick({ ...tokens, ...own }, Object.keys(tokens)));
}

/** The fields that are not null. */
const pick = (from: Json, names: readonly string[]): Json =>
  Object.fromEntries(names.filter((name) => (from[name] ?? null) !== null).map((name) => [name, from[name]]));

const writeJson = (path: string, json: Json) => writeFileWhole(path, `${JSON.stringify(json, null, 2)}\n`);

const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "vocab.json",
  "merges.txt",
];

/** Copies a tokenizer's files; if tokenizer.json is missing, writes the equivalent one. */
async function copyTokenizer({ dir, work, model }: Job): Promise<void> {
  for (const name of TOKENIZER_FILES) {
    if (await isFile(join(dir, name))) await copyFile(join(dir, name), join(work, name));
  }
  const isConverted = (await isFile(join(dir, "vocab.json"))) && !(await isFile(join(dir, "tokenizer.json")));
  if (isConverted) await saveTokenizer(model.tokenizer, work);
}

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => null))?.isFile() ?? false;
