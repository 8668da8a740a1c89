import * as vscode from "vscode";
import { showsText } from "../explore/editorText";

/** Lines above and below the visible ones that are also scored and colored. */
const MARGIN = 50;

/** The visible text editors, the active one first. */
export function textEditors(): vscode.TextEditor[] {
  const { activeTextEditor: active, visibleTextEditors } = vscode.window;
  return [...(active ? [active] : []), ...visibleTextEditors.filter((editor) => editor !== active)].filter(showsText);
}

/** The visible source ranges of an editor with the lines around them. */
export function withMargin({ document, visibleRanges }: vscode.TextEditor): vscode.Range[] {
  return visibleRanges.map(({ start, end }) => {
    const last = Math.min(document.lineCount - 1, end.line + MARGIN);
    return new vscode.Range(Math.max(0, start.line - MARGIN), 0, last, Number.MAX_SAFE_INTEGER);
  });
}

/** UTF-16 offsets of a source range. */
export const offsetsOf = (document: vscode.TextDocument, { start, end }: vscode.Range): readonly [number, number] => [
  document.offsetAt(start),
  document.offsetAt(end),
];

export const lengthOf = (document: vscode.TextDocument): number =>
  document.offsetAt(new vscode.Position(document.lineCount, 0));

/** The text between two offsets, adjusted so that it does not split a line break or a character. */
export function readText(document: vscode.TextDocument, start: number, end: number): { offset: number; text: string } {
  const range = new vscode.Range(document.positionAt(Math.max(0, start)), document.positionAt(end));
  const text = document.getText(range).replace(/[\ud800-\udbff]$/, "");
  const offset = document.offsetAt(range.start);
  return /^[\udc00-\udfff]/.test(text) ? { offset: offset + 1, text: text.slice(1) } : { offset, text };
}
