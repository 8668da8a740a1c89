import { rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Decoding } from "../../../src/engine/generate/decoding";
import { Tracer } from "../../../src/engine/inspect/tracer";
import type { DecoderConfig } from "../../../src/engine/nn/config";
import { initParams, type Params, paramSpecs } from "../../../src/engine/nn/params";
import { type DeviceWeights, mapWeights, placeWeights, type StoredWeights } from "../../../src/engine/runtime/weights";
import { dequantize, quantizeMatrix, scalesOf } from "../../../src/engine/weights/quantize";
import { type TensorToWrite, writeSafetensors } from "../../../src/engine/weights/safetensors";
import { openStored, readStored, type StoredTensor } from "../../../src/engine/weights/stored";
import { encoded, type FloatType, temporaryFolder } from "../../helpers/storedTensors";
import { largestDifference, modernConfig, someIds, tinyConfig } from "../../helpers/tinyModel";

const ids = someIds(11);

/** A model's parameters in a safetensors file, under their own names. */
async function write(dir: string, cfg: DecoderConfig, params: Params, dtype: FloatType, only = /./): Promise<void> {
  const tensors = paramSpecs(cfg).flatMap(({ name, shape }): (readonly [string, TensorToWrite])[] =>
    only.test(name) ? [[name, { dtype, shape, data: encoded(dtype, params.get(name) as Float32Array) }]] : [],
  );
  await writeSafetensors(join(dir, "model.safetensors"), new Map(tensors));
}

/** Reads files as float32 into memory. */
async function read(stored: ReadonlyMap<string, StoredTensor>): Promise<Params> {
  const params = new Map<string, Float32Array>();
  for (const [name, tensor] of stored) params.set(name, await readStored(tensor));
  return params;
}

/** Logits of a whole forward pass and, after the same tokens, of the cache. */
async function logitsOf(cfg: DecoderConfig, weights: DeviceWeights): Promise<Float32Array[]> {
  const tracer = new Tracer(cfg, weights);
  const whole = (await tracer.trace([ids])).get("logits")?.data.subarray(-cfg.vocabSize) as Float32Array;
  const decoding = new Decoding(cfg, weights);
  await decoding.append(Int32Array.from(ids.slice(0, 7)));
  const { logits } = await decoding.append(Int32Array.from(ids.slice(7)), { logits: true });
  await tracer.release();
  await decoding.release();
  return [whole, logits as Float32Array];
}

async function expectSameModel(cfg: DecoderConfig, stored: StoredWeights, params: Params): Promise<void> {
  const mapped = await mapWeights(cfg, stored, "cpu");
  const [ours, expected] = [await logitsOf(cfg, mapped), await logitsOf(cfg, await placeWeights(cfg, params, "cpu"))];
  for (const i of [0, 1]) expect(largestDifference(ours[i] ?? [], expected[i] ?? [])).toBeLessThan(1e-5);
}

const configs = { "GPT-2's way": tinyConfig, "today's way": modernConfig };

