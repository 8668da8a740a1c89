/** Debian's python3-torch, which what is exported for PyTorch is run with. */

import { type ChildProcessWithoutNullStreams, execFile, execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const PYTHON = "/usr/bin/python3";

/** Without it an export is only read back by ourselves. */
export const hasTorch = (() => {
  try {
    execFileSync(PYTHON, ["-c", "import torch"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const env = { ...process.env, OMP_NUM_THREADS: "1" };

/** Runs a program to its end; what it printed. */
export const python = (...args: string[]): Promise<Ended> =>
  new Promise((done) => {
    execFile(PYTHON, args, { env }, (error, stdout, stderr) =>
      done({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });

let programs: { readonly process: ChildProcessWithoutNullStreams; readonly answers: AsyncIterator<string> } | undefined;

/** The same of a script that needs torch, which is imported once for all of a test file: one at a time. */
export async function torchScript(...args: string[]): Promise<Ended> {
  if (!programs) {
    const child = spawn(PYTHON, [join(import.meta.dirname, "torch_programs.py")], { env });
    child.stderr.pipe(process.stderr);
    programs = { process: child, answers: createInterface(child.stdout)[Symbol.asyncIterator]() };
  }
  programs.process.stdin.write(`${JSON.stringify(args)}\n`);
  const { value, done } = await programs.answers.next();
  if (done) throw new Error("torch_programs.py has ended; what it printed to stderr says why.");
  return JSON.parse(value);
}
