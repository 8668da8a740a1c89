/** Debian's python3-torch, which what is exported for PyTorch is run with. */

import { execFile, execFileSync } from "node:child_process";

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

/** Runs a program to its end; what it printed. */
export const python = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((done) => {
    execFile(PYTHON, args, { env: { ...process.env, OMP_NUM_THREADS: "1" } }, (error, stdout, stderr) =>
      done({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
