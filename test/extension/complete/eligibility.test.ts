import { describe, expect, test } from "vitest";
import { holdsSecrets, isEnabledFor, type Situation, skipReason } from "../../../src/extension/complete/eligibility";

const open: Situation = {
  enabled: true,
  isSnoozed: false,
  readsCode: false,
  languages: { "*": true },
  languageId: "plaintext",
  path: "/home/me/story.txt",
  excluded: false,
  writable: true,
  cursors: 1,
  selectionEmpty: true,
  after: "",
};

describe("a completion", () => {
  test.each<[string, Partial<Situation>]>([
    ["disabled", { enabled: false }],
    ["snoozed", { isSnoozed: true }],
    ["language", { languages: { "*": true, plaintext: false } }],
    ["excluded", { excluded: true }],
    ["secret", { path: "/home/me/.env" }],
    ["readOnly", { writable: false }],
    ["cursors", { cursors: 2 }],
    ["selection", { selectionEmpty: false }],
    ["midLine", { after: " and more" }],
    ["midLine", { after: "word" }],
  ])("is skipped with reason %s for %o", (reason, change) => expect(skipReason({ ...open, ...change })).toBe(reason));

  test.each(["", "  ", ")", '")', "})", "];"])("is offered before %j", (after) => {
    expect(skipReason({ ...open, after })).toBeNull();
  });
});

test("a language that is not listed uses the value of *", () => {
  expect(isEnabledFor({ "*": true, c: false }, "rust", false)).toBe(true);
  expect(isEnabledFor({ "*": true, c: false }, "c", true)).toBe(false);
  expect(isEnabledFor({ "*": false, c: true }, "c", false)).toBe(true);
  expect(isEnabledFor({ "*": false }, "plaintext", true)).toBe(false);
});

test("a language that the setting does not decide is on for prose, and for code with models that were trained on it", () => {
  const on = (readsCode: boolean) =>
    ["plaintext", "markdown", "python", "rust"].filter((language) => isEnabledFor({ c: true }, language, readsCode));
  expect(on(false)).toEqual(["plaintext", "markdown"]);
  expect(on(true)).toEqual(["plaintext", "markdown", "python", "rust"]);
});

describe("a path", () => {
  test.each([
    "/a/.env",
    "/a/.env.local",
    "/a/prod.env",
    "/a/server.PEM",
    "/home/me/.ssh/config",
    "/a/id_ed25519",
    "/a/.npmrc",
    "/a/secrets.yaml",
  ])("such as %s is secret", (path) => expect(holdsSecrets(path)).toBe(true));
  test.each(["/a/story.txt", "/a/.env.example", "/a/environment.ts", "/a/keyboard.md", "/a/secretary.txt"])(
    "such as %s is not secret",
    (path) => expect(holdsSecrets(path)).toBe(false),
  );
});
