import { readFileSync } from "node:fs";
import { Tokenizer as Reference } from "@huggingface/tokenizers";
import { describe, expect, test } from "vitest";
import { random } from "../../../src/engine/random";
import { loadTokenizer, type Tokenizer, tokenizerFiles, trainBytePairs } from "../../../src/engine/tokenizers";
import { testData } from "../../helpers/testData";
import { expectSpansToCover } from "./spans";
import { HARD_TEXTS, LONE_SURROGATES } from "./texts";

const TEXT = `the cat sat on the mat. the cat ate the rat, and the rat was fat.
that was that: the end of the cat, of the mat and of the rat that sat on it.
another cat came along; another rat ran away, and another day went along as the others did.
`;

describe("training", () => {
  test("merges the most frequent pair first", async () => {
    const { model } = await trainBytePairs(["aaabdaaabac"], { vocabSize: 259 });
    expect(model.merges).toEqual([
      ["a", "a"],
      ["a", "b"],
      ["aa", "ab"],
    ]);
  });

  test("counts a pair in every text, wherever chunks end", async () => {
    const text = TEXT.repeat(200);
    const whole = await trainBytePairs([text], { vocabSize: 320 });
    const pieces = await trainBytePairs(chunksOf(text, 777), { vocabSize: 320 });
    expect(pieces.model.merges).toEqual(whole.model.merges);
  });

  test("finds the same merges as a full recount after each merge", async () => {
    const { model } = await trainBytePairs([TEXT], { vocabSize: 290 });
    expect(model.merges).toEqual(slowMerges(TEXT, model.merges.length));
    expect(model.merges.length).toBeGreaterThan(20);
  });

  test("stops when no pair occurs twice", async () => {
    const { vocabSize } = await trainBytePairs(["abcdefg"], { vocabSize: 1000 });
    expect(vocabSize).toBe(256);
  });

  test("rejects an empty text and a vocabulary that is too small", async () => {
    await expect(trainBytePairs([], { vocabSize: 300 })).rejects.toThrow("The text is empty");
    await expect(trainBytePairs(["abc"], { vocabSize: 100 })).rejects.toThrow("at least the 256 bytes");
    const ended = { vocabSize: 256, endOfText: true };
    await expect(trainBytePairs(["abc"], ended)).rejects.toThrow("<|endoftext|>, got 256. Use 257 or more");
  });

  test("reports progress and can be canceled", async () => {
    const seen: number[] = [];
    await trainBytePairs([TEXT], { vocabSize: 280, onProgress: (fraction) => seen.push(fraction) });
    expect(seen.at(-1)).toBe(1);
    const signal = AbortSignal.abort();
    await expect(trainBytePairs([TEXT], { vocabSize: 280, signal })).rejects.toThrow(/abort/i);
  });
});

