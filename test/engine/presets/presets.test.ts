import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EvalReport, Settings, TrainEvent, TrainParams } from "../../../src/engine/api/run";
import { describeModel } from "../../../src/engine/models/describe";
import { openModel } from "../../../src/engine/models/folder";
import { LoadedModel } from "../../../src/engine/models/loadedModel";
import { PRESETS } from "../../../src/engine/presets/presets";
import {
  presetInfo,
  presetNamed,
  recordedRecipe,
  settingsOf,
  withSettings,
} from "../../../src/engine/presets/settings";
import { evaluateModel } from "../../../src/engine/train/evaluate";
import { resume, train } from "../../../src/engine/train/run";
import { readRunRecord } from "../../../src/engine/train/runFolder";
import { learningRate } from "../../../src/engine/train/schedules";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-presets-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const control = (events: TrainEvent[] = []) => ({
  signal: new AbortController().signal,
  whilePaused: async () => {},
  report: (event: TrainEvent) => void events.push(event),
});

async function trained(preset: string, name: string, set: Settings = {}, data?: TrainParams["data"]) {
  const events: TrainEvent[] = [];
  const run = { preset, out: join(dir, name), name, device: "cpu", set, ...(data && { data }) } as const;
  const { eval: last } = await train(run, control(events));
  return { out: run.out, last: last as EvalReport, events };
}

/** The greedy completion of a prompt. */
async function written(folder: string, prompt: string): Promise<string> {
  const loaded = await LoadedModel.open(folder, "cpu");
  try {
    const ids = loaded.model.tokenizer.encodePrompt(prompt);
    const options = { temperature: 0, topK: 0, topP: 1, seed: 0, maxNewTokens: 12 };
    return (await loaded.generate(ids, options)).text;
  } finally {
    await loaded.release();
  }
}

const SENTENCES = ["hello , how are you ?", "hello , how is your day ?", "how are you ?", "how is your day ?"];

describe("tinylm", () => {
  let tinylm: Awaited<ReturnType<typeof trained>>;
  beforeAll(async () => {
    tinylm = await trained("tinylm", "tinylm");
  });

  test("learns its corpus nearly down to its entropy, and completes “how are”", async () => {
    const entropy = (8 * Math.LN2) / 26;
    expect(tinylm.last.tokens).toBe(26);
    expect(tinylm.last.loss).toBeLessThan(0.25);
    expect(tinylm.last.loss).toBeGreaterThan(entropy);
    expect(await written(tinylm.out, "how are")).toBe(" you ?");
    expect(await written(tinylm.out, "  how\tare \n")).toBe(" you ?");
    expect((await evaluateModel(tinylm.out, undefined, "cpu")).loss).toBeCloseTo(tinylm.last.loss, 5);
  });

  test("has the number of parameters of the formula", async () => {
    const formula = 12 * 32 + 2 * (4 * 33 * 32 + 33 * 64 + 65 * 32 + 2 * 32 + 2 * 32) + 2 * 32 + 33 * 12;
    expect(formula).toBe(17_932);
    expect((await describeModel(tinylm.out)).parameters).toBe(formula);
  });

  test("rejects an unknown word by name, or reads it as <unk>", async () => {
    await expect(written(tinylm.out, "how is the robot ?")).rejects.toThrow(
      /words that the model was not trained on: "the", "robot"\. Use other words/,
    );
    const { out } = await trained("tinylm", "unk", { "data.unknown": "unk", "train.steps": 1 });
    const { tokenizer } = await openModel(out);
    expect(tokenizer.encodePrompt("how robot")).toEqual([1, expect.any(Number), 3]);
  });

  test("learns the sentences of a given text", async () => {
    const data = { kind: "text", name: "own", text: "one two three\n\n  two   three one\n" } as const;
    const { out, last } = await trained("tinylm", "own", { "train.steps": 1, "train.batchSize": 1 }, data);
    expect(last.tokens).toBe(8);
    expect((await openModel(out)).tokenizer.vocabSize).toBe(6);
    const long = { ...data, text: "a ".repeat(20) };
    await expect(trained("tinylm", "long", {}, long)).rejects.toThrow(/has 22 tokens with <bos> and <eos>/);
  });

  test("resumes after a stop with the same sentences", async () => {
    expect((await readFile(join(tinylm.out, "data.txt"), "utf8")).trim().split("\n")).toEqual(SENTENCES);
    const { step } = await resume(tinylm.out, { steps: 203 }, control());
    expect(step).toBe(203);
  });

  test("without the causal mask learns to copy the next token, and predicts nothing", async () => {
    const { out, last } = await trained("tinylm", "unmasked", { "model.causal": false });
    expect(last.loss).toBeLessThan(0.05);
    const [masked, unmasked] = [await prefixLoss(tinylm.out), await prefixLoss(out)];
    expect(masked).toBeLessThan(0.25);
    expect(unmasked).toBeGreaterThan(4 * masked);
  });
});

