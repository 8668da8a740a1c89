import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Decoding } from "../../../src/engine/generate/decoding";
import { TokenCache } from "../../../src/engine/generate/generate";
import { Tracer } from "../../../src/engine/inspect/tracer";
import { knownModelTypes } from "../../../src/engine/models/families";
import { openWeights } from "../../../src/engine/models/folder";
import { mapWeights, placeWeights } from "../../../src/engine/runtime/weights";
import {
  ARCHITECTURES,
  expectReferenceGreedy,
  expectReferenceTrace,
  greedyIds,
  type Opened,
  openVariant,
  VARIANTS,
} from "../../helpers/architectures";
import { goldenDecoders } from "../../helpers/golden";
import { testData } from "../../helpers/testData";
import { largestDifference } from "../../helpers/tinyModel";

test("every family has references, and every reference is used", () => {
  expect(Object.keys(VARIANTS).sort()).toEqual(knownModelTypes.filter((type) => type !== "decoder_lab").sort());
  const folders = readdirSync(ARCHITECTURES, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && entry.name !== "__pycache__",
  );
  expect(folders.map(({ name }) => name).sort()).toEqual(Object.values(VARIANTS).flat().sort());
});

/** The table behind `ModelInfo.parity`. The largest difference per family makes a new one. */
const PARITY = resolve(import.meta.dirname, "../../../src/engine/models/parity.json");
const isWritten = process.env.DECODER_LAB_WRITE_PARITY !== undefined;
const found: Record<string, number> = {};
const parity: Record<string, number> = JSON.parse(readFileSync(PARITY, "utf8"));
const toleranceOf = (family: string) => (isWritten ? 2e-4 : (parity[family] ?? 0));
const note = (family: string, difference: number) => {
  found[family] = Math.max(found[family] ?? 0, difference);
};

afterAll(() => {
  if (!isWritten) return;
  const rounded = (x: number) => Number((x + 5 * 10 ** (Math.floor(Math.log10(x)) - 1)).toPrecision(1));
  const table = Object.entries(found).map(([family, difference]) => [family, rounded(2 * difference)]);
  writeFileSync(PARITY, `${JSON.stringify(Object.fromEntries(table), null, 2)}\n`);
});

const variants = Object.entries(VARIANTS).flatMap(([family, names]) => names.map((name) => ({ family, name })));

test.each(goldenDecoders)("a model trained here computes the same as PyTorch: $name", async (golden) => {
  const { config, batchSize: B, blockSize: T, feeds } = { ...golden, feeds: golden.steps[0]?.feeds };
  const rows = Array.from({ length: B }, (_, b) =>
    Array.from({ length: T }, (_, t) => feeds?.ids[t * B + b] as number),
  );
  const weights = await placeWeights(config, golden.params, "cpu");
  const tracer = new Tracer(config, weights);
  const logits = (await tracer.trace(rows)).get("logits")?.data ?? []; // [B, T, V]
  const V = config.vocabSize;
  const batchFirst = golden.logits.map((_, i) => {
    const [row, v] = [Math.floor(i / V), i % V];
    return golden.logits[((row % T) * B + Math.floor(row / T)) * V + v] as number;
  });
  const difference = largestDifference(logits, batchFirst);
  expect(difference).toBeLessThan(toleranceOf("decoder_lab"));
  note("decoder_lab", difference);
  await tracer.release();
});

describe.each(variants)("$name computes the same as PyTorch", ({ family, name }) => {
  let opened: Opened;
  beforeAll(async () => {
    opened = await openVariant(name, "cpu");
  });
  afterAll(() => opened?.weights.release());

  test("every value of a padded batch is within the tolerance of the family", async () => {
    note(family, await expectReferenceTrace(opened, toleranceOf(family)));
  });

  test("64 greedy tokens match with the cache, alone and in a batch of unequal prompts", () =>
    expectReferenceGreedy(opened));
});

const stories = testData("stories260K");

test.skipIf(stories === null)("a real model writes its published story, token by token", async () => {
  const dir = stories as string;
  const { prompt_ids: prompt, greedy_ids: published } = JSON.parse(readFileSync(join(dir, "greedy.json"), "utf8"));
  const { cfg, weights } = await openWeights(dir);
  const placed = await mapWeights(cfg, weights, "cpu");
  const decoding = new Decoding(cfg, placed);
  const expected = published.slice(prompt.length);
  expect(await greedyIds(new TokenCache(decoding), prompt, expected.length)).toEqual(expected);
  await decoding.release();
  await placed.release();
});
