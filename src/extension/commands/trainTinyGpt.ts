/** "Train Tiny GPT": asks for a preset, for what to train on and, if wanted, for settings; then trains in the background. */

import * as vscode from "vscode";
import type { PresetInfo, TextSource } from "../../protocol/engineApi";
import { l10n } from "../l10n";
import type { Lab } from "../lab";
import { setting } from "../settings";
import type { TrainingPanel } from "../views/trainingPanel";
import { orderedSettings, parseSetting, type SettingValue, settingLabel } from "./trainingChoices";
import { showRun } from "./trainingProgress";

export function trainTinyGpt(lab: Lab, panel: TrainingPanel) {
  return async (): Promise<void> => {
    if (lab.trainings.current?.active) {
      panel.show();
      throw new Error(
        l10n.t("“{0}” is still training. Stop it first, or wait until it is done.", lab.trainings.current.name),
      );
    }
    const preset = await pickPreset(lab);
    if (!preset) return;
    const data = preset.needsText ? await pickText() : undefined;
    if (preset.needsText && !data) return;
    const set = await pickSettings(preset);
    if (!set) return;

    await lab.models.refresh();
    const { name, dir } = lab.models.place(data?.name ?? preset.title);
    const params = { preset: preset.name, out: dir, name, device: lab.engine.deviceChoice, set };
    panel.show();
    await showRun(
      lab,
      panel,
      { kind: "train", params: data ? { ...params, data: data.source } : params },
      preset.needsText,
    );
  };
}

async function pickPreset({ engine }: Lab): Promise<PresetInfo | undefined> {
  const items = engine
    .call("presets", {})
    .then((presets) =>
      presets.map((preset) => ({ label: preset.title, description: preset.name, detail: preset.description, preset })),
    );
  const options = { title: l10n.t("Train Tiny GPT: what kind of model?"), placeHolder: l10n.t("Choose a preset") };
  return (await vscode.window.showQuickPick(items, options))?.preset;
}

interface NamedText {
  readonly name: string;
  readonly source: TextSource;
}

async function pickText(): Promise<NamedText | undefined> {
  const editor = vscode.window.activeTextEditor;
  const items: (vscode.QuickPickItem & { choose(): Promise<NamedText | undefined> })[] = [];
  if (editor && !editor.selection.isEmpty) {
    const { document, selection } = editor;
    const lines = selection.end.line - selection.start.line + 1;
    items.push({
      label: `$(list-selection) ${l10n.t("Selection")}`,
      description: l10n.t("{0} lines of {1}", lines, baseName(document.uri)),
      choose: async () => textOf(document, document.getText(selection)),
    });
  }
  if (editor) {
    const { document } = editor;
    items.push({
      label: `$(file) ${l10n.t("Active file")}`,
      description: baseName(document.uri),
      choose: async () =>
        document.uri.scheme === "file" && !document.isDirty ? pathsOf([document.uri]) : textOf(document),
    });
  }
  items.push({ label: `$(files) ${l10n.t("Choose files…")}`, choose: () => pickFiles(false) });
  items.push({ label: `$(folder) ${l10n.t("Choose a folder…")}`, choose: () => pickFiles(true) });
  const title = l10n.t("Train Tiny GPT: which text?");
  const picked = await vscode.window.showQuickPick(items, {
    title,
    placeHolder: l10n.t("The model learns to write like it"),
  });
  return picked?.choose();
}

const textOf = (document: vscode.TextDocument, text = document.getText()): NamedText => ({
  name: baseName(document.uri),
  source: { kind: "text", name: baseName(document.uri), text },
});

const pathsOf = (uris: readonly vscode.Uri[]): NamedText => ({
  name: uris.length === 1 && uris[0] ? baseName(uris[0]) : l10n.t("{0} files", uris.length),
  source: { kind: "paths", paths: uris.map((uri) => uri.fsPath) },
});

async function pickFiles(folder: boolean): Promise<NamedText | undefined> {
  const uris = await vscode.window.showOpenDialog({
    title: folder ? l10n.t("The folder to train on") : l10n.t("The files to train on"),
    openLabel: l10n.t("Train on This"),
    canSelectFiles: !folder,
    canSelectFolders: folder,
    canSelectMany: !folder,
  });
  if (!uris?.length) return undefined;
  if (uris.every((uri) => uri.scheme === "file")) return pathsOf(uris);
  // Files that are on no disk are read through the editor.
  if (folder) throw new Error(l10n.t("This folder is not on a disk. Choose its files instead."));
  const documents = await Promise.all(uris.map((uri) => vscode.workspace.openTextDocument(uri)));
  const name =
    documents.length === 1 && documents[0] ? baseName(documents[0].uri) : l10n.t("{0} files", documents.length);
  return { name, source: { kind: "text", name, text: documents.map((document) => document.getText()).join("\n") } };
}

const baseName = (uri: vscode.Uri) => uri.path.split("/").at(-1) || uri.path;

/** The settings that were changed; Enter starts with the preset's own. Undefined when dismissed. */
async function pickSettings(preset: PresetInfo): Promise<Record<string, SettingValue> | undefined> {
  const changed: Record<string, SettingValue> = {};
  const title = l10n.t("{0}: start, or change a setting first", preset.title);
  for (;;) {
    const start = {
      label: `$(play) ${l10n.t("Start training")}`,
      description: l10n.t("device: {0}", setting("engine.device")),
      name: null,
      alwaysShow: true,
    };
    const line = { label: l10n.t("Settings"), kind: vscode.QuickPickItemKind.Separator, name: null };
    const settings = orderedSettings(preset.settings).map(([name, value]) => ({
      label: settingLabel(name),
      description: `${changed[name] ?? value}${name in changed ? ` (${l10n.t("changed")})` : ""}`,
      name,
      ...(settingLabel(name) === name ? {} : { detail: name }),
    }));
    const picked = await vscode.window.showQuickPick([start, line, ...settings], { title, matchOnDetail: true });
    if (!picked) return undefined;
    if (picked.name === null) return changed;
    const before = preset.settings[picked.name];
    if (before === undefined) continue;
    const value = await askForSetting(picked.name, changed[picked.name] ?? before, before);
    if (value !== undefined) changed[picked.name] = value;
  }
}

async function askForSetting(name: string, now: SettingValue, like: SettingValue): Promise<SettingValue | undefined> {
  const typed = await vscode.window.showInputBox({
    title: settingLabel(name),
    prompt: l10n.t("The preset has {0}.", String(like)),
    value: String(now),
    validateInput: (text) => {
      const parsed = parseSetting(text, like);
      return "problem" in parsed ? parsed.problem : undefined;
    },
  });
  const parsed = typed === undefined ? undefined : parseSetting(typed, like);
  return parsed && "value" in parsed ? parsed.value : undefined;
}
