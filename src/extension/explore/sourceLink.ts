import * as vscode from "vscode";
import type { TokenSpan, TraceInfo } from "../../protocol/engineApi";
import type { TextLocation } from "./editorText";
import { toDocumentOffset, tokenAtOffset, toTraceOffset } from "./textOffsets";
import { TokenShades } from "./tokenShades";

interface Linked {
  readonly tokens: readonly TokenSpan[];
  readonly location: TextLocation;
  /** The text with the document's line breaks. */
  readonly text: string;
}

/** Links a trace to the editor that its text is from: marks the selected token there and follows the cursor. */
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

  /** `select` is called with the token that the user moves the cursor to. */
  constructor(select: (token: number) => void) {
    this.#subscriptions = vscode.Disposable.from(
      this.#mark,
      this.#shades,
      vscode.window.onDidChangeTextEditorSelection((event) => {
        // Ignores selections made by commands and by the extension.
        if (event.kind === undefined || event.kind === vscode.TextEditorSelectionChangeKind.Command) return;
        const token = this.#tokenAt(event.textEditor);
        if (token !== null && token !== this.#token) select(token);
      }),
      vscode.window.onDidChangeVisibleTextEditors(() => this.#draw()),
      vscode.workspace.onDidChangeTextDocument(({ document }) => {
        if (document.uri.toString() === this.#linked?.location.uri.toString()) this.#draw();
      }),
    );
  }

  /** Links another trace. Typed text has no editor, and translations are not marked. */
  show({ tokens, source: translationSource }: TraceInfo, text: string, location: TextLocation | null): void {
    this.#linked = location && !translationSource ? { tokens, location, text } : null;
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
    const at = editor.document.offsetAt(editor.selection.active) - linked.location.start;
    if (at < 0 || at > linked.text.length) return null;
    return tokenAtOffset(linked.tokens, toTraceOffset(linked.text, at));
  }

  /** The link, if the document still contains the text at its location. */
  #linkedTo({ document }: vscode.TextEditor): Linked | null {
    const linked = this.#linked;
    if (!linked || document.uri.toString() !== linked.location.uri.toString()) return null;
    const { start } = linked.location;
    const range = new vscode.Range(document.positionAt(start), document.positionAt(start + linked.text.length));
    return document.getText(range) === linked.text ? linked : null;
  }
}

/** The source range of a token; none for a token without text. */
function rangeOf(document: vscode.TextDocument, { tokens, location, text }: Linked, index: number): vscode.Range[] {
  const token = tokens[index];
  if (!token || token.end === token.start) return [];
  const at = (offset: number) => document.positionAt(location.start + toDocumentOffset(text, offset));
  return [new vscode.Range(at(token.start), at(token.end))];
}
