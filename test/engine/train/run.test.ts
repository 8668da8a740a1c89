import { existsSync, rmSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StepReport, TrainEvent, TrainParams } from "../../../src/engine/api/run";
import { readSample } from "../../../src/engine/data/samples";
import { openModel, readParams } from "../../../src/engine/models/folder";
import { LoadedModel } from "../../../src/engine/models/loadedModel";
import type { RunControl } from "../../../src/engine/train/control";
import { evaluateModel } from "../../../src/engine/train/evaluate";
import { branch, resume, train } from "../../../src/engine/train/run";
import { checkpointsOf, readRunRecord } from "../../../src/engine/train/runFolder";
import { largestDifference } from "../../helpers/tinyModel";
import { cats, tinyRun } from "../../helpers/tinyRun";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-run-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const TEXT = cats(40);
const SMALL = {
  "train.blockSize": 16,
  "train.batchSize": 4,
  "train.dropout": 0.1,
  "train.steps": 24,
  "train.evalEvery": 8,
  "train.sampleEvery": 12,
  "train.checkpointEvery": 6,
  "train.schedule.warmup": 4,
};

const newRun = (name: string, set: TrainParams["set"] = {}): TrainParams =>
  tinyRun(join(dir, name), TEXT, { ...SMALL, ...set });

/** A control that records all events and stops the run after the event that `until` accepts. */
function watched(until: (event: TrainEvent) => boolean = () => false): RunControl & { readonly events: TrainEvent[] } {
  const stop = new AbortController();
  const events: TrainEvent[] = [];
  const report = (event: TrainEvent) => {
    events.push(event);
    if (until(event)) stop.abort();
  };
  return { signal: stop.signal, whilePaused: async () => {}, report, events };
}

const stepsOf = (events: readonly TrainEvent[]): StepReport[] =>
  events.flatMap((event) => (event.kind === "steps" ? event.reports : []));
const lossesOf = (events: readonly TrainEvent[]) => stepsOf(events).map(({ loss }) => loss);

test("a run reports every step, learns, and saves a model that generates text", async () => {
  const control = watched();
  const result = await train(newRun("whole"), control);
  expect(result).toMatchObject({ step: 24, reason: "done", eval: { step: 24 } });
  expect(stepsOf(control.events).map(({ step }) => step)).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
  const losses = lossesOf(control.events);
  expect(losses.at(-1)).toBeLessThan((losses[0] as number) - 0.1);
  const kinds = (kind: TrainEvent["kind"]) => control.events.filter((event) => event.kind === kind).length;
  expect([kinds("start"), kinds("eval"), kinds("sample"), kinds("checkpoint")]).toEqual([1, 3, 2, 5]);
  // Saved before the first step, so that even a run killed early is resumable.
  expect(control.events.findIndex(({ kind }) => kind === "checkpoint")).toBe(
    control.events.findIndex(({ kind }) => kind === "start") + 1,
  );
  expect(control.events.find(({ kind }) => kind === "checkpoint")).toEqual({ kind: "checkpoint", step: 0 });

  const { info } = await openModel(result.dir);
  expect(info).toMatchObject({
    name: "whole",
    preset: "char",
    step: 24,
    steps: 24,
    device: "cpu",
    tokenizer: "characters",
  });
  const record = JSON.parse(await readFile(join(result.dir, "training.json"), "utf8"));
  expect(record).toMatchObject({
    settings: { "train.seed": 1, "train.steps": 24 },
    fingerprint: expect.stringMatching(/^[\da-f]{16,}$/),
    versions: { onnxruntime: "1.30.0", node: process.versions.node },
    ended: { step: 24, reason: "done" },
  });
  const loaded = await LoadedModel.open(result.dir, "cpu");
  const { text } = await loaded.generate(loaded.model.tokenizer.encodePrompt("the "), {
    temperature: 0,
    topK: 0,
    topP: 1,
    seed: 0,
    maxNewTokens: 10,
  });
  expect(text).toHaveLength(10);
  const lines = (await readFile(join(result.dir, "reports.jsonl"), "utf8")).trim().split("\n");
  expect(lines).toHaveLength(24 + 3 + 3 + 2);
  const { layers } = control.events.filter((event) => event.kind === "updates").at(-1) ?? { layers: [] };
  expect(layers.map(({ name }) => name)).toEqual(["embeddings", "blocks.0", "lnFinal"]);
  for (const { ratio } of layers) expect(ratio).toSatisfy((ratio: number) => ratio > 1e-6 && ratio < 0.1);
});

