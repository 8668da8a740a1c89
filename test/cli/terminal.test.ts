import { expect, test } from "vitest";
import { printable } from "../../src/cli/terminal";

test("text of a model cannot control a terminal, and reaches a pipe unchanged", () => {
  const text = "a story\n\u001b[2J\u001b]0;title\u0007";
  expect(printable(text, true)).toBe("a story\n\\u001b[2J\\u001b]0;title\\u0007");
  expect(printable(text, false)).toBe(text);
});
