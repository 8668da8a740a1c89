import { readFileSync, statSync, writeFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { InferenceSession } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exportModel } from "../../../src/engine/export";
import { planOnnx } from "../../../src/engine/export/onnxModel";
import { Decoding } from "../../../src/engine/generate/decoding";
import { generate, TokenCache } from "../../../src/engine/generate/generate";
import { GREEDY } from "../../../src/engine/generate/sampling";
import { Tracer } from "../../../src/engine/inspect/tracer";
import { exportNames } from "../../../src/engine/models/family";
import { openWeights } from "../../../src/engine/models/folder";
import { paramSpecs } from "../../../src/engine/nn/params";
import { mapWeights, type StoredWeights } from "../../../src/engine/runtime/weights";
import { quantizeFolder, readTensor } from "../../../src/engine/weights";
import { relativeError } from "../../helpers/allclose";
import { ARCHITECTURES, VARIANTS } from "../../helpers/architectures";
import { ExportedModel } from "../../helpers/exportedModel";
import { largestDifference } from "../../helpers/tinyModel";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-export-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe.each(Object.values(VARIANTS).flat())("%s as ONNX", (name) => {
  const checkpoint = join(ARCHITECTURES, name);
  const { prompts, ids: continuations } = JSON.parse(readFileSync(join(checkpoint, "greedy.json"), "utf8")) as {
    readonly prompts: number[][];
    readonly ids: number[][];
  };
  let exported: ExportedModel;
  beforeAll(async () => {
    await exportModel(checkpoint, { format: "onnx", out: join(dir, name) });
    exported = await ExportedModel.open(join(dir, name, "onnx", "model.onnx"));
  });
  afterAll(() => exported?.release());

  test("computes PyTorch's logits of a padded batch", async () => {
    const { data, shape } = await readTensor(join(checkpoint, "reference.safetensors"), "logits");
    const [, T, V] = shape as [number, number, number];
    const logits = await exported.logits(prompts, "right");
    for (const [b, { length }] of prompts.entries()) {
      const real = (all: Float32Array) => all.subarray(b * T * V, (b * T + length) * V);
      expect(largestDifference(real(logits), real(data))).toBeLessThan(2e-4);
    }
  });

  test.each(["left", "right"] as const)("continues a batch with the cache, padded at the %s", async (side) => {
    const count = (continuations[0] as number[]).length;
    expect(await exported.greedy(prompts, count, side)).toEqual(continuations);
  });
});

test.each([
  ["gpt2", ["input_ids", "attention_mask", "position_ids"], [4, 8]],
  ["llama", ["input_ids", "attention_mask", "position_ids"], [2, 8]],
  ["opt", ["input_ids", "attention_mask"], [4, 8]],
] as const)(
  "%s has the inputs and outputs of text generation, open in batch and length",
  async (name, first, sizes) => {
    const out = join(dir, `${name}-interface`);
    await exportModel(join(ARCHITECTURES, name), { format: "onnx", out });
    const { session } = await ExportedModel.open(join(out, "onnx", "model.onnx"));
    const [heads, width] = sizes;
    const caches = (prefix: string, length: string) =>
      ["0.key", "0.value", "1.key", "1.value"].map((of) => [
        `${prefix}.${of}`,
        "float32",
        "batch_size",
        heads,
        length,
        width,
      ]);
    const described = (all: readonly InferenceSession.ValueMetadata[]) =>
      all.map((value) => (value.isTensor ? [value.name, value.type, ...value.shape] : [value.name]));
    expect(described(session.inputMetadata)).toEqual([
      ...first.map((given) => [
        given,
        "int64",
        "batch_size",
        given === "attention_mask" ? "total_sequence_length" : "sequence_length",
      ]),
      ...caches("past_key_values", "past_sequence_length"),
    ]);
    expect(described(session.outputMetadata)).toEqual([
      ["logits", "float32", "batch_size", "sequence_length", 99],
      ...caches("present", "total_sequence_length"),
    ]);
    await session.release();
  },
);

describe.each([
  ["int8", 8, "model_quantized.onnx"],
  ["int4", 4, "model_q4.onnx"],
] as const)("in %s", (precision, bits, file) => {
  test.each(["gpt2", "llama", "phi"])("%s computes the same as the quantized model in Decoder Lab", async (name) => {
    const checkpoint = join(ARCHITECTURES, name);
    const [quantized, out] = [join(dir, `${name}-${bits}`), join(dir, `${name}-${precision}`)];
    const { cfg, weights } = await openWeights(checkpoint);
    const roles = new Map(paramSpecs(cfg).map((spec) => [nameOf(weights, spec.name), spec]));
    await quantizeFolder(checkpoint, quantized, bits, (tensor) => {
      const spec = roles.get(tensor);
      if (spec?.name === "embed.tokens.weight") return true;
      return (
        (spec?.role === "matrix" || spec?.role === "residualMatrix") && { transpose: cfg.weightLayout === "inOut" }
      );
    });
    await exportModel(checkpoint, { format: "onnx", out, precision });
    await exportModel(quantized, { format: "onnx", out: `${out}-again` });

    // Like a generation, and unlike a trace, the exported products round their operand to 8 bits.
    const ours = await generatedLogits(quantized);
    for (const folder of [out, `${out}-again`]) {
      const exported = await ExportedModel.open(join(folder, "onnx", file));
      const logits = await exported.logits([PROMPT], "left");
      await exported.release();
      expect(relativeError(logits, ours)).toBeLessThan(1e-3);
    }
    // The codes of a quantized model are copied unchanged.
    const models = [out, `${out}-again`].map((folder) => readFileSync(join(folder, "onnx", file)));
    expect(models[1]?.equals(models[0] as Buffer)).toBe(true);
    expect(JSON.parse(readFileSync(join(out, "config.json"), "utf8"))).not.toHaveProperty("quantization_config");
  });
});

