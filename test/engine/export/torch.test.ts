import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Settings, StepReport, TrainEvent } from "../../../src/engine/api/run";
import { exportModel } from "../../../src/engine/export";
import { importModel } from "../../../src/engine/hub";
import { Tracer } from "../../../src/engine/inspect/tracer";
import { openModel } from "../../../src/engine/models/folder";
import { mapWeights } from "../../../src/engine/runtime/weights";
import { saveTokenizer, trainCharacters } from "../../../src/engine/tokenizers";
import type { RunControl } from "../../../src/engine/train/control";
import { resume, train } from "../../../src/engine/train/run";
import { quantizeFolder, readJsonLines } from "../../../src/engine/weights";
import { ARCHITECTURES, VARIANTS } from "../../helpers/architectures";
import { hasTorch, PYTHON, python, torchScript } from "../../helpers/pyTorch";
import { temporaryFolder } from "../../helpers/storedTensors";
import { largestDifference } from "../../helpers/tinyModel";

const TEXT = "the cat sat on the mat and the dog sat on the cat\n".repeat(40);
const DATA = { kind: "text", name: "cats", text: TEXT } as const;
/** Without dropout, whose random numbers differ between implementations. */
const SHORT = { "train.steps": 4, "train.batchSize": 4, "train.checkpointEvery": 2, "train.dropout": 0 };
const SMALL = { ...SHORT, "model.nLayers": 2, "model.dModel": 32, "train.blockSize": 16, "train.schedule.lr": 1e-2 };

let dir: string;
const at = (name: string) => join(dir, name);

/** Exports a run of a few steps as a project; returns both folders. */
async function exported(name: string, run: { preset: string; from?: string; set: Settings }) {
  const [model, project] = [at(name), at(`${name}.torch`)];
  const data = run.preset === "adder" ? {} : { data: DATA };
  await train({ ...run, ...data, out: model, name, device: "cpu" }, watched());
  await exportModel(model, { format: "torch", out: project });
  return { model, project };
}

/** Copies a family's tiny checkpoint to a new folder, with a tokenizer for the text. */
async function baseFolder(variant: string): Promise<string> {
  cpSync(join(ARCHITECTURES, variant), at(variant), { recursive: true });
  await saveTokenizer(await trainCharacters([TEXT]), at(variant));
  return at(variant);
}

function watched(): RunControl & { readonly reports: StepReport[] } {
  const reports: StepReport[] = [];
  const report = (event: TrainEvent) => {
    if (event.kind === "steps") reports.push(...event.reports);
  };
  return { signal: new AbortController().signal, whilePaused: async () => {}, report, reports };
}

/** Trains a project; returns its report of each step. */
async function trained(out: string, ...args: string[]): Promise<StepReport[]> {
  const run = args[0] === "-m" ? python : torchScript;
  const { code, stderr } = await run(...args, "--out", out);
  expect(code, stderr).toBe(0);
  const lines = (await readJsonLines(join(out, "reports.jsonl"))) as Partial<StepReport>[];
  return lines.filter((line): line is StepReport => line.step !== undefined);
}

function expectSameSteps(actual: readonly StepReport[], expected: readonly StepReport[]): void {
  expect(actual.map(({ step }) => step)).toEqual(expected.map(({ step }) => step));
  for (const key of ["loss", "gradNorm", "lr"] as const) {
    const difference = largestDifference(
      actual.map((report) => report[key]),
      expected.map((report) => report[key]),
    );
    expect(difference, key).toBeLessThan(1e-4);
  }
}

interface LogitsRequest {
  readonly project: string;
  readonly weights: string;
  readonly ids: readonly (readonly number[])[];
}

function torchLogits(requests: readonly LogitsRequest[]): Float32Array[] {
  const script = join(import.meta.dirname, "read_projects.py");
  const output = execFileSync(PYTHON, [script], { input: JSON.stringify(requests), maxBuffer: 2 ** 28 });
  return (JSON.parse(output.toString()) as number[][][][]).map((logits) => Float32Array.from(logits.flat(2)));
}

