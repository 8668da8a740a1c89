/**
 * The tokenizers of the model families against Hugging Face's implementation in Rust; test/golden/make_families.py
 * generated the reference numbers.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { random } from "../../../src/engine/random";
import { DocumentTokens, loadTokenizer, parseTokenizer, type Tokenizer } from "../../../src/engine/tokenizers";
import { testData } from "../../helpers/testData";

interface Encoded {
  readonly ids: readonly number[];
  /** Start and end of each token in UTF-16, concatenated. */
  readonly offsets: readonly number[];
  readonly text?: string;
}

interface Golden {
  readonly texts: Readonly<Record<string, string>>;
  readonly trained: Readonly<Record<string, { readonly tokens: readonly string[]; readonly merges: unknown }>>;
  readonly families: Readonly<
    Record<
      string,
      {
        readonly trained: string;
        readonly file: Readonly<Record<string, unknown>> & { readonly model: object };
        readonly prompt: readonly number[];
        readonly encoded: Readonly<Record<string, Encoded>>;
      }
    >
  >;
  readonly real: Readonly<Record<string, Readonly<Record<string, Encoded>>>>;
}

const golden: Golden = JSON.parse(readFileSync(join(import.meta.dirname, "../../golden/families.json"), "utf8"));
const TEXTS = Object.entries(golden.texts);

function familyTokenizer(name: string): Tokenizer {
  const { trained, file } = golden.families[name] as Golden["families"][string];
  const { tokens, merges } = golden.trained[trained] as Golden["trained"][string];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const bos = name === "opt" ? "</s>" : "<s>";
  const model = { ...file.model, vocab, ...(trained !== "words" && { merges }) };
  return parseTokenizer({ ...file, model }, { bos_token: bos, eos_token: "</s>" });
}

const families = Object.keys(golden.families);

describe.each(families)("%s", (name) => {
  const tokenizer = familyTokenizer(name);
  const { encoded, prompt, file } = golden.families[name] as Golden["families"][string];
  const composes = /"NFK?[CD]"/.test(JSON.stringify(file.normalizer));

  test.each(TEXTS)("has the reference's ids, offsets and text: %s", (text, input) => {
    const reference = encoded[text] as Encoded;
    expect(tokenizer.encode(input)).toEqual(reference.ids);
    expect(tokenizer.count(input)).toBe(reference.ids.length);
    expectOffsets(tokenizer, input, reference, composes);

    // The reference decodes a normalized added token in its normalized form and never drops it.
    if (name === "llama (normalized special tokens)" && text === "added tokens") return;
    // It drops unknown tokens, which Decoder Lab shows.
    expect(tokenizer.decode(reference.ids.filter((id) => id !== tokenizer.unkId))).toBe(reference.text);
  });

  test("starts a prompt like the reference", () => {
    // BERT's and RoBERTa's processors also end a text, which a prompt does not want.
    const expected = /bert/.test(name) && prompt.at(-1) === tokenizer.eosId ? prompt.slice(0, -1) : prompt;
    expect(tokenizer.encodePrompt(golden.texts.plain as string)).toEqual(expected);
    const [first] = tokenizer.promptSpans(golden.texts.plain as string);
    expect(first?.id).toBe(prompt[0]);
  });

  test("a cut does not change the tokens on either side", () => {
    const pieces = [
      "a",
      "He",
      "'s",
      " ",
      "  ",
      "\n",
      "\r\n",
      "12",
      ".",
      "e\u0301",
      "日",
      "😀",
      "\u0301",
      "<tok>",
      "▁",
      "?!",
    ];
    const { below } = random(4, name);
    for (let i = 0; i < 150; i++) {
      const text = Array.from({ length: below(12) + 2 }, () => pieces[below(pieces.length)]).join("");
      const whole = tokenizer.spans(text);
      for (let at = tokenizer.next(text, 1); at < text.length; at = tokenizer.next(text, at + 1)) {
        const right = tokenizer.spans(text.slice(at), "middle");
        const moved = right.map((span) => ({ ...span, start: span.start + at, end: span.end + at }));
        expect([...tokenizer.spans(text.slice(0, at)), ...moved]).toEqual(whole);
      }
    }
  });

  test("a document has the tokens of its whole text", async () => {
    const text = Object.values(golden.texts).join(" and\n").repeat(16);
    const document = new DocumentTokens(tokenizer, text);
    const spans = tokenizer.spans(text);
    expect(await document.count()).toBe(spans.length);
    for (let offset = 0; offset < text.length; offset += 211) {
      const index = spans.findIndex(({ end }) => offset < end);
      expect((await document.tokenAt(offset))?.span).toEqual(spans[index]);
    }
  });
});

// Only part of a long text is tokenized for one offset, if the family allows cuts.
test.each(families.filter((name) => !/removed|contiguous|merged|NFD|by pattern/.test(name)))(
  "a long text has cuts: %s",
  (name) => {
    const text = "One word, and two.\nThe next line 12 has more.\n".repeat(10);
    expect(familyTokenizer(name).next(text, 100)).toBeLessThan(200);
  },
);

const FOLDERS = Object.keys(golden.real).map((folder) => [folder, testData(folder)] as const);

describe.each(FOLDERS)("the real vocabulary of %s (skipped without the test data)", (folder, path) => {
  const loading = path ? loadTokenizer(path) : null;

  test.skipIf(!path).each(TEXTS)("has the reference's ids and offsets: %s", async (text, input) => {
    const tokenizer = (await loading) as Tokenizer;
    const reference = golden.real[folder]?.[text] as Encoded;
    expect(tokenizer.encode(input)).toEqual(reference.ids);
    expectOffsets(tokenizer, input, reference, false);
    if (reference.text !== undefined) expect(tokenizer.decode(reference.ids)).toBe(reference.text);
  });
});

/**
 * Two differences are intended. A prepended space has an empty span if it is a token of its own, where the reference gives
 * it the first character. And a composed character spans all characters it was composed of, where the reference gives it
 * the first of them.
 */
function expectOffsets(tokenizer: Tokenizer, text: string, { ids, offsets }: Encoded, composes: boolean): void {
  const spans = tokenizer.spans(text);
  expect(spans.map(({ id }) => id)).toEqual(ids);
  spans.forEach(({ token, start, end }, i) => {
    const [theirStart, theirEnd] = offsets.slice(2 * i) as [number, number];
    if (start === end && (token === "▁" || token === "Ġ")) expect(start).toBe(theirStart);
    else if (!composes) expect([start, end]).toEqual([theirStart, theirEnd]);
    else {
      expect(start).toBeLessThanOrEqual(theirStart);
      expect(end).toBeGreaterThanOrEqual(theirEnd);
      expect(text.slice(theirEnd, end)).toMatch(/^[\p{M}\p{Lo}\uff9e]*$/u);
      expect(text.slice(start, theirStart)).toMatch(/^.?[\p{M}\p{Lo}]*$/u);
    }
  });
}