test("the reported updates are those of the step before the evaluation", async () => {
  const set = { "train.steps": 3, "train.evalEvery": 3, "train.checkpointEvery": 1 };
  const control = watched();
  const { dir: out } = await train(newRun("updates", set), control);
  const paramsAt = async (step: number) => readParams(await openModel(join(out, `checkpoints/step-0000000${step}`)));
  const [before, after] = [await paramsAt(2), await paramsAt(3)];
  const rms = (values: readonly number[]) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
  const block = [...before].filter(([name]) => name.startsWith("blocks.0."));
  const moved = block.flatMap(([name, weights]) => [...weights].map((x, i) => (after.get(name)?.[i] ?? 0) - x));
  const { layers } = control.events.find((event) => event.kind === "updates") ?? { layers: [] };
  const expected = rms(moved) / rms(block.flatMap(([, weights]) => [...weights]));
  expect(layers.find(({ name }) => name === "blocks.0")?.ratio).toBeCloseTo(expected, 8);
});

describe("a resumed run repeats the losses of an uninterrupted one, bit for bit:", () => {
  let whole: TrainEvent[];
  let reference: Awaited<ReturnType<typeof readParams>>;
  beforeAll(async () => {
    const control = watched();
    const { dir: out } = await train(newRun("reference"), control);
    whole = control.events;
    reference = await readParams(await openModel(out));
  });

  test("stopped between two checkpoints by its user", async () => {
    const first = watched((event) => event.kind === "steps" && (event.reports.at(-1)?.step ?? 0) >= 9);
    const { dir: out, step, reason } = await train(newRun("stopped"), first);
    expect(reason).toBe("stopped");
    expect(step).toBeLessThan(24);
    const second = watched();
    const { seconds = 0 } = await readRunRecord(out);
    expect(seconds).toBeGreaterThan(0);
    await resume(out, {}, second);
    expect((await readRunRecord(out)).seconds, "the time of all steps").toBeGreaterThan(seconds);
    expect([...lossesOf(first.events), ...lossesOf(second.events)]).toEqual(lossesOf(whole));
    const params = await readParams(await openModel(out));
    for (const [name, values] of reference) expect(largestDifference(params.get(name) ?? [], values), name).toBe(0);
  });

  test("branched from an intermediate checkpoint in a new folder", async () => {
    const kept = await checkpointsOf(join(dir, "reference"));
    expect(kept.map(({ step }) => step)).toEqual([0, 6, 12, 18, 24]);
    const checkpoint = kept[2]?.dir as string;
    expect(kept[2]).toMatchObject({ loss: lossesOf(whole)[11], valLoss: expect.any(Number) });
    expect((await openModel(checkpoint)).info).toMatchObject({ step: 12, dir: checkpoint });
    expect((await evaluateModel(checkpoint, undefined, "cpu")).loss).toBeCloseTo(kept[2]?.valLoss ?? 0, 0);
    const branched = { dir: checkpoint, out: join(dir, "branched"), name: "branched", device: "cpu" } as const;
    const control = watched();
    await branch(branched, control);
    expect(lossesOf(control.events)).toEqual(lossesOf(whole).slice(12));
    const lines = async (name: string) => (await readFile(join(dir, name, "reports.jsonl"), "utf8")).split("\n");
    expect((await lines("branched")).length).toBe((await lines("reference")).length);
    const record = JSON.parse(await readFile(join(dir, "branched/training.json"), "utf8"));
    expect(record).toMatchObject({ name: "branched", branchedFrom: { dir: join(dir, "reference"), step: 12 } });

    const other = watched();
    const set = { "train.schedule.lr": 0.01, "train.seed": 9, "train.steps": 15 };
    const { step } = await branch({ ...branched, out: join(dir, "other"), set }, other);
    expect(step).toBe(15);
    expect(lossesOf(other.events)[0]).not.toBe(lossesOf(whole)[12]);
    const refused = (changes: typeof branched & { set?: TrainParams["set"] }, message: RegExp) =>
      expect(branch({ ...changes, out: join(dir, "no-branch") }, watched())).rejects.toThrow(message);
    await refused({ ...branched, set: { "model.nLayers": 2 } }, /model\.nLayers cannot change during a run/);
    await refused({ ...branched, set: { "train.steps": 12 } }, /already finished at step 12\./);
    await refused({ ...branched, dir: join(dir, "reference") }, /is not a checkpoint of a run\. Choose/);
    expect(existsSync(join(dir, "no-branch"))).toBe(false);
  });

  test("killed, with the steps after the last checkpoint repeated", async () => {
    // State after a kill: the checkpoint of step 12, and reports of later steps.
    const out = join(dir, "killed");
    const control = watched((event) => event.kind === "steps" && (event.reports.at(-1)?.step ?? 0) >= 14);
    await train(newRun("killed"), control);
    const checkpoints = join(out, "checkpoints");
    for (const name of (await readdir(checkpoints)).filter((n) => n > "step-00000012"))
      await rm(join(checkpoints, name), { recursive: true });
    const again = watched();
    await resume(out, {}, again);
    expect(lossesOf(again.events)).toEqual(lossesOf(whole).slice(12));
    const steps = (await readFile(join(out, "reports.jsonl"), "utf8"))
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { step?: number }).step);
    expect(steps.filter((step) => step !== undefined)).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
  });
});

