import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { expect, test } from "vitest";
import {
  loadPrefixedTokenizer,
  parseTokenizer,
  SENTENCE,
  saveTokenizer,
  tokenizerFiles,
  trainSentences,
} from "../../../src/engine/tokenizers";

const SENTENCES = ["L'oiseau chante", "le chat n'aime pas l'oiseau", "le chat dort"];

test("a word at the start of a sentence is the same token as in the middle", () => {
  const tokenizer = trainSentences(SENTENCES, { lowercase: true });
  expect(tokenizer.encode("chat dort")).toEqual(tokenizer.encode("le chat dort").slice(1));
  expect(tokenizer.decode(tokenizer.encode("Le Chat n'aime pas l'oiseau"))).toBe("le chat n'aime pas l'oiseau");
});

test("the vocabulary lists special tokens, then words by frequency", () => {
  const { token, vocabSize, padId, bosId, eosId, unkId } = trainSentences(SENTENCES, { lowercase: true });
  expect(Array.from({ length: 6 }, (_, id) => token(id))).toEqual(["<pad>", "<bos>", "<eos>", "<unk>", "'", " chat"]);
  expect({ padId, bosId, eosId, unkId }).toEqual(SENTENCE);
  expect(vocabSize).toBe(4 + 10);
});

test("an unseen word is <unk>, and so is a different case in a case-sensitive vocabulary", () => {
  expect(trainSentences(SENTENCES, { lowercase: true }).encode("le chien")).toContain(SENTENCE.unkId);
  expect(trainSentences(SENTENCES, { lowercase: false }).encode("Le chat")[0]).toBe(SENTENCE.unkId);
});

test("a saved tokenizer is read back unchanged, also with a prefix", async () => {
  const dir = await mkdtemp(join(tmpdir(), "decoder-lab-sentences-"));
  try {
    const tokenizer = trainSentences(SENTENCES, { lowercase: true });
    await saveTokenizer(tokenizer, dir, "target_");
    const read = await loadPrefixedTokenizer(dir, "target_");
    const text = "Le chat n'aime pas l'Oiseau";
    expect(read.encode(text)).toEqual(tokenizer.encode(text));
    expect(read.decode(read.encode(text))).toBe("le chat n'aime pas l'oiseau");
    expect([read.vocabSize, read.padId, read.bosId, read.eosId, read.unkId]).toEqual([tokenizer.vocabSize, 0, 1, 2, 3]);
    await expect(loadPrefixedTokenizer(dir, "other_")).rejects.toThrow(/has no other_tokenizer\.json/);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("a prompt starts with <bos> and may span several lines, as in other runtimes", () => {
  const tokenizer = trainSentences(SENTENCES, { lowercase: false, unknown: false, prompts: true });
  expect([tokenizer.vocabSize, tokenizer.unkId]).toEqual([3 + 11, null]);
  const ids = tokenizer.encodePrompt("le chat dort");
  expect(ids).toEqual([SENTENCE.bosId, ...tokenizer.encode("le chat dort")]);
  expect(tokenizer.encodePrompt(" le\nchat  dort \n")).toEqual(ids);

  const [json, config] = Object.values(tokenizerFiles(tokenizer)).map((file) => JSON.parse(file)) as [object, object];
  expect(parseTokenizer(json, config).encodePrompt("le chat dort")).toEqual(ids);
  const theirs = new Tokenizer(json, config);
  for (const text of ["le chat dort", " le\nchat  dort \n"]) expect(theirs.encode(text).ids, text).toEqual(ids);
});
