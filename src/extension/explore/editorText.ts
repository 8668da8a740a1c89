import * as vscode from "vscode";
import type { InspectedSource } from "../../protocol/webviewApi";
import { l10n } from "../l10n";
import { MAX_INSPECTED } from "../webviews/messageChecks";
import { toTraceOffset } from "./textOffsets";
import { textSchemes } from "./tokenHover";

/** A text to inspect. Typed text has no location in an editor. */
export interface ShownText {
  readonly source: InspectedSource;
  readonly location: TextLocation | null;
}

type EditorText = ShownText & { readonly location: TextLocation };

export interface TextLocation {
  readonly uri: vscode.Uri;
  /** UTF-16 offset of the text in the document. */
  readonly start: number;
}

/** False for editors such as the log. */
export const showsText = ({ document }: vscode.TextEditor): boolean => textSchemes.includes(document.uri.scheme);

/** An editor's selection or, without one, the line of its cursor; null if that line is blank. */
export function textOf({ document, selection }: vscode.TextEditor): EditorText | null {
  const name = nameOf(document);
  if (!selection.isEmpty) {
    const label = l10n.t("{0}, selection from line {1}", name, selection.start.line + 1);
    const end = document.offsetAt(selection.end);
    // Reads only the end of a large selection.
    const start = Math.max(document.offsetAt(selection.start), end - MAX_INSPECTED - 1);
    const text = document.getText(new vscode.Range(document.positionAt(start), selection.end));
    return located(document, start, sourceOf("selection", label, text), text);
  }
  const line = document.lineAt(selection.active.line);
  if (line.isEmptyOrWhitespace) return null;
  const source = sourceOf("line", l10n.t("{0}, line {1}", name, line.lineNumber + 1), line.text);
  return located(document, document.offsetAt(line.range.start), source, line.text);
}

/** A part of a document, with the token at `offset` selected. */
export function textAround(document: vscode.TextDocument, from: number, to: number, offset: number): ShownText {
  const start = document.positionAt(from);
  const text = document.getText(new vscode.Range(start, document.positionAt(to)));
  const label = l10n.t("{0}, to line {1}", nameOf(document), document.positionAt(offset).line + 1);
  const shown = located(document, document.offsetAt(start), sourceOf("selection", label, text), text);
  const chosen = toTraceOffset(shown.source.text, offset - shown.location.start);
  return { ...shown, source: { ...shown.source, chosen } };
}

export const typedText = (text: string): InspectedSource => sourceOf("typed", l10n.t("typed text"), text);

const nameOf = (document: vscode.TextDocument) => document.uri.path.split("/").at(-1) || document.fileName;

function located(document: vscode.TextDocument, start: number, source: InspectedSource, text: string): EditorText {
  return { source, location: { uri: document.uri, start: start + text.length - source.text.length } };
}

function sourceOf(kind: InspectedSource["kind"], label: string, text: string): InspectedSource {
  const truncated = text.length > MAX_INSPECTED;
  return { kind, label, text: truncated ? text.slice(-MAX_INSPECTED) : text, truncated };
}

/** Models are trained on "\n" line breaks only. */
export const withUnixLineBreaks = (text: string): string => text.replaceAll("\r\n", "\n");
