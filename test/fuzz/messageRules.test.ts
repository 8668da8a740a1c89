import { expect, test } from "vitest";
import { brokenRules } from "./messageRules";

test.each([
  "The file is damaged. Download it again.",
  'The value is "undefined", and "[object Object]" is a name. Choose another.',
  'The key "a\\"undefined" is unknown. Choose another.',
  "“NaN” is not a token. Choose another.",
  "It has 123456789 bytes. Did you mean gpt2?",
])("a message that follows the rules passes: %s", (message) => {
  expect(brokenRules(message)).toEqual([]);
});

test.each([
  ["Two\nlines. Choose another.", "is one line"],
  ["An escape \u001b[31m. Choose another.", "is one line"],
  ["The name “a\u202eb” is turned. Choose another.", "is one line"],
  ["Half a character \ud800. Choose another.", "is well-formed"],
  ["It has no end", "ends a sentence"],
  ["The value is undefined. Choose another.", "names no missing value"],
  ["The value is [object Object]. Choose another.", "names no missing value"],
  ["Cannot read properties of it. Choose another.", "no words of the JavaScript engine"],
  ["x is not iterable. Choose another.", "no words of the JavaScript engine"],
  ["It failed with ENOENT. Choose another.", "no code of the operating system"],
  ["Try again in 99999999999999980000 s.", "no impossible number"],
  ["0.0 GB free and 0.0 GB are needed.", "no impossible number"],
  ["It is 1e+300. Choose another.", "no impossible number"],
  ["It failed at run (file.ts:12). Choose another.", "has no stack"],
  [`${"long ".repeat(70)}.`, "at most 300 characters"],
])("a message that breaks a rule is found: %j", (message, rule) => {
  expect(brokenRules(message).join("; ")).toContain(rule);
});
