/** How tokens are written: whitespace made visible, special tokens by name, parts of a character as bytes. */

import type { TokenSpan } from "../../../src/protocol/engineApi";

export interface TokenChip {
  readonly index: number;
  readonly id: number;
  /** What is written on the chip. */
  readonly label: string;
  /** `bytes`: the token is a part of a character, written as hexadecimal bytes. */
  readonly kind: "text" | "bytes" | "special";
  /** The token is of the same character as the one before it. */
  readonly joined: boolean;
  /** The text goes on in a new line after this token. */
  readonly breakAfter: boolean;
}

/** The chips of a prompt in reading order. */
export function tokenChips(tokens: readonly TokenSpan[]): TokenChip[] {
  return tokens.map((token, index) => {
    const text = tokenText(token);
    const before = tokens[index - 1];
    return {
      index,
      id: token.id,
      label: tokenLabel(token),
      kind: token.special ? "special" : text === null ? "bytes" : "text",
      joined: text === null && before !== undefined && tokenText(before) === null && before.start === token.start,
      breakAfter: text?.endsWith("\n") ?? false,
    };
  });
}

type WrittenToken = Pick<TokenSpan, "token" | "special" | "bytes">;

/** A token as it is written anywhere in the page, never empty. */
export function tokenLabel(token: WrittenToken): string {
  if (token.special) return token.token;
  const text = tokenText(token);
  if (text === null) return hexBytes(token.bytes);
  return text === "" ? token.token : visibleText(text);
}

/** The text that a token stands for; null where its bytes are only a part of a character. */
function tokenText({ bytes, special }: WrittenToken): string | null {
  if (special) return "";
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** `[0xe2, 0x82]` reads as `E2 82`. */
export const hexBytes = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");

const GLYPHS: Readonly<Record<string, string>> = { " ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍", "\u00a0": "⍽" };

/** Text with a glyph for each character that would not be seen: `"a b\n"` reads as `a·b⏎`. */
export function visibleText(text: string): string {
  return Array.from(text, (char) => {
    const glyph = GLYPHS[char];
    if (glyph) return glyph;
    const code = char.codePointAt(0) as number;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return /[\p{Z}\p{C}]/u.test(char) ? `U+${code.toString(16).toUpperCase().padStart(4, "0")}` : char;
  }).join("");
}

/** What was typed, in which a glyph stands for what it shows: `"a·b⏎"` reads as `a b\n`. */
export const typedText = (typed: string): string =>
  Object.entries(GLYPHS).reduce((text, [char, glyph]) => text.replaceAll(glyph, char), typed);

/** Where the text is read from, as UTF-16 offsets; null for tokens that stand for no text. */
export const tokenSpanText = ({ start, end }: TokenSpan): string | null => (end > start ? `${start}–${end}` : null);
