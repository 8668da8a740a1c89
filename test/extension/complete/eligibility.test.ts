import { describe, expect, test } from "vitest";
import { holdsSecrets, isEnabledFor, type Situation, skipReason } from "../../../src/extension/complete/eligibility";

const open: Situation = {
  enabled: true,
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

test("a language that is not listed uses the value of *, which defaults to off", () => {
  expect(isEnabledFor({ "*": true, c: false }, "rust")).toBe(true);
  expect(isEnabledFor({ "*": true, c: false }, "c")).toBe(false);
  expect(isEnabledFor({ "*": false, c: true }, "c")).toBe(true);
  expect(isEnabledFor({ c: true }, "rust")).toBe(false);
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
