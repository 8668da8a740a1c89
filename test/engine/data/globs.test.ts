import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { globMatcher, ignoreRules } from "../../../src/engine/data/findFiles";
import { random } from "../../../src/engine/random";

const root = mkdtempSync(join(tmpdir(), "globs-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const matches = (glob: string, paths: readonly string[]) => paths.filter(globMatcher(glob));

test.each([
  ["*.txt", ["a.txt"]],
  ["**/*.txt", ["a.txt", "b/a.txt", "b/c/a.txt"]],
  ["b/**", ["b/a.txt", "b/c/a.txt"]],
  ["b/**/a.txt", ["b/a.txt", "b/c/a.txt"]],
  ["?.{txt,md}", ["a.txt", "é.md"]],
  ["**/[!b].*", ["a.txt", "b/a.txt", "b/c/a.txt", "é.md"]],
  ["[a-c].txt", ["a.txt"]],
  ["a\\*", ["a*"]],
  ["a(1)[.log", ["a(1)[.log"]],
  ["*(1)*", ["a(1)[.log"]],
  ['*"|$+.c', ['"|$+.c']],
  ["(a).txt", []],
  ["+(a).txt", []],
  ["!a.txt", []],
  ["b[!x]a.txt", []],
])("the pattern %s matches what a shell's would", (glob, found) => {
  const paths = ["a.txt", "b/a.txt", "b/c/a.txt", "é.md", "a*", "a(1)[.log", "ab.txt.gz", '"|$+.c'];
  expect(matches(glob, paths)).toEqual(found);
});

describe("a .gitignore", () => {
  const hasGit = spawnSync("git", ["--version"]).status === 0;

  /** Returns for each path whether git ignores it as a file. */
  function ignoredByGit(ignoreFile: string, paths: readonly string[]): boolean[] {
    const repository = mkdtempSync(join(root, "repository-"));
    spawnSync("git", ["init", "-q"], { cwd: repository });
    writeFileSync(join(repository, ".gitignore"), ignoreFile);
    for (const path of paths) {
      mkdirSync(dirname(join(repository, path)), { recursive: true });
      writeFileSync(join(repository, path), "");
    }
    const { stdout } = spawnSync("git", ["check-ignore", "--no-index", "--stdin", "-z"], {
      cwd: repository,
      input: paths.join("\0"),
    });
    const ignored = new Set(stdout.toString().split("\0"));
    return paths.map((path) => ignored.has(path));
  }

  function ignoredByUs(ignoreFile: string, paths: readonly string[]): boolean[] {
    const rules = ignoreRules(ignoreFile);
    return paths.map((path) => rules.test(path).ignored);
  }

  const paths = [
    "a",
    "ab",
    "b",
    "c.txt",
    "d/a",
    "d/b/a",
    "d/b/c.txt",
    "d/b/ab",
    "e/d/a",
    "e/d/b/a",
    "#x",
    "!x",
    "sp ",
    "[b",
  ];

  test.skipIf(!hasGit)("ignores the same files as git (skipped without git)", () => {
    const files = [
      "a\n",
      "/a\nd/\n",
      "*.txt\n!d/b/c.txt\n",
      "d/b\n",
      "**/b\n",
      "d/**\n",
      "d/**/a\n",
      "e/**/a\n!e/d/b/a\n",
      "*\n!a\n",
      "*\n!d/\n!d/a\n",
      "?b\n",
      "[ab]\n",
      "[!ab]\n",
      "[a-b]*\n",
      "\\#x\n\\!x\n# a\n",
      "a   \r\nab\r\n",
      "sp\\ \n",
      "a**\n",
      "d*a\n",
      "/*/b\n",
      "{a,b}\n",
      "\ufeffa\n",
    ];
    for (const file of files) expect(ignoredByUs(file, paths), JSON.stringify(file)).toEqual(ignoredByGit(file, paths));
  });

  test.skipIf(!hasGit)("ignores the same files as git for random lines (skipped without git)", () => {
    const pieces = ["a", "b", "c", "d", "e", "/", "**", "*", "?", ".txt", "!", "[ab]", "[!a]", "/**/", "**/", "/**"];
    const { below } = random(1, "ignore files");
    for (let i = 0; i < 25; i++) {
      const line = () => Array.from({ length: 1 + below(4) }, () => pieces[below(pieces.length)]).join("");
      const file = `${Array.from({ length: 1 + below(4) }, line).join("\n")}\n`;
      expect(ignoredByUs(file, paths), JSON.stringify(file)).toEqual(ignoredByGit(file, paths));
    }
  });
});
