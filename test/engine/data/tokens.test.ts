import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  countEvaluationBatches,
  evaluationBatches,
  IGNORE,
  openCorpus,
  randomBatch,
  readTokens,
  requireContext,
  requireDocuments,
  sequentialBatch,
  splitDocuments,
  splitTokens,
} from "../../../src/engine/data";
import { trainBytePairs, trainCharacters } from "../../../src/engine/tokenizers";
import { bundleProgram, outputOf, startProgram } from "../../helpers/runProgram";

const corpusOf = (text: string) => openCorpus({ kind: "text", name: "text", text });

describe("reading tokens", () => {
  const text = "Once there was a fox. It didn't run, 😀 日本\n".repeat(20_000);

  test("yields the ids of the whole text, independent of chunks", async () => {
    const corpus = await corpusOf(text);
    const tokenizer = await trainBytePairs(corpus.chunks(), { vocabSize: 300 });
    const progress: number[] = [];
    const { tokens } = await readTokens(corpus, tokenizer, { onProgress: (fraction) => progress.push(fraction) });
    expect(tokens).toBeInstanceOf(Uint16Array);
    expect(
      Buffer.from(tokens.slice().buffer).equals(Buffer.from(Uint16Array.from(tokenizer.encode(text)).buffer)),
    ).toBe(true);
    expect(progress.length).toBeGreaterThan(2);
    expect(progress.at(-1)).toBe(1);
  });

  test("grows its buffer if a character has several tokens", async () => {
    const corpus = await corpusOf("日本語".repeat(5000));
    const bytes = await trainBytePairs(["x"], { vocabSize: 256 });
    expect((await readTokens(corpus, bytes)).tokens).toHaveLength(45_000);
  });

  test("yields to other tasks, and can be canceled", async () => {
    const corpus = await corpusOf(text.repeat(5));
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 1);
    const tokenizer = await trainBytePairs(["x"], { vocabSize: 256 });
    await expect(readTokens(corpus, tokenizer, { signal: controller.signal })).rejects.toThrow(/abort/i);
  });

  test("names characters that the tokenizer lacks", async () => {
    await expect(readTokens(await corpusOf("abc!"), await trainCharacters(["abc"]))).rejects.toThrow('"!" (U+0021)');
  });

  test("never holds the text of a file: 40 MB are read with a heap of 24 MB", async () => {
    const dir = await mkdtemp(join(tmpdir(), "corpus-"));
    const path = join(dir, "big.txt");
    const block = "All work and no play makes Jack a dull boy.\n".repeat(24_000);
    const blocks = 40;
    for (let i = 0; i < blocks; i++) await appendFile(path, block);

    const program = await bundleProgram(join(import.meta.dirname, "readTokens.program.ts"));
    const { stdout, stderr } = await outputOf(startProgram(program, [path], ["--max-old-space-size=24"]));
    await rm(dir, { recursive: true });
    expect(stderr).toBe("");
    expect(Number(stdout)).toBe(blocks * block.length);
  }, 60_000);
});

describe("splits", () => {
  const tokens = Uint16Array.from({ length: 1000 }, (_, i) => i);

  test("are by position, 90 % for training", () => {
    const { train, validation, test: last } = splitTokens(tokens, { validation: 0.1 });
    expect([train.length, validation.length, last.length]).toEqual([900, 100, 0]);
    expect([...train.subarray(898, 900), ...validation.subarray(0, 1)]).toEqual([898, 899, 900]);
  });

  test("have a test part on request", () => {
    const { train, validation, test: last } = splitTokens(tokens, { validation: 0.1, test: 0.1 });
    expect([train.length, validation.length, last.length]).toEqual([800, 100, 100]);
    expect([...last.subarray(0, 1)]).toEqual([900]);
  });

  test("reject a text shorter than the context, with the number of tokens it has and needs", () => {
    const shares = { validation: 0.1 };
    expect(() => requireContext("a.txt", tokens.subarray(0, 1), shares, 64)).toThrow(
      "a.txt has 1 token, but a training context of 64 needs at least 651. Choose a longer text or a smaller train.blockSize.",
    );
    for (let n = 1; n <= 1000; n++) {
      const parts = splitTokens(tokens.subarray(0, n), shares);
      let refused = false;
      try {
        requireContext("a.txt", tokens.subarray(0, n), shares, 64);
      } catch {
        refused = true;
      }
      if (!refused) expect(Math.min(parts.train.length, parts.validation.length)).toBeGreaterThan(64);
    }
    expect(() => requireContext("a.txt", tokens.subarray(0, 651), shares, 64)).not.toThrow();
  });
});

