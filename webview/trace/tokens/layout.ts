/** How tokens are written: whitespace made visible, special tokens by name, parts of a character as bytes. */

import type { TokenSpan } from "../../../src/protocol/engineApi";
import type { TableData } from "../../charts/csv";

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

/** The chips of a prompt in reading order; with the text that they are of, its characters are those that readers see. */
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

/** Whether a token begins within the character that the one before it ends with. */
const sharesCharacter = (before: TokenSpan, token: TokenSpan, starts: ReadonlySet<number> | null): boolean =>
  isOfText(before) &&
  isOfText(token) &&
  (token.start < before.end || (starts !== null && token.start === before.end && !starts.has(token.start)));

/** Where characters begin as readers see them: a flag or a family is one, though it has several code points. */
function characterStarts(text: string, tokens: readonly TokenSpan[]): Set<number> {
  const of = tokens.filter(isOfText);
  const from = of[0]?.start ?? 0;
  const segments = new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(
    text.slice(from, of.at(-1)?.end ?? 0),
  );
  return new Set(Array.from(segments, ({ index }) => from + index));
}

/** Tokens of one character, from the first to before the last; of most tokens just one. */
export function chipGroups(chips: readonly TokenChip[]): [first: number, end: number][] {
  const groups: [number, number][] = [];
  for (const { index, joined } of chips) {
    const last = groups.at(-1);
    if (joined && last) last[1] = index + 1;
    else groups.push([index, index + 1]);
  }
  return groups;
}

/** The tokens of one tokenizer that are of the same text as one of another, from the first to before the last. */
export function tokensOver(tokens: readonly TokenSpan[], { start, end }: TokenSpan): [first: number, end: number] {
  const isOver = (token: TokenSpan) => isOfText(token) && token.start < end && token.end > start;
  const first = tokens.findIndex(isOver);
  return first < 0 ? [0, 0] : [first, tokens.findLastIndex(isOver) + 1];
}

/** How many code points of the text each token stands for, special tokens apart. */
export function charactersPerToken(tokens: readonly TokenSpan[], text: string): number {
  const of = tokens.filter(isOfText);
  const [first, last] = [of[0], of.at(-1)];
  return first && last ? Array.from(text.slice(first.start, last.end)).length / of.length : 0;
}

type WrittenToken = Pick<TokenSpan, "token" | "special" | "bytes">;

/** A token as it is written anywhere in the page, never empty. */
export function tokenLabel(token: WrittenToken): string {
  if (token.special) return token.token;
  const text = tokenText(token);
  if (text === null) return hexBytes(token.bytes);
  return text === "" ? token.token : visibleText(text);
}

/** A token without glyphs: whitespace as it is, but for line breaks, which end the chips' lines. */
function plainLabel(token: WrittenToken): string {
  const text = tokenText(token);
  return token.special || !text ? tokenLabel(token) : text.replaceAll(/[\r\n]/g, "");
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

/** What the run gave a token after those before it. */
export const expectedProbability = ({ surprisal }: { readonly surprisal: Float32Array }, index: number): number =>
  2 ** -(surprisal[index] as number);

/** A character that a vocabulary lacks has no id. */
export const idText = ({ id }: Pick<TokenSpan, "id">): string => (id < 0 ? "?" : String(id));

/** A row for each token; `expectation` tells the cells of how it was expected. */
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
