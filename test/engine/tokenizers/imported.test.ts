/** Tokenizers of imported folders: the role of each file, special tokens, and the start of a prompt. */

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  encodeBatch,
  loadTokenizer,
  padBatch,
  parseTokenizer,
  saveTokenizer,
  type Tokenizer,
  tokenizerFiles,
} from "../../../src/engine/tokenizers";
import { BYTE_CHARACTERS } from "../../../src/engine/tokenizers/bytes";
import { testData } from "../../helpers/testData";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tokenizer-"));
});
afterAll(() => rm(root, { recursive: true }));

let folders = 0;
async function load(files: Readonly<Record<string, unknown>>): Promise<Tokenizer> {
  const dir = join(root, `${folders++}`);
  await mkdir(dir);
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(dir, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return loadTokenizer(dir);
}

const byId = (tokens: readonly string[]) => Object.fromEntries(tokens.map((token, id) => [token, id]));
const gpt2 = {
  "vocab.json": byId([...BYTE_CHARACTERS, "he", "Ġhe", "<|endoftext|>"]),
  "merges.txt": "#version: 0.2\nh e\nĠ he\n",
};
const optTokens = ["<s>", "<pad>", "</s>", "<unk>", ...BYTE_CHARACTERS, "he", "Ġhe", "madeupword0000"];
const opt = { "vocab.json": byId(optTokens), "merges.txt": gpt2["merges.txt"] };

describe("vocab.json and merges.txt", () => {
  test("GPT-2: the end of text is also BOS, and no prompt starts with it", async () => {
    const tokenizer = await load(gpt2);
    const [h, endOfText] = [BYTE_CHARACTERS.indexOf("h"), 258];
    expect(tokenizer.encodePrompt("he hh")).toEqual([256, BYTE_CHARACTERS.indexOf("Ġ"), h, h]);
    expect(tokenizer.encodePrompt("")).toEqual([endOfText]);
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([endOfText, endOfText, null]);
    expect(tokenizer.decode([256, endOfText, 257])).toBe("he he");
  });

  test("OPT, detected by vocabulary or config.json: every prompt starts with </s>", async () => {
    const said = { ...opt, "vocab.json": byId(optTokens.slice(0, -1)), "config.json": { model_type: "opt" } };
    for (const tokenizer of [await load(opt), await load(said)]) {
      expect(tokenizer.encodePrompt("he he")).toEqual([2, 260, 261]);
      expect(tokenizer.encodePrompt("</s>he")).toEqual([2, 260]);
      expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([2, 2, 1]);
    }
    const other = await load({ ...opt, "config.json": { model_type: "gpt2" } });
    expect(other.encodePrompt("he")).toEqual([260]);
  });

  test("tokenizer_config.json takes precedence", async () => {
    const tokenizer = await load({
      ...opt,
      "tokenizer_config.json": { add_bos_token: false, add_prefix_space: true, bos_token: { content: "<s>" } },
    });
    expect(tokenizer.encodePrompt("he")).toEqual([261]);
    expect(tokenizer.spans("he")).toMatchObject([{ token: "Ġhe", start: 0, end: 2 }]);
    expect(tokenizer.bosId).toBe(0);
  });
});

describe("vocab.json and merges.txt of other families", () => {
  const files = { ...gpt2, "added_tokens.json": { "<|im_start|>": 259, "<|im_end|>": 260 } };
  const tokens = (tokenizer: Tokenizer, text: string) => tokenizer.spans(text).map(({ token }) => token);

  test.each([
    ["by its class", { "tokenizer_config.json": { tokenizer_class: "Qwen2Tokenizer", eos_token: "<|im_end|>" } }],
    [
      "by the model's type",
      { "config.json": { model_type: "qwen3" }, "special_tokens_map.json": { eos_token: { content: "<|im_end|>" } } },
    ],
  ])("Qwen2, known %s: single digits, NFC, and tokens of added_tokens.json", async (_, more) => {
    const tokenizer = await load({ ...files, ...more });
    expect(tokens(tokenizer, "12<|im_start|>he")).toEqual(["1", "2", "<|im_start|>", "he"]);
    expect(tokenizer.encode("e\u0301")).toEqual(tokenizer.encode("é"));
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([null, 260, 258]);
    // Only a token with a role is special, and has no text.
    expect(tokenizer.decode([256, 259, 260])).toBe("he<|im_start|>");
    const again = await load(tokenizerFiles(tokenizer));
    expect(again.encode("12<|im_start|>he")).toEqual(tokenizer.encode("12<|im_start|>he"));
  });

  test("GPT-NeoX composes characters, and OLMo 2 splits numbers into threes", async () => {
    const neoX = await load({ ...files, "tokenizer_config.json": { tokenizer_class: "GPTNeoXTokenizerFast" } });
    expect(neoX.encode("e\u0301")).toEqual(neoX.encode("é"));
    const vocab = byId([...BYTE_CHARACTERS, "12", "34", "123", "1234", "<|endoftext|>"]);
    const numbers = { "vocab.json": vocab, "merges.txt": "1 2\n3 4\n12 3\n12 34\n" };
    const type = (model_type: string) => ({ ...numbers, "config.json": { model_type } });
    expect(tokens(await load(type("gpt2")), "1234")).toEqual(["1234"]);
    expect(tokens(await load(type("olmo2")), "1234")).toEqual(["123", "4"]);
  });

  test("special tokens come from either file's list, also without a role", async () => {
    const lists = {
      "special_tokens_map.json": { additional_special_tokens: ["<|im_start|>"] },
      "tokenizer_config.json": { tokenizer_class: "Qwen2Tokenizer", extra_special_tokens: { end: "<|im_end|>" } },
    };
    const tokenizer = await load({ ...files, ...lists });
    expect(tokenizer.decode([256, 259, 260, 257])).toBe("he he");
  });

  test("are refused where neither class nor type says how to split", async () => {
    const refusal = (more: object) => load({ ...files, ...more });
    await expect(refusal({ "config.json": { model_type: "llama" } })).rejects.toThrow('models of the type "llama"');
    await expect(refusal({ "tokenizer_config.json": { tokenizer_class: "CTRLTokenizer" } })).rejects.toThrow(
      'of the class "CTRLTokenizer" split a text. Add the model\'s tokenizer.json',
    );
  });

  test("added_tokens.json beside tokenizer.json adds what it lacks", async () => {
    const model = { type: "BPE", vocab: byId(["a", "b"]), merges: [] };
    const json = { normalizer: { type: "NFC" }, model };
    const tokenizer = await load({ "tokenizer.json": json, "added_tokens.json": { a: 7, "<x>": 2, "<y>": 1 } });
    expect(tokenizer.encode("a<x>b")).toEqual([0, 2, 1]);
    expect(tokenizer.vocabSize).toBe(3);
  });
});

describe("special tokens", () => {
  const model = { type: "BPE", vocab: byId(["<s>", "</s>", "a", "b", "ab"]), merges: ["a b"] };
  const json = { normalizer: { type: "NFC" }, model };

  test("come from special_tokens_map.json if tokenizer_config.json names none, as texts or as objects", async () => {
    const map = { bos_token: "<s>", eos_token: { content: "</s>", lstrip: false } };
    const tokenizer = await load({ "tokenizer.json": json, "special_tokens_map.json": map });
    expect([tokenizer.bosId, tokenizer.eosId]).toEqual([0, 1]);
    expect(tokenizer.encode("a</s>b")).toEqual([2, 1, 3]);
    const none = { "tokenizer_config.json": { eos_token: null } };
    const without = await load({ "tokenizer.json": json, "special_tokens_map.json": map, ...none });
    expect(without.eosId).toBeNull();
  });

  test("come from generation_config.json and config.json if the tokenizer's files name none", async () => {
    const config = { "config.json": { bos_token_id: 0, eos_token_id: 3, pad_token_id: 99 } };
    const tokenizer = await load({
      "tokenizer.json": json,
      ...config,
      "generation_config.json": { eos_token_id: [1, 4] },
    });
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId, tokenizer.addBos]).toEqual([0, 1, null, false]);
    // The saved tokenizer keeps them without these files.
    const alone = await load(tokenizerFiles(tokenizer));
    expect([alone.bosId, alone.eosId, alone.padId]).toEqual([0, 1, null]);
  });

  test("that end a text come from generation_config.json alone where it exists", async () => {
    const files = { "tokenizer.json": json, "config.json": { bos_token_id: 0, eos_token_id: 3 } };
    expect((await load(files)).eosId).toBe(3);
    expect((await load({ ...files, "generation_config.json": { eos_token_id: 1 } })).eosId).toBe(1);
    const silent = await load({ ...files, "generation_config.json": {} });
    expect([silent.bosId, silent.eosId]).toEqual([0, null]);
  });

  test("can be added by tokenizer_config.json, with their flags", () => {
    const config = {
      added_tokens_decoder: {
        "0": { content: "<s>", special: true, rstrip: true },
        "7": { content: "<x>", lstrip: true },
      },
    };
    const tokenizer = parseTokenizer({ ...json, added_tokens: [{ id: 0, content: "<s>", special: true }] }, config);
    expect(tokenizer.spans("a \n<x><s>  b").map(({ id, start, end }) => [id, start, end])).toEqual([
      [2, 0, 1],
      [7, 1, 6],
      [0, 6, 11],
      [3, 11, 12],
    ]);
    expect(tokenizer.vocabSize).toBe(8);
    expect(tokenizer.token(6)).toBe("<6>");
    expect(tokenizer.decode([2, 6, 7])).toBe("a<x>");
  });

  test("start a prompt by default in Llama's class, unless a file disables it", () => {
    const config = { tokenizer_class: "LlamaTokenizer", bos_token: "<s>" };
    expect(parseTokenizer(json, config).encodePrompt("ab")).toEqual([0, 4]);
    expect(parseTokenizer(json, { ...config, add_bos_token: false }).encodePrompt("ab")).toEqual([4]);
    expect(parseTokenizer(json, { ...config, tokenizer_class: "GPT2Tokenizer" }).encodePrompt("ab")).toEqual([4]);
  });

  test("have no text if they are also the unknown token", () => {
    const config = { bos_token: "<s>", unk_token: "<s>" };
    expect(parseTokenizer(json, config).decode([0, 4])).toBe("ab");
  });
});

