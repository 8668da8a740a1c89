import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readReports } from "../../src/extension/runReports";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-reports-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const step = { step: 1, loss: 4, lr: 1e-3, gradNorm: 1, tokensPerSecond: 100 };
const evaluation = { step: 1, loss: 4.1, perplexity: 60, tokens: 9 };

test("the reports of a run are read from its folder, without the line that a crash cut off", async () => {
  const lines = [JSON.stringify(step), JSON.stringify({ eval: evaluation }), "null", '{"step": 2, "lo'];
  await writeFile(join(dir, "reports.jsonl"), lines.join("\n"));
  expect(await readReports(dir)).toEqual({ reports: [step], evals: [evaluation] });
});

test("a folder without reports has none", async () => {
  expect(await readReports(dir)).toEqual({ reports: [], evals: [] });
});
