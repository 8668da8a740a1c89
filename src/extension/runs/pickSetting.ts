/** One pick from a list of things to do and of settings; a setting that is picked is asked for, and changed. */

import * as vscode from "vscode";
import { l10n } from "../l10n";
import { orderedSettings, parseSetting, type SettingValue, settingLabel } from "./trainingChoices";

interface Choice<V> {
  readonly label: string;
  readonly description: string;
  readonly value: V;
}

/** Settings to choose from, and the words that some are one of. */
export interface Offered {
  readonly settings: Readonly<Record<string, SettingValue>>;
  readonly words?: Readonly<Record<string, readonly string[]>>;
}

/** Answers what was chosen to do, "changed" after a setting, undefined when dismissed. */
export async function pickSetting<V extends string>(
  title: string,
  choices: readonly Choice<V>[],
  { settings, words = {} }: Offered,
  changed: Record<string, SettingValue>,
): Promise<V | "changed" | undefined> {
  const items = [
    ...choices.map(({ label, description, value }) => ({ label, description, value, name: null, alwaysShow: true })),
    { label: l10n.t("Settings"), kind: vscode.QuickPickItemKind.Separator, value: null, name: null },
    ...orderedSettings(settings).map(([name, value]) => ({
      label: settingLabel(name),
      description: `${changed[name] ?? value}${name in changed ? ` (${l10n.t("changed")})` : ""}`,
      name,
      value: null,
      ...(settingLabel(name) === name ? {} : { detail: name }),
    })),
  ];
  // What was changed until here must not be lost to a click beside the list.
  const picked = await vscode.window.showQuickPick(items, { title, matchOnDetail: true, ignoreFocusOut: true });
  if (!picked) return undefined;
  if (picked.value !== null) return picked.value;
  const before = picked.name === null ? undefined : settings[picked.name];
  if (picked.name === null || before === undefined) return "changed";
  const value = await askForSetting(picked.name, changed[picked.name] ?? before, before, words[picked.name]);
  if (value !== undefined) changed[picked.name] = value;
  return "changed";
}

async function askForSetting(
  name: string,
  now: SettingValue,
  like: SettingValue,
  words: readonly string[] | undefined,
): Promise<SettingValue | undefined> {
  const title = settingLabel(name);
  const placeHolder = l10n.t("It was {0}.", String(like));
  const options = { title, placeHolder, ignoreFocusOut: true };
  if (words) return vscode.window.showQuickPick(words, options);
  if (typeof like === "boolean") {
    const picked = await vscode.window.showQuickPick(["true", "false"], options);
    return picked === undefined ? undefined : picked === "true";
  }
  const typed = await vscode.window.showInputBox({
    title,
    ignoreFocusOut: true,
    prompt: placeHolder,
    value: String(now),
    validateInput: (text) => {
      const parsed = parseSetting(text, like);
      return "problem" in parsed ? parsed.problem : undefined;
    },
  });
  const parsed = typed === undefined ? undefined : parseSetting(typed, like);
  return parsed && "value" in parsed ? parsed.value : undefined;
}
