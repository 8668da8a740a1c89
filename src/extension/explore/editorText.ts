/** The text of an editor that is looked into, and where in its document it is. */

import * as vscode from "vscode";
import type { InspectedSource } from "../../protocol/webviewApi";
import { l10n } from "../l10n";
import { MAX_INSPECTED } from "../webviews/messageChecks";
import { inRun } from "./textOffsets";
import { textSchemes } from "./tokenHover";

export interface EditorText {
  readonly source: InspectedSource;
  readonly place: TextPlace;
}

/** A text that is looked into; one that was typed has no place in an editor. */
export interface ShownText {
  readonly source: InspectedSource;
  readonly place: TextPlace | null;
}

export interface TextPlace {
  readonly uri: vscode.Uri;
  /** UTF-16 offset of the text in the document. */
  readonly start: number;
}

/** Whether an editor shows a text: the log is an editor too. */
export const showsText = ({ document }: vscode.TextEditor): boolean => textSchemes.includes(document.uri.scheme);

/** An editor's selection, or the line of its cursor; null where that is empty. */
export function textOf({ document, selection }: vscode.TextEditor): EditorText | null {
  const name = document.uri.path.split("/").at(-1) || document.fileName;
  if (!selection.isEmpty) {
    const label = l10n.t("{0}, selection from line {1}", name, selection.start.line + 1);
    const end = document.offsetAt(selection.end);
    // The end of a range, without reading all of a large one.
    const start = Math.max(document.offsetAt(selection.start), end - MAX_INSPECTED - 1);
    const text = document.getText(new vscode.Range(document.positionAt(start), selection.end));
    return placed(document, start, sourceOf("selection", label, text), text);
  }
  const line = document.lineAt(selection.active.line);
  if (line.isEmptyOrWhitespace) return null;
  const source = sourceOf("line", l10n.t("{0}, line {1}", name, line.lineNumber + 1), line.text);
  return placed(document, document.offsetAt(line.range.start), source, line.text);
}

/** A part of a document, with the token at an offset chosen. */
export function textAround(document: vscode.TextDocument, from: number, to: number, offset: number): ShownText {
  const name = document.uri.path.split("/").at(-1) || document.fileName;
  const start = document.positionAt(from);
  const text = document.getText(new vscode.Range(start, document.positionAt(to)));
  const label = l10n.t("{0}, to line {1}", name, document.positionAt(offset).line + 1);
  const shown = placed(document, document.offsetAt(start), sourceOf("selection", label, text), text);
  const chosen = inRun(shown.source.text, offset - shown.place.start);
  return { ...shown, source: { ...shown.source, chosen } };
}

export const typedText = (text: string): InspectedSource => sourceOf("typed", l10n.t("typed text"), text);

function placed(document: vscode.TextDocument, start: number, source: InspectedSource, text: string): EditorText {
  return { source, place: { uri: document.uri, start: start + text.length - source.text.length } };
}

function sourceOf(kind: InspectedSource["kind"], label: string, text: string): InspectedSource {
  const truncated = text.length > MAX_INSPECTED;
  return { kind, label, text: truncated ? text.slice(-MAX_INSPECTED) : text, truncated };
}

/** Models learn line breaks as "\n" alone. */
export const withUnixLineBreaks = (text: string): string => text.replaceAll("\r\n", "\n");
