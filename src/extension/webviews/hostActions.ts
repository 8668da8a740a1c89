/** The actions of buttons in webview pages. */

import * as vscode from "vscode";
import type { FileToSave, HostAction } from "../../protocol/webviewApi";
import type { Commands } from "../contributions";
import { l10n } from "../l10n";

const COMMANDS: { readonly [A in HostAction]: keyof Commands } = {
  chooseModel: "decoderLab.chooseModel",
  trainModel: "decoderLab.trainTinyGpt",
  importModel: "decoderLab.importModel",
  restartEngine: "decoderLab.restartEngine",
  showLog: "decoderLab.showLog",
  openRun: "decoderLab.openRunRecord",
};

/** Starts a command without waiting for it. The command shows its own errors. */
export function act({ action }: { action: HostAction }): null {
  void vscode.commands.executeCommand(COMMANDS[action]);
  return null;
}

/** Asks for a file and writes a picture or table to it. */
export async function save({ name, data }: FileToSave): Promise<null> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const target = await vscode.window.showSaveDialog({
    title: l10n.t("Save"),
    ...(folder ? { defaultUri: vscode.Uri.joinPath(folder, name) } : {}),
  });
  if (!target) return null;
  await vscode.workspace.fs.writeFile(target, data);
  void confirmSaved(target);
  return null;
}

/** Says where a file is, and shows it in the system's file manager if the user wants. */
async function confirmSaved(file: vscode.Uri): Promise<void> {
  const reveal = l10n.t("Reveal");
  const name = file.path.slice(file.path.lastIndexOf("/") + 1);
  const chosen = await vscode.window.showInformationMessage(l10n.t("Saved {0}.", name), reveal);
  if (chosen === reveal) await vscode.commands.executeCommand("revealFileInOS", file);
}
