/** Settings that a user may change before a run: their order, labels and typed values. Does not depend on VS Code. */

import type { PresetInfo } from "../../protocol/engineApi";
import { l10n } from "../l10n";

export type SettingValue = string | number | boolean;

export const isSetting = (value: unknown): value is SettingValue =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean";

/** Settings that are changed often come first; the others follow by name. */
export function orderedSettings(settings: Readonly<Record<string, SettingValue>>): [string, SettingValue][] {
  const rank = (name: string) => {
    const index = FIRST.indexOf(name);
    return index < 0 ? FIRST.length : index;
  };
  return Object.entries(settings).sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
}

const FIRST = [
  "train.steps",
  "lora.rank",
  "lora.alpha",
  "data.tokenizer",
  "data.vocabSize",
  "data.digits",
  "data.operator",
  "data.reversed",
  "data.unknown",
  "model.causal",
  "model.positions",
  "model.nLayers",
  "model.nHeads",
  "model.dModel",
  "model.dMlp",
  "model.nCtx",
  "train.blockSize",
  "train.batchSize",
  "train.dropout",
  "train.schedule.kind",
  "train.schedule.lr",
  "train.seed",
];

/** The settings of this group depend on the kind of schedule. */
const SCHEDULE = "train.schedule.";

/** A preset's settings; another kind of schedule brings its own. */
export function settingsWith(
  { settings, schedules }: Pick<PresetInfo, "settings" | "schedules">,
  changed: Readonly<Record<string, SettingValue>>,
): Readonly<Record<string, SettingValue>> {
  const kind = changed[`${SCHEDULE}kind`];
  const schedule = typeof kind === "string" && kind !== settings[`${SCHEDULE}kind`] ? schedules[kind] : undefined;
  if (!schedule) return settings;
  const others = Object.entries(settings).filter(([name]) => !name.startsWith(SCHEDULE));
  return { ...Object.fromEntries(others), ...schedule };
}

/** The label of a setting, or its name if it has none. */
export function settingLabel(name: string): string {
  switch (name) {
    case "train.steps":
      return l10n.t("Training steps");
    case "model.nLayers":
      return l10n.t("Layers");
    case "model.nHeads":
      return l10n.t("Attention heads");
    case "model.dModel":
      return l10n.t("Width (dModel)");
    case "model.dMlp":
      return l10n.t("MLP width");
    case "model.nCtx":
      return l10n.t("Context length");
    case "train.blockSize":
      return l10n.t("Training context length");
    case "train.batchSize":
      return l10n.t("Batch size");
    case "train.dropout":
      return l10n.t("Dropout");
    case "train.seed":
      return l10n.t("Seed");
    case "train.schedule.kind":
      return l10n.t("Learning rate schedule");
    case "train.schedule.lr":
      return l10n.t("Learning rate");
    case "data.tokenizer":
      return l10n.t("Tokenizer");
    case "data.vocabSize":
      return l10n.t("Maximum vocabulary size");
    case "data.digits":
      return l10n.t("Digits per number");
    case "data.operator":
      return l10n.t("Operator");
    case "data.reversed":
      return l10n.t("Reversed answers (last digit first)");
    case "data.unknown":
      return l10n.t("Unknown words");
    case "lora.rank":
      return l10n.t("Adapter rank");
    case "lora.alpha":
      return l10n.t("Adapter scale (alpha)");
    case "train.maxGradNorm":
      return l10n.t("Maximum gradient norm");
    case "model.causal":
      return l10n.t("Causal mask");
    case "model.positions":
      return l10n.t("Position encoding");
    default:
      return name;
  }
}

/** Parses a typed value as the type of the one it replaces; `problem` is a sentence for the user. */
export function parseSetting(typed: string, like: SettingValue): { value: SettingValue } | { problem: string } {
  const text = typed.trim();
  if (typeof like === "string") return text === "" ? { problem: l10n.t("Enter a value.") } : { value: text };
  if (typeof like === "boolean") {
    return text === "true" || text === "false"
      ? { value: text === "true" }
      : { problem: l10n.t("Enter true or false.") };
  }
  const value = text === "" ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || value < 0)
    return { problem: l10n.t("Enter a number of at least 0, such as {0}.", like) };
  return { value };
}
