/** The pre-tokenizers of GGUF against Rust's tokenizers; test/golden/make_pretokenizers.py made the reference. */

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parsePreTokenizer, splitText } from "../../../src/engine/tokenizers/splits";
import { PRE_TOKENIZERS } from "../../../src/engine/weights/ggufPreTokenizers";

interface Reference {
  readonly texts: readonly string[];
  /** Pieces of each text, or the name of another pre-tokenizer that splits alike. */
  readonly splits: Readonly<Record<string, string | readonly (readonly string[])[]>>;
}

const file = fileURLToPath(new URL("../../golden/ggufPreTokenizers.json", import.meta.url));
const { texts, splits } = JSON.parse(await readFile(file, "utf8")) as Reference;

test("every pre-tokenizer has a reference", () => {
  expect(Object.keys(splits)).toEqual([...PRE_TOKENIZERS.keys()]);
});

describe("texts are split as by Rust's tokenizers:", () => {
  test.each([...PRE_TOKENIZERS])("%s", (name, { patterns }) => {
    const pretokenizers = patterns.map((pattern) => ({
      type: "Split",
      pattern: { Regex: pattern },
      behavior: "Isolated",
      invert: false,
    }));
    const parsed = parsePreTokenizer({ type: "Sequence", pretokenizers });
    const pieces = texts.map((text) => {
      const found: string[] = [];
      splitText(parsed.splits, text, (start, end) => found.push(text.slice(start, end)));
      return found;
    });
    const expected = splits[name];
    expect(pieces).toEqual(typeof expected === "string" ? splits[expected] : expected);
  });
});
