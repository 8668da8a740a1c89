import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { Decoding } from "../../../src/engine/generate/decoding";
import { generateBatch } from "../../../src/engine/generate/generate";
import { GREEDY } from "../../../src/engine/generate/sampling";
import { Tracer } from "../../../src/engine/inspect/tracer";
import { openModel } from "../../../src/engine/models/folder";
import type { DecoderConfig } from "../../../src/engine/nn/config";
import { type DeviceWeights, mapWeights } from "../../../src/engine/runtime/weights";
import { convertGguf, readGguf } from "../../../src/engine/weights";
import { GGUF_TYPES, type GgufType, isBlocks } from "../../../src/engine/weights/ggufTypes";
import { largestDifference } from "../../helpers/tinyModel";

// Files written by llama.cpp's Python package, and what transformers computes with the same weights: make_models.py.
const GOLDEN = resolve(import.meta.dirname, "../../golden/gguf");

interface Expected {
  readonly prompts: readonly (readonly number[])[];
  /** One row for each position of the first prompt. */
  readonly logits: readonly (readonly number[])[];
  readonly ids: readonly (readonly number[])[];
}

const read = async (name: string): Promise<Expected> =>
  JSON.parse(await readFile(join(GOLDEN, `${name}.json`), "utf8"));

/** Converts a file and passes its model on, with the logits of the first prompt. */
async function withModel(
  name: string,
  check: (cfg: DecoderConfig, weights: DeviceWeights, logits: ArrayLike<number>) => void | Promise<void>,
): Promise<void> {
  const { prompts } = await read(name);
  const dir = await mkdtemp(join(tmpdir(), "gguf-model-"));
  try {
    const { notes } = await convertGguf(join(GOLDEN, `${name}.gguf`), dir);
    expect(notes).toEqual([]);
    const { cfg, weights } = await openModel(dir);
    const mapped = await mapWeights(cfg, weights, "cpu");
    const tracer = new Tracer(cfg, mapped);
    const trace = await tracer.trace([prompts[0] as number[]]);
    await tracer.release();
    await check(cfg, mapped, trace.get("logits")?.data ?? []);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const names = (await readdir(GOLDEN)).flatMap((name) => /^(.+)\.gguf$/.exec(name)?.[1] ?? []);

test.each(names.filter((name) => name !== "types"))(
  "%s computes the logits and the greedy ids of transformers",
  (name) =>
    withModel(name, async (cfg, weights, logits) => {
      const { prompts, logits: expected, ids } = await read(name);
      expect(largestDifference(logits, expected.flat())).toBeLessThan(2e-4);
      const decoding = new Decoding(cfg, weights, prompts.length);
      expect(await generateBatch(decoding, prompts, { ...GREEDY, seed: 1, maxNewTokens: 64, eosIds: [] })).toEqual(ids);
      await decoding.release();
    }),
);

test("a model with every quantized type computes the logits of its dequantized weights", async () => {
  const { logits: expected } = await read("types");
  await withModel("types", (_cfg, _weights, logits) => {
    expect(largestDifference(logits, expected.flat())).toBeLessThan(2e-4);
  });
  const { tensors } = await readGguf(join(GOLDEN, "types.gguf"));
  const types = new Set([...tensors.values()].map(({ type }) => type));
  expect([...types].filter(isBlocks).sort()).toEqual(
    Object.keys(GGUF_TYPES)
      .filter((name) => isBlocks(name as GgufType))
      .sort(),
  );
});
