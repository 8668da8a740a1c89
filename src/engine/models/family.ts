/**
 * A family of models: how its config.json says what a decoder is, and what its checkpoints call our parameters.
 *
 * Names are given by module: `blocks.{l}.q` of ours is `layers.{l}.self_attn.q_proj` of Llama's, and the weight and bias
 * in it are `.weight` and `.bias` with both. One table serves reading and writing, and is in the order in which PyTorch
 * prints the modules.
 */

import { EngineError } from "../errors";
import { type DecoderConfig, decoderOf, isEncoderDecoder, type ModelConfig } from "../nn/config";
import { paramSpecs } from "../nn/params";
import { scalesOf } from "../weights/quantize";
import { Fields, requireSizes, requireSupported } from "./config";

/** The modules of our decoder; `{l}` stands for the layer. `rotary` and `activation` have no parameters. */
export type ModuleName =
  | `embed.${"tokens" | "positions" | "in"}`
  | `blocks.{l}.${"q" | "k" | "v" | "qkv" | "o" | "gate" | "fc" | "proj" | "activation"}`
  | `blocks.{l}.${"lnCross" | `cross.${"q" | "k" | "v" | "o"}`}`
  | `blocks.{l}.${"ln1" | "ln2" | "ln1Out" | "ln2Out" | "lnQ" | "lnK"}`
  | "rotary"
  | "lnFinal"
  | "head.in"
  | "head";

export type ModuleNames = { readonly [M in ModuleName]?: string };

export interface FamilySpec {
  /** As config.json has it. */
  readonly modelType: string;
  /** What transformers' classes are named with: `Llama` in LlamaForCausalLM. */
  readonly className: string;
  readonly config: (hf: Fields) => DecoderConfig;
  readonly names: ModuleNames;
  /** What stands before every name but the head's, in files as they are written today. */
  readonly prefix: string;
  /** What else may stand there. */
  readonly otherPrefixes?: readonly string[];
  /** Tensors that are no parameters, and why some files have them. */
  readonly buffers?: Readonly<Record<string, string>>;
  /** The classes of the modules that hold others, by the last part of their name, without `className`. */
  readonly classes: Readonly<Record<string, string>>;
  /** Where it is not `${className}ForCausalLM`. */
  readonly architecture?: string;
  /** The class of matrices; transformers' Conv1D is a Linear that is stored [in, out]. */
  readonly matrixClass?: "Linear" | "Conv1D";
  /** The class of the position table. */
  readonly positionsClass?: string;
  /** Of families whose token embedding knows its padding: the id where config.json has none. */
  readonly paddingId?: number | null;
}

export interface Family extends Omit<FamilySpec, "config"> {
  readonly architecture: string;
  /** What config.json describes, with every size checked. */
  readonly config: (json: unknown, file: string) => DecoderConfig;
}

/** What a family's checkpoints look like, whatever its config.json says. */
export type FamilyNames = Omit<Family, "config">;

export const defineFamily = (spec: FamilySpec): Family => ({
  ...spec,
  architecture: spec.architecture ?? `${spec.className}ForCausalLM`,
  config(json, file) {
    const hf = new Fields(json, file);
    requireSupported(hf);
    return requireSizes(spec.config(hf), file);
  },
});

/** What a family's files are written with: our parameter names to its own. Encoder-decoders have ours. */
export const exportNames = (family: FamilyNames, cfg: ModelConfig): ReadonlyMap<string, string> =>
  namesWith(family, cfg, family.prefix);

/**
 * Our parameter names to those of a checkpoint, of whose names exactly these parameters must be there. What may be there
 * beside them: buffers, the scales of quantized matrices, and the weight of a head that is tied.
 */
export function checkpointNames(
  family: FamilyNames,
  cfg: ModelConfig,
  names: Iterable<string>,
  dir: string,
): ReadonlyMap<string, string> {
  const there = new Set(names);
  const prefixes = [family.prefix, ...(family.otherPrefixes ?? [])];
  const prefix = prefixes.find((p) => there.has(`${p}${family.names["embed.tokens"]}.weight`)) ?? family.prefix;

  const params = namesWith(family, cfg, prefix);
  for (const name of params.values()) {
    if (!there.has(name)) throw unlike(dir, `has no tensor ${JSON.stringify(name)}, which its config.json asks for`);
  }
  const known = new Set(params.values());
  const quantized = new Set([...known].map(scalesOf));
  const buffers = Object.keys(family.buffers ?? {}).map((pattern) => patternOf(prefix + pattern));
  const tiedHead = decoderOf(cfg).tiedHead ? `${family.names.head}.weight` : null;
  for (const name of there) {
    const expected =
      known.has(name) || name === tiedHead || quantized.has(name) || buffers.some((buffer) => buffer.test(name));
    if (!expected) throw unlike(dir, `has a tensor ${JSON.stringify(name)}, which its config.json knows nothing of`);
  }
  return params;
}

const unlike = (dir: string, problem: string) =>
  new EngineError("weights", `${dir} ${problem}; they do not belong together, choose another model folder.`);

function namesWith(family: FamilyNames, cfg: ModelConfig, prefix: string): Map<string, string> {
  if (isEncoderDecoder(cfg)) return new Map(paramSpecs(cfg).map(({ name }) => [name, name]));
  return new Map(
    paramSpecs(cfg).map(({ name }) => {
      const end = name.lastIndexOf(".");
      return [name, moduleNameIn(family, name.slice(0, end), prefix) + name.slice(end)];
    }),
  );
}

/** The name of one of our modules (`blocks.3.q`) in a checkpoint. */
export function moduleNameIn(family: FamilyNames, module: string, prefix = family.prefix): string {
  const layer = /^blocks\.(\d+)\./.exec(module)?.[1] ?? "";
  // What has a parameter is a module of the decoder: these are the names of `paramSpecs`.
  const ours = module.replace(/^blocks\.\d+\./, "blocks.{l}.") as ModuleName;
  const theirs = family.names[ours];
  if (theirs === undefined) throw new Error(`${family.modelType} has no name for ${ours}`);
  return (ours === "head" ? "" : prefix) + theirs.replace("{l}", layer);
}

const patternOf = (name: string): RegExp =>
  new RegExp(`^${name.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace("{l}", "\\d+")}$`);
