/** Ties a run to the editor that its text is from: the chosen token is marked there, and the cursor chooses one. */

import * as vscode from "vscode";
import type { TokenSpan, TraceInfo } from "../../protocol/engineApi";
import type { TextPlace } from "./editorText";
import { inDocument, inRun, tokenAtOffset } from "./textOffsets";
import { TokenShades } from "./tokenShades";

interface Linked {
  readonly tokens: readonly TokenSpan[];
  readonly place: TextPlace;
  /** As the document has it. */
  readonly text: string;
}

export class SourceLink implements vscode.Disposable {
  readonly #mark = vscode.window.createTextEditorDecorationType({
    backgroundColor: new vscode.ThemeColor("editor.wordHighlightStrongBackground"),
    border: "1px solid",
    borderColor: new vscode.ThemeColor("focusBorder"),
    overviewRulerColor: new vscode.ThemeColor("focusBorder"),
    overviewRulerLane: vscode.OverviewRulerLane.Center,
  });
  readonly #shades = new TokenShades();
  readonly #subscriptions: vscode.Disposable;
  #linked: Linked | null = null;
  #token: number | null = null;
  #weights: Float32Array | null = null;

  /** `choose` is called for the token that the user moves the cursor to. */
  constructor(choose: (token: number) => void) {
    this.#subscriptions = vscode.Disposable.from(
      this.#mark,
      this.#shades,
      vscode.window.onDidChangeTextEditorSelection((event) => {
        // What a command or the extension selects is no choice of a token.
        if (event.kind === undefined || event.kind === vscode.TextEditorSelectionChangeKind.Command) return;
        const token = this.#tokenAt(event.textEditor);
        if (token !== null && token !== this.#token) choose(token);
      }),
      vscode.window.onDidChangeVisibleTextEditors(() => this.#draw()),
      vscode.workspace.onDidChangeTextDocument(({ document }) => {
        if (document.uri.toString() === this.#linked?.place.uri.toString()) this.#draw();
      }),
    );
  }

  /** Another run is shown; of typed text and of translations nothing is marked. */
  show({ tokens, source: translated }: TraceInfo, text: string, place: TextPlace | null): void {
    this.#linked = place && !translated ? { tokens, place, text } : null;
    this.#token = null;
    this.#weights = null;
    this.#draw();
  }

  mark(token: number): void {
    this.#token = token;
    this.#draw();
  }

  shade(weights: Float32Array | null): void {
    this.#weights = weights;
    this.#draw();
  }

  hide(): void {
    this.#linked = null;
    this.#draw();
  }

  dispose(): void {
    this.#subscriptions.dispose();
  }

  #draw(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      const linked = this.#linkedTo(editor);
      const marked = linked && this.#token !== null ? rangeOf(editor.document, linked, this.#token) : [];
      editor.setDecorations(this.#mark, marked);
      const weights = linked ? this.#weights : null;
      this.#shades.draw(editor, weights, (token) => (linked ? rangeOf(editor.document, linked, token) : []));
    }
  }

  #tokenAt(editor: vscode.TextEditor): number | null {
    const linked = this.#linkedTo(editor);
    if (!linked) return null;
    const at = editor.document.offsetAt(editor.selection.active) - linked.place.start;
    if (at < 0 || at > linked.text.length) return null;
    return tokenAtOffset(linked.tokens, inRun(linked.text, at));
  }

  /** What is linked to an editor whose document still has the text where it was. */
  #linkedTo({ document }: vscode.TextEditor): Linked | null {
    const linked = this.#linked;
    if (!linked || document.uri.toString() !== linked.place.uri.toString()) return null;
    const { start } = linked.place;
    const range = new vscode.Range(document.positionAt(start), document.positionAt(start + linked.text.length));
    return document.getText(range) === linked.text ? linked : null;
  }
}

/** Where a token is; nowhere if it stands for no text. */
function rangeOf(document: vscode.TextDocument, { tokens, place, text }: Linked, index: number): vscode.Range[] {
  const token = tokens[index];
  if (!token || token.end === token.start) return [];
  const at = (offset: number) => document.positionAt(place.start + inDocument(text, offset));
  return [new vscode.Range(at(token.start), at(token.end))];
}