test("the same seed gives the same losses, another seed gives others", async () => {
  const losses = async (name: string, seed: number) => {
    const control = watched();
    await train(newRun(name, { "train.seed": seed, "train.steps": 6 }), control);
    return lossesOf(control.events);
  };
  expect(await losses("seed-a", 3)).toEqual(await losses("seed-b", 3));
  expect(await losses("seed-c", 4)).not.toEqual(await losses("seed-d", 3));
});

test("a run that is older than the settings of texts reads its files as before", async () => {
  const texts = join(dir, "texts");
  await mkdir(texts);
  await writeFile(join(texts, ".gitignore"), "ignored.txt\n");
  await writeFile(join(texts, "ignored.txt"), TEXT);
  await writeFile(join(texts, "lines.jsonl"), '{"text":"the cat"}\n');
  const data = { kind: "paths", paths: [texts] } as const;
  const whole = watched();
  const reading = { "data.field": "", "data.gitignore": false };
  await train({ ...newRun("reading", reading), data }, whole);

  const until = watched((event) => event.kind === "steps" && (event.reports.at(-1)?.step ?? 0) >= 9);
  const { dir: out } = await train({ ...newRun("earlier", reading), data }, until);
  for (const name of await readdir(join(out, "checkpoints"))) {
    const file = join(out, "checkpoints", name, "training.json");
    const { settings, ...record } = JSON.parse(await readFile(file, "utf8"));
    const known = Object.entries(settings).filter(([key]) => !key.startsWith("data."));
    await writeFile(file, JSON.stringify({ ...record, settings: Object.fromEntries(known) }));
  }
  const rest = watched();
  const { step } = await resume(out, {}, rest);
  expect(step).toBe(24);
  expect([...lossesOf(until.events), ...lossesOf(rest.events)]).toEqual(lossesOf(whole.events));
  expect(stepsOf(rest.events)).not.toEqual([]);
});