describe("a tokenizer that prepends a space", () => {
  const file = {
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE",
      byte_fallback: true,
      vocab: byId([
        ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
        "<s>",
        "▁",
        "a",
        "▁a",
      ]),
      merges: ["▁ a"],
    },
  };
  const tokenizer = parseTokenizer(file, { bos_token: "<s>", add_bos_token: true });

  test("has spans over the original text", () => {
    const spans = tokenizer.promptSpans("a ☃ a").map(({ token, start, end, bytes }) => [token, start, end, [...bytes]]);
    expect(spans).toEqual([
      ["<s>", 0, 0, []],
      ["▁a", 0, 1, [0x20, 0x61]],
      ["▁", 1, 2, [0x20]],
      ["<0xE2>", 2, 3, [0xe2]],
      ["<0x98>", 2, 3, [0x98]],
      ["<0x83>", 2, 3, [0x83]],
      ["▁a", 3, 5, [0x20, 0x61]],
    ]);
    // The prepended space is a token of its own with an empty span.
    expect(tokenizer.spans("☃").map(({ start, end }) => [start, end])).toEqual([
      [0, 0],
      [0, 1],
      [0, 1],
      [0, 1],
    ]);
  });

  test("decodes without that space, but keeps a space after a prompt", () => {
    const ids = tokenizer.encodePrompt("a ☃ a");
    expect(tokenizer.decode(ids)).toBe("a ☃ a");
    const written = (before?: readonly number[]) => {
      const decoder = tokenizer.decoder(before);
      return (
        ids
          .slice(1)
          .map((id) => decoder.push(id))
          .join("") + decoder.end()
      );
    };
    expect(written(ids)).toBe(" a ☃ a");
    expect(written()).toBe(" a ☃ a");
    // Only BOS is before it.
    expect(written([256])).toBe("a ☃ a");
  });

  test("is the same after saving and loading", async () => {
    await saveTokenizer(tokenizer, root);
    const loaded = await loadTokenizer(root);
    expect(loaded.spans("a ☃<s>a")).toEqual(tokenizer.spans("a ☃<s>a"));
    expect(loaded.encodePrompt("☃")).toEqual(tokenizer.encodePrompt("☃"));
    expect(loaded.decode([256, 259, 259])).toBe("a a");
  });
});

