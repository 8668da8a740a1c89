import { expect, test } from "vitest";
import { toDocumentOffset, tokenAtOffset, toTraceOffset } from "../../../src/extension/explore/textOffsets";

test("offsets in a document with Windows line breaks convert to offsets in the trace and back", () => {
  const text = "a\r\nb\r\n🐈c";
  const run = text.replaceAll("\r\n", "\n");
  for (const word of ["a", "b", "🐈", "c"]) {
    expect(text.slice(toDocumentOffset(text, run.indexOf(word))).startsWith(word)).toBe(true);
    expect(toTraceOffset(text, text.indexOf(word))).toBe(run.indexOf(word));
  }
  expect(toDocumentOffset(text, run.length)).toBe(text.length);
});

test("the token at an offset is the one that contains it, or the last one at the end of the text", () => {
  const tokens = [
    { start: 0, end: 0 },
    { start: 0, end: 2 },
    { start: 2, end: 5 },
    { start: 5, end: 5 },
  ];
  expect([0, 1, 2, 4, 5, 6].map((offset) => tokenAtOffset(tokens, offset))).toEqual([1, 1, 2, 2, 2, null]);
  // Only the end of a text longer than the context has tokens.
  expect(tokenAtOffset([{ start: 4, end: 6 }], 1)).toBe(null);
});
