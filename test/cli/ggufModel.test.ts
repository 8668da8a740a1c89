import { copyFile, mkdtemp, readdir, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readTensors } from "../../src/engine/weights";
import { bundleCli, bundledCli, runCli } from "../helpers/commandLine";
import { largestDifference } from "../helpers/tinyModel";

// Written by llama.cpp's package, with the results of transformers: test/golden/gguf/make_models.py.
const GOLDEN = resolve(import.meta.dirname, "../golden/gguf");
const QWEN3 = join(GOLDEN, "qwen3.gguf");

const cli = bundledCli("gguf-model");
let dir: string;
beforeAll(async () => {
  await bundleCli(cli);
  dir = await mkdtemp(join(tmpdir(), "gguf-model-"));
}, 60_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

const decoderLab = (...args: string[]) =>
  runCli(cli, args, { ...process.env, XDG_CACHE_HOME: dir, LOCALAPPDATA: dir, HOME: dir });

const expected = async () => JSON.parse(await readFile(join(GOLDEN, "qwen3.json"), "utf8"));

test("describe prints the modules of a GGUF file", async () => {
  const { stdout } = await decoderLab("describe", "--model", QWEN3);
  expect(stdout).toContain("Qwen3ForCausalLM");
  expect(stdout).toContain("(q_norm): Qwen3RMSNorm((16,)");
});

test("generate continues with the tokens of transformers", async () => {
  const { prompts, ids } = await expected();
  const prompt = prompts[0].join(",");
  const { stdout } = await decoderLab("generate", "--model", QWEN3, "--ids", prompt, "--device", "cpu", "--json");
  const end = ids[0].indexOf(98);
  expect(JSON.parse(stdout).ids).toEqual(end < 0 ? ids[0] : ids[0].slice(0, end));
});

test("inspect writes the logits of transformers, under the name of the file", async () => {
  const { prompts, logits } = await expected();
  const out = join(dir, "trace.safetensors");
  const { stderr } = await decoderLab("inspect", "--model", QWEN3, "--ids", prompts[0].join(","), "--out", out);
  expect(stderr).toBe("");
  expect(largestDifference((await readTensors(out)).get("logits")!.data, logits.flat())).toBeLessThan(2e-4);
  expect((await readFile(out)).subarray(8, 200).toString()).toContain('"model":"qwen3"');
});

test("a GGUF file with another name is recognized by its content", async () => {
  const blob = join(dir, "sha256-4f5a");
  await copyFile(QWEN3, blob);
  expect((await decoderLab("describe", "--model", blob)).stdout).toContain("Qwen3ForCausalLM");
});

test("the converted copy is deleted", async () => {
  await decoderLab("tokenize", "--model", QWEN3, "--text", "he", "--json");
  expect(await readdir(join(dir, "decoder-lab", "gguf"))).toEqual([]);
});

test("errors name the file, not its copy", async () => {
  const { stderr, code } = await decoderLab("generate", "--model", QWEN3, "--ids", "1,200");
  expect([code, stderr]).toEqual([1, "There is no token 200. The ids of this model are 0 to 98.\n"]);
  const damaged = join(dir, "damaged.gguf");
  await copyFile(QWEN3, damaged);
  await truncate(damaged, 5000);
  expect((await decoderLab("describe", "--model", damaged)).stderr).toMatch(
    /^\S*damaged\.gguf is damaged: the tensor "[\w.]+" has the invalid offset \d+\. Download it again/,
  );
});