test("settings control the split by document, the end tokens and the order of sequences", async () => {
  const file = join(dir, "documents.jsonl");
  const lines = Array.from({ length: 60 }, (_, i) => JSON.stringify({ body: `the cat sat on mat ${i}.\n` }));
  await writeFile(file, lines.join("\n"));
  const data = { kind: "paths", paths: [file] } as const;
  const set = {
    "data.field": "body",
    "data.split": "document",
    "data.order": "sequential",
    "data.endDocuments": "true",
  };
  const control = watched();
  const { dir: out, eval: last } = await train({ ...newRun("documents", set), data }, control);
  const other = watched();
  await train({ ...newRun("by-position", { "data.field": "body" }), data }, other);
  expect(lossesOf(control.events)).not.toEqual(lossesOf(other.events));
  expect(await evaluateModel(out, undefined, "cpu")).toMatchObject({ tokens: last?.tokens });
  const { settings } = JSON.parse(await readFile(join(out, "training.json"), "utf8"));
  expect(settings).toMatchObject({ ...set, "data.endDocuments": true, "data.gitignore": true });
});

test("a text too large for memory is read from the cache, and its run resumes bit for bit", async () => {
  const file = join(dir, "large.txt");
  await writeFile(file, TEXT.repeat(17_000));
  const before = process.env.DECODER_LAB_CACHE;
  process.env.DECODER_LAB_CACHE = join(dir, "cache");
  try {
    const run = (name: string) => ({ ...newRun(name), data: { kind: "paths", paths: [file] } as const });
    const whole = watched();
    await train(run("large"), whole);
    expect(existsSync(join(dir, "cache/data/texts"))).toBe(true);
    const first = watched((event) => event.kind === "steps" && (event.reports.at(-1)?.step ?? 0) >= 9);
    const { dir: out } = await train(run("large-stopped"), first);
    const second = watched();
    await resume(out, {}, second);
    expect([...lossesOf(first.events), ...lossesOf(second.events)]).toEqual(lossesOf(whole.events));
    // Only the first run created the vocabulary and the ids.
    const stages = (events: readonly TrainEvent[]) =>
      events.filter((event) => event.kind === "prepare" && event.fraction !== null).length;
    expect([stages(whole.events) > 0, stages(first.events), stages(second.events)]).toEqual([true, 0, 0]);
  } finally {
    if (before === undefined) delete process.env.DECODER_LAB_CACHE;
    else process.env.DECODER_LAB_CACHE = before;
  }
}, 60_000);

test("evaluation without a text uses the run's own held-out split", async () => {
  const control = watched();
  const run = newRun("evaluated", { "train.evalBatches": 1000 });
  const { dir: out, eval: last } = await train(run, control);
  const { loss, tokens } = await evaluateModel(out, undefined, "cpu");
  expect(loss).toBeCloseTo(last?.loss ?? Number.NaN, 5);
  expect(tokens).toBe(TEXT.length * 0.1 - 1);
  expect(
    (await evaluateModel(out, { kind: "text", name: "more", text: "the cat sat on the dog\n" }, "cpu")).tokens,
  ).toBe(22);
});

test("the adder answers and is scored", async () => {
  const control = watched();
  const run = {
    preset: "adder",
    out: join(dir, "adder"),
    name: "adder",
    device: "cpu",
    set: {
      "train.steps": 4,
      "train.evalEvery": 4,
      "train.evalBatches": 1,
      "train.sampleEvery": 4,
      "model.dModel": 32,
      "model.nLayers": 1,
      "train.batchSize": 32,
    },
  } as const;
  const { eval: last } = await train(run, control);
  expect(last?.accuracy).toBeGreaterThanOrEqual(0);
  expect(last?.accuracy).toBeLessThan(0.5);
  expect(control.events.find((event) => event.kind === "sample")).toMatchObject({
    text: expect.stringMatching(/^\d\d\+\d\d=/),
  });
  expect((await evaluateModel(run.out, undefined, "cpu")).accuracy).toBeLessThan(0.5);
});

