import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TrainParams } from "../../../src/engine/api/run";
import { openModel, readParams } from "../../../src/engine/models/folder";
import { random } from "../../../src/engine/random";
import { train } from "../../../src/engine/train/run";
import { bundleProgram } from "../../helpers/runProgram";
import { largestDifference } from "../../helpers/tinyModel";
import { cats, tinyRun } from "../../helpers/tinyRun";

const KILLS = 20;
const STEPS = 400;

let dir: string;
let program: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-killed-"));
  program = await bundleProgram(join(import.meta.dirname, "killedRun.program.ts"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const newRun = (name: string): TrainParams =>
  tinyRun(join(dir, name), cats(20), {
    "train.blockSize": 8,
    "train.batchSize": 2,
    "train.gradientAccumulation": 2,
    "train.dropout": 0.1,
    "train.steps": STEPS,
    "train.evalEvery": 40,
    "train.evalBatches": 1,
    "train.sampleEvery": 10 * STEPS,
    "train.checkpointEvery": 8,
    "train.schedule.warmup": 4,
  });

/** A process that waits for a signal to start. */
function waiting(run: TrainParams): { readonly child: ChildProcess; readonly ended: Promise<string> } {
  const child = fork(program, [JSON.stringify(run)], { silent: true, serialization: "json" });
  let errors = "";
  child.stderr?.on("data", (data) => (errors += data));
  const ended = new Promise<string>((done) => child.on("close", () => done(errors)));
  return { child, ended };
}

/** Reports without the measured speed, which differs between runs. */
async function reportsOf({ out }: TrainParams): Promise<unknown[]> {
  const lines = (await readFile(join(out, "reports.jsonl"), "utf8")).trim().split("\n");
  return lines.map((line) => ({ ...JSON.parse(line), tokensPerSecond: 0 }));
}

test(`a run killed at ${KILLS} random moments and resumed each time equals an uninterrupted one`, async () => {
  const [whole, killed] = [newRun("whole"), newRun("killed")];
  const { signal } = new AbortController();
  await train(whole, { signal, whilePaused: async () => {}, report: () => {} });

  const { uniform } = random(20, "kills");
  const at: number[] = [];
  let next = waiting(killed);
  for (let kill = 0; kill <= KILLS; kill++) {
    const { child, ended } = next;
    if (kill < KILLS) next = waiting(killed);
    // The run is killed a random time after a given number of checkpoints.
    const wanted = Math.floor(uniform() * 3);
    const saved: number[] = [];
    const reached = new Promise<void>((done) => {
      child.stdout?.on("data", (data) => {
        saved.push(...String(data).trim().split("\n").map(Number));
        if (saved.length > wanted) done();
      });
      child.once("close", () => done());
    });
    child.send(kill === 0 ? "train" : "resume");
    if (kill < KILLS) {
      await reached;
      await setTimeout(uniform() * 25);
      child.kill("SIGKILL");
    }
    expect(await ended).toBe("");
    at.push(saved.at(-1) ?? -1);
  }
  // Each kill must hit the run while it is working, none after its end.
  expect(new Set(at).size).toBeGreaterThan(KILLS / 2);
  expect(at.at(-2)).toBeLessThan(STEPS);
  expect(at.at(-1)).toBe(STEPS);

  expect(await reportsOf(killed)).toEqual(await reportsOf(whole));
  const params = await readParams(await openModel(killed.out));
  for (const [name, values] of await readParams(await openModel(whole.out)))
    expect(largestDifference(params.get(name) ?? [], values), name).toBe(0);
}, 180_000);
