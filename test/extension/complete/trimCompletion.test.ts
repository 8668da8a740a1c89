import { describe, expect, test } from "vitest";
import { trimCompletion, withoutLoop } from "../../../src/extension/complete/trimCompletion";

describe("ghost text", () => {
  const alone = { after: "", nextLine: "", multiLine: false };

  test("is the first line without trailing blanks", () =>
    expect(trimCompletion("ran home.  \nThen", alone)).toBe("ran home."));
  test("is all lines on request", () => {
    expect(trimCompletion("ran home.\nThen", { ...alone, multiLine: true })).toBe("ran home.\nThen");
  });
  test("does not repeat the brackets after the cursor", () =>
    expect(trimCompletion("a, b)", { ...alone, after: ")" })).toBe("a, b"));
  test("does not repeat the next line", () =>
    expect(trimCompletion("It was late.", { ...alone, nextLine: "  It was late." })).toBe(""));
  test("is empty for blanks", () => expect(trimCompletion("  \n x", alone)).toBe(""));

  test.each([
    ["and the fox and the fox and the fox and", "and the fox"],
    ["ha ha ha ha ha", "ha"],
    ["wait ...", "wait ..."],
    ["the the cat", "the the cat"],
    ["one two three four", "one two three four"],
  ])("%j becomes %j without its loop", (text, expected) => expect(withoutLoop(text)).toBe(expected));
});
