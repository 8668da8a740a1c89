/** The Explorer's panel in the editor area: one, with the text that it was last opened with. */

import * as vscode from "vscode";
import { explorerPanelType } from "../contributions";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { type ShownText, showsText, textOf, typedText } from "./editorText";
import { Explorer } from "./explorer";

export class ExplorerPanel implements vscode.WebviewPanelSerializer, vscode.Disposable {
  readonly #lab: LabServices;
  #open: { readonly panel: vscode.WebviewPanel; readonly explorer: Explorer } | undefined;

  constructor(lab: LabServices) {
    this.#lab = lab;
  }

  /**
   * Opens the Explorer with a text; without one, with that of the active editor, or what it shows, or a sentence to
   * begin with. `view`: which of its views is opened.
   */
  show(given?: ShownText | null, view?: string): void {
    const editor = vscode.window.activeTextEditor;
    const text = given ?? (editor && showsText(editor) ? textOf(editor) : null);
    if (this.#open) {
      if (text) this.#open.explorer.show({ kind: "text", text }, view);
      else this.#open.explorer.open(view);
      return;
    }
    const place = editor ? vscode.ViewColumn.Beside : vscode.ViewColumn.Active;
    const panel = vscode.window.createWebviewPanel(explorerPanelType, l10n.t("Explorer"), place);
    this.#fill(panel, text ?? firstText(), view);
  }

  /** VS Code brings the panel back after a reload, with what its page remembered. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const text = typeof state === "object" && state !== null && "text" in state ? state.text : null;
    const isText = typeof text === "string" && text !== "";
    this.#fill(panel, isText ? { source: typedText(text), place: null } : firstText());
  }

  /** Shades the text in the editor by the attention of the selected token, or not any more; opens the Explorer for it. */
  toggleShading(): void {
    if (!this.#open) this.show();
    this.#open?.explorer.toggleShading();
  }

  engineStarted(): void {
    this.#open?.explorer.engineStarted();
  }

  dispose(): void {
    this.#open?.panel.dispose();
  }

  #fill(panel: vscode.WebviewPanel, text: ShownText, view?: string): void {
    const opened = { panel, explorer: new Explorer(this.#lab, panel, { kind: "text", text }, view) };
    this.#open = opened;
    panel.onDidDispose(() => {
      if (this.#open === opened) this.#open = undefined;
    });
  }
}

/** A sentence that the model that comes with the extension knows how to go on with. */
const firstText = (): ShownText => ({
  source: typedText(l10n.t("Once upon a time, there was a little fox who lived in the wood.")),
  place: null,
});