/** The loss of a model that sees only the tokens before each position, as in generation. */
async function prefixLoss(folder: string): Promise<number> {
  const loaded = await LoadedModel.open(folder, "cpu");
  const { tokenizer } = loaded.model;
  let [sum, count] = [0, 0];
  for (const sentence of SENTENCES) {
    const ids = [...tokenizer.encodePrompt(sentence), tokenizer.eosId as number];
    for (let t = 1; t < ids.length; t++) {
      const logits = (await loaded.trace([ids.slice(0, t)])).get("logits")?.data as Float32Array;
      const last = [...logits.subarray(-tokenizer.vocabSize)];
      sum += Math.log(last.reduce((z, x) => z + Math.exp(x), 0)) - (last[ids[t] as number] as number);
      count++;
    }
  }
  await loaded.release();
  return sum / count;
}

describe("text", () => {
  const small = {
    "model.nLayers": 1,
    "model.dModel": 16,
    "model.nHeads": 2,
    // Drawing the random numbers of dropout takes longer than all steps.
    "train.dropout": 0,
    "train.steps": 6,
    "train.blockSize": 8,
    "train.batchSize": 4,
    "train.evalEvery": 6,
    "train.sampleEvery": 6,
  };
  const stories = ["the cat sat on the mat . ", "the dog ran to the cat . "].map((text) => ({ text: text.repeat(20) }));

  test.each([
    ["characters", 17],
    ["words", 14],
    ["bytePairs", 300],
  ] as const)("learns %s, with a token after each document", async (tokenizer, vocabSize) => {
    const file = join(dir, `${tokenizer}.jsonl`);
    await writeFile(file, stories.map((story) => JSON.stringify(story)).join("\n"));
    const set = { ...small, "data.tokenizer": tokenizer, "data.vocabSize": 300 };
    const { out, last } = await trained("text", tokenizer, set, { kind: "paths", paths: [file] });
    const model = await openModel(out);
    expect(model.tokenizer.kind).toBe(tokenizer);
    expect(model.tokenizer.vocabSize).toBeLessThanOrEqual(vocabSize);
    expect(model.tokenizer.token(model.tokenizer.eosId as number)).toBe("<|endoftext|>");
    expect(model.eosIds).toEqual([model.tokenizer.vocabSize - 1]);
    expect(last.perplexity).toBeCloseTo(Math.exp(last.loss), 6);
    if (tokenizer === "words") expect((await resume(out, { steps: 7 }, control())).step).toBe(7);
  });

  test("trains with AdamW, cosine and warm-up by settings", async () => {
    const schedule = { "train.schedule.kind": "cosine", "train.schedule.lr": 0.003, "train.schedule.warmup": 2 };
    const set = { ...small, ...schedule, "train.optimizer.kind": "adamw", "train.optimizer.weightDecay": 0.1 };
    const { out, events } = await trained("text", "cosine", set, {
      kind: "text",
      name: "a",
      text: stories[0]?.text ?? "",
    });
    const rates = events.flatMap((event) => (event.kind === "steps" ? event.reports.map(({ lr }) => lr) : []));
    expect(rates[0]).toBeCloseTo(0.001, 9);
    expect(rates.at(-1)).toBeCloseTo(1e-4, 9);
    const record = await readRunRecord(out);
    expect(record.settings).toMatchObject({ ...schedule, "train.schedule.minLr": 1e-4 });
    expect(record.settings).not.toHaveProperty("train.schedule.stepSize");
    expect(recordedRecipe(record).train.schedule).toEqual({ kind: "cosine", lr: 0.003, minLr: 1e-4, warmup: 2 });
  });
});

