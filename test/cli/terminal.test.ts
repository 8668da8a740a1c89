import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { inRoot } from "../../scripts/paths";
import { printable } from "../../src/cli/terminal";

test("text of a model cannot control a terminal, and reaches a pipe unchanged", () => {
  const text = "a story\n\u001b[2J\u001b]0;title\u0007";
  expect(printable(text, true)).toBe("a story\n\\u001b[2J\\u001b]0;title\\u0007");
  expect(printable(text, false)).toBe(text);
});

test("JSON has the same meaning in a terminal", () => {
  const json = JSON.stringify({ token: "\u202ea\u009b\ud800\n" });
  expect(printable(json, true)).toMatch(/^[ -~]+$/);
  expect(JSON.parse(printable(json, true))).toEqual(JSON.parse(json));
});

test("no command writes to standard output past it", async () => {
  const files = await readdir(inRoot("src", "cli"), { recursive: true });
  const commands = files.filter((file) => file.endsWith(".ts") && !/^(bench\/|terminal\.)/.test(file));
  expect(commands).toContain(join("commands", "generate.ts"));
  for (const file of commands)
    expect(await readFile(inRoot("src", "cli", file), "utf8"), file).not.toContain("console.log");
});
