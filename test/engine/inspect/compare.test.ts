import { cp, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { type ComparedTrace, compareTraces, compareWeights } from "../../../src/engine/inspect/compare";
import { Readout } from "../../../src/engine/inspect/readout";
import type { TraceValue } from "../../../src/engine/inspect/trace";
import { Tracer } from "../../../src/engine/inspect/tracer";
import type { DecoderConfig } from "../../../src/engine/nn/config";
import { quantizeFolder } from "../../../src/engine/weights/quantize";
import { readTensors, writeSafetensors } from "../../../src/engine/weights/safetensors";
import { temporaryFolder } from "../../helpers/storedTensors";
import { modernConfig, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";

const V = tinyConfig.vocabSize;
const vocabulary = Array.from({ length: V }, (_, id) => `token ${id}`);

async function run(ids: readonly number[], seed: number, cfg: DecoderConfig = tinyConfig) {
  const { weights } = await tinyModel(cfg, "cpu", seed);
  const [tracer, readout] = [new Tracer(cfg, weights), new Readout(cfg, weights)];
  const light = await tracer.trace([ids], "light");
  const logits = (await tracer.trace([ids])).get("logits") as TraceValue;
  const compared: ComparedTrace = {
    trace: light,
    cfg,
    vocabulary,
    logProbabilities: (rows) => readout.logProbabilities(rows),
  };
  return { compared, logits, release: async () => Promise.all([tracer.release(), readout.release()]) };
}

test("two traces differ, at aligned tokens, by the divergence of their logits and the relative difference of their values", async () => {
  for (const cfg of [tinyConfig, modernConfig]) {
    const ids = someIds(9);
    // One more token in the second text.
    const [a, b] = [await run(ids, 5, cfg), await run([...ids.slice(0, 4), 11, ...ids.slice(4)], 6, cfg)];
    const partners = [0, 1, 2, 3, 5, 6, 7, 8, 9];
    const { positions, divergence, values } = await compareTraces(a.compared, b.compared);
    expect(positions).toEqual({ a: Uint32Array.from([0, 1, 2, 3, 4, 5, 6, 7, 8]), b: Uint32Array.from(partners) });
    const softmax = (logits: TraceValue, t: number) => {
      const row = [...logits.data.subarray(t * V, (t + 1) * V)].map(Math.exp);
      const sum = row.reduce((total, x) => total + x, 0);
      return row.map((x) => x / sum);
    };
    for (let t = 0; t < 9; t++) {
      const [p, q] = [softmax(a.logits, t), softmax(b.logits, partners[t] as number)];
      const expected = p.reduce((sum, x, id) => sum + x * Math.log2(x / (q[id] as number)), 0);
      expect(divergence[t]).toBeCloseTo(expected, 4);
    }

    const relative = (name: string) => values.find((each) => each.name === name)?.relative[5];
    const vector = ({ compared }: typeof a, t: number) =>
      compared.trace.get("blocks.1.residPost")?.data.subarray(t * 32, (t + 1) * 32);
    const [x, y] = [vector(a, 5), vector(b, 6)];
    const norm = (of: readonly number[]) => Math.sqrt(of.reduce((sum, z) => sum + z * z, 0));
    const own = [...(x as Float32Array)];
    expect(relative("blocks.1.residPost")).toBeCloseTo(norm(own.map((z, i) => (y?.[i] as number) - z)) / norm(own), 5);
    expect(values.map(({ name }) => name)).toContain("blocks.0.attn.k");
    await a.release();
    await b.release();
  }
});

test("a trace does not differ from itself and cannot be compared with one of another vocabulary", async () => {
  const a = await run(someIds(6), 5);
  const same = await compareTraces(a.compared, a.compared);
  expect(same.positions).toEqual({ a: Uint32Array.of(0, 1, 2, 3, 4, 5), b: Uint32Array.of(0, 1, 2, 3, 4, 5) });
  expect([...same.divergence]).toEqual(Array(6).fill(0));
  expect(same.values.every(({ relative }) => relative.every((x) => x === 0))).toBe(true);
  const other = { ...a.compared, vocabulary: vocabulary.map((text) => text.toUpperCase()) };
  await expect(compareTraces(a.compared, other)).rejects.toThrow("different vocabularies");
  await a.release();
});

test("weights are compared by tensor in any storage format", async () => {
  const dir = resolve(import.meta.dirname, "../../golden/characters");
  const same = await compareWeights(dir, dir);
  expect(same.length).toBeGreaterThan(20);
  expect(same.every(({ relative, cosine }) => relative === 0 && cosine === 1)).toBe(true);

  const changed = temporaryFolder();
  await cp(dir, changed, { recursive: true });
  const file = join(changed, "model.safetensors");
  const tensors = await readTensors(file);
  const [name] = same.map((each) => each.name).filter((each) => each.includes("fc")) as [string];
  const doubled = [...tensors].map(([each, { shape, data }]) => {
    const values = each === name ? data.map((x) => 2 * x) : data;
    return [each, { shape, dtype: "F32" as const, data: values }] as const;
  });
  await writeSafetensors(file, new Map(doubled));
  const different = (await compareWeights(dir, changed)).filter(({ relative }) => relative > 0);
  expect(different.map((each) => each.name)).toEqual([name]);
  expect(different[0]?.relative).toBeCloseTo(1, 6);
  expect(different[0]?.cosine).toBeCloseTo(1, 6);

  const quantized = temporaryFolder();
  await quantizeFolder(dir, quantized, 8, (each) => each.includes("fc") && { transpose: true });
  const rounded = await compareWeights(dir, quantized);
  expect(rounded.filter(({ relative }) => relative > 0).length).toBe(4);
  for (const { relative } of rounded) expect(relative).toBeLessThan(0.02);
  for (const [i, { relative }] of (await compareWeights(quantized, dir)).entries()) {
    expect(relative).toBeCloseTo(rounded[i]?.relative as number, 3);
  }
});

test("comparing models of different architectures fails with the reason", async () => {
  const dir = resolve(import.meta.dirname, "../../golden/characters");
  const smaller = temporaryFolder();
  await cp(dir, smaller, { recursive: true });
  const config = JSON.parse(await readFile(join(dir, "config.json"), "utf8"));
  await writeFile(join(smaller, "config.json"), JSON.stringify({ ...config, nLayers: 3 }));
  const file = join(smaller, "model.safetensors");
  const kept = [...(await readTensors(file))].filter(([name]) => !name.includes(".3."));
  const asFloat = kept.map(([name, tensor]) => [name, { ...tensor, dtype: "F32" as const }] as const);
  await writeSafetensors(file, new Map(asFloat));
  await expect(compareWeights(dir, smaller)).rejects.toThrow("The models have different architectures");
});