describe.each(Object.entries(configs))("weights in files, %s", (_name, cfg) => {
  for (const dtype of ["F32", "F16", "BF16"] as const) {
    test(`in ${dtype} are mapped instead of copied into memory`, async () => {
      const dir = temporaryFolder();
      await write(dir, cfg, initParams(cfg, "xavier", 5), dtype);
      const stored = await openStored(dir);
      expect(Object.keys((await mapWeights(cfg, stored, "cpu")).feeds)).toEqual([]);
      await expectSameModel(cfg, stored, await read(stored));
    });
  }

  for (const bits of [8, 4] as const) {
    test(`quantized to ${bits} bits compute the same as their dequantized values`, async () => {
      const dir = temporaryFolder();
      const params = initParams(cfg, "xavier", 5);
      const tensors = new Map<string, TensorToWrite>();
      const isQuantized = (shape: readonly number[], name: string) =>
        shape.length === 2 &&
        shape.every((d, i) => d % 32 === 0 || (i === 0 && cfg.weightLayout === "outIn")) &&
        !name.includes("positions");
      for (const { name, shape, role } of paramSpecs(cfg)) {
        const values = params.get(name) as Float32Array;
        if (!(isQuantized(shape, name) || name === "embed.tokens.weight")) {
          tensors.set(name, { dtype: "F32", shape, data: values });
          continue;
        }
        const transpose = cfg.weightLayout === "inOut" && role !== "embedding";
        const [N, K] = (transpose ? shape.toReversed() : shape) as [number, number];
        const quantized = quantizeMatrix(values, [N, K], bits, transpose);
        tensors.set(name, { dtype: "U8", shape: [N, K / 32, 4 * bits], data: quantized.codes });
        tensors.set(scalesOf(name), { dtype: "F32", shape: [N, K / 32], data: quantized.scales });
        const rows = dequantize(quantized, bits);
        params.set(name, transpose ? rows.map((_, i) => rows[(i % N) * K + Math.floor(i / N)] as number) : rows);
      }
      await writeSafetensors(join(dir, "model.safetensors"), tensors);
      const stored = await openStored(dir);
      const weights: StoredWeights = new Map(
        paramSpecs(cfg).map(({ name }) => {
          const [weight, scales] = [stored.get(name), stored.get(scalesOf(name))] as [StoredTensor, StoredTensor?];
          return [name, scales ? { weight, scales, bits } : weight];
        }),
      );
      expect([...weights.values()].filter((tensor) => "bits" in tensor).length).toBeGreaterThan(7);

      const mapped = await logitsOf(cfg, await mapWeights(cfg, weights, "cpu"));
      const expected = await logitsOf(cfg, await placeWeights(cfg, params, "cpu"));
      const scale = (expected[0] as Float32Array).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      const [ofTrace, ofToken] = [0, 1].map((i) => largestDifference(mapped[i] ?? [], expected[i] ?? []) / scale);
      expect(ofTrace).toBeLessThan(1e-5);
      // Generation rounds the operands of its products to 8 bits.
      expect(ofToken).toBeLessThan(0.06);
    });
  }
});

test("weights can be in several folders, like linked shards", async () => {
  const [dir, elsewhere] = [temporaryFolder(), temporaryFolder()];
  const params = initParams(tinyConfig, "xavier", 5);
  await write(dir, tinyConfig, params, "F32", /^(?!blocks\.1)/);
  await write(elsewhere, tinyConfig, params, "F32", /^blocks\.1/);
  const stored = new Map([...(await openStored(dir)), ...(await openStored(elsewhere))]);
  await expectSameModel(tinyConfig, stored, params);
});

test("a link to the weights is followed, as in the cache of the hub", async () => {
  const [dir, cache] = [temporaryFolder(), temporaryFolder()];
  const params = initParams(tinyConfig, "xavier", 5);
  await write(cache, tinyConfig, params, "F32");
  await symlink(join(cache, "model.safetensors"), join(dir, "model.safetensors"));
  await expectSameModel(tinyConfig, await openStored(dir), params);
});

test("elements that are not in C order are reordered in memory", async () => {
  const dir = temporaryFolder();
  const params = initParams(tinyConfig, "xavier", 5);
  const name = "blocks.0.fc.weight";
  const [rows, width] = [tinyConfig.dModel, tinyConfig.dMlp];
  const columnFirst = (params.get(name) as Float32Array).map(
    (_, i, values) => values[(i % rows) * width + Math.floor(i / rows)] as number,
  );
  await write(dir, tinyConfig, new Map(params).set(name, columnFirst), "F32");
  const stored = new Map(await openStored(dir));
  stored.set(name, { ...(stored.get(name) as StoredTensor), strides: [1, rows] });
  expect(Object.keys((await mapWeights(tinyConfig, stored, "cpu")).feeds)).toEqual([name]);
  await expectSameModel(tinyConfig, stored, params);
});

test("an open model keeps working when its files are deleted", async () => {
  const dir = temporaryFolder();
  const params = initParams(tinyConfig, "xavier", 5);
  await write(dir, tinyConfig, params, "F32");
  const decoding = new Decoding(tinyConfig, await mapWeights(tinyConfig, await openStored(dir), "cpu"));
  await decoding.append(Int32Array.from(ids.slice(0, 7)));
  await rm(dir, { recursive: true });
  const { logits } = await decoding.append(Int32Array.from(ids.slice(7)), { logits: true });
  const [, expected] = await logitsOf(tinyConfig, await placeWeights(tinyConfig, params, "cpu"));
  expect(largestDifference(logits as Float32Array, expected as Float32Array)).toBeLessThan(1e-5);
});