test("gpt2 saves a model of GPT-2's family, and resumes it", async () => {
  const set = {
    "model.nLayers": 1,
    "model.dModel": 16,
    "model.nHeads": 2,
    "data.vocabSize": 280,
    "train.dropout": 0,
    "train.steps": 2,
    "train.blockSize": 8,
    "train.batchSize": 2,
  };
  const text = { kind: "text", name: "cats", text: "the cat sat on the mat\n".repeat(30) } as const;
  const { out } = await trained("gpt2", "gpt2", set, text);
  const config = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
  const { info, tokenizer } = await openModel(out);
  const eos = tokenizer.vocabSize - 1;
  expect(config).toMatchObject({
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    vocab_size: tokenizer.vocabSize,
    n_positions: 8,
    n_inner: 64,
    activation_function: "gelu_new",
    eos_token_id: eos,
  });
  expect([info.family, info.tokenizer, tokenizer.eosId]).toEqual(["gpt2", "bytePairs", eos]);
  const tree = await describeModel(out);
  expect(tree.kind).toBe("GPT2LMHeadModel");
  expect((await resume(out, { steps: 3 }, control())).step).toBe(3);
  // A feature that GPT-2 lacks makes it a model of our own family.
  const { out: post } = await trained("gpt2", "post", { ...set, "model.norm": "post" }, text);
  expect((await openModel(post)).info.family).toBe("decoder_lab");
});

test("other arithmetic is scored by digit, by carries and by confusion", async () => {
  const set = { "model.dModel": 16, "model.nHeads": 2, "model.nLayers": 1, "train.steps": 2, "train.dropout": 0 };
  const task = { "data.digits": 1, "data.operator": "-", "data.reversed": true };
  const { last, out } = await trained("adder", "minus", { ...set, ...task });
  const { byDigit, byCarry, confusion } = last.task as NonNullable<EvalReport["task"]>;
  expect(byDigit).toHaveLength(2);
  expect(byCarry.reduce((n, { of }) => n + of, 0)).toBe(20);
  expect(byCarry.reduce((n, { right }) => n + right, 0)).toBe(Math.round((last.accuracy as number) * 20));
  expect(confusion.map((rows) => [rows.length, ...rows.map((row) => row.length)])).toEqual(
    Array(2).fill(Array(11).fill(10)),
  );
  // Reversed answers start with the last digit; a sign is not a digit.
  const diagonal = confusion[0]?.reduce((sum, row, digit) => sum + (row[digit] as number), 0) as number;
  expect(diagonal).toBe(Math.round((byDigit[0] as number) * 20));
  expect((await openModel(out)).cfg.nCtx).toBe(8);
  const product = withSettings(presetNamed("adder"), { "data.operator": "*", "data.digits": 3 });
  expect(product.train.blockSize).toBe(15);
  await expect(trained("adder", "x", { "train.blockSize": 12 })).rejects.toThrow(/train\.blockSize of adder is 10/);
});

describe("settings", () => {
  test("every preset accepts its own settings, and describes results to expect", () => {
    for (const preset of PRESETS) {
      expect(settingsOf(withSettings(preset, settingsOf(preset)))).toEqual(settingsOf(preset));
      expect(preset.expected.length).toBeGreaterThan(0);
      expect(presetInfo(preset).choices["train.schedule.kind"]).toContain(preset.train.schedule.kind);
    }
  });

  test("another kind of schedule has only its own settings", () => {
    const change = (set: Settings) => withSettings(presetNamed("char"), set).train.schedule;
    expect(change({ "train.schedule.gamma": 0.5, "train.schedule.kind": "step" })).toEqual({
      kind: "step",
      lr: 0.01,
      stepSize: 10_000,
      gamma: 0.5,
    });
    expect(change({ "train.schedule.kind": "cosine" })).toEqual(presetNamed("char").train.schedule);
    expect(() => change({ "train.schedule.gamma": 0.5 })).toThrow(/no setting "train.schedule.gamma"/);
    expect(() => change({ "train.schedule.kind": "linear" })).toThrow(/must be one of constant, noam, step, cosine/);
    const rate = learningRate(presetNamed("text").train.schedule, { steps: 20_000, dModel: 1 });
    expect([rate(1), rate(10_000), rate(10_001)]).toEqual([0.01, 0.01, 0.009000000000000001]);
  });

  test("nanoGPT's GPU configuration equals the published one", () => {
    expect(settingsOf(presetNamed("char-gpu"))).toMatchObject({
      "model.nLayers": 6,
      "model.nHeads": 6,
      "model.dModel": 384,
      "train.dropout": 0.2,
      "train.blockSize": 256,
      "train.batchSize": 64,
      "train.steps": 5000,
      "train.schedule.lr": 1e-3,
      "train.schedule.minLr": 1e-4,
      "train.schedule.warmup": 100,
      "train.optimizer.beta2": 0.99,
    });
  });
});
