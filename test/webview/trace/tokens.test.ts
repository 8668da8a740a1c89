import { expect, test } from "vitest";
import type { TokenSpan } from "../../../src/protocol/engineApi";
import type { Expectations } from "../../../src/protocol/traceApi";
import {
  charactersPerToken,
  chipGroups,
  tokenChips,
  tokenLabel,
  tokensOver,
  visibleText,
} from "../../../webview/trace/tokens/layout";
import { colorValue, expectationCells, expectationLines } from "../../../webview/trace/tokens/tokenTexts";
import { tinyTrace } from "../tinyTrace";

/** Tokens of whole characters, one for each string. */
function spans(...texts: string[]): TokenSpan[] {
  let end = 0;
  return texts.map((token, id) => {
    const start = end;
    end += token.length;
    return { id, token, start, end, special: false, bytes: new TextEncoder().encode(token) };
  });
}

test("tokens that form one character are one group, whether it has one code point or several", () => {
  const flag = spans("a", "🇫", "🇷", "é", "b");
  const groups = (tokens: readonly TokenSpan[], text?: string) => chipGroups(tokenChips(tokens, text));
  expect(groups(flag, "a🇫🇷éb")).toEqual([
    [0, 1],
    [1, 3],
    [3, 4],
    [4, 5],
  ]);
  // Without the text, code points are all that is known.
  expect(groups(flag)).toHaveLength(5);
  // Four bytes of one code point.
  expect(groups(tinyTrace("a🐈").info.tokens, "a🐈").at(-1)).toEqual([2, 6]);
});

test("a token is linked to the tokens of another tokenizer that share its characters", () => {
  const ours = spans("the", " cat", " sat");
  const theirs = spans("th", "e c", "a", "t s", "at");
  expect(ours.map((token) => tokensOver(theirs, token))).toEqual([
    [0, 2],
    [1, 4],
    [3, 5],
  ]);
  expect(tokensOver(ours, { ...(theirs[0] as TokenSpan), start: 20, end: 22 })).toEqual([0, 0]);
});

test("characters per token counts code points and ignores special tokens", () => {
  const { tokens } = tinyTrace("a🐈").info;
  expect(charactersPerToken(tokens, "a🐈")).toBe(2 / 5);
  expect(charactersPerToken([], "")).toBe(0);
});

test("whitespace reads as glyphs or as itself", () => {
  const labels = (glyphs: boolean) =>
    tokenChips(spans(" a", "\n", "<|x|>"), " a\n<|x|>", glyphs).map(({ label }) => label);
  expect(labels(true)).toEqual(["·a", "⏎", "<|x|>"]);
  expect(labels(false)).toEqual([" a", "", "<|x|>"]);
});

test("whitespace and control characters read as glyphs, letters as themselves", () => {
  expect(visibleText("a b\tc\r\n\u00a0é🐈\u0000\u200b")).toBe("a·b⇥c␍⏎⍽é🐈␀U+200B");
});

test("parts of a character read as bytes and are joined to the part before", () => {
  const { tokens } = tinyTrace("a🐈").info;
  expect(tokenChips(tokens).map(({ label, kind, joined }) => [label, kind, joined])).toEqual([
    ["<BOS>", "special", false],
    ["a", "text", false],
    ["F0", "bytes", false],
    ["9F", "bytes", true],
    ["90", "bytes", true],
    ["88", "bytes", true],
  ]);
});

test("a line ends after its line break", () => {
  const { tokens } = tinyTrace("a\nb").info;
  expect(tokenChips(tokens).map(({ breakAfter }) => breakAfter)).toEqual([false, false, true, false]);
});

test("a special token reads as its name", () => {
  expect(tokenLabel(tinyTrace("").info.tokens[0]!)).toBe("<BOS>");
});

test("a color's number is the token's own, and missing for the first token", () => {
  const expected = {
    surprisal: Float32Array.of(Number.NaN, 2),
    entropy: Float32Array.of(Number.NaN, 3),
    rank: Uint32Array.of(0, 7),
  } as Expectations;
  expect(
    (["none", "probability", "surprisal", "entropy"] as const).map((color) => colorValue(expected, color, 1)),
  ).toEqual([Number.NaN, 0.25, 2, 3]);
  expect(expectationLines(expected, 0)).toEqual([]);
  expect(expectationLines(expected, 1)[0]).toBe("probability[1] = 0.250000, rank 7");
  // One row of a translator's source comes first.
  const cells = [0, 1, 2].map(expectationCells(expected, 1));
  expect(cells).toEqual([
    ["–", "–", "–", "–"],
    ["–", "–", "–", "–"],
    [0.25, 2, 3, 7],
  ]);
});
