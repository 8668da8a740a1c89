import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer as Reference } from "@huggingface/tokenizers";
import { describe, expect, test } from "vitest";
import {
  adderTokenizer,
  loadTokenizer,
  parseTokenizer,
  saveTokenizer,
  tokenizerFiles,
  trainBytePairs,
  trainCharacters,
  trainWords,
  UNKNOWN,
} from "../../../src/engine/tokenizers";
import { expectSpansToCover } from "./spans";
import { HARD_TEXTS, LONE_SURROGATES } from "./texts";

const ALL = Object.values(HARD_TEXTS).join("\n");

describe("characters", () => {
  test("are code points in order", async () => {
    const tokenizer = await trainCharacters(["b😀a", "é\r\n"]);
    expect(tokenizer.model.vocabulary).toEqual(["\n", "\r", "a", "b", "é", "😀"]);
    expect(tokenizer.encode("a😀\r\n")).toEqual([2, 5, 1, 0]);
  });

  test.each(Object.entries(HARD_TEXTS))(
    "survive encoding and decoding, and spans cover the text: %s",
    async (_, text) => {
      const tokenizer = await trainCharacters([ALL]);
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      expectSpansToCover(tokenizer, text);
    },
  );

  test("outside the vocabulary are named in the error", async () => {
    const tokenizer = await trainCharacters(["abc"]);
    expect(() => tokenizer.encode("aé😀é")).toThrow(
      'The text has characters that the model was not trained on: "é" (U+00E9), "😀" (U+1F600). ' +
        "Leave them out, or train on a text that has them.",
    );
    expect(() => tokenizer.encode("a:b")).toThrow(
      /trained on: ":" \(U\+003A\)\. Leave it out, or train on a text that has it\.$/,
    );
  });

  test("outside the vocabulary are tokens without an id in a document", async () => {
    const tokenizer = await trainCharacters(["abc"]);
    expect(tokenizer.spans("a😀c").map(({ id, token, start, end }) => [id, token, start, end])).toEqual([
      [0, "a", 0, 1],
      [UNKNOWN, "😀", 1, 3],
      [2, "c", 3, 4],
    ]);
    expectSpansToCover(tokenizer, "a😀c日");
  });

  test("lone surrogates become replacement characters", async () => {
    const tokenizer = await trainCharacters([LONE_SURROGATES]);
    expect(tokenizer.decode(tokenizer.encode("\ud83d"))).toBe("\ufffd");
    expectSpansToCover(tokenizer, LONE_SURROGATES);
  });

  test("an empty prompt starts with the newline, or else with id 0", async () => {
    expect((await trainCharacters(["ab\n!"])).encodePrompt("")).toEqual([0]);
    expect((await trainCharacters(["!\u0000\n"])).encodePrompt("")).toEqual([1]);
    expect((await trainCharacters(["ba"])).encodePrompt("")).toEqual([0]);
  });
});

describe("words", () => {
  const text = "The cat sat on the mat.\nThe cat, it's said, ate 12 rats!\r\n";

  test("a text of known words survives encoding and decoding", async () => {
    const tokenizer = await trainWords([text], { vocabSize: 100 });
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect(tokenizer.spans("The cat, it's").map(({ token }) => token)).toEqual(["The", " cat", ",", " it", "'", "s"]);
  });

  test.each(Object.entries(HARD_TEXTS))("spans cover the text: %s", async (_, hard) => {
    const tokenizer = await trainWords([text], { vocabSize: 100 });
    expectSpansToCover(tokenizer, hard);
    const known = await trainWords([ALL], { vocabSize: 1000 });
    expect(known.decode(known.encode(hard))).toBe(hard);
  });

  test("the rarest words become <unk>", async () => {
    const tokenizer = await trainWords(["a a a b b c"], { vocabSize: 3 });
    expect(tokenizer.model.vocabulary).toEqual(["<unk>", " a", " b"]);
    expect(tokenizer.encode(" a c")).toEqual([1, 0]);
    expect(tokenizer.decode([1, 0])).toBe(" a<unk>");
    expect(tokenizer.unkId).toBe(0);
  });
});

