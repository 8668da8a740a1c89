/**
 * Markdown from untrusted text: names of models, tokens, messages. Every Markdown text of the extension is made with these
 * functions, so that nothing in it is markup, a link, an image or HTML that the extension did not write.
 */

import { excerpt } from "../text/untrusted";

/** Text without markup, on one line. */
export const plainText = (text: string): string =>
  excerpt(text.trim() || "–")
    // A character reference has no meaning for what VS Code does with text afterwards: icons and links.
    .replace(/[^\p{L}\p{N}\s,.]|\.(?=\S)|(?<=\d)\./gu, (character) => `&#${character.codePointAt(0)};`)
    .replace(/\s+/g, " ")
    .trim();

/** A code span. Its fence is longer than any sequence of backticks in the text, so that nothing in it is markup. */
export function codeSpan(text: string): string {
  if (text === "") return "` `";
  const shown = excerpt(text);
  const longest = Math.max(0, ...(shown.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  const padding = shown.startsWith("`") || shown.endsWith("`") ? " " : "";
  return `${fence}${padding}${shown}${padding}${fence}`;
}

/**
 * A code span in a cell of a table. A bar ends a cell even inside a code span, and a backslash before it is read
 * differently by each parser, so bars become a letter that looks like one.
 */
export const codeSpanInCell = (text: string): string => codeSpan(text.replaceAll("|", "\u01c0"));
