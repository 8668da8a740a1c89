/**
 * Kills training, import, export and quantization at random moments. Afterwards the same folder must be usable, and the
 * next start must leave no stray files. `npm run kills` does it more often.
 */

import { type ChildProcess, fork } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inRoot } from "../../../scripts/paths";
import { openModel, resume, type TrainParams, train } from "../../../src/engine";
import { random } from "../../../src/engine/random";
import { type HubServer, startHub } from "../../helpers/hubServer";
import { bundleProgram } from "../../helpers/runProgram";
import { downloading, exporting, importing, tokenizing } from "./jobs";
import type { Job } from "./kills.program";

const STARTS = Number(process.env.DECODER_LAB_KILLS ?? 20);
/** For each of the other jobs. */
const OTHERS = Math.ceil(STARTS / (process.env.DECODER_LAB_KILLS ? 2 : 8));
/** The short form ends after this time on a busy machine; at least one kill of each kind is done. */
const BUDGET_MS = process.env.DECODER_LAB_KILLS ? Infinity : 30_000;

let dir: string;
let from: string;
let hub: HubServer;
let program: string;
const { uniform } = random(Number(process.env.DECODER_LAB_SEED ?? 1), "kills");
beforeAll(async () => {
  // In memory where possible: flushing to a busy disk takes seconds.
  dir = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "decoder-lab-kills-"));
  program = await bundleProgram(join(import.meta.dirname, "kills.program.ts"));
  await writeFile(join(dir, "text.txt"), TEXT);
  await writeFile(join(dir, "large.txt"), TEXT.repeat(500));
  from = join(dir, "model");
  await train({ ...newRun(from), set: { ...SMALL, "train.steps": 1 } }, stopping(Infinity));
  const names = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
  const files = names.map((name) => [name, readFileSync(inRoot("test", "golden", "characters", name))] as const);
  hub = await startHub({ id: "lab/real", files: Object.fromEntries(files) });
}, 60_000);
afterAll(async () => {
  next?.kill("SIGKILL");
  await hub.close();
  await rm(dir, { recursive: true, force: true });
});

const TEXT = "the cat sat on the mat and the dog sat on the cat\n".repeat(20);
const SMALL = {
  "model.nLayers": 1,
  "model.nHeads": 2,
  "model.dModel": 32,
  "train.blockSize": 8,
  "train.batchSize": 2,
  "train.steps": 100_000,
  "train.evalEvery": 50,
  "train.evalBatches": 1,
  "train.sampleEvery": 50,
  "train.checkpointEvery": 25,
};

/** Half of the runs keep their text in the run folder, the others read a file. */
const newRun = (out: string, fromFile = false): TrainParams => ({
  preset: "char",
  data: fromFile ? { kind: "paths", paths: [join(dir, "text.txt")] } : { kind: "text", name: "cats", text: TEXT },
  out,
  name: "killed",
  device: "cpu",
  set: SMALL,
});

/** Lets a run do a few steps. */
function stopping(after = 1) {
  const stop = new AbortController();
  let steps = 0;
  const report = ({ kind }: { readonly kind: string }) => {
    if (kind === "steps" && ++steps >= after) stop.abort();
  };
  return { signal: stop.signal, whilePaused: async () => {}, report };
}

/** The inputs of jobs that do not read the model. */
const sources = (): Partial<Record<Job["kind"], string>> => ({
  tokenize: join(dir, "large.txt"),
  convert: inRoot("test", "golden", "checkpoints", "llama.gguf"),
  download: hub.endpoint,
});

let next: ChildProcess | undefined;

/** Starts a job, and kills it after `ms` or when it is done. Returns how long it ran. */
async function killed(job: Job, ms: number): Promise<number> {
  const child = next ?? fork(program, { serialization: "json", silent: true });
  if (!next) await new Promise((ready) => child.once("message", ready));
  next = fork(program, { serialization: "json", silent: true });
  const ready = new Promise((ready) => next?.once("message", ready));
  let errors = "";
  child.stderr?.on("data", (data) => (errors += data));
  const closed = new Promise((closed) => child.once("close", closed));
  const done = new Promise((done) => child.once("message", done));
  const start = performance.now();
  child.send(job);
  await Promise.race([done, closed, setTimeout(ms)]);
  const time = performance.now() - start;
  child.kill("SIGKILL");
  await closed;
  expect(errors).toBe("");
  await ready;
  return time;
}

/** Everything below a folder that a finished process must not leave. */
const strays = (folder: string): string[] =>
  readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => /(^|[/\\])(\.writing-|\.old-|training\.lock)|\.new$/.test(name));

test(
  `a kill in the first second of a run leaves a folder to resume or to train into: up to ${STARTS} times`,
  async () => {
    const runs = join(dir, "runs");
    let resumed = 0;
    let kills = 0;
    const start = performance.now();
    for (let i = 0; i < STARTS && (i === 0 || performance.now() - start < BUDGET_MS); i++) {
      const run = newRun(join(runs, `run-${i}`), i % 2 === 1);
      await killed({ kind: "train", from, run }, uniform() * 1000);
      const exists = existsSync(run.out);
      if (exists) await openModel(run.out);
      await (exists ? resume(run.out, {}, stopping()) : train(run, stopping()));
      kills++;
      if (exists) resumed++;
      await openModel(run.out);
      expect(strays(runs)).toEqual([]);
    }
    console.log(`${resumed} of ${kills} killed runs were resumed, the others started again`);
  },
  Math.max(120_000, STARTS * 10_000),
);

test.each([
  ["import", importing],
  ["convert", importing],
  ["download", downloading],
  ["export", exporting],
  ["quantize", (from, out) => importing(from, out, "int8")],
  ["tokenize", tokenizing],
] as const satisfies readonly (readonly [Job["kind"], (from: string, out: string) => Promise<unknown>])[])(
  `kills leave nothing after the next start of: %s, up to ${OTHERS} times`,
  async (kind, again) => {
    const out = join(dir, kind, "out");
    const source = sources()[kind] ?? from;
    const job: Job = { kind, from: source, run: newRun(out) };
    const whole = await killed(job, 30_000);
    let unfinished = 0;
    let kills = 0;
    const start = performance.now();
    for (let i = 0; i < OTHERS && (i === 0 || performance.now() - start < BUDGET_MS / 6); i++) {
      await rm(out, { recursive: true, force: true });
      const time = uniform() * whole;
      if ((await killed(job, time)) >= time) unfinished++;
      kills++;
      if (kind === "tokenize" || !existsSync(out)) await again(source, out);
      if (kind !== "tokenize") await openModel(out);
      expect(readdirSync(dirname(out))).toEqual(["out"]);
      expect(strays(out)).toEqual([]);
    }
    console.log(`${unfinished} of ${kills} were killed before their end, within ${Math.round(whole)} ms`);
  },
  Math.max(120_000, OTHERS * 10_000),
);
