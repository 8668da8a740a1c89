/** Checks how sentences begin, which a spelling check cannot see. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { inRoot } from "../scripts/paths";

/** Openings that put the object or a clause before the subject. A question may begin with "What". */
const badOpening = /^(Of (?!course)|By which\b|Whether\b|What\b[^?]*$|That which\b)/;

const files = (
  await Promise.all(
    ["src", "webview", "test", "scripts", "docs"].map(async (folder) =>
      (await readdir(inRoot(folder), { recursive: true })).map((file) => join(folder, file)),
    ),
  )
).flat();

/** The comments and strings of a TypeScript file. */
function sourceTexts(source: string): string[] {
  const pattern =
    /\/\*\*?([\s\S]*?)\*\/|((?:^[ \t]*\/\/.*\n)+)|(?<=\s)\/\/ (.*)|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/gm;
  return [...source.matchAll(pattern)].map(([, block, lines, end, string, template]) =>
    (block ?? lines ?? end ?? string ?? template ?? "").replace(/^[ \t]*(\*|\/\/) ?/gm, ""),
  );
}

const paragraphs = (markdown: string): string[] =>
  markdown
    .replace(/^```[\s\S]*?^```/gm, "")
    .replace(/^#.*$/gm, "")
    .replace(/^[ \t]*([-*]|\d+\.|\|) /gm, "\n")
    .split(/\n\s*\n|\| /);

const jsonTexts = (json: string): string[] => Object.values<string>(JSON.parse(json));

const sentences = (text: string): string[] =>
  text.split(/(?<=[.!?:])\s+|\n\s*\n/).map((sentence) =>
    sentence
      .replace(/\s+/g, " ")
      .replace(/^[*_`"]+/, "")
      .trim(),
  );

describe.each([
  ["comment or message", files.filter((file) => /\.(ts|mjs|cjs)$/.test(file)), sourceTexts],
  [
    "document",
    [...files.filter((file) => file.endsWith(".md")), "README.md", "CHANGELOG.md", "CONTRIBUTING.md"],
    paragraphs,
  ],
  ["text", ["package.nls.json", "l10n/bundle.l10n.json"], jsonTexts],
] as const)("no sentence of a %s", (_, paths, textsOf) => {
  test("begins with an object or a clause", async () => {
    const found = await Promise.all(
      paths.map(async (path) =>
        textsOf(await readFile(inRoot(path), "utf8"))
          .flatMap(sentences)
          .filter((sentence) => badOpening.test(sentence))
          .map((sentence) => `${path}: ${sentence}`),
      ),
    );
    expect(found.flat()).toEqual([]);
  });
});