async function ourLogits(folder: string, ids: LogitsRequest["ids"]): Promise<Float32Array> {
  const { cfg, weights } = await openModel(folder);
  const placed = await mapWeights(cfg, weights, "cpu");
  const tracer = new Tracer(cfg, placed);
  const logits = (await tracer.trace(ids)).get("logits")?.data as Float32Array;
  await tracer.release();
  await placed.release();
  return logits;
}

const firstBatch = (project: string) =>
  JSON.parse(readFileSync(join(project, "first_batch.json"), "utf8")) as {
    readonly loss: number;
    readonly ids: number[][];
    readonly labels: number[][];
  };

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "decoder-lab-torch-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe.skipIf(!hasTorch)("a PyTorch project", () => {
  let char: Awaited<ReturnType<typeof exported>>;
  beforeAll(async () => {
    char = await exported("char", { preset: "char", set: SMALL });
  }, 60_000);

  test("has the run's next batch and the same loss on it", async () => {
    const { code, stdout, stderr } = await torchScript(join(char.project, "train.py"), "--check");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^Step 5: loss \d\.\d{6}, in Decoder Lab \d\.\d{6}, difference \d\.\de[-+]\d\d\n$/);
  }, 60_000);

  test("rejects a different loss or different data", async () => {
    const other = at("other");
    cpSync(char.project, other, { recursive: true });
    const file = join(other, "first_batch.json");
    writeFileSync(file, JSON.stringify({ ...firstBatch(other), loss: firstBatch(other).loss + 2e-4 }));
    const { code, stderr } = await torchScript(join(other, "train.py"), "--check");
    expect([code, stderr]).toEqual([1, "The losses differ by more than 1e-4. Export the project again.\n"]);
    const data = join(other, "data", "validation.bin");
    writeFileSync(data, readFileSync(data).fill(0, 10, 12));
    const changed = await torchScript(join(other, "train.py"), "--check");
    expect(changed.stderr).toBe(`${data} differs from the exported file. Export the project again.\n`);
  }, 60_000);

  test("takes the same steps as the resumed run, and saves a run that can be resumed", async () => {
    const ours = at("char.resumed");
    cpSync(char.model, ours, { recursive: true });
    const control = watched();
    await resume(ours, { steps: 7 }, control);
    const out = at("char.further");
    expectSameSteps(await trained(out, join(char.project, "train.py"), "--steps", "7"), control.reports);

    const { info } = await openModel(out);
    expect(info).toMatchObject({ preset: "char", step: 7, steps: 7 });
    expect(info.loss).toBeCloseTo(control.reports.at(-1)?.loss ?? Number.NaN, 4);
    const { ids } = firstBatch(char.project);
    const [theirs] = torchLogits([{ project: char.project, weights: out, ids }]);
    expect(largestDifference(await ourLogits(out, ids), theirs as Float32Array)).toBeLessThan(1e-4);

    const [on, expected] = [watched(), watched()];
    await resume(out, { steps: 9 }, on);
    await resume(ours, { steps: 9 }, expected);
    expectSameSteps(on.reports, expected.reports);
    await importModel(out, { out: at("char.imported") });
    expect(await ourLogits(at("char.imported"), ids)).toEqual(await ourLogits(out, ids));
    const tuning = { ...SHORT, "train.blockSize": 16 };
    await train(
      { preset: "finetune", from: out, data: DATA, out: at("char.tuned"), name: "tuned", device: "cpu", set: tuning },
      watched(),
    );
    expect((await openModel(at("char.tuned"))).info.step).toBe(4);
  }, 120_000);

  test("takes the same steps with two processes, with twice the batch, and with two passes", async () => {
    const script = join(char.project, "train.py");
    const torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"];
    // The default of this PyTorch version, no redirects, fails with Python 3.11.
    const streams = ["--redirects", "1", "--tee", "1", "--log_dir", at("logs")];
    const two = await trained(at("two"), ...torchrun, ...streams, script, "--steps", "7");
    const doubled = await trained(at("doubled"), script, "--steps", "7", "--batch-size", "8");
    const passes = await trained(at("passes"), script, "--steps", "7", "--accumulate", "2");
    expect(two).toHaveLength(3);
    expectSameSteps(two, doubled);
    expectSameSteps(passes, doubled);

    const { ids } = firstBatch(char.project);
    const logits = torchLogits(["two", "doubled"].map((out) => ({ project: char.project, weights: at(out), ids })));
    expect(largestDifference(logits[0] ?? [], logits[1] ?? [])).toBeLessThan(1e-4);
    expect(largestDifference(await ourLogits(at("two"), ids), logits[0] ?? [])).toBeLessThan(1e-4);
    // The saved settings describe the same batch for a single process.
    const settingsOf = (name: string) => JSON.parse(readFileSync(join(at(name), "training.json"), "utf8")).settings;
    expect(settingsOf("two")).toMatchObject({ "train.batchSize": 8, "train.gradientAccumulation": 1 });
    expect(settingsOf("passes")).toMatchObject({ "train.batchSize": 4, "train.gradientAccumulation": 2 });
  }, 240_000);

  test("resumes from its last checkpoint with the same dropout", async () => {
    const dropping = at("dropping");
    cpSync(char.project, dropping, { recursive: true });
    const settings = join(dropping, "train.json");
    writeFileSync(settings, JSON.stringify({ ...JSON.parse(readFileSync(settings, "utf8")), dropout: 0.2 }));
    const script = join(dropping, "train.py");
    const whole = await trained(at("whole"), script, "--steps", "8");
    await trained(at("parts"), script, "--steps", "6");
    expect(JSON.parse(readFileSync(join(at("parts"), "training.json"), "utf8")).settings["train.dropout"]).toBe(0.2);
    expect(await trained(at("parts"), script, "--steps", "8")).toEqual(
      whole.map((report) => ({ ...report, tokensPerSecond: expect.any(Number) })),
    );
    expect(readdirSync(join(at("parts"), "checkpoints")).sort()).toEqual(["step-00000006", "step-00000008"]);
    const { code, stderr } = await torchScript(script, "--steps", "8", "--out", at("parts"));
    expect([code, stderr]).toEqual([1, "All 8 steps are done. Set a larger total with --steps.\n"]);
  }, 240_000);

  test("of the adder reads the run's equations in the same order", async () => {
    const set = { ...SHORT, "model.dModel": 32, "train.batchSize": 3000, "train.steps": 2, "train.checkpointEvery": 4 };
    const { model, project } = await exported("adder", { preset: "adder", set });
    const { stdout, stderr } = await torchScript(join(project, "train.py"), "--check");
    expect([stderr, stdout]).toEqual(["", expect.stringMatching(/^Step 3: loss/)]);
    const control = watched();
    // The third batch is the rest of an epoch, the fourth starts the next.
    const steps = await trained(at("adder.further"), join(project, "train.py"), "--steps", "4");
    await resume(model, { steps: 4 }, control);
    expectSameSteps(steps, control.reports);
  }, 120_000);

  test("of a fine-tuned GPT-2 keeps its parameter names", async () => {
    const base = await baseFolder("gpt2");
    const { model, project } = await exported("tuned", {
      preset: "finetune",
      from: base,
      set: {
        ...SHORT,
        "train.blockSize": 16,
        "train.batchSize": 2,
        "train.gradientAccumulation": 2,
        "train.optimizer.weightDecay": 0.1,
        "train.schedule.lr": 1e-2,
      },
    });
    const { stdout, stderr } = await torchScript(join(project, "train.py"), "--check");
    expect([stderr, stdout]).toEqual(["", expect.stringMatching(/^Step 5: loss/)]);
    const control = watched();
    const steps = await trained(at("tuned.further"), join(project, "train.py"), "--steps", "6");
    await resume(model, { steps: 6 }, control);
    expectSameSteps(steps, control.reports);
    expect((await openModel(at("tuned.further"))).info.family).toBe("gpt2");
  }, 120_000);

  test("can read a text in order", async () => {
    const set = { ...SMALL, "data.order": "sequential", "train.steps": 33, "train.checkpointEvery": 33 };
    const { project } = await exported("sequential", { preset: "char", set });
    // 1,800 tokens are 112 sequences; the 34th batch is in the second epoch.
    const { stdout, stderr } = await torchScript(join(project, "train.py"), "--check");
    expect([stderr, stdout]).toEqual(["", expect.stringMatching(/^Step 34: loss/)]);
  }, 60_000);

  test("computes the logits of every family", async () => {
    const names = Object.values(VARIANTS).flat();
    for (const name of names) {
      await baseFolder(name);
      await exportModel(at(name), { format: "torch", data: DATA, out: at(`${name}.torch`) });
    }
    const projects = names.map((name) => at(`${name}.torch`));
    const logits = torchLogits(
      projects.map((project) => ({ project, weights: project, ids: firstBatch(project).ids })),
    );
    projects.forEach((project, i) => {
      const { loss, labels } = firstBatch(project);
      expect(Math.abs(meanLoss(logits[i] as Float32Array, labels.flat()) - loss), project).toBeLessThan(1e-4);
    });
  }, 240_000);
});

