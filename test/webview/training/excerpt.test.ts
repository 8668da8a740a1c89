import { expect, test } from "vitest";
import { meanBits, paintedPieces } from "../../../webview/training/excerpt/layout";
import { tinyTrace } from "../tinyTrace";

test("a colored text has every character once, and the summed surprisal of tokens that share one", () => {
  const { tokens } = tinyTrace("a🐈 b").info;
  const surprisal = Float32Array.from(tokens, (_, i) => (i < 2 ? Number.NaN : i));
  const scored = {
    tokens,
    surprisal,
    entropy: surprisal,
    rank: new Uint32Array(tokens.length),
    alternatives: { count: 0, ids: new Uint32Array(), probabilities: new Float32Array() },
    texts: {},
  };
  const pieces = paintedPieces("a🐈 b.", scored);
  expect(pieces.map(({ text }) => text).join("")).toBe("a🐈 b.");
  expect(pieces.map(({ text, bits }) => [text, bits])).toEqual([
    ["a", null],
    ["🐈", 2 + 3 + 4 + 5],
    [" ", 6],
    ["b", 7],
    [".", null],
  ]);
  expect(meanBits(scored)).toBe((2 + 3 + 4 + 5 + 6 + 7) / 6);
});