describe("the adder's vocabulary", () => {
  const adder = adderTokenizer();

  test("has its 18 tokens in order", () => {
    const tokens = [..."0123456789+*-=", "<EOS>", "<BOS>", "<pad>", "??"];
    expect(adder.vocabSize).toBe(18);
    expect(Array.from({ length: 18 }, (_, id) => adder.token(id))).toEqual(tokens);
    expect([adder.eosId, adder.bosId, adder.padId, adder.unkId]).toEqual([14, 15, 16, 17]);
  });

  test("a prompt starts with one <BOS>", () => {
    expect(adder.encode("15+57=")).toEqual([1, 5, 10, 5, 7, 13]);
    expect(adder.encodePrompt("15+57=")).toEqual([15, 1, 5, 10, 5, 7, 13]);
    expect(adder.encodePrompt("<BOS>15+57=")).toEqual([15, 1, 5, 10, 5, 7, 13]);
    expect(adder.encodePrompt("")).toEqual([15]);
  });

  test("a prompt's BOS has an empty span", () => {
    expect(adder.promptSpans("1+").map(({ id, start, end, special }) => [id, start, end, special])).toEqual([
      [15, 0, 0, true],
      [1, 0, 1, false],
      [10, 1, 2, false],
    ]);
  });

  test("every other character becomes ??", () => {
    expect(adder.encode("1 a😀")).toEqual([1, 17, 17, 17]);
    expectSpansToCover(adder, "1 a😀<EOS>2<BO");
  });

  test("special tokens decode to an empty text", () => {
    expect(adder.decode([15, 9, 7, 10, 8, 6, 13, 1, 8, 3, 14, 16])).toBe("97+86=183");
  });

  test("an id outside the vocabulary is named in the error", () => {
    expect(() => adder.token(18)).toThrow("Token id 18 is not in the vocabulary, which has ids 0 to 17.");
  });
});

describe("files", () => {
  const make = {
    characters: () => trainCharacters([ALL]),
    words: () => trainWords([ALL], { vocabSize: 60 }),
    bytePairs: () => trainBytePairs([ALL], { vocabSize: 300 }),
    fixed: async () => adderTokenizer(),
  };

  test.each(Object.entries(make))("a saved tokenizer is the same after loading: %s", async (kind, create) => {
    const dir = await mkdtemp(join(tmpdir(), "tokenizer-"));
    const tokenizer = await create();
    await saveTokenizer(tokenizer, dir);
    const loaded = await loadTokenizer(dir);
    expect(loaded.kind).toBe(kind);
    expect(tokenizerFiles(loaded)).toEqual(tokenizerFiles(tokenizer));
    expect(loaded.encodePrompt(ALL)).toEqual(tokenizer.encodePrompt(ALL));
    expect(loaded.spans(ALL)).toEqual(tokenizer.spans(ALL));
    await rm(dir, { recursive: true });
  });

  // Hugging Face's JavaScript runtime has no WordLevel model; the words' file was checked against the Rust one by hand.
  test.each(["characters", "bytePairs", "fixed"] as const)(
    "Hugging Face's runtime reads %s to the same ids and text",
    async (kind) => {
      const tokenizer = await make[kind]();
      const { "tokenizer.json": json, "tokenizer_config.json": config } = tokenizerFiles(tokenizer);
      const reference = new Reference(JSON.parse(json), JSON.parse(config));
      const text = kind === "fixed" ? "12+34=<EOS>9?" : `${HARD_TEXTS.code}${HARD_TEXTS.emoji}${HARD_TEXTS.CJK}`;
      expect(reference.encode(text).ids).toEqual(tokenizer.encodePrompt(text));
      const options = { skip_special_tokens: true };
      const known = text.replace(/\?/g, "");
      expect(reference.decode(tokenizer.encode(known), options)).toBe(tokenizer.decode(tokenizer.encode(known)));
    },
  );

  test("errors name what is unsupported or invalid", () => {
    expect(() => parseTokenizer({ model: { type: "Unigram", vocab: { a: 0 } } }, {})).toThrow(
      'a model of type "Unigram" is not supported yet',
    );
    expect(() => parseTokenizer({ model: { type: "BPE" } }, {})).toThrow("tokenizer.json: it has no vocabulary");
    expect(() => parseTokenizer({ model: { type: "BPE", vocab: { a: 0, b: 0 } } }, {})).toThrow('the id 0 of "b"');
    const badMerge = { model: { type: "BPE", vocab: { a: 0 }, merges: ["a b c"] } };
    expect(() => parseTokenizer(badMerge, {})).toThrow('the merge "a b c" is not a pair');
    expect(() => parseTokenizer(null, null)).toThrow("tokenizer.json");
  });

  test.each([
    { added_tokens: 5 },
    { added_tokens: [null] },
    { added_tokens: [{ id: -1, content: "x" }] },
    { added_tokens: [{ id: 2 ** 32, content: "x" }] },
    { post_processor: { type: "TemplateProcessing", single: 7 } },
    { model: { type: "BPE", vocab: { a: 0 }, merges: 5 } },
    { model: { type: "BPE", vocab: { a: 0 }, merges: [5] } },
    { model: { type: "BPE", vocab: { a: 0 }, merges: [[1, 2]] } },
  ])("a value of the wrong type is rejected in a sentence: %j", (wrong) => {
    const file = { model: { type: "BPE", vocab: { a: 0 }, merges: [] }, ...wrong };
    expect(() => parseTokenizer(file, {})).toThrow(/^tokenizer\.json: .*\. Download the file again\.$/);
  });

  test("a folder without a tokenizer is rejected", async () => {
    const dir = await mkdtemp(join(tmpdir(), "tokenizer-"));
    await expect(loadTokenizer(dir)).rejects.toThrow("has no tokenizer.json");
    await rm(dir, { recursive: true });
  });
});
