/** What is asked before a training starts, as far as it is pure: settings by name, and their values as typed. */

import type { PresetInfo } from "../../protocol/engineApi";
import { l10n } from "../l10n";

export type SettingValue = string | number | boolean;

export const isSetting = (value: unknown): value is SettingValue =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean";

/** The settings a person is likely to change come first; the rest follow by name. */
export function orderedSettings(settings: Readonly<Record<string, SettingValue>>): [string, SettingValue][] {
  const rank = (name: string) => {
    const index = FIRST.indexOf(name);
    return index < 0 ? FIRST.length : index;
  };
  return Object.entries(settings).sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
}

const FIRST = [
  "train.steps",
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

/** What decides which settings the others of its group are. */
const SCHEDULE = "train.schedule.";

/** A preset's settings as changed until now: another schedule has other settings than the preset's own. */
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

/** A name in words, for the settings that have one; the others keep their own. */
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
      return l10n.t("Tokens of a training sequence");
    case "train.batchSize":
      return l10n.t("Sequences of a batch");
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
      return l10n.t("Tokens of the vocabulary, at most");
    case "data.digits":
      return l10n.t("Digits of each number");
    case "data.operator":
      return l10n.t("Operator");
    case "data.reversed":
      return l10n.t("Answers from the last digit on");
    case "data.unknown":
      return l10n.t("Words that it does not know");
    case "train.maxGradNorm":
      return l10n.t("Limit of the gradient norm");
    case "model.causal":
      return l10n.t("Causal mask");
    case "model.positions":
      return l10n.t("Positions");
    default:
      return name;
  }
}

/** What was typed, as a value like the one it replaces; or what is wrong with it, in one sentence. */
export function parseSetting(typed: string, like: SettingValue): { value: SettingValue } | { problem: string } {
  const text = typed.trim();
  if (typeof like === "string") return text === "" ? { problem: l10n.t("Type a value.") } : { value: text };
  if (typeof like === "boolean") {
    return text === "true" || text === "false"
      ? { value: text === "true" }
      : { problem: l10n.t("Type true or false.") };
  }
  const value = text === "" ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || value < 0)
    return { problem: l10n.t("Type a number that is not negative, such as {0}.", like) };
  return { value };
}
