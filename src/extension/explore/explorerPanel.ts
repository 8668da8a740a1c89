import * as vscode from "vscode";
import { explorerPanelType } from "../contributions";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { type ShownText, showsText, textOf, typedText } from "./editorText";
import { Explorer } from "./explorer";

/** The one Model Explorer panel in the editor area. */
export class ExplorerPanel implements vscode.WebviewPanelSerializer, vscode.Disposable {
  readonly #lab: LabServices;
  #open: { readonly panel: vscode.WebviewPanel; readonly explorer: Explorer } | undefined;

  constructor(lab: LabServices) {
    this.#lab = lab;
  }

  /**
   * Opens the panel with the given text, the active editor's text, the text it already shows, or a sample sentence, in
   * this order. `view` is the id of the view to open.
   */
  show(given?: ShownText | null, view?: string): void {
    const editor = vscode.window.activeTextEditor;
    const text = given ?? (editor && showsText(editor) ? textOf(editor) : null);
    if (this.#open) {
      if (text) this.#open.explorer.show({ kind: "text", text }, view);
      else this.#open.explorer.open(view);
      return;
    }
    const column = editor ? vscode.ViewColumn.Beside : vscode.ViewColumn.Active;
    const panel = vscode.window.createWebviewPanel(explorerPanelType, l10n.t("Model Explorer"), column);
    this.#fill(panel, text ?? sampleText(), view);
  }

  /** VS Code restores the panel after a reload, with the state that its page saved. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const text = typeof state === "object" && state !== null && "text" in state ? state.text : null;
    const isText = typeof text === "string" && text !== "";
    this.#fill(panel, isText ? { source: typedText(text), location: null } : sampleText());
  }

  /** Toggles the shading of the editor's text by the attention of the selected token; opens the panel if needed. */
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

/** A sentence in the style of the stories that the bundled model was trained on. */
const sampleText = (): ShownText => ({
  source: {
    ...typedText(l10n.t("Once upon a time, there was a little fox who lived in the wood.")),
    label: l10n.t("sample text"),
  },
  location: null,
});
