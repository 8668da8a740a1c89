/** What the hover says about a token: pure. Everything from the document goes into code spans, escaped. */

import type { TokenSpan } from "../../protocol/engineApi";
import { l10n } from "../l10n";

export interface HoveredToken {
  readonly span: TokenSpan;
  readonly index: number;
  /** The part of the document that the token stands for. */
  readonly text: string;
  /** Counted from 0, as the editor does. */
  readonly start: { readonly line: number; readonly character: number };
  readonly end: { readonly line: number; readonly character: number };
  readonly model: string;
}

/** Markdown. */
export function hoverText({ span, index, text, start, end, model }: HoveredToken): string {
  const shown = visible(text === "" ? span.token : text);
  const written =
    span.token !== text && span.token !== shown ? ` ${l10n.t("written {0}", codeSpan(visible(span.token)))}` : "";
  const place = l10n.t("line {0}:{1} to {2}:{3}", start.line + 1, start.character + 1, end.line + 1, end.character + 1);
  const lines = [
    `${codeSpan(shown)}${written}`,
    span.id < 0
      ? l10n.t("not in the model's vocabulary, token {0} of the document", index)
      : l10n.t("id {0}, token {1} of the document", `**${span.id}**`, index),
    l10n.t("bytes {0}", codeSpan(hex(span.bytes))),
    `${place} (${l10n.t("offsets {0} to {1}", span.start, span.end)})`,
    `*${escaped(model)}*`,
  ];
  return lines.join("  \n");
}

/** As the views show them. */
const NAMES: Readonly<Record<string, string>> = { " ": "·", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽" };

/** Makes spaces, line ends, controls and characters without a shape visible. */
export function visible(text: string): string {
  return Array.from(text, (character) => {
    const named = NAMES[character];
    if (named) return named;
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (/[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/u.test(character))
      return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    return character;
  }).join("");
}

/** Inside a code span nothing is markdown; only its own fence has to be longer than any run of backticks in it. */
export function codeSpan(text: string): string {
  if (text === "") return "` `";
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  const padding = text.startsWith("`") || text.endsWith("`") ? " " : "";
  return `${fence}${padding}${text}${padding}${fence}`;
}

const hex = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");
const escaped = (text: string) => text.replace(/[\\`*_{}[\]()#+\-.!|<>&~]/g, "\\$&").replace(/\s+/g, " ");
