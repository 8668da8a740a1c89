/** Against Hugging Face's implementation in Rust; test/golden/make_tokenizers.py generated the reference numbers. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { trainBytePairs, trainWords } from "../../../src/engine/tokenizers";
import { HARD_TEXTS } from "./texts";

const root = join(import.meta.dirname, "../../..");
const golden = JSON.parse(readFileSync(join(root, "test/golden/tokenizers.json"), "utf8"));
const stories = readFileSync(join(root, "test/golden/stories.txt"), "utf8");

describe("byte pairs", async () => {
  // The reference encodes them one by one; no merge contains the newlines between them.
  const texts = [stories, ...Object.values(HARD_TEXTS)].join("\n");
  const tokenizer = await trainBytePairs([texts], { vocabSize: golden.vocabSize });

  test("merge in the reference's order", () => {
    expect(tokenizer.model.merges).toEqual(golden.merges);
  });

  test.each(Object.entries(HARD_TEXTS))("have the reference's ids and offsets: %s", (name, text) => {
    const spans = tokenizer.spans(text);
    expect(spans.map(({ id }) => id)).toEqual(golden.bytePairs[name].ids);
    expect(spans.map(({ start, end }) => [start, end])).toEqual(golden.bytePairs[name].offsets);
  });
});

test.each(Object.entries(HARD_TEXTS))("words start and end where the reference splits: %s", async (name, text) => {
  const tokenizer = await trainWords([text], { vocabSize: 1000 });
  expect(tokenizer.spans(text).map(({ start, end }) => [start, end])).toEqual(golden.words[name]);
});
