import { describe, expect, test } from "vitest";
import { random } from "../../../src/engine/random";
import {
  type CachedCompletion,
  type CursorContext,
  remainingText,
} from "../../../src/extension/complete/cachedCompletion";
import { contains } from "../../../src/extension/complete/shownCompletion";

const contextOf = (before: string, more: Partial<CursorContext> = {}): CursorContext => ({
  uri: "file:///a.txt",
  offset: before.length,
  before,
  after: "",
  ...more,
});
const completion: CachedCompletion = { context: contextOf("The fox "), source: "model", text: "ran home." };

describe("the remaining text of a completion", () => {
  test.each([
    ["nothing was typed", "The fox ", "ran home."],
    ["its beginning was typed", "The fox ra", "n home."],
    ["all of it was typed", "The fox ran home.", ""],
    ["something else was typed", "The fox s", null],
    ["more than it was typed", "The fox ran home. It", null],
    ["text before it was deleted", "The fox", null],
  ])("is right when %s", (_, before, rest) => expect(remainingText(completion, contextOf(before), "model")).toBe(rest));

  test("is null in another document, before other text, for another model, and after other text", () => {
    expect(remainingText(completion, contextOf("The fox ", { uri: "file:///b.txt" }), "model")).toBeNull();
    expect(remainingText(completion, contextOf("The fox ", { after: ")" }), "model")).toBeNull();
    expect(remainingText(completion, contextOf("The fox "), "another")).toBeNull();
    expect(remainingText(completion, contextOf("The cat "), "model")).toBeNull();
  });

  test("is found after the prompt window has moved", () => {
    const long = "x".repeat(5000);
    const from: CachedCompletion = { context: contextOf(`${long}The fox `), source: "m", text: "ran" };
    expect(remainingText(from, { ...contextOf("The fox r"), offset: 5009 }, "m")).toBe("an");
  });

  test("and the typed text add up to the completion, for any text", () => {
    const { below } = random(1, "typing");
    for (let round = 0; round < 500; round++) {
      const text = Array.from({ length: 1 + below(12) }, () => "ab \u{1f98a}"[below(5)]).join("");
      const typed = below(text.length + 1);
      const cached: CachedCompletion = { context: contextOf("so "), source: "m", text };
      expect(remainingText(cached, contextOf(`so ${text.slice(0, typed)}`), "m")).toBe(text.slice(typed));
      const wrong = `so ${text.slice(0, typed)}Z`;
      expect(remainingText(cached, contextOf(wrong), "m")).toBeNull();
    }
  });
});

test("a completion contains the offsets of its text in its own document", () => {
  const hasOffset = (offset: number) => contains(completion, "file:///a.txt", offset);
  expect([7, 8, 17, 18].map(hasOffset)).toEqual([false, true, true, false]);
  expect(contains(completion, "file:///b.txt", 8)).toBe(false);
});
