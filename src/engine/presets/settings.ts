/** Lists, overrides and checks the settings of presets by dotted name ("model.nLayers", "train.schedule.lr"). */

import { shown } from "../../text/untrusted";
import type { PresetInfo, Setting, Settings, SettingsInfo } from "../api/run";
import { type Arithmetic, equationBlockSize } from "../data/adder";
import { EngineError } from "../errors";
import { requireWholeHeads } from "../nn/config";
import { SCHEDULES } from "../train/schedules";
import { FINE_TUNING, type FineTuning, PRESETS, type Preset } from "./presets";

export function presetNamed(name: string): Preset {
  const preset = PRESETS.find((p) => p.name === name);
  if (preset) return preset;
  throw new EngineError(
    "config",
    `Unknown preset ${shown(name, MAX_SHOWN)}. Choose one of ${PRESETS.map((p) => p.name).join(", ")}.`,
  );
}

export function presetInfo(preset: Preset): PresetInfo {
  const { name, title, description, expected, data, sample } = preset;
  const facts = { name, title, description, expected, needsText: data.kind !== "adder", sample: sample ?? null };
  return { ...facts, ...settingsInfo(preset) };
}

/** The settings of a recipe, and what they may become. */
export function settingsInfo(recipe: Preset | FineTuning): SettingsInfo {
  const settings = settingsOf(recipe);
  return {
    settings,
    choices: Object.fromEntries(
      Object.keys(settings).flatMap((name) => (RULES[name]?.oneOf ? [[name, RULES[name].oneOf]] : [])),
    ),
    schedules: Object.fromEntries(
      Object.entries(SCHEDULES).map(([kind, schedule]) => [kind, flatten(schedule, "train.schedule.")]),
    ),
  };
}

/** The recipe named in a run's record. */
const recipeNamed = (name: string): Preset | FineTuning =>
  name === FINE_TUNING.name ? FINE_TUNING : presetNamed(name);

/** Every setting of a preset with its default. */
export function settingsOf(recipe: Preset | FineTuning): Settings {
  const { kind: _, ...data } = recipe.data;
  if ("model" in recipe) return flatten({ model: recipe.model, data, train: recipe.train });
  const { init: __, ...train } = recipe.train;
  return flatten({ lora: recipe.lora, data, train });
}

/** How texts were read before runs recorded these settings. */
const BEFORE_RECORDED: Settings = { "data.field": "", "data.gitignore": false };

/** The recipe of a run's record; settings that older records lack have the values of that time. */
export function recordedRecipe({ preset, settings }: { preset: string; settings: Settings }): Preset | FineTuning {
  const recipe = recipeNamed(preset);
  const known = settingsOf(recipe);
  const earlier = Object.entries(BEFORE_RECORDED).filter(([name]) => Object.hasOwn(known, name));
  return withSettings(recipe, { ...Object.fromEntries(earlier), ...settings });
}

/** The preset with changed settings. Another kind of schedule brings settings and defaults of its own. */
export function withSettings<R extends Preset | FineTuning>(given: R, changes: Settings): R {
  const recipe = withSchedule(given, changes["train.schedule.kind"]);
  const known = settingsOf(recipe);
  const values: Record<string, Setting> = { ...known };
  for (const [name, given] of Object.entries(changes)) {
    const value = parse(name, given, Object.hasOwn(known, name) ? known[name] : undefined);
    check(name, value);
    values[name] = value;
  }
  // The MLP width keeps its ratio to dModel unless it is set, as in every GPT.
  if ("model" in recipe && "model.dModel" in changes && !("model.dMlp" in changes)) {
    const ratio = recipe.model.dMlp / recipe.model.dModel;
    values["model.dMlp"] = Math.round(ratio * (values["model.dModel"] as number));
  }
  // The equation's length determines the context length.
  if (recipe.data.kind === "adder" && !("train.blockSize" in changes)) {
    const { data } = unflatten(values) as unknown as { readonly data: Arithmetic };
    values["train.blockSize"] = equationBlockSize(data);
  }
  // The tree has exactly the names that flatten found in the preset, each with a value of the same kind.
  const { train, data, ...rest } = unflatten(values) as unknown as Pick<R, "train" | "data">;
  const changed = { ...recipe, ...rest, data: { ...recipe.data, ...data }, train: { ...recipe.train, ...train } };
  if ("model" in changed) requireWholeHeads(changed.model);
  return changed;
}

function withSchedule<R extends Preset | FineTuning>(recipe: R, kind: Setting | undefined): R {
  const schedule = Object.values(SCHEDULES).find((known) => known.kind === kind);
  if (!schedule || kind === recipe.train.schedule.kind) return recipe;
  return { ...recipe, train: { ...recipe.train, schedule } };
}

/** Parses "1e-3", "true" or "gelu" as the type of the setting's current value. A run's record may contain anything. */
function parse(name: string, given: unknown, now: Setting | undefined): Setting {
  if (now === undefined)
    throw new EngineError("config", `This preset has no setting ${shown(name, MAX_SHOWN)}. See its list of settings.`);
  const value = isSetting(given) ? asTypeOf(now, given) : undefined;
  if (value === undefined || Number.isNaN(value) || (given === "" && value !== given)) {
    throw new EngineError("config", `${name} must be a ${typeof now} but is ${shown(given, MAX_SHOWN)}.`);
  }
  return value;
}

