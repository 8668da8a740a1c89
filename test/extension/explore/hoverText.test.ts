import { describe, expect, test } from "vitest";
import { hoverText, visible } from "../../../src/extension/explore/hoverText";
import { codeSpan } from "../../../src/extension/markdown";

const span = { id: 412, token: "Ġfox", start: 7, end: 11, special: false, bytes: new TextEncoder().encode(" fox") };
const range = { start: { line: 0, character: 7 }, end: { line: 0, character: 11 } };

test("the hover shows the text, token string, id, index, bytes, and source range of a token", () => {
  expect(hoverText({ span, index: 2, text: " fox", ...range, model: "tiny_fox" }).split("  \n")).toEqual([
    "`·fox` (vocabulary: `Ġfox`)",
    "id **412**, token 2 of the document",
    "bytes `20 66 6F 78`",
    "line 1:8 to 1:12 (offsets 7 to 11)",
    "tiny&#95;fox",
  ]);
});

test("a character outside the vocabulary has no id", () => {
  const text = hoverText({ span: { ...span, id: -1, token: "é" }, index: 3, text: "é", ...range, model: "m" });
  expect(text).toContain("not in the model's vocabulary, token 3 of the document");
  expect(text).not.toContain("-1");
});

test("a token that is part of a character shows its bytes", () => {
  const part = { ...span, token: "ðŁ", bytes: new Uint8Array([0xf0, 0x9f]) };
  expect(hoverText({ span: part, index: 0, text: "🦊", ...range, model: "m" })).toContain("bytes `F0 9F`");
});

test.each([
  [" a b", "·a·b"],
  ["\r\n", "␍⏎"],
  ["\t", "⇥"],
  ["\u200b", "⟨U+200B⟩"],
  ["\u00a0", "⍽"],
  ["\u0007", "␇"],
  ["\ud83e\udd8a", "🦊"],
  ["漢字", "漢字"],
  ["\ufe0f", "⟨U+FE0F⟩"],
])("%j is shown as %s", (text, shown) => expect(visible(text)).toBe(shown));

describe("text of the document is never Markdown", () => {
  test.each([
    ["**bold**", "`**bold**`"],
    ["`", "`` ` ``"],
    ["a``b", "```a``b```"],
    ["[x](command:evil)", "`[x](command:evil)`"],
    ["<img src=x>", "`<img src=x>`"],
  ])("%s", (text, expected) => expect(codeSpan(text)).toBe(expected));
});
