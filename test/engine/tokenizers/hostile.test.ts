import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EngineError } from "../../../src/engine/errors";
import { loadTokenizer, parseTokenizer } from "../../../src/engine/tokenizers";
import { translatePattern } from "../../../src/engine/tokenizers/patterns";

const vocab = { a: 0, b: 1, ab: 2 };
const model = { type: "BPE", vocab, merges: [["a", "b"]] };
const NFC = { type: "NFC" };

/** An item in a hundred thousand nested lists. */
function nested(type: string, list: string): unknown {
  let inner: unknown = { type };
  for (let i = 0; i < 100_000; i++) inner = { type: "Sequence", [list]: [inner] };
  return inner;
}

const split = (pattern: unknown, more: object = { behavior: "Isolated" }) => ({ type: "Split", pattern, ...more });

describe("an invalid or unsupported tokenizer.json is rejected in one sentence", () => {
  const files: Readonly<Record<string, unknown>> = {
    "no object": 5,
    "a list": [],
    "no model": {},
    "a model that is a number": { model: 5 },
    "no vocabulary": { model: { type: "BPE", vocab: {}, merges: [] } },
    "a vocabulary that is a list": { model: { type: "BPE", vocab: ["a"], merges: [] } },
    "an id below zero": { model: { ...model, vocab: { a: -1 } } },
    "an id that is a fraction": { model: { ...model, vocab: { a: 0.5 } } },
    "an id that is a text": { model: { ...model, vocab: { a: "0" } } },
    "an id past any vocabulary": { model: { ...model, vocab: { a: 2 ** 40 } } },
    "an id used twice": { model: { ...model, vocab: { a: 0, b: 0 } } },
    "a merge of an unknown token": { normalizer: NFC, model: { ...model, merges: [["a", "c"]] } },
    "a merge that produces an unknown token": { normalizer: NFC, model: { ...model, merges: [["b", "a"]] } },
    "a merge of one token": { normalizer: NFC, model: { ...model, merges: ["a"] } },
    "a merge with an empty token": { normalizer: NFC, model: { ...model, merges: [["a", ""]] } },
    "merges that are an object": { model: { ...model, merges: { a: "b" } } },
    "millions of merges": { model: { ...model, merges: new Array(2 ** 21 + 1).fill("a b") } },
    "a merge of byte tokens": {
      normalizer: NFC,
      model: { ...model, byte_fallback: true, vocab: { "<0x0A>": 0, a: 1, "<0x0A>a": 2 }, merges: [["<0x0A>", "a"]] },
    },
    Unigram: { model: { type: "Unigram", unk_id: 0, vocab: [["a", 0]] } },
    "a type that is a list": { model: { ...model, type: [["BPE"]] } },
    "an end-of-word suffix": { model: { ...model, end_of_word_suffix: "</w>" } },
    dropout: { model: { ...model, dropout: 0.1 } },
    "an added token with another token's id": { model, added_tokens: [{ id: 0, content: "<s>" }] },
    "added tokens with one id": {
      model,
      added_tokens: [
        { id: 3, content: "<s>" },
        { id: 3, content: "</s>" },
      ],
    },
    "an added token as long as a page": { model, added_tokens: [{ id: 3, content: "x".repeat(3000) }] },
    "more added tokens than any vocabulary has": {
      model,
      added_tokens: Array.from({ length: 300_000 }, (_, i) => ({ id: 10 * i, content: `<${i}>` })),
    },
    "an added token without an id": { model, added_tokens: [{ content: "<s>" }] },
    "an unknown normalizer": { model, normalizer: { type: "Precompiled", precompiled_charsmap: "AAAA" } },
    "a normalizer that is a text": { model, normalizer: "NFC" },
    "a normalizer that replaces nothing": {
      model,
      normalizer: { type: "Replace", pattern: { String: "" }, content: "" },
    },
    "deeply nested normalizers": { model, normalizer: nested("NFC", "normalizers") },
    "an unknown pre-tokenizer": { model, pre_tokenizer: { type: "UnicodeScripts" } },
    "deeply nested pre-tokenizers": { model, pre_tokenizer: nested("ByteLevel", "pretokenizers") },
    "bytes split again": {
      model,
      pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "ByteLevel" }, { type: "Digits" }] },
    },
    "a split without a pattern": { model, pre_tokenizer: split(5) },
    "a split of an unknown kind": { model, pre_tokenizer: split({ String: " " }, { behavior: "Dropped" }) },
    "an unknown decoder": { model, normalizer: NFC, decoder: { type: "WordPiece" } },
    "deeply nested decoders": { model, normalizer: NFC, decoder: nested("Fuse", "decoders") },
    "an unknown post-processor": { model, post_processor: { type: "Stop" } },
    "a post-processor without its token": { model, post_processor: { type: "BertProcessing", cls: [] } },
    "parts without a type": { model, normalizer: {}, pre_tokenizer: {} },
    "a decoder without a type": { model, normalizer: NFC, decoder: {} },
    "a decoder that is a number": { model, normalizer: NFC, decoder: 5 },
    "a post-processor without a type": { model, post_processor: [] },
    "no merges": { model: { ...model, merges: null } },
    "a normalizer in thousands": { model, normalizer: { type: "Sequence", normalizers: Array(2000).fill(NFC) } },
    "pre-tokenizers in thousands": {
      model,
      pre_tokenizer: { type: "Sequence", pretokenizers: Array(2000).fill({ type: "Digits" }) },
    },
    "decoders in thousands": {
      model,
      normalizer: NFC,
      decoder: { type: "Sequence", decoders: Array(2000).fill({ type: "Fuse" }) },
    },
    "a decoder Strip of half a space": {
      model,
      normalizer: NFC,
      decoder: { type: "Sequence", decoders: [{ type: "Fuse" }, { type: "Strip", content: " ", start: 0.5, stop: 0 }] },
    },
    "a normalizer with an invalid pattern": {
      model,
      normalizer: { type: "Replace", pattern: { Regex: "(" }, content: "" },
    },
    "deeply nested post-processors": { model, post_processor: nested("ByteLevel", "processors") },
    "several tokens before a text": {
      model,
      post_processor: {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: "a" } }, { SpecialToken: { id: "b" } }, { Sequence: { id: "A" } }],
      },
    },
  };

  test.each(Object.entries(files))("%s", (_, file) => {
    expectOneSentence(() => parseTokenizer(file, {}));
  });

  test.each([
    { added_tokens_decoder: [] },
    { added_tokens_decoder: { x: { content: "<s>" } } },
    { added_tokens_decoder: { "3": 5 } },
    { added_tokens_decoder: { "0": { content: "<s>" } } },
  ])("in tokenizer_config.json: %j", (config) => {
    expectOneSentence(() => parseTokenizer({ model, normalizer: NFC }, config));
  });
});