test("a byte token's span ends where its character does, also with ignored merges", () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const vocab = byId([...bytes, "a", "b", "▁a", "ab"]);
  const model = { type: "BPE", vocab, merges: ["a b"], byte_fallback: true, ignore_merges: true };
  for (const pre_tokenizer of [null, { type: "Metaspace", prepend_scheme: "first", split: true }]) {
    const tokenizer = parseTokenizer({ normalizer: { type: "NFC" }, pre_tokenizer, model }, {});
    for (const text of ["\t", "a\tb\n", "é", "\n\n", "😀", "<0x41>", "ab\u0000"]) {
      const spans = tokenizer.spans(text);
      expect(spans.map(({ id }) => id)).toEqual(tokenizer.encode(text));
      expect(spans.at(-1)?.end).toBe(text.length);
      for (const [i, { start, end }] of spans.entries()) {
        expect(start).toBeGreaterThanOrEqual(spans[i - 1]?.start ?? 0);
        expect(end).toBeGreaterThanOrEqual(start);
        expect(end).toBeLessThanOrEqual(text.length);
      }
    }
  }
  const spans = parseTokenizer({ normalizer: { type: "NFC" }, model }, {}).spans("a\tb\n");
  expect(spans.map(({ start, end }) => [start, end])).toEqual([
    [0, 1],
    [1, 2],
    [2, 3],
    [3, 4],
  ]);
});

