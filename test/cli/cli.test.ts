import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readTensors } from "../../src/engine/weights";
import { bundleCli, bundledCli, type Output, runCli } from "../helpers/commandLine";

const cli = bundledCli("cli");

let dir: string;
let model: string;

beforeAll(async () => {
  await bundleCli(cli);
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-cli-"));
  await writeFile(join(dir, "text.txt"), "the cat sat on the mat\n".repeat(60));
  model = join(dir, "model");
  trained = await decoderLab(
    "train",
    "--preset",
    "char",
    "--data",
    join(dir, "text.txt"),
    "--out",
    model,
    ...SMALL,
    "--json",
  );
}, 60_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

const SMALL = [
  "--device",
  "cpu",
  "--steps",
  "6",
  "--seed",
  "3",
  "--set",
  "model.dModel=16",
  "model.nHeads=2",
  "model.nLayers=1",
];
let trained: Output;

const decoderLab = (...args: string[]): Promise<Output> => runCli(cli, args);

const json = ({ stdout }: Output): unknown => JSON.parse(stdout);
const lines = ({ stdout }: Output) =>
  stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test("each prompt of a set is scored with its next token and its loss", async () => {
  const file = join(dir, "prompts.csv");
  await writeFile(file, 'n,prompt\n1,"the cat sat"\n2,the mat\n3,☃\n');
  const output = await decoderLab("score", "--model", model, "--prompts", file, "--json");
  const [third, second, first] = lines(output).reverse();
  const scored = [first, second];
  expect(output.code).toBe(1);
  expect(third).toEqual({ prompt: "☃", error: expect.stringContaining("☃") });
  expect(scored.map((score) => [score?.prompt, score?.tokens])).toEqual([
    ["the cat sat", 11],
    ["the mat", 7],
  ]);
  const tokens = lines(await decoderLab("score", "--model", model, "--text", "the mat", "--json"));
  const bits = tokens.slice(1).reduce((sum, { surprisal }) => sum + Number(surprisal), 0);
  expect(scored[1]?.loss).toBeCloseTo((bits * Math.LN2) / 6, 5);
  const { nextToken } = json(await decoderLab("inspect", "--model", model, "--prompt", "the mat", "--json")) as {
    nextToken: { top: { id: number; token: string; probability: number }[] };
  };
  const [best] = nextToken.top;
  expect(scored[1]?.next).toMatchObject({
    id: best?.id,
    token: best?.token,
    probability: expect.closeTo(best?.probability ?? 0, 5),
  });
  const { stderr } = await decoderLab("score", "--model", model, "--prompts", join(dir, "no.csv"));
  expect(stderr).toBe('"no.csv" could not be read. Choose a CSV or JSONL file.\n');
});

test("help lists every command, and a command describes its options", async () => {
  const { stdout } = await decoderLab("help");
  const commands = [...stdout.matchAll(/^ {2}(\w+) {2,}[A-Z]/gm)].map(([, name]) => name);
  expect(commands.length).toBeGreaterThan(10);
  const { code, stdout: help } = await decoderLab("train", "--preset", "char", "--help");
  expect(code).toBe(0);
  expect(help).toMatch(/^Usage: decoder-lab train \(--preset NAME/m);
  for (const option of help.match(/--[a-z-]+/g) ?? []) expect(help).toMatch(new RegExp(`^ {2}${option} `, "m"));
});

test("train --json prints a line per step and ends with done", () => {
  expect(trained.code, trained.stderr).toBe(0);
  const reports = lines(trained).filter((line) => !("event" in line));
  expect(reports.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  for (const report of reports)
    expect(Object.keys(report).sort()).toEqual(["gradNorm", "loss", "lr", "step", "tokensPerSecond"]);
  expect(lines(trained).at(-1)).toMatchObject({ event: "done", step: 6, reason: "done", dir: model });
});

test("cache shows folder, size and limit, and clears the tokenized texts", async () => {
  const before = process.env.DECODER_LAB_CACHE;
  process.env.DECODER_LAB_CACHE = join(dir, "cache");
  try {
    const entry = join(dir, "cache/data/texts/content/ids");
    await mkdir(entry, { recursive: true });
    await writeFile(join(entry, "ids.bin"), "");
    await truncate(join(entry, "ids.bin"), 3e8);
    expect(json(await decoderLab("cache", "--json"))).toEqual({ folder: join(dir, "cache"), bytes: 3e8, limit: 20e9 });
    expect((await decoderLab("cache")).stdout).toBe(`${join(dir, "cache")}\t300 MB of 20 GB\n`);
    expect(json(await decoderLab("cache", "--clear", "--json"))).toMatchObject({ bytes: 0 });
    expect(existsSync(entry)).toBe(false);
  } finally {
    if (before === undefined) delete process.env.DECODER_LAB_CACHE;
    else process.env.DECODER_LAB_CACHE = before;
  }
});

test("resume continues to the requested number of steps", async () => {
  const output = await decoderLab("resume", "--model", model, "--steps", "9", "--json");
  expect(lines(output).flatMap(({ step, loss }) => (loss === undefined ? [] : [step]))).toEqual([7, 8, 9]);
}, 30_000);

test("eval prints loss, perplexity and tokens", async () => {
  const { loss, perplexity, tokens } = json(
    await decoderLab("eval", "--model", model, "--device", "cpu", "--json"),
  ) as Record<string, number>;
  expect(tokens).toBe(60 * 23 * 0.1 - 1);
  expect(perplexity).toBeCloseTo(Math.exp(loss as number), 6);
}, 30_000);

test("generate prints a row per prompt, and samples with consecutive seeds", async () => {
  const generate = ["generate", "--model", model, "--device", "cpu", "--max-new-tokens", "4", "--json"];
  const { rows } = JSON.parse((await decoderLab(...generate, "--ids", "1,2,3;4")).stdout);
  const alone = JSON.parse((await decoderLab(...generate, "--ids", "4")).stdout);
  expect(rows).toHaveLength(2);
  expect(rows[1]).toEqual(alone);
  const warm = [...generate, "--ids", "4", "--temperature", "1.5"];
  const { samples } = JSON.parse((await decoderLab(...warm, "--seed", "7", "--samples", "2")).stdout);
  expect(samples[0]).toEqual(JSON.parse((await decoderLab(...warm, "--seed", "7")).stdout));
  expect(samples[1]).toEqual(JSON.parse((await decoderLab(...warm, "--seed", "8")).stdout));
});

test("generate prints only new tokens, the same for the same seed", async () => {
  const args = [
    "generate",
    "--model",
    model,
    "--device",
    "cpu",
    "--prompt",
    "the ",
    "--max-new-tokens",
    "7",
    "--temperature",
    "1",
    "--json",
  ];
  const [a, b, c] = [
    await decoderLab(...args, "--seed", "1"),
    await decoderLab(...args, "--seed", "1"),
    await decoderLab(...args, "--seed", "2"),
  ];
  const { ids, text } = json(a) as { ids: number[]; text: string };
  expect(ids).toHaveLength(7);
  expect(text).toHaveLength(7);
  expect(a.stdout).toBe(b.stdout);
  expect(a.stdout).not.toBe(c.stdout);
}, 30_000);

test("tokenize prints ids with UTF-16 spans, and --ids accepts them", async () => {
  const { tokens } = json(await decoderLab("tokenize", "--model", model, "--text", "the mat", "--json")) as {
    tokens: { id: number; token: string; start: number; end: number }[];
  };
  expect(tokens.map(({ token }) => token).join("")).toBe("the mat");
  expect(tokens.map(({ start, end }) => [start, end])).toEqual(Array.from({ length: 7 }, (_, i) => [i, i + 1]));
  const generate = ["generate", "--model", model, "--device", "cpu", "--max-new-tokens", "3", "--json"];
  const byIds = await decoderLab(...generate, "--ids", tokens.map(({ id }) => id).join());
  expect(byIds.stdout).toBe((await decoderLab(...generate, "--prompt", "the mat")).stdout);
}, 30_000);

test("inspect writes the trace of a padded batch as safetensors", async () => {
  const out = join(dir, "trace.safetensors");
  expect(
    (await decoderLab("inspect", "--model", model, "--device", "cpu", "--ids", "1,2,3;4,5", "--out", out)).code,
  ).toBe(0);
  const trace = await readTensors(out);
  expect(trace.get("blocks.0.attn.pattern")?.shape).toEqual([2, 2, 3, 3]);
  expect([...(trace.get("mask")?.data ?? [])]).toEqual([1, 1, 1, 1, 1, 0]);
}, 30_000);

test("describe counts the parameters", async () => {
  const { parameters } = json(await decoderLab("describe", "--model", model, "--json")) as { parameters: number };
  const stored = await readTensors(join(model, "model.safetensors"));
  expect(parameters).toBe([...stored.values()].reduce((n, { data }) => n + data.length, 0));
});

test("the adder has 270,226 parameters", async () => {
  const out = join(dir, "adder");
  await decoderLab(
    "train",
    "--preset",
    "adder",
    "--out",
    out,
    "--device",
    "cpu",
    "--steps",
    "1",
    "--set",
    "train.evalBatches=1",
  );
  expect(json(await decoderLab("describe", "--model", out, "--json"))).toMatchObject({ parameters: 270_226 });
}, 60_000);

test.each<readonly [string, string]>([
  ["--out", ""],
  ["--out", "  "],
  ["--out", "text.txt"],
  ["--out", "text.txt/x/y"],
  ["--out", "."],
  ["--out", "x".repeat(300)],
  ["--data", ""],
  ["--from", ""],
  ["--branch", ""],
  ...["/proc/x", "/proc/self/x/y"].map((path) => ["--out", process.platform === "linux" ? path : ""] as const),
])("train refuses an impossible folder before any work: %s %j", async (option, value) => {
  const path = value.startsWith("text.txt") || value === "." ? join(dir, value) : value;
  const given = { "--data": join(dir, "text.txt"), "--out": join(dir, "impossible"), [option]: path };
  const args = ["train", "--preset", "char", ...Object.entries(given).flat()];
  const { code, stdout, stderr } = await decoderLab(...args);
  expect(stderr).toMatch(/^[^\n]{1,300}\.\n$/);
  expect([code, stdout]).toEqual([1, ""]);
});

test.each([[], ["lora.rank=4"]])(
  "train --from fine-tunes a model in a separate folder %s",
  async (...set) => {
    const out = join(dir, `tuned${set}`);
    const settings = ["train.blockSize=16", "train.sampleEvery=3", ...set.flat()];
    const data = ["--data", join(dir, "text.txt")];
    const args = [
      "train",
      "--from",
      model,
      ...data,
      "--out",
      out,
      "--steps",
      "3",
      "--set",
      ...settings,
      "--device",
      "cpu",
    ];
    const tuned = await decoderLab(...args, "--json");
    expect(tuned.code, tuned.stderr).toBe(0);
    expect(lines(tuned).at(-1)).toMatchObject({ event: "done", step: 3, reason: "done", dir: out });
    const resumed = await decoderLab("resume", "--model", out, "--steps", "4", "--json");
    expect(lines(resumed).at(-1)).toMatchObject({ step: 4, reason: "done" });
    const evaluation = json(await decoderLab("eval", "--model", out, "--json")) as { loss: number };
    expect(evaluation.loss).toBeLessThan(Math.log(12));
  },
  60_000,
);

test("Ctrl+C stops a run and keeps its model", async () => {
  const out = join(dir, "stopped");
  const args = ["train", "--preset", "char", "--data", join(dir, "text.txt"), "--out", out, ...SMALL, "--json"];
  args[args.indexOf("6")] = "100000";
  const child = spawn(process.execPath, [cli, ...args]);
  let stdout = "";
  let stopped = false;
  child.stdout.on("data", (data) => {
    stdout += data;
    // Only once, because a second Ctrl+C kills the process.
    if (stdout.split("\n").length > 20 && !stopped) stopped = child.kill("SIGINT");
  });
  const code = await new Promise((done) => child.on("close", done));
  expect(code).toBe(0);
  const last = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as { step: number };
  expect(last).toMatchObject({ event: "done", reason: "stopped" });
  const resumed = await decoderLab("resume", "--model", out, "--steps", String(last.step + 1), "--json");
  expect(lines(resumed)[1]).toMatchObject({ step: last.step + 1 });
  const kept = json(await decoderLab("checkpoints", "--model", out, "--json")) as { step: number; dir: string }[];
  expect(kept.map(({ step }) => step)).toEqual(expect.arrayContaining([0, last.step, last.step + 1]));
  const { dir: checkpoint } = kept.find(({ step }) => step === last.step) as { dir: string };
  const branch = [
    "train",
    "--branch",
    checkpoint,
    "--out",
    `${out}-branch`,
    "--steps",
    String(last.step + 2),
    "--json",
  ];
  expect(lines(await decoderLab(...branch))[1]).toMatchObject({ step: last.step + 1 });
}, 60_000);

describe("errors are one line on stderr, with exit code 1", () => {
  const cases: Record<string, [args: string[], message: RegExp]> = {
    "an unknown command": [["trian"], /Unknown command "trian"\. Choose one of .*train, resume, checkpoints/],
    "a command named like a JavaScript property": [["constructor"], /Unknown command "constructor"/],
    "a file instead of a model folder": [["describe", "--model", "/dev/null"], /part of the path is a file/],
    "endless data": [["train", "--preset", "char", "--data", "/dev/zero", "--out", "x"], /neither a file nor a folder/],
    "an unknown option": [["devices", "--jsno"], /Usage: decoder-lab devices/],
    "a missing option": [["train", "--preset", "char"], /--out is missing\. Usage/],
    "a preset and a model to start from": [
      ["train", "--preset", "char", "--from", "m", "--data", "text.txt", "--out", "x"],
      /The preset "char" trains a new model/,
    ],
    "a preset for a branch": [
      ["train", "--branch", "c", "--preset", "char", "--out", "x"],
      /--preset cannot be combined with --branch, .*\. Omit one of them/,
    ],
    "a branch from a folder that is not a checkpoint": [
      ["train", "--branch", "nowhere", "--out", "x"],
      /nowhere is not a checkpoint of a run\. Choose one of the folders in a model's checkpoints/,
    ],
    "an unknown device": [
      ["generate", "--model", ".", "--prompt", "a", "--device", "gpu9"],
      /--device must be auto, cpu, webgpu, got "gpu9"/,
    ],
    "an invalid number": [["train", "--preset", "char", "--out", "x", "--steps", "many"], /--steps must be an integer/],
    "a folder without a model": [["describe", "--model", "/nonexistent"], /config.json does not exist/],
    "a missing data file": [
      ["train", "--preset", "char", "--data", "/nonexistent.txt", "--out", "x"],
      /nonexistent\.txt/,
    ],
  };
  for (const [name, [args, message]] of Object.entries(cases)) {
    test(name, async () => {
      const { code, stdout, stderr } = await decoderLab(...args);
      expect(code).toBe(1);
      expect(stdout).toBe("");
      // A GPU driver may write its own lines first.
      expect(stderr.trim().split("\n").at(-1)).toMatch(message);
      expect(stderr).not.toMatch(/^\s+at /m);
    });
  }

  test("characters that the model does not know", async () => {
    const { code, stderr } = await decoderLab(
      "generate",
      "--model",
      model,
      "--device",
      "cpu",
      "--prompt",
      "café",
      "--max-new-tokens",
      "1",
    );
    expect(code).toBe(1);
    expect(stderr).toContain('"é" (U+00E9)');
  });
});
