/** One process at a time trains in a folder, and the remains of a killed one do not block the next. */

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { TrainEvent, TrainParams } from "../../../src/engine/api/run";
import { exportModel } from "../../../src/engine/export";
import { openModel } from "../../../src/engine/models/folder";
import { LOCK_FILE, lockRun } from "../../../src/engine/train/lock";
import { branch, resume, train } from "../../../src/engine/train/run";
import { self } from "../../../src/engine/weights/owner";
import { cats, tinyRun } from "../../helpers/tinyRun";

// Another run of the tests may use the disk.
vi.setConfig({ testTimeout: 120_000 });

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-lock-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const TEXT = cats(20);

const newRun = (name: string, set: TrainParams["set"] = {}): TrainParams =>
  tinyRun(join(dir, name), TEXT, {
    "train.blockSize": 8,
    "train.batchSize": 2,
    "train.steps": 4,
    "train.evalEvery": 2,
    "train.evalBatches": 1,
    "train.sampleEvery": 2,
    "train.checkpointEvery": 2,
    ...set,
  });

const control = (report: (event: TrainEvent) => unknown = () => {}, stop = new AbortController()) => ({
  signal: stop.signal,
  whilePaused: async () => {},
  report,
});

/** A lock of another owner, as its process would have written it. */
async function writeLock(folder: string, owner: Partial<ReturnType<typeof self>>, host = hostname()): Promise<void> {
  const lock = { owner: { ...self(), ...owner }, hostname: host, started: "2026-12-01T12:30:00.000Z" };
  await writeFile(join(folder, LOCK_FILE), JSON.stringify(lock));
}

async function endedPid(): Promise<number> {
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((ended) => child.once("close", ended));
  return child.pid as number;
}

test("a folder that is being trained refuses a second run and allows everything else", async () => {
  const run = newRun("busy", { "train.steps": 1_000_000 });
  const stop = new AbortController();
  let checked: Promise<unknown> | undefined;
  const check = async () => {
    const held = new RegExp(
      `busy is being trained by process ${process.pid} on ${hostname()} since 20..-..-.. ..:..:.. UTC\\. Wait for`,
    );
    await expect(resume(run.out, {}, control())).rejects.toThrow(held);
    await expect(train(run, control())).rejects.toThrow(held);
    await openModel(run.out);
    await exportModel(run.out, { format: "hf", out: join(dir, "exported") });
    const checkpoint = join(run.out, "checkpoints", "step-00000000");
    await branch(
      { dir: checkpoint, out: join(dir, "branched"), name: "b", device: "cpu", set: { "train.steps": 1 } },
      control(),
    );
    expect(await readdir(join(dir, "exported"))).not.toContain(LOCK_FILE);
  };
  const report = ({ kind }: TrainEvent) => {
    if (kind === "start") checked = check().finally(() => stop.abort());
  };
  expect((await train(run, control(report, stop))).reason).toBe("stopped");
  await checked;
  expect(await readdir(run.out)).not.toContain(LOCK_FILE);
  const again = new AbortController();
  const stopAtOnce = control(({ kind }) => kind === "steps" && again.abort(), again);
  expect((await resume(run.out, {}, stopAtOnce)).reason).toBe("stopped");
}, 60_000);

