/**
 * Finds the parameters of a model among the tensors of a checkpoint. Training wrappers add prefixes to the names, a head that
 * is tied to the token embedding may be stored as either or both, and files contain tensors that are no parameters. The model
 * opens if each parameter is there; the tensors that are ignored are listed.
 */

import { quoted } from "../../text/untrusted";
import type { IgnoredTensor } from "../api/model";
import { EngineError } from "../errors";
import { sameShape } from "../graph/shape";
import { decoderOf, isEncoderDecoder, type ModelConfig } from "../nn/config";
import { companionsOf } from "../weights/quantize";
import { type StoredTensors, sameBytes } from "../weights/stored";
import { type FamilyNames, layerOfName, namesWith, patternOf } from "./family";

/** A configuration with the tensors of its parameters. */
export interface CheckpointTensors<C extends ModelConfig = ModelConfig> {
  /** The head is untied if the checkpoint has one of its own. */
  readonly cfg: C;
  /** Our parameter names to those in the checkpoint. */
  readonly names: ReadonlyMap<string, string>;
  readonly ignored: readonly IgnoredTensor[];
  /** See `ModelInfo`. */
  readonly notes: readonly string[];
}

/** Finds the parameters of `cfg` among the tensors of a model folder. */
export async function checkpointTensors<C extends ModelConfig>(
  family: FamilyNames,
  cfg: C,
  stored: StoredTensors,
  dir: string,
): Promise<CheckpointTensors<C>> {
  const plain = unwrapped(stored.keys());
  const layout = layoutOf(family, cfg, plain, dir);
  const head = `${layout.wrapper}${family.names.head}.weight`;
  const embedding = `${layout.wrapper}${layout.prefix}${family.names["embed.tokens"]}.weight`;
  const isTied = !isEncoderDecoder(cfg) && decoderOf(cfg).tiedHead;
  const storedAs = (name: string) => plain.get(name) as string;

  const notes = [...wrapperNotes(plain, layout)];
  let found = cfg;
  if (isTied && plain.has(head)) {
    if (!plain.has(embedding)) {
      notes.push(`The token embedding is stored only as ${quoted(head, MAX_NAME)}, the head that it is tied to.`);
    } else if (!(await isSame(stored, storedAs(embedding), storedAs(head)))) {
      found = { ...cfg, tiedHead: false, ...(isTable(family) && { headLayout: "outIn" as const }) };
      notes.push(
        `The head ${quoted(head, MAX_NAME)} differs from the token embedding, so it is used although config.json ties the two.`,
      );
    }
  }
  const names = new Map(
    [...parameterNames(family, found, layout)].map(([ours, name]) => [
      ours,
      storedAs(plain.has(name) ? name : name === embedding ? head : name),
    ]),
  );
  const ignored = ignoredTensors(family, found, stored, names, { plain, layout, head: storedAs(head) });
  return { cfg: found, names, ignored, notes: [...notes, ...ignoredNotes(ignored)] };
}

/** Names of modules that training code wraps around others, with the code that does. */
const WRAPPERS: Readonly<Record<string, string>> = {
  module: "DistributedDataParallel, DataParallel or DeepSpeed",
  _orig_mod: "torch.compile",
  _fsdp_wrapped_module: "FullyShardedDataParallel",
  _checkpoint_wrapped_module: "activation checkpointing",
  _forward_module: "Lightning Fabric",
  base_layer: "PEFT",
};

/** Maps names without the modules of wrappers, which may be anywhere in a name, to the names in the checkpoint. */
function unwrapped(names: Iterable<string>): Map<string, string> {
  const plain = new Map<string, string>();
  for (const name of names) {
    const parts = name.split(".");
    const short = parts.filter((part) => !Object.hasOwn(WRAPPERS, part)).join(".");
    if (short === name || !plain.has(short)) plain.set(short, name);
  }
  return plain;
}

/** The prefixes of the parameters: `wrapper` of all names, and `prefix` of those inside the model without its head. */
interface Layout {
  readonly wrapper: string;
  readonly prefix: string;
  /** The wrappers of other models in the checkpoint. */
  readonly others: readonly string[];
}

/** Bounds the work for a checkpoint with many tensors that end like a parameter. */
const MAX_LAYOUTS = 64;

function layoutOf(family: FamilyNames, cfg: ModelConfig, plain: ReadonlyMap<string, string>, dir: string): Layout {
  const layouts = possibleLayouts(family, plain).map((layout) => ({
    ...layout,
    missing: missingNames(family, cfg, layout, plain),
  }));
  const whole = layouts.filter(({ missing }) => missing.length === 0).sort((a, b) => strangeness(a) - strangeness(b));
  const [best] = whole;
  if (best) {
    const base = ({ wrapper, prefix }: Pick<Layout, "wrapper" | "prefix">) => wrapper + prefix;
    const others = whole.filter((layout) => base(layout) !== base(best)).map(({ wrapper }) => wrapper);
    return { ...best, others: [...new Set(others)] };
  }
  const closest = layouts.reduce((a, b) => (b.missing.length < a.missing.length ? b : a));
  throw missingTensors(dir, closest.missing, plain);
}

