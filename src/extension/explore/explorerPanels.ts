import * as vscode from "vscode";
import { explorerPanelType } from "../contributions";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { type ShownText, showsText, textOf, typedText } from "./editorText";
import { Explorer, type Opening } from "./explorer";

interface OpenPanel {
  readonly panel: vscode.WebviewPanel;
  readonly explorer: Explorer;
}

/** The Model Explorers in the editor area, each with a model, a text, and a selection of its own. */
export class ExplorerPanels implements vscode.WebviewPanelSerializer, vscode.Disposable {
  readonly #lab: LabServices;
  /** The one that was used last is first. */
  #open: readonly OpenPanel[] = [];

  constructor(lab: LabServices) {
    this.#lab = lab;
  }

  /**
   * Shows the given text, the active editor's text, the text that is shown already, or a sample sentence, in this order, in
   * the Explorer that was used last. A given model has an Explorer of its own.
   */
  show(given?: ShownText | null, { dir, view }: Opening = {}): void {
    const text = given ?? textOfEditor();
    const found = this.#open.find(({ explorer }) => dir === undefined || explorer.model?.dir === dir);
    if (!found) this.#create(text, { dir, view }, this.#open[0]?.panel.viewColumn);
    else if (text) found.explorer.show({ kind: "text", text }, { view });
    else found.explorer.open(view);
  }

  /** Opens another Explorer beside the one that was used last, with the same text unless an editor has one. */
  openAnother(): void {
    const last = this.#open[0];
    const text = textOfEditor() ?? last?.explorer.text ?? null;
    this.#create(text, { dir: last?.explorer.model?.dir }, last && vscode.ViewColumn.Beside);
  }

  /** VS Code restores a panel after a reload, with the state that its page saved. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const saved = (name: string) => {
      const value: unknown = Object(state)[name];
      return typeof value === "string" && value !== "" ? value : undefined;
    };
    const text = saved("text");
    this.#fill(panel, text === undefined ? sampleText() : { source: typedText(text), location: null }, {
      dir: saved("model"),
    });
  }

  /** Toggles the shading of the editor's text by the attention of the selected token; opens an Explorer if needed. */
  toggleShading(): void {
    if (this.#open.length === 0) this.show();
    this.#open[0]?.explorer.toggleShading();
  }

  engineStarted(): void {
    for (const { explorer } of this.#open) explorer.engineStarted();
  }

  dispose(): void {
    for (const { panel } of this.#open) panel.dispose();
  }

  /** By default, the new panel is beside the text that it shows. */
  #create(text: ShownText | null, opening: Opening, column?: vscode.ViewColumn): void {
    const usual = vscode.window.activeTextEditor ? vscode.ViewColumn.Beside : vscode.ViewColumn.Active;
    const panel = vscode.window.createWebviewPanel(explorerPanelType, l10n.t("Model Explorer"), column ?? usual);
    this.#fill(panel, text ?? sampleText(), opening);
  }

  #fill(panel: vscode.WebviewPanel, text: ShownText, opening: Opening): void {
    const opened = { panel, explorer: new Explorer(this.#lab, panel, { kind: "text", text }, opening) };
    this.#open = [opened, ...this.#open];
    panel.onDidChangeViewState(() => {
      if (panel.active) this.#open = [opened, ...this.#open.filter((other) => other !== opened)];
    });
    panel.onDidDispose(() => {
      this.#open = this.#open.filter((other) => other !== opened);
    });
  }
}

function textOfEditor(): ShownText | null {
  const editor = vscode.window.activeTextEditor;
  return editor && showsText(editor) ? textOf(editor) : null;
}

/** A text in the style of the stories that the bundled model was trained on; in their language, so it is not translated. */
const sampleText = (): ShownText => ({
  source: {
    ...typedText('Tom was a clever frog. Then Tom met his friend Mia, a cat. "Why are you sad?" asked'),
    label: l10n.t("sample text"),
  },
  location: null,
});
