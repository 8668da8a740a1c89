/**
 * Opens changed files of every format, and reports crashes, hangs, memory, and messages that break the rules.
 *
 *   node scripts/fuzz.ts [--count 2000] [--seed 1] [--only NAME,NAME] [--input N]
 *
 * `--count` is inputs per target. The same seed makes the same inputs; `--only NAME --input N` repeats one of them.
 */

import { type ChildProcess, fork } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import type { Job, Outcome } from "../test/fuzz/worker.ts";
import { bundleProgram } from "./build.ts";
import { inRoot, root, runAsScript } from "./paths.ts";

/** Limits for one input: seconds of CPU, which other programs do not change, and bytes of memory. */
const LIMITS = { seconds: 5, bytes: 1e9 };
/** An input that waits for ever uses no CPU. */
const HANG_SECONDS = 60;

/** Failures after which a target is skipped, because more of them show nothing new. */
const MAX_FAILURES = 10;

export interface Failure {
  readonly target: string;
  readonly input: number;
  readonly problem: string;
}

export interface FuzzReport {
  readonly accepted: number;
  readonly rejected: number;
  readonly failures: readonly Failure[];
  /** Distinct messages, with quoted parts and numbers left out. */
  readonly messages: ReadonlySet<string>;
  /** Most of one input. */
  readonly cpuSeconds: number;
  /** Most of one process. */
  readonly bytes: number;
}

export interface FuzzOptions {
  readonly targets: readonly string[];
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  readonly onTarget?: (target: string, report: FuzzReport) => void;
}

/** Runs some inputs of some targets. Failing inputs are kept in `out/fuzz/failures`. */
export async function fuzz({ targets, seed, from, to, onTarget }: FuzzOptions): Promise<FuzzReport> {
  const script = await bundleWorker("worker");
  const report = {
    accepted: 0,
    rejected: 0,
    failures: [] as Failure[],
    messages: new Set<string>(),
    cpuSeconds: 0,
    bytes: 0,
  };
  for (const target of targets) {
    const scratch = await mkdtemp(join(tmpdir(), "decoder-lab-fuzz-"));
    try {
      let [next, failed] = [from, 0];
      // A process that was stopped is replaced, and continues after the input that stopped it.
      while (next < to && failed < MAX_FAILURES) {
        const before = report.failures.length;
        next = await runWorker(script, { target, seed, from: next, to, scratch, root }, report);
        failed += report.failures.length - before;
      }
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
    onTarget?.(target, report);
  }
  return report;
}

export async function targetNames(): Promise<string[]> {
  const { TARGETS } = (await import(await bundleWorker("targets"))) as typeof import("../test/fuzz/targets.ts");
  return Object.keys(TARGETS);
}

const bundleWorker = (name: "worker" | "targets"): Promise<string> =>
  bundleProgram(inRoot("test", "fuzz", `${name}.ts`), inRoot("out", "fuzz", `${name}.mjs`));

type Totals = { -readonly [K in keyof FuzzReport]: FuzzReport[K] } & { failures: Failure[]; messages: Set<string> };

/** Runs a target in a process; resolves with the number of the first input that it did not finish. */
function runWorker(script: string, job: Job, report: Totals): Promise<number> {
  const child = fork(script, { execArgv: ["--max-old-space-size=900"], stdio: ["ignore", "ignore", "pipe", "ipc"] });
  let current = { input: job.from, files: [] as readonly string[], since: Number.POSITIVE_INFINITY };
  let last = "";
  let stopped = "";
  const fail = (problem: string): void => {
    report.failures.push({ target: job.target, input: current.input, problem });
  };
  const watch = setInterval(async () => {
    const bytes = await residentBytes(child);
    report.bytes = Math.max(report.bytes, bytes);
    if (bytes > LIMITS.bytes) stop(`takes more than ${LIMITS.bytes / 1e9} GB`);
    if (performance.now() - current.since > HANG_SECONDS * 1000) stop(`does not end within ${HANG_SECONDS} s`);
  }, 100);
  const stop = (problem: string): void => {
    stopped ||= problem;
    child.kill("SIGKILL");
  };

  child.stderr?.on("data", (data: Buffer) => {
    last = (last + data).slice(-2000);
  });
  child.on("message", (outcome: Outcome) => {
    if (outcome.kind === "starting") current = { ...outcome, since: performance.now() };
    else if (outcome.kind === "done") {
      isDone = true;
      child.kill();
    } else {
      current = { ...current, since: Number.POSITIVE_INFINITY };
      if (outcome.kind === "failed") {
        fail(outcome.problem);
        // The worker waits, so that the files are still those of this input.
        void keep(job, current).then(() => child.send("kept"));
      } else {
        report[outcome.kind] += 1;
        report.cpuSeconds = Math.max(report.cpuSeconds, outcome.cpuSeconds);
        if (outcome.cpuSeconds > LIMITS.seconds) fail(`takes ${outcome.cpuSeconds.toFixed(1)} s of CPU`);
        if (outcome.kind === "rejected") report.messages.add(outcome.message.replace(/"[^"]*"|“[^”]*”|\d+/g, "…"));
      }
    }
  });
  child.send(job);
  let isDone = false;
  return new Promise((resolve, reject) => {
    child.once("error", reject).once("close", async (code, signal) => {
      clearInterval(watch);
      if (isDone) return resolve(job.to);
      fail(stopped || `ends the process (${signal ?? `exit code ${code}`}): ${last}`);
      await keep(job, current);
      resolve(current.input + 1);
    });
  });
}

/** Memory of a process; 0 where the system does not say. */
async function residentBytes({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}

async function keep({ target }: Job, { input, files }: { input: number; files: readonly string[] }): Promise<void> {
  const folder = inRoot("out", "fuzz", "failures");
  await mkdir(folder, { recursive: true });
  for (const file of files) await copyFile(file, join(folder, `${target}-${input}-${basename(file)}`)).catch(() => {});
}

runAsScript(import.meta.url, async () => {
  const { values } = parseArgs({
    options: {
      count: { type: "string" },
      seed: { type: "string" },
      only: { type: "string" },
      input: { type: "string" },
    },
  });
  const seed = Number(values.seed ?? 1 + Math.floor(Date.now() / 1000));
  const from = Number(values.input ?? 0);
  const to = values.input === undefined ? Number(values.count ?? 2000) : from + 1;
  console.log(`seed ${seed}`);
  const report = await fuzz({
    targets: values.only?.split(",") ?? (await targetNames()),
    seed,
    from,
    to,
    onTarget: (target, { accepted, rejected, failures }) =>
      console.log(`${target}: ${accepted} accepted, ${rejected} rejected, ${failures.length} failed so far`),
  });
  for (const { target, input, problem } of report.failures) {
    console.log(`\n--seed ${seed} --only ${target} --input ${input}\n${problem}`);
  }
  const { accepted, rejected, failures, messages, cpuSeconds, bytes } = report;
  const figures = `${messages.size} kinds of messages, at most ${cpuSeconds.toFixed(1)} s of CPU and ${(bytes / 1e6).toFixed(0)} MB`;
  console.log(`\n${accepted} accepted, ${rejected} rejected, ${failures.length} failed; ${figures}`);
  process.exitCode = failures.length === 0 ? 0 : 1;
});