describe("files", () => {
  let dir = "";
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "tokenizer-"));
  });
  afterAll(() => rm(dir, { recursive: true }));

  const deep = (inside: (lists: string) => string) => inside("[".repeat(200_000) + "]".repeat(200_000));
  test.each([
    ["bytes that are not UTF-8", Buffer.from([0x7b, 0xff, 0x7d]), "is not UTF-8 text"],
    ["half a file", '{"model": {"type": "BPE", "vocab": {"a": ', "is not valid JSON"],
    ["deeply nested lists", "[".repeat(1_000_000), "is nested more than"],
    ["a deep id", deep((x) => `{"model": {"type": "BPE", "vocab": {"a": ${x}}, "merges": []}}`), "is nested more than"],
    [
      "a deep merge",
      deep((x) => `{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [${x}]}}`),
      "is nested more than",
    ],
  ])("%s", async (_, content, expected) => {
    await writeFile(join(dir, "tokenizer.json"), content);
    const problem = await loadTokenizer(dir).catch((error: unknown) => error);
    expect(problem).toBeInstanceOf(EngineError);
    expect((problem as EngineError).message).toContain(expected);
  });
});

describe("patterns", () => {
  test.each([
    [`a${"{1}".repeat(40)}`, "repeats a repetition too often"],
    ["*a", "has *"],
    ["(?=a)*", "repeats a position"],
    ["(?<=a+)b", "looks behind at a text of any length"],
    ["(a)\\2", "refers to a group"],
    ["\\k<n>", "refers to a group"],
    ["(?<n>a)\\1", "by number"],
    ["(?~a)", "special kind"],
    ["(?(1)a|b)", "special kind"],
    ["\\g<1>(a)", "has \\g"],
    ["\\X", "has \\X"],
    ["[z-a]", "range"],
    ["[a-\\d]", "range"],
    ["[]", "ends too early"],
    ["[a", "ends too early"],
    ["\\p{Nonsense}", "Nonsense"],
    ["a{3,2}", "ends before it begins"],
    ["a{1001}", "too often"],
    ["((((a{100}){100}){100}){100}){100}", "too complicated"],
    ["(".repeat(1000), "too deep"],
    ["[".repeat(1000), "too deep"],
    [`[${"a-z".repeat(10_000)}]`, "characters long"],
    ["a\\", "ends too early"],
    ["a)", "not open"],
    ["(a", "does not close"],
    ["\\x{110000}", "code point"],
    ["\\ud800", "code point"],
  ])("%s is rejected", (pattern, expected) => {
    expectOneSentence(() => translatePattern(pattern), expected);
  });

  test.each([
    // In JavaScript's regular expressions.
    String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`,
    String.raw`[A-Z]?[\p{Lu}\p{M}]*[\p{Ll}\p{M}]+|[A-Z]?[\p{Lu}\p{M}]+[\p{Ll}\p{M}]*`,
    String.raw`(?i:'s|'ll)?\p{L}+|.`,
    // In the matcher of our own.
    String.raw`\s+$`,
    String.raw`\s*\n`,
    String.raw`([!-/])\1*`,
    String.raw`(?=(\d{3})+(?!\d))`,
    String.raw`[^a]?((?=\p{L})([^a-z]))*((?=\p{L})([^A-Z]))+`,
    "(a+)+$",
    "(a|a)*b",
    "(a|aa)+c",
    "(x+x+)+y",
    "a*a*a*a*b",
    "a{0,50}a{0,50}b",
    "(?=.*b)a",
    "a++(?!b)",
    "a+?b",
  ])("%s takes linear time", (pattern) => {
    const { matches } = translatePattern(pattern);
    for (const unit of [" ", "A", "a", "\u0301", "\n ", "'l", "x", "1"]) {
      const started = process.cpuUsage();
      for (const _ of matches(unit.repeat(50_000)));
      expect(process.cpuUsage(started).user / 1000).toBeLessThan(1000);
    }
  });

  test.each(["(.*)\\1x", "(?:a*)*b", "(?>a*)b", "(?:(?:a|)*|b)*c"])("%s gives up on a long text", (pattern) => {
    const { matches } = translatePattern(pattern);
    expectOneSentence(() => Array.from(matches("a".repeat(300_000))), "takes too long on this text", 10_000);
    expect(Array.from(matches("aax"))).toBeDefined();
  });

  test("white space, digits and words follow Unicode, not JavaScript", () => {
    const found = (pattern: string, text: string) =>
      Array.from(translatePattern(pattern).matches(text), ({ start, end }) => text.slice(start, end));
    expect(found("\\s", "\u0085\ufeff\u00a0")).toEqual(["\u0085", "\u00a0"]);
    expect(found("\\d+", "1\u0661x")).toEqual(["1\u0661"]);
    expect(found("\\w+", "é\u0301_ß-")).toEqual(["é\u0301_ß"]);
    expect(found(".", "a\n\r\u2028")).toEqual(["a", "\r", "\u2028"]);
    expect(found("(?i:'s)", "'S'ſ's")).toEqual(["'S", "'ſ", "'s"]);
    expect(found("[a\\-z]+", "a-bz")).toEqual(["a-", "z"]);
    expect(found("\\p{Han}+|\\p{^L}", "漢字a1")).toEqual(["漢字", "1"]);
  });
});

describe("texts that would grow without end", () => {
  const doubled = (what: string, by: string) => ({ type: "Replace", pattern: { String: what }, content: by });
  const grow = Array.from({ length: 30 }, () => doubled("a", "aa"));

  test.each([
    ["by many replacements", grow, "a".repeat(100)],
    ["by one", [doubled("a", "b".repeat(100_000))], "a".repeat(20_000)],
    [
      "by a pattern",
      [{ type: "Replace", pattern: { Regex: "(?=a)" }, content: "b".repeat(100_000) }],
      "a".repeat(20_000),
    ],
    ["by a prefix", Array.from({ length: 30 }, () => ({ type: "Prepend", prepend: "x".repeat(1e6) })), "a"],
  ])("are rejected before they take memory: %s", (_, normalizers, text) => {
    const before = process.memoryUsage.rss();
    expectOneSentence(
      () => parseTokenizer({ model, normalizer: { type: "Sequence", normalizers } }, {}).encode(text),
      "many times as long",
    );
    expect(process.memoryUsage.rss() - before).toBeLessThan(300e6);
  });

  test("a decoder's replacements are limited too", () => {
    const decoder = { type: "Sequence", decoders: grow };
    const tokenizer = parseTokenizer({ model, normalizer: NFC, decoder }, {});
    expectOneSentence(() => tokenizer.decode([0]), "much longer");
  });

  test("every compatibility form still fits", () => {
    const NFKD = { type: "NFKD" };
    const tokenizer = parseTokenizer({ model: { ...model, unk_token: "a" }, normalizer: NFKD }, {});
    expect(tokenizer.spans("\ufdfa".repeat(5000)).at(-1)?.end).toBe(5000);
  });
});

describe("long texts without a cut", () => {
  const merges = Array.from({ length: 12 }, (_, i) => ["a".repeat(2 ** i), "a".repeat(2 ** i)]);
  const tokens = ["▁", "b", ...merges.map(([half]) => half as string), "a".repeat(2 ** 12)];
  const file = { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges };
  const tokenizer = parseTokenizer({ model: file, normalizer: { type: "Prepend", prepend: "▁" } }, {});

  test("a million equal letters take seconds", () => {
    const started = process.cpuUsage();
    const ids = tokenizer.encode("a".repeat(1_000_000));
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(5000);
    expect(ids.length).toBe(1 + Math.floor(1_000_000 / 4096) + popCount(1_000_000 % 4096));
  });

  test("a million marks on one letter take seconds", () => {
    const composing = parseTokenizer(
      { model: { ...file, vocab: { ...file.vocab, "\u0301": 90 } }, normalizer: NFC },
      {},
    );
    const started = process.cpuUsage();
    expect(composing.encode(`b${"\u0301".repeat(300_000)}`)).toHaveLength(300_001);
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(5000);
  });
});

const popCount = (n: number) => n.toString(2).replaceAll("0", "").length;

function expectOneSentence(work: () => unknown, expected = "", milliseconds = 3000): void {
  const started = process.cpuUsage();
  let problem: unknown;
  try {
    work();
  } catch (error) {
    problem = error;
  }
  expect(problem).toBeInstanceOf(EngineError);
  const { message } = problem as EngineError;
  expect(message).toMatch(/^tokenizer\.json: [^\n]{5,300}\.$/);
  expect(message).toContain(expected);
  expect(process.cpuUsage(started).user / 1000).toBeLessThan(milliseconds);
}