describe("a lock", () => {
  test.each([
    ["a process that has ended", async () => ({ pid: await endedPid() })],
    ["an earlier process with the same id", async () => ({ start: "00000001" })],
  ])("of %s is replaced", async (_, owner) => {
    const folder = await mkdtemp(join(dir, "stale-"));
    await writeLock(folder, await owner());
    const unlock = await lockRun(folder);
    await expect(lockRun(folder)).rejects.toThrow(/is being trained by process/);
    await unlock(folder);
    expect(await readdir(folder)).toEqual([]);
  });

  test("of another machine is believed, with advice", async () => {
    const folder = await mkdtemp(join(dir, "shared-"));
    await writeLock(folder, { host: "00000001", pid: 1 }, "far-away");
    await expect(lockRun(folder)).rejects.toThrow(
      /being trained by process 1 on far-away since 2026-12-01 12:30:00 UTC\. Stop that run first\. If it no longer exists, delete training\.lock/,
    );
  });

  test("that is damaged is replaced", async () => {
    const folder = await mkdtemp(join(dir, "damaged-"));
    for (const text of ["", "{", '{"owner":{"pid":"x"}}', "null"]) {
      await writeFile(join(folder, LOCK_FILE), text);
      await (await lockRun(folder))(folder);
    }
  });

  test("is taken by only one of many at once, however often", async () => {
    const pid = await endedPid();
    for (let i = 0; i < 60; i++) {
      const folder = await mkdtemp(join(dir, "many-"));
      await writeLock(folder, { pid });
      const ends = await Promise.allSettled(Array.from({ length: 12 }, () => lockRun(folder)));
      expect(ends.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      expect(await readdir(folder)).toEqual([LOCK_FILE]);
    }
  });
});

describe("the remains of a run of an earlier version that was killed before its first checkpoint", () => {
  const remains = async (name: string, files: readonly string[]) => {
    const out = join(dir, name);
    await mkdir(join(out, "checkpoints", ".writing-step-00000000-5b1f8c9e-0000-0000-0000-000000000000"), {
      recursive: true,
    });
    for (const file of files) await writeFile(join(out, file), "x");
    return out;
  };

  test("cannot be resumed, which a sentence says, and can be trained into", async () => {
    const out = await remains("first", ["data.txt", "reports.jsonl"]);
    await expect(resume(out, {}, control())).rejects.toThrow(
      /has no checkpoint to resume from\W+train the model again/i,
    );
    await train({ ...newRun("first"), out }, control());
    expect(await readdir(join(out, "checkpoints"))).toContain("step-00000004");
    expect(await readFile(join(out, "data.txt"), "utf8")).toBe(TEXT);
  });

  test("are kept if they contain something else", async () => {
    const out = await remains("other", ["mine.txt"]);
    await expect(train({ ...newRun("other"), out }, control())).rejects.toThrow(/is not empty/);
    expect(await readdir(out)).toContain("mine.txt");
  });

  test("are resumed if only the publication was interrupted", async () => {
    const run = newRun("unpublished");
    await train(run, control());
    for (const name of await readdir(run.out)) {
      if (!["checkpoints", "data.txt"].includes(name)) await rm(join(run.out, name));
    }
    await resume(run.out, { steps: 5 }, control());
    await openModel(run.out);
  });
});

test("a run killed after its last checkpoint is completed by resuming it", async () => {
  const run = newRun("complete");
  await train(run, control());
  const file = join(run.out, "training.json");
  const { ended, ...record } = JSON.parse(await readFile(file, "utf8"));
  expect(ended.reason).toBe("done");
  await writeFile(file, JSON.stringify({ ...record, step: 2 }));
  expect(await resume(run.out, {}, control())).toMatchObject({ step: 4, reason: "done" });
  expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ step: 4, ended: { reason: "done" } });
  await expect(resume(run.out, {}, control())).rejects.toThrow(/set more steps/i);
});

test.each(["char", "adder"])("the sample of a step is written before its checkpoint: %s", async (preset) => {
  const { data, ...run } = newRun(`samples-${preset}`);
  const seen: number[] = [];
  const report = (event: TrainEvent) => {
    if (event.kind !== "checkpoint" || event.step === 0) return;
    const lines = readFileSync(join(run.out, "reports.jsonl"), "utf8").trim().split("\n");
    seen.push(event.step);
    const samples = lines.flatMap((line) => JSON.parse(line).sample?.step ?? []);
    expect(samples).toContain(event.step);
  };
  const { "train.blockSize": _, ...set } = run.set ?? {};
  await train(preset === "char" ? { ...run, data: data! } : { ...run, preset, set }, control(report));
  expect(seen).toEqual(expect.arrayContaining([2, 4]));
});
