/** Runs exported PyTorch projects with Debian's python3-torch. */

import { type ChildProcessWithoutNullStreams, execFile, execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const PYTHON = "/usr/bin/python3";

/** Without PyTorch, tests only read exports back. */
export const hasTorch = (() => {
  try {
    execFileSync(PYTHON, ["-c", "import torch"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const env = { ...process.env, OMP_NUM_THREADS: "1" };

/** Runs Python until it exits. */
export const python = (...args: string[]): Promise<Result> =>
  new Promise((done) => {
    execFile(PYTHON, args, { env }, (error, stdout, stderr) =>
      done({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });

let programs: { readonly process: ChildProcessWithoutNullStreams; readonly answers: AsyncIterator<string> } | undefined;

/** The same for scripts that need torch, one at a time. A single process imports torch once per test file. */
export async function torchScript(...args: string[]): Promise<Result> {
  if (!programs) {
    const child = spawn(PYTHON, [join(import.meta.dirname, "torch_programs.py")], { env });
    child.stderr.pipe(process.stderr);
    programs = { process: child, answers: createInterface(child.stdout)[Symbol.asyncIterator]() };
  }
  programs.process.stdin.write(`${JSON.stringify(args)}\n`);
  const { value, done } = await programs.answers.next();
  if (done) throw new Error("torch_programs.py exited unexpectedly. See its output on stderr.");
  return JSON.parse(value);
}
