/** transformers.js loads exports like any model from the hub and generates the same tokens. */

import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AutoModelForCausalLM, env, type PreTrainedModel, pipeline, Tensor } from "@huggingface/transformers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exportModel } from "../../../src/engine/export";
import { LoadedModel } from "../../../src/engine/models/loadedModel";
import { ARCHITECTURES, VARIANTS } from "../../helpers/architectures";
import { testData } from "../../helpers/testData";

let dir: string;
let wasRemote: boolean;
beforeAll(async () => {
  wasRemote = env.allowRemoteModels;
  env.allowRemoteModels = false;
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-export-"));
});
afterAll(async () => {
  env.allowRemoteModels = wasRemote;
  await rm(dir, { recursive: true, force: true });
});

const NAMES = [...(VARIANTS.gpt2 ?? []), ...(VARIANTS.opt ?? []), ...(VARIANTS.llama ?? []), "qwen3", "gemma2"];

describe.each(NAMES)("%s", (name) => {
  const { prompts, ids } = JSON.parse(readFileSync(join(ARCHITECTURES, name, "greedy.json"), "utf8")) as {
    readonly prompts: number[][];
    readonly ids: number[][];
  };
  const count = (ids[0] as number[]).length;
  let model: PreTrainedModel;
  beforeAll(async () => {
    const out = join(dir, name);
    await exportModel(join(ARCHITECTURES, name), { format: "onnx", out });
    model = await AutoModelForCausalLM.from_pretrained(out);
  });
  afterAll(() => model?.dispose());

  test("continues a prompt, with the cache", async () => {
    const prompt = prompts[0] as number[];
    const written = await generate(model, { input_ids: int64([prompt]) }, count);
    expect(written).toEqual([[...prompt, ...(ids[0] as number[])]]);
  });

  test("continues a prompt without the cache, from the whole sequence at every step", async () => {
    const sequence = [...(prompts[1] as number[])];
    const written: number[] = [];
    while (written.length < 8) {
      const { logits } = await model({ input_ids: int64([sequence]), attention_mask: int64([sequence.map(() => 1)]) });
      const [, T, V] = logits.dims as [number, number, number];
      const last = (logits.data as Float32Array).subarray((T - 1) * V);
      written.push(last.indexOf(Math.max(...last)));
      sequence.push(written.at(-1) as number);
    }
    expect(written).toEqual(ids[1]?.slice(0, 8));
  });

  test("continues a batch of unequal prompts", async () => {
    const T = Math.max(...prompts.map((prompt) => prompt.length));
    const padding = (prompt: readonly number[], filler: number) => Array<number>(T - prompt.length).fill(filler);
    const given = {
      input_ids: int64(prompts.map((prompt) => [...padding(prompt, 0), ...prompt])),
      attention_mask: int64(prompts.map((prompt) => [...padding(prompt, 0), ...prompt.map(() => 1)])),
    };
    const written = await generate(model, given, count);
    expect(written.map((row) => row.slice(T))).toEqual(ids);
  });
});

const stories = testData("stories260K");

test.skipIf(stories === null)("a pipeline writes a real model's story, with its tokenizer", async () => {
  const out = join(dir, "stories");
  await exportModel(stories as string, { format: "onnx", out });
  const { text } = JSON.parse(readFileSync(join(stories as string, "greedy.json"), "utf8"));
  const write = await pipeline("text-generation", out);
  const [written] = await write("Once upon a time", { max_new_tokens: 60, do_sample: false });
  await write.dispose();
  const { generated_text } = written as { generated_text: string };
  expect(generated_text.length).toBeGreaterThan(100);
  expect(text.startsWith(generated_text.trim())).toBe(true);
});

test("a pipeline continues a prompt like the trained model, for every exported family", async () => {
  const [source, out] = [join(import.meta.dirname, "../../golden/characters"), join(dir, "trained")];
  await exportModel(source, { format: "onnx", out });
  const prompt = "The cat ";
  const loaded = await LoadedModel.open(source, "cpu");
  const sampling = { temperature: 0, topK: 0, topP: 1, seed: 0, maxNewTokens: 40 };
  const { text } = await loaded.generate(loaded.model.tokenizer.encodePrompt(prompt), sampling);
  await loaded.release();

  const write = await pipeline("text-generation", out);
  const [written] = await write(prompt, { max_new_tokens: 40, do_sample: false });
  await write.dispose();
  expect(text.length).toBeGreaterThan(30);
  expect((written as { generated_text: string }).generated_text).toBe(prompt + text);
});

async function generate(model: PreTrainedModel, given: Record<string, Tensor>, count: number): Promise<number[][]> {
  // The reference continues past the end of a text.
  const greedy = { max_new_tokens: count, do_sample: false, eos_token_id: null };
  const output = await model.generate({ ...given, ...greedy } as never);
  return (output as Tensor).tolist().map((row: bigint[]) => row.map(Number));
}

const int64 = (rows: readonly (readonly number[])[]): Tensor =>
  new Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, (rows[0] as readonly number[]).length]);
