import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Decoding } from "../../../src/engine/generate/decoding";
import { TokenCache } from "../../../src/engine/generate/generate";
import { knownModelTypes } from "../../../src/engine/models/families";
import { openWeights } from "../../../src/engine/models/folder";
import { mapWeights } from "../../../src/engine/runtime/weights";
import {
  ARCHITECTURES,
  expectReferenceGreedy,
  expectReferenceTrace,
  greedyIds,
  type Opened,
  openVariant,
  VARIANTS,
} from "../../helpers/architectures";
import { testData } from "../../helpers/testData";

test("every family has a reference, and every reference is compared with", () => {
  expect(Object.keys(VARIANTS).sort()).toEqual(knownModelTypes.filter((type) => type !== "decoder_lab").sort());
  const folders = readdirSync(ARCHITECTURES, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && entry.name !== "__pycache__",
  );
  expect(folders.map(({ name }) => name).sort()).toEqual(Object.values(VARIANTS).flat().sort());
});

describe.each(Object.values(VARIANTS).flat())("%s computes what PyTorch does", (name) => {
  let opened: Opened;
  beforeAll(async () => {
    opened = await openVariant(name, "cpu");
  });
  afterAll(() => opened?.weights.release());

  test("every value of a padded batch", () => expectReferenceTrace(opened, 2e-4));

  test("64 greedy tokens with the cache, alone and as a batch of unequal prompts", () => expectReferenceGreedy(opened));
});

const stories = testData("stories260K");

test.skipIf(stories === null)("a real model writes the story that was published with it, token by token", async () => {
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
