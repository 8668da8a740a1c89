/** The module tree of a model with the names of its checkpoint, as PyTorch's `print(model)` shows it. */

import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { ModuleTree, PerplexityCost, TensorDescription } from "../api/model";
import { type Shape, sizeOf } from "../graph/shape";
import {
  type Activation,
  type DecoderConfig,
  type EncoderDecoderConfig,
  isEncoderDecoder,
  type ModelConfig,
} from "../nn/config";
import { ENCODER, hasHeadRows, type ParamSpec, stackSpecs } from "../nn/params";
import { hasStored, openStored, readJson, type StoredTensor, type StoredTensors } from "../weights";
import { minsOf, QUANTIZATION_FILE, type QuantizationReport, scalesOf, storedLayout } from "../weights/quantize";
import { checkpointTensors } from "./checkpointTensors";
import { layers } from "./config";
import { exportNames, type FamilyNames, moduleNameIn } from "./family";
import { configNotes, configOf, importNotes, notesOnTokenizer } from "./folder";

/** Describes the model in a folder. A folder without weights is described by its config.json. */
export async function describeModel(dir: string): Promise<ModuleTree> {
  const file = join(dir, "config.json");
  const json = await readJson(file);
  const { family, cfg: read } = configOf(json, file);
  const stored = (await hasStored(dir)) ? await openStored(dir) : null;
  const { cfg, names, ignored, notes } = stored
    ? await checkpointTensors(family, read, stored, dir)
    : { cfg: read, names: exportNames(family, read), ignored: [], notes: [] };
  // `configOf` has checked that it is an object.
  const given = json as Readonly<Record<string, unknown>>;
  const { tensors: errors = {}, perplexity } = await quantizationReport(dir);
  const tree = moduleTree(family, cfg, {
    paddingId: paddingIdOf(family, given),
    tensor: (name, shape) => {
      const storedName = names.get(name) as string;
      return stored ? describeStored(storedName, shape, stored, errors) : describeUnstored(storedName, shape, given);
    },
  });
  const onTokenizer = stored && !isEncoderDecoder(cfg) ? await notesOnTokenizer(dir, cfg) : [];
  const all = [...(await importNotes(dir)), ...configNotes(json, family), ...notes, ...onTokenizer];
  return {
    ...tree,
    ...(perplexity && isCost(perplexity) && { perplexity }),
    ...(all.length > 0 && { notes: all }),
    ...(ignored.length > 0 && { ignored }),
  };
}

const isCost = ({ tokens, before, after }: Partial<PerplexityCost>): boolean =>
  [tokens, before, after].every((x) => typeof x === "number");

const DTYPES: Readonly<Record<string, string>> = { F64: "float64", F32: "float32", F16: "float16", BF16: "bfloat16" };
const BYTES: Readonly<Record<string, number>> = { float64: 8, float32: 4, float16: 2, bfloat16: 2 };

function describeStored(
  name: string,
  shape: Shape,
  stored: StoredTensors,
  errors: QuantizationReport["tensors"],
): TensorDescription {
  const { dtype, length, shape: storedShape } = stored.get(name) as StoredTensor;
  const scales = stored.get(scalesOf(name));
  if (!scales) return { name, shape, dtype: DTYPES[dtype] ?? dtype.toLowerCase(), bytes: length };
  const { bits } = storedLayout(storedShape, scales.shape, sizeOf(shape));
  const { relativeError } = errors[name] ?? {};
  return {
    name,
    shape,
    dtype: `uint8 (${bits}-bit)`,
    bytes: length + scales.length + (stored.get(minsOf(name))?.length ?? 0),
    ...(typeof relativeError === "number" && { relativeError }),
  };
}

/** Returns the content of quantization.json, or an empty object. */
async function quantizationReport(dir: string): Promise<Partial<QuantizationReport>> {
  const file = join(dir, QUANTIZATION_FILE);
  const exists = await stat(file).catch(() => null);
  // Only numbers are used, and those are checked: see `describeStored` and `isCost`.
  const report = exists ? ((await readJson(file)) as Partial<QuantizationReport> | null) : null;
  return report ?? {};
}

/** The padding token, if the family's embedding has a `padding_idx`. */
function paddingIdOf(
  { paddingId }: FamilyNames,
  { pad_token_id: given = paddingId }: Readonly<Record<string, unknown>>,
) {
  return paddingId !== undefined && Number.isInteger(given) ? (given as number) : null;
}

function describeUnstored(name: string, shape: Shape, json: Readonly<Record<string, unknown>>): TensorDescription {
  const given = String(json.dtype ?? json.torch_dtype);
  const dtype = Object.hasOwn(BYTES, given) ? given : "float32";
  return { name, shape, dtype, bytes: sizeOf(shape) * (BYTES[dtype] as number) };
}

interface Details {
  readonly paddingId: number | null;
  /** Describes a parameter, given our name for it. */
  readonly tensor: (name: string, shape: Shape) => TensorDescription;
}

function moduleTree(family: FamilyNames, cfg: ModelConfig, details: Details): ModuleTree {
  const root: Container = { children: new Map() };
  for (const module of isEncoderDecoder(cfg) ? translatorModules(family, cfg) : modulesOf(family, cfg)) {
    const path = (module.stack + moduleNameIn(family, module.name)).split(".");
    const name = path.pop() as string;
    let parent = root;
    for (const part of path) {
      // A module with children was always created here, so it is a container.
      const next = (parent.children.get(part) as Container | undefined) ?? { children: new Map() };
      parent.children.set(part, next);
      parent = next;
    }
    parent.children.set(name, leaf(name, module, family, details));
  }
  return treeOf("", root, family);
}