describe("a trained tokenizer", async () => {
  const tokenizer = await trainBytePairs([TEXT, ...Object.values(HARD_TEXTS)], { vocabSize: 400 });
  const { "tokenizer.json": json, "tokenizer_config.json": config } = tokenizerFiles(tokenizer);
  const reference = new Reference(JSON.parse(json), JSON.parse(config));

  test.each(Object.entries(HARD_TEXTS))("decode inverts encode: %s", (_, text) => {
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  test.each(Object.entries(HARD_TEXTS))("spans cover the text: %s", (_, text) => {
    expectSpansToCover(tokenizer, text);
  });

  test.each(Object.entries(HARD_TEXTS))("encode returns the ids of spans: %s", (_, text) => {
    expect(tokenizer.spans(text).map(({ id }) => id)).toEqual(tokenizer.encode(text));
  });

  // The reference uses JavaScript's `\s`, which treats unusual spaces differently.
  test.each(Object.entries(HARD_TEXTS).filter(([name]) => name !== "odd spaces"))(
    "the saved file produces the same ids in Hugging Face's runtime: %s",
    (_, text) => expect(reference.encode(text).ids).toEqual(tokenizer.encode(text)),
  );

  test("lone surrogates become replacement characters of the same length", () => {
    const replaced = LONE_SURROGATES.replace(/\p{Surrogate}/gu, "\ufffd");
    expect(tokenizer.decode(tokenizer.encode(LONE_SURROGATES))).toBe(replaced);
    expectSpansToCover(tokenizer, LONE_SURROGATES);
  });

  test("all tokens that share a character span it", async () => {
    const bytes = await trainBytePairs(["x"], { vocabSize: 256 });
    expect(bytes.spans("a😀b").map(({ start, end, bytes }) => [start, end, [...bytes]])).toEqual([
      [0, 1, [0x61]],
      [1, 3, [0xf0]],
      [1, 3, [0x9f]],
      [1, 3, [0x98]],
      [1, 3, [0x80]],
      [3, 4, [0x62]],
    ]);
  });

  test("the decoder holds back a character until it is complete", async () => {
    const bytes = await trainBytePairs(["x"], { vocabSize: 256 });
    const decoder = bytes.decoder();
    const pushed = bytes.encode("a😀é").map((id) => decoder.push(id));
    expect(pushed).toEqual(["a", "", "", "", "😀", "", "é"]);
    expect(decoder.end()).toBe("");
    decoder.push(bytes.encode("é")[0] as number);
    expect(decoder.end()).toBe("\ufffd");
  });

  test("an empty prompt starts with the newline", () => {
    expect(tokenizer.decode(tokenizer.encodePrompt(""))).toBe("\n");
    expect(tokenizer.encodePrompt("the")).toEqual(tokenizer.encode("the"));
  });

  test("a long text without spaces is encoded in about a second", () => {
    const started = process.cpuUsage();
    tokenizer.encode("that".repeat(20_000));
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(1500);
  });

  test("a cut does not change the tokens on either side", () => expectCutsToBeSafe(tokenizer));
});

const gpt2Folder = testData("gpt2-tokenizer");
describe.skipIf(!gpt2Folder)("GPT-2's vocabulary (skipped without the test data)", async () => {
  const gpt2 = gpt2Folder ? await loadTokenizer(gpt2Folder) : await trainBytePairs(["x"], { vocabSize: 256 });

  test("encode returns the published ids", () => {
    expect(gpt2.encode("Hello world")).toEqual([15496, 995]);
    expect(gpt2.encode("Hello, my dog is cute")).toEqual([15496, 11, 616, 3290, 318, 13779]);
    expect(gpt2.vocabSize).toBe(50257);
  });

  test.each(Object.entries(HARD_TEXTS))("decode inverts encode, and spans cover the text: %s", (_, text) => {
    expect(gpt2.decode(gpt2.encode(text))).toBe(text);
    expectSpansToCover(gpt2, text);
  });

  test("random strings survive encoding and decoding", () => {
    const characters = [..." \n\r\tab'st01.,é日😀\u0301\u200d🇩"];
    const { below } = random(1, "strings");
    for (let i = 0; i < 300; i++) {
      const text = Array.from({ length: below(40) + 1 }, () => characters[below(characters.length)]).join("");
      expect(gpt2.decode(gpt2.encode(text))).toBe(text);
      expectSpansToCover(gpt2, text);
    }
  });

  test("a written end-of-text token is one token, and it starts an empty prompt", () => {
    expect(gpt2.encode("a<|endoftext|>b")).toEqual([64, 50256, 65]);
    expect(gpt2.spans("a<|endoftext|>b")[1]).toMatchObject({ id: 50256, start: 1, end: 14, special: true });
    expect(gpt2.encodePrompt("")).toEqual([50256]);
    expect(gpt2.encodePrompt("a")).toEqual([64]);
  });

  test("a cut does not change the tokens on either side", () => expectCutsToBeSafe(gpt2));
});

const shakespeare = testData("tinyshakespeare/input.txt");
test.skipIf(!shakespeare)("1 MB of text and 1000 merges take seconds (skipped without the test data)", async () => {
  const text = readFileSync(shakespeare as string, "utf8");
  const started = process.cpuUsage();
  const tokenizer = await trainBytePairs([text], { vocabSize: 1256 });
  expect(process.cpuUsage(started).user / 1000).toBeLessThan(10_000);
  expect(tokenizer.vocabSize).toBe(1256);
  expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
});

/** Cuts random texts at every valid cut. */
function expectCutsToBeSafe(tokenizer: Tokenizer): void {
  const pieces = [
    "a",
    "B",
    "'",
    "s",
    "'ll",
    " ",
    "  ",
    "\n",
    "\r\n",
    "1",
    ".",
    "é",
    "日",
    "😀",
    "\u0301",
    "<|endoftext|>",
  ];
  const { below } = random(2, "cuts");
  let cuts = 0;
  for (let i = 0; i < 200; i++) {
    const text = Array.from({ length: below(12) + 2 }, () => pieces[below(pieces.length)]).join("");
    const whole = tokenizer.encode(text);
    for (let at = tokenizer.next(text, 1); at < text.length; at = tokenizer.next(text, at + 1), cuts++) {
      expect([...tokenizer.encode(text.slice(0, at)), ...tokenizer.encode(text.slice(at))]).toEqual(whole);
    }
  }
  expect(cuts).toBeGreaterThan(200);
}

function* chunksOf(text: string, length: number): Generator<string> {
  for (let i = 0; i < text.length; i += length) yield text.slice(i, i + length);
}

/** The definition: count all pairs, merge the most frequent one (lower ids first among equals), repeat. */
function slowMerges(text: string, n: number): string[][] {
  const words = (text.match(/ ?[a-z]+| ?[^\sa-z]+|\s/g) ?? []).map((word) => [
    ...word.replace(/ /g, "Ġ").replace(/\n/g, "Ċ"),
  ]);
  const printable = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const ids = [...printable, "Ċ", "Ġ"];
  const merges: string[][] = [];
  while (merges.length < n) {
    const counts = new Map<string, number>();
    for (const word of words) {
      for (let i = 1; i < word.length; i++) {
        const pair = `${word[i - 1]} ${word[i]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    const order = (pair: string) => pair.split(" ").map((token) => ids.indexOf(token));
    const [best] = [...counts].sort(([a, m], [b, k]) => {
      const [a0 = 0, a1 = 0, b0 = 0, b1 = 0] = [...order(a), ...order(b)];
      return k - m || a0 - b0 || a1 - b1;
    });
    const [left, right] = (best as [string, number])[0].split(" ") as [string, string];
    merges.push([left, right]);
    ids.push(left + right);
    for (const word of words) {
      for (let i = 1; i < word.length; i++)
        if (word[i - 1] === left && word[i] === right) word.splice(i - 1, 2, left + right);
    }
  }
  return merges;
}
