import { describe, expect, test } from "vitest";
import { findTokens, nextToken, vocabularyTexts } from "../../../src/engine/inspect/nextToken";
import { random } from "../../../src/engine/random";

const written = ["a", "Ġb", "ab", "Ċ", "<eos>", "Ã"];
const bytes = [[97], [32, 98], [97, 98], [10], [], [0xc3]].map((each) => Uint8Array.from(each));
const vocabulary = {
  vocabSize: written.length,
  token: (id: number) => written[id] as string,
  bytes: (id: number) => bytes[id] as Uint8Array,
};
// One more than the tokenizer has.
const p = Float32Array.of(0.5, 0.125, 0.25, 0.0625, 0.0625, 0, 0);
const texts = vocabularyTexts(p.length, vocabulary);

test("a token's text is what it decodes to, or the vocabulary's spelling if it has no text of its own", () =>
  expect(texts).toEqual(["a", " b", "ab", "\n", "<eos>", "Ã", "<6>"]));

describe("the most likely tokens", () => {
  test("are sorted by probability, then by id", () => {
    const { top } = nextToken(p, vocabulary, 4);
    expect(top.map(({ id, rank, probability }) => [id, rank, probability])).toEqual([
      [0, 1, 0.5],
      [2, 2, 0.25],
      [1, 3, 0.125],
      [3, 4, 0.0625],
    ]);
    expect(top[2]).toMatchObject({ token: "Ġb", bytes: bytes[1] });
  });

  test("are all tokens of a small vocabulary, with the entropy over all", () => {
    const { top, entropyBits } = nextToken(p, vocabulary, 100);
    expect(top).toHaveLength(p.length);
    expect(entropyBits).toBeCloseTo(0.5 + 0.5 + 0.375 + 0.25 + 0.25, 6);
  });

  test("of a vocabulary of 256,000 equal those of a full sort, in milliseconds", () => {
    const draws = random(1, "nextToken");
    const many = Float32Array.from({ length: 256_000 }, () => Math.exp(3 * draws.normal()));
    const one = { vocabSize: many.length, token: String, bytes: () => new Uint8Array() };
    const began = performance.now();
    const { top } = nextToken(many, one, 100);
    // 20 ms on a quiet machine.
    expect(performance.now() - began).toBeLessThan(1000);
    const sorted = [...many].sort((a, b) => b - a).slice(0, 100);
    expect(top.map(({ probability }) => probability)).toEqual(sorted);
  });
});

test.each([
  ["b", ["ab 2", "Ġb 3"], 2],
  [" b", ["Ġb 3"], 1],
  ["a", ["a 1", "ab 2"], 2],
  ["\n", ["Ċ 4"], 1],
  ["#4", ["<eos> 5"], 1],
  ["#99", [], 0],
  ["<eos>", ["<eos> 5"], 1],
  ["", [], 0],
])("a search for %j finds %j", (query, expected, matches) => {
  const answer = findTokens(query, p, texts, vocabulary, 5);
  expect(answer.found.map(({ token, rank }) => `${token} ${rank}`)).toEqual(expected);
  expect(answer.matches).toBe(matches);
});