function meanLoss(logits: Float32Array, labels: readonly number[]): number {
  const V = logits.length / labels.length;
  const losses = labels.map((label, i) => {
    const row = logits.subarray(i * V, (i + 1) * V);
    return Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0)) - (row[label] as number);
  });
  return losses.reduce((a, b) => a + b, 0) / losses.length;
}

describe("an export as a project is rejected", () => {
  const expectRejection = async (model: string, message: RegExp, data?: typeof DATA) => {
    const parent = temporaryFolder();
    const work = exportModel(model, { format: "torch", out: join(parent, "out"), data });
    await expect(work).rejects.toMatchObject({ name: "EngineError", message: expect.stringMatching(message) });
    expect(readdirSync(parent)).toEqual([]);
  };

  test("without a run to resume and without a text", () =>
    expectRejection(join(ARCHITECTURES, "gpt2"), /gpt2 has no training run to resume. Choose a text to train/));

  test("for a run of adapters", async () => {
    const from = await baseFolder("llama");
    const set = { ...SHORT, "train.blockSize": 16, "lora.rank": 2 };
    await train({ preset: "finetune", from, data: DATA, out: at("lora"), name: "lora", device: "cpu", set }, watched());
    await expectRejection(
      at("lora"),
      /has a training run of adapters, which PyTorch projects do not support. Choose a text/,
    );
    // The model that they were merged into can be exported.
    await exportModel(at("lora"), { format: "torch", data: DATA, out: at("lora.torch") });
    expect(readdirSync(at("lora.torch"))).not.toContain("optimizer.safetensors");
  }, 60_000);

  test("for a quantized model", async () => {
    const from = await baseFolder("qwen2");
    const small = join(temporaryFolder(), "small");
    await quantizeFolder(from, small, 8, (name) => /proj/.test(name));
    await saveTokenizer(await trainCharacters([TEXT]), small);
    await expectRejection(small, /is quantized to 8 bits and cannot be trained/, DATA);
  });

  test("for a text that has changed", async () => {
    const file = join(temporaryFolder(), "text.txt");
    writeFileSync(file, TEXT);
    const data = { kind: "paths", paths: [file] } as const;
    await train({ preset: "char", data, out: at("files"), name: "files", device: "cpu", set: SMALL }, watched());
    writeFileSync(file, `${TEXT}cat`);
    await expectRejection(at("files"), /The text that files was trained on has changed. Restore it, or choose a text/);
    await rename(file, `${file}.away`);
    await expectRejection(at("files"), /text\.txt/);
  }, 60_000);

  test("for data in another format", async () => {
    const work = exportModel(join(ARCHITECTURES, "gpt2"), { format: "hf", out: at("x"), data: DATA });
    await expect(work).rejects.toThrow("Only PyTorch projects include data. Omit it, or export as torch.");
  });
});
