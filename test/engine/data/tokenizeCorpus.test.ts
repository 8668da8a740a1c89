import { existsSync, readdirSync } from "node:fs";
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  cacheFolder,
  cacheLimit,
  DataCache,
  type Documents,
  evaluationBatches,
  openCorpus,
  randomBatch,
  sequentialBatch,
  splitDocuments,
  splitTokens,
  type TokenizedText,
  type TokenizeOptions,
  tokenizeCorpus,
  type Vocabulary,
} from "../../../src/engine/data";
import { random } from "../../../src/engine/random";
import { parseTokenizer, trainBytePairs } from "../../../src/engine/tokenizers";
import { tokenizerFiles } from "../../../src/engine/tokenizers/files";
import { bundleProgram, outputOf, startProgram } from "../../helpers/runProgram";

let dir: string;
let cache: DataCache;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "tokenize-"));
  cache = new DataCache(join(dir, "cache"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const CHARACTERS: Vocabulary = { kind: "characters" };

/** Writes documents of random words in several scripts, as files and as JSONL, and returns the folder. */
async function writeTexts(seed: number, count = 12): Promise<string> {
  const { below } = random(seed, "texts");
  const words = ["the", " cat", "\n", "\r\n", "日本", " 😀", "é", ".", " sat", "1234", "  ", "I'm", "\r"];
  const text = () => Array.from({ length: below(60) }, () => words[below(words.length)]).join("");
  const folder = join(dir, `texts-${seed}`);
  await mkdir(folder);
  await writeFile(join(folder, "0.txt"), "the cat sat on the mat. 日本 1234\n".repeat(40));
  for (let i = 1; i <= count; i++) await writeFile(join(folder, `${i}.txt`), text());
  const lines = Array.from({ length: count }, () => `${JSON.stringify({ id: 1, text: text() })}\n`);
  await writeFile(join(folder, "lines.jsonl"), lines.join(""));
  return folder;
}

async function tokenize(path: string, choice: Parameters<typeof tokenizeCorpus>[1], options: TokenizeOptions = {}) {
  const corpus = await openCorpus({ kind: "paths", paths: [path] });
  return tokenizeCorpus(corpus, choice, { cache, held: 0, ...options });
}

const allOf = ({ tokens }: TokenizedText) => tokens.subarray(0, tokens.length);

/** A byte-pair tokenizer with EOS. */
async function withEos() {
  const { "tokenizer.json": json } = tokenizerFiles(await trainBytePairs(["the cat sat"], { vocabSize: 260 }));
  const parsed = JSON.parse(json);
  const eos = {
    id: 260,
    content: "<eos>",
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  };
  return parseTokenizer(
    { ...parsed, added_tokens: [eos] },
    { eos_token: "<eos>" },
    { bos: undefined, eos: undefined, pad: undefined },
  );
}

describe("ids from the cache equal those from memory", () => {
  const vocabularies: Vocabulary[] = [
    CHARACTERS,
    { kind: "words", vocabSize: 30 },
    { kind: "bytePairs", vocabSize: 300 },
  ];
  const manners: Documents[] = ["joined", "apart", "ended"];
  test.each(
    vocabularies.flatMap((vocabulary) => manners.map((documents) => [vocabulary.kind, documents, vocabulary] as const)),
  )("%s, documents %s: whole, in windows anywhere, and in batches", async (_, documents, vocabulary) => {
    for (const seed of [1, 2, 3]) {
      const path = await writeTexts(seed);
      const held = await tokenize(path, vocabulary, { documents, held: Infinity });
      const cached = await tokenize(path, vocabulary, { documents });
      expect(ArrayBuffer.isView(held.tokens)).toBe(true);
      expect(ArrayBuffer.isView(cached.tokens)).toBe(false);
      expect(allOf(cached)).toEqual(allOf(held));
      expect(cached.fingerprint).toBe(held.fingerprint);
      expect(await cached.documentEnds()).toEqual(await held.documentEnds());

      const { below } = random(seed, "windows");
      for (let i = 0; i < 50; i++) {
        const start = below(held.tokens.length);
        const end = start + below(held.tokens.length - start + 1);
        expect(cached.tokens.subarray(start, end)).toEqual(held.tokens.subarray(start, end));
      }
      const [a, b] = [held, cached].map(({ tokens }) => splitTokens(tokens, { validation: 0.2 }));
      const options = { batchSize: 3, blockSize: 8, seed };
      for (let step = 1; step < 40; step++) {
        expect(randomBatch(b!.train, { ...options, step })).toEqual(randomBatch(a!.train, { ...options, step }));
        expect(sequentialBatch(b!.train, { ...options, step })).toEqual(
          sequentialBatch(a!.train, { ...options, step }),
        );
      }
      expect([...evaluationBatches(b!.validation, options)]).toEqual([...evaluationBatches(a!.validation, options)]);
      cached.release();
    }
  });

  test("with ids of four bytes", async () => {
    const path = join(dir, "many.txt");
    await writeFile(
      path,
      Array.from(
        { length: 70_000 },
        (_, i) => `${String.fromCodePoint(0x4e00 + (i % 20_000))}${i.toString(36).replace(/\d/g, "é")}`,
      ).join(" "),
    );
    const vocabulary: Vocabulary = { kind: "words", vocabSize: 69_000 };
    const held = await tokenize(path, vocabulary, { held: Infinity });
    expect(held.tokenizer.vocabSize).toBeGreaterThan(2 ** 16);
    const cached = await tokenize(path, vocabulary);
    expect(allOf(cached)).toBeInstanceOf(Int32Array);
    expect(Buffer.from(allOf(cached).buffer).equals(Buffer.from(allOf(held).slice().buffer))).toBe(true);
    cached.release();
  });
});

describe("documents", () => {
  test("end with EOS on request, and are tokenized separately", async () => {
    const tokenizer = await withEos();
    await mkdir(join(dir, "docs"));
    await writeFile(join(dir, "docs/a.txt"), "the cat\r");
    await writeFile(join(dir, "docs/b.txt"), "");
    await writeFile(join(dir, "docs/c.jsonl"), '{"text":"sat"}\n\n{"text":""}\n{"text":"cat\\r\\n"}\n');
    const text = await tokenize(join(dir, "docs"), tokenizer, { documents: "ended" });
    const documents = ["the cat\r", "sat", "cat\n"].map((each) => [...tokenizer.encode(each), 260]);
    expect([...allOf(text)]).toEqual(documents.flat());
    let end = 0;
    expect([...(await text.documentEnds())]).toEqual(documents.map(({ length }) => (end += length)));
    text.release();
  });

  test("start on their own lines if the tokenizer has no EOS", async () => {
    await mkdir(join(dir, "docs"));
    await writeFile(join(dir, "docs/a.txt"), "one");
    await writeFile(join(dir, "docs/b.txt"), "two\n");
    await writeFile(join(dir, "docs/c.txt"), "three");
    for (const documents of ["ended", "apart", "joined"] as const) {
      const text = await tokenize(join(dir, "docs"), CHARACTERS, { documents });
      expect(text.tokenizer.decode(allOf(text))).toBe("one\ntwo\nthree");
      text.release();
    }
  });

  test("stay whole in a split by the seed, and each part reads as one text", async () => {
    const path = await writeTexts(5, 200);
    const text = await tokenize(path, CHARACTERS, { documents: "apart" });
    const ends = await text.documentEnds();
    const documents = [...ends].map((end, i) => [...text.tokens.subarray(ends[i - 1] ?? 0, end)]);
    const shares = { validation: 0.2, test: 0.1 };
    const splits = splitDocuments(text.tokens, ends, shares, 7);

    const parts = Object.values(splits).map((part) => [...part.subarray(0, part.length)]);
    const { uniform } = random(7, "documents");
    const draws = documents.map(() => uniform());
    const chosen = (low: number, high: number) =>
      documents.filter((_, i) => draws[i]! >= low && draws[i]! < high).flat();
    expect(parts).toEqual([chosen(0.3, 1), chosen(0, 0.2), chosen(0.2, 0.2 + 0.1)]);
    const [train = []] = parts;
    const { below } = random(1, "windows");
    for (let i = 0; i < 200; i++) {
      const start = below(train.length);
      const end = start + below(Math.min(200, train.length - start) + 1);
      expect([...splits.train.subarray(start, end)]).toEqual(train.slice(start, end));
    }
    expect(splitDocuments(text.tokens, ends, shares, 8).validation.length).not.toBe(splits.validation.length);
    text.release();
  });
});

describe("the cache", () => {
  /** The reported stages: none if everything is cached. */
  async function stagesOf(path: string, choice: Parameters<typeof tokenizeCorpus>[1] = CHARACTERS): Promise<string[]> {
    const stages = new Set<string>();
    const text = await tokenize(path, choice, { onProgress: (stage) => stages.add(stage) });
    text.release();
    return [...stages];
  }
  const filesIn = (folder: string) =>
    existsSync(folder)
      ? readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
      : [];

  test("prevents an unchanged text from being read or tokenized again", async () => {
    const path = await writeTexts(1);
    expect(await stagesOf(path)).toEqual(["reading", "tokenizing"]);
    expect(await stagesOf(path)).toEqual([]);
  });

  test("identifies a text by its content, not by its location or date", async () => {
    const path = await writeTexts(1);
    await stagesOf(path);
    await utimes(join(path, "1.txt"), 1, 1);
    expect(await stagesOf(path)).toEqual(["reading"]);
    await cp(path, join(dir, "copy"), { recursive: true });
    expect(await stagesOf(join(dir, "copy"))).toEqual(["reading"]);
  });

  test("distinguishes texts and tokenizers", async () => {
    const path = await writeTexts(1);
    const before = await tokenize(path, CHARACTERS);
    await appendFile(join(path, "1.txt"), "cat");
    const after = await tokenize(path, CHARACTERS);
    expect(after.tokens.length).toBeGreaterThan(before.tokens.length);
    expect(after.fingerprint).not.toBe(before.fingerprint);
    const words = await tokenize(path, { kind: "words", vocabSize: 30 });
    expect(words.tokens.length).toBeLessThan(after.tokens.length);
    for (const text of [before, after, words]) text.release();
  });

  test("rewrites an incomplete entry", async () => {
    const path = await writeTexts(1);
    const text = await tokenize(path, CHARACTERS);
    const ids = filesIn(cache.folder).find(({ name }) => name === "ids.bin");
    await truncate(join(ids!.parentPath, "ids.bin"), 100);
    expect(await stagesOf(path)).toEqual(["tokenizing"]);
    const again = await tokenize(path, CHARACTERS);
    expect(again.tokens.length).toBe(text.tokens.length);
    again.release();
  });

  test("keeps nothing of a canceled run, and starts again the next time", async () => {
    const path = join(dir, "long.txt");
    await writeFile(path, "All work and no play.\n".repeat(50_000));
    const stop = new AbortController();
    const onProgress = (stage: string, fraction: number) => stage === "tokenizing" && fraction > 0.3 && stop.abort();
    await expect(tokenize(path, CHARACTERS, { signal: stop.signal, onProgress })).rejects.toThrow(/abort/i);
    expect(filesIn(cache.folder).filter(({ name }) => name.endsWith(".bin"))).toEqual([]);
    expect(await stagesOf(path)).toEqual(["tokenizing"]);
  });

  test.each(["one line\n", "another: 日本\n"])("rejects a text to which %j is added while it is read", async (line) => {
    const path = join(dir, "log.txt");
    await writeFile(path, "one line\n".repeat(50_000));
    let grown: Promise<void> | undefined;
    const onProgress = (stage: string) => {
      if (stage === "tokenizing") grown ??= appendFile(path, line);
    };
    await expect(tokenize(path, CHARACTERS, { onProgress })).rejects.toMatchObject({
      code: "data",
      message: "log.txt changed while it was being read. Train again when it is complete.",
    });
    await grown;
  });

  test("supports two runs that write at once", async () => {
    const path = await writeTexts(1);
    const [a, b] = await Promise.all([tokenize(path, CHARACTERS), tokenize(path, CHARACTERS)]);
    expect(allOf(a)).toEqual(allOf(b));
    expect(filesIn(cache.folder).filter(({ name }) => name === "ids.bin")).toHaveLength(1);
    for (const text of [a, b]) text.release();
  });

  test.skipIf(process.platform === "win32")("may be cleared while a run reads from it (not on Windows)", async () => {
    const path = await writeTexts(1);
    const text = await tokenize(path, CHARACTERS);
    const first = text.tokens.subarray(0, 10);
    await cache.clear();
    expect(await cache.size()).toBe(0);
    expect(text.tokens.subarray(0, 10)).toEqual(first);
    text.release();
  });

  test("deletes the least recently used texts above its limit, and abandoned files", async () => {
    const paths = [await writeTexts(1), await writeTexts(2), await writeTexts(3)];
    for (const path of paths) await stagesOf(path);
    cache = new DataCache(join(dir, "small"), (await cache.size()) - 1);
    await stagesOf(paths[0]!);
    await stagesOf(paths[1]!);
    const abandoned = join(
      cache.folder,
      "data/texts",
      readdirSync(join(cache.folder, "data/texts"))[0]!,
      ".writing-ids-1",
    );
    await mkdir(abandoned);
    await utimes(abandoned, 1, 1);
    await stagesOf(paths[0]!);
    await stagesOf(paths[2]!);
    expect(existsSync(abandoned)).toBe(false);
    expect(await stagesOf(paths[0]!)).toEqual([]);
    expect(await stagesOf(paths[1]!)).toEqual(["tokenizing"]);
  });

  test("is in the folder that the user or the platform defines, never in a project", () => {
    expect(cacheFolder({ DECODER_LAB_CACHE: "/fast", XDG_CACHE_HOME: "/x" }, "linux")).toBe("/fast");
    expect(cacheFolder({ XDG_CACHE_HOME: join("/x") }, "linux")).toBe(join("/x", "decoder-lab"));
    expect(cacheFolder({}, "linux")).toMatch(/\.cache.decoder-lab$/);
    expect(cacheFolder({}, "darwin")).toMatch(/Library.Caches.decoder-lab$/);
    expect(cacheFolder({ LOCALAPPDATA: "L" }, "win32")).toBe(join("L", "decoder-lab", "Cache"));
    expect([cacheLimit({}), cacheLimit({ DECODER_LAB_CACHE_GB: "2" })]).toEqual([20e9, 2e9]);
  });

  test("explains that it is not writable", async () => {
    const path = await writeTexts(1);
    await writeFile(join(dir, "file"), "");
    cache = new DataCache(join(dir, "file"));
    await expect(tokenize(path, CHARACTERS)).rejects.toMatchObject({
      code: "storage",
      message: expect.stringMatching(/file/),
    });
  });

  test("keeps a long text out of memory: 100 MB with 200 MB of ids", async () => {
    const path = join(dir, "long.txt");
    const block = "All work and no play makes Jack a dull boy.\n".repeat(23_000);
    for (let i = 0; i < 100; i++) await appendFile(path, block);
    const program = await bundleProgram(join(import.meta.dirname, "tokenizeCorpus.program.ts"));
    const { stdout, stderr } = await outputOf(startProgram(program, [path, cache.folder]));
    expect(stderr).toBe("");
    const { tokens, megabytes } = JSON.parse(stdout);
    expect(tokens).toBe(100 * block.length);
    expect(megabytes).toBeLessThan(220);
  }, 120_000);

  test("is not used for texts that fit in memory or are already there", async () => {
    const path = await writeTexts(1);
    await tokenize(path, CHARACTERS, { held: 1e6 });
    const corpus = await openCorpus({ kind: "text", name: "text", text: await readFile(join(path, "0.txt"), "utf8") });
    await tokenizeCorpus(corpus, CHARACTERS, { cache, held: 0 });
    expect(filesIn(cache.folder)).toEqual([]);
    expect(await stat(cache.folder).catch(() => null)).toBe(null);
  });
});