test("a split by document names the part that is too short, and what to do", () => {
  const tokens = Uint16Array.from({ length: 1000 }, (_, i) => i);
  const shares = { validation: 0.1 };
  const splits = splitDocuments(tokens, Float64Array.of(1000), shares, 1);
  expect(() => requireDocuments("a.txt", splits, shares, 64)).toThrow(
    "a.txt split by document leaves 0 tokens to validate on, but a training context of 64 needs at least 65. Choose more documents, a smaller train.blockSize, or data.split=position.",
  );
  const many = splitDocuments(
    tokens,
    Float64Array.from({ length: 100 }, (_, i) => 10 * (i + 1)),
    shares,
    1,
  );
  expect(() => requireDocuments("a.txt", many, shares, 16)).not.toThrow();
});

describe("batches", () => {
  const tokens = Uint16Array.from({ length: 500 }, (_, i) => i);
  const shape = { batchSize: 4, blockSize: 8 };

  test("a label is the next token", () => {
    const { ids, labels } = randomBatch(tokens, { ...shape, seed: 1, step: 1 });
    expect(ids).toHaveLength(32);
    expect(Array.from(labels)).toEqual(Array.from(ids, (id) => id + 1));
  });

  test("depend only on seed and step", () => {
    const options = { ...shape, seed: 1, step: 7 };
    expect(randomBatch(tokens, options)).toEqual(randomBatch(tokens, options));
    expect(randomBatch(tokens, options)).not.toEqual(randomBatch(tokens, { ...options, step: 8 }));
    expect(randomBatch(tokens, options)).not.toEqual(randomBatch(tokens, { ...options, seed: 2 }));
  });

  test("reach the first and the last token", () => {
    const seen = new Set<number>();
    for (let step = 0; step < 400; step++) {
      const { ids, labels } = randomBatch(tokens, { ...shape, seed: 1, step });
      for (const id of [...ids, ...labels]) seen.add(id);
    }
    expect(seen.size).toBe(500);
  });

  test("in order cover the text once per epoch, from an offset that the seed determines", () => {
    const steps = (seed: number, first: number, count: number) =>
      Array.from({ length: count }, (_, i) => sequentialBatch(tokens, { ...shape, seed, step: first + i }));
    // 62 sequences of 8 in 499 inputs, 4 per step: two epochs are 31 steps.
    const labels = steps(1, 1, 31).flatMap((batch) => [...batch.labels]);
    expect(labels.slice(0, 496)).toEqual(Array.from({ length: 496 }, (_, i) => i + 1));
    const offset = (labels[496] as number) - 1;
    expect(offset).toBeLessThanOrEqual(3);
    expect(labels.slice(496)).toEqual(Array.from({ length: 496 }, (_, i) => offset + i + 1));
    expect(steps(1, 20, 5)).toEqual(steps(1, 1, 31).slice(19, 24));
    const late = Array.from({ length: 8 }, (_, seed) => steps(seed, 17, 1)[0]?.ids[0]);
    expect(new Set(late).size).toBeGreaterThan(1);
    for (const { ids, labels } of steps(5, 1, 100)) expect([...labels]).toEqual(Array.from(ids, (id) => id + 1));
  });

  test("for evaluation have every token but the first as a label exactly once", () => {
    for (const n of [2, 9, 32, 33, 34, 65, 500]) {
      const batches = [...evaluationBatches(tokens.subarray(0, n), shape)];
      const labels = batches.flatMap((batch) => [...batch.labels]).filter((label) => label !== IGNORE);
      expect(labels).toEqual(Array.from({ length: n - 1 }, (_, i) => i + 1));
      expect(batches.length).toBe(countEvaluationBatches(tokens.subarray(0, n), shape));
      for (const { ids, labels } of batches) {
        expect(ids).toHaveLength(32);
        for (const [i, label] of labels.entries()) if (label !== IGNORE) expect(ids[i]).toBe(label - 1);
      }
    }
  });
});