/** Characters of a value in a message. */
const MAX_SHOWN = 80;

const isSetting = (value: unknown): value is Setting => ["string", "number", "boolean"].includes(typeof value);

function asTypeOf(now: Setting, given: Setting): Setting | undefined {
  if (typeof now === "number") return Number(given);
  return typeof now === "boolean" ? asBoolean(given) : String(given);
}

const asBoolean = (given: Setting) => ({ true: true, false: false })[String(given)];

type Rule = {
  readonly min?: number;
  readonly max?: number;
  readonly whole?: boolean;
  readonly oneOf?: readonly string[];
};
const COUNT: Rule = { min: 1, max: 1e7, whole: true };
const SHARE: Rule = { min: 0, max: 0.99 };
const RULES: Readonly<Record<string, Rule>> = {
  "model.nLayers": { min: 1, max: 100, whole: true },
  "model.nEncoderLayers": { min: 1, max: 100, whole: true },
  "model.nHeads": { min: 1, max: 256, whole: true },
  "model.dModel": { min: 8, max: 16384, whole: true },
  "model.dMlp": { min: 1, max: 65536, whole: true },
  "model.norm": { oneOf: ["pre", "post"] },
  "model.activation": { oneOf: ["relu", "gelu", "geluTanh"] },
  "model.normEps": { min: 0, max: 1 },
  "model.positions": { oneOf: ["none", "learned", "sinusoidal"] },
  "data.digits": { min: 1, max: 6, whole: true },
  "data.operator": { oneOf: ["+", "-", "*"] },
  "data.unknown": { oneOf: ["refuse", "unk"] },
  "data.tokenizer": { oneOf: ["characters", "words", "bytePairs"] },
  "data.vocabSize": { min: 3, max: 1e6, whole: true },
  "data.validationShare": { min: 0.0001, max: 0.9 },
  "data.split": { oneOf: ["position", "document"] },
  "data.order": { oneOf: ["random", "sequential"] },
  "lora.rank": { min: 0, max: 1024, whole: true },
  "lora.alpha": { min: 0, max: 1e4 },
  "train.seed": { min: 0, max: 2 ** 32 - 1, whole: true },
  "train.steps": COUNT,
  "train.batchSize": { min: 1, max: 65536, whole: true },
  "train.gradientAccumulation": { min: 1, max: 4096, whole: true },
  "train.blockSize": { min: 2, max: 65536, whole: true },
  "train.dropout": SHARE,
  "train.labelSmoothing": SHARE,
  "train.init": { oneOf: ["xavier", "gpt2"] },
  "train.optimizer.kind": { oneOf: ["adam", "adamw"] },
  "train.optimizer.beta1": { min: 0, max: 0.9999999 },
  "train.optimizer.beta2": { min: 0, max: 0.9999999 },
  "train.optimizer.eps": { min: 0, max: 1 },
  "train.optimizer.weightDecay": { min: 0, max: 10 },
  "train.schedule.kind": { oneOf: Object.keys(SCHEDULES) },
  "train.schedule.factor": { min: 0, max: 1e6 },
  "train.schedule.stepSize": COUNT,
  "train.schedule.gamma": { min: 0, max: 1 },
  "train.schedule.lr": { min: 0, max: 100 },
  "train.schedule.minLr": { min: 0, max: 100 },
  "train.schedule.warmup": { min: 0, max: 1e7, whole: true },
  "train.maxGradNorm": { min: 0, max: 1e6 },
  "train.evalEvery": COUNT,
  "train.evalBatches": COUNT,
  "train.checkpointEvery": COUNT,
  "train.sampleEvery": COUNT,
};

function check(name: string, value: Setting): void {
  const rule = RULES[name];
  if (!rule) return;
  if (rule.oneOf && !rule.oneOf.includes(String(value))) {
    throw new EngineError(
      "config",
      `${name} must be one of ${rule.oneOf.join(", ")} but is ${shown(value, MAX_SHOWN)}.`,
    );
  }
  if (typeof value !== "number") return;
  const { min = -Infinity, max = Infinity, whole = false } = rule;
  if (value < min || value > max || (whole && !Number.isInteger(value))) {
    throw new EngineError(
      "config",
      `${name} must be ${whole ? "a whole number" : "a number"} from ${min} to ${max} but is ${shown(value, MAX_SHOWN)}.`,
    );
  }
}

type Tree = { readonly [name: string]: Setting | Tree };

function flatten(tree: object, prefix = ""): Record<string, Setting> {
  return Object.fromEntries(
    Object.entries(tree).flatMap(([name, value]) =>
      typeof value === "object"
        ? Object.entries(flatten(value, `${prefix}${name}.`))
        : [[prefix + name, value as Setting]],
    ),
  );
}

function unflatten(values: Settings): Tree {
  const root: Record<string, unknown> = {};
  for (const [path, value] of Object.entries(values)) {
    const names = path.split(".");
    const last = names.pop() as string;
    let at = root;
    for (const name of names) {
      at[name] ??= {};
      at = at[name] as Record<string, unknown>;
    }
    at[last] = value;
  }
  return root as Tree;
}
