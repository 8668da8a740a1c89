import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleCli, bundledCli, type Output, runCli } from "../helpers/commandLine";
import { hasTorch, torchScript } from "../helpers/pyTorch";

const root = resolve(import.meta.dirname, "../..");
const cli = bundledCli("cli-export");
const model = join(root, "test/golden/characters");

let dir: string;
beforeAll(async () => {
  await bundleCli(cli);
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-cli-export-"));
}, 60_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

const decoderLab = (...args: string[]): Promise<Output> => runCli(cli, args);

test("export --format hf writes a folder that generates the same text", async () => {
  const out = join(dir, "hf");
  const { code, stdout, stderr } = await decoderLab("export", "--model", model, "--format", "hf", "--out", out);
  expect([code, stdout, stderr]).toEqual([0, `${out}\n`, ""]);
  const greedy = (folder: string) =>
    decoderLab(
      "generate",
      "--model",
      folder,
      "--prompt",
      "Once ",
      "--max-new-tokens",
      "40",
      "--device",
      "cpu",
      "--json",
    );
  const [before, after] = [await greedy(model), await greedy(out)];
  expect(JSON.parse(after.stdout).ids).toHaveLength(40);
  expect(after.stdout).toBe(before.stdout);
}, 120_000);

test("export --format onnx --precision int4 writes what transformers.js calls q4", async () => {
  const out = join(dir, "onnx");
  const args = ["--model", model, "--format", "onnx", "--precision", "int4", "--out", out, "--json"];
  const { stdout } = await decoderLab("export", ...args);
  expect(JSON.parse(stdout)).toEqual({ event: "done", dir: out });
  expect(await readdir(join(out, "onnx"))).toEqual(["model_q4.onnx"]);
  const config = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
  expect(config["transformers.js_config"]).toEqual({ dtype: "q4" });
}, 60_000);

test("export --format torch includes the training data", async () => {
  const out = join(dir, "torch");
  const text = join(root, "test/golden/stories.txt");
  const { code, stderr } = await decoderLab(
    "export",
    "--model",
    model,
    "--format",
    "torch",
    "--data",
    text,
    "--out",
    out,
  );
  expect([code, stderr]).toEqual([0, ""]);
  const read = async (name: string) => JSON.parse(await readFile(join(out, name), "utf8"));
  expect(await read("training.json")).toMatchObject({
    preset: "finetune",
    step: 0,
    data: { kind: "paths", paths: [text] },
  });
  expect(await read("train.json")).toMatchObject({ blockSize: 128, gradientAccumulation: 1 });
  expect((await read("first_batch.json")).loss).toBeGreaterThan(0);
  expect(await readdir(out)).toEqual(expect.arrayContaining(["train.py", "model.py", "data", "model.safetensors"]));
}, 60_000);

test.skipIf(!hasTorch)(
  "an exported run continues in PyTorch, and its result continues here",
  async () => {
    const [run, project] = [join(dir, "run"), join(dir, "project")];
    const text = join(root, "test/golden/stories.txt");
    const small = ["model.nLayers=1", "model.dModel=16", "train.blockSize=16", "train.batchSize=4"];
    const train = ["--preset", "char", "--data", text, "--steps", "3", "--device", "cpu", "--set", ...small];
    expect((await decoderLab("train", ...train, "--out", run)).code).toBe(0);
    expect((await decoderLab("export", "--model", run, "--format", "torch", "--out", project)).code).toBe(0);
    const script = join(project, "train.py");
    expect((await torchScript(script, "--check")).stdout).toMatch(/^Step 4: loss .*, difference \d\.\de[-+]\d\d\n$/);
    expect((await torchScript(script, "--steps", "6")).stdout).toMatch(
      /^step 4 .*\nstep 5 .*\nstep 6 .*\nstep 6 .*validation/,
    );

    const saved = join(project, "trained");
    const resumed = await decoderLab("resume", "--model", saved, "--steps", "8", "--json");
    expect(
      resumed.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
        .at(-1),
    ).toMatchObject({ step: 8 });
    const imported = join(dir, "imported");
    expect((await decoderLab("import", saved, "--out", imported)).code).toBe(0);
    const evaluated = await decoderLab("eval", "--model", imported, "--data", text, "--device", "cpu");
    expect(evaluated.stdout).toMatch(/^loss \d/);
  },
  120_000,
);

test.each([
  [["--format", "gguf", "--out", "x"], '--format must be hf, onnx, torch, got "gguf".'],
  [["--format", "onnx", "--out", "x", "--precision", "int2"], '--precision must be float32, int8, int4, got "int2".'],
  [["--format", "torch", "--out", "x"], /has no training run to resume. Choose a text to train all parameters/],
  [["--format", "hf", "--out", "x", "--data", "y"], "Only PyTorch projects include data. Omit it, or export as torch."],
  [["--out", "x"], /^--format is missing\. Usage: decoder-lab export/],
  [["--format", "hf", "--out", root], /already exists and is not empty\. Choose another folder\.$/],
])(
  "export %j fails with one line",
  async (args, message) => {
    const { code, stdout, stderr } = await decoderLab("export", "--model", model, ...args);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    if (typeof message === "string") expect(stderr.trim()).toBe(message);
    else expect(stderr.trim()).toMatch(message);
  },
  60_000,
);
