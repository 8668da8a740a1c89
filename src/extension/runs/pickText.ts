/** Asks for the text to train on: the selection, the active file, files, a folder, or the sample of a preset. */

import * as vscode from "vscode";
import type { TextSource } from "../../protocol/engineApi";
import { l10n } from "../l10n";

export interface NamedText {
  readonly name: string;
  readonly source: TextSource;
}

/** `sample` is the text that a preset includes. Returns null for it, and undefined when dismissed. */
export async function pickText(title: string, sample: string | null): Promise<NamedText | null | undefined> {
  const editor = vscode.window.activeTextEditor;
  const items: (vscode.QuickPickItem & { choose(): Promise<NamedText | null | undefined> })[] = [];
  if (sample !== null) {
    items.push({
      label: `$(book) ${sample}`,
      description: l10n.t("the sample of this preset"),
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
