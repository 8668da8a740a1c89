/** The Markdown of the token hover. Text from the document is escaped and put into code spans. */

import type { TokenSpan } from "../../protocol/engineApi";
import { l10n } from "../l10n";
import { codeSpan, plainText } from "../markdown";

export interface HoveredToken {
  readonly span: TokenSpan;
  readonly index: number;
  /** The token's text in the document. */
  readonly text: string;
  /** 0-based, as in the editor. */
  readonly start: { readonly line: number; readonly character: number };
  readonly end: { readonly line: number; readonly character: number };
  readonly model: string;
}

export function hoverText({ span, index, text, start, end, model }: HoveredToken): string {
  const shown = visible(text === "" ? span.token : text);
  const vocabularyForm =
    span.token !== text && span.token !== shown ? ` ${l10n.t("(vocabulary: {0})", codeSpan(visible(span.token)))}` : "";
  const range = l10n.t("line {0}:{1} to {2}:{3}", start.line + 1, start.character + 1, end.line + 1, end.character + 1);
  const lines = [
    `${codeSpan(shown)}${vocabularyForm}`,
    span.id < 0
      ? l10n.t("not in the model's vocabulary, token {0} of the document", index)
      : l10n.t("id {0}, token {1} of the document", `**${span.id}**`, index),
    l10n.t("bytes {0}", codeSpan(hex(span.bytes))),
    `${range} (${l10n.t("offsets {0} to {1}", span.start, span.end)})`,
    plainText(model),
  ];
  return lines.join("  \n");
}

/** The symbols that the pages use for invisible characters. */
const SYMBOLS: Readonly<Record<string, string>> = { " ": "·", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽" };

/** Replaces spaces, line breaks, control characters and other invisible characters with symbols. */
export function visible(text: string): string {
  return Array.from(text, (character) => {
    const symbol = SYMBOLS[character];
    if (symbol) return symbol;
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (/[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/u.test(character))
      return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    return character;
  }).join("");
}

/** Tokens have few bytes, unless a vocabulary is hostile. */
const MAX_BYTES = 60;

const hex = (bytes: Uint8Array) =>
  Array.from(bytes.subarray(0, MAX_BYTES), (byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");
