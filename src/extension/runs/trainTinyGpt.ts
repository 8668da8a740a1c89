/** "Train Tiny GPT": asks for a preset, a text and optional settings, then trains in the background. */

import * as vscode from "vscode";
import type { PresetInfo, TextSource, TrainParams } from "../../protocol/engineApi";
import { deviceName } from "../format";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { setting } from "../settings";
import { findLearningRate } from "./findLearningRate";
import { pickSetting } from "./pickSetting";
import { type SettingValue, settingsWith } from "./trainingChoices";
import type { TrainingPanel } from "./trainingPanel";
import { showRun } from "./trainingProgress";

export function trainTinyGpt(lab: LabServices, panel: TrainingPanel) {
  return async (): Promise<void> => {
    const preset = await pickPreset(lab);
    if (!preset) return;
    const data = preset.needsText ? await pickText(preset.sample) : null;
    if (data === undefined) return;

    await lab.models.refresh();
    const reserved = lab.models.reserve(data?.name ?? preset.title);
    const params: TrainParams = {
      preset: preset.name,
      out: reserved.dir,
      name: reserved.name,
      device: lab.engine.deviceChoice,
      ...(data && { data: data.source }),
    };
    try {
      const set = await pickSettings(preset, (changed) => findLearningRate(lab, panel, { ...params, set: changed }));
      if (!set) return lab.models.release(reserved);
      panel.show();
      const steps = Number(set["train.steps"] ?? preset.settings["train.steps"]);
      await showRun(lab, panel, { kind: "train", params: { ...params, set }, steps });
    } catch (error) {
      lab.models.release(reserved);
      throw error;
    }
  };
}

async function pickPreset({ engine }: LabServices): Promise<PresetInfo | undefined> {
  const items = engine.call("presets", {}).then((presets) =>
    presets.map((preset) => ({
      label: preset.title,
      description: preset.name,
      detail: [preset.description, ...preset.expected].join(" "),
      preset,
    })),
  );
  const title = l10n.t("Train Tiny GPT: choose a preset");
  return (await vscode.window.showQuickPick(items, { title, ignoreFocusOut: true }))?.preset;
}

interface NamedText {
  readonly name: string;
  readonly source: TextSource;
}

/** Returns null for the text that the preset includes, undefined when dismissed. */
async function pickText(sample: string | null): Promise<NamedText | null | undefined> {
  const editor = vscode.window.activeTextEditor;
  const items: (vscode.QuickPickItem & { choose(): Promise<NamedText | null | undefined> })[] = [];
  if (sample !== null) {
    items.push({
      label: `$(book) ${l10n.t("Sample text of the preset")}`,
      description: sample,
      choose: async () => null,
    });
  }
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
  const title = l10n.t("Train Tiny GPT: choose a text");
  const picked = await vscode.window.showQuickPick(items, {
    title,
    placeHolder: l10n.t("The model learns to write like this text"),
    ignoreFocusOut: true,
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
    title: folder ? l10n.t("Choose a folder to train on") : l10n.t("Choose files to train on"),
    openLabel: l10n.t("Train"),
    canSelectFiles: !folder,
    canSelectFolders: folder,
    canSelectMany: !folder,
  });
  if (!uris?.length) return undefined;
  if (uris.every((uri) => uri.scheme === "file")) return pathsOf(uris);
  // Files outside the local disk are read through the editor.
  if (folder) throw new Error(l10n.t("This folder is not on the local disk. Choose its files instead."));
  const documents = await Promise.all(uris.map((uri) => vscode.workspace.openTextDocument(uri)));
  const name =
    documents.length === 1 && documents[0] ? baseName(documents[0].uri) : l10n.t("{0} files", documents.length);
  return { name, source: { kind: "text", name, text: documents.map((document) => document.getText()).join("\n") } };
}

const baseName = (uri: vscode.Uri) => uri.path.split("/").at(-1) || uri.path;

/**
 * Returns the changed settings; Enter starts with the preset's own. Undefined when dismissed. `findRate` returns the
 * settings of an accepted learning rate, if any.
 */
async function pickSettings(
  preset: PresetInfo,
  findRate: (changed: Changed) => Promise<Changed | undefined>,
): Promise<Changed | undefined> {
  const changed: Record<string, SettingValue> = {};
  const start = {
    label: `$(play) ${l10n.t("Start training")}`,
    description: l10n.t("device: {0}", deviceName(setting("engine.device"))),
    value: "start" as const,
  };
  const find = {
    label: `$(graph-line) ${l10n.t("Find a learning rate…")}`,
    description: l10n.t("tests increasing rates for a minute and shows the loss of each"),
    value: "find" as const,
  };
  for (;;) {
    const picked = await pickSetting(
      l10n.t("{0}: start, or change a setting first", preset.title),
      [start, find],
      { settings: settingsWith(preset, changed), words: preset.choices },
      changed,
    );
    // Settings of a schedule that was replaced do not apply.
    const known = settingsWith(preset, changed);
    for (const name of Object.keys(changed)) if (!(name in known)) delete changed[name];
    if (!picked) return undefined;
    if (picked === "start") return changed;
    if (picked === "find") Object.assign(changed, await findRate(changed));
  }
}

type Changed = Readonly<Record<string, SettingValue>>;
