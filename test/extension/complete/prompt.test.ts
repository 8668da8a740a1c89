import { describe, expect, test } from "vitest";
import { afterUnknown, promptStart, promptText } from "../../../src/extension/complete/promptWindow";
import { promptTokensRead } from "../../../src/extension/complete/shownCompletion";

describe("the prompt", () => {
  test.each([
    [0, 0],
    [8192, 0],
    [8193, 4096],
    [12288, 4096],
    [12289, 8192],
    [5_000_000, 4_993_024],
  ])("for offset %i starts at %i", (offset, start) => expect(promptStart(offset)).toBe(start));

  test("has 4096 to 8192 characters in a long document", () => {
    for (let offset = 8193; offset < 40_000; offset += 17) {
      const length = offset - promptStart(offset);
      expect(length).toBeGreaterThanOrEqual(4096);
      expect(length).toBeLessThanOrEqual(8192);
    }
  });

  test("has Unix line breaks and no half surrogate pair in front", () => {
    expect(promptText("\udd8aone\r\ntwo\n")).toBe("one\ntwo\n");
  });

  test.each([
    ["no unknown here", [], "no unknown here"],
    ["café and 🦊 ran", ["é", "🦊"], " ran"],
    ["🦊 ran to the café", ["é", "🦊"], ""],
  ])("%j with unknown %j is cut to %j", (prompt, unknown, rest) => {
    expect(afterUnknown(prompt, new Set(unknown))).toBe(rest);
  });
});

test("the tokens read are the last of the prompt, with the token that marks the beginning", () => {
  const span = (id: number, start: number, end: number, special = false) => ({
    id,
    token: "",
    start,
    end,
    special,
    bytes: new Uint8Array(),
  });
  const spans = [span(1, 0, 0, true), span(5, 0, 3), span(6, 3, 7), span(7, 7, 8)];
  expect(promptTokensRead(spans, 4)).toEqual({ ids: [1, 5, 6, 7], start: 0 });
  expect(promptTokensRead(spans, 3)).toEqual({ ids: [1, 6, 7], start: 3 });
  expect(promptTokensRead(spans.slice(1), 1)).toEqual({ ids: [7], start: 7 });
});
