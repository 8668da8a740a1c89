import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AutoTokenizer } from "@huggingface/transformers";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import type { ExportProgress } from "../../../src/engine/api/model";
import { exportModel } from "../../../src/engine/export";
import { writeWeights } from "../../../src/engine/export/huggingFace";
import { asFloats } from "../../../src/engine/export/values";
import { exportNames } from "../../../src/engine/models/family";
import { openWeights } from "../../../src/engine/models/folder";
import { paramSpecs } from "../../../src/engine/nn/params";
import { loadTokenizer } from "../../../src/engine/tokenizers";
import { openStored, readStored, readTensors, type StoredTensor, writeSafetensors } from "../../../src/engine/weights";
import { ARCHITECTURES } from "../../helpers/architectures";

const GPT2 = join(ARCHITECTURES, "gpt2");
const TRAINED = join(import.meta.dirname, "../../golden/characters");

let parent: string;
let out: string;
const folders: string[] = [];
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "decoder-lab-export-"));
  folders.push(parent);
  out = join(parent, "exported");
});
afterAll(() => Promise.all(folders.map((dir) => rm(dir, { recursive: true, force: true }))));

describe.each(["hf", "onnx"] as const)("an export as %s", (format) => {
  test("reports progress up to the last byte", async () => {
    const reports: ExportProgress[] = [];
    await exportModel(GPT2, { format, out, onProgress: (progress) => reports.push(progress) });
    const bytes = reports.map((progress) => progress.bytes);
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
    expect(bytes.at(-1)).toBe(reports[0]?.totalBytes);
    expect(bytes.length).toBeGreaterThan(10);
  });

  test("leaves nothing behind when it is canceled", async () => {
    const stop = new AbortController();
    const onProgress = () => stop.abort(new Error("enough"));
    await expect(exportModel(GPT2, { format, out, signal: stop.signal, onProgress })).rejects.toThrow("enough");
    expect(await readdir(parent)).toEqual([]);
  });

  test("leaves nothing behind when it fails", async () => {
    const dir = join(parent, "damaged");
    await mkdir(dir);
    for (const name of ["config.json", "model.safetensors"])
      await writeFile(join(dir, name), await readFile(join(GPT2, name)));
    await writeFile(join(dir, "tokenizer.json"), "{");
    await expect(exportModel(dir, { format, out })).rejects.toThrow(/tokenizer\.json is not valid JSON/);
    expect(await readdir(parent)).toEqual(["damaged"]);
  });

  test("does not overwrite a folder", async () => {
    await mkdir(out);
    await writeFile(join(out, "mine"), "");
    await expect(exportModel(GPT2, { format, out })).rejects.toThrow(
      /already exists and is not empty\. Choose another/,
    );
    expect(await readdir(out)).toEqual(["mine"]);
  });

  test("creates parent folders, and accepts an empty folder", async () => {
    const deep = join(parent, "a", "b");
    await mkdir(deep, { recursive: true });
    await exportModel(GPT2, { format, out: deep });
    expect(await readdir(deep)).toContain("config.json");
    await exportModel(GPT2, { format, out: join(parent, "c", "d") });
    expect(await readdir(join(parent, "c", "d"))).toContain("config.json");
  });

  test("of a trained model keeps its tokenizer and lists its special tokens", async () => {
    await exportModel(TRAINED, { format, out });
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      expect(await readFile(join(out, name), "utf8")).toBe(await readFile(join(TRAINED, name), "utf8"));
    }
    const config = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
    expect(config).toMatchObject({ model_type: "gpt2", architectures: ["GPT2LMHeadModel"], torch_dtype: "float32" });
  });
});

test("a tokenizer in vocab.json and merges.txt gets a tokenizer.json", async () => {
  const dir = join(parent, "merges");
  await mkdir(dir);
  for (const name of ["config.json", "model.safetensors"]) {
    await writeFile(join(dir, name), await readFile(join(GPT2, name)));
  }
  const vocab = ["l", "o", "w", "e", "r", "\u0120", "lo", "low", "er", "\u0120low", "<|endoftext|>"];
  await writeFile(join(dir, "vocab.json"), JSON.stringify(Object.fromEntries(vocab.map((token, id) => [token, id]))));
  await writeFile(join(dir, "merges.txt"), "#version: 0.2\nl o\nlo w\ne r\n\u0120 low\n");
  await exportModel(dir, { format: "onnx", out });
  expect(await readdir(out)).toEqual(expect.arrayContaining(["vocab.json", "merges.txt", "tokenizer_config.json"]));

  await rm(join(out, "vocab.json"));
  const tokenizer = await loadTokenizer(out);
  expect(tokenizer.encodePrompt("lower low")).toEqual([7, 8, 9]);
  expect(tokenizer.eosId).toBe(10);
  const library = await AutoTokenizer.from_pretrained(out);
  expect(library.encode("lower low")).toEqual([7, 8, 9]);
});

test("a model folder without weights is rejected in a sentence", async () => {
  await expect(exportModel(parent, { format: "hf", out })).rejects.toThrow(/config\.json/);
});

test("only ONNX can be exported in 8 or 4 bits", async () => {
  await expect(exportModel(GPT2, { format: "hf", out, precision: "int8" })).rejects.toThrow(/export as onnx/);
});

test("values that are not numbers cannot be quantized", async () => {
  const dir = join(parent, "nan");
  await mkdir(dir);
  await writeFile(join(dir, "config.json"), await readFile(join(GPT2, "config.json")));
  const tensors = await readTensors(join(GPT2, "model.safetensors"));
  (tensors.get("wte.weight")?.data as Float32Array)[100] = Number.NaN;
  const whole = [...tensors].map(([name, { shape, data }]) => [name, { dtype: "F32" as const, shape, data }] as const);
  await writeSafetensors(join(dir, "model.safetensors"), new Map(whole));
  await expect(exportModel(dir, { format: "onnx", precision: "int4", out })).rejects.toThrow(/wte\.weight has values/);
});

test("weights that are too large for one file become shards with an index", async () => {
  const { family, cfg, weights } = await openWeights(join(ARCHITECTURES, "llama"));
  const names = exportNames(family, cfg);
  const tensors = paramSpecs(cfg).map((spec) =>
    asFloats(names.get(spec.name) as string, spec, weights.get(spec.name) as StoredTensor, cfg),
  );
  await writeWeights(parent, tensors, () => undefined, 30_000);
  const files = (await readdir(parent)).sort();
  const shards = files.filter((name) => name.endsWith(".safetensors"));
  expect(shards.length).toBeGreaterThan(2);
  expect(shards[0]).toBe(`model-00001-of-0000${shards.length}.safetensors`);
  expect(files).toContain("model.safetensors.index.json");

  const stored = await openStored(parent);
  expect([...stored.keys()].sort()).toEqual([...names.values()].sort());
  for (const [param, name] of names) {
    expect(await readStored(stored.get(name) as StoredTensor), name).toEqual(
      await readStored(weights.get(param) as StoredTensor),
    );
  }
});
