import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkpointsOf, train, trainingExcerpt } from "../../../src/engine";
import { readReports, readRun } from "../../../src/extension/runs/runReports";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-reports-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const step = { step: 1, loss: 4, lr: 1e-3, gradNorm: 1, tokensPerSecond: 100 };
const evaluation = { step: 1, loss: 4.1, perplexity: 60, tokens: 9 };

test("the reports of a run are read from its folder, without the line that a crash cut off", async () => {
  const sample = { step: 1, text: "the" };
  const lines = [
    ...[step, { eval: evaluation }, { sample }].map((line) => JSON.stringify(line)),
    "null",
    '{"step": 2, "lo',
  ];
  await writeFile(join(dir, "reports.jsonl"), lines.join("\n"));
  expect(await readReports(dir)).toEqual({
    reports: [step],
    evals: [evaluation],
    updates: [],
    warnings: [],
    samples: [sample],
  });
  expect(await readReports(dir, 0)).toEqual({ reports: [], evals: [], updates: [], warnings: [], samples: [] });
});

test("a folder without reports has none", async () => {
  expect(await readReports(dir)).toEqual({ reports: [], evals: [], updates: [], warnings: [], samples: [] });
});

test("a run is read from its folder as the engine wrote it", async () => {
  const out = join(dir, "fox");
  // With nine letters in front two pages end inside a cat.
  const text = `the fox: ${"the quick brown fox jumps over a lazy 🐈. 🐈".repeat(100)}`;
  const data = { kind: "text", name: "fox", text } as const;
  const set = {
    ...{ "model.nLayers": 1, "model.nHeads": 1, "model.dModel": 8, "model.dMlp": 16 },
    ...{ "train.steps": 6, "train.batchSize": 2, "train.blockSize": 8, "train.evalEvery": 3, "train.evalBatches": 1 },
    ...{ "train.checkpointEvery": 3, "train.sampleEvery": 6 },
  };
  const control = { signal: new AbortController().signal, whilePaused: async () => {}, report: () => {} };
  await train({ preset: "char", data, out, name: "Fox", device: "cpu", set }, control);

  const run = await readRun(out);
  expect(run).toMatchObject({ name: "Fox", preset: "char", state: { phase: "done" }, checkpointStep: 6 });
  expect(run.reports.map((report) => report.step)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(run.evals.map((report) => report.step)).toEqual([3, 6]);
  expect(run.updates.at(-1)?.layers.map(({ name }) => name)).toContain("blocks.0");
  expect(run.samples.map((sample) => sample.step)).toEqual([6]);
  expect(run.record?.settings).toMatchObject({ "model.dModel": 8, "train.blockSize": 8 });
  expect(run.record?.facts).toMatchObject({ "data.kind": "text", steps: 6, device: "cpu" });
  expect((await checkpointsOf(out)).map((checkpoint) => checkpoint.step)).toContain(3);

  const pages = await Promise.all([0, 1, 2, 9].map((page) => trainingExcerpt(out, page)));
  expect(pages.map(({ page, pages: of }) => [page, of])).toEqual([
    [0, 3],
    [1, 3],
    [2, 3],
    [2, 3],
  ]);
  expect(
    pages
      .slice(0, 3)
      .map(({ text }) => text)
      .join(""),
  ).toBe(data.text);
});