/** A module with children, under construction. */
interface Container {
  readonly children: Map<string, Container | ModuleTree>;
}

function treeOf(name: string, container: Container, family: FamilyNames): ModuleTree {
  const children = [...container.children].map(([childName, child]) =>
    "kind" in child ? child : treeOf(childName, child, family),
  );
  return {
    name,
    kind: containerKind(name, family),
    parameters: children.reduce((n, child) => n + child.parameters, 0),
    bytes: children.reduce((n, child) => n + child.bytes, 0),
    tensors: [],
    children,
  };
}

function containerKind(name: string, family: FamilyNames): string {
  if (name === "") return family.architecture;
  const kind = family.classes[/^\d+$/.test(name) ? "{l}" : name];
  if (kind === undefined) throw new Error(`${family.modelType} has no class for ${name}`);
  return kind === "ModuleList" ? kind : family.className + kind;
}

interface Module {
  readonly name: string;
  /** Prefix of all names in its stack: `enc.` for an encoder. */
  readonly stack: string;
  readonly cfg: DecoderConfig;
  /** Parameters. For a norm without parameters, those that it would have. */
  readonly specs: readonly ParamSpec[];
}

/** The modules of a stack, in the order of the family's table. */
function modulesOf(family: FamilyNames, cfg: DecoderConfig, crosses = false): Module[] {
  const modules = new Map<string, ParamSpec[]>([["head", []]]);
  if (cfg.positions.kind === "rotary") modules.set("rotary", []);
  for (const l of layers(cfg.nLayers)) modules.set(`blocks.${l}.activation`, []);
  for (const spec of stackSpecs({ ...cfg, normScale: true, normBias: true }, crosses)) {
    const name = spec.name.slice(0, spec.name.lastIndexOf("."));
    modules.set(name, [...(modules.get(name) ?? []), spec]);
  }
  return Object.keys(family.names).flatMap((ours) =>
    layers(ours.includes("{l}") ? cfg.nLayers : 1).flatMap((l) => {
      const name = ours.replace("{l}", String(l));
      const specs = modules.get(name);
      return specs ? [{ name, stack: "", cfg, specs }] : [];
    }),
  );
}

function translatorModules(family: FamilyNames, { encoder, decoder }: EncoderDecoderConfig): Module[] {
  const encoding = modulesOf(family, encoder).filter(({ name }) => name !== "head");
  return [...encoding.map((module) => ({ ...module, stack: ENCODER })), ...modulesOf(family, decoder, true)];
}

function leaf(name: string, module: Module, family: FamilyNames, details: Details): ModuleTree {
  const { cfg, stack } = module;
  const absent = (role: ParamSpec["role"]) =>
    (role === "normScale" && !cfg.normScale) || (role === "normBias" && !cfg.normBias);
  const own = module.specs.filter(({ role }) => !absent(role));
  const tensors = own.map((spec) => details.tensor(stack + spec.name, spec.shape));
  return {
    name,
    kind: kindOf(module, family, details.paddingId),
    module: stack + module.name,
    parameters: own.reduce((n, { shape }) => n + sizeOf(shape), 0),
    bytes: tensors.reduce((n, { bytes }) => n + bytes, 0),
    tensors,
    children: [],
  };
}

const ACTIVATIONS: { readonly [A in Activation]: string } = {
  relu: "ReLU()",
  gelu: "GELU(approximate='none')",
  geluTanh: "GELU(approximate='tanh')",
  silu: "SiLU()",
};

/** Class and arguments of a module, as PyTorch prints them. */
function kindOf({ name, specs, cfg }: Module, family: FamilyNames, paddingId: number | null): string {
  const [first = 0, second = 0] = specs[0]?.shape ?? [];
  if (name === "embed.tokens") {
    return `Embedding(${first}, ${second}${paddingId === null ? "" : `, padding_idx=${paddingId}`})`;
  }
  if (name === "embed.positions") return `${family.positionsClass ?? "Embedding"}(${first}, ${second})`;
  if (name === "rotary") return `${family.className}RotaryEmbedding()`;
  if (name.endsWith(".activation")) return ACTIVATIONS[cfg.activation];
  if (specs[0]?.role.startsWith("norm")) return normKind(first, family, cfg);

  if (name === "head" && cfg.tiedHead) {
    const tied = linearKind(cfg.dEmbed, cfg.vocabSize, cfg.headBias);
    return `${tied}, weight tied to ${moduleNameIn(family, "embed.tokens")}`;
  }
  const isLinear = name === "head" && hasHeadRows(cfg);
  const [width, out] = cfg.weightLayout === "inOut" && !isLinear ? [first, second] : [second, first];
  return family.matrixClass === "Conv1D" && !isLinear
    ? `Conv1D(nf=${out}, nx=${width})`
    : linearKind(width, out, specs.length > 1);
}

const linearKind = (width: number, out: number, bias: boolean) =>
  `Linear(in_features=${width}, out_features=${out}, bias=${bias ? "True" : "False"})`;

function normKind(width: number, family: FamilyNames, cfg: DecoderConfig): string {
  const size = `(${width},), eps=${pythonFloat(cfg.normEps)}`;
  if (cfg.normKind !== "layer") return `${family.className}RMSNorm(${size})`;
  const bias = cfg.normScale && !cfg.normBias ? ", bias=False" : "";
  return `LayerNorm(${size}, elementwise_affine=${cfg.normScale ? "True" : "False"}${bias})`;
}

/** 0.00001 as 1e-05. */
const pythonFloat = (x: number): string =>
  x !== 0 && x < 1e-4 ? x.toExponential().replace(/e-(\d)$/, "e-0$1") : String(x);
