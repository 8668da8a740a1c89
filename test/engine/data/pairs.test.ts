import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readPairs, shuffled, splitPairs } from "../../../src/engine/data/pairs";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-pairs-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const fileOf = async (name: string, text: string) => {
  await writeFile(join(dir, name), text);
  return join(dir, name);
};
const paths = (...paths: string[]) => ({ kind: "paths", paths }) as const;

test("a line is a sentence, a tab and its translation; empty lines and further columns are ignored", async () => {
  const file = await fileOf("pairs.tsv", "the cat\tle chat\r\n\r\na dog \t un chien\tCC-BY\r\n");
  expect(await readPairs(paths(file))).toEqual([
    { source: "the cat", target: "le chat" },
    { source: "a dog", target: "un chien" },
  ]);
});

test("two files are aligned line by line", async () => {
  const files = [await fileOf("a.en", "the cat\n\na dog\n"), await fileOf("a.fr", "le chat\n\nun chien")];
  expect(await readPairs(paths(...files))).toEqual([
    { source: "the cat", target: "le chat" },
    { source: "a dog", target: "un chien" },
  ]);
});

test("a repeated sentence keeps its first translation, so that none is both learned and held out", async () => {
  const text = "they sleep\tils dorment\nthey sleep\telles dorment\n";
  expect(await readPairs({ kind: "text", name: "pairs", text })).toEqual([
    { source: "they sleep", target: "ils dorment" },
  ]);
});

describe("a text that is not parallel is rejected with the line number", () => {
  test("a line without a tab", async () => {
    const file = await fileOf("bad.tsv", "the cat\tle chat\nthe dog le chien\n");
    await expect(readPairs(paths(file))).rejects.toThrow(
      /bad\.tsv, line 2: expected a sentence, a tab and its translation/,
    );
  });

  test("files of unequal length, or with an empty line in one of them", async () => {
    const [one, two] = [await fileOf("one", "a\nb\n"), await fileOf("two", "a\n")];
    await expect(readPairs(paths(one, two))).rejects.toThrow(/one has 2 lines and two 1/);
    const gap = await fileOf("gap", "\nb\n");
    await expect(readPairs(paths(one, gap))).rejects.toThrow(/Line 1 is empty in one of one and gap/);
    await expect(readPairs(paths(one, two, gap))).rejects.toThrow(/3 files were chosen/);
  });
});

test("pairs are split at random by the seed, each into one part", () => {
  const pairs = Array.from({ length: 50 }, (_, i) => i);
  const { train, validation, test: tested } = splitPairs(pairs, 0.1, 7);
  expect([train.length, validation.length, tested.length]).toEqual([40, 5, 5]);
  expect([...train, ...validation, ...tested].sort((a, b) => a - b)).toEqual(pairs);
  expect(splitPairs(pairs, 0.1, 7)).toEqual({ train, validation, test: tested });
  expect(splitPairs(pairs, 0.1, 8).validation).not.toEqual(validation);
  expect(shuffled(pairs, 7, "x")).not.toEqual(shuffled(pairs, 7, "y"));
  expect(() => splitPairs([1, 2], 0.1, 7)).toThrow(/2 sentence pairs are too few/);
});
