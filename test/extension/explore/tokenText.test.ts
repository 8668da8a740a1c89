import { expect, test } from "vitest";
import { textOfTokens } from "../../../src/extension/explore/tokenText";

const token = (text: string, start: number, end: number, special = false) => ({
  ...{ id: 1, token: text, start, end, special },
  bytes: new TextEncoder().encode(text),
});

test("the text of a trace has no blank that only its tokenizer has put there", () => {
  expect(textOfTokens([token("<s>", 0, 0, true), token(" Once", 0, 4), token(" upon", 4, 9)])).toBe("Once upon");
  expect(textOfTokens([token(" Once", 0, 5), token(" upon", 5, 10)])).toBe(" Once upon");
  expect(textOfTokens([token("Once", 0, 4), token("!", 4, 5)])).toBe("Once!");
  expect(textOfTokens([])).toBe("");
});
