/** Every number on a page must come from a trace or a training run. */

/// <reference types="node" />

import { readdir, readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";

async function sources() {
  const files = (await readdir("webview", { recursive: true })).filter((file) => file.endsWith(".ts"));
  expect(files.length).toBeGreaterThan(20);
  return Promise.all(files.map(async (file) => ({ file, text: await readFile(`webview/${file}`, "utf8") })));
}

describe("the source code of the pages", () => {
  test("draws no random numbers", async () => {
    const drawing = (await sources()).filter(({ text }) => /Math\s*\.\s*random|getRandomValues/.test(text));
    expect(drawing.map(({ file }) => file)).toEqual([]);
  });

  test("has no list of numbers that could pass for data", async () => {
    // Dash patterns, digits and limits are short; the numbers of a vector, even of a toy one, are not whole.
    const fractions = /\[(?:\s*-?\d*\.?\d+(?:e-?\d+)?\s*,){3,}\s*(?:-?\d*\.?\d+(?:e-?\d+)?\s*,?\s*)?\]/gi;
    const looksLikeData = (list: string) => (list.match(/\d*\.\d+/g) ?? []).length >= 2 || list.split(",").length > 12;
    expect(["[0.12, -0.5, 0.3, 1]", "[.1,.2,.3,.4,]"].every((list) => list.match(fractions)?.some(looksLikeData))).toBe(
      true,
    );
    expect(
      ["[1, 2, 3, 4, 5, 6]", "[2, 4]", "[a, 0.5, b, 0.25]"].some((list) => list.match(fractions)?.some(looksLikeData)),
    ).toBe(false);
    const found = (await sources()).flatMap(({ file, text }) =>
      (text.match(fractions) ?? []).filter(looksLikeData).map((list) => `${file}: ${list}`),
    );
    expect(found).toEqual([]);
  });
});
