import { expect, test } from "vitest";
import type { TokenSpan } from "../../../src/protocol/engineApi";
import { charactersPerToken, chipGroups, tokenChips, tokensOver } from "../../../webview/trace/tokens/layout";
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

test("tokens of what readers see as one character are one group, of one or of several code points", () => {
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

test("a token is linked to those of another tokenizer that stand for the same characters", () => {
  const ours = spans("the", " cat", " sat");
  const theirs = spans("th", "e c", "a", "t s", "at");
  expect(ours.map((token) => tokensOver(theirs, token))).toEqual([
    [0, 2],
    [1, 4],
    [3, 5],
  ]);
  expect(tokensOver(ours, { ...(theirs[0] as TokenSpan), start: 20, end: 22 })).toEqual([0, 0]);
});

test("characters per token counts code points and no special tokens", () => {
  const { tokens } = tinyTrace("a🐈").info;
  expect(charactersPerToken(tokens, "a🐈")).toBe(2 / 5);
  expect(charactersPerToken([], "")).toBe(0);
});

test("whitespace is written as glyphs, or as it is", () => {
  const labels = (glyphs: boolean) =>
    tokenChips(spans(" a", "\n", "<|x|>"), " a\n<|x|>", glyphs).map(({ label }) => label);
  expect(labels(true)).toEqual(["·a", "⏎", "<|x|>"]);
  expect(labels(false)).toEqual([" a", "", "<|x|>"]);
});
