import { expect, test } from "vitest";
import { tokenToSelect } from "../../../webview/explorer/pageState";
import { tinyTrace } from "../tinyTrace";

const { info } = tinyTrace("fox");
const source = (text: string, chosen?: number) => ({
  kind: "typed" as const,
  label: "",
  text,
  truncated: false,
  ...(chosen !== undefined && { chosen }),
});

test("a new text selects its chosen token, else its last one", () => {
  const before = { text: "cat", token: 1, chosen: undefined };
  expect(tokenToSelect(info, source("fox"), before)).toBe(3);
  expect(tokenToSelect(info, source("fox", 1), before)).toBe(2);
  expect(tokenToSelect(info, source("fox", 99), before)).toBe(3);
});

test("the same text keeps the selected token, unless its source chose another one", () => {
  const before = { text: "fox", token: 1, chosen: 0 };
  expect(tokenToSelect(info, source("fox", 0), before)).toBe(1);
  expect(tokenToSelect(info, source("fox", 2), before)).toBe(3);
  expect(tokenToSelect(info, source("fox"), { ...before, token: 9 })).toBe(3);
  expect(tokenToSelect(info, source("fox"), { ...before, token: -1 })).toBe(3);
});
