/** Pre-tokenizer patterns against Oniguruma; test/golden/make_patterns.py generated the reference pieces. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parsePreTokenizer, splitText } from "../../../src/engine/tokenizers/splits";

type Case = readonly [pattern: string, texts: readonly (readonly string[])[]];
const golden: readonly Case[] = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../golden/patterns.json"), "utf8"),
);

function pieces(pattern: string, text: string): string[] {
  const { splits } = parsePreTokenizer({ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated" });
  const found: string[] = [];
  splitText(splits, text, (start, end) => found.push(text.slice(start, end)));
  return found;
}

test(`${golden.length} patterns split texts as Oniguruma does`, () => {
  for (const [pattern, texts] of golden) {
    for (const expected of texts) {
      expect([pattern, ...pieces(pattern, expected.join(""))]).toEqual([pattern, ...expected]);
    }
  }
});
