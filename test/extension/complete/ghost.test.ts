import { describe, expect, test } from "vitest";
import { random } from "../../../src/engine/random";
import { type CachedCompletion, type Place, remainingText } from "../../../src/extension/complete/cachedCompletion";
import { holdsSecrets, isEnabledFor, type Situation, skipReason } from "../../../src/extension/complete/eligibility";
import { afterUnknown, promptStart, promptText } from "../../../src/extension/complete/promptWindow";
import { isAt, promptTokensRead } from "../../../src/extension/complete/shownCompletion";
import { trimCompletion, withoutLoop } from "../../../src/extension/complete/trimCompletion";

const place = (before: string, more: Partial<Place> = {}): Place => ({
  uri: "file:///a.txt",
  offset: before.length,
  before,
  after: "",
  ...more,
});
const made: CachedCompletion = { place: place("The fox "), source: "model", text: "ran home." };

describe("typing through a suggestion", () => {
  test.each([
    ["nothing", "The fox ", "ran home."],
    ["its first letters", "The fox ra", "n home."],
    ["all of it", "The fox ran home.", ""],
    ["something else", "The fox s", null],
    ["more than it", "The fox ran home. It", null],
    ["a deletion before it", "The fox", null],
  ])("after %s", (_, before, rest) => expect(remainingText(made, place(before), "model")).toBe(rest));

  test("elsewhere, with other text behind the cursor, or from another model, it is not the same suggestion", () => {
    expect(remainingText(made, place("The fox ", { uri: "file:///b.txt" }), "model")).toBeNull();
    expect(remainingText(made, place("The fox ", { after: ")" }), "model")).toBeNull();
    expect(remainingText(made, place("The fox "), "another")).toBeNull();
    expect(remainingText(made, place("The cat "), "model")).toBeNull();
  });

  test("works when the window of known text has moved on", () => {
    const long = "x".repeat(5000);
    const from: CachedCompletion = { place: place(`${long}The fox `), source: "m", text: "ran" };
    expect(remainingText(from, { ...place("The fox r"), offset: 5009 }, "m")).toBe("an");
  });

  test("whatever is typed, what was typed and the rest are the suggestion", () => {
    const { below: next } = random(1, "typing");
    for (let round = 0; round < 500; round++) {
      const text = Array.from({ length: 1 + next(12) }, () => "ab \u{1f98a}"[next(5)]).join("");
      const typed = next(text.length + 1);
      const suggestion: CachedCompletion = { place: place("so "), source: "m", text };
      expect(remainingText(suggestion, place(`so ${text.slice(0, typed)}`), "m")).toBe(text.slice(typed));
      const wrong = `so ${text.slice(0, typed)}Z`;
      expect(remainingText(suggestion, place(wrong), "m")).toBeNull();
    }
  });
});

describe("why a completion", () => {
  const span = (id: number, start: number, end: number, special = false) => ({
    id,
    token: "",
    start,
    end,
    special,
    bytes: new Uint8Array(),
  });
  const spans = [span(1, 0, 0, true), span(5, 0, 3), span(6, 3, 7), span(7, 7, 8)];

  test("the model read the prompt's last tokens after the one that marks the beginning", () => {
    expect(promptTokensRead(spans, 4)).toEqual({ ids: [1, 5, 6, 7], start: 0 });
    expect(promptTokensRead(spans, 3)).toEqual({ ids: [1, 6, 7], start: 3 });
    expect(promptTokensRead(spans.slice(1), 1)).toEqual({ ids: [7], start: 7 });
  });

  test("is asked where it stands in its document", () => {
    const isThere = (offset: number) => isAt(made, "file:///a.txt", offset);
    expect([7, 8, 17, 18].map(isThere)).toEqual([false, true, true, false]);
    expect(isAt(made, "file:///b.txt", 8)).toBe(false);
  });
});

describe("the prompt", () => {
  test.each([
    [0, 0],
    [8192, 0],
    [8193, 4096],
    [12288, 4096],
    [12289, 8192],
    [5_000_000, 4_993_024],
  ])("before offset %i starts at %i", (offset, start) => expect(promptStart(offset)).toBe(start));

  test("is never longer than 8192 characters, nor shorter than 4096 in a long document", () => {
    for (let offset = 8193; offset < 40_000; offset += 17) {
      const length = offset - promptStart(offset);
      expect(length).toBeGreaterThanOrEqual(4096);
      expect(length).toBeLessThanOrEqual(8192);
    }
  });

  test("has one kind of line end and no half character in front", () => {
    expect(promptText("\udd8aone\r\ntwo\n")).toBe("one\ntwo\n");
  });
});

test.each([
  ["no unknown here", [], "no unknown here"],
  ["café and 🦊 ran", ["é", "🦊"], " ran"],
  ["🦊 ran to the café", ["é", "🦊"], ""],
])("of %j, where %j is unknown, the model reads %j", (prompt, unknown, rest) => {
  expect(afterUnknown(prompt, new Set(unknown))).toBe(rest);
});

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

describe("nothing is asked of the model", () => {
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
  ])("because of %s: %o", (reason, change) => expect(skipReason({ ...open, ...change })).toBe(reason));

  test.each(["", "  ", ")", '")', "})", "];"])("but before %j it is", (after) => {
    expect(skipReason({ ...open, after })).toBeNull();
  });
});

test("a language that is not listed goes by *, and without * it is off", () => {
  expect(isEnabledFor({ "*": true, c: false }, "rust")).toBe(true);
  expect(isEnabledFor({ "*": true, c: false }, "c")).toBe(false);
  expect(isEnabledFor({ "*": false, c: true }, "c")).toBe(true);
  expect(isEnabledFor({ c: true }, "rust")).toBe(false);
});

describe("secret files", () => {
  test.each([
    "/a/.env",
    "/a/.env.local",
    "/a/prod.env",
    "/a/server.PEM",
    "/home/me/.ssh/config",
    "/a/id_ed25519",
    "/a/.npmrc",
    "/a/secrets.yaml",
  ])("%s", (path) => expect(holdsSecrets(path)).toBe(true));
  test.each(["/a/story.txt", "/a/.env.example", "/a/environment.ts", "/a/keyboard.md", "/a/secretary.txt"])(
    "not %s",
    (path) => expect(holdsSecrets(path)).toBe(false),
  );
});

describe("what is shown", () => {
  const alone = { after: "", nextLine: "", multiLine: false };

  test("is the first line, without blanks at its end", () =>
    expect(trimCompletion("ran home.  \nThen", alone)).toBe("ran home."));
  test("is all lines when more are asked for", () => {
    expect(trimCompletion("ran home.\nThen", { ...alone, multiLine: true })).toBe("ran home.\nThen");
  });
  test("does not repeat the brackets behind the cursor", () =>
    expect(trimCompletion("a, b)", { ...alone, after: ")" })).toBe("a, b"));
  test("does not repeat the next line", () =>
    expect(trimCompletion("It was late.", { ...alone, nextLine: "  It was late." })).toBe(""));
  test("is nothing when the model wrote only blanks", () => expect(trimCompletion("  \n x", alone)).toBe(""));

  test.each([
    ["and the fox and the fox and the fox and", "and the fox"],
    ["ha ha ha ha ha", "ha"],
    ["wait ...", "wait ..."],
    ["the the cat", "the the cat"],
    ["one two three four", "one two three four"],
  ])("%j does not go round in circles", (text, expected) => expect(withoutLoop(text)).toBe(expected));
});