/** Prefixes in front of the names that every model has. Without any, those of a current file. */
function possibleLayouts(
  family: FamilyNames,
  plain: ReadonlyMap<string, string>,
): Pick<Layout, "wrapper" | "prefix">[] {
  const prefixes = [family.prefix, ...(family.otherPrefixes ?? [])];
  const layouts = new Map(prefixes.map((prefix) => [`|${prefix}`, { wrapper: "", prefix }]));
  const add = (wrapper: string, prefix: string) => {
    const isWhole = wrapper === "" || wrapper.endsWith(".");
    if (isWhole && layouts.size < MAX_LAYOUTS) layouts.set(`${wrapper}|${prefix}`, { wrapper, prefix });
  };
  const [embedding, head] = [`${family.names["embed.tokens"]}.weight`, `${family.names.head}.weight`];
  for (const name of plain.keys()) {
    for (const prefix of prefixes) {
      if (name.endsWith(prefix + embedding)) add(name.slice(0, -(prefix + embedding).length), prefix);
      if (name.endsWith(head)) add(name.slice(0, -head.length), prefix);
    }
  }
  return [...layouts.values()];
}

/** Prefers the model itself to a copy of it. */
function strangeness({ wrapper }: Pick<Layout, "wrapper">): number {
  if (wrapper === "") return 0;
  return /(^|[._])(ema|ref|reference|target|teacher|old|initial|optimizer)(?=[._])/i.test(wrapper) ? 2 : 1;
}

function missingNames(
  family: FamilyNames,
  cfg: ModelConfig,
  layout: Pick<Layout, "wrapper" | "prefix">,
  plain: ReadonlyMap<string, string>,
): string[] {
  const missing: string[] = [];
  for (const [ours, name] of parameterNames(family, cfg, layout)) {
    if (plain.has(name)) continue;
    const isInHead =
      ours === "embed.tokens.weight" &&
      canShareTable(family, cfg) &&
      plain.has(`${layout.wrapper}${family.names.head}.weight`);
    if (!isInHead) missing.push(name);
  }
  return missing;
}

/** Returns true if the head's matrix can be stored in place of the token embedding. */
const canShareTable = (family: FamilyNames, cfg: ModelConfig): boolean =>
  !isEncoderDecoder(cfg) && cfg.tiedHead && (cfg.weightLayout === "outIn" || isTable(family));

/** Returns true if only the head is a torch.nn.Linear. */
const isTable = ({ matrixClass }: FamilyNames): boolean => matrixClass === "Conv1D";

const parameterNames = (
  family: FamilyNames,
  cfg: ModelConfig,
  { wrapper, prefix }: Pick<Layout, "wrapper" | "prefix">,
): ReadonlyMap<string, string> => {
  const names = namesWith(family, cfg, prefix);
  return wrapper === "" ? names : new Map([...names].map(([ours, name]) => [ours, wrapper + name]));
};

/** Parts of a matrix as GPTQ and AWQ (qweight) or bitsandbytes (absmax) store it. */
const QUANTIZED_PARTS = [".qweight", ".weight.absmax", ".weight_packed", ".weight_scale"];

function missingTensors(dir: string, missing: readonly string[], plain: ReadonlyMap<string, string>): EngineError {
  const quantized = missing.find((name) => QUANTIZED_PARTS.some((part) => plain.has(name.replace(/\.weight$/, part))));
  if (quantized !== undefined) {
    return new EngineError(
      "weights",
      `The weights in ${dir} are quantized in a format that is not supported (${quoted(quantized, MAX_NAME)}). Choose the unquantized model.`,
    );
  }
  const [first = "", ...others] = missing;
  const subject = others.length === 0 ? "is" : `and ${others.length} others are`;
  return new EngineError(
    "weights",
    `The weights in ${dir} do not match its config.json: the tensor ${quoted(first, MAX_NAME)} ${subject} missing. Choose another model folder.`,
  );
}

/** Names in messages: a part of the 300 characters that a message may have. */
const MAX_NAME = 80;