describe("scaled rotary positions as ONNX:", () => {
  const eight = (factor: number) => Array.from({ length: 4 }, (_, i) => 1 + (factor * i) / 3);
  const trained = { original_max_position_embeddings: 8 };
  test.each<[string, Readonly<Record<string, unknown>>]>([
    ["linear", { max_position_embeddings: 32, rope_scaling: { rope_type: "linear", factor: 4 } }],
    ["dynamic", { max_position_embeddings: 8, rope_scaling: { rope_type: "dynamic", factor: 4 } }],
    ["dynamic of an older file", { max_position_embeddings: 16, rope_scaling: { type: "dynamic", factor: 2 } }],
    [
      "llama3",
      {
        max_position_embeddings: 32,
        rope_scaling: { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, ...trained },
      },
    ],
    ["yarn", { max_position_embeddings: 8, rope_scaling: { rope_type: "yarn", factor: 4, ...trained } }],
    [
      "yarn of the extended length",
      { max_position_embeddings: 32, rope_scaling: { rope_type: "yarn", factor: 4, ...trained } },
    ],
    [
      "longrope",
      {
        max_position_embeddings: 32,
        rope_scaling: { rope_type: "longrope", short_factor: eight(1), long_factor: eight(9), ...trained },
      },
    ],
  ])("%s equals Decoder Lab below and above the trained length", async (name, changes) => {
    const [folder, out] = [join(dir, `scaled ${name}`), join(dir, `scaled ${name} out`)];
    await cp(join(ARCHITECTURES, "llama"), folder, { recursive: true });
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, ...changes }));
    await exportModel(folder, { format: "onnx", out });
    const exported = await ExportedModel.open(join(out, "onnx", "model.onnx"));

    const prompt = Array.from({ length: 32 }, (_, i) => (i * 37 + 11) % 99);
    for (const length of [1, 7, 8, 9, 16, 17, 31, 32]) {
      const ids = prompt.slice(0, length);
      const difference = largestDifference(await exported.logits([ids], "left"), await ourLogits(folder, ids));
      expect(difference, `${length} tokens`).toBeLessThan(2e-5);
    }
    // Token by token across the trained length: earlier keys keep their angles.
    const model = await openWeights(folder);
    const placed = await mapWeights(model.cfg, model.weights, "cpu");
    const decoding = new Decoding(model.cfg, placed);
    const ours: number[] = [];
    const options = { ...GREEDY, maxNewTokens: 24, eosIds: [] };
    for await (const { id } of generate(new TokenCache(decoding), prompt.slice(0, 6), options)) ours.push(id);
    expect(await exported.greedy([prompt.slice(0, 6)], 24, "left")).toEqual([ours]);
    await Promise.all([exported.release(), decoding.release(), placed.release()]);
  });
});

test("the weights of a large model have a file of their own, which onnxruntime finds", async () => {
  const model = await openWeights(join(ARCHITECTURES, "llama"));
  const file = join(dir, "model.onnx");
  const plan = planOnnx(model, file, {
    precision: "float32",
    names: exportNames(model.family, model.cfg),
    positionIds: true,
    mostInside: 1000,
  });
  const reported: number[] = [];
  expect(await plan.write(async (bytes) => void reported.push(bytes))).toEqual({ hasData: true });
  expect(statSync(`${file}_data`).size).toBe(plan.bytes);
  expect(reported).toEqual(reported.toSorted((a, b) => a - b));
  expect(reported.at(-1)).toBe(plan.bytes);

  // File names are relative, so the folder can be moved.
  const moved = join(dir, "elsewhere");
  await mkdir(moved);
  for (const name of ["model.onnx", "model.onnx_data"]) await rename(join(dir, name), join(moved, name));
  const exported = await ExportedModel.open(join(moved, "model.onnx"));
  expect(
    relativeError(await exported.logits([PROMPT], "left"), await ourLogits(join(ARCHITECTURES, "llama"))),
  ).toBeLessThan(1e-5);
  await exported.release();
});

const PROMPT = [31, 41, 59, 26, 53, 58, 97, 93, 23, 84, 62, 64];

/** [T, V] */
async function ourLogits(folder: string, prompt = PROMPT): Promise<Float32Array> {
  const { cfg, weights } = await openWeights(folder);
  const placed = await mapWeights(cfg, weights, "cpu");
  const tracer = new Tracer(cfg, placed);
  const logits = (await tracer.trace([prompt])).get("logits")?.data as Float32Array;
  await tracer.release();
  await placed.release();
  return logits;
}

/** The logits of a generation that reads the prompt token by token, [T, V]. */
async function generatedLogits(folder: string): Promise<Float32Array> {
  const { cfg, weights } = await openWeights(folder);
  const placed = await mapWeights(cfg, weights, "cpu");
  const decoding = new Decoding(cfg, placed);
  const rows = new Float32Array(PROMPT.length * cfg.vocabSize);
  for (const [t, id] of PROMPT.entries()) {
    const { logits } = await decoding.append(Int32Array.of(id), { logits: true });
    rows.set(logits as Float32Array, t * cfg.vocabSize);
  }
  await decoding.release();
  await placed.release();
  return rows;
}

function nameOf(weights: StoredWeights, name: string): string {
  const tensor = weights.get(name);
  if (!tensor || "bits" in tensor) throw new Error(`${name} is not in the checkpoint as it is`);
  return tensor.name;
}