test("the model of a task is that of its best evaluation, and the run resumes from its last step", async () => {
  const control = watched();
  // A learning rate that grows until the model forgets what it has learned.
  const set = {
    "model.dModel": 16,
    "model.nHeads": 2,
    "model.nLayers": 1,
    "train.batchSize": 16,
    "train.steps": 16,
    "train.evalEvery": 2,
    "train.evalBatches": 4,
    "train.checkpointEvery": 16,
    "train.schedule.factor": 3000,
    "train.schedule.warmup": 1000,
  };
  const run = { preset: "adder", out: join(dir, "best"), name: "best", device: "cpu", set } as const;
  await train(run, control);
  const evals = control.events.flatMap((event) => (event.kind === "eval" ? [event.report] : []));
  const best = evals.reduce((a, b) => (b.loss < a.loss ? b : a));
  expect(best.step, "the last evaluation must not be the best, or this shows nothing").toBeLessThan(16);
  expect((await openModel(run.out)).info).toMatchObject({ step: best.step, valLoss: best.loss });
  const more = watched();
  await resume(run.out, { steps: 18 }, more);
  expect(stepsOf(more.events).map(({ step }) => step)).toEqual([17, 18]);
});

test("a run without a text learns the preset's sample, and keeps a copy of it", async () => {
  const { data: _none, ...run } = newRun("sampled", { "train.steps": 1 });
  await train(run, watched());
  const copies = (await readdir(run.out)).filter((name) => name.endsWith(".txt"));
  expect(copies).toHaveLength(1);
  expect(await readFile(join(run.out, copies[0] as string), "utf8")).toBe((await readSample("stories.txt")).text);
});

