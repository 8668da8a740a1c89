import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { makePairs } from "../scripts/makePairs";
import { makeStories } from "../scripts/makeStories";
import { inRoot } from "../scripts/paths";
import { readSample } from "../src/engine/data/samples";
import { presetNamed } from "../src/engine/presets/settings";

const stories = readFileSync(inRoot("samples/stories.txt"), "utf8");

describe("the stories of the samples", () => {
  test("are what their generator writes", () => {
    expect(makeStories() === stories).toBe(true);
  });

  test("are different from each other, and from those of another seed", () => {
    const all = stories.trim().split("\n\n");
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBeGreaterThan(500);
    expect(makeStories(8, 10_000)).not.toBe(makeStories(7, 10_000));
  });

  test("keep to a few characters and words, so that a small model can learn them", () => {
    expect(new Set(stories).size).toBeLessThan(64);
    expect(new Set(stories.match(/[A-Za-z']+/g)).size).toBeLessThan(600);
  });

  test("keep a friend's name and pronoun", () => {
    for (const [, his, name] of stories.matchAll(/There once was an? \w+ \w+\. (His|Her) name was (\w+)\./g)) {
      expect(his === "His" ? boys : girls).toContain(name);
    }
    expect(new Set(stories.match(/\bTom(,| the) (a )?\w+(?= (came|walked|gave|saw|took|was)|\.)/g))).toEqual(
      new Set(["Tom the frog", "Tom, a frog"]),
    );
    expect(stories).not.toMatch(/undefined|\[object|\$\{| {2}/);
  });
});

const boys = ["Tim", "Ben", "Max", "Tom"];
const girls = ["Mia", "Lily", "Anna", "Ella"];

test("the hover sample has CR LF, emoji, CJK and combining marks", () => {
  const text = readFileSync(inRoot("samples/unicode.txt"), "utf8");
  expect(text.split("\r\n").length).toBeGreaterThan(8);
  expect(text.replaceAll("\r\n", "")).not.toMatch(/[\r\n]/);
  for (const part of ["👩‍🚀", "世界", "e\u0301"]) expect(text).toContain(part);
});

describe("the sentence pairs of the samples", () => {
  const pairs = readFileSync(inRoot("samples/english-french.tsv"), "utf8").trim().split("\n");

  test("are what their generator writes, each English sentence once", () => {
    expect(makePairs(2000, 11)).toEqual(pairs);
    expect(new Set(pairs.map((pair) => pair.split("\t")[0])).size).toBe(2000);
    expect(makePairs(50, 12)).not.toEqual(pairs.slice(0, 50));
  });

  test("agree, elide and negate as French does", () => {
    const french = pairs.map((pair) => pair.split("\t")[1] as string);
    const text = french.join("\n");
    for (const part of ["vieille oie", "les oies blanches", "l'ours", "n'aime pas", "ne voient pas", "bel oiseau"]) {
      expect(text).toContain(part);
    }
    for (const wrong of [
      /\b(le|la|de|ne) [aeiouéh]/,
      /\bma [aeiou]/,
      /\bce [aeiou]/,
      /beau [aeiou]/,
      /pas (un|une|des)\b/,
    ]) {
      expect(french.filter((sentence) => wrong.test(sentence))).toEqual([]);
    }
  });
});

test.each([
  ["char", "stories.txt", /^Once there was a /],
  ["text", "stories.txt", /^Once there was a /],
  ["gpt2", "stories.txt", /^Once there was a /],
  ["tinylm", "greetings.txt", /^hello , how are you \?\n/],
  ["translate", "english-french.tsv", /^[a-z' ]+\t.+\n/],
])("%s trains on %s unless another text is chosen", async (preset, name, start) => {
  expect(presetNamed(preset).sample).toBe(name);
  const sample = await readSample(name);
  expect(sample).toMatchObject({ kind: "text", name });
  expect(sample.text.slice(0, 100)).toMatch(start);
});
