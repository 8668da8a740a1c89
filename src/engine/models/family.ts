/**
 * A model family: how to read its config.json, and the names of our parameters in its checkpoints.
 *
 * A table maps modules: our `blocks.{l}.q` is Llama's `layers.{l}.self_attn.q_proj`. The parameters of both are `.weight` and
 * `.bias`. The same table serves reading and writing. Its order is that in which PyTorch prints the modules.
 */

import { type DecoderConfig, isEncoderDecoder, type ModelConfig } from "../nn/config";
import { paramSpecs } from "../nn/params";
import { Fields, requireSizes, requireSupported } from "./config";

/** Modules of our decoder. `{l}` stands for the layer; `rotary` and `activation` have no parameters. */
type ModuleName =
  | `embed.${"tokens" | "positions" | "in"}`
  | `blocks.{l}.${"q" | "k" | "v" | "qkv" | "o" | "gate" | "fc" | "gateFc" | "proj" | "activation"}`
  | `blocks.{l}.${"lnCross" | `cross.${"q" | "k" | "v" | "o"}`}`
  | `blocks.{l}.${"ln1" | "ln2" | "ln1Out" | "ln2Out" | "lnQ" | "lnK"}`
  | "rotary"
  | "lnFinal"
  | "head.in"
  | "head";

type ModuleNames = { readonly [M in ModuleName]?: string };

export interface FamilySpec {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** Prefix of the class names in transformers, such as `Llama` in LlamaForCausalLM. */
  readonly className: string;
  readonly config: (hf: Fields) => DecoderConfig;
  readonly names: ModuleNames;
  /** Prefix of every name except the head's in current files. */
  readonly prefix: string;
  /** Prefixes in older files. */
  readonly otherPrefixes?: readonly string[];
  /** Tensors that are not parameters and get ignored, with their meaning. */
  readonly buffers?: Readonly<Record<string, string>>;
  /** Classes of modules with children, by the last part of their name, without `className`. */
  readonly classes: Readonly<Record<string, string>>;
  /** Default: `${className}ForCausalLM`. */
  readonly architecture?: string;
  /** Class of matrices. Conv1D of transformers is a Linear stored as [in, out]. */
  readonly matrixClass?: "Linear" | "Conv1D";
  /** Class of the table of learned positions. */
  readonly positionsClass?: string;
  /** Default padding id, for families whose token embedding has a `padding_idx`. */
  readonly paddingId?: number | null;
}

export interface Family extends Omit<FamilySpec, "config"> {
  readonly architecture: string;
  /** Reads config.json and checks every size. */
  readonly config: (json: unknown, file: string) => DecoderConfig;
}

/** The names in a family's checkpoints. */
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

/** Maps our parameter names to those that the family's files are written with. Encoder-decoders use our names. */
export const exportNames = (family: FamilyNames, cfg: ModelConfig): ReadonlyMap<string, string> =>
  namesWith(family, cfg, family.prefix);

/** Maps our parameter names to those in a checkpoint with a prefix. */
export function namesWith(family: FamilyNames, cfg: ModelConfig, prefix: string): Map<string, string> {
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
  // `module` comes from `paramSpecs`, so it is a module of the decoder.
  const ours = module.replace(/^blocks\.\d+\./, "blocks.{l}.") as ModuleName;
  const name = family.names[ours];
  if (name === undefined) throw new Error(`${family.modelType} has no name for ${ours}`);
  return (ours === "head" ? "" : prefix) + name.replace("{l}", layer);
}

/** The layer in the name of a tensor without its prefix, or null. */
export function layerOfName(family: FamilyNames, name: string): number | null {
  const [before] = (family.names["blocks.{l}.proj"] ?? "").split("{l}", 1);
  const digits = before && name.startsWith(before) ? /^\d{1,9}(?=\.)/.exec(name.slice(before.length))?.[0] : undefined;
  return digits === undefined ? null : Number(digits);
}

/** Matches the names of a pattern such as `h.{l}.attn.bias`. */
export const patternOf = (name: string): RegExp =>
  new RegExp(`^${name.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace("{l}", "\\d+")}$`);
