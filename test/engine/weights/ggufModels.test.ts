import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { Decoding } from "../../../src/engine/generate/decoding";
import { generateBatch } from "../../../src/engine/generate/generate";
import { GREEDY } from "../../../src/engine/generate/sampling";
import { Tracer } from "../../../src/engine/inspect/tracer";
import { openModel } from "../../../src/engine/models/folder";
import { mapWeights } from "../../../src/engine/runtime/weights";
import { convertGguf } from "../../../src/engine/weights";
import { largestDifference } from "../../helpers/tinyModel";

// Files written by llama.cpp's Python package, and what transformers computes with the same weights: make_models.py.
const GOLDEN = resolve(import.meta.dirname, "../../golden/gguf");

interface Expected {
  readonly prompts: readonly (readonly number[])[];
  /** One row for each position of the first prompt. */
  readonly logits: readonly (readonly number[])[];
  readonly ids: readonly (readonly number[])[];
}

const files = (await readdir(GOLDEN)).filter((name) => name.endsWith(".gguf"));

test.each(files)("%s computes the logits and the greedy ids of transformers", async (file) => {
  const { prompts, logits, ids }: Expected = JSON.parse(
    await readFile(join(GOLDEN, file.replace(/gguf$/, "json")), "utf8"),
  );
  const dir = await mkdtemp(join(tmpdir(), "gguf-model-"));
  try {
    const { notes } = await convertGguf(join(GOLDEN, file), dir);
    expect(notes).toEqual([]);
    const { cfg, weights } = await openModel(dir);
    const placed = await mapWeights(cfg, weights, "cpu");
    const tracer = new Tracer(cfg, placed);
    const trace = await tracer.trace([prompts[0] as number[]]);
    await tracer.release();
    expect(largestDifference(trace.get("logits")?.data ?? [], logits.flat())).toBeLessThan(2e-4);
    const decoding = new Decoding(cfg, placed, prompts.length);
    expect(await generateBatch(decoding, prompts, { ...GREEDY, seed: 1, maxNewTokens: 64, eosIds: [] })).toEqual(ids);
    await decoding.release();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
