import { expect, test } from "vitest";
import { toDocumentOffset, tokenAtOffset, toTraceOffset } from "../../../src/extension/explore/textOffsets";
import { isModelOrCheckpoint } from "../../../src/extension/models/modelFolders";

test("offsets in a document with two-character line breaks are found from those in the text that was run, and back", () => {
  const text = "a\r\nb\r\n🐈c";
  const run = text.replaceAll("\r\n", "\n");
  for (const word of ["a", "b", "🐈", "c"]) {
    expect(text.slice(toDocumentOffset(text, run.indexOf(word))).startsWith(word)).toBe(true);
    expect(toTraceOffset(text, text.indexOf(word))).toBe(run.indexOf(word));
  }
  expect(toDocumentOffset(text, run.length)).toBe(text.length);
});

test("the cursor is at the token that it is before, or at the text's end in the last one", () => {
  const tokens = [
    { start: 0, end: 0 },
    { start: 0, end: 2 },
    { start: 2, end: 5 },
    { start: 5, end: 5 },
  ];
  expect([0, 1, 2, 4, 5, 6].map((offset) => tokenAtOffset(tokens, offset))).toEqual([1, 1, 2, 2, 2, null]);
  // A text longer than the context is run from its end: what is before has no token.
  expect(tokenAtOffset([{ start: 4, end: 6 }], 1)).toBe(null);
});

test("pages may ask about known models and their checkpoints only", () => {
  const models = ["/models/fox"];
  expect(isModelOrCheckpoint("/models/fox", models)).toBe(true);
  expect(isModelOrCheckpoint("/models/fox/checkpoints/step-100", models)).toBe(true);
  for (const dir of ["/models", "/models/hare", "/models/fox/checkpoints/..", "/models/fox/other/step-1", "/etc"])
    expect(isModelOrCheckpoint(dir, models), dir).toBe(false);
});