describe("one sentence explains", () => {
  const refused = async (run: TrainParams, message: RegExp) => {
    const error = await train(run, watched()).then(
      () => null,
      (e: unknown) => e,
    );
    expect(error).toMatchObject({ name: "EngineError", message: expect.stringMatching(message) });
    expect(existsSync(run.out) && (await readdir(run.out)).length > 0, "nothing is left behind").toBe(false);
  };

  test("an unknown preset", () =>
    refused({ ...newRun("x1"), preset: "nope" }, /Unknown preset "nope"\. Choose one of char, adder/));
  test("an empty text", () =>
    refused({ ...newRun("x3"), data: { kind: "text", name: "empty", text: " \n" } }, /empty/i));
  test("a text shorter than the context", () =>
    refused({ ...newRun("x4"), data: { kind: "text", name: "short", text: "abc def" } }, /short/));
  test("a setting that does not exist", () => refused(newRun("x5", { "train.stepz": 3 }), /no setting "train.stepz"/));
  test("a setting with the name of an Object.prototype property", () =>
    refused(newRun("x9", { constructor: 3 }), /no setting "constructor"/));
  test("a setting out of range", () =>
    refused(newRun("x6", { "train.steps": 0 }), /train.steps must be a whole number from 1/));
  test("a width that is not divisible by the heads", () =>
    refused(newRun("x7", { "model.dModel": 21 }), /multiple of nHeads/));
  test("a model that does not fit in memory", () =>
    refused(newRun("x8", { "model.dModel": 16384, "model.nLayers": 100 }), /needs about .* GB/));

  test("a batch that does not fit in memory", () =>
    refused(
      newRun("x10", { "train.batchSize": 65536, "train.blockSize": 64, "model.dMlp": 65536 }),
      /smaller train\.batchSize/,
    ));
  test("a device that does not exist", () =>
    refused({ ...newRun("x11"), device: "tpu" as "cpu" }, /"tpu" is not a device\. Choose auto/));

  test("a folder that is not empty, which stays unchanged", async () => {
    const run = newRun("full");
    await train({ ...run, set: { ...run.set, "train.steps": 1 } }, watched());
    const before = await readFile(join(run.out, "model.safetensors"));
    await expect(train(run, watched())).rejects.toThrow(/not empty/);
    expect(before.equals(await readFile(join(run.out, "model.safetensors")))).toBe(true);
  });

  test("two runs that start in the same folder at once, of which one fails", async () => {
    const run = newRun("contested", { "train.steps": 2 });
    const ends = await Promise.allSettled([train(run, watched()), train(run, watched())]);
    expect(ends.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(ends.find(({ status }) => status === "rejected")).toMatchObject({
      reason: { name: "EngineError", message: expect.stringMatching(/is being (created|trained) by process \d+ on /) },
    });
    await openModel(run.out);
  });

  test("a folder that is deleted during a run", async () => {
    const run = newRun("gone");
    let deleted = false;
    const control = watched();
    const report = (event: TrainEvent) => {
      if (event.kind !== "steps" || deleted) return;
      deleted = true;
      rmSync(run.out, { recursive: true });
    };
    await expect(train(run, { ...control, report })).rejects.toMatchObject({
      name: "EngineError",
      message: expect.stringMatching(/Could not write .*: its folder does not exist/),
    });
  });

  test("a run record with values of wrong types", async () => {
    const run = newRun("record", { "train.steps": 1 });
    await train(run, watched());
    const file = join(run.out, "checkpoints", "step-00000001", "training.json");
    const record = JSON.parse(await readFile(file, "utf8"));
    for (const wrong of [
      { settings: null },
      { data: { kind: "paths" } },
      { data: { kind: "paths", paths: [1] } },
      { step: -5 },
    ]) {
      await writeFile(file, JSON.stringify({ ...record, ...wrong }));
      await expect(resume(run.out, { steps: 2 }, watched())).rejects.toThrow(/is not a valid run record/);
    }
  });

  test("a loss that explodes, with the step and the cause; the last checkpoint stays usable", async () => {
    const run = newRun("diverging", {
      "train.schedule.lr": 1,
      "train.schedule.minLr": 1,
      "train.maxGradNorm": 0,
      "train.steps": 200,
      "train.optimizer.eps": 0,
    });
    const control = watched();
    await expect(train({ ...run, set: { ...run.set, "train.schedule.lr": 100 } }, control)).rejects.toThrow(
      /^Training diverged at step \d+: .* learning rate of .*smaller learning rate/,
    );
    await openModel(run.out);
    const warning = control.events.at(-1);
    expect(warning).toMatchObject({
      kind: "warning",
      ends: true,
      step: (stepsOf(control.events).at(-1)?.step ?? 0) + 1,
    });
    const lines = (await readFile(join(run.out, "reports.jsonl"), "utf8")).trim().split("\n");
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ warning: { ends: true } });
  });

  test("a text that has changed since the run", async () => {
    const file = join(dir, "changing.txt");
    await writeFile(file, TEXT);
    const run: TrainParams = { ...newRun("changed", { "train.steps": 2 }), data: { kind: "paths", paths: [file] } };
    await train(run, watched());
    await writeFile(file, TEXT.replace("cat", "dog"));
    await expect(resume(run.out, { steps: 4 }, watched())).rejects.toThrow(/has changed\. Restore it/);
  });

  test("a finished run that is resumed without more steps", async () => {
    const run = newRun("complete", { "train.steps": 1 });
    await train(run, watched());
    await expect(resume(run.out, {}, watched())).rejects.toThrow(/Set more steps/);
  });
});

test("a resumed run skips a checkpoint with weights that are not finite", async () => {
  const run = newRun("ruined");
  const first = watched((event) => event.kind === "checkpoint" && event.step === 12);
  await train(run, first);
  const newest = (await checkpointsOf(run.out)).at(-1);
  const file = join(newest?.dir ?? "", "model.safetensors");
  const bytes = await readFile(file);
  bytes.fill(0xff, bytes.length - 4);
  await rm(file);
  await writeFile(file, bytes);
  const control = watched();
  await resume(run.out, {}, control);
  expect(stepsOf(control.events)[0]?.step).toBeLessThanOrEqual(newest?.step ?? 0);
  expect(stepsOf(control.events).at(-1)?.step).toBe(24);
});

test("a resumed run skips a damaged checkpoint", async () => {
  const run = newRun("damaged");
  await train(run, watched());
  const copy = join(dir, "damaged-copy");
  await cp(run.out, copy, { recursive: true });
  await writeFile(join(copy, "checkpoints", "step-00000024", "model.safetensors"), "nonsense");
  const control = watched();
  await resume(copy, { steps: 26 }, control);
  expect(stepsOf(control.events)[0]?.step).toBe(19);
});
