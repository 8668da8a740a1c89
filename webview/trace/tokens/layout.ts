/** Text of tokens: whitespace as glyphs, special tokens by name, parts of a character as bytes. */

import type { TokenSpan } from "../../../src/protocol/engineApi";
import type { TableData } from "../../charts/csv";

export interface TokenChip {
  readonly index: number;
  readonly id: number;
  /** Text on the chip. */
  readonly label: string;
  /** `bytes`: a part of a character, written in hexadecimal. */
  readonly kind: "text" | "bytes" | "special";
  /** The token belongs to the same character as the token before it. */
  readonly joined: boolean;
  /** A new line of text starts after this token. */
  readonly breakAfter: boolean;
}

/** Chips of tokens in reading order. Given their text, characters are grapheme clusters, else code points. */
export function tokenChips(tokens: readonly TokenSpan[], text?: string, glyphs = true): TokenChip[] {
  const starts = text === undefined ? null : characterStarts(text, tokens);
  return tokens.map((token, index) => {
    const decoded = tokenText(token);
    const before = tokens[index - 1];
    return {
      index,
      id: token.id,
      label: glyphs ? tokenLabel(token) : plainLabel(token),
      kind: token.special ? "special" : decoded === null ? "bytes" : "text",
      joined: before !== undefined && sharesCharacter(before, token, starts),
      breakAfter: decoded?.endsWith("\n") ?? false,
    };
  });
}

const isOfText = ({ start, end, special }: TokenSpan): boolean => end > start && !special;

/** Returns whether a token starts within the last character of the token before it. */
const sharesCharacter = (before: TokenSpan, token: TokenSpan, starts: ReadonlySet<number> | null): boolean =>
  isOfText(before) &&
  isOfText(token) &&
  (token.start < before.end || (starts !== null && token.start === before.end && !starts.has(token.start)));

/** Offsets at which grapheme clusters start: a flag is one character, though it has several code points. */
function characterStarts(text: string, tokens: readonly TokenSpan[]): Set<number> {
  const own = tokens.filter(isOfText);
  const from = own[0]?.start ?? 0;
  const segments = new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(
    text.slice(from, own.at(-1)?.end ?? 0),
  );
  return new Set(Array.from(segments, ({ index }) => from + index));
}

/** Ranges of tokens that form one character; most have a single token. `end` is exclusive. */
export function chipGroups(chips: readonly TokenChip[]): [first: number, end: number][] {
  const groups: [number, number][] = [];
  for (const { index, joined } of chips) {
    const last = groups.at(-1);
    if (joined && last) last[1] = index + 1;
    else groups.push([index, index + 1]);
  }
  return groups;
}

/** Range of the tokens that share characters with a token of another tokenizer. `end` is exclusive. */
export function tokensOver(tokens: readonly TokenSpan[], { start, end }: TokenSpan): [first: number, end: number] {
  const isOver = (token: TokenSpan) => isOfText(token) && token.start < end && token.end > start;
  const first = tokens.findIndex(isOver);
  return first < 0 ? [0, 0] : [first, tokens.findLastIndex(isOver) + 1];
}

/** Code points of the text per token, without special tokens. */
export function charactersPerToken(tokens: readonly TokenSpan[], text: string): number {
  const own = tokens.filter(isOfText);
  const [first, last] = [own[0], own.at(-1)];
  return first && last ? Array.from(text.slice(first.start, last.end)).length / own.length : 0;
}

type WrittenToken = Pick<TokenSpan, "token" | "special" | "bytes">;

/** A token as written on the page, never empty. */
export function tokenLabel(token: WrittenToken): string {
  if (token.special) return token.token;
  const text = tokenText(token);
  if (text === null) return hexBytes(token.bytes);
  return text === "" ? token.token : visibleText(text);
}

/** A token with its own whitespace, but without line breaks, since those end a line of chips. */
function plainLabel(token: WrittenToken): string {
  const text = tokenText(token);
  return token.special || !text ? tokenLabel(token) : text.replaceAll(/[\r\n]/g, "");
}

/** A token's text; null if its bytes are only part of a character. */
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

/** Replaces invisible characters by glyphs: `"a b\n"` reads as `a·b⏎`. */
export function visibleText(text: string): string {
  return Array.from(text, (char) => {
    const glyph = GLYPHS[char];
    if (glyph) return glyph;
    const code = char.codePointAt(0) as number;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return /[\p{Z}\p{C}]/u.test(char) ? `U+${code.toString(16).toUpperCase().padStart(4, "0")}` : char;
  }).join("");
}

/** Replaces typed glyphs by their characters: `"a·b⏎"` reads as `a b\n`. */
export const typedText = (typed: string): string =>
  Object.entries(GLYPHS).reduce((text, [char, glyph]) => text.replaceAll(glyph, char), typed);

/** Source range of a token in UTF-16 code units; null for tokens without text. */
export const tokenSpanText = ({ start, end }: TokenSpan): string | null => (end > start ? `${start}–${end}` : null);

/** Probability of a token given the tokens before it. */
export const expectedProbability = ({ surprisal }: { readonly surprisal: Float32Array }, index: number): number =>
  2 ** -(surprisal[index] as number);

/** A token's id; a character that the vocabulary lacks has none. */
export const idText = ({ id }: Pick<TokenSpan, "id">): string => (id < 0 ? "?" : String(id));

/** A row per token; `expectation` returns the cells on its probability. */
export const tokenTable = (
  title: string,
  tokens: readonly TokenSpan[],
  expectation: ((row: number) => readonly (string | number)[]) | null,
): TableData => ({
  title,
  columns: [
    "position",
    "token",
    "id",
    "kind",
    "bytes",
    "start",
    "end",
    ...(expectation ? ["probability", "surprisal (bits)", "entropy (bits)", "rank"] : []),
  ],
  rows: tokens.length,
  row: (i: number) => {
    const token = tokens[i] as TokenSpan;
    return [
      i,
      tokenLabel(token),
      token.id,
      token.special ? "special" : "text",
      hexBytes(token.bytes),
      token.start,
      token.end,
      ...(expectation?.(i) ?? []),
    ];
  },
});
