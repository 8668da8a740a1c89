/** Runs the command line as a separate process. */

import { execFile } from "node:child_process";
import { bundleProgram } from "../../scripts/build";
import { inRoot } from "../../scripts/paths";

/** Path of a test file's bundle. */
export const bundledCli = (name: string): string => inRoot(`node_modules/.cache/decoder-lab/${name}.mjs`);

export const bundleCli = (outfile: string): Promise<string> => bundleProgram(inRoot("src/cli/main.ts"), outfile);

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a bundled command line until it exits. */
export const runCli = (cli: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Output> =>
  new Promise((done) => {
    execFile(process.execPath, [cli, ...args], { env }, (error, stdout, stderr) => {
      done({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