test("rows of unequal length are padded on the right, with a mask", () => {
  expect(padBatch([[5, 6, 7], [], [8]], 1)).toEqual({
    ids: [
      [5, 6, 7],
      [1, 1, 1],
      [8, 1, 1],
    ],
    mask: [
      [1, 1, 1],
      [0, 0, 0],
      [1, 0, 0],
    ],
  });
});

const optFolder = testData("opt-tokenizer");
describe.skipIf(!optFolder)("OPT's vocabulary (skipped without the test data)", () => {
  const loading = optFolder ? loadTokenizer(optFolder) : null;

  test("returns the published ids after </s>", async () => {
    const tokenizer = (await loading) as Tokenizer;
    expect(tokenizer.encodePrompt("The quick brown fox jumps over the lazy dog")).toEqual([
      2, 133, 2119, 6219, 23602, 13855, 81, 5, 22414, 2335,
    ]);
  });

  test("returns a padded batch with its mask", async () => {
    const tokenizer = (await loading) as Tokenizer;
    const { ids, mask } = encodeBatch(tokenizer, ["I like Machine Learning", "The sun rises in the east"]);
    expect(ids).toEqual([
      [2, 100, 101, 14969, 13807, 1, 1],
      [2, 133, 3778, 10185, 11, 5, 3017],
    ]);
    expect(mask.map((row) => row.join(""))).toEqual(["1111100", "1111111"]);
  });
});