/** Returns true if two tensors have the same values. Compares their bytes in pieces and stops at the first difference. */
async function isSame(stored: StoredTensors, a: string, b: string): Promise<boolean> {
  const [ofA, ofB] = [a, b].map((name) => [name, ...companionsOf(name)].map((each) => stored.get(each)));
  for (const [i, first] of (ofA ?? []).entries()) {
    const second = ofB?.[i];
    if (!first && !second) continue;
    if (!first || !second || first.dtype !== second.dtype || !sameShape(first.shape, second.shape)) return false;
    if (!(await sameBytes(first, second))) return false;
  }
  return true;
}

function wrapperNotes(plain: ReadonlyMap<string, string>, { wrapper, others }: Layout): string[] {
  const found = new Set(
    [...plain].flatMap(([short, name]) =>
      short === name ? [] : name.split(".").filter((part) => Object.hasOwn(WRAPPERS, part)),
    ),
  );
  const notes = [...found].map((part) => `The names of tensors contain "${part}.", which ${WRAPPERS[part]} adds.`);
  if (wrapper !== "") notes.push(`The names of tensors have the prefix ${quoted(wrapper, MAX_NAME)}.`);
  if (others.length > 0) {
    const list = others.slice(0, 3).map((other) => quoted(other, 40));
    notes.push(`The checkpoint contains other models, which were ignored: ${list.join(", ")}.`);
  }
  return notes;
}

interface Found {
  readonly plain: ReadonlyMap<string, string>;
  readonly layout: Layout;
  /** Name of the head's matrix in the checkpoint, if there is one. */
  readonly head: string | undefined;
}

function ignoredTensors(
  family: FamilyNames,
  cfg: ModelConfig,
  stored: StoredTensors,
  names: ReadonlyMap<string, string>,
  { plain, layout: { wrapper, prefix }, head }: Found,
): IgnoredTensor[] {
  const used = new Set(names.values());
  for (const name of names.values()) for (const companion of companionsOf(name)) used.add(companion);
  const shorts = new Map([...plain].map(([short, name]) => [name, short]));
  const buffers = Object.entries(family.buffers ?? {}).map(([name, meaning]) => [patternOf(name), meaning] as const);
  const reasonOf = (name: string): string | null => {
    if (name === head || (head !== undefined && companionsOf(head).includes(name)))
      return "the head, equal to the token embedding";
    const short = shorts.get(name);
    if (short === undefined) return "a copy of another tensor";
    const inside = short.startsWith(wrapper + prefix) ? short.slice((wrapper + prefix).length) : short;
    const layer = layerOfName(family, inside);
    const { nLayers } = decoderOf(cfg);
    if (layer !== null && layer >= nLayers) return `layers beyond the ${nLayers} of config.json`;
    const buffer = buffers.find(([pattern]) => pattern.test(inside));
    return buffer?.[1] ?? KINDS.find(([pattern]) => pattern.test(short))?.[1] ?? null;
  };
  return [...stored.keys()].flatMap((name) => (used.has(name) ? [] : [{ name, reason: reasonOf(name) }]));
}

/** Tensors that are in files of many families. */
const KINDS: readonly (readonly [name: RegExp, meaning: string])[] = [
  [/(^|\.)(optimizer|optimizer_states?|opt_state)\./, "the state of an optimizer"],
  [/(^|\.)(lora_[ABE]|lora_embedding_[AB]|lora_magnitude_vector|ia3_l)(\.|$)/, "an adapter, which is not applied"],
  [/(^|\.)(v_head|value_head|critic|critic_head|reward_head|rm_head)\./, "a value head"],
  [/(^|\.)(vision_tower|vision_model|multi_modal_projector|visual)\./, "the part that reads images, which is not used"],
  [/(^|\.)(score|classifier|qa_outputs|multiple_choice_head)\./, "a head for another task"],
  [/(^|\.)(\w*inv_freq|cos_cached|sin_cached)$/, "the rotary frequencies, which follow from config.json"],
  [/attn(\.attention)?\.(bias|masked_bias)$|(^|\.)(causal_mask|attn_mask|attention_mask)$/, "the causal mask"],
  [/(^|\.)position_ids$/, "the numbers of the positions"],
  [/\.(k_scale|v_scale|kv_scale|input_scale|output_scale)$/, "scales of a quantized cache"],
];

/** One sentence per reason. */
function ignoredNotes(ignored: readonly IgnoredTensor[]): string[] {
  const reasons = [...new Set(ignored.map(({ reason }) => reason))];
  return reasons.map((reason) => {
    const tensors = ignored.filter((tensor) => tensor.reason === reason);
    const example = quoted(tensors[0]?.name as string, MAX_NAME);
    const meaning = reason === null ? "not in config.json" : reason;
    return tensors.length === 1
      ? `Ignored the tensor ${example} (${meaning}).`
      : `Ignored ${tensors.length} tensors (${meaning}), such as ${example}.`;
  });
}
