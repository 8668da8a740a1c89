/** A list of actions and settings. Picking a setting asks for its value and changes it. */

import * as vscode from "vscode";
import { l10n } from "../l10n";
import { orderedSettings, parseSetting, type SettingValue, settingLabel } from "./trainingChoices";

interface Choice<V> {
  readonly label: string;
  readonly description: string;
  readonly value: V;
}

/** Settings to choose from, and the allowed words of those with a fixed set. */
export interface SettingChoices {
  readonly settings: Readonly<Record<string, SettingValue>>;
  readonly words?: Readonly<Record<string, readonly string[]>>;
}

/** Returns the chosen action, "changed" after a setting, or undefined when dismissed. */
export async function pickSetting<V extends string>(
  title: string,
  choices: Promise<readonly Choice<V>[]> | readonly Choice<V>[],
  { settings, words = {} }: SettingChoices,
  changed: Record<string, SettingValue>,
): Promise<V | "changed" | undefined> {
  const items = (actions: readonly Choice<V>[]) => [
    ...actions.map(({ label, description, value }) => ({ label, description, value, name: null, alwaysShow: true })),
    { label: l10n.t("Settings"), kind: vscode.QuickPickItemKind.Separator, value: null, name: null },
    ...orderedSettings(settings).map(([name, value]) => ({
      label: settingLabel(name),
      description: `${changed[name] ?? value}${name in changed ? ` (${l10n.t("changed")})` : ""}`,
      name,
      value: null,
      ...(settingLabel(name) === name ? {} : { detail: name }),
    })),
  ];
  // A click outside the list must not discard earlier changes.
  const all = Promise.resolve(choices).then(items);
  const picked = await vscode.window.showQuickPick(all, { title, matchOnDetail: true, ignoreFocusOut: true });
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
  const placeHolder = l10n.t("Default: {0}", String(like));
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
